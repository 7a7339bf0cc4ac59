//! Names of rows.

use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::UploadHeader;

/// Of what is known of an attempt.
pub(crate) fn attempt_key(id: AttemptId) -> String {
    format!("{:020} {:010} ", id.round, id.attempt)
}

/// Of a receipt by its attempt.
pub(crate) fn receipt_key(id: AttemptId, shop: &ShopName) -> String {
    attempt_key(id) + shop.as_str()
}

/// Less than the key of every receipt of this length.
pub(super) fn spent_key(shop: &ShopName, length: u64) -> String {
    format!("{shop} {length:020}")
}

/// Behind all others of the shop.
pub(crate) fn last_spent_key(shop: &ShopName) -> String {
    format!("{shop} last")
}

/// The key of a receipt, and of the word beside it. Two copies of one folder may send two of one length: both are kept.
pub(crate) fn spent_at(shop: &ShopName, upload: &UploadHeader) -> String {
    format!("{} {}", spent_key(shop, upload.ledger_length), upload.ledger_head)
}

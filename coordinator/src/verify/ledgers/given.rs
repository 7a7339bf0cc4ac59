//! What an auditor has of a shop.

use souk_common::ids::ShopName;

/// A shop's ledger, and what its folder says beside it.
#[derive(Clone, Debug, Default)]
pub struct LedgerFile {
    /// What to call it in messages: its path.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whose it should be, by `membership.json` beside it.
    pub owner: Option<ShopName>,
    /// The shop's own public key, from there.
    pub words_key: Option<[u8; 32]>,
    /// The federation's public key, as the shop holds it.
    pub signing_key: Option<[u8; 32]>,
}

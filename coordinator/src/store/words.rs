//! Shops' own words for their updates, beside the receipts: so that a shop can tell what it sent from what it is told that it
//! sent.

use souk_common::crypto::sign::{Signed, verify};
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::round::statements::{Sent, UploadHeader};
use souk_common::wire::messages::{SignedSpent, Spent};

use super::backend::Table;
use super::names::spent_at;
use super::{Store, StoreError};

impl Store {
    /// Keeps a shop's signature of an update that there is a receipt of; whether it is one by `key`.
    ///
    /// # Errors
    /// Of the store.
    pub fn keep_word(
        &mut self,
        shop: &ShopName,
        upload: &UploadHeader,
        signature: Vec<u8>,
        key: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let at = spent_at(shop, upload);
        let Some(spent) = self.get::<Spent>(Table::Spent, &at)? else {
            return Ok(false);
        };
        let body = Sent::of(shop, spent.plan, &spent.receipt.body.upload);
        let word = Signed { body, signature };
        if verify(&word, key).is_err() {
            return Ok(false);
        }
        let signature = hex::text(&word.signature);
        if self.get::<String>(Table::Words, &at)?.as_ref() != Some(&signature) {
            self.change(|change| change.put(Table::Words, &at, &signature))?;
        }
        Ok(true)
    }

    /// As [`Store::spent`], with the shop's own words.
    ///
    /// # Errors
    /// Of the store.
    pub fn signed_spent(
        &self,
        shop: &ShopName,
        below: u64,
        most: usize,
    ) -> Result<Vec<SignedSpent>, StoreError> {
        let with_word = |spent: Spent| {
            let word: Option<String> = self.get(Table::Words, &spent_at(shop, &spent.receipt.body.upload))?;
            let signature = word.and_then(|word| hex::bytes(&word)).unwrap_or_default();
            Ok(SignedSpent { spent, signature })
        };
        self.spent(shop, below, most)?
            .into_iter()
            .map(with_word)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use souk_common::chain::LogHead;
    use souk_common::clock::Timestamp;
    use souk_common::crypto::sign::SigningKey;
    use souk_common::ids::{AttemptId, Digest};
    use souk_common::round::statements::Receipt;

    use super::*;

    #[test]
    fn a_shops_own_word_is_kept_if_it_is_by_its_key_over_this_update_and_plan() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), None).unwrap();
        let (shop, plan): (ShopName, _) = ("north".parse().unwrap(), Digest([3; 32]));
        let upload = UploadHeader {
            id: AttemptId { round: 1, attempt: 1 },
            update: Digest([1; 32]),
            len_bytes: 9,
            ledger_length: 2,
            ledger_head: Digest([2; 32]),
        };
        let (own, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let word = |key: &SigningKey, plan| key.sign(Sent::of(&shop, plan, &upload)).signature;
        let keep =
            |store: &mut Store, signature| store.keep_word(&shop, &upload, signature, &own.public()).unwrap();
        assert!(!keep(&mut store, word(&own, plan)), "there is no receipt");
        let receipt = SigningKey::from_bytes(&[9; 32]).sign(Receipt {
            shop: shop.clone(),
            upload,
            stored_at: Timestamp(1),
            log: LogHead {
                length: 0,
                head: Digest::ZERO,
            },
        });
        let spent = Spent { receipt, plan };
        store.change(|change| change.add_spent(&spent)).unwrap();
        let told = |store: &Store| {
            store.signed_spent(&shop, u64::MAX, 9).unwrap()[0]
                .signature
                .clone()
        };
        for wrong in [word(&other, plan), word(&own, Digest([4; 32])), Vec::new()] {
            assert!(!keep(&mut store, wrong));
            assert!(told(&store).is_empty());
        }
        assert!(keep(&mut store, word(&own, plan)));
        assert_eq!(told(&store), word(&own, plan));
        assert!(
            keep(&mut store, word(&own, plan)),
            "once more, as after a lost answer"
        );
    }
}

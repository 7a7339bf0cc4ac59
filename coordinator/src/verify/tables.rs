//! Rows that stand beside the record: written as the programs write them, under the name that follows from what they say, and
//! about entries that the record has.

use std::collections::BTreeMap;

use souk_common::crypto::sign::{Signed, verify};
use souk_common::hex;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Receipt, Sent};
use souk_common::secagg::Session;
use souk_common::wire::messages::Spent;

use super::report::Check;
use crate::store::backend::Table;
use crate::store::{Entry, Store, StoreError, names};

/// What the record says that rows are held against.
#[derive(Default)]
pub(super) struct Said {
    /// The plan from each of these entries on.
    pub(super) plans: Vec<(u64, Digest)>,
    /// Updates that were received.
    pub(super) received: u64,
    /// Digests of what was known of masked attempts when their sums were unmasked.
    pub(super) sessions: BTreeMap<(Digest, AttemptId), Digest>,
    /// Keys of shops, by themselves: they take the place of those in the folder.
    pub(super) keys: BTreeMap<ShopName, [u8; 32]>,
}

impl Said {
    fn plan_at(&self, entry: u64) -> Option<Digest> {
        let before = self.plans.partition_point(|(from, _)| *from <= entry);
        self.plans.get(before.checked_sub(1)?).map(|(_, plan)| *plan)
    }
}

/// Tables of receipts, of masked attempts and of shops' own words.
pub(super) fn check(store: &Store, said: &Said) -> Result<Check, StoreError> {
    let mut tables = Tables {
        store,
        said,
        check: Check::new(NAME),
    };
    tables.receipts()?;
    let spent = tables.spent()?;
    if spent < said.received {
        tables.check.leave(
            "table spent",
            said.received - spent,
            "receipts of the record that the table has no row of: it was begun later, or rows were removed; a shop that lost its \
             ledger is told of the others only",
        );
    }
    let words = tables.words()?;
    if words < said.received {
        tables.check.leave(
            "table words",
            said.received - words,
            "the shop's own signed word for a received update is not there: that it was sent, and by which plan, is the coordinator's \
             word alone",
        );
    }
    tables.masked()?;
    tables.check.leave(
        "tables shops, invitations, ended_codes, traffic, bindings, and meta but for head and format",
        1,
        "nobody signed them: memberships, codes, traffic, and where the run stands, which the next `serve` goes on from",
    );
    Ok(tables.check)
}

struct Tables<'a> {
    store: &'a Store,
    said: &'a Said,
    check: Check,
}

impl Tables<'_> {
    /// Whether the row says that, and is what the record received.
    fn row<T: serde::Serialize>(&mut self, table: Table, key: &str, row: (&[u8], &T), named: &str) -> bool {
        let (bytes, value) = row;
        let place = || format!("table {}, row {key:?}", table.name());
        let written = serde_json::to_vec(value).is_ok_and(|text| text == bytes);
        if !written {
            self.check
                .wrong
                .push(format!("{}: it is not written as the program writes it", place()));
        } else if key != named {
            self.check
                .wrong
                .push(format!("{}: what it says is of row {named:?}", place()));
        }
        written && key == named
    }

    fn in_record(&mut self, table: Table, key: &str, receipt: &Signed<Receipt>) -> Result<bool, StoreError> {
        let at = receipt.body.log.length;
        let there = match self.store.entry(at)?.map(|record| record.entry) {
            Some(Entry::Received(received)) => received == *receipt,
            _ => false,
        };
        if !there {
            self.check.wrong.push(format!(
                "table {}, row {key:?}: entry {at} of the record is not this receipt",
                table.name()
            ));
        }
        Ok(there)
    }

    fn receipts(&mut self) -> Result<(), StoreError> {
        self.store
            .each_row(Table::Receipts, |key, bytes, receipt: Signed<Receipt>| {
                let named = names::receipt_key(receipt.body.upload.id, &receipt.body.shop);
                let good = self.row(Table::Receipts, key, (bytes, &receipt), &named)
                    && self.in_record(Table::Receipts, key, &receipt)?;
                self.check.good += u64::from(good);
                Ok(())
            })
    }

    /// How many there are, without those that are kept twice as their shop's last.
    fn spent(&mut self) -> Result<u64, StoreError> {
        let mut rows = 0;
        self.store.each_row(Table::Spent, |key, bytes, spent: Spent| {
            let (shop, upload) = (&spent.receipt.body.shop, &spent.receipt.body.upload);
            let last = names::last_spent_key(shop);
            let named = match key == last {
                true => last,
                false => names::spent_at(shop, upload),
            };
            rows += u64::from(key == names::spent_at(shop, upload));
            let mut good = self.row(Table::Spent, key, (bytes, &spent), &named)
                && self.in_record(Table::Spent, key, &spent.receipt)?;
            let at = spent.receipt.body.log.length;
            if good && self.said.plan_at(at) != Some(spent.plan) {
                self.check.wrong.push(format!(
                    "table spent, row {key:?}: the plan is {}, which was not the one at entry {at} of the record",
                    spent.plan.short()
                ));
                good = false;
            }
            self.check.good += u64::from(good);
            Ok(())
        })?;
        Ok(rows)
    }

    /// How many there are.
    fn words(&mut self) -> Result<u64, StoreError> {
        let (mut rows, mut by_folder) = (0, 0);
        self.store.each_row(Table::Words, |key, bytes, word: String| {
            rows += 1;
            if !self.row(Table::Words, key, (bytes, &word), key) {
                return Ok(());
            }
            // Digits are in lower case.
            let signature = hex::bytes(&word).filter(|bytes| hex::text(bytes) == word);
            let Ok(Some(spent)) = self.store.spent_row(key) else {
                self.check.wrong.push(format!(
                    "table words, row {key:?}: there is no receipt of the update that it is of"
                ));
                return Ok(());
            };
            let shop = &spent.receipt.body.shop;
            let own = self.said.keys.get(shop).copied();
            by_folder += u64::from(own.is_none());
            let folder = || {
                let identity = self.store.shop(shop).ok()??.identity;
                <[u8; 32]>::try_from(hex::bytes(&identity)?).ok()
            };
            let Some(public) = own.or_else(folder) else {
                self.check.not_kept(
                    format!("table words, row {key:?}"),
                    "the shop's key is not known",
                );
                return Ok(());
            };
            let signed = Signed {
                body: Sent::of(shop, spent.plan, &spent.receipt.body.upload),
                signature: signature.unwrap_or_default(),
            };
            self.check.note(verify(&signed, &public).is_ok(), || {
                format!("table words, row {key:?}: it is not signed by the key of {shop}, or not over this update and plan")
            });
            Ok(())
        })?;
        if by_folder > 0 {
            self.check.leave(
                "table words",
                by_folder,
                "shops' words by the keys in the coordinator's own table of shops: a coordinator could have made both. --ledger with \
                 the shop's folder takes the shop's own key",
            );
        }
        Ok(rows)
    }

    fn masked(&mut self) -> Result<(), StoreError> {
        self.store
            .each_row(Table::Masked, |key, bytes, session: Session| {
                let context = *session.context();
                let named = names::attempt_key(context.id);
                if !self.row(Table::Masked, key, (bytes, &session), &named) {
                    return Ok(());
                }
                match self.said.sessions.get(&(context.plan, context.id)) {
                    Some(digest) => self.check.note(Digest::of(bytes) == *digest, || {
                        format!("table masked, row {key:?}: it is not what the record says was known of it")
                    }),
                    None => self.check.not_kept(
                        format!("table masked, {}", context.id),
                        "the record has not unmasked its sum: what is stored of it can't be held against anything yet",
                    ),
                }
                Ok(())
            })
    }
}

const NAME: &str = "receipts, masked attempts and shops' own words in tables are those in the record";

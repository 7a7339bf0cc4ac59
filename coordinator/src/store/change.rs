//! What one transaction changes.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::{Manifest, Receipt};
use souk_common::secagg::{Binding, Session};
use souk_common::wire::messages::Spent;

use super::words::spent_at;
use super::{
    BINDINGS, Entry, LOG, LogRecord, MASKED, META, MODELS, NAMED, Named, RECEIPTS, Run, SHOPS, SPENT, Shop,
    StoreError, TRAFFIC, Table, Traffic, attempt_key, json, last_spent_key, parse, receipt_key,
};

/// Changes of one transaction.
pub struct Change<'a> {
    pub(super) transaction: &'a WriteTransaction,
    pub(super) head: LogHead,
}

impl Change<'_> {
    /// Sets where the run stands.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_run(&mut self, run: &Run) -> Result<(), StoreError> {
        self.put(META, "run", run)
    }

    /// Sets a value of the federation's own.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_meta<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), StoreError> {
        self.put(META, key, value)
    }

    /// Forgets a value of the federation's own.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_meta(&mut self, key: &str) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(META)?;
        table.remove(key)?;
        Ok(())
    }

    /// Sets a shop's membership.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_shop(&mut self, name: &ShopName, shop: &Shop) -> Result<(), StoreError> {
        self.put(SHOPS, name.as_str(), shop)
    }

    /// Adds a model version.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_model(&mut self, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(MODELS)?;
        let next = table.last()?.map_or(0, |(key, _)| key.value() + 1);
        table.insert(next, json(manifest).as_slice())?;
        Ok(())
    }

    /// Keeps a receipt.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_receipt(&mut self, receipt: &Signed<Receipt>) -> Result<(), StoreError> {
        let key = receipt_key(receipt.body.upload.id, &receipt.body.shop);
        self.put(RECEIPTS, &key, receipt)
    }

    /// Keeps, by the length of the shop's ledger, that an update of `plan` was received.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_spent(&mut self, spent: &Spent) -> Result<(), StoreError> {
        let (shop, upload) = (&spent.receipt.body.shop, &spent.receipt.body.upload);
        self.put(SPENT, &spent_at(shop, upload), spent)?;
        self.put(SPENT, &last_spent_key(shop), spent)
    }

    /// Keeps what is known of a masked attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_masked(&mut self, id: AttemptId, session: &Session) -> Result<(), StoreError> {
        self.put(MASKED, &attempt_key(id), session)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_masked(&mut self, id: AttemptId) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(MASKED)?;
        table.remove(attempt_key(id).as_str())?;
        drop(table);
        self.forget_bindings(id)
    }

    /// Keeps the signature that came with a masked update.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_binding(
        &mut self,
        id: AttemptId,
        shop: &ShopName,
        binding: Binding,
    ) -> Result<(), StoreError> {
        self.put(BINDINGS, &receipt_key(id, shop), &binding)
    }

    /// Forgets those of an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_bindings(&mut self, id: AttemptId) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(BINDINGS)?;
        let first = attempt_key(id);
        let keys = table.range(first.as_str()..)?;
        let keys: Vec<String> = keys
            .map(|row| Ok(row?.0.value().to_owned()))
            .take_while(|key: &Result<String, StoreError>| match key {
                Ok(key) => key.starts_with(&first),
                Err(_) => true,
            })
            .collect::<Result<_, _>>()?;
        for key in keys {
            table.remove(key.as_str())?;
        }
        Ok(())
    }

    /// Sets which shops are left out.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_named(&mut self, named: &BTreeMap<ShopName, Named>) -> Result<(), StoreError> {
        self.put(META, NAMED, named)
    }

    /// Adds to a shop's process' traffic.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_traffic(&mut self, more: &Traffic) -> Result<(), StoreError> {
        let key = format!("{} {} {}", more.shop, more.fingerprint, more.process_id);
        let mut sum = more.clone();
        if let Some(before) = self.get::<Traffic>(TRAFFIC, &key)? {
            sum.bytes_received = sum.bytes_received.saturating_add(before.bytes_received);
            sum.bytes_sent = sum.bytes_sent.saturating_add(before.bytes_sent);
        }
        self.put(TRAFFIC, &key, &sum)
    }

    /// Appends to the record and returns its new head.
    ///
    /// # Errors
    /// Of the store.
    pub fn append(&mut self, at: Timestamp, entry: Entry) -> Result<LogHead, StoreError> {
        let record = LogRecord {
            previous: self.head.head,
            at,
            entry,
        };
        let mut table = self.transaction.open_table(LOG)?;
        table.insert(self.head.length, json(&record).as_slice())?;
        drop(table);
        self.head = LogHead {
            length: self.head.length + 1,
            head: record.digest(),
        };
        let head = self.head;
        self.put(META, "head", &head)?;
        Ok(head)
    }

    pub(super) fn put<T: Serialize>(&mut self, table: Table, key: &str, value: &T) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(table)?;
        table.insert(key, json(value).as_slice())?;
        Ok(())
    }

    pub(super) fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        let table = self.transaction.open_table(table)?;
        let value = table.get(key)?;
        value.map(|value| parse(key, value.value())).transpose()
    }
}

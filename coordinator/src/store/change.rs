//! What one transaction changes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::{Manifest, Receipt};
use souk_common::secagg::{Binding, Session};
use souk_common::wire::messages::Spent;

use super::backend::{List, Order, Table, Transaction};
use super::names::{attempt_key, last_spent_key, receipt_key, spent_at};
use super::{Entry, LogRecord, NAMED, Named, Run, ShopRecord, StoreError, Traffic, get, json};

/// Changes of one transaction.
pub struct Change<'a> {
    pub(super) transaction: &'a mut dyn Transaction,
    pub(super) head: LogHead,
}

impl Change<'_> {
    /// Sets where the run stands.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_run(&mut self, run: &Run) -> Result<(), StoreError> {
        self.put(Table::Meta, "run", run)
    }

    /// Sets a value of the federation's own.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_meta<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), StoreError> {
        self.put(Table::Meta, key, value)
    }

    /// Forgets a value of the federation's own.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_meta(&mut self, key: &str) -> Result<(), StoreError> {
        self.transaction.remove(Table::Meta, key)
    }

    /// Sets a shop's membership.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_shop(&mut self, name: &ShopName, shop: &ShopRecord) -> Result<(), StoreError> {
        self.put(Table::Shops, name.as_str(), shop)
    }

    /// Adds a model version.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_model(&mut self, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        let mut next = 0;
        self.transaction
            .entries(List::Models, 0, Order::Back, &mut |last, _| {
                next = last + 1;
                Ok(ControlFlow::Break(()))
            })?;
        self.transaction.put_entry(List::Models, next, &json(manifest))
    }

    /// Keeps a receipt.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_receipt(&mut self, receipt: &Signed<Receipt>) -> Result<(), StoreError> {
        let key = receipt_key(receipt.body.upload.id, &receipt.body.shop);
        self.put(Table::Receipts, &key, receipt)
    }

    /// Keeps, by the length of the shop's ledger, that an update of `plan` was received.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_spent(&mut self, spent: &Spent) -> Result<(), StoreError> {
        let (shop, upload) = (&spent.receipt.body.shop, &spent.receipt.body.upload);
        self.put(Table::Spent, &spent_at(shop, upload), spent)?;
        self.put(Table::Spent, &last_spent_key(shop), spent)
    }

    /// Keeps what is known of a masked attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_masked(&mut self, id: AttemptId, session: &Session) -> Result<(), StoreError> {
        self.put(Table::Masked, &attempt_key(id), session)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_masked(&mut self, id: AttemptId) -> Result<(), StoreError> {
        self.transaction.remove(Table::Masked, &attempt_key(id))?;
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
        self.put(Table::Bindings, &receipt_key(id, shop), &binding)
    }

    /// Forgets those of an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_bindings(&mut self, id: AttemptId) -> Result<(), StoreError> {
        let first = attempt_key(id);
        self.forget_rows(Table::Bindings, &first, |_| true)
    }

    /// Sets which shops are left out.
    ///
    /// # Errors
    /// Of the store.
    pub fn set_named(&mut self, named: &BTreeMap<ShopName, Named>) -> Result<(), StoreError> {
        self.put(Table::Meta, NAMED, named)
    }

    /// Adds to a shop's process' traffic.
    ///
    /// # Errors
    /// Of the store.
    pub fn add_traffic(&mut self, more: &Traffic) -> Result<(), StoreError> {
        let key = format!("{} {} {}", more.shop, more.fingerprint, more.process_id);
        let mut sum = more.clone();
        if let Some(before) = self.get::<Traffic>(Table::Traffic, &key)? {
            sum.bytes_received = sum.bytes_received.saturating_add(before.bytes_received);
            sum.bytes_sent = sum.bytes_sent.saturating_add(before.bytes_sent);
        }
        self.put(Table::Traffic, &key, &sum)
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
        let number = self.head.length;
        self.transaction.put_entry(List::Log, number, &json(&record))?;
        self.head = LogHead {
            length: number + 1,
            head: record.digest(),
        };
        let head = self.head;
        self.put(Table::Meta, "head", &head)?;
        Ok(head)
    }

    /// Removes the rows whose keys begin with `prefix` and whose values are `old`.
    pub(super) fn forget_rows(
        &mut self,
        table: Table,
        prefix: &str,
        old: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        let order = Order::Forward;
        self.transaction
            .rows(table, prefix, None, order, &mut |key, value| {
                if !key.starts_with(prefix) {
                    return Ok(ControlFlow::Break(()));
                }
                if old(value) {
                    keys.push(key.to_owned());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        keys.iter()
            .try_for_each(|key| self.transaction.remove(table, key))
    }

    pub(super) fn put<T: Serialize>(&mut self, table: Table, key: &str, value: &T) -> Result<(), StoreError> {
        self.transaction.put(table, key, &json(value))
    }

    pub(super) fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        get(&*self.transaction, table, key)
    }
}

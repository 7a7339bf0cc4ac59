//! What can be asked of the store.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Manifest, Receipt};
use souk_common::secagg::{Binding, Session};
use souk_common::wire::messages::Spent;

use super::backend::{List, Order, Table};
use super::names::{attempt_key, last_spent_key, receipt_key, spent_key};
use super::{
    BegunRun, Entry, LogRecord, NAMED, Named, RUNS, Run, ShopRecord, Store, StoreError, Traffic, all_from,
    get, parse,
};

impl Store {
    /// Where the run stands, if one was begun.
    ///
    /// # Errors
    /// Of the store.
    pub fn run(&self) -> Result<Option<Run>, StoreError> {
        self.get(Table::Meta, "run")
    }

    /// A value of the federation's own, by name.
    ///
    /// # Errors
    /// Of the store.
    pub fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.get(Table::Meta, key)
    }

    /// A shop's membership.
    ///
    /// # Errors
    /// Of the store.
    pub fn shop(&self, name: &ShopName) -> Result<Option<ShopRecord>, StoreError> {
        self.get(Table::Shops, name.as_str())
    }

    /// All memberships, by name.
    ///
    /// # Errors
    /// Of the store.
    pub fn shops(&self) -> Result<Vec<(ShopName, ShopRecord)>, StoreError> {
        let named = self.all(Table::Shops)?.into_iter();
        named
            .map(|(name, shop)| Ok((name.parse().map_err(|_| StoreError::Damaged { key: name })?, shop)))
            .collect()
    }

    /// The receipt of a shop for an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipt(&self, id: AttemptId, shop: &ShopName) -> Result<Option<Signed<Receipt>>, StoreError> {
        self.get(Table::Receipts, &receipt_key(id, shop))
    }

    /// All receipts of an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipts(&self, id: AttemptId) -> Result<Vec<Signed<Receipt>>, StoreError> {
        let all: Vec<(String, Signed<Receipt>)> = self.all_from(Table::Receipts, &attempt_key(id))?;
        Ok(all.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// All receipts of all attempts at a round.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipts_of_round(&self, round: u64) -> Result<Vec<Signed<Receipt>>, StoreError> {
        let all: Vec<(String, Signed<Receipt>)> = self.all_from(Table::Receipts, &format!("{round:020} "))?;
        Ok(all.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// A shop's last receipt, over all plans.
    ///
    /// # Errors
    /// Of the store.
    pub fn last_spent(&self, shop: &ShopName) -> Result<Option<Spent>, StoreError> {
        self.get(Table::Spent, &last_spent_key(shop))
    }

    /// A shop's receipts with ledgers under `below` records, the longest first: `most`, and what else is of the last one's
    /// length.
    ///
    /// # Errors
    /// Of the store.
    pub fn spent(&self, shop: &ShopName, below: u64, most: usize) -> Result<Vec<Spent>, StoreError> {
        let (from, to) = (spent_key(shop, 0), spent_key(shop, below));
        let mut found: Vec<Spent> = Vec::new();
        let rows = self.records.read()?;
        rows.rows(Table::Spent, &from, Some(&to), Order::Back, &mut |key, value| {
            let spent: Spent = parse(key, value)?;
            let length = |spent: &Spent| spent.receipt.body.upload.ledger_length;
            let last = found.last().map(length);
            if found.len() >= most && last != Some(length(&spent)) {
                return Ok(ControlFlow::Break(()));
            }
            found.push(spent);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// A shop's receipt of this name.
    pub(crate) fn spent_row(&self, name: &str) -> Result<Option<Spent>, StoreError> {
        self.get(Table::Spent, name)
    }

    /// Passes the rows of a table: name, bytes, and what they say.
    ///
    /// # Errors
    /// Those of `each`; of the store, with the row that can't be read.
    pub(crate) fn each_row<T: DeserializeOwned>(
        &self,
        table: Table,
        mut each: impl FnMut(&str, &[u8], T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let rows = self.records.read()?;
        rows.rows(table, "", None, Order::Forward, &mut |key, value| {
            let place = || format!("table {}, row {key}", table.name());
            each(key, value, parse(&place(), value)?)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Passes the rows of a list: number, bytes, and what they say.
    ///
    /// # Errors
    /// Of the store, with the row that can't be read.
    pub(crate) fn each_numbered<T: DeserializeOwned>(
        &self,
        list: List,
        mut each: impl FnMut(u64, &[u8], T),
    ) -> Result<(), StoreError> {
        let rows = self.records.read()?;
        rows.entries(list, 0, Order::Forward, &mut |number, value| {
            each(number, value, parse(&format!("{} {number}", list.name()), value)?);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// What is known of a masked attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn masked(&self, id: AttemptId) -> Result<Option<Session>, StoreError> {
        self.get(Table::Masked, &attempt_key(id))
    }

    /// Signatures that came with the updates of a masked attempt whose R3 is not fixed yet.
    ///
    /// # Errors
    /// Of the store.
    pub fn bindings(&self, id: AttemptId) -> Result<Vec<(ShopName, Binding)>, StoreError> {
        let first = attempt_key(id);
        let all: Vec<(String, Binding)> = self.all_from(Table::Bindings, &first)?;
        let named = |(key, binding): (String, Binding)| {
            let shop = key[first.len()..].parse();
            shop.map(|shop| (shop, binding))
                .map_err(|_| StoreError::Damaged { key })
        };
        all.into_iter().map(named).collect()
    }

    /// Shops that are left out because they lied.
    ///
    /// # Errors
    /// Of the store.
    pub fn named(&self) -> Result<BTreeMap<ShopName, Named>, StoreError> {
        Ok(self.get(Table::Meta, NAMED)?.unwrap_or_default())
    }

    /// All masked attempts of which something is kept.
    ///
    /// # Errors
    /// Of the store.
    pub fn all_masked(&self) -> Result<Vec<Session>, StoreError> {
        Ok(self
            .all(Table::Masked)?
            .into_iter()
            .map(|(_, session)| session)
            .collect())
    }

    /// Values of the federation's own whose names begin with `prefix`.
    ///
    /// # Errors
    /// Of the store.
    pub fn metas<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        self.all_from(Table::Meta, prefix)
    }

    /// All model versions, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn models(&self) -> Result<Vec<Signed<Manifest>>, StoreError> {
        let mut models = Vec::new();
        self.each_model(|model| models.push(model))?;
        Ok(models)
    }

    /// Passes all model versions to `each`, oldest first, one at a time.
    ///
    /// # Errors
    /// Of the store.
    pub fn each_model(&self, mut each: impl FnMut(Signed<Manifest>)) -> Result<(), StoreError> {
        self.entries(List::Models, 0, Order::Forward, |_, model| {
            each(model);
            ControlFlow::Continue(())
        })
    }

    /// The models of all versions from number `from` on, counted from 0, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn models_since(&self, from: u64) -> Result<Vec<Digest>, StoreError> {
        let mut models = Vec::new();
        self.entries(
            List::Models,
            from,
            Order::Forward,
            |_, signed: Signed<Manifest>| {
                models.push(signed.body.model);
                ControlFlow::Continue(())
            },
        )?;
        Ok(models)
    }

    /// All runs that were begun, oldest first: run 1 is the first.
    ///
    /// # Errors
    /// Of the store.
    pub fn runs(&self) -> Result<Vec<BegunRun>, StoreError> {
        if let Some(runs) = self.meta(RUNS)? {
            return Ok(runs);
        }
        // Of a store from before runs were listed.
        let mut runs: Vec<BegunRun> = Vec::new();
        self.each_entry(|began, record| {
            if let Entry::Began(manifest) = &record.entry {
                let plan = manifest.body.plan;
                // Begun again over another catalogue, it was no other run to anybody who took part in it.
                runs.retain(|run| run.plan != plan);
                runs.push(BegunRun { plan, began });
            }
        })?;
        Ok(runs)
    }

    /// The newest model version.
    ///
    /// # Errors
    /// Of the store.
    pub fn newest_model(&self) -> Result<Option<Signed<Manifest>>, StoreError> {
        self.find_model(|_| true)
    }

    /// The newest model version that `fits`. Older ones are not read: after a year there are thousands, and each names all
    /// of its shops.
    ///
    /// # Errors
    /// Of the store.
    pub fn find_model(
        &self,
        fits: impl Fn(&Manifest) -> bool,
    ) -> Result<Option<Signed<Manifest>>, StoreError> {
        let mut found = None;
        self.entries(List::Models, 0, Order::Back, |_, signed: Signed<Manifest>| {
            if fits(&signed.body) {
                found = Some(signed);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The record, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn log(&self) -> Result<Vec<LogRecord>, StoreError> {
        let mut log = Vec::new();
        self.each_entry(|_, record| log.push(record))?;
        Ok(log)
    }

    /// Passes the entries of the record to `each`, oldest first, one at a time with its number from 0: those of a year are
    /// more than memory should hold.
    ///
    /// # Errors
    /// Of the store.
    pub fn each_entry(&self, mut each: impl FnMut(u64, LogRecord)) -> Result<(), StoreError> {
        self.entries(List::Log, 0, Order::Forward, |number, record| {
            each(number, record);
            ControlFlow::Continue(())
        })
    }

    /// The entry of the record of this number.
    ///
    /// # Errors
    /// Of the store.
    pub(crate) fn entry(&self, number: u64) -> Result<Option<LogRecord>, StoreError> {
        let mut found = None;
        self.entries(List::Log, number, Order::Forward, |at, record| {
            found = (at == number).then_some(record);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Traffic of all shops' processes.
    ///
    /// # Errors
    /// Of the store.
    pub fn traffic(&self) -> Result<Vec<Traffic>, StoreError> {
        Ok(self
            .all(Table::Traffic)?
            .into_iter()
            .map(|(_, traffic)| traffic)
            .collect())
    }

    pub(super) fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        get(&*self.records.read()?, table, key)
    }

    pub(super) fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, StoreError> {
        self.all_from(table, "")
    }

    fn all_from<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, StoreError> {
        all_from(&*self.records.read()?, table, prefix)
    }

    fn entries<T: DeserializeOwned>(
        &self,
        list: List,
        from: u64,
        order: Order,
        mut each: impl FnMut(u64, T) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let rows = self.records.read()?;
        rows.entries(list, from, order, &mut |number, value| {
            Ok(each(number, parse(&format!("{} {number}", list.name()), value)?))
        })
    }
}

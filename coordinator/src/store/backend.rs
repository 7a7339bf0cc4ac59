//! What the store asks of a database: rows of bytes in the order of their keys, and changes that happen whole or not at all.
//!
//! What the rows mean is [`super::Store`]'s, once for all backends. A backend is one file: [`super::redb`], [`super::memory`].
//! What all of them promise is in `conformance.rs`: a new one is a file, its `mod` line and a line there.

use std::fmt::Debug;
use std::ops::ControlFlow;

use super::StoreError;

/// A table of rows with names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// Values of the federation's own.
    Meta,
    /// Memberships.
    Shops,
    /// By attempt and shop.
    Receipts,
    /// By shop, certificate and process.
    Traffic,
    /// Pending ones, by the digest of their secret.
    Invitations,
    /// What is known of masked attempts.
    Masked,
    /// Receipts by shop and length of its ledger.
    Spent,
    /// Signatures on lists of masked attempts.
    Bindings,
    /// Codes that work no more. A table of its own: an older program that opens this store must not take them for pending
    /// ones.
    EndedCodes,
    /// Shops' own signatures of their updates.
    Words,
}

impl Table {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Shops,
        Self::Receipts,
        Self::Traffic,
        Self::Invitations,
        Self::Masked,
        Self::Spent,
        Self::Bindings,
        Self::EndedCodes,
        Self::Words,
    ];

    /// Its name in a database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Shops => "shops",
            Self::Receipts => "receipts",
            Self::Traffic => "traffic",
            Self::Invitations => "invitations",
            Self::Masked => "masked",
            Self::Spent => "spent",
            Self::Bindings => "bindings",
            Self::EndedCodes => "ended_codes",
            Self::Words => "words",
        }
    }
}

/// A table of rows with numbers from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// The record.
    Log,
    /// Model versions.
    Models,
}

impl List {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Log, Self::Models];

    /// Its name in a database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Models => "models",
        }
    }
}

/// In which order rows are passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The least key first.
    Forward,
    /// The greatest key first.
    Back,
}

/// When a change is safe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// When it is committed.
    Immediate,
    /// With the next one that is safe when committed: a crash before may undo it.
    Lazy,
}

/// Takes in a row with a name; [`ControlFlow::Break`]: no more of them.
pub type EachRow<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// Takes in a row with a number.
pub type EachEntry<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// Rows to read. A table that nothing was written to is empty.
pub trait Rows {
    /// The row of this name.
    ///
    /// # Errors
    /// Of the backend.
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Passes the rows with names from `from` on and before `to` (none: to the last), in the order of their names' bytes.
    ///
    /// # Errors
    /// Those of `each`, and of the backend.
    fn rows(
        &self,
        table: Table,
        from: &str,
        to: Option<&str>,
        order: Order,
        each: EachRow<'_>,
    ) -> Result<(), StoreError>;

    /// Passes the rows with numbers from `from` on.
    ///
    /// # Errors
    /// Those of `each`, and of the backend.
    fn entries(&self, list: List, from: u64, order: Order, each: EachEntry<'_>) -> Result<(), StoreError>;
}

/// A change on its way: it sees its own rows, others see them when it is committed. Dropped before, it never was.
pub trait Transaction: Rows {
    /// Writes a row, in the place of the one with its name.
    ///
    /// # Errors
    /// Of the backend.
    fn put(&mut self, table: Table, key: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Removes a row, if it is there.
    ///
    /// # Errors
    /// Of the backend.
    fn remove(&mut self, table: Table, key: &str) -> Result<(), StoreError>;

    /// Writes a row, in the place of the one with its number.
    ///
    /// # Errors
    /// Of the backend.
    fn put_entry(&mut self, list: List, number: u64, value: &[u8]) -> Result<(), StoreError>;

    /// Makes all of it seen, and safe as its durability says.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room; of the backend. Nothing was changed then, unless the machine stopped
    /// within it: then all or nothing was.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// A database. One process at a time has it open.
pub trait Records: Debug + Send + Sync {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// The rows of this moment, whatever is changed later; to be read while the records are open.
    ///
    /// # Errors
    /// Of the backend.
    fn read(&self) -> Result<Box<dyn Rows + Send>, StoreError>;

    /// Begins a change.
    ///
    /// # Errors
    /// Of the backend.
    fn begin(&mut self, durability: Durability) -> Result<Box<dyn Transaction + '_>, StoreError>;
}

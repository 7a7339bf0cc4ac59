//! What a published version is worth to another run, or over another catalogue.
//!
//! | module | what |
//! |---|---|
//! | [`items`] | where each item stood before, and which items a new one is like |
//! | [`parameters`] | a model's parameters in another catalogue, width or kind |
//! | [`carried`] | what a version says to a stack: its channels, in the items of this catalogue |
//!
//! All of it is arithmetic on what was published: nothing is charged for it, and whoever has the two versions can make it again.

pub mod carried;
pub mod items;
pub mod parameters;

pub use carried::{Carried, CarriedError};
pub use items::ItemMap;

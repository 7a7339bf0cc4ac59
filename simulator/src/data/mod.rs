//! Data for simulations: real sets cut into shops, made-up markets, and the plans that go with them.
//!
//! | module | what |
//! |---|---|
//! | [`known`], [`split`], [`cut`] | data sets by name; `souk-sim split`; how users become shops |
//! | [`synthetic`], [`market`] | a made-up market, and the demo's federation on it |
//! | [`coupons`] | The Complete Journey's coupons as ads |
//! | [`plans`] | a plan for each data set |
//! | [`ledgers`] | shops' ledgers, for an auditor |
//! | [`title_vectors`] | vectors "from outside" for a set that has none |

pub(crate) mod coupons;
pub(crate) mod cut;
pub(crate) mod folders;
pub(crate) mod known;
pub(crate) mod ledgers;
pub(crate) mod market;
pub(crate) mod plans;
pub mod split;
pub mod synthetic;
pub(crate) mod title_vectors;

//! `souk-sim audit`: a plan run against every known attack, an empirical lower bound on epsilon beside the accountant's upper
//! bound, and a signed report.
//!
//! | module | what |
//! |---|---|
//! | [`command`], [`conduct`] | the command line; the order of an audit |
//! | [`subject`] | what is audited: a plan and a data set |
//! | [`mechanism`] | the plan's rounds, by the shops' own code |
//! | [`canaries`], [`trials`], [`shards`] | who is added or not; attempts with fresh noise; the same in parts, in files |
//! | [`statistics`], [`bounds`] | from scores to lower bounds on epsilon, beside the accountant's upper ones |
//! | [`checks`], [`federation`] | is the mechanism what the plan says; the same of a whole federation, ledgers and masks |
//! | [`whole_run`] | a whole federation with made-up customers, asked who was there |
//! | [`mutations`], [`mutation_audit`] | faults put in on purpose, which the checks must find |
//! | [`record`] | a federation's own record, beside the plan |
//! | [`attacks`] | one file an attack |
//! | [`findings`], [`report`] | what was found; as HTML and JSON, signed; and the check of a signed report |

pub(crate) mod attacks;
pub(crate) mod bounds;
pub(crate) mod canaries;
pub(crate) mod checks;
pub mod command;
pub(crate) mod conduct;
pub(crate) mod federation;
pub(crate) mod findings;
pub(crate) mod mechanism;
pub(crate) mod mutation_audit;
pub(crate) mod mutations;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod shards;
pub(crate) mod statistics;
pub(crate) mod subject;
#[cfg(test)]
mod tests;
pub(crate) mod trials;
pub(crate) mod whole_run;

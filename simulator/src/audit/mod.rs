//! `souk-sim audit`: a plan run against every known attack, an empirical lower bound on epsilon beside the accountant's upper
//! bound, and a signed report.
//!
//! | module | what |
//! |---|---|
//! | [`statistics`] | from scores to bounds on epsilon |
//! | [`subject`] | what is audited: a plan and a data set |
//! | [`findings`] | what an audit finds: what the report is made of |
//! | [`attacks`] | one file an attack |
//! | [`report`] | the findings as HTML and JSON, signed; and the check of a signed report |

pub(crate) mod attacks;
pub(crate) mod bounds;
pub(crate) mod canaries;
pub(crate) mod checks;
pub mod command;
pub(crate) mod federation;
pub(crate) mod findings;
pub(crate) mod mechanism;
pub(crate) mod mutation_audit;
pub(crate) mod mutations;
pub(crate) mod report;
pub(crate) mod shards;
pub(crate) mod statistics;
pub(crate) mod subject;
pub(crate) mod trials;

//! Secure aggregation: the coordinator sees only sums (SecAgg+: Bonawitz et al. 2017; Bell et al. 2020).

pub mod terms;

pub use terms::{Terms, TermsError};

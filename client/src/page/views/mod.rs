//! The pages, one a file: from facts to HTML, nothing else.

mod codes;
pub(super) mod customer;
pub(super) mod data;
pub(super) mod experiment;
pub(super) mod gain;
pub(super) mod keys;
pub(super) mod left;
pub(super) mod privacy;
pub(super) mod rounds;
pub(super) mod rules;
pub(super) mod signin;
pub(super) mod today;
pub(super) mod unmatched;
mod worries;

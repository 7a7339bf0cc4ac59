//! The mechanism: clip one user's whole update, put it on the integer grid, sum, add discrete Gaussian noise, charge
//! the ledger, and only then let it out.

pub mod params;

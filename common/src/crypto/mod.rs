//! Certificates, signatures and join codes.

pub mod sign;

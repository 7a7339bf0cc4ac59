//! The machine of rounds, in steps and against a model.

mod masking;
mod model;
mod readiness;

//! What `--check` reports.

use serde::Serialize;

/// One claim, and whether it held.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

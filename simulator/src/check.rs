//! What `--check` reports.

use serde::Serialize;

/// One claim, and whether it held.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Check {
    /// Whether it held, and what was compared, in a line.
    pub(crate) fn line(&self) -> String {
        let said = if self.ok { "ok  " } else { "FAIL" };
        format!("{said} {}: {}", self.name, self.detail)
    }
}

//! Who looks at the page.

use super::session::Session;
use super::words::Language;

/// Who looks at the page, and how.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) language: Language,
    /// None at the door only.
    pub(super) session: Option<Session>,
    /// The secret of the session's cookie.
    pub(super) secret: String,
}

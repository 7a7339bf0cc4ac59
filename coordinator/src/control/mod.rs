//! What the operator asks, and how it is answered: from the store, or by the `serve` that has it open, over a socket in the
//! federation's folder.
//!
//! | module | what |
//! |---|---|
//! | [`question`], [`answer`] | what can be asked; what comes back |
//! | `alone` | asks the running `serve`, or opens the store where none runs |
//! | `on_store` | what is the same in both: the store is open |
//! | `status`, `views` | where the run stands; memberships and authorities |

mod alone;
pub mod answer;
pub(crate) mod on_store;
pub mod question;
pub(crate) mod status;
pub(crate) mod views;

use std::io;
use std::time::Duration;

use souk_common::control;

pub use alone::execute;
pub use answer::Answer;
pub use question::{Choice, Question};

use crate::folder::FederationFolder;

/// Why a question was refused, in words, with the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub(crate) String);

pub(crate) fn refused(error: impl std::fmt::Display) -> ControlError {
    ControlError(error.to_string())
}

/// Asks the running `serve`; none if there is none.
///
/// # Errors
/// When it runs but does not answer.
pub fn ask(home: &FederationFolder, question: &Question) -> io::Result<Option<Result<Answer, ControlError>>> {
    let answer: Option<Result<Answer, String>> = control::ask(&home.control(), question, PATIENCE)?;
    Ok(answer.map(|answer| answer.map_err(ControlError)))
}

/// A snapshot of years of records takes a while.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

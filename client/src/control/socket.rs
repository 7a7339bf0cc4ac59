//! How a command reaches a shop's program that runs.

use std::io;
use std::time::Duration;

use souk_common::control;

use crate::control::{Answer, Question};
use crate::folder::Folder;

/// Asks the running program; none if there is none.
///
/// # Errors
/// When it runs but does not answer.
pub fn ask(folder: &Folder, question: &Question) -> io::Result<Option<Answer>> {
    control::ask(&folder.control(), question, PATIENCE)
}

/// Recommending to every user of a large shop takes a while.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

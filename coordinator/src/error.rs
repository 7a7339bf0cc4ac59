//! Why a command failed, and the program's exit codes.

use std::fmt::Display;
use std::process::ExitCode;

use crate::control::ControlError;
use crate::folder::HomeError;
use crate::serve::ServeError;

/// Wrong usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 64;
/// A check failed.
const EXIT_CHECK: u8 = 1;
/// Everything else that failed.
const EXIT_ERROR: u8 = 2;

/// A failure in words, with its exit code.
pub(crate) struct Failure {
    code: u8,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    fn of(error: impl Display, is_usage: bool) -> Self {
        Self {
            code: if is_usage { EXIT_USAGE } else { EXIT_ERROR },
            text: error.to_string(),
        }
    }
}

/// A check failed, and its answer stands: exit code 1.
pub(crate) fn refused(error: impl Display) -> Failure {
    Failure {
        code: EXIT_CHECK,
        text: error.to_string(),
    }
}

/// Wrong usage or configuration: exit code 64.
pub(crate) fn usage(error: impl Display) -> Failure {
    Failure::of(error, true)
}

/// Any other failure: exit code 2.
pub(crate) fn failed(error: impl Display) -> Failure {
    Failure::of(error, false)
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::of(&error, error.is_usage())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::of(&error, error.is_usage())
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        failed(error)
    }
}

//! How long each step of the talk with the coordinator may take, so that none hangs without a word: what does not end in
//! time ends in an error that names the step and its limit.
//!
//! Only waiting for the next push has no limit of its own: it lasts until something happens, and a coordinator that is gone
//! is noticed by the connection's idle timeout (`IDLE_TIMEOUT_SECS` in `wire/limits.rs`).

use std::fmt;
use std::time::Duration;

/// A step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Looking up the coordinator's name.
    Resolve,
    /// The handshake.
    Dial,
    /// A question and its answer.
    Ask,
    /// The coordinator serves so many shops at once; the others wait.
    Turn,
    /// The next bytes of a blob.
    Download,
    /// The next bytes of an update.
    Upload,
    /// The answer to an update that was sent.
    Receipt,
    /// The end of a connection that is not needed any more.
    Close,
}

impl Step {
    /// How long it may take. Up- and downloads: until some bytes go through, however few.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Resolve => 15,
            Self::Dial => 20,
            Self::Ask | Self::Download | Self::Upload => 30,
            Self::Turn => 600,
            // It is written to disk, and may be the one that a model is made of.
            Self::Receipt => 120,
            Self::Close => 3,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the coordinator's name",
            Self::Dial => "dialling the coordinator",
            Self::Ask => "asking the coordinator",
            Self::Turn => "waiting for a turn at the coordinator",
            Self::Download => "downloading",
            Self::Upload => "uploading",
            Self::Receipt => "waiting for the receipt",
            Self::Close => "closing the connection",
        })
    }
}

/// Nothing happened for too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{step}: nothing happened for {limit:?}")]
pub struct TimedOut {
    /// At which step.
    pub step: Step,
    /// How long was waited.
    pub limit: Duration,
}

/// What comes of `work`, if it comes in time.
///
/// # Errors
/// When it does not.
pub async fn within<T>(step: Step, work: impl Future<Output = T>) -> Result<T, TimedOut> {
    bounded(step, step.limit(), work).await
}

async fn bounded<T>(step: Step, limit: Duration, work: impl Future<Output = T>) -> Result<T, TimedOut> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_| TimedOut { step, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_hangs_ends_by_its_name_and_its_limit_and_one_that_does_not_hang_as_it_does() {
        let limit = Duration::from_millis(20);
        for step in [Step::Resolve, Step::Ask, Step::Turn, Step::Close] {
            let late = bounded(step, limit, std::future::pending::<()>()).await;
            assert_eq!(late, Err(TimedOut { step, limit }));
            let said = late.map_err(|error| error.to_string()).expect_err("late");
            assert!(
                said.contains(&step.to_string()) && said.contains("20ms"),
                "{said}"
            );
            assert_eq!(within(step, async { 7 }).await, Ok(7));
        }
    }
}

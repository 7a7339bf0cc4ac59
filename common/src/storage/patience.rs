//! Patience with a store that another program has open: a command that is reading it, or a program that begins or ends.

use std::time::Duration;

/// Opens a store, and tries again for up to five seconds while `is_busy` says of the error that somebody has it open. Blocks.
///
/// # Errors
/// Of the last try.
pub fn open_patiently<T, E>(
    is_busy: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _ in 0..MOST_TRIES {
        match open() {
            Err(error) if is_busy(&error) => std::thread::sleep(BETWEEN_TRIES),
            opened => return opened,
        }
    }
    open()
}

/// As [`open_patiently`], for a task: it waits on the runtime's clock, and others go on meanwhile.
///
/// # Errors
/// Of the last try.
pub async fn open_patiently_async<T, E>(
    is_busy: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _ in 0..MOST_TRIES {
        match open() {
            Err(error) if is_busy(&error) => tokio::time::sleep(BETWEEN_TRIES).await,
            opened => return opened,
        }
    }
    open()
}

/// Five seconds, for a `serve` that is ending.
const MOST_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_store_is_tried_again_and_any_other_error_is_told_at_once() {
        let mut tries = 0;
        let opened = open_patiently(
            |error| *error == "busy",
            || {
                tries += 1;
                if tries < 3 { Err("busy") } else { Ok(tries) }
            },
        );
        assert_eq!(opened, Ok(3));
        let mut tries = 0;
        let refused: Result<(), _> = open_patiently(
            |error| *error == "busy",
            || {
                tries += 1;
                Err("damaged")
            },
        );
        assert_eq!((refused, tries), (Err("damaged"), 1));
    }
}

//! Tells open pages that something has changed: a number that grows, and nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::{Semaphore, watch};

/// Streams of one page, of which there are at most [`MOST_STREAMS`].
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STREAMS)))
    }
}

impl Streams {
    /// A stream that says the number of `changes` at once, and whenever it grows.
    pub(super) fn open(&self, mut changes: watch::Receiver<u64>) -> Response {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            let said = format!(
                "{MOST_STREAMS} pages are told of changes already: close one, or reload this one by hand"
            );
            return (StatusCode::SERVICE_UNAVAILABLE, said).into_response();
        };
        changes.mark_changed();
        let events = unfold((changes, place), |(mut changes, place)| async move {
            changes.changed().await.ok()?;
            let event = Event::default().data(changes.borrow_and_update().to_string());
            Some((Ok::<_, Infallible>(event), (changes, place)))
        });
        let alive = KeepAlive::new().interval(SIGN_OF_LIFE);
        Sse::new(events).keep_alive(alive).into_response()
    }
}

/// Pages that are told of changes at once.
pub(super) const MOST_STREAMS: usize = 32;
/// Also shows the server that a browser is gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

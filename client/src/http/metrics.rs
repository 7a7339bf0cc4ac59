//! What Prometheus reads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use souk_common::clock::Stopwatch;

use super::Api;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Asked {
    route: String,
    status: u16,
}

/// Counters of the service.
pub struct ApiMetrics {
    registry: Registry,
    requests: Family<Asked, Counter>,
    seconds: Histogram,
    events: Counter,
    list_age_secs: Gauge<f64, AtomicU64>,
}

impl Default for ApiMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("souk_shop");
        let metrics = (
            Family::default(),
            Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            Counter::default(),
            Gauge::default(),
        );
        registry.register("http_requests", "Requests by route and status", metrics.0.clone());
        registry.register(
            "http_request_seconds",
            "Time from a request's head to its answer",
            metrics.1.clone(),
        );
        registry.register("events", "Events that were written", metrics.2.clone());
        registry.register(
            "learned_age_seconds",
            "Age of the model or release that lists rest on; -1 if there is none",
            metrics.3.clone(),
        );
        let (requests, seconds, events, list_age_secs) = metrics;
        Self {
            registry,
            requests,
            seconds,
            events,
            list_age_secs,
        }
    }
}

impl ApiMetrics {
    /// Events were written.
    pub fn count_events(&self, events: usize) {
        self.events.inc_by(events as u64);
    }

    /// All, in the text format; `age_secs` is that of what was learned last.
    pub fn text(&self, age_secs: Option<u64>) -> String {
        self.list_age_secs.set(age_secs.map_or(-1.0, |secs| secs as f64));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

/// Counts a request and how long it took.
pub(super) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let begun = Stopwatch::start();
    let answer = next.run(request).await;
    let asked = Asked {
        route,
        status: answer.status().as_u16(),
    };
    api.metrics.requests.get_or_create(&asked).inc();
    api.metrics.seconds.observe(begun.secs());
    answer
}

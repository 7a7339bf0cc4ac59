//! Logs: to standard error, as lines for people or as JSON; and what the service manager is told ([`ServiceManager`]).
//!
//! Fields hold what peers sent and files say: they are made printable ([`crate::terminal`]) before they are written. Of lines
//! for people only the fields, for the lines may have colours; of JSON the whole line.

mod service_manager;

use std::fmt::Debug;
use std::io::{self, IsTerminal};

use tracing::{Subscriber, field::Field};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::terminal::{PrintableWriter, printable};

pub use service_manager::{ServiceManager, SignsOfLife};

/// Starts logging; a second call changes nothing. `SOUK_LOG` (for example `souk_coordinator=debug,quinn=warn`) wins over
/// `verbosity`: 0 warnings, 1 also what happens, 2 also details, 3 everything.
pub fn init(json: bool, verbosity: u8) {
    let filter = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(directives(verbosity)));
    let colours = io::stderr().is_terminal();
    // An error means that logging runs already.
    let _ = match json {
        true => tracing::subscriber::set_global_default(json_lines(filter, io::stderr)),
        false => tracing::subscriber::set_global_default(lines(filter, io::stderr, colours)),
    };
}

fn lines<W: io::Write + 'static>(
    filter: EnvFilter,
    writer: impl Fn() -> W + Send + Sync + 'static,
    colours: bool,
) -> impl Subscriber + Send + Sync {
    let field = |out: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let shown = format!("{value:?}");
        match field.name() {
            "message" => write!(out, "{}", printable(&shown)),
            name => write!(out, "{name}={}", printable(&shown)),
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours)
        .fmt_fields(debug_fn(field).delimited(" "))
        .finish()
}

fn json_lines<W: io::Write + 'static>(
    filter: EnvFilter,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .json()
        // A line is written in one go.
        .with_writer(move || PrintableWriter(writer()))
        .finish()
}

/// The same, but nothing is logged unless `SOUK_LOG` says so: for commands under which things fail on purpose.
pub fn init_silent() {
    if std::env::var_os(VARIABLE).is_some() {
        init(false, 0);
    }
}

/// What is logged; of the libraries underneath only warnings, but for everything.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "warn",
        1 => "info,quinn=warn,quinn_proto=warn,rustls=warn",
        2 => "debug,quinn=warn,quinn_proto=warn,rustls=warn",
        _ => "trace",
    }
}

const VARIABLE: &str = "SOUK_LOG";

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn starting_twice_is_harmless_and_every_level_can_be_read() {
        init(false, 0);
        init(true, 3);
        for verbosity in 0..=4 {
            assert!(EnvFilter::try_new(directives(verbosity)).is_ok());
        }
    }

    /// Where a test's log goes.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_field_of_an_event_or_a_span_commands_the_terminal_that_shows_the_log() {
        let bad = "x\u{1b}]0;owned\u{7}\n\u{9b}\u{202e}y";
        let written = |log: &dyn Fn(Page) -> tracing::Dispatch| {
            let page = Page::default();
            tracing::dispatcher::with_default(&log(page.clone()), || {
                let span = tracing::warn_span!("word", peer = %bad);
                let _entered = span.enter();
                let error = io::Error::other(bad);
                tracing::warn!(shop = bad, detail = %bad, error = &error as &dyn std::error::Error, "software {bad}");
            });
            String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
        };
        let filter = || EnvFilter::new("warn");
        let plain = written(&|page| lines(filter(), move || page.clone(), false).into());
        let json = written(&|page| json_lines(filter(), move || page.clone()).into());
        let coloured = written(&|page| lines(filter(), move || page.clone(), true).into());
        for text in [&plain, &json] {
            assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        }
        for text in [&plain, &json, &coloured] {
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(text.contains("owned") && text.contains("software"), "{text:?}");
            for obeyed in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}"] {
                assert!(!text.contains(obeyed), "{text:?}");
            }
        }
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["fields"]["detail"], bad);
    }
}

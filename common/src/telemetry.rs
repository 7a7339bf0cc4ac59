//! Logs: to standard error, as lines for people or as JSON; and what the service manager is told ([`ServiceManager`]).

mod service_manager;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

pub use service_manager::{ServiceManager, SignsOfLife};

/// Starts logging; a second call changes nothing. `SOUK_LOG` (for example `souk_coordinator=debug,quinn=warn`) wins over
/// `verbosity`: 0 warnings, 1 also what happens, 2 also details, 3 everything.
pub fn init(json: bool, verbosity: u8) {
    let filter = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(directives(verbosity)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // An error means that logging runs already.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
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
    use super::*;

    #[test]
    fn starting_twice_is_harmless_and_every_level_can_be_read() {
        init(false, 0);
        init(true, 3);
        for verbosity in 0..=4 {
            assert!(EnvFilter::try_new(directives(verbosity)).is_ok());
        }
    }
}

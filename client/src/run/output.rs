//! Who reads what `run` says: somebody at a terminal, a log, or a program that runs many shops at once.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use souk_common::terminal::{printable, say};

/// Where lines for the owner go.
pub(crate) enum Owner {
    Terminal(ProgressBar),
    Output,
    Elsewhere(Box<dyn Fn(&str) + Send>),
}

impl Owner {
    /// At the terminal, if there is one.
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Output;
        }
        let style = ProgressStyle::with_template("{bar:30} round {pos}/{len}  {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Terminal(ProgressBar::new(0).with_style(style))
    }

    /// Says a line; what peers and files have put into it stays on it.
    pub(crate) fn tell(&self, line: &str) {
        let line = &*printable(line);
        match self {
            Self::Terminal(bar) => bar.println(line),
            Self::Output => {
                // Whoever reads may have gone; the rounds go on.
                let _ = say(line);
            }
            Self::Elsewhere(tell) => tell(line),
        }
    }

    /// Shows how far the run is.
    pub(crate) fn show_progress(&self, round: u64, rounds: impl FnOnce() -> u64) {
        if let Self::Terminal(bar) = self {
            bar.set_length(rounds());
            bar.set_position(round);
        }
    }

    /// Leaves a clean terminal.
    pub(crate) fn part(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

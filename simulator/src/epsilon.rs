//! `epsilon` and `calibrate`: from a mechanism to its epsilon, and from an epsilon to the noise it takes.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use souk_common::privacy::accountant::rdp::{self, CalibrationError};
use souk_common::privacy::accountant::{Composition, RELATION, SampledGaussian, UNIT};
use souk_common::privacy::params::{Delta, Epsilon, NoiseMultiplier, ParameterError, SamplingRate};

/// Epsilon of rounds of the Poisson-sampled Gaussian mechanism, for one user's whole data.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  souk-sim epsilon --noise-multiplier 1 --sampling-rate 0.01 --rounds 1000 --delta 1e-6"
)]
pub struct EpsilonArgs {
    /// z: standard deviation of the noise over the clip norm.
    #[arg(long, value_parser = noise_multiplier)]
    noise_multiplier: NoiseMultiplier,
    #[command(flatten)]
    setting: Setting,
}

/// The smallest noise multiplier with which rounds stay within an epsilon.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  souk-sim calibrate --epsilon 2 --sampling-rate 0.05 --rounds 1000 --delta 1e-6"
)]
pub struct CalibrateArgs {
    /// The epsilon to stay within.
    #[arg(long, value_parser = epsilon)]
    epsilon: Epsilon,
    #[command(flatten)]
    setting: Setting,
}

#[derive(Debug, Args)]
struct Setting {
    /// q: the probability with which a user is drawn for a round.
    #[arg(long, value_parser = sampling_rate)]
    sampling_rate: SamplingRate,
    /// Rounds, 1 to 1,000,000,000.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rounds: u64,
    /// delta of (epsilon, delta).
    #[arg(long, value_parser = delta)]
    delta: Delta,
    /// How rounds are added up; this version has rdp only, the tighter pld comes later.
    #[arg(long, value_enum, default_value_t = Accountant::Rdp)]
    accountant: Accountant,
    /// Between which data sets; this version has add-remove only, replace comes with pld.
    #[arg(long, value_enum, default_value_t = Relation::AddRemove)]
    relation: Relation,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Accountant {
    Rdp,
    Pld,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Relation {
    AddRemove,
    Replace,
}

/// Both commands' answer.
#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    epsilon: f64,
    /// The same rounds with every user in each of them: what holds if sampling is not secret.
    epsilon_without_sampling: f64,
    noise_multiplier: f64,
    sampling_rate: f64,
    rounds: u64,
    delta: f64,
    unit: &'static str,
    relation: &'static str,
    accountant: Accountant,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EpsilonError {
    /// Not yet.
    #[error("{option} is not yet in this version; use {instead}")]
    NotYet {
        /// As typed.
        option: &'static str,
        /// What there is.
        instead: &'static str,
    },
    /// No noise is enough.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// Numbers overflow.
    #[error("epsilon is beyond all numbers; raise the noise multiplier or delta")]
    Unbounded,
}

/// Runs `epsilon`.
pub fn run_epsilon(args: &EpsilonArgs) -> ExitCode {
    finish(answer(args.noise_multiplier, &args.setting), args.setting.json)
}

/// Runs `calibrate`.
pub fn run_calibrate(args: &CalibrateArgs) -> ExitCode {
    let answer = calibrated(args.epsilon, &args.setting).and_then(|noise| answer(noise, &args.setting));
    finish(answer, args.setting.json)
}

fn calibrated(epsilon: Epsilon, setting: &Setting) -> Result<NoiseMultiplier, EpsilonError> {
    setting.is_in_this_version()?;
    let noise = rdp::noise_multiplier(setting.sampling_rate, setting.rounds, epsilon, setting.delta)?;
    Ok(noise)
}

fn answer(noise_multiplier: NoiseMultiplier, setting: &Setting) -> Result<Answer, EpsilonError> {
    setting.is_in_this_version()?;
    let at = |sampling_rate| {
        let mechanism = SampledGaussian {
            noise_multiplier,
            sampling_rate,
        };
        let bound = Composition::of(mechanism, setting.rounds).epsilon(setting.delta);
        bound.map(Epsilon::get).ok_or(EpsilonError::Unbounded)
    };
    Ok(Answer {
        epsilon: at(setting.sampling_rate)?,
        epsilon_without_sampling: at(SamplingRate::new(1.0).expect("1 is a sampling rate"))?,
        noise_multiplier: noise_multiplier.get(),
        sampling_rate: setting.sampling_rate.get(),
        rounds: setting.rounds,
        delta: setting.delta.get(),
        unit: UNIT,
        relation: RELATION,
        accountant: setting.accountant,
    })
}

impl Setting {
    fn is_in_this_version(&self) -> Result<(), EpsilonError> {
        let not_yet = |option, instead| Err(EpsilonError::NotYet { option, instead });
        if self.accountant == Accountant::Pld {
            return not_yet("--accountant pld", "--accountant rdp");
        }
        if self.relation == Relation::Replace {
            return not_yet("--relation replace", "--relation add-remove");
        }
        Ok(())
    }
}

fn finish(answer: Result<Answer, EpsilonError>, json: bool) -> ExitCode {
    match answer {
        Ok(answer) if json => {
            // Numbers that were checked to be finite, and fixed words.
            println!(
                "{}",
                serde_json::to_string(&answer).expect("an answer has a JSON form")
            );
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            println!("{}", answer.text());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("souk-sim: {error}");
            let usage = matches!(error, EpsilonError::NotYet { .. } | EpsilonError::Calibration(_));
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_ERROR })
        }
    }
}

impl Answer {
    fn text(&self) -> String {
        format!(
            "noise multiplier {:.4}, sampling rate {}, {} rounds: epsilon {:.4} at delta {} (unit: {}; relation: {}; \
             accountant: rdp)\nif sampling were not secret: epsilon {:.4}",
            self.noise_multiplier,
            self.sampling_rate,
            self.rounds,
            self.epsilon,
            self.delta,
            self.unit,
            self.relation,
            self.epsilon_without_sampling
        )
    }
}

fn parsed<T>(text: &str, check: impl Fn(f64) -> Result<T, ParameterError>) -> Result<T, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    check(number).map_err(|error| error.to_string())
}

fn noise_multiplier(text: &str) -> Result<NoiseMultiplier, String> {
    parsed(text, NoiseMultiplier::new)
}

fn sampling_rate(text: &str) -> Result<SamplingRate, String> {
    parsed(text, SamplingRate::new)
}

fn delta(text: &str) -> Result<Delta, String> {
    parsed(text, Delta::new)
}

fn epsilon(text: &str) -> Result<Epsilon, String> {
    parsed(text, Epsilon::new)
}

const EXIT_ERROR: u8 = 2;
const EXIT_USAGE: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    enum Command {
        Epsilon(EpsilonArgs),
        Calibrate(CalibrateArgs),
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Command::try_parse_from(std::iter::once("souk-sim").chain(line.split(' ')))
    }

    #[test]
    fn the_published_figure_comes_out_and_calibration_leads_back_to_it() {
        let line = "epsilon --noise-multiplier 1 --sampling-rate 0.01 --rounds 1000 --delta 1e-6 --json";
        let Ok(Command::Epsilon(args)) = parse(line) else {
            panic!("{line}")
        };
        let figure = answer(args.noise_multiplier, &args.setting).unwrap();
        assert!((2.42..2.4490).contains(&figure.epsilon), "{figure:?}");
        let line = format!(
            "calibrate --epsilon {} --sampling-rate 0.01 --rounds 1000 --delta 1e-6",
            figure.epsilon
        );
        let Ok(Command::Calibrate(args)) = parse(&line) else {
            panic!("{line}")
        };
        let noise = calibrated(args.epsilon, &args.setting).unwrap();
        assert!((noise.get() - 1.0).abs() < 1e-4, "{noise}");
    }

    #[test]
    fn senseless_numbers_are_refused_by_name_and_what_is_not_yet_there_says_so() {
        let good = "epsilon --noise-multiplier 1 --sampling-rate 0.01 --rounds 1000 --delta 1e-6";
        for (was, is) in [
            ("multiplier 1", "multiplier 0"),
            ("multiplier 1", "multiplier NaN"),
            ("rate 0.01", "rate 1.5"),
            ("rounds 1000", "rounds 0"),
            ("rounds 1000", "rounds 1000000001"),
            ("delta 1e-6", "delta 0"),
        ] {
            let line = good.replace(was, is);
            assert!(parse(&line).is_err(), "{line}");
        }
        for option in ["--accountant pld", "--relation replace"] {
            let Ok(Command::Epsilon(args)) = parse(&format!("{good} {option}")) else {
                panic!("{option}")
            };
            let error = answer(args.noise_multiplier, &args.setting)
                .unwrap_err()
                .to_string();
            assert!(error.contains(option) && error.contains("not yet"), "{error}");
        }
    }
}

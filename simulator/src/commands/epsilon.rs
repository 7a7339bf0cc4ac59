//! `epsilon` and `calibrate`: from a mechanism to its epsilon, and from an epsilon to the noise it takes.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use souk_common::accountant::calibrate::{self, CalibrationError, CalibrationTarget};
use souk_common::accountant::{self, Composition, SampledGaussian, UNIT};
use souk_common::params::{Delta, Epsilon, NoiseMultiplier, ParameterError, SamplingRate, rounded_up};
use souk_common::terminal::{say, tell};

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
    /// How rounds are added up: rdp by Rényi divergences, pld by the tighter privacy loss distributions.
    #[arg(long, value_enum, default_value_t = Accountant::Pld)]
    accountant: Accountant,
    /// Between which data sets: one has one user more, or (pld only) one user's records differ.
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
    relation: Relation,
    accountant: Accountant,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EpsilonError {
    /// Rényi divergences of sampling with replacement of records are not in here.
    #[error("--relation replace takes --accountant pld")]
    Relation,
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
    setting.is_known()?;
    let target = CalibrationTarget {
        epsilon,
        delta: setting.delta,
        relation: setting.relation.into(),
        accountant: setting.accountant.into(),
    };
    let noise = calibrate::noise_multiplier(setting.sampling_rate, setting.rounds, &target)?;
    // As many digits as people copy, rounded up: what is copied keeps the promise.
    let copied = rounded_up(noise.get(), 4).parse().ok().map(NoiseMultiplier::new);
    Ok(copied.and_then(Result::ok).unwrap_or(noise))
}

fn answer(noise_multiplier: NoiseMultiplier, setting: &Setting) -> Result<Answer, EpsilonError> {
    setting.is_known()?;
    let mechanism = SampledGaussian {
        noise_multiplier,
        sampling_rate: setting.sampling_rate,
    };
    let composition = Composition::of(mechanism, setting.rounds);
    let figure = |bound: Option<Epsilon>| bound.map(Epsilon::get).ok_or(EpsilonError::Unbounded);
    let relation = setting.relation.into();
    Ok(Answer {
        epsilon: figure(composition.epsilon_by(setting.accountant.into(), relation, setting.delta))?,
        epsilon_without_sampling: figure(composition.epsilon_without_sampling(relation, setting.delta))?,
        noise_multiplier: noise_multiplier.get(),
        sampling_rate: setting.sampling_rate.get(),
        rounds: setting.rounds,
        delta: setting.delta.get(),
        unit: UNIT,
        relation: setting.relation,
        accountant: setting.accountant,
    })
}

impl Setting {
    fn is_known(&self) -> Result<(), EpsilonError> {
        match (self.accountant, self.relation) {
            (Accountant::Rdp, Relation::Replace) => Err(EpsilonError::Relation),
            _ => Ok(()),
        }
    }
}

impl From<Accountant> for accountant::Accountant {
    fn from(accountant: Accountant) -> Self {
        match accountant {
            Accountant::Rdp => Self::Rdp,
            Accountant::Pld => Self::Pld,
        }
    }
}

impl From<Relation> for accountant::Relation {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::AddRemove => Self::AddRemove,
            Relation::Replace => Self::Replace,
        }
    }
}

/// As on the command line.
fn typed(value: impl ValueEnum) -> String {
    let possible = value.to_possible_value();
    possible.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn finish(answer: Result<Answer, EpsilonError>, json: bool) -> ExitCode {
    let text = match answer {
        // Numbers that were checked to be finite, and fixed words.
        Ok(answer) if json => serde_json::to_string(&answer).expect("an answer has a JSON form"),
        Ok(answer) => answer.text(),
        Err(error) => {
            tell(&format!("souk-sim: {error}"));
            let usage = matches!(error, EpsilonError::Relation | EpsilonError::Calibration(_));
            return ExitCode::from(if usage { EXIT_USAGE } else { EXIT_ERROR });
        }
    };
    match say(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("souk-sim: {error}"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

impl Answer {
    fn text(&self) -> String {
        format!(
            "noise multiplier {}, sampling rate {}, {} rounds: epsilon {} at delta {} (unit: {}; relation: {}; \
             accountant: {})\nif sampling were not secret: epsilon {}",
            self.noise_multiplier,
            self.sampling_rate,
            self.rounds,
            rounded_up(self.epsilon, 4),
            self.delta,
            self.unit,
            typed(self.relation),
            typed(self.accountant),
            rounded_up(self.epsilon_without_sampling, 4)
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

/// A delta, as clap reads it.
pub(crate) fn delta(text: &str) -> Result<Delta, String> {
    parsed(text, Delta::new)
}

/// An epsilon, as clap reads it.
pub(crate) fn epsilon(text: &str) -> Result<Epsilon, String> {
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
        assert!((figure.epsilon - 2.1245).abs() < 0.002, "{figure:?}");
        let Ok(Command::Epsilon(loose)) = parse(&format!("{line} --accountant rdp")) else {
            panic!("{line}")
        };
        let loose = answer(loose.noise_multiplier, &loose.setting).unwrap();
        assert!((2.42..2.4490).contains(&loose.epsilon), "{loose:?}");
        let Ok(Command::Epsilon(other)) = parse(&format!("{line} --relation replace")) else {
            panic!("{line}")
        };
        let other = answer(other.noise_multiplier, &other.setting).unwrap();
        assert!((other.epsilon - 3.2148).abs() < 0.002, "{other:?}");
        let line = format!(
            "calibrate --epsilon {} --sampling-rate 0.01 --rounds 1000 --delta 1e-6",
            figure.epsilon
        );
        let Ok(Command::Calibrate(args)) = parse(&line) else {
            panic!("{line}")
        };
        let noise = calibrated(args.epsilon, &args.setting).unwrap();
        let copied = noise.get() - 1.0;
        assert!(
            (-1e-6..=1.01e-4).contains(&copied),
            "{noise}: rounded up to four digits"
        );
    }

    #[test]
    fn senseless_numbers_are_refused_by_name_and_so_is_what_rdp_does_not_know() {
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
        let Ok(Command::Epsilon(args)) = parse(&format!("{good} --accountant rdp --relation replace")) else {
            panic!("{good}")
        };
        let error = answer(args.noise_multiplier, &args.setting).unwrap_err();
        assert!(error.to_string().contains("--accountant pld"), "{error}");
    }
}

//! Proof of gain: customers are dealt to arms, each arm gets lists of its own kind, and what its customers buy is compared.
//!
//! | module | what |
//! |---|---|
//! | [`exposures`] | who saw which arm's lists, and since when |
//! | [`intervals`] | how sure a share is, and a difference that is looked at often |
//! | [`report`] | what came of it |
//!
//! Nothing of it leaves the shop.

pub mod exposures;
pub mod intervals;
pub mod report;

use std::fmt;

use serde::{Deserialize, Serialize};
use souk_common::ids::Digest;

/// What a customer's lists are made by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// This shop's bestsellers, the same for everybody.
    Bestsellers,
    /// This shop's own customers.
    Alone,
    /// With what all shops released, or the model that they trained.
    Together,
}

impl Arm {
    /// All, weakest first.
    pub const ALL: [Self; 3] = [Self::Bestsellers, Self::Alone, Self::Together];

    /// As in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bestsellers => "bestsellers",
            Self::Alone => "alone",
            Self::Together => "together",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `[experiment]` of `shop.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[serde(try_from = "ExperimentKeys", into = "ExperimentKeys")]
pub struct ExperimentConfig {
    name: String,
    shares: [u32; 3],
    days: u32,
}

/// As written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ExperimentKeys {
    name: String,
    #[serde(default)]
    bestsellers: u32,
    #[serde(default)]
    alone: u32,
    #[serde(default)]
    together: u32,
    #[serde(default = "default_days")]
    days: u32,
}

fn default_days() -> u32 {
    14
}

impl TryFrom<ExperimentKeys> for ExperimentConfig {
    type Error = String;

    fn try_from(keys: ExperimentKeys) -> Result<Self, String> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if keys.name.is_empty() || keys.name.len() > 64 || !keys.name.chars().all(is_good) {
            return Err(format!(
                "the experiment's name is {:?}; it must be up to 64 letters, digits, - and _: another name deals the customers anew",
                keys.name
            ));
        }
        let shares = [keys.bestsellers, keys.alone, keys.together];
        if shares.iter().filter(|share| **share > 0).count() < 2 {
            return Err(
                "an experiment needs shares for two arms at least, such as alone = 1, together = 1"
                    .to_owned(),
            );
        }
        if let Some(share) = shares.iter().find(|share| **share > MOST_SHARE) {
            return Err(format!("a share is {share}; shares are from 0 to {MOST_SHARE}"));
        }
        if !(1..=365).contains(&keys.days) {
            return Err(format!("days is {}; it is from 1 to 365", keys.days));
        }
        Ok(Self {
            name: keys.name,
            shares,
            days: keys.days,
        })
    }
}

impl From<ExperimentConfig> for ExperimentKeys {
    fn from(config: ExperimentConfig) -> Self {
        let [bestsellers, alone, together] = config.shares;
        Self {
            name: config.name,
            bestsellers,
            alone,
            together,
            days: config.days,
        }
    }
}

impl ExperimentConfig {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many days after the first list a customer's purchases count.
    pub fn days(&self) -> u32 {
        self.days
    }

    /// Arms that have customers.
    pub fn arms(&self) -> impl Iterator<Item = Arm> {
        let with_share = Arm::ALL.into_iter().zip(self.shares);
        with_share.filter(|(_, share)| *share > 0).map(|(arm, _)| arm)
    }

    /// The arm of a customer, named as compared: always the same under one name and the same shares.
    pub fn arm_of(&self, customer: &str) -> Arm {
        let digest = Digest::of(format!("souk experiment\0{}\0{customer}", self.name).as_bytes());
        let first: [u8; 8] = *digest
            .0
            .first_chunk()
            .expect("a digest has more than eight bytes");
        let all: u64 = self.shares.iter().map(|share| u64::from(*share)).sum();
        // Of 2^64 even parts so few of `all` that nobody is favoured by more than 2^-44.
        let mut place = u64::from_le_bytes(first) % all;
        for (arm, share) in Arm::ALL.into_iter().zip(self.shares) {
            match place.checked_sub(u64::from(share)) {
                Some(rest) => place = rest,
                None => return arm,
            }
        }
        Arm::Together
    }
}

const MOST_SHARE: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ExperimentConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn customers_are_dealt_by_share_and_stay_in_their_arm() {
        let config = parse("name = 'autumn'\nalone = 1\ntogether = 3").unwrap();
        let arms: Vec<Arm> = (0..4000).map(|n| config.arm_of(&format!("u{n}"))).collect();
        let again: Vec<Arm> = (0..4000).map(|n| config.arm_of(&format!("u{n}"))).collect();
        assert_eq!(arms, again);
        let alone = arms.iter().filter(|arm| **arm == Arm::Alone).count();
        // Four standard deviations of a binomial of 4000 and a quarter.
        assert!((890..=1110).contains(&alone), "{alone}");
        assert!(!arms.contains(&Arm::Bestsellers));
        let winter = parse("name = 'winter'\nalone = 1\ntogether = 3").unwrap();
        let moved = (0..4000)
            .filter(|n| winter.arm_of(&format!("u{n}")) != arms[*n])
            .count();
        assert!(moved > 1000, "another name deals anew: {moved}");
        assert_eq!(config.arms().collect::<Vec<_>>(), [Arm::Alone, Arm::Together]);
    }

    #[test]
    fn an_experiment_that_makes_no_sense_is_refused_and_others_are_written_as_read() {
        let config = parse("name = 'a-1'\nbestsellers = 1\ntogether = 9\ndays = 30").unwrap();
        assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        for (text, said) in [
            ("name = ''\nalone = 1\ntogether = 1", "name is \"\""),
            ("name = 'a b'\nalone = 1\ntogether = 1", "\"a b\""),
            ("name = 'a'\ntogether = 1", "two arms"),
            ("name = 'a'\nalone = 1\ntogether = 100001", "100001"),
            ("name = 'a'\nalone = 1\ntogether = 1\ndays = 0", "days is 0"),
            ("name = 'a'\nalone = 1\ntogether = 1\ncontrol = 1", "control"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}

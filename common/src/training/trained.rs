//! What a phase has trained so far, the next step, and its bytes.

use super::optimiser::{OptimiserState, ServerOptimiser, ServerPlan};
use super::phases::{TrainingKind, TrainingPhase};
use crate::release::state::NoisedSum;
use crate::update::{ModulusBits, UpdateValues};

/// The parameters after some steps of a phase. All of it follows from the noised sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// What it is.
    pub kind: TrainingKind,
    /// The parameters; their shape follows from the plan.
    pub params: Vec<f32>,
    /// What the optimiser remembers.
    pub state: OptimiserState,
    /// The sum of the last step; none before the first.
    pub sum: Option<NoisedSum>,
}

impl Trained {
    /// Before the first step.
    pub fn initial(phase: &TrainingPhase, server: &ServerPlan, params: Vec<f32>) -> Self {
        let optimiser = ServerOptimiser::new(&optimiser_of(phase, server), phase.rounds, params.len());
        Self {
            kind: phase.kind,
            state: optimiser.state().clone(),
            params,
            sum: None,
        }
    }

    /// After one step by the mean of `sum` over `customers`, a public number.
    ///
    /// # Errors
    /// When the sum has another length, or what comes of it is not finite.
    pub fn step(
        &self,
        phase: &TrainingPhase,
        server: &ServerPlan,
        customers: f64,
        sum: NoisedSum,
    ) -> Result<Self, TrainedError> {
        if sum.values.len() != self.params.len() {
            return Err(TrainedError::Length {
                got: sum.values.len(),
                expected: self.params.len(),
            });
        }
        let mean: Vec<f64> = sum.scaled().into_iter().map(|value| value / customers).collect();
        let optimiser = ServerOptimiser::new(&optimiser_of(phase, server), phase.rounds, self.params.len());
        let mut optimiser = optimiser
            .with_state(self.state.clone())
            .map_err(|_| TrainedError::State)?;
        let mut params = self.params.clone();
        optimiser.step(&mut params, |at| mean[at]);
        let next = Self {
            kind: self.kind,
            params,
            state: optimiser.state().clone(),
            sum: Some(sum),
        };
        match next.params.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(TrainedError::NotFinite { index }),
            None if !next.state.is_finite() => Err(TrainedError::State),
            None => Ok(next),
        }
    }

    /// Its bytes: kind, modulus (0 before the first step), two of 0, parameters and moments (4 each), then grid units, noise
    /// (8 each), steps (8), parameters, means and mean squares (4 a number), the sum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            TrainingKind::Model => 1u8,
            TrainingKind::Tower => 2,
            TrainingKind::Clicks => 3,
        };
        let bits = self.sum.as_ref().map_or(0, |sum| sum.values.bits().bits() as u8);
        let mut bytes = vec![kind, bits, 0, 0];
        bytes.extend((self.params.len() as u32).to_le_bytes());
        bytes.extend((self.state.mean.len() as u32).to_le_bytes());
        let sum = self.sum.as_ref();
        for number in [
            sum.map_or(0.0, |sum| sum.clip_units),
            sum.map_or(0.0, |sum| sum.noise_stddev),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.state.steps.to_le_bytes());
        for numbers in [&self.params, &self.state.mean, &self.state.square] {
            bytes.extend(numbers.iter().flat_map(|value| value.to_le_bytes()));
        }
        match sum.map(|sum| &sum.values) {
            Some(UpdateValues::B32(values)) => {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()))
            }
            Some(UpdateValues::B64(values)) => {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()))
            }
            None => {}
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is something else, is cut off, or has a number that can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainedError> {
        let (header, body) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(TrainedError::Short)?;
        let kind = match header[0] {
            1 => TrainingKind::Model,
            2 => TrainingKind::Tower,
            3 => TrainingKind::Clicks,
            _ => return Err(TrainedError::Field { what: "kind" }),
        };
        let bits = match header[1] {
            0 => None,
            bits => Some(
                ModulusBits::try_from(u32::from(bits))
                    .map_err(|_| TrainedError::Field { what: "modulus" })?,
            ),
        };
        let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let wide = |at: usize| -> [u8; 8] {
            let ([a, b, c, d], [e, f, g, h]) = (word(at), word(at + 4));
            [a, b, c, d, e, f, g, h]
        };
        let params = u32::from_le_bytes(word(4)) as usize;
        let moments = u32::from_le_bytes(word(8)) as usize;
        let (clip_units, noise_stddev) = (f64::from_le_bytes(wide(12)), f64::from_le_bytes(wide(20)));
        let steps = u64::from_le_bytes(wide(28));
        let is_number = |number: f64| number.is_finite() && number >= 0.0 && number.is_sign_positive();
        if header[2..4] != [0, 0] || !(moments == 0 || moments == params) {
            return Err(TrainedError::Field { what: "shape" });
        }
        let sum_fits = match bits {
            Some(_) => is_number(noise_stddev) && is_number(clip_units) && clip_units >= 1.0 && steps > 0,
            // As they are written, bit for bit.
            None => [clip_units, noise_stddev].map(f64::to_bits) == [0, 0] && steps == 0,
        };
        if !sum_fits {
            return Err(TrainedError::Field { what: "sum" });
        }
        let width = bits.map_or(0, |bits| bits.bytes() as u64);
        let expected = params as u64 * (4 + width) + moments as u64 * 8;
        if body.len() as u64 != expected {
            return Err(TrainedError::Short);
        }
        let (floats, values) = body.split_at(4 * (params + 2 * moments));
        let floats: Vec<f32> = floats
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| f32::from_le_bytes(*word))
            .collect();
        if let Some(index) = floats.iter().position(|value| !value.is_finite()) {
            return Err(TrainedError::NotFinite { index });
        }
        let values = bits.map(|bits| match bits {
            ModulusBits::B32 => {
                let words = values.as_chunks::<4>().0.iter();
                UpdateValues::B32(words.map(|word| u32::from_le_bytes(*word)).collect())
            }
            ModulusBits::B64 => {
                let words = values.as_chunks::<8>().0.iter();
                UpdateValues::B64(words.map(|word| u64::from_le_bytes(*word)).collect())
            }
        });
        Ok(Self {
            kind,
            params: floats[..params].to_vec(),
            state: OptimiserState {
                steps,
                mean: floats[params..params + moments].to_vec(),
                square: floats[params + moments..].to_vec(),
            },
            sum: values.map(|values| NoisedSum {
                values,
                clip_units,
                noise_stddev,
            }),
        })
    }
}

/// A tower's own; a model has the plan's.
fn optimiser_of(phase: &TrainingPhase, server: &ServerPlan) -> ServerPlan {
    match phase.kind {
        TrainingKind::Model => server.clone(),
        TrainingKind::Tower | TrainingKind::Clicks => ServerPlan::Adam {
            learning_rate: phase.learning_rate,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            final_fraction: 0.2,
        },
    }
}

/// Why there is no step, or bytes are nothing trained.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TrainedError {
    /// Another shape.
    #[error("the sum has {got} coordinates, what is trained {expected}")]
    Length {
        /// Of the sum.
        got: usize,
        /// Of the parameters.
        expected: usize,
    },
    /// A number that is none.
    #[error("number {index} of what was trained is not finite")]
    NotFinite {
        /// Which.
        index: usize,
    },
    /// The optimiser's numbers.
    #[error("what the optimiser remembers is not of this phase, or not finite")]
    State,
    /// Cut off, or too long.
    #[error("what was trained has another length than it says")]
    Short,
    /// A field that can't be.
    #[error("what was trained has a {what} that can't be")]
    Field {
        /// Which.
        what: &'static str,
    },
}

const HEADER_BYTES: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    fn phase() -> TrainingPhase {
        TrainingPhase::new(TrainingKind::Tower, 3, 0.1)
    }

    const PLAIN: ServerPlan = ServerPlan::Plain { learning_rate: 1.0 };

    fn sum(values: &[i32]) -> NoisedSum {
        NoisedSum {
            values: UpdateValues::B32(values.iter().map(|value| value.cast_unsigned()).collect()),
            clip_units: 10.0,
            noise_stddev: 0.5,
        }
    }

    #[test]
    fn a_step_goes_by_the_mean_over_a_public_number_of_customers() {
        let model = TrainingPhase::new(TrainingKind::Model, 3, 0.1);
        let before = Trained::initial(&model, &PLAIN, vec![1.0, -1.0]);
        let after = before.step(&model, &PLAIN, 4.0, sum(&[80, -20])).unwrap();
        assert_eq!(after.params, [3.0, -1.5]);
        assert_eq!((before.state.steps, after.state.steps), (0, 1));
        // A tower has an Adam of its own, whatever the plan's server does: its first step has the size of its rate.
        let tower = Trained::initial(&phase(), &PLAIN, vec![0.0, 0.0]);
        let after = tower.step(&phase(), &PLAIN, 4.0, sum(&[80, -20])).unwrap();
        assert!((after.params[0] - 0.05).abs() < 1e-6 && (after.params[1] + 0.05).abs() < 1e-6);
        let wrong = tower.step(&phase(), &PLAIN, 4.0, sum(&[1])).unwrap_err();
        assert_eq!(wrong, TrainedError::Length { got: 1, expected: 2 });
    }

    #[test]
    fn bytes_come_back_and_damage_is_refused() {
        let before = Trained::initial(&phase(), &PLAIN, vec![0.5, -0.25, 4.0]);
        let after = before.step(&phase(), &PLAIN, 2.0, sum(&[7, 0, -3])).unwrap();
        let mut wide = after.clone();
        wide.sum = Some(NoisedSum {
            values: UpdateValues::B64(vec![1, u64::MAX, 0]),
            ..sum(&[])
        });
        let model = Trained::initial(
            &TrainingPhase::new(TrainingKind::Model, 1, 0.1),
            &PLAIN,
            vec![1.0],
        );
        let clicks = TrainingPhase::new(TrainingKind::Clicks, 1, 0.1);
        let clicks = Trained::initial(&clicks, &PLAIN, vec![-5.0]);
        for trained in [&before, &after, &wide, &model, &clicks] {
            let bytes = trained.to_bytes();
            assert_eq!(Trained::from_bytes(&bytes).as_ref(), Ok(trained));
            for end in 0..bytes.len() {
                assert!(Trained::from_bytes(&bytes[..end]).is_err(), "{end}");
            }
            assert!(Trained::from_bytes(&[bytes, vec![0]].concat()).is_err());
        }
        // Before the first step there is no sum, and nothing of one.
        for (at, value) in [(18, 1), (19, 0x3f), (26, 1), (27, 0x80), (28, 1)] {
            let mut wrong = before.to_bytes();
            wrong[at] = value;
            assert!(Trained::from_bytes(&wrong).is_err(), "byte {at}");
        }
        let bytes = after.to_bytes();
        for (at, value) in [
            (0, 4),
            (1, 7),
            (1, 0),
            (2, 1),
            (8, 2),
            (19, 0xff),
            (27, 0xff),
            (39, 0x7f),
            (38, 0xff),
        ] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            if at == 38 {
                wrong[39] = 0x7f;
            }
            let read = Trained::from_bytes(&wrong);
            assert!(read.is_err() || at == 39, "byte {at}: {read:?}");
        }
    }
}

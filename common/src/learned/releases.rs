//! The releases of a plan so far: which attempts were charged, and what the last release says.

use crate::ids::AttemptId;
use crate::params::NoiseMultiplier;
use crate::release::file::ReleaseFileError;
use crate::release::state::Released;
use crate::training::trained::{Trained, TrainedError};
use crate::transfer::{Carried, CarriedError};

/// What is published behind each release, and behind each attempt that failed after vectors may have left: so everybody knows
/// how much noise the next one takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Releases {
    /// Attempts that were charged, and at which z; none where the plan is without noise. Failed ones, too.
    pub charged: Vec<(AttemptId, NoiseMultiplier)>,
    /// The last release; it carries what is needed of those before.
    pub last: Option<Box<Released>>,
    /// What the phases of training have made so far, in the plan's order; one that is about to begin is there, too.
    pub trained: Vec<Trained>,
    /// Versions of other runs, or of this one over an older catalogue, that stand beside it in every stack.
    pub carried: Vec<Carried>,
}

impl Releases {
    /// z of the attempts that were charged.
    pub fn noise(&self) -> Vec<NoiseMultiplier> {
        self.charged.iter().map(|(_, noise)| *noise).collect()
    }

    /// With one charged attempt more.
    pub fn charge(&mut self, id: AttemptId, noise: Option<NoiseMultiplier>) {
        self.charged.extend(noise.map(|noise| (id, noise)));
    }

    /// Steps of training so far.
    pub fn steps(&self) -> u64 {
        self.trained.iter().map(|trained| trained.state.steps).sum()
    }

    /// Whether it says anything that lists can be made by.
    pub fn says_something(&self) -> bool {
        self.last.is_some() || !self.carried.is_empty()
    }

    /// Magic, charged attempts, and the last release as its own bytes; where anything is trained, the length of that and
    /// each phase behind its length; where anything is carried, how many phases there are before them, and each carried version
    /// behind its length. See `docs/formats.md`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let is_carrying = !self.carried.is_empty();
        let is_long = is_carrying || !self.trained.is_empty();
        let magic = match (is_carrying, is_long) {
            (true, _) => MAGIC_CARRIED,
            (false, true) => MAGIC_TRAINED,
            (false, false) => MAGIC,
        };
        let mut bytes = magic.to_vec();
        bytes.extend((self.charged.len() as u32).to_le_bytes());
        for (id, noise) in &self.charged {
            bytes.extend(id.round.to_le_bytes());
            bytes.extend(id.attempt.to_le_bytes());
            bytes.extend(noise.get().to_le_bytes());
        }
        let last = self.last.as_ref().map_or_else(Vec::new, |last| last.to_bytes());
        if is_long {
            bytes.extend((last.len() as u64).to_le_bytes());
        }
        bytes.extend(last);
        if is_carrying {
            bytes.extend((self.trained.len() as u64).to_le_bytes());
        }
        let trained = self.trained.iter().map(Trained::to_bytes);
        for piece in trained.chain(self.carried.iter().map(Carried::to_bytes)) {
            bytes.extend((piece.len() as u64).to_le_bytes());
            bytes.extend(piece);
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no such file, or one of its numbers can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReleasesFileError> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(ReleasesFileError::Magic)?;
        if ![MAGIC, MAGIC_TRAINED, MAGIC_CARRIED].contains(magic) {
            return Err(ReleasesFileError::Magic);
        }
        let (is_long, is_carrying) = (*magic != MAGIC, *magic == MAGIC_CARRIED);
        let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(ReleasesFileError::Short)?;
        let mut charged = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            let (entry, behind) = rest
                .split_first_chunk::<ENTRY_BYTES>()
                .ok_or(ReleasesFileError::Short)?;
            let [r0, r1, r2, r3, r4, r5, r6, r7, a0, a1, a2, a3, noise @ ..] = *entry;
            let id = AttemptId {
                round: u64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
                attempt: u32::from_le_bytes([a0, a1, a2, a3]),
            };
            let noise = NoiseMultiplier::new(f64::from_le_bytes(noise));
            charged.push((id, noise.map_err(|_| ReleasesFileError::Noise { id })?));
            rest = behind;
        }
        let mut last = rest;
        let (mut trained, mut carried) = (Vec::new(), Vec::new());
        if is_long {
            (last, rest) = piece(rest)?;
            let mut phases = u64::MAX;
            if is_carrying {
                let (count, behind) = rest.split_first_chunk::<8>().ok_or(ReleasesFileError::Short)?;
                (phases, rest) = (u64::from_le_bytes(*count), behind);
            }
            while !rest.is_empty() {
                let (one, behind) = piece(rest)?;
                match (trained.len() as u64) < phases {
                    true => trained.push(Trained::from_bytes(one)?),
                    false => carried.push(Carried::from_bytes(one)?),
                }
                rest = behind;
            }
            let is_whole = match is_carrying {
                true => trained.len() as u64 == phases && !carried.is_empty(),
                false => !trained.is_empty(),
            };
            if !is_whole {
                return Err(ReleasesFileError::Short);
            }
        }
        let last = match last.is_empty() {
            true => None,
            false => Some(Box::new(Released::from_bytes(last)?)),
        };
        Ok(Self {
            charged,
            last,
            trained,
            carried,
        })
    }
}

/// Bytes behind their length, and the rest.
fn piece(bytes: &[u8]) -> Result<(&[u8], &[u8]), ReleasesFileError> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(ReleasesFileError::Short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| ReleasesFileError::Short)?;
    rest.split_at_checked(length).ok_or(ReleasesFileError::Short)
}

/// Why bytes are no releases.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReleasesFileError {
    /// Something else, or of another version.
    #[error("this is no file of releases, or one of another version")]
    Magic,
    /// It ends early.
    #[error("the file of releases is cut off")]
    Short,
    /// A charge that can't be.
    #[error("the file of releases says that {id} was charged at a noise multiplier that is none")]
    Noise {
        /// The attempt.
        id: AttemptId,
    },
    /// The release in it.
    #[error(transparent)]
    Release(#[from] ReleaseFileError),
    /// What was trained.
    #[error(transparent)]
    Trained(#[from] TrainedError),
    /// What was carried.
    #[error(transparent)]
    Carried(#[from] CarriedError),
}

const MAGIC: [u8; 8] = *b"SOUKRLS1";
/// With training.
const MAGIC_TRAINED: [u8; 8] = *b"SOUKRLS2";
/// With versions that are carried.
const MAGIC_CARRIED: [u8; 8] = *b"SOUKRLS3";
const ENTRY_BYTES: usize = 8 + 4 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_are_read_as_they_were_written_and_bytes_that_are_none_are_refused() {
        let id = |round, attempt| AttemptId { round, attempt };
        let noise = |z| NoiseMultiplier::new(z).unwrap();
        let mut releases = Releases::default();
        assert_eq!(Releases::from_bytes(&releases.to_bytes()).unwrap(), releases);
        releases.charge(id(1, 1), Some(noise(0.9)));
        releases.charge(id(1, 2), Some(noise(1.5)));
        releases.charge(id(2, 1), None);
        assert_eq!(releases.noise(), [noise(0.9), noise(1.5)]);
        let bytes = releases.to_bytes();
        assert_eq!(Releases::from_bytes(&bytes).unwrap(), releases);
        for end in 0..bytes.len() {
            assert!(Releases::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        let mut wrong = bytes.clone();
        wrong[24..32].copy_from_slice(&f64::NAN.to_le_bytes());
        let id = id(1, 1);
        assert_eq!(Releases::from_bytes(&wrong), Err(ReleasesFileError::Noise { id }));
        assert!(Releases::from_bytes(&[bytes, vec![0; 9]].concat()).is_err());
    }

    #[test]
    fn training_is_read_as_it_was_written_and_is_never_cut_off_without_a_word() {
        use crate::training::optimiser::ServerPlan;
        use crate::training::phases::{TrainingKind, TrainingPhase};
        let phase = TrainingPhase::new(TrainingKind::Tower, 2, 0.1);
        let trained = Trained::initial(&phase, &ServerPlan::Plain { learning_rate: 1.0 }, vec![1.0, 2.0]);
        let mut releases = Releases {
            trained: vec![trained.clone(), trained],
            ..Releases::default()
        };
        releases.charge(AttemptId { round: 1, attempt: 1 }, NoiseMultiplier::new(0.5).ok());
        let bytes = releases.to_bytes();
        assert_eq!(Releases::from_bytes(&bytes).unwrap(), releases);
        let whole_phases: Vec<usize> = (0..bytes.len())
            .filter(|end| Releases::from_bytes(&bytes[..*end]).is_ok())
            .collect();
        // Behind a whole phase it can't know that there was another; the plan knows.
        assert_eq!(whole_phases.len(), 1);
        releases.trained.truncate(1);
        assert_eq!(Releases::from_bytes(&bytes[..whole_phases[0]]).unwrap(), releases);
        let mut wrong = bytes;
        wrong[8 + 4 + 20..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Releases::from_bytes(&wrong).is_err());
    }
}

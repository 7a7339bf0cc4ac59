//! The releases of a plan so far: which attempts were charged, and what the last release says.

use crate::ids::AttemptId;
use crate::params::NoiseMultiplier;
use crate::release::file::ReleaseFileError;
use crate::release::state::Released;

/// What is published behind each release, and behind each attempt that failed after vectors may have left: so everybody knows
/// how much noise the next one takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Releases {
    /// Attempts that were charged, and at which z; none where the plan is without noise. Failed ones, too.
    pub charged: Vec<(AttemptId, NoiseMultiplier)>,
    /// The last release; it carries what is needed of those before.
    pub last: Option<Box<Released>>,
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

    /// Magic, charged attempts, and the last release as its own bytes. See `docs/formats.md`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((self.charged.len() as u32).to_le_bytes());
        for (id, noise) in &self.charged {
            bytes.extend(id.round.to_le_bytes());
            bytes.extend(id.attempt.to_le_bytes());
            bytes.extend(noise.get().to_le_bytes());
        }
        bytes.extend(self.last.iter().flat_map(|last| last.to_bytes()));
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no such file, or one of its numbers can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReleasesFileError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(ReleasesFileError::Magic)?;
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
        let last = match rest.is_empty() {
            true => None,
            false => Some(Box::new(Released::from_bytes(rest)?)),
        };
        Ok(Self { charged, last })
    }
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
}

const MAGIC: [u8; 8] = *b"SOUKRLS1";
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
}

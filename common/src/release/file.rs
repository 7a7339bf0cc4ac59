//! A release as bytes: what is published, stored, and named by its digest. See `docs/formats.md`.

use super::map::{MapError, PublicMap};
use super::popularity::PopularityEstimate;
use super::schedule::ReleaseKind;
use super::state::{NoisedSum, Released};
use crate::catalogue::MAX_ITEMS;
use crate::ids::Digest;
use crate::update::{ModulusBits, UpdateValues};

impl Released {
    /// The one form that a release has as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let columns = |map: &Option<PublicMap>| map.as_ref().map_or(0, PublicMap::columns) as u32;
        let kind = match self.kind {
            ReleaseKind::Popularity => 1u8,
            ReleaseKind::Collaborative => 2,
            ReleaseKind::SecondCollaborative => 3,
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend([kind, self.sum.values.bits().bits() as u8, 0, 0]);
        for number in [
            self.direction.len() as u32,
            columns(&self.through),
            columns(&self.next),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [
            self.sum.clip_units,
            self.sum.noise_stddev,
            self.popularity.noise_stddev(),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.previous.0);
        match &self.sum.values {
            UpdateValues::B32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            UpdateValues::B64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        let maps = [&self.through, &self.next].into_iter().flatten();
        let numbers = [self.popularity.values(), &self.direction].into_iter();
        for numbers in numbers.chain(maps.map(PublicMap::values)) {
            bytes.extend(numbers.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// The digest of [`Self::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Reads what [`Self::to_bytes`] wrote, byte for byte.
    ///
    /// # Errors
    /// When it is no release, of another version, of another length than it says, or has numbers that can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReleaseFileError> {
        let short = ReleaseFileError::Header { got: bytes.len() };
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
        if header[..MAGIC.len()] != MAGIC {
            return Err(ReleaseFileError::Magic);
        }
        let kind = match header[8] {
            1 => ReleaseKind::Popularity,
            2 => ReleaseKind::Collaborative,
            3 => ReleaseKind::SecondCollaborative,
            _ => return Err(ReleaseFileError::Field { what: "kind" }),
        };
        let bits = ModulusBits::try_from(u32::from(header[9]));
        let bits = bits.map_err(|_| ReleaseFileError::Field { what: "modulus" })?;
        if header[10..12] != [0, 0] {
            return Err(ReleaseFileError::Field {
                what: "reserved bytes",
            });
        }
        let mut rest = Reader(&header[12..]);
        let [items, through, next] = [rest.u32(), rest.u32(), rest.u32()].map(|number| number as usize);
        let [clip_units, noise_stddev, popularity_noise] = [rest.f64(), rest.f64(), rest.f64()];
        let previous = Digest(rest.take());
        let field = |what, fits| {
            if fits {
                Ok(())
            } else {
                Err(ReleaseFileError::Field { what })
            }
        };
        field("number of items", (1..=MAX_ITEMS).contains(&items))?;
        let is_first = kind == ReleaseKind::Popularity;
        let is_last = kind == ReleaseKind::SecondCollaborative;
        field("columns", through.max(next) <= MOST_COLUMNS)?;
        field("map", is_first == (through == 0) && !(is_last && next > 0))?;
        field(
            "digest of the release before",
            is_first == (previous == Digest::ZERO),
        )?;
        let is_noise = |noise: f64| noise.is_finite() && noise >= 0.0 && noise.is_sign_positive();
        field("grid units", clip_units.is_finite() && clip_units >= 1.0)?;
        field("noise", is_noise(noise_stddev) && is_noise(popularity_noise))?;
        field(
            "noise of popularity",
            !is_first || noise_stddev == popularity_noise,
        )?;
        // At most 4 million items of 64 columns: no product overflows 64 bits.
        let wide = |numbers: usize, bytes: usize| numbers as u64 * bytes as u64;
        let coordinates = wide(items, through.max(1));
        let expected = coordinates * bits.bytes() as u64 + wide(items, 2 + through + next) * 4;
        if body.len() as u64 != expected {
            return Err(ReleaseFileError::Length {
                got: body.len(),
                expected,
            });
        }
        let mut body = Reader(body);
        let coordinates = items * through.max(1);
        let values = match bits {
            ModulusBits::B32 => UpdateValues::B32((0..coordinates).map(|_| body.u32()).collect()),
            ModulusBits::B64 => UpdateValues::B64(body.numbers(coordinates, u64::from_le_bytes)),
        };
        let mut floats = |what, count: usize| -> Result<Vec<f32>, ReleaseFileError> {
            let values = body.numbers(count, f32::from_le_bytes);
            let least = if what == "popularity" { 0.0 } else { f32::MIN };
            match values
                .iter()
                .position(|value| !(value.is_finite() && *value >= least))
            {
                Some(index) => Err(ReleaseFileError::Number { what, index }),
                None => Ok(values),
            }
        };
        let popularity = floats("popularity", items)?;
        let direction = floats("direction", items)?;
        let mut map = |what, columns: usize| -> Result<Option<PublicMap>, ReleaseFileError> {
            match columns {
                0 => Ok(None),
                columns => Ok(Some(PublicMap::published(
                    columns,
                    floats(what, items * columns)?,
                )?)),
            }
        };
        let (through, next) = (map("map", through)?, map("next map", next)?);
        Ok(Self {
            kind,
            previous,
            sum: NoisedSum {
                values,
                clip_units,
                noise_stddev,
            },
            popularity: PopularityEstimate::published(popularity, popularity_noise),
            direction,
            through,
            next,
        })
    }
}

/// Over bytes whose length was checked: behind their end it reads zeros.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((first, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *first
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.take())
    }

    fn numbers<T, const N: usize>(&mut self, count: usize, from: fn([u8; N]) -> T) -> Vec<T> {
        (0..count).map(|_| from(self.take())).collect()
    }
}

/// Why bytes are no release.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReleaseFileError {
    /// Too short for a header.
    #[error("{got} bytes are no release: its header alone has {HEADER_BYTES}")]
    Header {
        /// How many there are.
        got: usize,
    },
    /// Something else, or of another version.
    #[error("it does not begin with SOUKREL1: it is no release, or one of a later program")]
    Magic,
    /// A field of the header that can't be.
    #[error("the header of the release has a {what} that can't be")]
    Field {
        /// Which.
        what: &'static str,
    },
    /// Cut, or longer.
    #[error("the release has {got} bytes after its header, which says {expected}")]
    Length {
        /// How many there are.
        got: usize,
        /// How many it says.
        expected: u64,
    },
    /// NaN, infinite, or a popularity below 0.
    #[error("number {index} of the release's {what} can't be: it is not finite, or a popularity below 0")]
    Number {
        /// Of which part.
        what: &'static str,
        /// Where in it.
        index: usize,
    },
    /// A map that is none.
    #[error(transparent)]
    Map(#[from] MapError),
}

const MAGIC: [u8; 8] = *b"SOUKREL1";
const HEADER_BYTES: usize = 80;
/// Most columns of a map that is read.
const MOST_COLUMNS: usize = 64;

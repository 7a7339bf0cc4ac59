//! Join codes: where the coordinator is, how to know it, and a secret that works once. One line to paste.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::ids::Digest;

/// What a join code says.
#[derive(Clone, Eq, PartialEq)]
pub struct JoinCode {
    /// `host:port`.
    pub address: String,
    /// Digest of the federation's CA certificate.
    pub ca: Digest,
    /// 128 bits; the coordinator keeps only their digest.
    pub secret: Zeroizing<[u8; 16]>,
}

/// As typed: `souk1-` and letters. Whoever prints it means to show the secret.
impl fmt::Display for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.extend_from_slice(self.secret.as_slice());
        bytes.extend_from_slice(&self.ca.0);
        bytes.extend_from_slice(self.address.as_bytes());
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0[..CHECK_BYTES]);
        f.write_str(PREFIX)?;
        let (mut held, mut bits) = (0u32, 0);
        for byte in bytes.iter() {
            held = held << 8 | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                write!(f, "{}", ALPHABET[(held >> bits) as usize & 31] as char)?;
            }
            held &= (1 << bits) - 1;
        }
        if bits > 0 {
            write!(f, "{}", ALPHABET[(held << (5 - bits)) as usize & 31] as char)?;
        }
        Ok(())
    }
}

/// Without the secret.
impl fmt::Debug for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinCode({}, {})", self.address, self.ca.short())
    }
}

impl FromStr for JoinCode {
    type Err = JoinCodeError;

    fn from_str(text: &str) -> Result<Self, JoinCodeError> {
        let text = text.trim();
        let letters = text.strip_prefix(PREFIX).ok_or(match later_version(text) {
            Some(found) => JoinCodeError::Version { found },
            None => JoinCodeError::Prefix,
        })?;
        if letters.len() > MAX_LETTERS {
            return Err(JoinCodeError::Damaged);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let (mut held, mut bits) = (0u32, 0);
        for letter in letters.bytes() {
            let value = ALPHABET
                .iter()
                .position(|known| *known == letter.to_ascii_lowercase());
            held = held << 5 | value.ok_or(JoinCodeError::Damaged)? as u32;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
            held &= (1 << bits) - 1;
        }
        let content = bytes
            .len()
            .checked_sub(CHECK_BYTES)
            .ok_or(JoinCodeError::Damaged)?;
        let (content, check) = bytes.split_at(content);
        if Digest::of(content).0[..CHECK_BYTES] != *check {
            return Err(JoinCodeError::Damaged);
        }
        let (secret, rest) = content.split_first_chunk::<16>().ok_or(JoinCodeError::Damaged)?;
        let (ca, address) = rest.split_first_chunk::<32>().ok_or(JoinCodeError::Damaged)?;
        let address = std::str::from_utf8(address).map_err(|_| JoinCodeError::Damaged)?;
        Ok(Self {
            address: address.to_owned(),
            ca: Digest(*ca),
            secret: Zeroizing::new(*secret),
        })
    }
}

/// Why a text is no join code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinCodeError {
    /// Something else.
    #[error("this is no join code: those begin with \"souk1-\"; ask the operator for one")]
    Prefix,
    /// Made by a later release.
    #[error(
        "the join code has format {found} and this program reads format 1: use a later release of souk-client"
    )]
    Version {
        /// As written.
        found: u32,
    },
    /// A letter is wrong or missing.
    #[error("the join code is damaged: copy it whole, in one line")]
    Damaged,
}

/// The version of a code that is none of the first.
fn later_version(text: &str) -> Option<u32> {
    text.strip_prefix("souk")?.split_once('-')?.0.parse().ok()
}

const PREFIX: &str = "souk1-";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const CHECK_BYTES: usize = 4;
const MAX_LETTERS: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_paper_and_any_damage_is_noticed() {
        for address in ["127.0.0.1:4433", "souk.example.org:1", "[::1]:65535"] {
            let code = JoinCode {
                address: address.into(),
                ca: Digest::of(b"ca"),
                secret: Zeroizing::new([7; 16]),
            };
            let text = code.to_string();
            assert_eq!(format!(" {text}\n").parse(), Ok(code));
            for at in PREFIX.len()..text.len() - 1 {
                let mut bad = text.clone().into_bytes();
                bad[at] = if bad[at] == b'a' { b'b' } else { b'a' };
                let bad = String::from_utf8(bad).unwrap();
                assert_eq!(bad.parse::<JoinCode>(), Err(JoinCodeError::Damaged), "{at}");
            }
            assert_eq!(text[..20].parse::<JoinCode>(), Err(JoinCodeError::Damaged));
        }
        for none in ["hello", "soukx-abc", "souk2"] {
            assert_eq!(none.parse::<JoinCode>(), Err(JoinCodeError::Prefix));
        }
        assert_eq!(
            "souk2-abc".parse::<JoinCode>(),
            Err(JoinCodeError::Version { found: 2 })
        );
        assert!(!format!("{:?}", "souk1-".parse::<JoinCode>()).contains('7'));
    }
}

//! What the record says of enrolments: each one that succeeded, and those that were refused, in bounded room.

use std::fmt;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};

use super::CodeEnd;

/// A shop became a member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Enrolled {
    /// Its name.
    pub shop: ShopName,
    /// Fingerprint of its long-term key, as owners compare it; none if the certificate has no such key.
    pub key: Option<Digest>,
    /// From which address; none if it was enrolled on this machine.
    pub from: Option<String>,
    /// Whether it was a member with this very key, and has joined again.
    pub again: bool,
}

/// Refused tries of one stretch of time. Strangers decide how many there are, so an entry names the first few kinds of
/// them and counts the rest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusals {
    /// When the first of them was.
    pub since: Timestamp,
    /// How many there were.
    pub tries: u64,
    /// Those that are told apart; what was tried with a code that exists or existed comes first.
    pub of: Vec<EnrolmentRefusal>,
    /// How many others.
    pub others: u64,
}

/// Refused tries of one kind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EnrolmentRefusal {
    /// Why.
    pub cause: RefusalCause,
    /// From which address (IPv6: /64).
    pub from: String,
    /// Whose code it was, where that is known.
    pub shop: Option<ShopName>,
    /// Fingerprint of the key that wanted a certificate, where the code is or was a shop's.
    pub key: Option<Digest>,
    /// How often.
    pub tries: u64,
}

/// Why a try to enrol was refused.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// No such code.
    WrongCode,
    /// The code has expired.
    ExpiredCode,
    /// The code was ended before it was tried.
    EndedCode(CodeEnd),
    /// The name is a member's, by another key.
    NameEnrolled,
    /// The request for a certificate is none, or not signed by its key.
    BadRequest,
    /// Too many wrong codes from that address; this one was not looked at.
    TooManyTries,
}

impl Refusals {
    /// Whether it counts as many as it says.
    pub fn add_up(&self) -> bool {
        let of = self
            .of
            .iter()
            .try_fold(self.others, |sum, one| sum.checked_add(one.tries));
        of == Some(self.tries)
    }
}

impl RefusalCause {
    /// For the operator.
    pub fn words(self) -> &'static str {
        match self {
            Self::WrongCode => "wrong code",
            Self::ExpiredCode => "expired code",
            Self::EndedCode(CodeEnd::Used) => "code that was used before",
            Self::EndedCode(CodeEnd::Enrolled) => "older code of a name that has enrolled since",
            Self::EndedCode(CodeEnd::Replaced) => "code that a newer invitation has ended",
            Self::EndedCode(CodeEnd::Revoked) => "code that `revoke` has ended",
            Self::EndedCode(CodeEnd::Left) => "code of a shop that has left",
            Self::EndedCode(CodeEnd::Cancelled) => "code that `invite --cancel` has ended",
            Self::NameEnrolled => "valid code, but the name is enrolled by another key",
            Self::BadRequest => "valid code with a certificate request that is none",
            Self::TooManyTries => "too many wrong codes before, not looked at",
        }
    }
}

impl fmt::Display for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.again {
            "has joined again"
        } else {
            "is enrolled"
        };
        write!(f, "{} {how}", self.shop)?;
        if let Some(from) = &self.from {
            write!(f, ", from {from}")?;
        }
        match &self.key {
            Some(key) => write!(f, ", key fingerprint {key}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for EnrolmentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.cause.words(), self.from)?;
        if let Some(shop) = &self.shop {
            write!(f, " for {shop}")?;
        }
        if let Some(key) = &self.key {
            write!(f, " by key {key}")?;
        }
        match self.tries {
            1 => Ok(()),
            tries => write!(f, " ({tries} times)"),
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.tries == 1 { "try" } else { "tries" };
        write!(f, "{} {tries} to enrol refused: ", self.tries)?;
        for (at, one) in self.of.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{one}")?;
        }
        match self.others {
            0 => Ok(()),
            others => write!(f, "; and {others} others"),
        }
    }
}

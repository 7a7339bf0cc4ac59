//! What is stored of an update and of a model.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::round::statements::{Manifest, Outcome, Receipt, RejectCode, UploadHeader};
use souk_common::secagg::Binding;

use crate::participate::AttemptKey;

/// The signed word by which the shop knows a model: what welcomed it, or how the round ended that made it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelWord {
    /// A manifest by itself.
    Manifest(Signed<Manifest>),
    /// A manifest within an outcome.
    Outcome(Signed<Outcome>),
}

impl ModelWord {
    /// What it says of a model; none if it names no model.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Manifest(signed) => Some(&signed.body),
            Self::Outcome(Signed {
                body: Outcome::Published(manifest),
                ..
            }) => Some(manifest),
            Self::Outcome(_) => None,
        }
    }
}

/// An update, from the outbox to its receipt.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UploadRecord {
    /// For which attempt.
    pub key: AttemptKey,
    /// What was offered.
    pub header: UploadHeader,
    /// When it was put in the outbox.
    pub ready_at: Timestamp,
    /// When its first byte was about to leave; none if none did.
    #[serde(default)]
    pub first_sent_at: Option<Timestamp>,
    /// Bytes sent, those of repeated tries included.
    #[serde(default)]
    pub bytes_sent: u64,
    /// The coordinator's signed word that it stored it.
    #[serde(default)]
    pub receipt: Option<Signed<Receipt>>,
    /// Why the coordinator refused it.
    #[serde(default)]
    pub rejected: Option<RejectCode>,
    /// Whether it went out under masks.
    #[serde(default)]
    pub masked: bool,
    /// Then, this shop's signature on the list of sharers that they are made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// No byte of it was to leave before; none: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

impl UploadRecord {
    /// How much later than it was to leave it was ready; none if it was in time.
    pub fn late_by(&self) -> Option<Duration> {
        let due = self.due_at.filter(|due| *due < self.ready_at)?;
        Some(self.ready_at.since(due))
    }

    /// Whether its answer is still due.
    pub(super) fn is_open(&self) -> bool {
        self.receipt.is_none() && self.rejected.is_none()
    }
}

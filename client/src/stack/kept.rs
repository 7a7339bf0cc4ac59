//! Fitted weights on disk, so that a restart fits nothing anew.

use serde::{Deserialize, Serialize};
use souk_common::format::Format;
use souk_common::ids::Digest;
use souk_common::stack::{Collapsed, GateReport, HitRate, Stack, StackFit};

use crate::folder::Folder;

/// Each channel's name and weight, in the stack's order.
pub type Weights = Vec<(String, f32)>;

/// `stack.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct KeptStack {
    /// Of the file.
    #[serde(default)]
    pub format: Format<1>,
    /// Digest of what the weights were fitted to.
    pub key: Digest,
    /// Of content and local channels.
    pub alone: Weights,
    /// Of these and the federated ones; none if there are none.
    pub together: Option<Weights>,
    /// For items that nobody has bought yet; none where nothing is known of items but their ids.
    #[serde(default)]
    pub newcomers: Option<Weights>,
    /// How often the stack alone hits.
    pub alone_hits: HitRate,
    /// How together compares; none without federated channels.
    pub gate: Option<GateReport>,
    /// What the owner is told of channels that no list uses, because they have collapsed; a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collapsed: Vec<String>,
}

impl KeptStack {
    /// `model` is a collapsed one that would otherwise serve in the stack's place.
    pub(super) fn of(key: Digest, fit: &StackFit, model: Option<&Collapsed>) -> Self {
        let weights = |stack: &Stack| -> Weights {
            let named = stack.named_weights();
            named.map(|(name, weight)| (name.to_owned(), weight)).collect()
        };
        Self {
            format: Format,
            key,
            alone: weights(&fit.alone),
            together: fit.together.as_ref().map(weights),
            newcomers: fit.newcomers.as_ref().map(weights),
            alone_hits: fit.alone_hits,
            gate: fit.gate,
            collapsed: model
                .into_iter()
                .chain(&fit.collapsed)
                .map(Collapsed::words)
                .collect(),
        }
    }

    /// What is kept in a shop's folder; none if there is nothing, or nothing that can be read: it is fitted anew then.
    pub fn load(folder: &Folder) -> Option<Self> {
        let bytes = folder.disk().read(&folder.stack()).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::warn!(%error, "stack.json can't be read: the stack is fitted anew");
                None
            }
        }
    }

    /// Keeps it; if that fails, the next start fits anew.
    pub fn store(&self, folder: &Folder) {
        let stored = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .and_then(|bytes| folder.write_whole(&folder.stack(), &bytes, false));
        if let Err(error) = stored {
            tracing::warn!(%error, "stack.json can't be written: the next start fits the stack anew");
        }
    }
}

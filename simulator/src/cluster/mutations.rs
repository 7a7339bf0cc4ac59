//! Faults that are put in on purpose, each by itself, to see whether the storm finds them: a storm that finds nothing
//! proves nothing unless it would have.

use std::path::Path;

use clap::ValueEnum;
use souk_client::agent::{KeyMaker, fresh_keys};
use souk_client::masking::AttemptKeys;
use souk_client::participate::Memory;
use souk_common::rng::stream;
use souk_common::secagg::{MaskingParams, Safeguards};

use super::disk::Lie;

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Mutation {
    /// The coordinator's records are not synchronised before a receipt is sent.
    ReceiptBeforeFsync,
    /// A shop's ledger is not synchronised before its update is sent.
    SpendAfterSend,
    /// Files are given their names before their bytes are synchronised.
    RenameWithoutFsync,
    /// A shop that starts again forgets that an attempt was charged and sent, and draws noise for it once more.
    FreshNoiseOnRetry,
    /// A shop uses the keys of one masked attempt for the next.
    ReusedKeys,
    /// A shop's store and its file of secrets, where it keeps which list of survivors it has answered, are not synchronised.
    ForgottenList,
    /// Shops hold a lying coordinator to the first protocol's rules only.
    FirstRules,
    /// Shops count signatures on survivors against R1, and do not ask whether those have signed the same R2.
    UnboundUploads,
}

impl Mutation {
    pub(crate) const ALL: [Self; 8] = [
        Self::ReceiptBeforeFsync,
        Self::SpendAfterSend,
        Self::RenameWithoutFsync,
        Self::FreshNoiseOnRetry,
        Self::ReusedKeys,
        Self::ForgottenList,
        Self::FirstRules,
        Self::UnboundUploads,
    ];

    /// What the coordinator's disk lies about.
    pub(crate) fn of_coordinator(self) -> Option<Lie> {
        match self {
            Self::ReceiptBeforeFsync => Some(is_database),
            Self::RenameWithoutFsync => Some(is_aside),
            _ => None,
        }
    }

    /// What a shop's disk lies about.
    pub(crate) fn of_shop(self) -> Option<Lie> {
        match self {
            Self::SpendAfterSend => Some(is_ledger),
            Self::ForgottenList => Some(keeps_a_list),
            Self::RenameWithoutFsync => Some(is_aside),
            _ => None,
        }
    }

    /// What a shop remembers when it starts.
    pub(crate) fn remembered(plant: Option<Self>, mut memory: Memory) -> Memory {
        if plant == Some(Self::FreshNoiseOnRetry) {
            (memory.outbox, memory.masking) = (None, None);
            memory.spent.clear();
        }
        memory
    }

    /// Whether it takes a coordinator that shows shops different lists to find it.
    pub(crate) fn takes_a_liar(self) -> bool {
        matches!(self, Self::FirstRules | Self::UnboundUploads)
    }

    /// How a shop makes its keys.
    pub(crate) fn keys(plant: Option<Self>, shop: usize) -> KeyMaker {
        if let Some(safeguards) = plant.and_then(Self::safeguards) {
            let mut keys = fresh_keys();
            return Box::new(move |context, terms, name, identity| {
                keys(context, MaskingParams { safeguards, ..terms }, name, identity)
            });
        }
        if plant != Some(Self::ReusedKeys) {
            return fresh_keys();
        }
        Box::new(move |context, terms, name, identity| {
            let mut always = stream(shop as u64, "keys used for every attempt");
            Ok(AttemptKeys::begin(context, terms, name, identity, &mut always))
        })
    }
}

impl Mutation {
    /// What is left of them.
    fn safeguards(self) -> Option<Safeguards> {
        let off = Safeguards {
            bindings: false,
            before_charge: false,
            ..Safeguards::ALL
        };
        match self {
            Self::FirstRules => Some(Safeguards {
                of_roster: false,
                ..off
            }),
            Self::UnboundUploads => Some(off),
            _ => None,
        }
    }
}

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "redb")
}

fn keeps_a_list(path: &Path) -> bool {
    is_database(path) || path.parent().is_some_and(|folder| folder.ends_with("attempts"))
}

fn is_ledger(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "jsonl") && path.ends_with("ledger.jsonl")
}

/// What is on its way to its name.
fn is_aside(path: &Path) -> bool {
    let waits = path.extension().is_some_and(|ending| ending == "new");
    waits || path.parent().is_some_and(|folder| folder.ends_with("tmp"))
}

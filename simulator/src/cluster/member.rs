//! A member that lies to the others, in each way that the protocol has an answer to.

use clap::ValueEnum;
use souk_client::agent::{KeyMaker, fresh_keys};
use souk_client::masking::AttemptKeys;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::Digest;
use souk_common::rng::secret_stream;
use souk_common::secagg::records::{SEALED_BYTES, ShareCommitment, share_leaf};
use souk_common::secagg::tree::Tree;
use souk_common::secagg::{Keys, Roster};
use souk_common::wire::messages::{Push, Request};

/// The way of the last shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum MemberLie {
    /// It seals random bytes, and signs them.
    GarbageShares,
    /// It seals shares of another seed than the one it has committed itself to.
    AnotherSecret,
    /// It reveals other shares than it holds.
    FalseShares,
    /// It calls everybody's shares bad.
    Complaints,
}

impl MemberLie {
    pub(crate) const ALL: [Self; 4] = [
        Self::GarbageShares,
        Self::AnotherSecret,
        Self::FalseShares,
        Self::Complaints,
    ];

    /// Whether the record names who lies so.
    pub(crate) fn is_named(self) -> bool {
        matches!(self, Self::AnotherSecret | Self::FalseShares)
    }

    /// Attempts without a model that it costs.
    pub(crate) fn costs(self) -> u64 {
        u64::from(self == Self::AnotherSecret)
    }

    pub(crate) fn keys(self) -> KeyMaker {
        match self {
            Self::AnotherSecret => Box::new(|context, terms, name, identity| {
                let keys = Keys::make(context, terms, name, identity, &mut secret_stream()?);
                Ok(AttemptKeys::of(context, keys.with_another_seed([0xA5; 32])))
            }),
            _ => fresh_keys(),
        }
    }
}

/// What the liar has seen that its words hang on.
#[derive(Default)]
pub(crate) struct Member {
    roster: Option<Roster>,
    /// Makers whose shares it was given.
    makers: Vec<u32>,
}

impl Member {
    pub(crate) fn hears(&mut self, push: &Push) {
        match push {
            Push::Roster { roster, .. } => self.roster = Some(roster.clone()),
            Push::Delivered { shares, .. } => self.makers = shares.iter().map(|share| share.maker).collect(),
            _ => {}
        }
    }

    /// Changes what it says.
    pub(crate) fn says(&self, lie: MemberLie, identity: &SigningKey, request: &mut Request) {
        match (lie, request) {
            (MemberLie::GarbageShares, Request::Share { id, shares }) => {
                let Some(roster) = &self.roster else { return };
                let own = roster
                    .0
                    .iter()
                    .position(|entry| entry.body.identity == identity.public());
                let mut sealed = shares.sealed.iter_mut();
                let leaf = |(place, hashes)| match own == Some(place as usize) {
                    true => share_leaf(place, None, hashes),
                    false => {
                        let bytes = sealed.next().map(|share| {
                            share.bytes = vec![0xA5; SEALED_BYTES];
                            share.bytes.as_slice()
                        });
                        share_leaf(place, bytes, hashes)
                    }
                };
                let leaves: Vec<Digest> = (0..).zip(&shares.hashes).map(leaf).collect();
                let signed = identity.sign(ShareCommitment {
                    id: *id,
                    roster: roster.digest(),
                    threshold: shares.threshold,
                    root: Tree::over(leaves).root(),
                });
                shares.signature = signed.signature;
            }
            (MemberLie::FalseShares, Request::Reveal { shares, .. }) => {
                shares.iter_mut().for_each(|share| share.share[0] ^= 1);
            }
            (MemberLie::Complaints, Request::Checked { bad, .. }) => bad.clone_from(&self.makers),
            _ => {}
        }
    }
}

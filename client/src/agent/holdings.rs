//! What the agent's effects are carried out on.

use std::sync::Arc;

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::ShopName;
use souk_common::rng::{Secret, Source, secret_stream};
use souk_common::round::statements::Announcement;
use souk_common::secagg::{Context, MaskingParams, Masks, Roster, Shares, UnmaskSecrets};

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::masking::{AttemptKeys, KnownShops, MaskError};
use crate::participate::{AttemptKey, Pending, Policy};
use crate::store::Store;
use crate::training::{Attempts, UnreleasedUpdate};

/// A shop's ledger, store, policy and sources of randomness. What has to be durable is when a method returns.
///
/// An update's type says what it was drawn from, so that no seeded one gets into [`OnDisk`]:
///
/// ```compile_fail,E0308
/// use souk_client::agent::{Agent, OnDisk};
/// use souk_client::{participate::AttemptKey, training::UnreleasedUpdate};
/// use souk_common::{clock::Timestamp, rng::Stream};
/// fn boxed(agent: &mut Agent<OnDisk>, now: Timestamp, key: AttemptKey, seeded: Box<UnreleasedUpdate<Stream>>) {
///     agent.drawn(now, key, Ok(seeded)).unwrap();
/// }
/// ```
pub trait Holdings {
    /// Where noise and draw of its updates come from.
    type Source: Source;

    /// The owner's, as it is now.
    ///
    /// # Errors
    /// When it can't be read.
    fn policy(&self) -> anyhow::Result<Policy>;

    /// New keys for a masked attempt.
    ///
    /// # Errors
    /// When the plan has no masking, or can't be read.
    fn make_keys(
        &mut self,
        announcement: &Announcement,
        shop: &ShopName,
        identity: &SigningKey,
    ) -> anyhow::Result<AttemptKeys>;

    /// Shares of these keys; before them, the shops of `roster` whose key is another than the owner confirmed.
    ///
    /// # Errors
    /// When it can't be read whose keys the owner has confirmed.
    fn share(
        &mut self,
        keys: &mut AttemptKeys,
        roster: Roster,
        identity: &SigningKey,
    ) -> anyhow::Result<(Vec<ShopName>, Result<Shares, MaskError>)>;

    /// As [`Attempts::charge`].
    ///
    /// # Errors
    /// When the spend may not be durable.
    fn charge(&mut self, update: &mut UnreleasedUpdate<Self::Source>, now: Timestamp) -> anyhow::Result<()>;

    /// As [`Attempts::finish`].
    ///
    /// # Errors
    /// When it was not charged, its masks are missing, or it can't be stored.
    fn put_in_outbox(
        &mut self,
        key: AttemptKey,
        update: UnreleasedUpdate<Self::Source>,
        masks: Option<(&UnmaskSecrets, Masks)>,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> anyhow::Result<Pending>;

    /// Where what the shop has to remember is kept; none: nowhere, for it does not outlive its process.
    fn store(&self) -> Option<&Store>;
}

/// Makes the keys of a masked attempt. A shop's are [`fresh_keys`]; a simulation that checks whether used keys would be
/// noticed has others.
pub type KeyMaker =
    Box<dyn FnMut(Context, MaskingParams, &ShopName, &SigningKey) -> anyhow::Result<AttemptKeys> + Send>;

/// New keys for every attempt, from the operating system's entropy.
pub fn fresh_keys() -> KeyMaker {
    Box::new(|context, terms, shop, identity| {
        Ok(AttemptKeys::begin(
            context,
            terms,
            shop,
            identity,
            &mut secret_stream()?,
        ))
    })
}

/// A shop's folder.
pub struct OnDisk {
    pub(super) folder: Folder,
    pub(super) store: Arc<Store>,
    pub(super) workshop: Arc<Attempts>,
    pub(super) keys: KeyMaker,
}

impl Holdings for OnDisk {
    type Source = Secret;

    fn policy(&self) -> anyhow::Result<Policy> {
        Ok(Policy::from(&ShopConfig::load(&self.folder)?))
    }

    fn make_keys(
        &mut self,
        announcement: &Announcement,
        shop: &ShopName,
        identity: &SigningKey,
    ) -> anyhow::Result<AttemptKeys> {
        let (context, terms) = self.workshop.masking_of(announcement)?;
        (self.keys)(context, terms, shop, identity)
    }

    fn share(
        &mut self,
        keys: &mut AttemptKeys,
        roster: Roster,
        identity: &SigningKey,
    ) -> anyhow::Result<(Vec<ShopName>, Result<Shares, MaskError>)> {
        let owner = KnownShops::from(&ShopConfig::load(&self.folder)?);
        let changed = owner.changed_in(&roster);
        let shares = keys.share(roster, &owner, identity, &mut secret_stream()?);
        Ok((changed, shares))
    }

    fn charge(&mut self, update: &mut UnreleasedUpdate<Secret>, now: Timestamp) -> anyhow::Result<()> {
        self.workshop.charge(update, now)
    }

    fn put_in_outbox(
        &mut self,
        key: AttemptKey,
        update: UnreleasedUpdate<Secret>,
        masks: Option<(&UnmaskSecrets, Masks)>,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> anyhow::Result<Pending> {
        self.workshop.finish(key, update, masks, due, now)
    }

    fn store(&self) -> Option<&Store> {
        Some(&self.store)
    }
}

//! A shop's machine, with its users, ledger and outbox in memory.

use std::sync::Arc;

use anyhow::Context as _;
use rand::RngExt;
use souk_client::masking::AttemptKeys;
use souk_client::participate::{
    AttemptKey, Consideration, Event, Machine, MaskingOffered, Memory, Pending, Policy,
};
use souk_client::training::round_update::{Customers, RoundUpdate, Vectors, round_update};
use souk_common::accountant::Composition;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{Signed, SigningKey};
use souk_common::ids::ShopName;
use souk_common::model::{Loaded, Recommender};
use souk_common::params::Epsilon;
use souk_common::plan::{Plan, ShopTerms};
use souk_common::privacy::{Charged, Ledger, MemorySink, Spend, Tally};
use souk_common::rng::{Stream, stream};
use souk_common::round::statements::{Announcement, UploadHeader};
use souk_common::secagg::{
    Binding, Confirmation, Confirmed, Context, DeliveredShare, MaskingParams, Revealed, Roster, Shares,
    UnmaskSecrets,
};
use souk_common::update::Grid;
use souk_common::wire::update;
use souk_coordinator::masking::MaskedWord;

use super::Members;
use super::masked::Everybody;

/// A shop.
pub(super) struct Shop {
    pub(super) name: ShopName,
    pub(super) machine: Machine,
    pub(super) connected: bool,
    terms: ShopTerms,
    members: Members,
    vectors: Vectors,
    grid: Grid,
    update_bytes: u64,
    ledger: Ledger<MemorySink>,
    secret: Stream,
    draw: Option<(AttemptKey, Draw)>,
    outbox: Option<(Pending, Vec<u8>)>,
    offered: Option<UploadHeader>,
    tally: Tally,
    bytes_sent: u64,
    identity: SigningKey,
    masker: Option<AttemptKeys>,
    masking: Option<(AttemptKey, UnmaskSecrets)>,
    signed: Option<Signed<Confirmation>>,
}

struct Draw {
    update: RoundUpdate<Stream>,
    spend: Spend,
    charged: Option<Charged>,
}

impl Shop {
    pub(super) fn new(
        members: Members,
        plan: &Plan,
        recommender: &Arc<Recommender>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let name = members.name.clone();
        let terms = plan
            .terms_of(&name)
            .with_context(|| format!("the plan does not name {name}"))?
            .clone();
        let coordinates = recommender.layout().len();
        let grid = plan.grid(coordinates)?;
        let policy = Policy {
            // Simulations find out what a plan costs: nothing is declined for it.
            max_epsilon: Epsilon::new(f64::MAX)?,
            delta: plan.privacy.delta,
            min_noise_multiplier: None,
            allow_no_privacy: true,
            paused: false,
            max_upload_bytes_per_day: None,
            require_masking: false,
            min_masked_shops: None,
            min_colluding: None,
            min_neighbours: None,
            known_shops: usize::MAX,
        };
        Ok(Self {
            machine: Machine::new(policy, Memory::default()),
            connected: false,
            terms,
            vectors: vec![None; members.dataset.len()],
            members,
            grid,
            update_bytes: plan.update_bytes(coordinates),
            ledger: Ledger::open(MemorySink::default(), &[], &name, Timestamp(0))?,
            secret: stream(seed, &format!("shop {name}")),
            draw: None,
            outbox: None,
            offered: None,
            tally: Tally::default(),
            bytes_sent: 0,
            identity: SigningKey::from_bytes(&stream(seed, &format!("identity of {name}")).random()),
            masker: None,
            masking: None,
            signed: None,
            name,
        })
    }

    pub(super) fn consider(&self, plan: &Plan, announcement: &Announcement) -> Event {
        let spend = Spend::of_attempt(plan, announcement.plan, announcement.id);
        let costs = Consideration::Costs {
            noise_multiplier: spend.noise_multiplier,
            // Not asked for: see the policy.
            epsilon_after: Epsilon::new(0.0).ok(),
            upload_bytes: self.update_bytes,
            uploaded_today_bytes: 0,
            masking: MaskingOffered::of(plan),
            upload_after: plan.cohort.upload_after,
        };
        Event::Considered(AttemptKey::from(announcement), costs)
    }

    pub(super) fn compute(
        &mut self,
        plan: &Plan,
        model: &Loaded,
        announcement: &Announcement,
    ) -> anyhow::Result<Event> {
        let customers = Customers {
            dataset: &self.members.dataset,
            vectors: &self.vectors,
            forbidden: &self.members.forbidden,
        };
        let mut update = round_update(model, customers, plan, &self.grid, &self.terms, &mut self.secret);
        for (user, vector) in update.vectors.drain(..) {
            self.vectors[user] = Some(vector);
        }
        self.tally.merge(update.sum.tally());
        let key = AttemptKey::from(announcement);
        let draw = Draw {
            update,
            spend: Spend::of_attempt(plan, announcement.plan, announcement.id),
            charged: None,
        };
        self.draw = Some((key, draw));
        Ok(Event::Computed(key))
    }

    pub(super) fn record_spend(&mut self, key: AttemptKey, now: Timestamp) -> anyhow::Result<Event> {
        let Some((_, draw)) = self.draw.as_mut().filter(|(drawn_for, _)| *drawn_for == key) else {
            return Ok(Event::Failed(key));
        };
        draw.charged = Some(self.ledger.charge(draw.spend.clone(), now)?);
        Ok(Event::SpendRecorded(key))
    }

    pub(super) fn put_in_outbox(&mut self, key: AttemptKey) -> anyhow::Result<Event> {
        let Some((_, draw)) = self.draw.take().filter(|(drawn_for, _)| *drawn_for == key) else {
            return Ok(Event::Failed(key));
        };
        let charged = draw.charged.context("the draw was not charged")?;
        let masks = self.masker.take().and_then(|mut masker| masker.take());
        let sum = draw.update.sum;
        let released = match masks {
            Some((masking, masks)) => {
                self.masking = Some((key, masking));
                sum.finish_masked(&charged, masks)?
            }
            None => sum.finish(&charged)?,
        };
        let bytes = update::encode(&released);
        let header = UploadHeader::of(key.id, &bytes, charged.head());
        let bound = self.masking.as_ref().filter(|(of, _)| *of == key);
        let pending = Pending {
            key,
            header,
            binding: bound.map(|(_, masking)| masking.binding()),
            due: self.machine.upload_due(key),
        };
        self.outbox = Some((pending, bytes));
        Ok(Event::InOutbox(pending))
    }

    pub(super) fn make_keys(&mut self, context: Context, terms: MaskingParams) {
        let masker = AttemptKeys::begin(context, terms, &self.name, &self.identity, &mut self.secret);
        self.masker = Some(masker);
    }

    pub(super) fn advertisement(&self, key: AttemptKey) -> Option<MaskedWord> {
        let masker = self.masker.as_ref().filter(|masker| masker.key() == key)?;
        let keys = Box::new(masker.advertisement().clone());
        Some(MaskedWord::Keys(self.identity.public(), keys))
    }

    pub(super) fn share(&mut self, key: AttemptKey, roster: Roster) -> Option<Shares> {
        let masker = self.masker.as_mut().filter(|masker| masker.key() == key)?;
        let (owner, secret) = (&Everybody, &mut self.secret);
        masker.share(roster, owner, &self.identity, secret).ok()
    }

    pub(super) fn check(&mut self, key: AttemptKey, shares: &[DeliveredShare]) -> Option<Vec<u32>> {
        let masker = self.masker.as_mut().filter(|masker| masker.key() == key)?;
        masker.check(shares).ok()
    }

    pub(super) fn make_masks(&mut self, key: AttemptKey, sharers: Vec<u32>) -> bool {
        let masker = self.masker.as_mut().filter(|masker| masker.key() == key);
        masker.is_some_and(|masker| masker.mask(sharers, &self.identity).is_ok())
    }

    pub(super) fn confirm(&mut self, key: AttemptKey, survivors: &[u32], bindings: &[Binding]) -> bool {
        let stored = self.masking.as_mut().filter(|(stored, _)| *stored == key);
        let signed = |masking: &mut UnmaskSecrets| masking.confirm(survivors, bindings, &self.identity).ok();
        self.signed = stored.and_then(|(_, masking)| signed(masking));
        self.signed.is_some()
    }

    pub(super) fn confirmation(&self, key: AttemptKey) -> Option<Signed<Confirmation>> {
        self.signed.clone().filter(|signed| signed.body.id == key.id)
    }

    pub(super) fn reveal(&self, key: AttemptKey, confirmed: &[Confirmed]) -> Option<Vec<Revealed>> {
        let (_, masking) = self.masking.as_ref().filter(|(stored, _)| *stored == key)?;
        masking.reveal(confirmed).ok()
    }

    pub(super) fn erase(&mut self, key: AttemptKey) {
        self.masking.take_if(|(stored, _)| *stored == key);
        self.signed = None;
    }

    pub(super) fn discard(&mut self, key: AttemptKey) {
        self.masker.take_if(|masker| masker.key() == key);
        self.draw.take_if(|(drawn_for, _)| *drawn_for == key);
    }

    pub(super) fn offer(&mut self, upload: UploadHeader) {
        self.offered = Some(upload);
        self.bytes_sent += upload.len_bytes;
    }

    /// What was offered and not yet answered; it is on its way no more.
    pub(super) fn abort_upload(&mut self) -> Vec<UploadHeader> {
        self.offered.take().into_iter().collect()
    }

    /// The bytes that arrived for `upload`.
    pub(super) fn uploaded(&self, upload: &UploadHeader) -> Option<&[u8]> {
        let (pending, bytes) = self.outbox.as_ref()?;
        (pending.header == *upload).then_some(bytes)
    }

    pub(super) fn empty_outbox(&mut self) {
        (self.outbox, self.offered) = (None, None);
    }

    pub(super) fn spends(&self) -> Composition {
        self.ledger.chain().composition(None)
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }
}

//! A shop: the production agent, with its users, ledger and outbox in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rand::RngExt;
use souk_client::agent::{Agent, Holdings};
use souk_client::folder::Folder;
use souk_client::link::requests::{Begin, Exchange, Outgoing, Voice};
use souk_client::masking::{AttemptKeys, MaskError};
use souk_client::participate::{AttemptKey, Consideration, MaskingOffered, Memory, Pending, Policy};
use souk_client::store::Store;
use souk_client::training::UnreleasedUpdate;
use souk_client::training::release_update::release_update;
use souk_client::training::round_update::{Customers, Vectors, round_update};
use souk_client::training::training_update::TrainingCache;
use souk_common::accountant::Composition;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{Digest, ShopName};
use souk_common::learned::Learner;
use souk_common::params::Epsilon;
use souk_common::plan::{Plan, ShopTerms};
use souk_common::privacy::{Ledger, MemorySink, Spend, Tally};
use souk_common::rng::{Stream as Seeded, stream};
use souk_common::round::statements::Announcement;
use souk_common::secagg::{Context, KnownKeys, Masks, Roster, Shares, UnmaskSecrets};
use souk_common::transport::PeerIdentity;
use souk_common::update::Grid;
use souk_common::wire::messages::Request;

use super::drift::Drift;
use super::saved::SavedShop;
use super::{Members, Out};
use crate::cluster::coordinator::Stream;

/// A shop.
pub(super) struct Shop {
    pub(super) agent: Agent<InMemory>,
    pub(super) voice: Voice,
    pub(super) peer: PeerIdentity,
    pub(super) connected: bool,
    /// Counts connections.
    pub(super) link: u64,
    /// Questions that are not answered, by their streams.
    pub(super) asked: BTreeMap<u64, Exchange>,
    pub(super) bytes_sent: u64,
    streams: u64,
}

/// What its agent works with. Its draws are of a seed, and their type says so.
pub(super) struct InMemory {
    learner: Arc<Learner>,
    terms: ShopTerms,
    members: Members,
    vectors: Vectors,
    cache: TrainingCache,
    ledger: Ledger<MemorySink>,
    secret: Seeded,
    outbox: Vec<u8>,
    pub(super) tally: Tally,
    drift: Option<Drift>,
}

/// The plan of a round and its grid: the same for all shops, and worked out once.
pub(super) struct RoundTerms {
    pub(super) plan: Plan,
    pub(super) grid: Grid,
    /// Of what the round sums.
    pub(super) coordinates: usize,
}

impl Shop {
    pub(super) fn new(
        members: Members,
        learner: &Arc<Learner>,
        (words_key, drift): ([u8; 32], Option<Drift>),
        saved: Option<&SavedShop>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let name = members.name.clone();
        let plan = learner.plan();
        let terms = plan
            .terms_of(&name)
            .with_context(|| format!("the plan does not name {name}"))?
            .clone();
        let mut secret = stream(seed, &format!("shop {name}"));
        let mut vectors = vec![None; members.dataset.len()];
        let (mut ledger, mut memory, mut tally, mut bytes_sent) =
            (Vec::new(), Memory::default(), Tally::default(), 0);
        if let Some(saved) = saved {
            ensure!(
                saved.vectors.len() <= vectors.len(),
                "{name} has other customers than it had"
            );
            secret.set_word_pos(saved.position);
            vectors[..saved.vectors.len()].clone_from_slice(&saved.vectors);
            (ledger, memory) = (saved.ledger.clone().into_bytes(), saved.memory());
            (tally, bytes_sent) = (saved.tally(), saved.bytes_sent);
        }
        let existing = ledger.clone();
        let holdings = InMemory {
            terms,
            vectors,
            cache: TrainingCache::default(),
            members,
            ledger: Ledger::open(MemorySink(ledger), &existing, &name, Timestamp(0))?,
            secret,
            outbox: Vec::new(),
            tally,
            drift,
            learner: Arc::clone(learner),
        };
        memory.spent = holdings.spent();
        let key = || SigningKey::from_bytes(&stream(seed, &format!("identity of {name}")).random());
        let (policy, member) = (holdings.policy()?, (name.clone(), key(), words_key));
        Ok(Self {
            agent: Agent::with(holdings, member, policy, memory, None),
            voice: Voice::of(name.clone(), words_key, key()),
            peer: PeerIdentity {
                fingerprint: Digest::ZERO,
                identity: key().public(),
                shop: name,
            },
            connected: false,
            link: 0,
            asked: BTreeMap::new(),
            bytes_sent,
            streams: 0,
        })
    }

    /// Its users, for another program of the same shop.
    pub(super) fn into_members(mut self) -> Members {
        let members = &mut self.agent.holdings().members;
        Members {
            name: members.name.clone(),
            dataset: std::mem::take(&mut members.dataset),
            forbidden: std::mem::take(&mut members.forbidden),
        }
    }

    /// A new stream of its connection; this shop's place is `at`.
    pub(super) fn stream(&mut self, at: usize) -> Stream {
        self.streams += 1;
        Stream {
            shop: at,
            link: self.link,
            number: self.streams,
        }
    }

    /// The question that `what` begins with; none without a connection.
    pub(super) fn ask(
        &mut self,
        at: usize,
        now: Timestamp,
        what: Outgoing,
    ) -> anyhow::Result<Option<(Stream, Box<Request>)>> {
        if !self.connected {
            return Ok(None);
        }
        let mut exchange = Exchange::new(what);
        self.bytes_sent += exchange.header().map_or(0, |header| header.len_bytes);
        // Only blobs take a folder.
        let Begin::Ask(request, _) = exchange.begin(&self.voice, &Folder::new(""), now)? else {
            return Ok(None);
        };
        let stream = self.stream(at);
        self.asked.insert(stream.number, exchange);
        Ok(Some((stream, request)))
    }
}

impl InMemory {
    pub(super) fn consider(&self, terms: &RoundTerms, announcement: &Announcement) -> Consideration {
        let plan = &terms.plan;
        Consideration::Costs {
            noise_multiplier: Spend::of_attempt(plan, announcement.plan, announcement.id).noise_multiplier,
            // Not asked for: see the policy.
            epsilon_after: Epsilon::new(0.0).ok(),
            declared_users: 0,
            upload_bytes: plan.update_bytes(terms.coordinates),
            uploaded_today_bytes: 0,
            masking: MaskingOffered::of(plan),
            upload_after: plan.cohort.upload_after,
        }
    }

    pub(super) fn draw(
        &mut self,
        out: &Out,
        RoundTerms { plan, grid, .. }: &RoundTerms,
        announcement: &Announcement,
    ) -> anyhow::Result<UnreleasedUpdate<Seeded>> {
        let round = announcement.id.round;
        let seen = self.drift.map(|drift| drift.seen(&self.members.dataset, round));
        if seen.is_some() {
            // Of other histories.
            self.cache = TrainingCache::default();
        }
        let dataset = seen.as_ref().unwrap_or(&self.members.dataset);
        let model = match out {
            Out::Model { loaded, .. } => loaded,
            Out::Releases(learned) => {
                let sum = release_update(
                    (&self.learner, learned),
                    round,
                    dataset,
                    (plan, grid, &self.terms),
                    &mut self.cache,
                    &mut self.secret,
                )?;
                self.tally.merge(sum.tally());
                return Ok(UnreleasedUpdate::new(plan, announcement, sum, Vec::new()));
            }
        };
        let customers = Customers {
            dataset,
            vectors: &self.vectors,
            forbidden: &self.members.forbidden,
        };
        let update = round_update(model, customers, plan, grid, &self.terms, &mut self.secret);
        for (user, vector) in update.vectors {
            self.vectors[user] = Some(vector);
        }
        self.tally.merge(update.sum.tally());
        Ok(UnreleasedUpdate::new(plan, announcement, update.sum, Vec::new()))
    }

    /// What is needed to go on from here: see [`SavedShop`].
    pub(super) fn saved(&self, memory: &Memory, bytes_sent: u64) -> SavedShop {
        SavedShop {
            ledger: String::from_utf8_lossy(&self.ledger.sink().0).into_owned(),
            heads: memory.heads.clone(),
            announced: memory.announced,
            model: memory.model,
            vectors: match self.vectors.iter().all(Option::is_none) {
                true => Vec::new(),
                false => self.vectors.clone(),
            },
            position: self.secret.get_word_pos(),
            users: self.tally.users,
            clipped: self.tally.clipped,
            longest: self.tally.longest,
            bytes_sent,
        }
    }

    /// Every attempt that the ledger was charged for.
    fn spent(&self) -> BTreeSet<AttemptKey> {
        let key = |spend: &Spend| AttemptKey {
            plan: spend.plan,
            id: spend.id(),
        };
        let spends = self.ledger.chain().spends();
        spends.map(|(_, spend)| key(spend)).collect()
    }

    /// Nobody asks for the finished update any more.
    pub(super) fn empty_outbox(&mut self) {
        self.outbox = Vec::new();
    }

    pub(super) fn outbox_from(&self, from: u64) -> Vec<u8> {
        self.outbox.get(from as usize..).unwrap_or_default().to_vec()
    }

    pub(super) fn spends(&self) -> Composition {
        self.ledger.chain().composition(None)
    }
}

impl Holdings for InMemory {
    type Source = Seeded;

    fn policy(&self) -> anyhow::Result<Policy> {
        Ok(Policy {
            // Simulations find out what a plan costs: nothing is declined for it.
            max_epsilon: Epsilon::new(f64::MAX)?,
            delta: self.learner.plan().privacy.delta,
            min_noise_multiplier: None,
            allow_no_privacy: true,
            paused: false,
            max_upload_bytes_per_day: None,
            require_masking: false,
            min_masked_shops: None,
            min_colluding: None,
            min_neighbours: None,
            known_shops: usize::MAX,
        })
    }

    fn make_keys(
        &mut self,
        announcement: &Announcement,
        shop: &ShopName,
        identity: &SigningKey,
    ) -> anyhow::Result<AttemptKeys> {
        let terms = self
            .learner
            .plan()
            .masking_params()
            .context("a plan without masks")?;
        let context = Context {
            id: announcement.id,
            plan: announcement.plan,
            model: announcement.model,
        };
        let keys = AttemptKeys::begin(context, terms, shop, identity, &mut self.secret);
        Ok(keys)
    }

    fn share(
        &mut self,
        keys: &mut AttemptKeys,
        roster: Roster,
        identity: &SigningKey,
    ) -> anyhow::Result<(Vec<ShopName>, Result<Shares, MaskError>)> {
        let shares = keys.share(roster, &Everybody, identity, &mut self.secret);
        Ok((Vec::new(), shares))
    }

    fn charge(&mut self, update: &mut UnreleasedUpdate<Seeded>, now: Timestamp) -> anyhow::Result<()> {
        Ok(update.charge(&mut self.ledger, now)?)
    }

    fn put_in_outbox(
        &mut self,
        key: AttemptKey,
        update: UnreleasedUpdate<Seeded>,
        masks: Option<(&UnmaskSecrets, Masks)>,
        due: Option<Timestamp>,
        _: Timestamp,
    ) -> anyhow::Result<Pending> {
        let (pending, bytes) = update.finish(key, masks, due)?;
        self.outbox = bytes;
        Ok(pending)
    }

    fn store(&self) -> Option<&Store> {
        None
    }
}

/// Every shop of a simulation knows every other.
pub(crate) struct Everybody;

impl KnownKeys for Everybody {
    fn knows(&self, _: &ShopName, _: &Digest) -> bool {
        true
    }

    fn least_shops(&self) -> usize {
        0
    }
}

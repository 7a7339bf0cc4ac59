//! The coordinator's machine, with its model, sum and record in memory.

use std::sync::Arc;

use anyhow::Context as _;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::model::file::{self, ModelMeta};
use souk_common::model::init::initial_parameters;
use souk_common::model::{Loaded, Recommender};
use souk_common::plan::Plan;
use souk_common::round::statements::{Announcement, Manifest, Outcome, Receipt, UploadHeader};
use souk_common::secagg::{Binding, Context, MaskingParams, Misfit};
use souk_common::update::Counts;
use souk_coordinator::aggregate::Aggregator;
use souk_coordinator::masking::{MaskedAttempt, MaskedWord};
use souk_coordinator::round::{Effect, Event, Machine, Restored, Rules, without_model};

/// The coordinator.
pub(super) struct Operator {
    machine: Machine,
    aggregator: Aggregator,
    recommender: Arc<Recommender>,
    params: Vec<f32>,
    model_bytes: u64,
    manifest: Manifest,
    /// The broadcast model, set up.
    loaded: Option<Arc<Loaded>>,
    deadline: Timestamp,
    log: LogHead,
    abandoned: u64,
    updates: u64,
    terms: Option<MaskingParams>,
    masked: Option<MaskedAttempt>,
    counts: Option<Counts>,
}

impl Operator {
    pub(super) fn new(
        plan: &Plan,
        catalogue: Digest,
        recommender: &Arc<Recommender>,
    ) -> anyhow::Result<Self> {
        let layout = recommender.layout();
        let aggregator = Aggregator::new(plan, layout.len())?;
        let update_bytes = plan.update_bytes(layout.len());
        let params = initial_parameters(&plan.model, &plan.train, layout, plan.seed);
        let plan_digest = plan.digest();
        let mut operator = Self {
            machine: Machine::new(Rules::of(plan, vec![update_bytes]), Restored::default()),
            aggregator,
            recommender: Arc::clone(recommender),
            params,
            model_bytes: 0,
            manifest: Manifest {
                id: AttemptId { round: 0, attempt: 1 },
                model: Digest::ZERO,
                parent: Digest::ZERO,
                plan: plan_digest,
                catalogue,
                updates: Vec::new(),
                published_at: Timestamp(0),
            },
            loaded: None,
            deadline: Timestamp(0),
            log: LogHead {
                length: 0,
                head: Digest::ZERO,
            },
            abandoned: 0,
            updates: 0,
            terms: plan.masking_params(),
            masked: None,
            counts: None,
        };
        operator.name_model();
        operator.record(b"initial");
        Ok(operator)
    }

    pub(super) fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.machine.handle(now, event)
    }

    pub(super) fn open(&mut self, id: AttemptId, deadline: Timestamp) {
        self.deadline = deadline;
        let context = Context {
            id,
            plan: self.manifest.plan,
            model: self.manifest.model,
        };
        self.masked = self.terms.map(|terms| MaskedAttempt::new(terms, context));
        self.record(format!("open {id}").as_bytes());
    }

    pub(super) fn announcement(&self, id: AttemptId) -> Announcement {
        Announcement {
            id,
            plan: self.manifest.plan,
            catalogue: self.manifest.catalogue,
            model: self.manifest.model,
            deadline: self.deadline,
            log: self.log,
        }
    }

    pub(super) fn receipt(&self, shop: ShopName, upload: UploadHeader, now: Timestamp) -> Receipt {
        Receipt {
            shop,
            upload,
            stored_at: now,
            log: self.log,
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let added = self.aggregator.accumulator().add_bytes_at(0, bytes);
        added.context("an update of another plan")
    }

    pub(super) fn publish(
        &mut self,
        id: AttemptId,
        accepted: Vec<(ShopName, Digest)>,
        now: Timestamp,
    ) -> Outcome {
        self.masked = None;
        self.counts = self.aggregator.counts(accepted.len());
        self.aggregator
            .step(&mut self.params, accepted.iter().map(|(shop, _)| shop));
        self.updates += accepted.len() as u64;
        self.loaded = None;
        self.manifest = Manifest {
            id,
            parent: self.manifest.model,
            updates: accepted,
            published_at: now,
            ..self.manifest.clone()
        };
        self.name_model();
        self.record(format!("published {id}").as_bytes());
        Outcome::Published(self.manifest.clone())
    }

    /// The open attempt's masks.
    pub(super) fn masked(&mut self) -> Option<&mut MaskedAttempt> {
        self.masked.as_mut()
    }

    /// Takes in a shop's word for a masked attempt; none if it does not fit.
    pub(super) fn take_in(&mut self, shop: ShopName, word: MaskedWord) -> Option<Event> {
        self.masked.as_mut()?.take_in(shop, word).ok()
    }

    /// Takes in the signature that goes with a masked update.
    pub(super) fn bind(&mut self, shop: &ShopName, binding: Binding) {
        if let Some(Err(misfit)) = self.masked.as_mut().map(|masked| masked.bind(shop, binding)) {
            tracing::warn!(%shop, %misfit, "an update is not bound to this attempt's lists");
        }
    }

    /// Takes the masks off the sum, if it has any.
    pub(super) fn unmask(&mut self) -> Result<(), Misfit> {
        // Shops of a simulation do not lie.
        self.aggregator.unmask(self.masked.as_ref()).map(|_| ())
    }

    /// Quality counts of the round that was published last.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.counts
    }

    pub(super) fn abandon(
        &mut self,
        accepted: usize,
        quorum: usize,
        unmasking: Option<(usize, usize)>,
    ) -> Outcome {
        self.masked = None;
        self.aggregator.abandon();
        self.abandoned += 1;
        self.record(b"abandoned");
        without_model(accepted, quorum, unmasking)
    }

    /// The broadcast model, made by `load` when it is new.
    pub(super) fn loaded(&mut self, load: impl FnOnce(Vec<f32>) -> Loaded) -> Arc<Loaded> {
        let params = &self.params;
        Arc::clone(self.loaded.get_or_insert_with(|| Arc::new(load(params.clone()))))
    }

    pub(super) fn published(&self) -> u64 {
        self.machine.published()
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn params(&self) -> &[f32] {
        &self.params
    }

    pub(super) fn into_params(self) -> Vec<f32> {
        self.params
    }

    pub(super) fn model_bytes(&self) -> u64 {
        self.model_bytes
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned
    }

    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// The model's file, as it would travel, names it.
    fn name_model(&mut self) {
        let meta = ModelMeta {
            round: self.manifest.id.round,
            plan: self.manifest.plan,
        };
        let bytes = file::encode(&self.params, self.recommender.layout(), &meta);
        self.model_bytes = bytes.len() as u64;
        self.manifest.model = Digest::of(&bytes);
    }

    fn record(&mut self, what: &[u8]) {
        let chained = [&self.log.head.0[..], what].concat();
        self.log = LogHead {
            length: self.log.length + 1,
            head: Digest::of(&chained),
        };
    }
}

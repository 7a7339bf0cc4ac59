//! One round as an adversary meets it: what shops let out, by their own code from records to integers, and what is published.

use anyhow::{Context, bail};
use souk_client::training::release_update::release_update;
use souk_client::training::round_update::{Customers, round_update};
use souk_client::training::training_update::TrainingCache;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::AttemptId;
use souk_common::learned::{Learned, Learner};
use souk_common::model::{Loaded, Recommender};
use souk_common::params::{ClipNorm, NoiseMultiplier, SamplingRate};
use souk_common::plan::{Placement, Plan, PrivacyPlan};
use souk_common::privacy::{Charged, Ledger, MemorySink, Spend};
use souk_common::rng::{Stream, stream};
use souk_common::storage::blobs::{Blobs, MemoryBlobs};
use souk_common::update::{Grid, ModulusBits, UpdateValues};
use souk_coordinator::aggregate::Aggregator;
use souk_coordinator::aggregate::rules::StoredParts;

use crate::audit::findings::Protections;
use crate::audit::mechanism::{add, little_endian};
use crate::data::known::Known;
use crate::data::plans::names;
use crate::world::members_of;

/// A round that follows on what was published.
pub(super) struct ObservedRound {
    learner: Learner,
    learned: Learned,
    model: Option<Loaded>,
    round: u64,
    /// For this round.
    plan: Plan,
    grid: Grid,
    /// An auditor's look at a shop's sum: it passes the gate as a sum without any promise does.
    opened: Charged,
}

impl ObservedRound {
    /// Round `round`, from 1, of `plan`, on what was `learned` before.
    ///
    /// # Errors
    /// When there is no grid for the round, or nothing is left of the budget for it.
    pub(super) fn new(
        plan: &Plan,
        catalogue: &Catalogue,
        learned: &Learned,
        round: u64,
    ) -> anyhow::Result<Self> {
        let learner = Learner::new(plan, catalogue);
        let (plan, grid) = learner.round(learned, round)?;
        let model = match learned {
            Learned::Model(params) => {
                let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
                Some(recommender.load(params.clone()).in_round(round - 1, plan.rounds))
            }
            Learned::Releases(_) => None,
        };
        let bare = Plan {
            masking: None,
            privacy: PrivacyPlan {
                enabled: false,
                noise_multiplier: None,
                placement: Placement::Local,
                ..plan.privacy.clone()
            },
            ..plan.clone()
        };
        let shop = &plan.shops.first().context("a plan names its shops")?.name;
        let mut ledger = Ledger::open(MemorySink::default(), &[], shop, Timestamp(0))?;
        let spend = Spend::of_attempt(&bare, bare.digest(), AttemptId { round, attempt: 1 });
        let opened = ledger.charge(spend, Timestamp(0))?;
        Ok(Self {
            learned: learned.clone(),
            learner,
            model,
            round,
            plan,
            grid,
            opened,
        })
    }

    /// The model that is out; none of releases.
    pub(super) fn model(&self) -> Option<&Loaded> {
        self.model.as_ref()
    }

    /// How many items the catalogue has.
    pub(super) fn items(&self) -> usize {
        self.learner.items()
    }

    /// The plan of this round.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// z of the round, as it is charged; none without noise.
    pub(super) fn noise_multiplier(&self) -> Option<f64> {
        self.plan.charged_noise_multiplier().map(|z| z.get())
    }

    /// Standard deviation of one shop's noise, in the vector's own units; 0 without noise.
    pub(super) fn noise_of_a_shop(&self) -> f64 {
        self.grid.noise_stddev.ceil() / self.grid.scale()
    }

    /// What the shop at `place` of the plan adds for these customers, with its noise, in the vector's own units.
    ///
    /// # Errors
    /// When what is published is none of the plan's.
    pub(super) fn shop(
        &self,
        place: usize,
        dataset: &Dataset,
        source: &mut Stream,
    ) -> anyhow::Result<Vec<f64>> {
        let scale = self.grid.scale().recip();
        let mut values: Vec<f64> = match self.integers(place, dataset, source)? {
            UpdateValues::B32(values) => values
                .iter()
                .map(|value| f64::from(*value as i32) * scale)
                .collect(),
            UpdateValues::B64(values) => values
                .iter()
                .map(|value| (*value as i64) as f64 * scale)
                .collect(),
        };
        // Quality counts travel behind it.
        values.truncate(self.learner.coordinates(self.round));
        Ok(values)
    }

    /// What `shops` shops of no customer add together: their noise.
    ///
    /// # Errors
    /// As [`Self::shop`].
    pub(super) fn nobody(&self, shops: usize, source: &mut Stream) -> anyhow::Result<Vec<f64>> {
        let mut sum = vec![0.0; self.learner.coordinates(self.round)];
        for shop in 0..shops {
            let part = self.shop(shop % self.plan.shops.len(), &Dataset::default(), source)?;
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        Ok(sum)
    }

    fn integers(&self, place: usize, dataset: &Dataset, source: &mut Stream) -> anyhow::Result<UpdateValues> {
        let terms = self.plan.shops.get(place).context("a shop of the plan")?;
        let sum = match &self.model {
            Some(model) => {
                let customers = Customers {
                    dataset,
                    vectors: &[],
                    forbidden: &[],
                };
                round_update(model, customers, &self.plan, &self.grid, terms, source).sum
            }
            None => release_update(
                (&self.learner, &self.learned),
                self.round,
                dataset,
                (&self.plan, &self.grid, terms),
                &mut TrainingCache::default(),
                source,
            )?,
        };
        Ok(sum.finish(&self.opened)?.into_inner().values)
    }
}

/// What `plan` publishes before each of its first rounds and after the last of them, `rounds` + 1 in all, from all customers of all
/// shops: the shops' code, the coordinator's sum and step. Masks cancel in the sum, and are left out.
///
/// # Errors
/// When the plan does not fit the shops.
pub(super) fn published(plan: &Plan, known: &Known, rounds: u64, seed: u64) -> anyhow::Result<Vec<Learned>> {
    let learner = Learner::new(plan, &known.catalogue);
    let members = members_of(&known.dataset, &[], &known.shop_of, &names(plan));
    let mut states = vec![learner.initial()];
    let mut remembered = None;
    for round in 1..=rounds {
        let mut learned = states[states.len() - 1].clone();
        let observed = ObservedRound::new(plan, &known.catalogue, &learned, round)?;
        let mut aggregator = Aggregator::for_round(&learner, &learned, round, remembered.take())?;
        let (mut parts, blobs) = (Vec::new(), MemoryBlobs::new(None));
        for (place, shop) in members.iter().enumerate() {
            let mut source = stream(seed, &format!("published {round} {}", shop.name));
            let values = observed.integers(place, &shop.dataset, &mut source)?;
            add(aggregator.accumulator(), &values)?;
            parts.push((shop.name.clone(), blobs.put(&little_endian(&values))?));
        }
        let id = AttemptId { round, attempt: 1 };
        let accepted = &names(plan);
        let parts = StoredParts {
            accepted: &parts,
            blobs: &blobs,
        };
        aggregator.learn(&learner, &mut learned, id, accepted, &parts)?;
        if !plan.is_of_releases() {
            remembered = Some(aggregator.optimiser().state().clone());
        }
        states.push(learned);
    }
    Ok(states)
}

/// The plan under some of its protections. Without its clip the noise stays as wide as it was. A release has no clip to take off: a
/// customer's vector is made at length 1.
///
/// # Errors
/// When the numbers would be out of range.
pub(super) fn under(plan: &Plan, protections: Protections) -> anyhow::Result<Plan> {
    let mut plan = plan.clone();
    let privacy = &mut plan.privacy;
    if matches!(protections, Protections::NoNoise | Protections::None) {
        (privacy.enabled, privacy.noise_multiplier) = (false, None);
    }
    if matches!(protections, Protections::NoClip | Protections::None) && plan.release.is_empty() {
        privacy.clip_norm = ClipNorm::new(privacy.clip_norm.get() * WIDER)?;
        privacy.modulus_bits = ModulusBits::B64;
        if let Some(noise) = privacy.noise_multiplier {
            privacy.noise_multiplier = Some(NoiseMultiplier::new((noise.get() / WIDER).max(1e-3))?);
        }
    }
    if matches!(protections, Protections::NoMasks | Protections::None) {
        // A share of the noise stays the share that it was: one shop's update is looked at by itself then.
        plan.masking = plan
            .masking
            .filter(|_| plan.privacy.placement == Placement::Distributed);
    }
    Ok(plan)
}

/// Whether the coordinator sees the sum of all shops alone.
pub(super) fn is_summed(plan: &Plan, protections: Protections) -> bool {
    plan.masking.is_some() && !matches!(protections, Protections::NoMasks | Protections::None)
}

/// A round of `plan` in which everybody is drawn: what the adversary sees of a customer who was.
pub(super) fn with_everybody(mut plan: Plan) -> anyhow::Result<Plan> {
    plan.privacy.sampling_rate = SamplingRate::new(1.0)?;
    if plan.shops.is_empty() {
        bail!("the plan names no shops");
    }
    Ok(plan)
}

/// Times C: no update is longer.
const WIDER: f64 = 512.0;

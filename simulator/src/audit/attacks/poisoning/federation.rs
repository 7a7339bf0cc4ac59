//! A run of a plan with fake customers, or with a shop that sends what it likes, among its shops.
//!
//! Updates, noise, ledgers and sums are those of the programs; there is no network between, and there are no masks, for they
//! cancel from a sum bit for bit.

use anyhow::Context;
use souk_client::participate::AttemptKey;
use souk_client::training::UnreleasedUpdate;
use souk_client::training::release_update::release_update;
use souk_client::training::round_update::{Customers, Vectors, round_update};
use souk_client::training::training_update::TrainingCache;
use souk_common::catalogue::Catalogue;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::learned::{Learned, Learner};
use souk_common::model::{Loaded, Recommender};
use souk_common::params::{NoiseMultiplier, SamplingRate, Weight};
use souk_common::plan::{AggregationPlan, Placement, Plan, ShopTerms};
use souk_common::privacy::{Ledger, MemorySink, UserSum};
use souk_common::release::state::NoisedSum;
use souk_common::rng::{Stream, stream};
use souk_common::round::statements::Announcement;
use souk_common::storage::blobs::{Blobs, MemoryBlobs};
use souk_common::update::{Grid, ModulusBits, UpdateValues};
use souk_coordinator::aggregate::rules::{StoredParts, combine};
use souk_coordinator::aggregate::{Accumulator, Aggregator, OptimiserState, ServerOptimiser};

use crate::world::Members;

/// What is run.
pub(super) struct Federation<'a> {
    pub(super) plan: &'a Plan,
    /// Into how many groups its shops are put; 0: none.
    pub(super) groups: usize,
    pub(super) catalogue: &'a Catalogue,
    /// In the order of the plan's shops.
    pub(super) members: &'a [Members],
    /// A shop that sends, in place of its update, what these customers would add, as many times as the modulus holds.
    pub(super) liar: Option<(usize, &'a Dataset)>,
    /// How many rounds.
    pub(super) rounds: u64,
    /// Of noise and draws.
    pub(super) seed: u64,
}

/// A shop's own.
struct Own {
    vectors: Vectors,
    cache: TrainingCache,
    secret: Stream,
    ledger: Ledger<MemorySink>,
}

/// A round, as all shops are told of it.
struct Round<'a> {
    plan: Plan,
    grid: Grid,
    learner: &'a Learner,
    learned: &'a Learned,
    /// None of releases.
    model: Option<&'a Loaded>,
    announcement: Announcement,
}

impl Federation<'_> {
    /// What is published at the end.
    ///
    /// # Errors
    /// When the plan does not fit its shops.
    pub(super) fn run(&self) -> anyhow::Result<Learned> {
        let plan = self.plan;
        let learner = Learner::new(plan, self.catalogue);
        let recommender = Recommender::new(&plan.model, &plan.train, self.catalogue);
        let mut shops = self
            .members
            .iter()
            .map(|members| {
                Ok(Own {
                    vectors: vec![None; members.dataset.len()],
                    cache: TrainingCache::default(),
                    secret: stream(self.seed, &format!("shop {}", members.name)),
                    ledger: Ledger::open(MemorySink::default(), &[], &members.name, Timestamp(0))?,
                })
            })
            .collect::<anyhow::Result<Vec<Own>>>()?;
        let (mut learned, mut state) = (learner.initial(), None);
        for round in 1..=self.rounds {
            let (of_round, grid) = learner.round(&learned, round)?;
            let model = match &learned {
                Learned::Model(params) => {
                    let model = recommender.load(params.clone());
                    Some(model.in_round(round - 1, plan.rounds))
                }
                Learned::Releases(_) => None,
            };
            let id = AttemptId { round, attempt: 1 };
            let blobs = MemoryBlobs::new(None);
            let about = Round {
                plan: of_round,
                grid,
                learner: &learner,
                learned: &learned,
                model: model.as_ref(),
                announcement: Announcement {
                    id,
                    plan: plan.digest(),
                    catalogue: Digest::ZERO,
                    model: Digest::ZERO,
                    deadline: Timestamp(0),
                    log: LogHead {
                        length: 0,
                        head: Digest::ZERO,
                    },
                },
            };
            let mut accepted = Vec::new();
            for (at, (members, own)) in self.members.iter().zip(&mut shops).enumerate() {
                let bytes = match self.liar.filter(|(liar, _)| *liar == at) {
                    Some((_, fakes)) => about.lie(&members.name, fakes, own)?,
                    None => about.update(&members.name, &members.dataset, own)?,
                };
                accepted.push((members.name.clone(), blobs.put(&bytes)?));
            }
            let Round { plan, grid, .. } = about;
            match self.groups {
                0 => self.aggregate(&learner, &mut learned, id, &mut state, (&accepted, &blobs))?,
                _ => self.aggregate_groups(
                    (&learner, &mut learned),
                    (&plan, &grid),
                    (id, &mut state),
                    (&accepted, &blobs),
                )?,
            }
        }
        Ok(learned)
    }

    fn aggregate(
        &self,
        learner: &Learner,
        learned: &mut Learned,
        id: AttemptId,
        state: &mut Option<OptimiserState>,
        (accepted, blobs): (&[(ShopName, Digest)], &MemoryBlobs),
    ) -> anyhow::Result<()> {
        let before = state.take().filter(|_| matches!(learned, Learned::Model(_)));
        let mut aggregator = Aggregator::for_round(learner, learned, id.round, before)?;
        for (_, update) in accepted {
            aggregator.accumulator().add_bytes_at(0, &blobs.read(update)?)?;
        }
        let names: Vec<ShopName> = accepted.iter().map(|(shop, _)| shop.clone()).collect();
        aggregator.learn(learner, learned, id, &names, &StoredParts { accepted, blobs })?;
        *state = Some(aggregator.optimiser().state().clone());
        Ok(())
    }

    /// The median over the means of groups, of each of which only the sum is looked at.
    fn aggregate_groups(
        &self,
        (learner, learned): (&Learner, &mut Learned),
        (of_round, grid): (&Plan, &Grid),
        (id, state): (AttemptId, &mut Option<OptimiserState>),
        (accepted, blobs): (&[(ShopName, Digest)], &MemoryBlobs),
    ) -> anyhow::Result<()> {
        let coordinates = learner.coordinates(id.round);
        let sum = |_| {
            (
                Accumulator::new(grid.bits, of_round.update_len(coordinates)),
                0.0,
                0u64,
            )
        };
        let mut sums: Vec<_> = (0..self.groups).map(sum).collect();
        for (at, (shop, update)) in accepted.iter().enumerate() {
            let (sum, customers, shops) = &mut sums[at % self.groups];
            sum.add_bytes_at(0, &blobs.read(update)?)?;
            let terms = of_round.terms_of(shop).context("a shop of the plan")?;
            *customers += terms.weight.get() * terms.declared_users as f64;
            *shops += 1;
        }
        // A group takes a shop's place, with the customers and the noise of its shops.
        let largest = sums.iter().map(|(_, _, shops)| *shops).max().unwrap_or(1);
        let group_grid = Grid {
            noise_stddev: grid.noise_stddev.ceil() * (largest as f64).sqrt(),
            ..*grid
        };
        let mut groups = of_round.clone();
        (groups.masking, groups.privacy.placement) = (None, Placement::Local);
        groups.aggregation = AggregationPlan::Median {};
        let mut parts = Vec::new();
        groups.shops = Vec::new();
        for (number, (sum, customers, _)) in sums.iter().enumerate() {
            let name: ShopName = format!("group-{number}").parse()?;
            groups.shops.push(ShopTerms {
                name: name.clone(),
                declared_users: customers.round() as u64,
                weight: Weight::new(1.0)?,
            });
            parts.push((name, blobs.put(&bytes_of(&sum.values()))?));
        }
        let names: Vec<ShopName> = parts.iter().map(|(name, _)| name.clone()).collect();
        let stored = StoredParts {
            accepted: &parts,
            blobs,
        };
        let combined = combine((&groups, &group_grid), coordinates, &names, &stored)?;
        let combined = combined.context("the groups have a rule")?;
        match learned {
            Learned::Releases(releases) => {
                let (denominator, clip_units) = (groups.denominator(grid, &names), grid.clip_units());
                let sum = NoisedSum {
                    values: combined.on_grid(grid, denominator),
                    clip_units,
                    noise_stddev: combined.noise_stddev * denominator / clip_units,
                };
                *releases = learner.release(releases, id, of_round.charged_noise_multiplier(), sum)?;
            }
            Learned::Model(params) => {
                let mut optimiser = ServerOptimiser::new(&of_round.server, of_round.rounds, coordinates);
                if let Some(state) = state.take() {
                    optimiser = optimiser.with_state(state)?;
                }
                optimiser.step(params, |at| combined.mean[at]);
                *state = Some(optimiser.state().clone());
            }
        }
        Ok(())
    }
}

impl Round<'_> {
    /// A shop's bytes, honestly.
    fn update(&self, shop: &ShopName, customers: &Dataset, own: &mut Own) -> anyhow::Result<Vec<u8>> {
        let sum = self.sum(shop, customers, (&self.plan, &self.grid), own)?;
        // Without masks it is charged for by its own share of the noise alone.
        let mut plan = self.plan.clone();
        if let Some(z) = plan.privacy.noise_multiplier {
            let shares = plan.noise_shares() as f64;
            plan.privacy.noise_multiplier = Some(NoiseMultiplier::new(z.get() / shares.sqrt())?);
        }
        self.finished(sum, plan, own)
    }

    /// What these customers add, without noise and without a draw, as many times as a quarter of the modulus holds.
    fn lie(&self, shop: &ShopName, fakes: &Dataset, own: &mut Own) -> anyhow::Result<Vec<u8>> {
        let quiet = Grid {
            noise_stddev: 0.0,
            ..self.grid
        };
        let mut plan = self.plan.clone();
        plan.privacy.sampling_rate = SamplingRate::new(1.0)?;
        own.vectors = vec![None; fakes.len()];
        own.cache = TrainingCache::default();
        let sum = self.sum(shop, fakes, (&plan, &quiet), own)?;
        (plan.privacy.enabled, plan.privacy.noise_multiplier) = (false, None);
        let bytes = self.finished(sum, plan, own)?;
        Ok(bytes_of(&amplified(&bytes, self.grid.bits)))
    }

    fn sum(
        &self,
        shop: &ShopName,
        customers: &Dataset,
        (plan, grid): (&Plan, &Grid),
        own: &mut Own,
    ) -> anyhow::Result<UserSum<Stream>> {
        let terms = plan.terms_of(shop).context("the plan names the shop")?;
        let Some(model) = self.model else {
            return Ok(release_update(
                (self.learner, self.learned),
                self.announcement.id.round,
                customers,
                (plan, grid, terms),
                &mut own.cache,
                &mut own.secret,
            )?);
        };
        let whom = Customers {
            dataset: customers,
            vectors: &own.vectors,
            forbidden: &[],
        };
        let update = round_update(model, whom, plan, grid, terms, &mut own.secret);
        for (user, vector) in update.vectors {
            own.vectors[user] = Some(vector);
        }
        Ok(update.sum)
    }

    /// Charged as `plan` says, masks aside.
    fn finished(&self, sum: UserSum<Stream>, plan: Plan, own: &mut Own) -> anyhow::Result<Vec<u8>> {
        let unmasked = Plan {
            masking: None,
            ..plan
        };
        let mut update = UnreleasedUpdate::new(&unmasked, &self.announcement, sum, Vec::new());
        update.charge(&mut own.ledger, Timestamp(0))?;
        let (_, bytes) = update.finish(AttemptKey::from(&self.announcement), None, None)?;
        Ok(bytes)
    }
}

/// The integers in these bytes, times what brings the largest to a quarter of the modulus: further shops' do not carry the sum
/// over its end.
fn amplified(bytes: &[u8], bits: ModulusBits) -> UpdateValues {
    let integers: Vec<i64> = match bits {
        ModulusBits::B32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            words.map(|word| i64::from(i32::from_le_bytes(*word))).collect()
        }
        ModulusBits::B64 => {
            let words = bytes.as_chunks::<8>().0.iter();
            words.map(|word| i64::from_le_bytes(*word)).collect()
        }
    };
    let largest = integers
        .iter()
        .map(|value| value.unsigned_abs())
        .max()
        .unwrap_or(0);
    let factor = 2f64.powi(bits.bits() as i32 - 2) / largest.max(1) as f64;
    let scaled = integers.iter().map(|value| (*value as f64 * factor) as i64);
    match bits {
        ModulusBits::B32 => UpdateValues::B32(scaled.map(|value| value as u32).collect()),
        ModulusBits::B64 => UpdateValues::B64(scaled.map(i64::cast_unsigned).collect()),
    }
}

fn bytes_of(values: &UpdateValues) -> Vec<u8> {
    match values {
        UpdateValues::B32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        UpdateValues::B64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

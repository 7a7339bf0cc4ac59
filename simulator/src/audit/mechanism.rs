//! A plan's rounds as the auditor runs them: the shops' real code on the shops' real records, one round after another.
//!
//! A shop's sum is its noise plus integers that do not depend on it: noise is drawn before data is read. So these integers are
//! worked out once, by the real code without noise, and each trial adds freshly drawn noise to them, modulo 2^b, as shops and
//! coordinator do. That this is bit for bit what a shop's whole code lets out is among the audit's own checks.

use std::sync::Arc;

use anyhow::{Context, bail};
use souk_client::training::release_update::release_update;
use souk_client::training::round_update::{Customers, round_update};
use souk_client::training::training_update::TrainingCache;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::dataset::{Dataset, History};
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::learned::{Learned, Learner};
use souk_common::model::update::UserUpdate;
use souk_common::model::{Loaded, Recommender};
use souk_common::params::{NoiseMultiplier, SamplingRate};
use souk_common::plan::{Placement, Plan, RoundKind, ShopTerms};
use souk_common::privacy::{Ledger, MemorySink, NoiseVector, Privatized, Spend, UserSum};
use souk_common::release::schedule::ReleaseKind;
use souk_common::rng::{Stream, stream};
use souk_common::storage::blobs::{Blobs, MemoryBlobs};
use souk_common::training::phases::TrainingKind;
use souk_common::update::{Grid, UpdateValues};
use souk_coordinator::aggregate::rules::StoredParts;
use souk_coordinator::aggregate::{Accumulator, Aggregator, Integers};

use super::subject::Subject;

/// The federation of a subject, round by round.
pub(crate) struct AuditedPlan {
    learner: Learner,
    catalogue: Catalogue,
    recommender: Option<Arc<Recommender>>,
    shops: Vec<AuditedShop>,
    seed: u64,
}

/// A shop and its records.
pub(crate) struct AuditedShop {
    /// What it declared.
    pub(crate) terms: ShopTerms,
    /// Its customers.
    pub(crate) dataset: Dataset,
}

/// A round before it begins: what was published last, and the plan as it is for this round.
pub(crate) struct AuditedRound {
    /// From 1.
    pub(crate) number: u64,
    /// For people: `popularity`, `collaborative`, `tower 3`, `step 1`.
    pub(crate) name: String,
    /// The plan with this round's own noise.
    pub(crate) plan: Plan,
    /// Its grid.
    pub(crate) grid: Grid,
    /// Integers in an update, counts among them.
    pub(crate) coordinates: usize,
    broadcast: Broadcast,
}

enum Broadcast {
    Releases(Arc<Learned>),
    Model(Arc<Loaded>),
}

impl AuditedRound {
    /// z as ledgers are charged; none without privacy.
    pub(crate) fn charged(&self) -> Option<NoiseMultiplier> {
        self.plan.charged_noise_multiplier()
    }

    /// The probability with which a customer is drawn.
    pub(crate) fn sampling_rate(&self) -> SamplingRate {
        self.plan.privacy.sampling_rate
    }

    /// Shares of the noise that are left in what the strongest adversary of the guarantee sees: of a masked plan the sum of n_min
    /// shops less the t that collude with the coordinator; else one shop's update.
    pub(crate) fn shares(&self) -> usize {
        match self.plan.privacy.placement {
            Placement::Distributed => self.plan.noise_shares(),
            Placement::Local => 1,
        }
    }

    /// The noise's standard deviation that ledgers are charged for, in grid units: z*C*s.
    pub(crate) fn charged_stddev(&self) -> f64 {
        self.charged().map_or(0.0, |z| z.get() * self.grid.clip_units())
    }

    /// A copy.
    pub(crate) fn again(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            name: self.name.clone(),
            broadcast: match &self.broadcast {
                Broadcast::Releases(learned) => Broadcast::Releases(Arc::clone(learned)),
                Broadcast::Model(loaded) => Broadcast::Model(Arc::clone(loaded)),
            },
            ..*self
        }
    }

    /// The same grid, and no noise.
    pub(crate) fn bare_grid(&self) -> Grid {
        Grid {
            noise_stddev: 0.0,
            ..self.grid
        }
    }
}

impl AuditedPlan {
    /// Sets up the shops of `subject`.
    pub(crate) fn new(subject: &Subject) -> anyhow::Result<Self> {
        let (plan, known) = (&subject.plan, &subject.known);
        let mut users = vec![Vec::new(); plan.shops.len()];
        for (user, shop) in known.shop_of.iter().enumerate() {
            let of_shop = users
                .get_mut(*shop)
                .with_context(|| format!("the plan has no shop {}", shop + 1))?;
            of_shop.push(user);
        }
        let shops = plan.shops.iter().zip(users);
        Ok(Self {
            learner: Learner::new(plan, &known.catalogue),
            recommender: (!plan.is_of_releases())
                .then(|| Recommender::new(&plan.model, &plan.train, &known.catalogue)),
            catalogue: known.catalogue.clone(),
            shops: shops
                .map(|(terms, users)| AuditedShop {
                    terms: terms.clone(),
                    dataset: known.dataset.subset(&users),
                })
                .collect(),
            seed: subject.seed,
        })
    }

    /// The shops, in the plan's order.
    pub(crate) fn shops(&self) -> &[AuditedShop] {
        &self.shops
    }

    /// The items.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        self.learner.plan()
    }

    /// Runs the federation and looks at its rounds before they begin: of a plan of releases all of them, of a plan that trains a
    /// model from nothing the first `of_model`.
    pub(crate) fn rounds(&self, of_model: u64) -> anyhow::Result<Vec<AuditedRound>> {
        let plan = self.learner.plan();
        let last = match plan.is_of_releases() {
            true => plan.rounds,
            false => plan.rounds.min(of_model),
        };
        let mut learned = self.learner.initial();
        let (mut rounds, mut state) = (Vec::new(), None);
        let mut caches: Vec<TrainingCache> = self.shops.iter().map(|_| TrainingCache::default()).collect();
        for number in 1..=last {
            let round = self.round(&learned, number)?;
            if number < last {
                let mut aggregator = Aggregator::for_round(&self.learner, &learned, number, state.take())?;
                let (mut parts, blobs) = (Vec::new(), MemoryBlobs::new(None));
                for (at, shop) in self.shops.iter().enumerate() {
                    let mut source = self.stream(&format!("trajectory, round {number}, {}", shop.terms.name));
                    let noised = (&round, round.grid);
                    let sum = self.sum(noised, at, &shop.dataset, &mut caches[at], &mut source)?;
                    let values = values_of(sum, &round.grid)?;
                    add(aggregator.accumulator(), &values)?;
                    parts.push((shop.terms.name.clone(), blobs.put(&little_endian(&values))?));
                }
                let id = AttemptId {
                    round: number,
                    attempt: 1,
                };
                let names: Vec<ShopName> = self.shops.iter().map(|shop| shop.terms.name.clone()).collect();
                let parts = StoredParts {
                    accepted: &parts,
                    blobs: &blobs,
                };
                aggregator.learn(&self.learner, &mut learned, id, &names, &parts)?;
                state = Some(aggregator.optimiser().state().clone());
            }
            rounds.push(round);
        }
        Ok(rounds)
    }

    /// What a run begins with.
    pub(crate) fn initial(&self) -> Learned {
        self.learner.initial()
    }

    /// Round `number` on what was published before it.
    ///
    /// # Errors
    /// When it does not follow on that.
    pub(crate) fn round(&self, learned: &Learned, number: u64) -> anyhow::Result<AuditedRound> {
        let (plan, grid) = self.learner.round(learned, number)?;
        let coordinates = plan.update_len(self.learner.coordinates(number));
        let broadcast = match (learned, &self.recommender) {
            (Learned::Releases(_), _) => Broadcast::Releases(Arc::new(learned.clone())),
            (Learned::Model(params), Some(recommender)) => {
                let loaded = recommender.load(params.clone());
                Broadcast::Model(Arc::new(loaded.in_round(number - 1, plan.rounds)))
            }
            (Learned::Model(_), None) => bail!("a plan of releases trains no model of its own"),
        };
        Ok(AuditedRound {
            name: name_of(&plan, number),
            number,
            plan,
            grid,
            coordinates,
            broadcast,
        })
    }

    /// What a shop's code makes of these records in `round`, on this grid: the real one, or the bare one without noise.
    pub(crate) fn sum(
        &self,
        (round, grid): (&AuditedRound, Grid),
        shop: usize,
        dataset: &Dataset,
        cache: &mut TrainingCache,
        source: &mut Stream,
    ) -> anyhow::Result<UserSum<Stream>> {
        let terms = &self.shops[shop].terms;
        Ok(match &round.broadcast {
            Broadcast::Releases(learned) => release_update(
                (&self.learner, learned),
                round.number,
                dataset,
                (&round.plan, &grid, terms),
                cache,
                source,
            )?,
            Broadcast::Model(loaded) => {
                let customers = Customers {
                    dataset,
                    vectors: &[],
                    forbidden: &[],
                };
                round_update(loaded, customers, &round.plan, &grid, terms, source).sum
            }
        })
    }

    /// The integers of these records without noise, and how many of the customers were drawn.
    pub(crate) fn bare(
        &self,
        round: &AuditedRound,
        shop: usize,
        dataset: &Dataset,
        cache: &mut TrainingCache,
        source: &mut Stream,
    ) -> anyhow::Result<(UpdateValues, u64)> {
        let grid = round.bare_grid();
        let sum = self.sum((round, grid), shop, dataset, cache, source)?;
        let users = sum.tally().users;
        Ok((values_of(sum, &grid)?, users))
    }

    /// The integers of one customer alone, signed; drawn for certain.
    pub(crate) fn vector(
        &self,
        round: &AuditedRound,
        shop: usize,
        customer: &Canary,
    ) -> anyhow::Result<Vec<i64>> {
        let mut certain = round.again();
        certain.plan.privacy.sampling_rate = SamplingRate::new(1.0)?;
        let grid = round.bare_grid();
        let values = match customer {
            Canary::Records(dataset) => {
                let source = &mut self.stream("a canary alone");
                self.bare(&certain, shop, dataset, &mut TrainingCache::default(), source)?
                    .0
            }
            Canary::Update(update) => {
                let noise = NoiseVector::draw(&grid, round.coordinates, &mut self.stream("none"));
                let mut sum = UserSum::new(&grid, self.shops[shop].terms.weight, noise)
                    .with_counts(round.plan.counts(&grid));
                sum.add(update);
                values_of(sum, &grid)?
            }
        };
        Ok(signed(&values))
    }

    /// A stream of the audit.
    pub(crate) fn stream(&self, name: &str) -> Stream {
        stream(self.seed, &format!("audit: {name}"))
    }
}

/// Who is added, or not.
#[derive(Clone)]
pub(crate) enum Canary {
    /// A customer with these records: a data set of one.
    Records(Dataset),
    /// A customer of whom nothing is known but the vector, before the clip.
    Update(UserUpdate),
}

/// One customer who bought these items in this order, one a day.
pub(crate) fn buyer(id: &str, items: Vec<u32>) -> Dataset {
    let times = (0..items.len() as i64).map(|day| day * 86_400).collect();
    Dataset {
        users: vec![id.to_owned()],
        histories: vec![History { items, times }],
        labelled: Vec::new(),
    }
}

/// A data set with more customers.
pub(crate) fn with(dataset: &Dataset, more: &Dataset) -> Dataset {
    let mut all = dataset.clone();
    all.users.extend(more.users.iter().cloned());
    all.histories.extend(more.histories.iter().cloned());
    if !dataset.labelled.is_empty() {
        all.labelled.resize_with(all.users.len(), Default::default);
    }
    all
}

/// Lets a sum out: against a charge of nothing, as a simulation may.
pub(crate) fn values_of(sum: UserSum<Stream>, grid: &Grid) -> anyhow::Result<UpdateValues> {
    let spend = Spend {
        plan: Digest::ZERO,
        round: 1,
        attempt: 1,
        noise_multiplier: None,
        sampling_rate: SamplingRate::new(1.0)?,
        clip_norm: souk_common::params::ClipNorm::new(grid.clip_norm)?,
        shared: None,
    };
    let mut ledger = Ledger::open(MemorySink::default(), &[], &"audit".parse()?, Timestamp(0))?;
    let charged = ledger.charge(spend, Timestamp(0))?;
    Ok(sum.finish(&charged)?.into_inner().values)
}

/// Fresh noise of one share.
pub(crate) fn noise(grid: &Grid, coordinates: usize, source: &mut Stream) -> UpdateValues {
    Privatized::of_nobody(NoiseVector::draw(grid, coordinates, source))
        .into_inner()
        .values
}

/// Adds integers modulo 2^b, as the coordinator does.
pub(crate) fn add(sum: &mut Accumulator, values: &UpdateValues) -> anyhow::Result<()> {
    match values {
        UpdateValues::B32(words) => sum.add(Integers::B32(words))?,
        UpdateValues::B64(words) => sum.add(Integers::B64(words))?,
    }
    Ok(())
}

/// Integers as they are sent and stored.
pub(crate) fn little_endian(values: &UpdateValues) -> Vec<u8> {
    match values {
        UpdateValues::B32(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        UpdateValues::B64(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
    }
}

/// The integers nearest zero.
pub(crate) fn signed(values: &UpdateValues) -> Vec<i64> {
    match values {
        UpdateValues::B32(words) => words.iter().map(|word| i64::from(word.cast_signed())).collect(),
        UpdateValues::B64(words) => words.iter().map(|word| word.cast_signed()).collect(),
    }
}

/// Integers as they are summed.
pub(crate) fn reduced(integers: &[i64], grid: &Grid) -> UpdateValues {
    match UpdateValues::zeros(grid.bits, 0) {
        UpdateValues::B32(_) => UpdateValues::B32(integers.iter().map(|integer| *integer as u32).collect()),
        UpdateValues::B64(_) => UpdateValues::B64(integers.iter().map(|integer| *integer as u64).collect()),
    }
}

/// The exact squared length.
pub(crate) fn squared_length(integers: &[i64]) -> u128 {
    integers
        .iter()
        .map(|integer| u128::from(integer.unsigned_abs()).pow(2))
        .sum()
}

fn name_of(plan: &Plan, round: u64) -> String {
    match plan.kind_at(round) {
        Some(RoundKind::Release(ReleaseKind::Popularity)) => "popularity".to_owned(),
        Some(RoundKind::Release(ReleaseKind::Collaborative)) => "collaborative".to_owned(),
        Some(RoundKind::Release(ReleaseKind::SecondCollaborative)) => "second collaborative".to_owned(),
        Some(RoundKind::Training { phase, step }) => {
            let kind = match plan.training[phase].kind {
                TrainingKind::Model => "model",
                TrainingKind::Tower => "tower",
                TrainingKind::Clicks => "clicks",
            };
            format!("{kind} {}", step + 1)
        }
        None => format!("step {round}"),
    }
}

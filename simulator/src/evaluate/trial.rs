//! One seed: every model trained and measured.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use souk_common::channels::{Ease, Popularity, ease};
use souk_common::eval::{Candidates, Metrics, Scorer, Split, Target, View, evaluate};
use souk_common::model::config::{ModelKind, TrainConfig};
use souk_common::model::init::initial_parameters;
use souk_common::model::{Loaded, Recommender};
use souk_common::plan::{Plan, ServerPlan};

use super::{K, Model, Setting, Table};
use crate::data::plans::Template;
use crate::evaluate::centralised::Centralised;
use crate::evaluate::fitted_users::Personal;
use crate::world::{Line, World, members_of};

/// The draws of one seed over a setting.
pub(super) struct Trial<'a> {
    setting: &'a Setting,
    candidates: Candidates,
    seed: u64,
}

/// Items that training under a view never draws as negatives; none for the leak-free views.
type Forbidden = Vec<Vec<u32>>;

impl<'a> Trial<'a> {
    pub(super) fn new(setting: &'a Setting, seed: u64) -> Self {
        Self {
            setting,
            candidates: Candidates::draw(&setting.split, setting.known.catalogue.len(), seed),
            seed,
        }
    }

    /// Adds this seed's figures to `table`.
    pub(super) fn run(
        &self,
        model: Model,
        quick: bool,
        bar: &ProgressBar,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let plan = self.setting.plan(self.seed)?;
        self.both(&plan.train, model.name(), table, |forbidden, table| {
            self.federated(&plan, forbidden, bar, table)
        })?;
        let popularity = Popularity::fit(&self.setting.split.train, self.items());
        self.all_views(&popularity, "popularity", table);
        if !quick {
            let open = self.setting.open_plan(self.seed)?;
            self.both(&open.train, "local_only", table, |forbidden, _| {
                self.local(&open, forbidden, bar)
            })?;
            if model == Model::Ials {
                self.both(&open.train, "central_ials", table, |forbidden, _| {
                    bar.set_message("everything in one place, ials");
                    Ok(self.full_batch(&open, &self.setting.split, forbidden))
                })?;
            }
            let mut kinds = vec![ModelKind::Mf, ModelKind::Neumf];
            if model == Model::Mlp {
                kinds.push(ModelKind::Mlp);
            }
            if model == Model::Gan {
                kinds.push(ModelKind::Gan);
            }
            for kind in kinds {
                let central = self.central_plan(kind)?;
                let name = format!("central_{}", kind_name(kind));
                self.both(&central.train, &name, table, |forbidden, _| {
                    bar.set_message(format!("everything in one place, {}", kind_name(kind)));
                    self.mini_batches(&central, forbidden, bar)
                })?;
            }
            self.ease(bar, table)?;
        }
        Ok(())
    }

    fn ease(&self, bar: &ProgressBar, table: &mut Table) -> anyhow::Result<()> {
        bar.set_message("EASE");
        let split = &self.setting.split;
        let lambdas: &[f64] = match self.items() {
            ..LARGE => &ease::LAMBDAS,
            _ => &FEW_LAMBDAS,
        };
        let tuned = Ease::tune(split, &self.candidates, self.items(), lambdas)?;
        self.all_views(&tuned.model, "ease", table);
        Ok(())
    }

    /// Trains for the leak-free views and, where that is another training, for the literature's.
    fn both(
        &self,
        train: &TrainConfig,
        name: &str,
        table: &mut Table,
        mut fit: impl FnMut(&Forbidden, &mut Table) -> anyhow::Result<Personal>,
    ) -> anyhow::Result<()> {
        let scorer = fit(&Forbidden::new(), table)?;
        for view in [View::LeakFree, View::Full] {
            table.add(name, view, self.measure(&scorer, view, Target::Test));
        }
        table.validated(name, self.measure(&scorer, View::LeakFree, Target::Validation));
        let leaking = match train {
            // No negatives are drawn, so there is nothing to leak by.
            TrainConfig::Ials(_) | TrainConfig::Stars(_) => scorer,
            TrainConfig::Sgd(_) => {
                let split = &self.setting.split;
                let forbidden = (0..split.train.len())
                    .map(|user| split.forbidden(View::Literature, user))
                    .collect();
                fit(&forbidden, table)?
            }
        };
        let metrics = self.measure(&leaking, View::Literature, Target::Test);
        table.add(name, View::Literature, metrics);
        Ok(())
    }

    fn federated(
        &self,
        plan: &Plan,
        forbidden: &Forbidden,
        bar: &ProgressBar,
        table: &mut Table,
    ) -> anyhow::Result<Personal> {
        let (setting, train) = (self.setting, &self.setting.split.train);
        let members = members_of(train, forbidden, &setting.known.shop_of, &setting.names()?);
        let world = World::new(
            plan,
            &setting.known.catalogue,
            members,
            Line::default(),
            self.seed,
        )
        .context(format!("{} does not fit these shops", setting.asked.origin()))?;
        bar.set_message("the federation");
        bar.set_length(plan.rounds);
        let outcome = world.run(|round, _| bar.set_position(round))?;
        table.federation(&outcome);
        let model = Arc::new(self.recommender(plan).load(outcome.params));
        Ok(Personal::fit(&model, train, forbidden, self.seed))
    }

    /// Each shop by itself, with the plan's settings, without privacy.
    fn local(&self, plan: &Plan, forbidden: &Forbidden, bar: &ProgressBar) -> anyhow::Result<Personal> {
        bar.set_length(self.setting.users.len() as u64);
        let mut shops = Vec::new();
        for (number, users) in self.setting.users.iter().enumerate() {
            bar.set_message("each shop alone");
            bar.set_position(number as u64);
            let split = self.setting.split.subset(users);
            let own: Forbidden = match forbidden.is_empty() {
                true => Forbidden::new(),
                false => users.iter().map(|user| forbidden[*user].clone()).collect(),
            };
            shops.push((self.full_batch(plan, &split, &own), users.clone()));
        }
        Ok(Personal::gather(shops))
    }

    /// The plan's own steps over everybody in `split`, as one party.
    fn full_batch(&self, plan: &Plan, split: &Split, forbidden: &Forbidden) -> Personal {
        let recommender = self.recommender(plan);
        let alone = Centralised {
            recommender: &recommender,
            server: &plan.server,
            epochs: plan.rounds,
            batch: usize::MAX,
            data: &split.train,
            forbidden,
            seed: self.seed,
        };
        let start = initial_parameters(&plan.model, &plan.train, recommender.layout(), self.seed);
        let params = alone.train(start, |_, _, _| ControlFlow::Continue(()));
        let model = Arc::new(recommender.load(params));
        Personal::fit(&model, &split.train, forbidden, self.seed)
    }

    /// All data in one place and Adam on small batches of users, stopped where validation says so.
    fn mini_batches(
        &self,
        plan: &Plan,
        forbidden: &Forbidden,
        bar: &ProgressBar,
    ) -> anyhow::Result<Personal> {
        let (recommender, train) = (self.recommender(plan), &self.setting.split.train);
        bar.set_length(CENTRAL_EPOCHS);
        let alone = Centralised {
            recommender: &recommender,
            server: &plan.server,
            epochs: CENTRAL_EPOCHS,
            batch: train.len().div_ceil(CENTRAL_STEPS),
            data: train,
            forbidden,
            seed: self.seed,
        };
        let start = initial_parameters(&plan.model, &plan.train, recommender.layout(), self.seed);
        let mut best: Option<(f64, u64, Arc<Loaded>)> = None;
        alone.train(start, |epoch, params, vectors| {
            bar.set_position(epoch);
            let model = Arc::new(recommender.load(params.to_vec()));
            let scorer = Personal::as_trained(&model, vectors);
            let metrics = self.measure(&scorer, View::LeakFree, Target::Validation);
            let merit = metrics.hit_rate + metrics.ndcg;
            if best.as_ref().is_none_or(|(most, ..)| merit > *most) {
                best = Some((merit, epoch, model));
            }
            match &best {
                Some((_, at, _)) if epoch >= at + CENTRAL_PATIENCE => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        let (_, epoch, model) = best.context("no epoch was trained")?;
        tracing::debug!(epoch, "best on validation");
        Ok(Personal::fit(&model, train, forbidden, self.seed))
    }

    /// The set's own settings of gradient training, for another kind of model and for small batches.
    fn central_plan(&self, kind: ModelKind) -> anyhow::Result<Plan> {
        let template = Template::for_model(self.setting.known.name, kind_name(kind), false)?;
        let mut plan = template.for_shops(&self.setting.sizes(), self.seed)?;
        if let TrainConfig::Sgd(sgd) = &mut plan.train {
            (sgd.user_steps, sgd.warmup_rounds, sgd.final_fraction) = (CENTRAL_USER_STEPS, 0, 1.0);
        }
        plan.server = ServerPlan::Adam {
            learning_rate: CENTRAL_RATE,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            final_fraction: 1.0,
        };
        Ok(plan)
    }

    fn all_views(&self, scorer: &dyn Scorer, name: &str, table: &mut Table) {
        for view in View::ALL {
            table.add(name, view, self.measure(scorer, view, Target::Test));
        }
    }

    fn measure(&self, scorer: &dyn Scorer, view: View, target: Target) -> Metrics {
        let split = &self.setting.split;
        evaluate(scorer, split, &self.candidates, self.items(), view, target, K)
    }

    fn recommender(&self, plan: &Plan) -> Arc<Recommender> {
        Recommender::new(&plan.model, &plan.train, &self.setting.known.catalogue)
    }

    fn items(&self) -> usize {
        self.setting.known.catalogue.len()
    }
}

fn kind_name(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Mf => "mf",
        ModelKind::Mlp => "mlp",
        ModelKind::Neumf => "neumf",
        ModelKind::Gan => "gan",
    }
}

/// From this many items on, a fit of EASE takes minutes.
const LARGE: usize = 6_000;
const FEW_LAMBDAS: [f64; 2] = [1000.0, 3000.0];

const CENTRAL_EPOCHS: u64 = 40;
const CENTRAL_PATIENCE: u64 = 5;
/// Steps of the shared parameters in an epoch, and of each user's own vector.
const CENTRAL_STEPS: usize = 60;
const CENTRAL_USER_STEPS: usize = 4;
const CENTRAL_RATE: f64 = 0.003;

//! One run of one plan, scored.

use std::sync::Arc;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use souk_common::accountant::{Composition, SampledGaussian};
use souk_common::eval::{Candidates, Metrics, Target, View, evaluate};
use souk_common::learned::{Learned, Learner};
use souk_common::model::Recommender;
use souk_common::model::file::{self, ModelMeta};
use souk_common::plan::Plan;
use souk_common::terminal::tell;

use super::folder::RunFolder;
use super::setting::{Setting, Settings};
use crate::data::plans::names;
use crate::evaluate::fitted_users::Personal;
use crate::evaluate::joining::{Joining, Variant};
use crate::world::drift::Drift;
use crate::world::rounds::RoundLine;
use crate::world::saved::Saved;
use crate::world::{Out, Outcome, Watch, World, members_of};

/// What came of a run.
pub(super) struct Run {
    pub(super) outcome: Outcome,
    pub(super) lines: Vec<RoundLine>,
    pub(super) quality: Option<Quality>,
    /// The file of the last model, or of what was released.
    pub(super) bytes: Vec<u8>,
    pub(super) folder: Option<RunFolder>,
}

/// Of what was published, on each customer's latest purchase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    /// Against drawn unseen items (view B).
    pub(super) leak_free: Metrics,
    /// Against all unseen items (view C).
    pub(super) full: Metrics,
}

/// Runs `plan`, from where `folder` left it if there is one.
///
/// # Errors
/// When the plan does not fit the shops, or no quorum comes together.
pub(super) fn run(
    setting: &Setting,
    plan: &Plan,
    settings: &Settings,
    seed: u64,
    mut folder: Option<RunFolder>,
) -> anyhow::Result<Run> {
    let known = &setting.known;
    let dataset = setting.histories(plan);
    let drift = settings
        .drift
        .map(|share| Drift::new(share, plan.rounds, &dataset));
    let members = members_of(&dataset, &[], &known.shop_of, &names(plan));
    let (saved, lines) = match folder.as_mut().and_then(RunFolder::take_saved) {
        Some(saved) => {
            tell(&format!(
                "goes on after round {} of {}",
                saved.round(),
                plan.rounds
            ));
            let lines = saved.lines().to_vec();
            (Some(saved), lines)
        }
        None => (None, Vec::new()),
    };
    let world = World::from(
        plan,
        &known.catalogue,
        members,
        (settings.line, drift),
        seed,
        saved,
    )?;
    let scoring = Scoring::new(setting, plan, seed);
    let mut following = Following {
        bar: progress(plan.rounds),
        rounds: plan.rounds,
        settings,
        scoring,
        lines,
        last: None,
        folder,
    };
    let outcome = world.run_watched(&mut following)?;
    following.bar.finish_and_clear();
    let bytes = match &outcome.releases {
        Some(releases) => releases.to_bytes(),
        None => {
            let recommender = &following.scoring.recommender;
            let meta = ModelMeta {
                round: plan.rounds,
                plan: plan.digest(),
            };
            file::encode(&outcome.params, recommender.layout(), &meta)
        }
    };
    Ok(Run {
        bytes,
        quality: following.last,
        lines: following.lines,
        folder: following.folder,
        outcome,
    })
}

fn progress(rounds: u64) -> ProgressBar {
    // On a terminal only.
    let bar = ProgressBar::new(rounds);
    let words = "round {pos}/{len} {wide_bar} {elapsed_precise}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(words) {
        bar.set_style(style);
    }
    bar
}

/// Follows a run: its lines, what it is worth, what is kept of it.
struct Following<'a> {
    bar: ProgressBar,
    rounds: u64,
    settings: &'a Settings,
    scoring: Scoring<'a>,
    lines: Vec<RoundLine>,
    last: Option<Quality>,
    folder: Option<RunFolder>,
}

impl Watch for Following<'_> {
    fn ended(&mut self, mut line: RoundLine, out: Option<&Out>) -> anyhow::Result<()> {
        if let Some(out) = out {
            self.bar.set_position(line.round);
            let asked = self.settings.score_every;
            if line.round == self.rounds || asked.is_some_and(|every| line.round.is_multiple_of(every)) {
                self.bar.set_message("scoring");
                let quality = self.scoring.of(out)?;
                line.score(quality.map(|of| [of.full, of.leak_free].map(|view| (view.hit_rate, view.ndcg))));
                self.last = quality;
            }
        }
        self.lines.push(line);
        Ok(())
    }

    fn wants_epsilon(&self) -> bool {
        self.settings.says_epsilon
    }

    fn saves(&self, round: u64) -> bool {
        self.folder
            .as_ref()
            .is_some_and(|folder| round.is_multiple_of(folder.every()))
    }

    fn save(&mut self, saved: &Saved) -> anyhow::Result<()> {
        match &self.folder {
            Some(folder) => folder.save(saved, &self.lines),
            None => Ok(()),
        }
    }
}

/// Scores what a round published.
struct Scoring<'a> {
    setting: &'a Setting,
    plan: &'a Plan,
    recommender: Arc<Recommender>,
    candidates: Candidates,
    seed: u64,
}

impl<'a> Scoring<'a> {
    fn new(setting: &'a Setting, plan: &'a Plan, seed: u64) -> Self {
        let catalogue = &setting.known.catalogue;
        Self {
            recommender: Recommender::new(&plan.model, &plan.train, catalogue),
            candidates: Candidates::draw(&setting.split, catalogue.len(), seed),
            setting,
            plan,
            seed,
        }
    }

    fn of(&self, out: &Out) -> anyhow::Result<Option<Quality>> {
        match out {
            Out::Model { params, .. } => Ok(Some(self.of_model(params.to_vec()))),
            Out::Releases(learned) => self.of_releases(learned),
        }
    }

    /// Every customer's own vector is fitted first, as a shop does before it recommends.
    fn of_model(&self, params: Vec<f32>) -> Quality {
        let split = &self.setting.split;
        let items = self.setting.known.catalogue.len();
        let model = Arc::new(self.recommender.load(params));
        let scorer = Personal::fit(&model, &split.train, &[], self.seed);
        let measure = |view| evaluate(&scorer, split, &self.candidates, items, view, Target::Test, K);
        Quality {
            leak_free: measure(View::LeakFree),
            full: measure(View::Full),
        }
    }

    /// Every shop fits its stack, with what was released behind its gate, as before it recommends; none where that would take too
    /// much memory.
    fn of_releases(&self, learned: &Learned) -> anyhow::Result<Option<Quality>> {
        let (known, split) = (&self.setting.known, &self.setting.split);
        let scores = known.dataset.len() * known.catalogue.len();
        if scores > MOST_SCORES {
            tell(&format!(
                "{} customers and {} items are too many to fit and score every shop's lists here, so what was released is not \
                 scored; `souk-sim evaluate` scores releases, or take fewer customers",
                known.dataset.len(),
                known.catalogue.len()
            ));
            return Ok(None);
        }
        let Learned::Releases(releases) = learned else {
            bail!("a plan of releases releases");
        };
        let privacy = &self.plan.privacy;
        let noise = privacy.noise_multiplier.filter(|_| privacy.enabled);
        // Nothing is sampled: all releases together are one Gaussian mechanism.
        let epsilon = noise.and_then(|noise_multiplier| {
            let mechanism = SampledGaussian {
                noise_multiplier,
                sampling_rate: privacy.sampling_rate,
            };
            Composition::of(mechanism, 1).epsilon(privacy.delta)
        });
        let joining = Joining::new(known, self.seed, epsilon);
        let learner = Learner::new(self.plan, &known.catalogue).with_content(joining.content().clone());
        let channels = learner.channels(releases)?;
        let fits = joining.fit_with("every shop's lists", split, &[], &channels)?;
        let views = [View::LeakFree, View::Full];
        let Some([leak_free, full]) = joining
            .metrics(split, &fits, Variant::Gated, &views)
            .as_deref()
            .and_then(|metrics| metrics.first_chunk().copied())
        else {
            return Ok(None);
        };
        Ok(Some(Quality { leak_free, full }))
    }
}

/// The cut-off of all figures.
const K: usize = 10;
/// Scores of all customers of all items, at four bytes each, that fit here.
const MOST_SCORES: usize = 100_000_000;

//! What joining is worth to each shop: its own stack alone, the same with what all shops released and trained, and bestsellers,
//! on the purchase of each customer that no shop has.

use anyhow::Context;
use serde::Serialize;
use souk_common::channels::Popularity;
use souk_common::eval::{Candidates, Target, View, evaluate};
use souk_common::learned::{Learned, Learner};
use souk_common::params::Epsilon;

use crate::data::market::Market;
use crate::evaluate::joining::mean::mean_and_error;
use crate::evaluate::joining::{Joining, Variant};

/// A mean over customers, in points.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Points {
    pub(super) mean: f64,
    pub(super) standard_error: f64,
}

impl Points {
    fn of(values: &[f64]) -> Self {
        let (mean, standard_error) = mean_and_error(values);
        Self {
            mean: 100.0 * mean,
            standard_error: 100.0 * standard_error,
        }
    }
}

/// One shop's line of the table; also the line over all shops. Hit rates @ 10 among 99 others, in expectation over the draw.
#[derive(Debug, Serialize)]
pub(super) struct ShopScores {
    pub(super) shop: String,
    pub(super) customers: usize,
    /// The shop's own bestsellers, one draw.
    pub(super) bestsellers: f64,
    /// The best stack of its own channels.
    pub(super) alone: Points,
    /// The same with the channels of all shops, where the gate let them in.
    pub(super) together: Points,
    /// Of `together` over `alone`, paired over customers.
    pub(super) gain: Points,
    /// What training added to the releases: gain over the stack with releases alone, paired; none if nothing was trained.
    pub(super) training: Option<Points>,
    /// Whether the gate let the channels of all shops in; none over all shops.
    pub(super) gate: Option<bool>,
}

/// The whole table.
pub(super) struct Scores {
    pub(super) shops: Vec<ShopScores>,
    pub(super) all: ShopScores,
}

/// Measures what was published, in this process: weights are fitted to each shop's validation purchases, figures are of the
/// purchases after them.
pub(super) fn score(
    market: &Market,
    learner: &Learner,
    published: &[u8],
    epsilon: Epsilon,
    seed: u64,
) -> anyhow::Result<Scores> {
    let Learned::Releases(releases) = learner.decode(published).context("what was published")? else {
        anyhow::bail!("a plan of releases publishes releases");
    };
    let known = market.known();
    let joining = Joining::new(&known, seed, Some(epsilon));
    let channels = learner
        .clone()
        .with_content(joining.content().clone())
        .channels(&releases)?;
    let fits = vec![joining.fit_with("fitting each shop's stack", &market.split, &[], &channels)?];
    let measured = |variant| {
        let measured = joining.measure(&market.split, &fits, variant, &[]);
        anyhow::Ok(measured.context("there is no such stack")?.hits.mean())
    };
    let (alone, together) = (measured(Variant::Alone)?, measured(Variant::Gated)?);
    let untrained = match releases.trained.is_empty() {
        true => None,
        false => {
            let released = releases.last.as_ref().context("nothing was released")?;
            let channels = released.channels(learner.features())?;
            let fits = vec![joining.fit_with("the same without training", &market.split, &[], &channels)?];
            let measured = joining.measure(&market.split, &fits, Variant::Gated, &[]);
            measured.map(|measured| measured.hits.mean())
        }
    };
    let candidates = Candidates::draw(&market.split, market.catalogue.len(), seed);
    let line = |shop: String, users: Vec<usize>, gate: Option<bool>| {
        let (split, candidates) = (market.split.subset(&users), candidates.subset(&users));
        let popularity = Popularity::fit(&split.train, market.catalogue.len());
        let items = market.catalogue.len();
        let bestsellers = evaluate(
            &popularity,
            &split,
            &candidates,
            items,
            View::LeakFree,
            Target::Test,
            10,
        );
        let of = |hits: &[Option<f64>]| -> Vec<f64> { users.iter().filter_map(|user| hits[*user]).collect() };
        let paired = |from: &[Option<f64>]| -> Vec<f64> {
            let gains = users.iter().map(|user| Some(together[*user]? - from[*user]?));
            gains.flatten().collect()
        };
        ShopScores {
            shop,
            customers: users.len(),
            bestsellers: 100.0 * bestsellers.hit_rate,
            alone: Points::of(&of(&alone)),
            together: Points::of(&of(&together)),
            gain: Points::of(&paired(&alone)),
            training: untrained.as_ref().map(|untrained| Points::of(&paired(untrained))),
            gate,
        }
    };
    let rule = joining.rule();
    let shops: Vec<ShopScores> = market
        .shops
        .iter()
        .zip(&fits[0])
        .map(|((name, users), fit)| {
            let gate = fit.gate.as_ref().map(|report| rule.opens(report));
            line(name.to_string(), users.clone().collect(), gate)
        })
        .collect();
    let mut all = line("all".into(), (0..market.split.train.len()).collect(), None);
    // Each shop's own, over all customers.
    let customers: usize = shops.iter().map(|shop| shop.customers).sum();
    let weighted = shops.iter().map(|shop| shop.bestsellers * shop.customers as f64);
    all.bestsellers = weighted.sum::<f64>() / customers.max(1) as f64;
    Ok(Scores { shops, all })
}

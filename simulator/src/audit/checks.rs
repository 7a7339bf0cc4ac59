//! Is the mechanism what the plan says it is? Each check runs the shops' code on known records and compares what comes out with
//! what is charged for. Some are exact; the others share one significance.

use rand::RngExt;
use souk_client::training::training_update::TrainingCache;
use souk_common::dataset::Dataset;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::canaries::{CanaryKind, canary, latest_buyer};
use super::findings::Finding;
use super::mechanism::{AuditedRound, Canary, signed, squared_length, values_of};
use super::mutations::{Mechanism, summed};
use super::statistics::normal_cdf;
use super::trials::residual;

/// How much the checks try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckEffort {
    /// Attempts whose noise is measured.
    pub(crate) attempts: u64,
    /// Customers who are taken out, a shop.
    pub(crate) customers: usize,
    /// Draws of customers that are counted.
    pub(crate) draws: u64,
    /// Over all checks of one round together.
    pub(crate) significance: f64,
}

/// All checks of a round, in the shop of place `shop`.
///
/// # Errors
/// When the round can't be carried out.
pub(crate) fn of_round(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    effort: CheckEffort,
) -> anyhow::Result<Vec<Finding>> {
    let dataset = &mechanism.plan.shops()[shop].dataset;
    let mut findings = vec![
        sensitivity(mechanism, round, shop, effort)?,
        nobody_elses_part(mechanism, round, shop, dataset, effort)?,
        noise_is_all_that_is_added(mechanism, round, shop, dataset)?,
    ];
    if round.charged().is_some() {
        findings.extend(noise(mechanism, round, effort)?);
    } else {
        findings.push(Finding {
            name: format!("noise: {}", round.name),
            ok: false,
            detail: "the plan has privacy switched off: no noise is added, and nothing bounds what leaves"
                .to_owned(),
        });
    }
    if round.sampling_rate().get() < 1.0 {
        findings.push(sampling(mechanism, round, shop, dataset, effort)?);
    }
    Ok(findings)
}

/// No customer, real or made up, is longer than C*s on the integers; exact.
fn sensitivity(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    effort: CheckEffort,
) -> anyhow::Result<Finding> {
    let most = 1u128 << (2 * round.grid.log2_clip);
    let dataset = &mechanism.plan.shops()[shop].dataset;
    let mut customers = Vec::new();
    for kind in CanaryKind::ALL {
        customers.push(canary(mechanism.plan, round, shop, kind)?);
    }
    for user in some_customers(mechanism, dataset, effort.customers) {
        customers.push(Canary::Records(dataset.subset(&[user])));
    }
    let mut longest = 0;
    for customer in &customers {
        longest = squared_length(&mechanism.vector(round, shop, customer)?).max(longest);
    }
    let share = (longest as f64 / most as f64).sqrt();
    Ok(Finding {
        name: format!("sensitivity: {}", round.name),
        ok: longest <= most,
        detail: format!(
            "the longest of {} customers, made up and real, has {share:.6} of C*s = 2^{} grid units",
            customers.len(),
            round.grid.log2_clip
        ),
    })
}

/// One customer fewer changes the shop's integers by exactly that customer's own, and nobody else's part; exact.
fn nobody_elses_part(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    dataset: &Dataset,
    effort: CheckEffort,
) -> anyhow::Result<Finding> {
    let name = format!("nobody else's part: {}", round.name);
    let sum = |dataset: &Dataset| {
        // The same coins: who else is a customer must not change anybody's luck.
        let source = &mut mechanism.plan.stream("one customer fewer");
        mechanism.shop_sum(round, shop, dataset, &mut TrainingCache::default(), source)
    };
    let all = sum(dataset)?;
    let (mut tried, mut wrong) = (0, None);
    for user in some_customers(mechanism, dataset, effort.customers) {
        let others: Vec<usize> = (0..dataset.len()).filter(|other| *other != user).collect();
        let (without, alone) = (sum(&dataset.subset(&others))?, sum(&dataset.subset(&[user]))?);
        let is_own = all
            .iter()
            .zip(&without)
            .zip(&alone)
            .all(|((all, without), alone)| all.wrapping_sub(*without) == *alone);
        tried += 1;
        if !is_own && wrong.is_none() {
            wrong = Some(dataset.users[user].clone());
        }
    }
    Ok(Finding {
        name,
        ok: wrong.is_none(),
        detail: match wrong {
            None => format!(
                "{tried} customers were taken out one by one; each changed the sum by exactly their own vector, bit for bit"
            ),
            Some(user) => format!("without customer {user:?} other customers' parts of the sum change"),
        },
    })
}

/// A shop's whole code lets out its noise plus the same integers, modulo 2^b; exact. It is what trials are made of.
fn noise_is_all_that_is_added(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    dataset: &Dataset,
) -> anyhow::Result<Finding> {
    let plan = mechanism.plan;
    let stream = || plan.stream(&format!("whole code in {}", round.name));
    let cache = || TrainingCache::default();
    let whole = plan.sum((round, round.grid), shop, dataset, &mut cache(), &mut stream())?;
    let whole = values_of(whole, &round.grid)?;
    let mut source = stream();
    let noise = super::mechanism::noise(&round.grid, round.coordinates, &mut source);
    // What follows the noise in the stream is the draw of customers.
    let bare = bare_after_noise(mechanism, round, shop, dataset, source)?;
    let again = summed(&[signed(&noise), bare], &round.grid);
    Ok(Finding {
        name: format!("noise first, then integers: {}", round.name),
        ok: whole == again,
        detail: format!(
            "one update of {} from the shop's whole code, {} integers, is its noise plus the integers without noise, bit for bit",
            plan.shops()[shop].terms.name,
            round.coordinates
        ),
    })
}

/// The integers of a draw whose stream has given its noise already.
fn bare_after_noise(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    dataset: &Dataset,
    mut source: souk_common::rng::Stream,
) -> anyhow::Result<Vec<i64>> {
    let cache = &mut TrainingCache::default();
    Ok(signed(
        &mechanism.plan.bare(round, shop, dataset, cache, &mut source)?.0,
    ))
}

/// Variance, mean and independence of what is left when all customers are taken off.
fn noise(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    effort: CheckEffort,
) -> anyhow::Result<Vec<Finding>> {
    let base = summed(&[vec![0; round.coordinates]], &round.grid);
    let attempts: Vec<Vec<f64>> = (0..effort.attempts)
        .map(|attempt| residual(mechanism, round, &base, NOISE_CHECK + attempt))
        .collect::<anyhow::Result<_>>()?;
    let charged = round.charged_stddev();
    let count = attempts.len() as f64 * round.coordinates as f64;
    let level = effort.significance / TESTS;
    let squares: f64 = attempts
        .iter()
        .flatten()
        .map(|value| (value / charged).powi(2))
        .sum();
    let too_small = ChiSquared::new(count).map_or(0.0, |chi_squared| chi_squared.cdf(squares));
    let mean = attempts.iter().flatten().sum::<f64>() / (charged * count.sqrt());
    let off = 2.0 * normal_cdf(-mean.abs());
    let mut alike: f64 = 0.0;
    let mut pairs = 0;
    for (at, one) in attempts.iter().enumerate() {
        for other in &attempts[..at] {
            let dot: f64 = one.iter().zip(other).map(|(one, other)| one * other).sum();
            let of = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
            alike = alike.max((dot / (of(one) * of(other)).sqrt().max(1e-300)).abs());
            pairs += 1;
        }
    }
    // Of vectors of so many independent coordinates the cosine is normal with deviation 1/sqrt(coordinates).
    let together = pairs as f64 * 2.0 * normal_cdf(-alike * (round.coordinates as f64).sqrt());
    Ok(vec![
        Finding {
            name: format!("noise is as much as charged: {}", round.name),
            ok: too_small >= level,
            detail: format!(
                "standard deviation {:.5} of what ledgers are charged for, over {count} draws of {} shares; so little by chance with \
                 probability {too_small:.2e}",
                (squares / count).sqrt(),
                round.shares(),
            ),
        },
        Finding {
            name: format!("noise is around 0: {}", round.name),
            ok: off >= level,
            detail: format!("mean {mean:.3} standard errors from 0 (probability {off:.2e})"),
        },
        Finding {
            name: format!("noise of each attempt is its own: {}", round.name),
            ok: together >= level,
            detail: format!(
                "the most alike of {pairs} pairs of attempts have cosine {alike:.5} (probability {together:.2e})"
            ),
        },
    ])
}

/// Customers are drawn one by one, each with probability q: counts vary as such draws do.
fn sampling(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    dataset: &Dataset,
    effort: CheckEffort,
) -> anyhow::Result<Finding> {
    let rate = round.sampling_rate().get();
    let users = dataset
        .histories
        .iter()
        .filter(|history| !history.is_empty())
        .count() as f64;
    let mut squares = 0.0;
    for draw in 0..effort.draws {
        let mut source = mechanism.plan.stream(&format!("draw {draw} of {}", round.name));
        // Not the same coins as any other stream's.
        let _: u64 = source.random();
        let drawn = mechanism.drawn(round, shop, dataset, &mut source)? as f64;
        squares += (drawn - users * rate).powi(2) / (users * rate * (1.0 - rate));
    }
    let below = ChiSquared::new(effort.draws as f64).map_or(0.0, |chi_squared| chi_squared.cdf(squares));
    let probability = 2.0 * below.min(1.0 - below);
    Ok(Finding {
        name: format!("each customer is drawn by a coin: {}", round.name),
        ok: probability >= effort.significance / TESTS,
        detail: format!(
            "in {} draws of {users} customers at {rate} the numbers vary {:.3} times as much as coins make them vary (probability \
             {probability:.2e})",
            effort.draws,
            squares / effort.draws as f64,
        ),
    })
}

/// The one who bought last, the most active, and some at random.
fn some_customers(mechanism: &Mechanism<'_>, dataset: &Dataset, many: usize) -> Vec<usize> {
    if dataset.is_empty() {
        return Vec::new();
    }
    let most_active = (0..dataset.len()).max_by_key(|user| dataset.histories[*user].len());
    let mut draws = mechanism.plan.stream("customers to take out");
    let mut chosen: Vec<usize> = latest_buyer(dataset).into_iter().chain(most_active).collect();
    while chosen.len() < many.max(2).min(dataset.len()) {
        chosen.push(draws.random_range(0..dataset.len()));
        chosen.sort_unstable();
        chosen.dedup();
    }
    chosen
}

/// Tests of a round that share the significance.
const TESTS: f64 = 4.0;
/// Attempts beyond the trials'.
const NOISE_CHECK: u64 = 1 << 60;

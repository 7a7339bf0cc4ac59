//! Whether a customer bought one item: what is seen is compared with what it would be with the item and without, by an adversary
//! who knows all else, the customer's other items included.

use rand::RngExt;
use souk_common::dataset::{Dataset, History};
use souk_common::rng::stream;

use super::context::{Context, guarantee};
use super::likelihood::{Hypotheses, compare};
use super::release_membership::AREA;
use super::{Measured, Tried};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let effort = context.subject.effort;
    let hypotheses: Vec<Hypotheses> = context
        .targets("interactions", effort.pick(12, 60), 3)
        .iter()
        .map(|user| hypothesis(context, *user))
        .collect();
    if hypotheses.is_empty() {
        return Ok(Tried::Not(
            "no customer has three items besides the latest one".to_owned(),
        ));
    }
    let trials = effort.pick(120, 2000);
    let mut measured = Measured::of(AREA);
    for protections in context.protections() {
        let rounds = context.rounds(protections)?;
        let noisy = context.noisy_shops(protections);
        let name = format!("interactions {protections:?}");
        let scores = compare(
            &rounds,
            &hypotheses,
            (trials, noisy),
            (context.subject.seed, &name),
        )?;
        // One item more is one customer's records replaced.
        let allowed = guarantee(&rounds).map(|allowed| allowed.of_replacing().area());
        let note = format!(
            "{}; one item of a customer's, and the others known",
            context.rounds_in_words()
        );
        measured
            .rows
            .push(context.row(protections, scores.area(), (0.5, allowed), note));
    }
    Ok(Tried::Rows(vec![measured]))
}

/// A customer, and the same without one of the items that may be released.
fn hypothesis(context: &Context<'_>, user: usize) -> Hypotheses {
    let with = context.alone(user);
    let history = &with.histories[0];
    let mut rng = stream(context.subject.seed, &format!("interaction of {user}"));
    let left_out = rng.random_range(0..history.len() - 1);
    let kept = |at: &usize| *at != left_out;
    let without = History {
        items: (0..history.len())
            .filter(kept)
            .map(|at| history.items[at])
            .collect(),
        times: (0..history.len())
            .filter(kept)
            .map(|at| history.times[at])
            .collect(),
    };
    Hypotheses {
        shop: context.shop_of(user),
        without: Dataset {
            users: with.users.clone(),
            histories: vec![without],
            labelled: with.labelled.clone(),
        },
        with,
    }
}

//! The shop's own stack: channels and weights fitted to its customers, kept from one start to the next.
//!
//! | module | what |
//! |---|---|
//! | [`sources`] | what it is fitted to, and the digest that says whether any of that has changed |
//! | [`kept`] | its weights on disk |
//! | [`gain`] | what it says about itself to the owner |
//!
//! Weights are fitted with each customer's latest item left out, which they are tuned on; the channels that serve are
//! then rebuilt on whole histories. Nothing of this leaves the shop, and none of it needs a coordinator.

pub mod gain;
pub mod kept;
pub mod sources;

use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::channels::{self, Channels, FixedPopularity, content, timed};
use souk_common::clock::Timestamp;
use souk_common::dataset::{Dataset, History};
use souk_common::features::Features;
use souk_common::ids::Digest;
use souk_common::stack::{GateRule, Stack, StackInput, StackStage, fit};

use crate::config::FederatedUse;
use kept::KeptStack;
use sources::Sources;

/// Which scores a list was made by.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedBy {
    /// The shop's own stack, without anything of other shops.
    Alone,
    /// The shop's own stack with channels of all shops.
    Together,
    /// A trained model.
    #[default]
    Model,
}

/// A shop's stacks, ready to serve.
#[derive(Clone)]
pub struct ShopStack {
    catalogue: Digest,
    alone: Stack,
    together: Option<Stack>,
    newcomers: Option<Stack>,
    kept: KeptStack,
    epsilon: Option<f64>,
    /// As of which its scores are; none before anybody has said, which is the day after the last purchase.
    day: Option<i64>,
}

impl ShopStack {
    /// From what is `kept`, if that was fitted to these sources; else fitted anew.
    ///
    /// # Errors
    /// When the sources do not fit together.
    pub fn build(
        sources: &Sources,
        kept: Option<KeptStack>,
        progress: impl FnMut(StackStage),
    ) -> anyhow::Result<Self> {
        let features = Features::of(&sources.catalogue);
        let content = content::channels(&features);
        let federated = sources.federated(&content)?;
        let local = channels::local(&sources.dataset, &features);
        let timed = timed::channels(&sources.dataset, &features);
        let expected: Channels = vec![Arc::new(FixedPopularity::expected(&sources.dataset, &features))];
        let all = [content.clone(), local, timed, federated.clone(), expected].concat();
        let again = kept.filter(|kept| kept.key == sources.key());
        if let Some(kept) = again
            && let Ok(stack) = Self::on(&all, sources, kept)
        {
            return Ok(stack);
        }
        let kept = fitted(sources, &features, (&content, &federated), progress)?;
        Self::on(&all, sources, kept).context("the weights do not fit their own channels")
    }

    fn on(channels: &Channels, sources: &Sources, kept: KeptStack) -> anyhow::Result<Self> {
        let items = sources.catalogue.len();
        let stack = |weights: &kept::Weights| {
            let weights = weights.iter().map(|(name, weight)| (name.as_str(), *weight));
            Stack::named(weights, channels, items)
        };
        Ok(Self {
            catalogue: sources.catalogue_digest,
            alone: stack(&kept.alone)?,
            together: kept.together.as_ref().map(stack).transpose()?,
            newcomers: kept.newcomers.as_ref().map(stack).transpose()?,
            epsilon: sources.epsilon(),
            kept,
            day: None,
        })
    }

    /// The same as of the day (UTC) of `now`; none where it is.
    pub fn as_of(&self, now: Timestamp) -> Option<Self> {
        let seconds = now.0.div_euclid(1000);
        let day = Some(timed::day_of(seconds));
        let then = |stack: &Option<Stack>| stack.as_ref().map(|stack| stack.as_of(seconds));
        (self.day != day).then(|| Self {
            alone: self.alone.as_of(seconds),
            together: then(&self.together),
            newcomers: then(&self.newcomers),
            day,
            ..self.clone()
        })
    }

    /// As of which day (counted from 1970) it scores, where that changes scores.
    pub fn day_that_counts(&self) -> Option<i64> {
        let all = [Some(&self.alone), self.together.as_ref()];
        let by_clock = all.into_iter().flatten().any(Stack::goes_by_the_clock);
        self.day.filter(|_| by_clock)
    }

    /// Of which catalogue's items.
    pub fn catalogue(&self) -> Digest {
        self.catalogue
    }

    /// What to keep of it.
    pub fn kept(&self) -> &KeptStack {
        &self.kept
    }

    /// What it was fitted to.
    pub fn key(&self) -> Digest {
        self.kept.key
    }

    /// The stack to serve by.
    pub fn serving(&self, wish: FederatedUse) -> (&Stack, ServedBy) {
        match &self.together {
            Some(together) if self.lets_in(wish) => (together, ServedBy::Together),
            _ => (&self.alone, ServedBy::Alone),
        }
    }

    /// The stack of the shop's own customers.
    pub fn alone(&self) -> &Stack {
        &self.alone
    }

    /// What compares items that nobody has bought yet; none where nothing is known of items but their ids.
    pub fn newcomers(&self) -> Option<&Stack> {
        self.newcomers.as_ref()
    }

    /// The stack with what all shops released, whatever the gate says; none before the first release.
    pub fn together(&self) -> Option<&Stack> {
        self.together.as_ref()
    }

    fn rule(&self) -> GateRule {
        GateRule::of(self.epsilon)
    }

    /// Whether channels of all shops are used, if there are any.
    fn lets_in(&self, wish: FederatedUse) -> bool {
        match wish {
            FederatedUse::On => true,
            FederatedUse::Off => false,
            FederatedUse::Gate => self.kept.gate.is_some_and(|report| self.rule().opens(&report)),
        }
    }
}

fn fitted(
    sources: &Sources,
    features: &Features,
    (content, federated): (&Channels, &Channels),
    progress: impl FnMut(StackStage),
) -> anyhow::Result<KeptStack> {
    let (train, validation) = without_latest(&sources.dataset);
    let latest = |history: &History| history.times.last().copied().unwrap_or_default();
    let times: Vec<i64> = sources.dataset.histories.iter().map(latest).collect();
    let input = StackInput {
        train: &train,
        validation: &validation,
        times: &times,
        hidden: &[],
        features,
    };
    let fit = fit(&input, content, federated, SEED, progress)
        .context("no stack can be fitted to this shop's customers")?;
    Ok(KeptStack::of(sources.key(), &fit))
}

/// Histories without their latest items, and these; a history of one item keeps it and has none to validate on.
fn without_latest(dataset: &Dataset) -> (Dataset, Vec<Option<u32>>) {
    let cut = |history: &History| match history.items.as_slice() {
        [rest @ .., latest] if !rest.is_empty() => {
            let times = history.times.get(..rest.len()).unwrap_or_default();
            let kept = History {
                items: rest.to_vec(),
                times: times.to_vec(),
            };
            (kept, Some(*latest))
        }
        _ => (history.clone(), None),
    };
    let (histories, validation) = dataset.histories.iter().map(cut).unzip();
    let users = dataset.users.clone();
    (
        Dataset {
            users,
            histories,
            labelled: Vec::new(),
        },
        validation,
    )
}

/// Of what is drawn while weights are fitted: the same files give the same stack.
const SEED: u64 = 1;

#[cfg(test)]
mod tests;

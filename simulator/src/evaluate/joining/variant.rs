//! Which of a shop's stacks is looked at.

use std::borrow::Cow;

use souk_common::channels::timed::RECENT;
use souk_common::eval::{Candidates, Metrics, Split, Target, View, evaluate};
use souk_common::stack::{GateRule, Stack, StackFit};

use super::{Joining, K};

/// Which of a shop's stacks.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Variant {
    Alone,
    /// The shop's own bestsellers.
    Popularity,
    /// What the shop's customers buy these days.
    Recent,
    Federated,
    /// For items that nobody has bought yet.
    Newcomers,
    /// What the plan trained, by itself.
    Model,
    Tower,
    Together,
    Gated,
}

impl Variant {
    pub(super) const ALL: [Self; 7] = [
        Self::Alone,
        Self::Popularity,
        Self::Federated,
        Self::Model,
        Self::Tower,
        Self::Together,
        Self::Gated,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone+",
            Self::Popularity => "popularity",
            Self::Recent => RECENT,
            Self::Federated => "federated",
            Self::Newcomers => "newcomers",
            Self::Model => "model",
            Self::Tower => "tower",
            Self::Together => "together",
            Self::Gated => "together, gated",
        }
    }

    pub(super) fn of(self, fit: &StackFit, rule: GateRule) -> Option<Cow<'_, Stack>> {
        match self {
            Self::Alone => Some(Cow::Borrowed(&fit.alone)),
            Self::Federated => fit.federated.as_ref().map(Cow::Borrowed),
            Self::Newcomers => fit.newcomers.as_ref().map(Cow::Borrowed),
            Self::Popularity | Self::Recent | Self::Model | Self::Tower => {
                let all = fit.together.as_ref().unwrap_or(&fit.alone);
                let weights = [(self.name(), 1.0)];
                Stack::named(weights, all.channels(), all.items())
                    .ok()
                    .map(Cow::Owned)
            }
            Self::Together => fit.together.as_ref().map(Cow::Borrowed),
            Self::Gated => fit.gate.map(|_| Cow::Borrowed(fit.gated(rule))),
        }
    }
}

impl Joining<'_> {
    /// The metrics of one kind of stack under one seed of the noise, if there is one, a view each; everybody is scored once.
    pub(crate) fn metrics(
        &self,
        split: &Split,
        fits: &[StackFit],
        variant: Variant,
        views: &[View],
    ) -> Option<Vec<Metrics>> {
        let stacks = fits.iter().map(|fit| variant.of(fit, self.rule()));
        let stacks: Vec<Stack> = stacks
            .map(|stack| Some(stack?.into_owned()))
            .collect::<Option<_>>()?;
        let items = self.known.catalogue.len();
        let (scored, candidates) = (
            self.scores(split, &stacks),
            Candidates::draw(split, items, self.seed),
        );
        let of = |view: &View| evaluate(&scored, split, &candidates, items, *view, Target::Test, K);
        Some(views.iter().map(of).collect())
    }
}

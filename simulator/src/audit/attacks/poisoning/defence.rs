//! What stands against poisoning: the plan as it is, or the same plan with a rule.

use anyhow::ensure;
use souk_common::plan::{AggregationPlan, MaskingPlan, Placement, Plan};
use souk_common::update::ModulusBits;

/// How shops' updates become one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Defence {
    /// As the plan has it.
    Plan,
    /// `aggregation.rule = "norm_bound"`, bound 1.
    NormBound,
    /// `"median"`.
    Median,
    /// `"trimmed_mean"`, one shop at each end.
    TrimmedMean,
    /// `"krum"`, one liar.
    Krum,
    /// Groups of shops, each a masked sum with an n_min and a t of its own, and the median over the groups' means. No plan can
    /// name it yet: what is measured are its sums.
    MaskedGroups,
}

impl Defence {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Plan,
        Self::NormBound,
        Self::Median,
        Self::TrimmedMean,
        Self::Krum,
        Self::MaskedGroups,
    ];

    /// As reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plan => "the plan's own",
            Self::NormBound => "norm_bound",
            Self::Median => "median",
            Self::TrimmedMean => "trimmed_mean",
            Self::Krum => "krum",
            Self::MaskedGroups => "median over masked groups (no plan can name it yet)",
        }
    }

    /// The plan with it in place of its own, and into how many groups its shops are put. Of the groups, the plan's masks say
    /// which share of the noise each shop adds.
    ///
    /// # Errors
    /// When the plan has too few shops.
    pub(super) fn on(self, plan: &Plan) -> anyhow::Result<(Plan, usize)> {
        let mut plan = plan.clone();
        let shops = plan.shops.len();
        let rule = match self {
            Self::Plan => return Ok((plan, 0)),
            Self::NormBound => AggregationPlan::NormBound { bound: 1.0 },
            Self::Median => AggregationPlan::Median {},
            Self::TrimmedMean => AggregationPlan::TrimmedMean { trim: 1 },
            Self::Krum => AggregationPlan::Krum { liars: 1 },
            Self::MaskedGroups => AggregationPlan::Mean {},
        };
        (plan.metrics, plan.aggregation) = (None, rule);
        // Of one shop's noise, or a group's, there is more than of all shops' shares.
        plan.privacy.modulus_bits = ModulusBits::B64;
        if self == Self::MaskedGroups {
            let (groups, least) = (shops / LEAST_IN_A_GROUP, LEAST_IN_A_GROUP);
            ensure!(
                groups >= LEAST_GROUPS,
                "{shops} shops make no {LEAST_GROUPS} groups of {least}: a sum of fewer is unmasked by nobody"
            );
            let groups = if groups.is_multiple_of(2) {
                groups - 1
            } else {
                groups
            };
            plan.privacy.placement = Placement::Distributed;
            let masking = plan.masking.take();
            plan.masking = Some(MaskingPlan {
                min_shops: shops / groups,
                colluding: 1,
                cipher: masking.as_ref().map(|masking| masking.cipher).unwrap_or_default(),
                neighbours: None,
                step: masking.map_or(plan.cohort.deadline / 20, |masking| masking.step),
            });
            return Ok((plan, groups));
        }
        (plan.masking, plan.privacy.placement) = (None, Placement::Local);
        plan.cohort.quorum = plan.cohort.quorum.max(plan.aggregation.least_shops());
        plan.validate()?;
        Ok((plan, 0))
    }
}

/// n_min of three with one colluding shop is the least that masks have.
const LEAST_IN_A_GROUP: usize = 3;
/// One may be the liar's.
const LEAST_GROUPS: usize = 3;

//! Shops that have more customers than the plan declares, as far as a sum shows it.

use serde::{Deserialize, Serialize};
use souk_common::ids::{AttemptId, Digest, ShopName};

use super::Engine;

/// Where it is kept.
pub(crate) const OUTGROWN: &str = "outgrown";

/// A published sum that was larger than the declared customers can make it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct OutgrownSum {
    /// The plan.
    pub plan: Digest,
    /// Which attempt's.
    pub id: AttemptId,
    /// So many times as large, at least, all noise aside.
    pub times_declared: f64,
    /// How many times the declared customers sums of the plan have room for.
    pub headroom: u32,
}

impl OutgrownSum {
    /// What the operator is told.
    pub(crate) fn words(&self) -> String {
        format!(
            "the sum of {} is at least {:.1} times what all declared customers can come to: a shop has more customers than the plan \
             declares. Sums have room for {} times the declared customers, and what a shop has beyond its own room is held back. Which shop it is can't be \
             seen here (its owner's `souk-client doctor` says so): ask the owners, and declare more in the next plan",
            self.id,
            // Never rounded up.
            (self.times_declared * 10.0).floor() / 10.0,
            self.headroom
        )
    }
}

impl Engine {
    /// Looks at the sum of `accepted` shops, before it becomes a model.
    pub(super) fn look_for_outgrown(&self, id: AttemptId, accepted: &[ShopName]) -> Option<OutgrownSum> {
        Some(OutgrownSum {
            plan: self.run.plan,
            id,
            times_declared: self.aggregator.times_declared(accepted)?,
            headroom: self.plan().headroom(),
        })
    }
}

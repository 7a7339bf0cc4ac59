//! What a shop checks, as data: the rules of today, those that fell, and some that are weakened on purpose.
//!
//! Degrees, T, A and F are the project's own ([`MaskingParams`]): what falls here falls in the programs. Only what deviates is typed.

use serde::Serialize;
use souk_common::secagg::MaskingParams;

/// A set of rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rules {
    /// As the table calls it.
    pub(super) name: &'static str,
    /// Rule 1: a shop confirms a list of survivors only with each one's signature on the shop's own H2.
    pub(super) upload_signatures: bool,
    /// Rule 2: F is counted over R1 and never capped. Without: over R2, and all of R2 are always enough.
    pub(super) counted_over_roster: bool,
    /// Rule 3: A confirmed holders in R2 before the charge.
    pub(super) holders_before_charge: bool,
    /// F is lowered by so many.
    pub(super) fewer_confirmations: usize,
    /// T is lowered by so many.
    pub(super) fewer_shares: usize,
    /// A is lowered by so many.
    pub(super) fewer_alive: usize,
    /// What is said of it.
    pub(super) kind: Kind,
}

/// What a set of rules is here for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// In force: nothing may be found.
    Held,
    /// Fell, and must be found broken again.
    Planted,
    /// Nothing is claimed of it: what is found is told.
    Open,
}

/// Members of a list, and those among them that an owner has not confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) shops: usize,
    pub(super) unknown: usize,
}

impl Rules {
    /// T for a shop that distrusts `unknown` of its holders, in a roster of `shops`.
    pub(super) fn threshold(&self, terms: &MaskingParams, shops: usize, unknown: usize) -> usize {
        terms.threshold(shops, unknown).saturating_sub(self.fewer_shares)
    }

    /// A, in a roster of `shops`.
    pub(super) fn least_alive(&self, terms: &MaskingParams, shops: usize) -> usize {
        terms.least_alive(shops).saturating_sub(self.fewer_alive)
    }

    /// F.
    pub(super) fn confirmations(&self, terms: &MaskingParams, roster: Counted, sharers: Counted) -> usize {
        let least = match self.counted_over_roster {
            true => terms.confirmations(roster.shops, roster.unknown),
            // As until protocol version 6.
            false => terms
                .confirmations(sharers.shops, sharers.unknown)
                .min(sharers.shops),
        };
        least.saturating_sub(self.fewer_confirmations)
    }

    /// The same with rule 3.
    const fn and_rule_3(self, name: &'static str) -> Self {
        Self {
            name,
            holders_before_charge: true,
            ..self
        }
    }
}

const OLD: Rules = Rules {
    name: "old",
    upload_signatures: false,
    counted_over_roster: false,
    holders_before_charge: false,
    fewer_confirmations: 0,
    fewer_shares: 0,
    fewer_alive: 0,
    kind: Kind::Planted,
};

const RULE_1: Rules = Rules {
    name: "1",
    upload_signatures: true,
    ..OLD
};

const RULE_2: Rules = Rules {
    name: "2",
    counted_over_roster: true,
    ..OLD
};

/// Rules 1 and 2: what privacy hangs on.
pub(super) const NEW: Rules = Rules {
    name: "1+2",
    upload_signatures: true,
    counted_over_roster: true,
    kind: Kind::Held,
    ..OLD
};

/// As the protocol is.
pub(super) const NEW_WITH_3: Rules = NEW.and_rule_3("1+2+3");

/// Every set of rules, without rule 3 and with it.
pub(super) const ALL: [Rules; 8] = [
    OLD,
    OLD.and_rule_3("3"),
    RULE_1,
    Rules {
        kind: Kind::Open,
        ..RULE_1.and_rule_3("1+3")
    },
    RULE_2,
    RULE_2.and_rule_3("2+3"),
    NEW,
    NEW_WITH_3,
];

/// The new rules with numbers lowered: the adversary must be able to find something there. F does not stand alone: in complete
/// graphs T is as large, so that one less of F is made good by T; on circles those near a gap refuse by A, and miss among the
/// signers. So F alone has some to spare, and of one less nothing is claimed.
pub(super) const WEAKENED: [Rules; 5] = [
    Rules {
        name: "F-1",
        fewer_confirmations: 1,
        kind: Kind::Open,
        ..NEW
    },
    Rules {
        name: "F-1, T-1",
        fewer_confirmations: 1,
        fewer_shares: 1,
        kind: Kind::Planted,
        ..NEW
    },
    Rules {
        name: "F-6",
        fewer_confirmations: 6,
        kind: Kind::Planted,
        ..NEW
    },
    Rules {
        name: "T-1",
        fewer_shares: 1,
        kind: Kind::Planted,
        ..NEW
    },
    Rules {
        name: "A-1",
        fewer_alive: 1,
        kind: Kind::Planted,
        ..NEW
    },
];

#[cfg(test)]
mod tests {
    use super::super::arena::terms;
    use super::*;

    #[test]
    fn the_new_rules_have_the_projects_numbers_and_the_old_ones_count_r2_with_a_cap() {
        let terms = terms(16, 1, Some(22));
        let counted = |shops, unknown| Counted { shops, unknown };
        assert_eq!(NEW.threshold(&terms, 34, 1), terms.threshold(34, 1));
        assert_eq!(NEW.least_alive(&terms, 34), 22 / 2 + 1 + 2);
        assert_eq!(NEW.confirmations(&terms, counted(34, 0), counted(16, 0)), 18);
        assert_eq!(OLD.confirmations(&terms, counted(34, 0), counted(16, 0)), 9);
        assert_eq!(OLD.confirmations(&terms, counted(34, 4), counted(4, 4)), 4);
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|rules| rules.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}

//! What the figures should be, where that is known: the protocol is right if simple baselines come out as they do
//! elsewhere, and the federation if it gives up little against one place that has all data.

use souk_common::eval::View;

use super::{Check, Model, Setting, Table};

/// A range of the hit rate@10 in view B.
struct Range {
    set: &'static str,
    model: &'static str,
    least: f64,
    most: f64,
}

/// Reference figures, each a range over draws of the 99 items.
const BASELINES: [Range; 5] = [
    Range {
        set: "ml-100k",
        model: "popularity",
        least: 0.39,
        most: 0.43,
    },
    Range {
        set: "ml-100k",
        model: "ease",
        least: 0.63,
        most: 0.67,
    },
    Range {
        set: "uci-online-retail",
        model: "popularity",
        least: 0.35,
        most: 0.41,
    },
    Range {
        set: "uci-online-retail",
        model: "ease",
        least: 0.57,
        most: 0.62,
    },
    Range {
        set: "completejourney",
        model: "popularity",
        least: 0.36,
        most: 0.40,
    },
];

/// Least hit rate and nDCG@10 in view B of a federation without privacy.
const FEDERATED: [(&str, &str, f64, f64); 3] = [
    ("ml-100k", "neumf", 0.63, 0.365),
    ("ml-100k", "ials", 0.63, 0.365),
    ("uci-online-retail", "ials", 0.54, 0.0),
];

/// What a federation keeps of the centralised run of the same kind.
const LEAST_RATIO: f64 = 0.97;

/// Compares what can be compared.
pub(super) fn check(setting: &Setting, model: Model, no_privacy: bool, table: &Table) -> Vec<Check> {
    let set = setting.known.name;
    let mut checks = Vec::new();
    for range in BASELINES.iter().filter(|range| range.set == set) {
        if let Some(figures) = table.figures(range.model, View::LeakFree) {
            let hit_rate = figures.hit_rate_at_10;
            checks.push(Check {
                name: format!("{} in view B", range.model),
                ok: (range.least..=range.most).contains(&hit_rate),
                detail: format!(
                    "HR@10 {:.1} %; elsewhere {:.0} to {:.0} %",
                    100.0 * hit_rate,
                    100.0 * range.least,
                    100.0 * range.most
                ),
            });
        }
    }
    if !no_privacy {
        return checks;
    }
    let tally = table.tally();
    checks.push(Check {
        name: "nothing was clipped".into(),
        ok: tally.users > 0 && tally.clipped == 0,
        detail: format!(
            "{} of {} updates, longest {:.3}",
            tally.clipped, tally.users, tally.longest
        ),
    });
    let Some(ours) = table.figures(model.name(), View::LeakFree) else {
        return checks;
    };
    let bound = FEDERATED
        .iter()
        .find(|(of, named, ..)| *of == set && *named == model.name());
    if let Some((.., hit_rate, ndcg)) = bound {
        checks.push(Check {
            name: format!("{} in view B", model.name()),
            ok: ours.hit_rate_at_10 >= *hit_rate && ours.ndcg_at_10 >= *ndcg,
            detail: format!(
                "HR@10/nDCG@10 {:.4}/{:.4}, at least {hit_rate}/{ndcg}",
                ours.hit_rate_at_10, ours.ndcg_at_10
            ),
        });
    }
    let central = format!("central_{}", model.name());
    if let Some(theirs) = table.figures(&central, View::LeakFree) {
        let ratio = ours.hit_rate_at_10 / theirs.hit_rate_at_10;
        checks.push(Check {
            name: format!("{} beside {central}", model.name()),
            ok: ratio >= LEAST_RATIO,
            detail: format!("ratio of HR@10 {ratio:.4}, at least {LEAST_RATIO}"),
        });
    }
    checks
}

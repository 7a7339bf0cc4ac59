//! Who sees what, and what the guarantee rests on: docs/threat-model.md, for one plan.

use souk_common::plan::{Placement, Plan};

use super::model::Observer;

/// Everybody around a run of `plan`.
pub(super) fn of(plan: &Plan) -> Vec<Observer> {
    let is_private = plan.privacy.noise_multiplier.is_some();
    let bounded = |text: &str| match is_private {
        true => text.to_owned(),
        false => "nothing is promised: there is no noise".to_owned(),
    };
    let customer = "any one customer, beyond what epsilon and delta allow";
    let coordinator = match &plan.masking {
        Some(masking) => Observer {
            who: "the coordinator (operator)".to_owned(),
            sees: format!(
                "who takes part and when, masked updates, the noised sum over at least {} shops, what is published",
                masking.min_shops
            ),
            does_not_learn: bounded(&format!("one shop's update; {customer}")),
            rests_on: match plan.privacy.placement {
                Placement::Distributed => format!(
                    "masks that cancel only in the sum; shops' shares of the noise; at most {} colluding of the shops that honest owners have \
                     confirmed",
                    masking.colluding
                ),
                Placement::Local => {
                    "masks that cancel only in the sum; and each shop's own noise, which is all of it"
                        .to_owned()
                }
            },
        },
        None => Observer {
            who: "the coordinator (operator)".to_owned(),
            sees: "who takes part and when, each shop's noised sum, declared sizes, what is published"
                .to_owned(),
            does_not_learn: bounded(&format!("{customer} of that customer's shop")),
            rests_on: bounded("each shop adds all the noise of its own guarantee before it sends"),
        },
    };
    let others = match plan.masking.as_ref().map(|masking| masking.colluding) {
        Some(1) => "one other shop, also together with the coordinator".to_owned(),
        Some(colluding) => {
            format!("up to {colluding} other shops that collude, also with the coordinator")
        }
        None => "other shops, however many, also with the coordinator".to_owned(),
    };
    vec![
        coordinator,
        Observer {
            who: others,
            sees: "what is published, their own customers, their own noise".to_owned(),
            does_not_learn: bounded(customer),
            rests_on: match (is_private, plan.privacy.placement) {
                (false, _) => "nothing".to_owned(),
                (true, Placement::Distributed) => "the shares of the noise of the other shops".to_owned(),
                (true, Placement::Local) => "each shop's own noise".to_owned(),
            },
        },
        Observer {
            who: "a reader of what is published".to_owned(),
            sees: "models and statistics of every round".to_owned(),
            does_not_learn: bounded(&format!("{customer} that holds for readers")),
            rests_on: bounded("nobody takes noise off"),
        },
        Observer {
            who: "the network".to_owned(),
            sees: "ciphertext, sizes, times".to_owned(),
            does_not_learn: "who was drawn: an update has the same size whatever the draw".to_owned(),
            rests_on: "TLS 1.3; vectors of the same length for everybody".to_owned(),
        },
        Observer {
            who: "whoever sees a shop's own pages and lists".to_owned(),
            sees: "what the shop recommends, from its own customers' data without noise".to_owned(),
            does_not_learn: "nothing is promised: lists are outside the guarantee".to_owned(),
            rests_on: "the shop's rules: five customers behind each pair of products, signed tokens for a customer's list".to_owned(),
        },
        Observer {
            who: "the shop itself".to_owned(),
            sees: "its own customers, its draw, its noise".to_owned(),
            does_not_learn: "nothing is hidden from it".to_owned(),
            rests_on: "the shop's own duties toward its customers".to_owned(),
        },
    ]
}

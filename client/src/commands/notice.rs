//! `notice`: a paragraph for the shop's customers.

use clap::ValueEnum;
use serde::Serialize;
use souk_common::accountant::{Composition, SampledGaussian};
use souk_common::plan::Plan;

use super::{Place, show};
use crate::config::ShopConfig;
use crate::data::outgrown::last_plan;
use crate::membership::Membership;

#[derive(Debug, clap::Args)]
pub(super) struct Notice {
    #[command(flatten)]
    place: Place,
    /// In which language.
    #[arg(long, value_enum, default_value_t = Language::En)]
    language: Language,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// What the paragraph says.
#[derive(Debug, Serialize)]
struct Facts {
    language: Language,
    shop: String,
    coordinator: String,
    /// The plan that the shop was last charged for, its epsilon and delta.
    plan: Option<(String, f64, f64)>,
    max_epsilon: f64,
    delta: f64,
    period_days: Option<u32>,
    allows_no_privacy: bool,
    text: String,
}

pub(super) fn run(args: Notice) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    let (config, membership) = (ShopConfig::load(&folder)?, Membership::load(&folder)?);
    let plan = last_plan(&folder).and_then(|plan| {
        let delta = plan.privacy.delta.get();
        Some((plan.name.clone(), epsilon(&plan)?, delta))
    });
    let mut facts = Facts {
        language: args.language,
        shop: membership.shop.to_string(),
        coordinator: config.route_or(&membership.address).address,
        plan,
        max_epsilon: config.policy.max_epsilon.get(),
        delta: config.policy.delta.get(),
        period_days: config.policy.period_days,
        allows_no_privacy: config.policy.allow_no_privacy,
        text: String::new(),
    };
    facts.text = match args.language {
        Language::En => english(&facts),
        Language::Zh => chinese(&facts),
    };
    show(args.json, &facts, |facts| facts.text.clone())?;
    Ok(true)
}

/// Epsilon of all rounds of a plan, unit one customer of one shop, add/remove; none if nothing bounds it.
fn epsilon(plan: &Plan) -> Option<f64> {
    let mechanism = SampledGaussian {
        noise_multiplier: plan.charged_noise_multiplier()?,
        sampling_rate: plan.privacy.sampling_rate,
    };
    // z of a plan of releases is that of all of them together.
    let rounds = if plan.is_of_releases() { 1 } else { plan.rounds };
    let composition = Composition::of(mechanism, rounds);
    composition
        .epsilon(plan.privacy.delta)
        .map(|epsilon| epsilon.get())
}

/// Rounded up: a bound is never told too small.
fn up(epsilon: f64) -> String {
    format!("{:.2}", (100.0 * epsilon).ceil() / 100.0)
}

fn english(facts: &Facts) -> String {
    let Facts {
        shop, coordinator, ..
    } = facts;
    let within = facts
        .period_days
        .map_or("in all".to_owned(), |days| format!("within any {days} days"));
    let most = format!(
        "at most epsilon {} at delta {:e} {within}",
        up(facts.max_epsilon),
        facts.delta
    );
    let guarantee = match (facts.allows_no_privacy, &facts.plan) {
        (true, _) => {
            "This shop is set up to take part in training without added noise as well; then the guarantee of \
                      differential privacy does not hold."
                .to_owned()
        }
        (false, plan) => {
            let plan = plan.as_ref().map_or(String::new(), |(name, epsilon, delta)| {
                format!(
                    " The plan in use, \"{name}\", spends epsilon {} at delta {delta:e}.",
                    up(*epsilon)
                )
            });
            format!(
                "Before anything is sent, each customer's contribution is limited and random noise is added to the sum, so that \
                 what leaves this shop is almost as likely whether or not any one customer is among it (differential privacy: \
                 {most}, for one customer with all orders).{plan}"
            )
        }
    };
    format!(
        "We ({shop}) use what you have bought from us (customer number, article, time, quantity and price of each order line) to \
         recommend products to you that you may like. Your orders are processed on our own \
         computers and are given to nobody. We improve recommendations together with other shops: for that, our computers \
         send sums over many customers to a coordinator ({coordinator}) that trains one model for all; no order, name or customer \
         number is in them. {guarantee} Your order lines stay in our recommender for as long as they are in our records of orders; \
         when they are deleted there, they are gone from here with the next import, and from then on no sum is computed from them. \
         Sums and models from before contain nothing that can be attributed to you and are not recalled. If you object, tell us, \
         and we leave your orders out."
    )
}

fn chinese(facts: &Facts) -> String {
    let Facts {
        shop, coordinator, ..
    } = facts;
    let within = facts
        .period_days
        .map_or("累计".to_owned(), |days| format!("任意 {days} 天之内"));
    let most = format!(
        "{within} epsilon 不超过 {}，delta 为 {:e}",
        up(facts.max_epsilon),
        facts.delta
    );
    let guarantee = match (facts.allows_no_privacy, &facts.plan) {
        (true, _) => "本店的设置也允许参加不加噪声的训练；在那种情况下，差分隐私的保证不成立。".to_owned(),
        (false, plan) => {
            let plan = plan.as_ref().map_or(String::new(), |(name, epsilon, delta)| {
                format!(
                    "当前使用的计划“{name}”共花费 epsilon {}（delta 为 {delta:e}）。",
                    up(*epsilon)
                )
            });
            format!(
                "在发送之前，每位顾客的影响都受到限制，并在总和中加入随机噪声，因此无论其中是否包含某一位顾客，离开本店的\
                 内容几乎同样可能出现（差分隐私：以一位顾客的全部订单为单位，{most}）。{plan}"
            )
        }
    };
    format!(
        "我们（{shop}）使用您在本店的购买记录（每个订单行的顾客编号、商品、时间、数量和价格）为您推荐您可能喜欢的\
         商品。您的订单只在我们自己的计算机上处理，不会提供给任何人。我们与其他商店共同改进推荐：为此，我们的\
         计算机向协调方（{coordinator}）发送许多顾客的总和，由其训练一个共用的模型；其中不含任何订单、姓名或顾客编号。\
         {guarantee}您的订单行在我们的推荐系统中保留的时间与在我们的订单记录中相同；在那里删除之后，下一次导入时也会从\
         这里删除，此后不再有任何总和由它们计算。此前的总和与模型不含可以归于您的内容，不会收回。如果您反对，请告诉我们，\
         我们将不再使用您的订单。"
    )
}

pub(super) const HELP: &str = "It says who processes what, why and for how long, and the guarantee. It is a draft for you to \
    complete with what your law asks for; it takes names and limits from shop.toml and from the plan that this shop was last \
    charged for.\n\nExample:\n  souk-client notice --language zh --dir shop";

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(plan: Option<(String, f64, f64)>, allows_no_privacy: bool) -> Facts {
        Facts {
            language: Language::En,
            shop: "north".to_owned(),
            coordinator: "souk.example.org:4433".to_owned(),
            plan,
            max_epsilon: 8.0,
            delta: 1e-5,
            period_days: Some(365),
            allows_no_privacy,
            text: String::new(),
        }
    }

    #[test]
    fn both_languages_name_shop_coordinator_limit_and_plan_and_round_no_epsilon_down() {
        let facts = facts(Some(("spring".to_owned(), 2.991, 1e-6)), false);
        for text in [english(&facts), chinese(&facts)] {
            for said in [
                "north",
                "souk.example.org:4433",
                "8.00",
                "1e-5",
                "365",
                "spring",
                "3.00",
                "1e-6",
            ] {
                assert!(text.contains(said), "{said}: {text}");
            }
        }
    }

    #[test]
    fn a_shop_that_allows_no_privacy_promises_none() {
        let facts = facts(None, true);
        assert!(english(&facts).contains("does not hold") && !english(&facts).contains("8.00"));
        assert!(chinese(&facts).contains("不成立") && !chinese(&facts).contains("8.00"));
    }

    #[test]
    fn a_plans_epsilon_is_of_all_its_rounds() {
        let text = |noise: &str| {
            format!(
                "name = 'spring'\nrounds = 4\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
                 [privacy]\nclip_norm = 1.0\n{noise}\nsampling_rate = 1.0\ndelta = 1e-5\n[cohort]\nquorum = 1\n[server]\n\
                 optimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'north'\ndeclared_users = 10\n"
            )
        };
        let plan = Plan::from_toml(&text("noise_multiplier = 2.0")).unwrap();
        // Four rounds at z 2 are one at z 1, whose epsilon at 1e-5 is 4.377 (Balle and Wang 2018).
        assert!(
            (epsilon(&plan).unwrap() - 4.377).abs() < 0.001,
            "{:?}",
            epsilon(&plan)
        );
    }
}

use super::*;
use crate::control::charged::ChargedKind;
use crate::recommend::Recommended;
use crate::recommend::serving::Serving;

fn one(title: &str) -> Recommendations {
    Recommendations {
        user_id: "u,1".into(),
        history: 2,
        personal: true,
        items: vec![Recommended {
            rank: 1,
            item_id: "i9".into(),
            score: 0.5,
            stars: None,
            title: title.into(),
            category: "tea".into(),
            brand: String::new(),
            price: Some(2.5),
            reasons: Vec::new(),
            rules: Vec::new(),
        }],
        served_by: ServedBy::Model,
        serving: Serving::default(),
        own_catalogue: false,
        left_out_by_rules: 0,
        rules_trouble: Vec::new(),
    }
}

#[test]
fn csv_quotes_what_needs_it() {
    let text = String::from_utf8(csv(&[one("a \"b\", c")]).unwrap()).unwrap();
    assert_eq!(
        text,
        "user_id,rank,item_id,score,title\n\"u,1\",1,i9,0.5,\"a \"\"b\"\", c\"\n"
    );
}

#[test]
fn a_list_for_nobody_in_particular_says_so() {
    let plain = list(&one("T"));
    assert!(plain.contains("1. i9  T  (tea, 2.50)  score 0.500"), "{plain}");
    let impersonal = Recommendations {
        personal: false,
        ..one("T")
    };
    assert!(list(&impersonal).contains("not chosen for u,1"));
    let mut ruled = one("T");
    ruled.items[0].rules = vec!["pinned to place 1".to_owned()];
    (ruled.left_out_by_rules, ruled.rules_trouble) = (3, vec!["rules.toml: line 1".to_owned()]);
    let text = list(&ruled);
    for said in [
        "by your rules pinned to place 1",
        "leave out 3 more",
        "rules.toml: line 1",
    ] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn lists_for_baskets_and_strangers_say_so_and_reasons_read_as_sentences() {
    use crate::recommend::reasons::{Reason, Shared, Through};
    let reason = |through, title: &str, shared| Reason {
        item_id: String::new(),
        title: title.into(),
        share: 0.25,
        shared,
        channel: Some(through),
        part: Some(0.5),
    };
    let brand = vec![Shared::Category("tea".into()), Shared::Brand("b".into())];
    let mut basket = one("T");
    basket.items[0].reasons = vec![
        reason(Through::BestsellerInRegion, "", Vec::new()),
        reason(Through::New, "", Vec::new()),
        reason(Through::BoughtLately, "", Vec::new()),
        reason(Through::BoughtAfter, "Pot", Vec::new()),
        reason(Through::BoughtTogether, "Cup", Vec::new()),
        reason(Through::Alike, "Mug", brand),
    ];
    let basket = Recommendations {
        user_id: String::new(),
        own_catalogue: true,
        served_by: ServedBy::Together,
        ..basket
    };
    let text = list(&basket);
    for said in [
        "For a basket of 2 different items:",
        "the items of your own files",
        "because it is a bestseller in your region's shops (25 %)",
        "because it is new (25 %)",
        "because it is bought a lot these days (25 %)",
        "because it is bought after Pot (25 %)",
        "because it is bought by customers who bought Cup (25 %)",
        "because it is like Mug: same category tea, brand b (25 %)",
    ] {
        assert!(text.contains(said), "{text}");
    }
    let anybody = Recommendations {
        personal: false,
        ..basket
    };
    assert!(list(&anybody).starts_with("For somebody of whom nothing is known"));
}

#[test]
fn the_gain_is_told_on_two_lines() {
    let both = Gain {
        customers: 4078,
        alone: 59.31,
        alone_error: 0.7,
        together: Some(61.88),
        gain: Some(2.57),
        gain_error: Some(0.31),
        served_by: ServedBy::Together,
        why: "on by shop.toml".into(),
        epsilon: Some(8.0),
        own_catalogue: false,
        collapsed: Vec::new(),
    };
    assert_eq!(
        gain(&both),
        "alone 59.3, together 61.9 of 100 customers' next purchases among ten (of 99 drawn others); measured on 4,078 \
         customers, the gain is +2.6 +- 0.3\nwhat all shops released is used: on by shop.toml"
    );
    let alone = Gain {
        together: None,
        gain: None,
        gain_error: None,
        served_by: ServedBy::Alone,
        ..both
    };
    let text = gain(&alone);
    assert!(
        text.contains("4,078 customers, +- 0.7") && text.contains("is not used"),
        "{text}"
    );
    let told = gain(&Gain {
        collapsed: vec!["the generator of channel \"model\" has collapsed".into()],
        ..alone
    });
    assert_eq!(
        told.lines().last(),
        Some("the generator of channel \"model\" has collapsed")
    );
}

#[test]
fn an_unbounded_budget_is_not_called_zero() {
    let unbounded = Budget {
        epsilon: None,
        delta: 1e-5,
        unit: "user".into(),
        relation: "add-remove".into(),
        rounds_charged: 3,
        charged_by_kind: [(ChargedKind::Release, 2), (ChargedKind::Tower, 1)].into(),
        model_hash: None,
        max_epsilon: 8.0,
        period_days: None,
        epsilon_in_period: None,
        noise_is_shared: false,
        epsilon_readers: None,
        epsilon_if_alone: None,
    };
    let text = budget(&unbounded);
    assert!(!text.contains("readers"), "{text}");
    let kinds = "over 3 rounds charged (2 released statistics, 1 trained the tower)\n";
    assert!(text.contains(kinds), "{text}");
    let shared = Budget {
        epsilon: Some(2.0),
        noise_is_shared: true,
        epsilon_readers: Some(1.75),
        ..unbounded
    };
    let both = budget(&shared);
    assert!(
        both.contains("alone it is 1.750") && both.contains("coordinator, without bound"),
        "{both}"
    );
    assert!(
        text.contains("without bound") && text.contains("nothing is left"),
        "{text}"
    );
}

#[test]
fn changed_keys_are_shouted_and_ones_own_is_shown_to_be_compared() {
    let of = |key: u8| souk_common::secagg::records::fingerprint(&[key; 32]);
    let known = |name: &str, key, standing| Peer {
        shop: name.parse().unwrap(),
        fingerprint: of(key),
        standing,
    };
    let mut all = Peers {
        shop: "north".parse().unwrap(),
        fingerprint: of(1),
        members: vec![
            known("north", 1, KeyStatus::Own),
            known("south", 2, KeyStatus::Confirmed),
        ],
    };
    let text = shops(&all);
    assert!(
        text.contains(&spoken(&of(1))) && text.contains("south: confirmed"),
        "{text}"
    );
    assert!(!text.contains("--trust"), "{text}");
    all.members.push(known("west", 3, KeyStatus::Changed));
    let text = shops(&all);
    assert!(
        text.contains("west: CHANGED") && text.contains("--trust NAME="),
        "{text}"
    );
}

//! Pages of facts that are hard to come by.

use souk_common::ids::ShopName;

use super::super::facts::{DataFacts, Facts, ListFacts, SourceFacts};
use super::super::views::{data, gain, keys, left, privacy, rounds, today, unmatched};
use super::super::words::Language;
use super::*;
use crate::data::{DataReport, SourceReport};
use crate::interactions::outcome::ImportState;
use crate::interactions::unmatched::{AllUnmatched, Near, Unmatched};
use crate::membership::peers::{KeyStatus, Peer, Peers};
use crate::recommend::serving::{PlanName, Provenance, Serving};
use crate::stack::ServedBy;
use crate::stack::gain::Gain;
use crate::store::UploadRecord;

fn plan() -> PlanName {
    PlanName {
        name: "<i>spring</i>".into(),
        digest: Digest::ZERO,
    }
}

/// All is well.
pub(super) fn good() -> Facts {
    let north: ShopName = "north".parse().unwrap();
    let day_before = Noon.now().0 / 1000 - 86_400;
    let report = SourceReport {
        name: "<orders>.csv".into(),
        rows: 12,
        taken: 9,
        left_out: [("guest".to_owned(), 2)].into(),
        bad: [("time".to_owned(), 1)].into(),
        span: Some((day_before - 86_400, day_before)),
        ..SourceReport::default()
    };
    Facts {
        troubles: Vec::new(),
        at: Noon.now(),
        shop: Some(north.clone()),
        has_federation: true,
        lists: Ok(ListFacts {
            by: ServedBy::Together,
            serving: Serving {
                learned: Some(Provenance {
                    plan: plan(),
                    round: 7,
                    model_hash: Digest::ZERO,
                    published_at: Noon.now() - Duration::from_secs(3 * 86_400),
                    age_secs: None,
                }),
                untrained: None,
            },
            items: 12_345,
            customers: 678,
            own_catalogue: false,
        }),
        gain: Some(Gain {
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
        }),
        budget: Ok(budget(Some(4.0))),
        next: Ok(Some(NextRound {
            plan: plan(),
            round: 8,
            is_over: false,
            refusals: Vec::new(),
        })),
        uploads: Ok(Vec::new()),
        data: Ok(DataFacts {
            sources: vec![SourceFacts {
                name: "<orders>.csv".into(),
                state: ImportState::Unchanged,
                report: DataReport {
                    sources: vec![report],
                    ..DataReport::default()
                },
            }],
            troubles: Vec::new(),
            doubts: Vec::new(),
        }),
        unmatched: Some(Ok(AllUnmatched {
            items: 1,
            rows: 5,
            listed: vec![Unmatched {
                item_id: "77".into(),
                sold: 5,
                title: "<u>Jam</u>".into(),
                nearest: vec![Near {
                    federation_id: "jam-1".into(),
                    title: "Strawberry jam".into(),
                }],
            }],
        })),
        keys: Ok(Peers {
            shop: north.clone(),
            fingerprint: Digest::of(b"north"),
            members: vec![peer("north", KeyStatus::Own), peer("south", KeyStatus::Confirmed)],
        }),
        rules_told: Vec::new(),
        experiment: None,
    }
}

fn peer(name: &str, standing: KeyStatus) -> Peer {
    Peer {
        shop: name.parse().unwrap(),
        fingerprint: Digest::of(name.as_bytes()),
        standing,
    }
}

fn today_of(language: Language, facts: &Facts) -> String {
    today::view(language, facts, Connection::default(), Noon.now()).into_string()
}

#[test]
fn a_good_day_is_one_sentence_that_says_what_makes_the_lists_and_up_to_when() {
    let text = today_of(Language::English, &good());
    for said in [
        "made from your own customers&#39; orders and from what all shops learned together, with orders up to 2026-11-27.",
        "Nothing is wrong",
        "round 7 of plan &lt;i&gt;spring&lt;/i&gt;, 3 days old",
        "Items: 12,345. Customers: 678.",
        "Rows: 9 taken, 2 left out, 1 bad.",
        "Epsilon 4.000 of 8 is spent, 4.000 is left",
        "59.3 of 100 next purchases are among your ten alone, 61.9 together",
        "confirmed: 1 of 1.",
    ] {
        let text = text.replace('\'', "&#39;");
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("id=\"worries\""), "{text}");
    let chinese = today_of(Language::Chinese, &good());
    assert!(
        chinese.contains("推荐列表是最新的") && chinese.contains("一切正常"),
        "{chinese}"
    );
}

#[test]
fn whatever_is_wrong_is_said_with_what_to_do() {
    let bad = Facts {
        lists: Err("no customer has bought anything".into()),
        budget: Ok(budget(Some(7.9001))),
        next: Ok(Some(NextRound {
            refusals: vec!["the next round's noise multiplier is 0.1".into()],
            ..good().next.unwrap().unwrap()
        })),
        data: Ok(DataFacts {
            troubles: vec!["orders.csv was not imported: <too bad>".into()],
            ..good().data.unwrap()
        }),
        keys: Ok(Peers {
            members: vec![peer("south", KeyStatus::Changed)],
            ..good().keys.unwrap()
        }),
        ..good()
    };
    let text = today_of(Language::English, &bad);
    for part in [
        "There are no lists now.",
        "5 things need you",
        "id=\"worry-no-lists\"",
        "id=\"worry-key\"",
        "The key of south",
        "id=\"worry-data\"",
        "&lt;too bad&gt;",
        "id=\"worry-budget\"",
        "Epsilon 0.099 is left",
        "id=\"worry-refusals\"",
        "noise multiplier is 0.1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let chinese = today_of(Language::Chinese, &bad);
    assert!(
        chinese.contains("<ul lang=\"en\">") && chinese.contains("有 5 件事"),
        "{chinese}"
    );
}

#[test]
fn bad_lines_rules_and_what_ends_soon_are_said() {
    let mut facts = Facts {
        troubles: vec!["the certificate runs out on <b>Monday</b>".into()],
        ..good()
    };
    let report = &mut facts.data.as_mut().unwrap().sources[0].report;
    report.sources[0].rows = 1000;
    report.sources[0].bad = [("time".to_owned(), 11)].into();
    let gain = facts.gain.as_mut().unwrap();
    gain.collapsed = vec!["the generator of channel <model> has collapsed".into()];
    for language in [Language::English, Language::Chinese] {
        let text = today_of(language, &facts);
        for part in [
            "id=\"worry-health\"",
            "souk-client doctor",
            "on &lt;b&gt;Monday",
            "id=\"worry-bad-lines\"",
            "11 of 1000 lines of &lt;orders&gt;.csv",
            "id=\"worry-collapsed\"",
            "of channel &lt;model&gt; has collapsed",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn an_export_that_has_stopped_and_a_budget_without_bound_are_said() {
    let facts = Facts {
        budget: Ok(budget(None)),
        ..good()
    };
    let later = Noon.now() + Duration::from_secs(20 * 86_400);
    let text = today::view(Language::English, &facts, Connection::default(), later).into_string();
    assert!(
        text.contains("is 21 days old") && text.contains("id=\"worry-stale\""),
        "{text}"
    );
    assert!(
        text.contains("has no bound") && text.contains("Spent without bound"),
        "{text}"
    );
    assert!(
        text.contains("id=\"worry-old\"") && text.contains("20 days old"),
        "{text}"
    );
    let left = left::view(Language::English, &facts, |_| false).into_string();
    assert!(left.contains("id=\"no-noise\""), "{left}");
    let privacy = privacy::view(Language::English, &facts).into_string();
    assert!(
        privacy.contains("without bound") && !privacy.contains("id=\"meaning\""),
        "{privacy}"
    );
}

#[test]
fn privacy_is_a_gauge_with_the_same_in_words_and_what_it_means() {
    let text = privacy::view(Language::English, &good()).into_string();
    for part in [
        "role=\"img\"",
        "<title id=\"gauge-title\">Epsilon 4.000 of 8 is spent</title>",
        "Your limit is epsilon 8; 4.000 is left.",
        "by at most a factor of 54.60",
        "released a statistic",
        "trained the tower",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let shared = Facts {
        budget: Ok(Budget {
            noise_is_shared: true,
            epsilon_readers: Some(1.75),
            ..budget(Some(2.0))
        }),
        ..good()
    };
    let text = privacy::view(Language::English, &shared).into_string();
    assert!(
        text.contains("epsilon 1.750") && text.contains("epsilon without bound"),
        "{text}"
    );
}

#[test]
fn what_left_says_what_it_was_masked_or_not_and_what_came_of_it() {
    let upload = |round: u64, masked: bool| {
        let pending = pending();
        UploadRecord {
            key: pending.key,
            header: UploadHeader {
                id: AttemptId { round, attempt: 1 },
                ..pending.header
            },
            ready_at: Noon.now(),
            first_sent_at: Some(Noon.now()),
            bytes_sent: 1_000_000,
            receipt: None,
            rejected: None,
            masked,
            binding: None,
            due_at: Some(Noon.now() - Duration::from_millis(1_500)),
        }
    };
    let facts = Facts {
        uploads: Ok(vec![
            (upload(1, false), ChargedKind::Release),
            (upload(2, true), ChargedKind::Unknown),
        ]),
        ..good()
    };
    let text = left::view(Language::English, &facts, |_| false).into_string();
    for part in [
        "Updates: 2. Bytes in all, repeated tries included: 2,000,000.",
        "later than planned: 2, by up to 2 s",
        "no: the coordinator can read this sum",
        "yes: only the sum of all shops",
        "no answer yet",
        "A statistic of all customers together",
        "its plan is not kept here",
        "2026-11-28 12:00 UTC",
        "scope=\"col\"",
        "scope=\"row\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("download"), "no bytes are kept: {text}");
    let (first, second) = (text.find(">2.1<").unwrap(), text.find(">1.1<").unwrap());
    assert!(first < second, "latest first");
    let many = Facts {
        uploads: Ok((1..=201)
            .map(|round| (upload(round, true), ChargedKind::Model))
            .collect()),
        ..good()
    };
    let text = left::view(Language::English, &many, |_| false).into_string();
    assert!(
        text.contains("And 1 more") && text.contains("souk-client sent"),
        "{text}"
    );
    assert!(
        text.contains(">201.1<") && !text.contains(">1.1<"),
        "the latest are listed"
    );
    let nothing = left::view(Language::English, &good(), |_| false).into_string();
    assert!(
        nothing.contains("id=\"nothing-left\"") && !nothing.contains("no-noise"),
        "{nothing}"
    );
}

#[test]
fn every_row_of_a_source_is_accounted_for_with_its_reason() {
    let text = data::view(Language::English, &good()).into_string();
    for part in [
        "&lt;orders&gt;.csv",
        "Left out: guest",
        "Bad: time",
        "Orders from 2026-11-26 to 2026-11-27.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (state, said) in [
        (ImportState::Refused, "Refused"),
        (ImportState::Failed, "can&#39;t be read"),
        (ImportState::LetGo, "No longer named"),
    ] {
        let mut facts = good();
        let mut found = facts.data.unwrap();
        found.sources[0].state = state;
        facts.data = Ok(found);
        let text = data::view(Language::English, &facts)
            .into_string()
            .replace('\'', "&#39;");
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn gain_rounds_items_and_keys_are_told_in_full() {
    let facts = good();
    let text = gain::view(Language::English, &facts).into_string();
    for part in [
        "59.3",
        "61.9",
        "+2.6",
        "is used for your lists",
        "on by shop.toml",
        "4,078",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = rounds::view(Language::English, &facts, &[]).into_string();
    assert!(
        text.contains("would take part in round 8 of plan &lt;i&gt;spring"),
        "{text}"
    );
    let text = unmatched::view(Language::English, &facts).into_string();
    for part in ["&lt;u&gt;Jam&lt;/u&gt;", "Strawberry jam", "item_map.csv"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = keys::view(Language::English, &facts).into_string();
    assert_eq!(text.matches("<svg").count(), 2, "{text}");
    assert!(
        text.contains("id=\"qr-south\"") && text.contains("confirmed"),
        "{text}"
    );
    assert!(text.contains("--phrase"), "{text}");
    let none = Facts {
        gain: None,
        next: Ok(None),
        unmatched: None,
        keys: Err("the coordinator does not answer".into()),
        ..good()
    };
    assert!(
        gain::view(Language::English, &none)
            .into_string()
            .contains("id=\"no-gain\"")
    );
    assert!(
        unmatched::view(Language::English, &none)
            .into_string()
            .contains("id=\"no-catalogue\"")
    );
    assert!(
        keys::view(Language::English, &none)
            .into_string()
            .contains("does not answer")
    );
    assert!(
        rounds::view(Language::English, &none, &[])
            .into_string()
            .contains("No plan is known")
    );
}

#[test]
fn a_connection_that_is_gone_for_long_and_a_record_that_contradicts_itself_are_said() {
    let of = |connection| today::view(Language::English, &good(), connection, Noon.now()).into_string();
    let since = |secs| Connection {
        offline_since: Some(Noon.now() - Duration::from_secs(secs)),
        by_tcp_since: Some(Noon.now()),
        is_forked: false,
    };
    assert!(!of(since(600)).contains("id=\"worries\""));
    let text = of(since(3600));
    assert!(text.contains("since 2026-11-28 11:00 UTC"), "{text}");
    let text = of(Connection {
        is_forked: true,
        ..Connection::default()
    });
    assert!(text.contains("id=\"worry-forked\""), "{text}");
    let by_tcp = Connection {
        by_tcp_since: Some(Noon.now() - Duration::from_secs(3600)),
        ..Connection::default()
    };
    for (language, said) in [
        (Language::English, "over TCP since 2026-11-28 11:00 UTC"),
        (Language::Chinese, "自 2026-11-28 11:00 UTC 起通过 TCP"),
    ] {
        let text = today::view(language, &good(), by_tcp, Noon.now()).into_string();
        assert!(text.contains("id=\"worry-tcp\"") && text.contains(said), "{text}");
    }
}

//! The sections behind the page in front.

use maud::{Markup, html};

use super::model::{Report, UtilityFinding};
use super::parts::{fields, table};
use super::show::{counted, delta, epsilon, percent, points, thousands};
use super::{findings, front, pictures, words};

/// All of them.
pub(super) fn all(report: &Report, public_key: &str) -> Markup {
    html! {
        (section("responsibility", &html! {
            (fields("Controller, purpose, necessity, consultation", words::RESPONSIBILITY))
            (fields("Sign-off", words::SIGN_OFF))
        }))
        (section("data", &data(report)))
        (section("observers", &observers(report)))
        (section("promise", &promise(report)))
        (section("mechanism", &mechanism(report)))
        (section("bounds", &findings::bounds(&report.findings)))
        (section("attacks", &findings::attacks(&report.findings)))
        (section("poisoning", &findings::poisoning(&report.findings)))
        (section("mutations", &findings::mutations(&report.findings)))
        (section("utility", &utility(&report.findings.utility)))
        (section("side-channels", &side_channels(report)))
        (section("not-tested", &not_tested(report)))
        (section("risks", &risks(report)))
        (section("provenance", &provenance(report, public_key)))
        (section("glossary", &glossary()))
        (section("answered", &answered()))
    }
}

/// A section with its heading.
fn section(id: &str, body: &Markup) -> Markup {
    let place = words::TITLES.iter().position(|section| section.id == id);
    let (number, title) = place.map_or((0, id), |place| (place + 1, words::TITLES[place].title));
    html! {
        section id=(id) {
            h2 { (number) ". " (title) }
            (body)
        }
    }
}

fn data(report: &Report) -> Markup {
    let subject = &report.subject;
    let rows: Vec<Vec<String>> = words::DATA
        .iter()
        .map(|row| {
            [row.what, row.recipients, row.retention]
                .map(str::to_owned)
                .to_vec()
        })
        .collect();
    let shops: Vec<Vec<String>> = subject
        .shops
        .iter()
        .take(MOST_SHOPS)
        .map(|shop| vec![shop.name.clone(), thousands(shop.declared_users)])
        .collect();
    html! {
        p {
            "The plan recommends: " (subject.task) ". It was audited on the data set " strong { (subject.data_set) } ": "
            (counted(subject.customers, "customer", "customers")) ", " (counted(subject.items, "product", "products")) ", "
            (thousands(subject.interactions)) " pairs of both."
        }
        (table("What is processed, who gets it, how long it is kept", &["Data", "Recipients", "Retention"], &rows))
        (table("Shops of the plan", &["Shop", "#Declared customers"], &shops))
        @if subject.shops.len() > MOST_SHOPS {
            p { "And " (subject.shops.len() - MOST_SHOPS) " more, which the JSON in this file lists." }
        }
        (fields("What only people know of it", words::DATA_FIELDS))
    }
}

fn observers(report: &Report) -> Markup {
    let rows: Vec<Vec<String>> = report
        .observers
        .iter()
        .map(|row| {
            vec![
                row.who.clone(),
                row.sees.clone(),
                row.does_not_learn.clone(),
                row.rests_on.clone(),
            ]
        })
        .collect();
    let mechanism = &report.mechanism;
    html! {
        (table("Observers", &["Who", "Sees", "Does not learn", "Which rests on"], &rows))
        p {
            strong { "Collusion. " }
            @match (mechanism.colluding, mechanism.least_shops) {
                (Some(colluding), Some(least)) => {
                    "Sums of fewer than " (least) " shops are never unmasked. At most " (colluding) " of the shops that an honest owner has \
                     confirmed may work together with the coordinator, and that has to hold for every honest owner. With more, sums of fewer \
                     shops can be read, down to one."
                }
                _ => "There are no masks: each shop's guarantee stands by itself, whoever else colludes."
            }
        }
    }
}

fn promise(report: &Report) -> Markup {
    let Some(privacy) = &report.privacy else {
        return html! { p class="red" { (words::WITHOUT_PRIVACY) } };
    };
    let mut totals = vec![
        vec![
            "all rounds together, against the coordinator".to_owned(),
            epsilon(privacy.epsilon),
        ],
        vec![
            "the same if it were known who was drawn for each round".to_owned(),
            epsilon(privacy.epsilon_without_sampling),
        ],
    ];
    let mut total = |what: &str, value: Option<f64>| {
        if value.is_some() {
            totals.push(vec![what.to_owned(), epsilon(value)]);
        }
    };
    total("against readers of what is published", privacy.epsilon_readers);
    total("if every other shop were invented", privacy.epsilon_if_alone);
    total(
        "with another plan like this one on the same customers",
        privacy.epsilon_with_another,
    );
    for (times, yearly) in &privacy.per_year {
        total(
            &format!("a year of {}", counted(*times, "such plan", "such plans")),
            Some(*yearly),
        );
    }
    let phases: Vec<Vec<String>> = privacy
        .phases
        .iter()
        .map(|phase| {
            vec![
                phase.name.clone(),
                phase.rounds.to_string(),
                phase.share.map_or_else(String::new, percent),
                format!("{:.3}", phase.noise_multiplier),
                epsilon(phase.epsilon_of_one),
                epsilon(phase.epsilon),
            ]
        })
        .collect();
    let failures: Vec<Vec<String>> = privacy
        .failures
        .iter()
        .map(|row| {
            let noise: Vec<String> = row
                .noise_multipliers
                .iter()
                .map(|noise| format!("{noise:.3}"))
                .collect();
            vec![
                row.failures.to_string(),
                epsilon(Some(row.epsilon)),
                noise.join(", "),
            ]
        })
        .collect();
    html! {
        p {
            "Epsilon " strong { (epsilon(privacy.epsilon)) } " at delta " strong { (delta(privacy.delta)) } "; unit: one " (privacy.unit)
            " of one shop with all their records; relation: " (privacy.relation) ". From even odds nobody is right more than "
            (percent(privacy.most_certainty)) " of the time about whether a customer is in the data."
        }
        p { "Composition: " (privacy.composition) "." }
        p {
            "Sampling: "
            @if privacy.sampling_rate < 1.0 {
                "each customer is drawn for a round with probability " (privacy.sampling_rate) ", by a coin that nobody else sees. Epsilon counts \
                 on that secret; the second line of the table is what holds without it."
            } @else { "none. Every customer is in every round, and nothing hangs on secret draws." }
        }
        (table(&format!("Epsilon at delta {}", delta(privacy.delta)), &["Of what, and against whom", "#Epsilon at most"], &totals))
        (table(
            "Each release and each phase by itself, without failures",
            &["What", "#Rounds", "#Of the budget", "#Noise multiplier", "#Epsilon of one round", "#Epsilon of all its rounds"],
            &phases,
        ))
        @if failures.is_empty() {
            p { "An attempt that fails after it was charged costs as much as one more round." }
        } @else {
            (table(
                "After attempts at the first round that failed when they were charged already",
                &["Failures", "#Epsilon of all attempts", "#Noise multipliers of the first rounds that come"],
                &failures,
            ))
            p {
                "A charged failure before the last round costs noise and no epsilon; one at the last round ends the run."
            }
        }
        p class="dim" {
            "What the promise covers is what leaves by the protocol. A shop's own lists come from its own customers without noise, and are outside it."
        }
    }
}

fn mechanism(report: &Report) -> Markup {
    let mechanism = &report.mechanism;
    let none = || "none".to_owned();
    let rows = vec![
        vec![
            "mechanism".to_owned(),
            mechanism.name.clone().unwrap_or_else(none),
        ],
        vec![
            "sampler".to_owned(),
            mechanism.sampler.clone().unwrap_or_else(none),
        ],
        vec!["sensitivity".to_owned(), mechanism.sensitivity.clone()],
        vec!["clip norm".to_owned(), mechanism.clip_norm.to_string()],
        vec![
            "arithmetic".to_owned(),
            format!("integers modulo 2^{}", mechanism.modulus_bits),
        ],
        vec!["noise".to_owned(), mechanism.placement.clone()],
        vec![
            "build".to_owned(),
            format!(
                "souk {}, BLAKE3 {}",
                report.provenance.version, report.provenance.build
            ),
        ],
    ];
    html! {
        (table("Mechanism", &["What", "How"], &rows))
        (findings::checks("Checks of the mechanism", &report.findings.mechanism))
    }
}

fn utility(rows: &[UtilityFinding]) -> Markup {
    if rows.is_empty() {
        return html! { p { "Not measured." } };
    }
    let shown: Vec<UtilityFinding> = rows
        .iter()
        .filter(|row| row.parted_by == front::ALL || row.ranked_by == rows[0].ranked_by)
        .cloned()
        .collect();
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|row| {
            vec![
                pictures::part(row),
                percent(row.with_plan),
                row.without_noise.map_or_else(|| "none".to_owned(), percent),
                points(row.lost, row.standard_error),
            ]
        })
        .collect();
    html! {
        p {
            "How often the last product of a customer, which was kept back, is among the first ten of itself and 99 others that the customer does \
             not have, in expectation over all draws of these; ranked by what is published, all of it with equal weights and nothing of the shop's own. A shop weighs it by what its own customers bought, \
             beside its own recommenders, and does better."
        }
        (pictures::utility(&shown))
        p class="dim" { "Filled: with the plan. Open: without its noise. The line between them is what noise costs." }
        (table(
            "Hit rate at 10",
            &["Customers", "#With the plan", "#Without noise", "#Lost, in points ± standard error"],
            &cells,
        ))
    }
}

fn side_channels(report: &Report) -> Markup {
    html! {
        p {
            @match report.mechanism.upload_after_seconds {
                Some(seconds) => { "Every update leaves " (seconds) " s after its round was announced (under masks: after its lists were), however early \
                    it was ready, so that the time tells nothing of who was in it." }
                None => "Updates leave as soon as they are ready: the time tells something of how many customers were in them."
            }
            " Updates have the same size whoever is in them."
        }
        (findings::checks("Checks of side channels", &report.findings.side_channels))
        @match &report.provenance.record {
            Some(record) => p {
                "The federation's record has " (thousands(record.entries)) " entries up to " span class="digest" { (record.head) } ": "
                (counted(record.failed_attempts, "attempt failed after it was charged", "attempts failed after they were charged")) ", and "
                (counted(record.wrong, "place in it is", "places in it are")) " not as they must be. That shops declined a round is in no record: "
                "the coordinator's status lists who did and why."
            },
            None => p { "Failures and declined rounds of a federation were not looked at: no federation's folder was given." }
        }
    }
}

fn not_tested(report: &Report) -> Markup {
    let skipped = report
        .findings
        .attacks
        .iter()
        .filter_map(|attack| Some((&attack.attack, attack.not_run.as_ref()?)));
    let mut items: Vec<String> = report.findings.not_tested.clone();
    items.extend(skipped.map(|(attack, why)| format!("the attack {attack}: {why}")));
    let mut missing = |is_missing: bool, what: &str| {
        if is_missing {
            items.push(what.to_owned());
        }
    };
    let found = &report.findings;
    missing(found.mechanism.is_empty(), "the mechanism by itself");
    missing(found.bounds.is_empty(), "lower bounds on epsilon");
    missing(found.attacks.is_empty(), "attacks on people");
    missing(found.poisoning.is_empty(), "poisoning");
    missing(found.mutations.is_empty(), "whether the audit notices faults");
    missing(found.utility.is_empty(), "what privacy costs");
    missing(found.side_channels.is_empty(), "side channels");
    html! {
        @if items.is_empty() { p { "An audit finds what it looks for, and nothing is listed that this one left out." } }
        @else {
            p { "An audit finds what it looks for. Of this it says nothing:" }
            ul { @for item in &items { li { (item) } } }
        }
        p { "A lower bound that stays under the promise does not prove the promise; the proof is in docs/privacy.md of the program." }
    }
}

fn risks(report: &Report) -> Markup {
    let rows: Vec<Vec<String>> = report
        .risks
        .iter()
        .map(|row| {
            vec![
                row.risk.clone(),
                row.source.clone(),
                row.assessment.clone(),
                row.measure.clone(),
                String::new(),
            ]
        })
        .collect();
    table(
        "Risks; the last column is for people: likelihood and severity after the measures",
        &["Risk", "Source", "Assessment", "Measure", "Accepted as"],
        &rows,
    )
}

fn provenance(report: &Report, public_key: &str) -> Markup {
    let from = &report.provenance;
    let seeds: Vec<String> = from.seeds.iter().map(u64::to_string).collect();
    let mut rows = vec![
        vec!["command".to_owned(), from.command.clone()],
        vec!["seeds".to_owned(), seeds.join(", ")],
        vec!["trials".to_owned(), thousands(from.trials)],
        vec![
            "program".to_owned(),
            format!("souk {}, BLAKE3 {}", from.version, from.build),
        ],
        vec!["data".to_owned(), format!("BLAKE3 {}", from.data)],
        vec![
            "plan".to_owned(),
            format!("BLAKE3 {}; whole in this file's JSON", from.plan),
        ],
        vec![
            "record".to_owned(),
            from.record.as_ref().map_or_else(
                || "no federation's folder was given".to_owned(),
                |record| record.head.clone(),
            ),
        ],
        vec![
            "time".to_owned(),
            format!("{} to {}", from.started, from.finished),
        ],
        vec!["signed by".to_owned(), format!("ed25519 {public_key}")],
    ];
    let machine = from.machine.iter();
    rows.extend(machine.map(|(what, value)| vec![format!("machine: {what}"), value.clone()]));
    html! {
        (table("To do it again", &["What", "Value"], &rows))
        p { "The same command, program, data and plan find the same figures, on any number of threads." }
        p {
            "A key proves who signed only to who knows whose it is: compare it with one that came by another way. "
            code { "souk-sim audit verify FILE --key KEY" } " checks both files."
        }
        (fields("Entry for the public registry of deployments (beside this file as .registry.json)", words::REGISTRY))
    }
}

fn glossary() -> Markup {
    html! {
        dl { @for term in words::GLOSSARY { dt { (term.term) } dd { (term.meaning) } } }
    }
}

fn answered() -> Markup {
    let rows: Vec<Vec<String>> = words::ANSWERED
        .iter()
        .map(|row| {
            let place = words::TITLES.iter().position(|title| title.id == row.section);
            let name = place.map_or_else(String::new, |place| {
                format!("{}. {}", place + 1, words::TITLES[place].title)
            });
            let cells = [row.nist, row.ico, row.wp248, row.edpb].map(str::to_owned);
            [name].into_iter().chain(cells).collect()
        })
        .collect();
    html! {
        (table(
            "Sections and what they answer",
            &["Section", "NIST SP 800-226", "ICO's DPIA steps", "WP248 rev.01, Annex 2 (GDPR articles)", "EDPB Opinion 28/2024"],
            &rows,
        ))
        p class="dim" { "A report is evidence for an assessment and no legal opinion; whether an answer is enough is for the controller and the authority to say." }
    }
}

const MOST_SHOPS: usize = 40;

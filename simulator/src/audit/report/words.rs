//! Texts that are the same in every report: fields for people, what a plan does with data, the glossary, and which section answers
//! which question of whom.

/// A section.
pub(super) struct Title {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
}

const fn title(id: &'static str, title: &'static str) -> Title {
    Title { id, title }
}

/// Sections in their order.
pub(super) const TITLES: &[Title] = &[
    title("responsibility", "Who answers for it, and why it is done"),
    title("data", "Data, recipients, retention, transfers"),
    title("observers", "Who sees what"),
    title("promise", "What is promised: epsilon and delta"),
    title("mechanism", "How each sum is made private"),
    title("bounds", "What was seen to leak, beside what is promised"),
    title("attacks", "Attacks on people"),
    title("poisoning", "Attacks on what is recommended"),
    title("mutations", "Faults put in on purpose"),
    title("utility", "What privacy costs, and whom"),
    title("side-channels", "Side channels, failures, declined rounds"),
    title("not-tested", "What was not tested"),
    title("risks", "Risks that remain, and measures"),
    title("provenance", "Where the figures are from"),
    title("glossary", "Glossary"),
    title("answered", "Which section answers which question"),
];

/// A field that people fill in, and what it is for.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) hint: &'static str,
}

const fn field(name: &'static str, hint: &'static str) -> Field {
    Field { name, hint }
}

/// Of the controller, in the order of a data-protection impact assessment.
pub(super) const RESPONSIBILITY: &[Field] = &[
    field(
        "Controller, and contact",
        "Who decides why and how the data are used. With several shops: each, or joint controllers (Art. 26).",
    ),
    field(
        "Processor",
        "Who works on the controller's behalf, such as whoever runs the coordinator (Art. 28).",
    ),
    field("Data protection officer", "Name and contact."),
    field("Purpose", "What the recommendations are for."),
    field(
        "Need for an assessment",
        "Why one is made (Art. 35): large scale, new technology, profiling.",
    ),
    field(
        "Lawful basis",
        "Art. 6; for legitimate interests, the balance (Art. 6(1)(f)).",
    ),
    field(
        "Necessity and proportionality",
        "Why the purpose can't be reached with less: with a shop's own data alone, or a smaller epsilon.",
    ),
    field(
        "Information for customers",
        "Where they are told what leaves the shop, and how they object.",
    ),
    field(
        "Consultation",
        "Views of customers or their representatives, of the works council, of others; or why not.",
    ),
    field(
        "Advice of the data protection officer",
        "And whether it was followed; if not, why.",
    ),
    field(
        "Prior consultation",
        "Whether the authority must be asked (Art. 36).",
    ),
];

/// What the entry for the registry leaves to people.
pub(super) const REGISTRY: &[Field] = &[
    field(
        "Organisation, region, date",
        "data_curator, data_product_region, publication_date.",
    ),
    field("Justification", "Why these numbers."),
];

/// Who signs.
pub(super) const SIGN_OFF: &[Field] = &[
    field("Measures approved by", "Name, date."),
    field("Remaining risks accepted by", "Name, date."),
    field("To be reviewed by", "Name, date."),
];

/// What happens to one kind of data.
pub(super) struct DataRow {
    pub(super) what: &'static str,
    pub(super) recipients: &'static str,
    pub(super) retention: &'static str,
}

/// Of every plan.
pub(super) const DATA: &[DataRow] = &[
    DataRow {
        what: "purchases, prices paid, times, customers' ids",
        recipients: "the shop alone: they never leave it",
        retention: "as long as the shop keeps them; `souk-client forget` takes one customer's away at once",
    },
    DataRow {
        what: "vectors of customers, lists, the shop's own recommenders",
        recipients: "the shop alone",
        retention: "until they are fitted again",
    },
    DataRow {
        what: "a shop's sum over its customers, each cut to the same length, with noise",
        recipients: "the coordinator; under masks it can read only sums of several shops",
        retention: "as many rounds as the coordinator's keep_parts says; the shop's copy until its receipt",
    },
    DataRow {
        what: "published statistics and models",
        recipients: "all shops of the federation, and whoever they show them to",
        retention: "as long as the operator keeps versions; what was published can't be taken back",
    },
    DataRow {
        what: "who takes part, when, declared sizes, certificates",
        recipients: "the coordinator, other shops",
        retention: "in the operator's record, which is a chain and is kept whole",
    },
    DataRow {
        what: "the catalogue: products and their public features",
        recipients: "everybody in the federation",
        retention: "not personal data",
    },
];

/// What only people know of the data.
pub(super) const DATA_FIELDS: &[Field] = &[
    field(
        "Categories of customers",
        "Also whether there are children or other vulnerable people among them.",
    ),
    field(
        "Special categories of data",
        "Purchases can tell of health, religion or politics (Art. 9).",
    ),
    field("Retention in each shop", "How long purchases are kept, and why."),
    field(
        "Transfers to third countries",
        "Where coordinator and shops stand; safeguards (Chapter V).",
    ),
    field("Assets", "Machines, networks and people that the data rest on."),
];

/// A word of the field.
pub(super) struct Term {
    pub(super) term: &'static str,
    pub(super) meaning: &'static str,
}

const fn term(term: &'static str, meaning: &'static str) -> Term {
    Term { term, meaning }
}

/// Every word that the sections use without explaining it.
pub(super) const GLOSSARY: &[Term] = &[
    term(
        "accountant",
        "what works out epsilon for all rounds together from how much noise each had",
    ),
    term(
        "area under the curve",
        "how well an attack tells members from others: .5 is guessing, 1 is always right",
    ),
    term(
        "canary",
        "a customer that the audit makes up and puts in, to see whether it can be found again",
    ),
    term(
        "clip norm",
        "the length that one customer's whole contribution is cut to, so that nobody moves a sum by more",
    ),
    term(
        "confidence",
        "how often such an interval or bound is right, over repetitions of the same procedure",
    ),
    term(
        "coordinator",
        "the program of the operator, which runs rounds and adds up what shops send",
    ),
    term("delta", "how likely it is at most that epsilon does not hold"),
    term(
        "epsilon",
        "the limit: whatever somebody concludes, the odds that a customer is in the data change by a factor of at most e^epsilon; \
          smaller is safer, 0 is nothing at all",
    ),
    term(
        "exposure",
        "the share of customers in whose first ten recommendations a product is",
    ),
    term(
        "hit rate",
        "how often a customer's last product, which was kept back, is among the first ten of a hundred",
    ),
    term(
        "lower bound, empirical",
        "a leak of at least so much was shown by trying; it does not say that there is no larger one",
    ),
    term(
        "mask",
        "random numbers that two shops agree on and that cancel in the sum, so that nobody sees one shop's part",
    ),
    term(
        "mutation",
        "a fault put into the mechanism on purpose, to see whether the audit notices it",
    ),
    term(
        "noise multiplier",
        "the standard deviation of the noise over the clip norm",
    ),
    term(
        "plan",
        "the file in which the operator fixes everything about a run; shops read it and decide for themselves",
    ),
    term(
        "poisoning",
        "pushing a product by customers that somebody made up",
    ),
    term(
        "Poisson sampling",
        "each customer is in a round by a coin of their own",
    ),
    term(
        "record",
        "the coordinator's chain of everything that happened, which `souk-sim verify` checks",
    ),
    term(
        "relation: add-remove",
        "data sets are compared that differ by one customer being there or not",
    ),
    term("release", "a published noised sum over all customers"),
    term("sensitivity", "the most that one customer changes a sum"),
    term(
        "unit: user",
        "one customer of one shop with all their records is what is protected, not one purchase",
    ),
    term("upper bound", "what was proven: no leak is larger"),
];

/// Which section answers what.
pub(super) struct Answered {
    pub(super) section: &'static str,
    pub(super) nist: &'static str,
    pub(super) ico: &'static str,
    pub(super) wp248: &'static str,
    pub(super) edpb: &'static str,
}

const fn answered(
    section: &'static str,
    nist: &'static str,
    ico: &'static str,
    wp248: &'static str,
    edpb: &'static str,
) -> Answered {
    Answered {
        section,
        nist,
        ico,
        wp248,
        edpb,
    }
}

/// By topics of NIST SP 800-226 (2025), steps of the ICO's template, criteria of WP248 rev.01 Annex 2 (with the articles of the
/// GDPR that they name) and subjects of EDPB Opinion 28/2024.
pub(super) const ANSWERED: &[Answered] = &[
    answered(
        "responsibility",
        "",
        "1 need; 3 consultation; 4 necessity and proportionality; 7 sign-off",
        "purpose, lawfulness, necessity (35(7)(b)); rights and information; processors; prior consultation (36); interested parties (35(2), 35(9))",
        "legitimate interest as a legal basis; documentation",
    ),
    answered(
        "data",
        "data collection exposure",
        "2 describe the processing",
        "nature, scope, context; data, recipients, storage period; functional description; assets; transfers (35(7)(a))",
        "selection of sources; data minimisation",
    ),
    answered(
        "observers",
        "trust model; threats",
        "2 describe the processing; 5 risks",
        "risk sources; threats",
        "threat model",
    ),
    answered(
        "promise",
        "epsilon, delta; unit of privacy; composition; sampling",
        "5 risks",
        "likelihood and severity",
        "privacy-preserving techniques in training",
    ),
    answered(
        "mechanism",
        "mechanisms; sensitivity; floating point and implementation; clipping",
        "6 measures",
        "measures (35(7)(d))",
        "methodological choices in training",
    ),
    answered(
        "bounds",
        "evaluating a claimed guarantee; testing",
        "5 risks",
        "likelihood",
        "testing and resistance to attacks",
    ),
    answered(
        "attacks",
        "threats; data reconstruction; membership",
        "5 risks",
        "illegitimate access: impacts, threats, likelihood",
        "membership and attribute inference, inversion, reconstruction; extraction by queries",
    ),
    answered(
        "poisoning",
        "security",
        "5 risks",
        "undesired modification",
        "robustness",
    ),
    answered(
        "mutations",
        "testing of implementations",
        "5 risks",
        "",
        "testing: how good the tests are",
    ),
    answered(
        "utility",
        "utility; bias",
        "4 proportionality",
        "proportionality; impacts on people",
        "",
    ),
    answered(
        "side-channels",
        "side channels; security and access control",
        "5 risks; 6 measures",
        "threats; disappearance of data",
        "",
    ),
    answered(
        "not-tested",
        "limits of an evaluation",
        "5 risks",
        "",
        "documentation of what was tested",
    ),
    answered(
        "risks",
        "",
        "5 risks; 6 measures",
        "risks and measures (35(7)(c), (d))",
        "measures; residual likelihood of identification",
    ),
    answered(
        "provenance",
        "documentation; reproducibility",
        "7 record outcomes",
        "",
        "documentation (accountability)",
    ),
    answered("glossary", "plain language", "", "", ""),
];

/// What a report on a plan without privacy says before anything else.
pub(super) const WITHOUT_PRIVACY: &str = "This plan has privacy.enabled = false: shops add no noise. Differential privacy then promises nothing, \
    whatever the masks hide: what is published can tell of single customers, and epsilon is without bound. Such plans are for simulations \
    and benchmarks on data that may be public. Every attack below is measured all the same, so that it is seen what the noise is for.";

//! An entry for the public registry of deployments of differential privacy.
//!
//! Such a registry was proposed by Dwork, Kohli and Mulligan, "Differential Privacy in Practice: Expose your Epsilons!" (Journal
//! of Privacy and Confidentiality 9(2), 2019); NIST and Oblivious keep one, whose hierarchical schema is that of "Practitioners'
//! Perspectives on a Differential Privacy Deployment Registry" (arXiv:2509.13509, 2025). Groups and names below follow that
//! schema as far as a plan has an answer; what only people know is empty, to be filled in before it is sent. The registry's own
//! form has the last word.

use serde::Serialize;

use super::model::Report;

/// One deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RegistryEntry {
    /// Of the deployment: the plan's.
    pub(crate) name: String,
    /// The organisation that answers for it; for people to fill in.
    pub(crate) data_curator: String,
    /// What it is for.
    pub(crate) intended_use: String,
    /// What is published.
    pub(crate) data_product_type: String,
    /// Where; for people to fill in.
    pub(crate) data_product_region: String,
    /// In a sentence.
    pub(crate) description: String,
    /// When; for people to fill in.
    pub(crate) publication_date: String,
    /// Which definition of differential privacy.
    pub(crate) dp_flavor: DpFlavor,
    /// How much.
    pub(crate) privacy_loss: PrivacyLoss,
    /// Who is trusted.
    pub(crate) model: TrustModel,
    /// How it adds up.
    pub(crate) accounting: Accounting,
    /// How it is done.
    pub(crate) implementation: Implementation,
}

/// Which definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DpFlavor {
    /// Its name; `none` without privacy.
    pub(crate) name: String,
    /// What a data set is.
    pub(crate) input_domain: String,
    /// When two are neighbours.
    pub(crate) input_distance: String,
}

/// How much is lost at most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PrivacyLoss {
    /// Whose privacy.
    pub(crate) privacy_unit: String,
    /// In words.
    pub(crate) privacy_unit_description: String,
    /// None if nothing bounds it.
    pub(crate) epsilon: Option<f64>,
    /// None without privacy.
    pub(crate) delta: Option<f64>,
}

/// Who is trusted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TrustModel {
    /// `local to each shop`, or `distributed`.
    pub(crate) name: String,
    /// In words.
    pub(crate) description: String,
    /// Everybody who takes part.
    pub(crate) actors: Vec<String>,
    /// Whether results come out over time.
    pub(crate) is_dynamic: bool,
    /// Whether somebody asks questions.
    pub(crate) is_interactive: bool,
}

/// How losses add up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Accounting {
    /// Of the rounds.
    pub(crate) composition: String,
    /// What is done with results afterwards.
    pub(crate) post_processing: String,
}

/// How it is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Implementation {
    /// Its mechanisms.
    pub(crate) mechanisms: Vec<String>,
    /// Program and version.
    pub(crate) software: String,
    /// What was chosen by looking at data, and how.
    pub(crate) pre_processing: String,
    /// Why these numbers; for people to fill in.
    pub(crate) justification: String,
}

/// Of what a report says.
pub(crate) fn entry(report: &Report) -> RegistryEntry {
    let (subject, mechanism) = (&report.subject, &report.mechanism);
    let privacy = report.privacy.as_ref();
    RegistryEntry {
        name: subject.plan.clone(),
        data_curator: String::new(),
        intended_use: format!("recommendations ({})", subject.task),
        data_product_type: "sums over all shops' customers, and models made from them".to_owned(),
        data_product_region: String::new(),
        description: format!(
            "{} shops train a recommender together; their customers' data stay with them",
            subject.shops.len()
        ),
        publication_date: String::new(),
        dp_flavor: DpFlavor {
            name: match privacy {
                Some(_) => "approximate differential privacy",
                None => "none",
            }
            .to_owned(),
            input_domain: "customers of one shop, each with a list of products".to_owned(),
            input_distance: privacy.map_or_else(String::new, |privacy| privacy.relation.clone()),
        },
        privacy_loss: PrivacyLoss {
            privacy_unit: privacy.map_or_else(String::new, |privacy| privacy.unit.clone()),
            privacy_unit_description: "one customer of one shop, with all their records".to_owned(),
            epsilon: privacy.and_then(|privacy| privacy.epsilon),
            delta: privacy.map(|privacy| privacy.delta),
        },
        model: TrustModel {
            name: match (mechanism.name.is_some(), mechanism.least_shops) {
                (false, _) => "none",
                (true, None) => "local to each shop",
                (true, Some(_)) => "distributed",
            }
            .to_owned(),
            description: mechanism.placement.clone(),
            actors: ["customers", "shops", "coordinator", "readers"]
                .map(str::to_owned)
                .to_vec(),
            is_dynamic: subject.rounds > 1,
            is_interactive: false,
        },
        accounting: Accounting {
            composition: privacy.map_or_else(String::new, |privacy| privacy.composition.clone()),
            post_processing: "popularity, item vectors and models are worked out from noised sums alone"
                .to_owned(),
        },
        implementation: Implementation {
            mechanisms: mechanism.name.iter().cloned().collect(),
            software: format!("souk {}", report.provenance.version),
            pre_processing:
                "nothing is chosen by looking at customers' data: the plan fixes everything beforehand"
                    .to_owned(),
            justification: String::new(),
        },
    }
}

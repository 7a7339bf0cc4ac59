//! Ads for a customer: those of the catalogue, by how likely the customer is to click, by what all shops learned of clicks.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::dataset::{History, Labelled};

use super::cache::ListSources;
use super::names;
use super::serving::Serving;

/// One customer's ads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdList {
    /// For whom; empty for somebody of whom nothing is known.
    pub user_id: String,
    /// Whether anything of the customer is known.
    pub personal: bool,
    /// Most likely first.
    pub ads: Vec<ListedAd>,
    /// Which release that rests on.
    pub serving: Serving,
}

/// An ad of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ListedAd {
    /// From 1.
    pub rank: usize,
    /// The item's id.
    pub item_id: String,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub category: String,
    /// Of a click, were the list shown now.
    pub probability: f32,
    /// What speaks for it, in words, strongest first; only if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The `k` ads that the customer is most likely to click at `now`.
///
/// # Errors
/// When no click tower was trained yet, the catalogue has no ad that is not retired, or the shop has no such customer.
pub(super) fn list(
    source: &ListSources,
    user: Option<&str>,
    (k, explain): (usize, bool),
    now: Timestamp,
) -> anyhow::Result<AdList> {
    let release = source.sources.release.as_ref().context(NO_CLICKS)?;
    let tower = release
        .learner
        .click_tower(&release.releases)?
        .context(NO_CLICKS)?;
    let inputs = release.learner.click_inputs()?;
    let (dataset, catalogue) = (&source.sources.dataset, &source.sources.catalogue);
    let is_out = |ad: &u32| !catalogue.items()[*ad as usize].retired;
    let ads: Vec<u32> = inputs.ads().filter(is_out).collect();
    anyhow::ensure!(
        !ads.is_empty(),
        "the federation's catalogue has no ad: ads are its items with the tag `ad`, and not retired"
    );
    let row = user.map(|user| names::find(&dataset.users, user)).transpose()?;
    let (nothing, unsaid) = (History::default(), Labelled::default());
    let history = row.map_or(&nothing, |row| &dataset.histories[row]);
    let labelled = row.and_then(|row| dataset.labelled_of(row)).unwrap_or(&unsaid);
    let personal = !(history.is_empty() && labelled.is_empty());
    // How many are shown together is an input.
    let together = k.clamp(1, ads.len());
    let mut scored = Vec::with_capacity(ads.len());
    for first in (0..ads.len()).step_by(together) {
        let shown: Vec<u32> = ads.iter().cycle().skip(first).take(together).copied().collect();
        let rows = inputs.rows(history, labelled, &shown, now.0.div_euclid(1000));
        let rows = rows.context("what this shop's customers did is of another catalogue than the release")?;
        let width = rows.len() / together;
        let new = (ads.len() - first).min(together);
        let probabilities = tower.probabilities(&rows);
        let each = shown.into_iter().zip(probabilities).zip(rows.chunks_exact(width));
        scored.extend(each.take(new).map(|((ad, of), row)| (ad, of, row.to_vec())));
    }
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let ads = (1..).zip(scored).take(k).map(|(rank, (ad, probability, row))| {
        let item = &catalogue.items()[ad as usize];
        let speaks = tower.reasons(&row).into_iter();
        // Of somebody unknown nothing speaks, and how many are shown is no reason for one of them.
        let speaks = speaks.filter(|(name, by)| personal && *by > LEAST_SAID && *name != "shown together");
        let speaks = speaks.map(|(name, _)| words(name));
        ListedAd {
            rank,
            item_id: item.id.clone(),
            title: item.title.clone(),
            category: item.category.clone(),
            probability,
            reasons: match explain {
                true => speaks.take(MOST_REASONS).map(str::to_owned).collect(),
                false => Vec::new(),
            },
        }
    });
    Ok(AdList {
        user_id: row.map_or_else(String::new, |row| dataset.users[row].clone()),
        personal,
        ads: ads.collect(),
        serving: source.serving.clone(),
    })
}

/// An input of the click tower, as a reason.
fn words(input: &'static str) -> &'static str {
    match input {
        "covered" => "of how many products it is for",
        "shown before" => "of how many ads this customer was shown before",
        "clicked before" => "of how many ads this customer clicked before",
        "own click rate" => "of how often this customer clicks on ads",
        "bought of it" => "of what this customer has bought of the products it is for",
        "bought of it lately" => "of what this customer has bought lately of the products it is for",
        "bought of category" => "of what this customer has bought of its category",
        "bought of category lately" => "of what this customer has bought lately of its category",
        "bought" => "of how much this customer has bought",
        "bought lately" => "of how much this customer has bought lately",
        "share of purchases" => "of the share of its products in all that this customer has bought",
        other => other,
    }
}

/// Of log-odds; less is not worth a reason.
const LEAST_SAID: f32 = 0.05;
const MOST_REASONS: usize = 3;
const NO_CLICKS: &str = "nothing was learned of which ads are clicked: the federation's plan needs task = \"ads\" and [[training]] \
                         kind = \"clicks\", and its rounds to be over (`souk-client run` takes part in them)";

#[cfg(test)]
mod tests {
    use souk_common::training::clicks::inputs::INPUTS;

    use super::*;

    #[test]
    fn every_input_that_can_be_a_reason_has_words() {
        for input in INPUTS.into_iter().skip(2) {
            assert!(words(input).starts_with("of "), "{input}");
        }
    }
}

//! What a published version says to a stack, in the items of another catalogue.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ItemMap;
use super::parameters::{Shape, transferred};
use crate::catalogue::{Catalogue, MAX_ITEMS};
use crate::channels::{Channel, Channels, FixedPopularity, Lda, LowRank, Renamed};
use crate::features::Features;
use crate::ids::Digest;
use crate::model::Recommender;
use crate::model::config::{ModelConfig, TrainConfig};
use crate::model::init::initial_parameters;
use crate::model::layout::{Layout, Vocabulary};
use crate::release::views::{FederatedForms, ViewForm};
use crate::training::channels::{ModelChannel, TowerChannel};
use crate::training::inputs::TowerInputs;
use crate::training::tower::Tower;

/// A version of another run, or of this one over an older catalogue, as far as a stack needs it. Every table has a row for each item
/// of the catalogue that it is carried to.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// Which version it was.
    pub of: VersionName,
    /// Its file.
    pub file: Digest,
    /// How many items every table has.
    pub items: usize,
    /// Denoised sums and the deviation of their noise; of releases.
    pub popularity: Option<(Vec<f32>, f64)>,
    /// Views; of releases.
    pub forms: Vec<ViewForm>,
    /// Parameters of the tower that it had trained to the end.
    pub tower: Option<Vec<f32>>,
    /// The model that it had trained.
    pub model: Option<CarriedModel>,
}

/// A model with what tells how to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedModel {
    /// Its architecture.
    pub model: ModelConfig,
    /// How a customer's vector is fitted.
    pub train: TrainConfig,
    /// All shared parameters.
    pub params: Vec<f32>,
}

/// A version by the number of its run and its round, as people say it: `run 3 round 40`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionName {
    /// From 1, in the order in which runs were begun.
    pub run: u32,
    /// From 1; none: the run's last.
    pub round: Option<u64>,
}

impl std::fmt::Display for VersionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {}", self.run)?;
        self.round.map_or(Ok(()), |round| write!(f, " round {round}"))
    }
}

impl From<VersionName> for String {
    fn from(name: VersionName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for VersionName {
    type Error = NoVersionName;

    fn try_from(text: String) -> Result<Self, NoVersionName> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = match words.as_slice() {
            ["run", run] => run.parse().ok().map(|run| Self { run, round: None }),
            ["run", run, "round", round] => {
                run.parse().ok().zip(round.parse().ok()).map(|(run, round)| Self {
                    run,
                    round: Some(round),
                })
            }
            _ => None,
        };
        found.filter(|name| name.run > 0).ok_or(NoVersionName { text })
    }
}

impl std::str::FromStr for VersionName {
    type Err = NoVersionName;

    fn from_str(text: &str) -> Result<Self, NoVersionName> {
        Self::try_from(text.to_owned())
    }
}

/// Words that name no version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{text:?} names no version: write \"run 3 round 40\", or \"run 3\" for that run's last; `souk-coordinator models list` shows them"
)]
pub struct NoVersionName {
    text: String,
}

impl Carried {
    /// In the items of a further catalogue.
    pub fn moved(&self, (before, after): (&Catalogue, &Catalogue), items: &ItemMap) -> Self {
        let model = self.model.as_ref().map(|carried| {
            let (from, to) = (
                Shape {
                    model: &carried.model,
                    catalogue: before,
                },
                Shape {
                    model: &carried.model,
                    catalogue: after,
                },
            );
            let layout = Layout::new(&carried.model, &Vocabulary::from(after));
            let base = initial_parameters(&carried.model, &carried.train, &layout, 0);
            CarriedModel {
                params: transferred((from, &carried.params), (to, base), items).0,
                ..carried.clone()
            }
        });
        Self {
            of: self.of,
            file: self.file,
            items: items.len(),
            popularity: self
                .popularity
                .as_ref()
                .map(|(values, noise)| (items.table(values, 1), *noise)),
            forms: moved_forms(&self.forms, items),
            tower: self.tower.clone(),
            model,
        }
    }

    /// Its channels, each under its version's name. `content` are those of the catalogue that it was carried to.
    ///
    /// # Errors
    /// When it does not fit the catalogue.
    pub fn channels(
        &self,
        (catalogue, features): (&Catalogue, &Features),
        content: &Channels,
    ) -> Result<Channels, CarriedError> {
        if catalogue.len() != self.items {
            return Err(CarriedError::OtherCatalogue {
                items: self.items,
                catalogue: catalogue.len(),
            });
        }
        let mut channels = Channels::new();
        if let Some((values, noise)) = &self.popularity {
            let sums: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            channels.push(Arc::new(FixedPopularity::released(&sums, *noise)));
            if let Some(lda) = Lda::fit(features, &sums, true) {
                channels.push(Arc::new(lda));
            }
        }
        for form in &self.forms {
            let left = Arc::new(form.left.to_vec());
            channels.push(Arc::new(LowRank::new(
                &form.name,
                form.g as f32,
                form.rank,
                left,
                &form.right,
            )));
        }
        if let Some(params) = &self.tower {
            let tower = Tower::from_params(params.clone()).ok_or(CarriedError::Shape { what: "tower" })?;
            let inputs = TowerInputs::new(content, &channels, &self.views(), self.items);
            channels.push(Arc::new(TowerChannel::new(tower, inputs)));
        }
        if let Some(model) = &self.model {
            let recommender = Recommender::new(&model.model, &model.train, catalogue);
            if recommender.layout().len() != model.params.len() {
                return Err(CarriedError::Shape { what: "model" });
            }
            let loaded = recommender.load(model.params.clone());
            channels.push(Arc::new(ModelChannel::new(Arc::new(loaded))));
        }
        let named = |channel: Arc<dyn Channel>| -> Arc<dyn Channel> {
            Arc::new(Renamed::new(format!("{}: {}", self.of, channel.name()), channel))
        };
        Ok(channels.into_iter().map(named).collect())
    }

    /// Its views.
    pub fn views(&self) -> FederatedForms {
        FederatedForms {
            forms: self.forms.clone(),
        }
    }
}

/// Both sides of views in the rows of a further catalogue; sides that are one stay one.
fn moved_forms(forms: &[ViewForm], items: &ItemMap) -> Vec<ViewForm> {
    type Side = Arc<[f32]>;
    let mut moved: Vec<(Side, Side)> = Vec::new();
    let mut side = |side: &Side, rank: usize| -> Side {
        let found = moved.iter().find(|(old, _)| Arc::ptr_eq(old, side));
        if let Some((_, new)) = found {
            return Arc::clone(new);
        }
        let new: Arc<[f32]> = items.table(side, rank).into();
        moved.push((Arc::clone(side), Arc::clone(&new)));
        new
    };
    let form = |form: &ViewForm| ViewForm {
        left: side(&form.left, form.rank),
        right: side(&form.right, form.rank),
        ..form.clone()
    };
    forms.iter().map(form).collect()
}

/// Where a side of a view stands among those that are written; each is written once.
fn place<'a>(sides: &mut Vec<(&'a Arc<[f32]>, usize)>, side: &'a Arc<[f32]>, rank: usize) -> usize {
    let known = sides.iter().position(|(known, _)| Arc::ptr_eq(known, side));
    known.unwrap_or_else(|| {
        sides.push((side, rank));
        sides.len() - 1
    })
}

/// The header of a carried version's bytes.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    of: VersionName,
    file: Digest,
    items: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    popularity_noise: Option<f64>,
    /// Width of each side of the views.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sides: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forms: Vec<FormHeader>,
    #[serde(default)]
    tower: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelHeader>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FormHeader {
    name: String,
    g: f64,
    left: usize,
    right: usize,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ModelHeader {
    model: ModelConfig,
    train: TrainConfig,
    parameters: usize,
}

impl Carried {
    /// Its bytes: the length of a JSON header (4), the header, then numbers (4 each) in the header's order: popularity, sides of
    /// views, tower, model.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sides: Vec<(&Arc<[f32]>, usize)> = Vec::new();
        let forms: Vec<FormHeader> = self
            .forms
            .iter()
            .map(|form| FormHeader {
                name: form.name.clone(),
                g: form.g,
                left: place(&mut sides, &form.left, form.rank),
                right: place(&mut sides, &form.right, form.rank),
            })
            .collect();
        let header = Header {
            of: self.of,
            file: self.file,
            items: self.items,
            popularity_noise: self.popularity.as_ref().map(|(_, noise)| *noise),
            sides: sides.iter().map(|(_, rank)| *rank).collect(),
            forms,
            tower: self.tower.as_ref().map_or(0, Vec::len),
            model: self.model.as_ref().map(|model| ModelHeader {
                model: model.model.clone(),
                train: model.train.clone(),
                parameters: model.params.len(),
            }),
        };
        // Names, finite numbers and lists of them: always has a JSON form.
        let header = serde_json::to_vec(&header).expect("a header has a JSON form");
        let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
        bytes.extend(header);
        let mut put = |values: &[f32]| bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        if let Some((values, _)) = &self.popularity {
            put(values);
        }
        sides.iter().for_each(|(side, _)| put(side));
        self.tower.iter().for_each(|params| put(params));
        self.model.iter().for_each(|model| put(&model.params));
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is something else, is cut off, or has a number that can't be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CarriedError> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(CarriedError::Short)?;
        let (header, body) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or(CarriedError::Short)?;
        let header: Header =
            serde_json::from_slice(header).map_err(|_| CarriedError::Shape { what: "header" })?;
        let wanted = header.numbers().ok_or(CarriedError::Shape { what: "size" })?;
        if body.len() as u64 != 4 * wanted {
            return Err(CarriedError::Short);
        }
        let numbers: Vec<f32> = body
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| f32::from_le_bytes(*word))
            .collect();
        if let Some(index) = numbers.iter().position(|value| !value.is_finite()) {
            return Err(CarriedError::NotFinite { index });
        }
        let mut rest = numbers.as_slice();
        let mut take = |count: usize| {
            let (first, behind) = rest.split_at(count.min(rest.len()));
            rest = behind;
            first
        };
        let popularity = header
            .popularity_noise
            .map(|noise| (take(header.items).to_vec(), noise));
        let can_be = popularity.as_ref().is_none_or(|(values, noise)| {
            noise.is_finite() && *noise >= 0.0 && values.iter().all(|value| *value >= 0.0)
        });
        if !can_be {
            return Err(CarriedError::Shape { what: "popularity" });
        }
        let sides: Vec<(Arc<[f32]>, usize)> = header
            .sides
            .iter()
            .map(|rank| (take(header.items * rank).into(), *rank))
            .collect();
        let form = |form: FormHeader| {
            let (left, rank) = sides.get(form.left)?;
            let (right, other) = sides.get(form.right)?;
            let fits = rank == other && form.g.is_finite() && form.name.len() <= LONGEST_NAME;
            fits.then(|| ViewForm {
                name: form.name,
                g: form.g,
                rank: *rank,
                left: Arc::clone(left),
                right: Arc::clone(right),
            })
        };
        let forms: Option<Vec<ViewForm>> = header.forms.into_iter().map(form).collect();
        let tower = (header.tower > 0).then(|| take(header.tower).to_vec());
        if tower
            .as_ref()
            .is_some_and(|params| Tower::from_params(params.clone()).is_none())
        {
            return Err(CarriedError::Shape { what: "tower" });
        }
        let model = header.model.map(|model| CarriedModel {
            params: take(model.parameters).to_vec(),
            model: model.model,
            train: model.train,
        });
        if let Some(model) = &model {
            model
                .model
                .validate()
                .map_err(|_| CarriedError::Shape { what: "model" })?;
        }
        let carried = Self {
            of: header.of,
            file: header.file,
            items: header.items,
            popularity,
            forms: forms.ok_or(CarriedError::Shape { what: "views" })?,
            tower,
            model,
        };
        // One file, one form: JSON alone could say the same in many ways.
        match carried.to_bytes() == bytes {
            true => Ok(carried),
            false => Err(CarriedError::Shape { what: "header" }),
        }
    }
}

impl Header {
    /// How many numbers follow; none where so many can't be.
    fn numbers(&self) -> Option<u64> {
        let items = self.items as u64;
        let widths = self.sides.iter().all(|rank| (1..=MOST_COLUMNS).contains(rank));
        let model = self.model.as_ref().map_or(0, |model| model.parameters as u64);
        let tables = self.sides.iter().sum::<usize>() as u64 + u64::from(self.popularity_noise.is_some());
        let fits = widths && self.sides.len() <= MOST_SIDES && self.items <= MAX_ITEMS;
        let total = items
            .checked_mul(tables)?
            .checked_add(self.tower as u64)?
            .checked_add(model)?;
        (fits && total <= u64::from(u32::MAX)).then_some(total)
    }
}

/// Why bytes are no carried version, or one that does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CarriedError {
    /// It ends early, or late.
    #[error("the carried version is cut off, or longer than it says")]
    Short,
    /// A part that can't be.
    #[error("the carried version has a {what} that can't be")]
    Shape {
        /// Which.
        what: &'static str,
    },
    /// NaN or infinite.
    #[error("number {index} of the carried version is not finite")]
    NotFinite {
        /// Where.
        index: usize,
    },
    /// Of other items.
    #[error("the carried version is of {items} items, the catalogue has {catalogue}")]
    OtherCatalogue {
        /// Its items.
        items: usize,
        /// Those of the catalogue.
        catalogue: usize,
    },
}

/// Most columns of a side of a view that is read.
const MOST_COLUMNS: usize = 64;
/// Most sides of views that are read.
const MOST_SIDES: usize = 16;
/// Longest name of a view that is read.
const LONGEST_NAME: usize = 40;

#[cfg(test)]
mod tests;

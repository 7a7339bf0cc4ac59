//! `rules.toml`: what the owner writes, and what was understood of it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::expression::parser::parse;
use super::expression::{Condition, ExpressionError, Flag};
use super::feed::source::FeedSource;

/// `rules.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesFile {
    /// Items that are never listed, by id.
    pub never: Vec<String>,
    /// Items that stand at a place of their own.
    pub always: Vec<PinnedItem>,
    /// Conditions that every listed item has to meet.
    pub filter: Vec<FilterRule>,
    /// Conditions that move an item up or down.
    pub boost: Vec<BoostRule>,
    /// Product feeds, which say what can be had, and what it costs.
    pub feed: Vec<FeedSource>,
    /// Most items of one brand in a list.
    pub at_most_of_a_brand: Option<usize>,
    /// Most items of one category in a list.
    pub at_most_of_a_category: Option<usize>,
    /// 0 (the default): by score alone, to 1: as unlike each other as can be.
    pub diversity: f32,
    /// How many of the last places of a customer's list are kept for items that nobody has bought here yet.
    pub new_items: usize,
    /// The half-life in days of what an item gains by being new here.
    pub freshness: Option<f64>,
    /// What variants of one product share: `"item_group_id"` of a feed, a number's name, or the beginning of a tag up to `:`; `"off"`:
    /// nothing. Default: title and brand.
    pub one_per_variant: Option<String>,
    /// Whether items without stock are listed.
    pub show_out_of_stock: bool,
    /// Whether items in the customer's cart are listed.
    pub show_in_cart: bool,
}

/// `always`: an item that stands at a place of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedItem {
    /// Its id.
    pub item: String,
    /// From 1.
    pub place: usize,
    /// The last day (UTC), such as `2026-12-24`.
    pub until: Option<String>,
    /// In which lists. Default: `recommendations`.
    pub r#where: Option<Lists>,
}

/// `[[filter]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterRule {
    /// Items are listed of which this is true.
    pub keep: Spanned<String>,
    /// In which lists. Default: all.
    pub r#where: Option<Lists>,
}

/// `[[boost]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoostRule {
    /// Which items.
    pub when: Spanned<String>,
    /// By how many standard deviations of the candidates' scores, up or, if negative, down.
    pub by: f32,
    /// In which lists. Default: those by score.
    pub r#where: Option<Lists>,
}

/// A kind of list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// For a customer, a basket, anybody.
    Recommendations,
    /// Items that are like another.
    Similar,
    /// What customers have with an item.
    BoughtTogether,
    /// Bestsellers.
    Popular,
    /// What sells better than it did.
    Trending,
    /// What was first sold last.
    New,
}

/// Kinds of lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lists(u8);

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Recommendations,
        Self::Similar,
        Self::BoughtTogether,
        Self::Popular,
        Self::Trending,
        Self::New,
    ];

    /// As `where` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recommendations => "recommendations",
            Self::Similar => "similar",
            Self::BoughtTogether => "bought_together",
            Self::Popular => "popular",
            Self::Trending => "trending",
            Self::New => "new",
        }
    }

    /// Whether its order is a matter of taste; bestsellers, what is trending and what is new are facts, and keep theirs.
    pub fn is_by_score(self) -> bool {
        Lists::BY_SCORE.have(self)
    }
}

impl Lists {
    /// Of every kind.
    pub const ALL: Self = Self(0b11_1111);
    /// Of those kinds whose order is a matter of taste.
    pub const BY_SCORE: Self = Self(0b111);

    /// Of one kind.
    pub const fn only(kind: ListKind) -> Self {
        Self(1 << kind as u8)
    }

    /// Whether a kind is among them.
    pub fn have(self, kind: ListKind) -> bool {
        self.0 & Self::only(kind).0 != 0
    }
}

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Lists;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a kind of list such as \"similar\", or several in brackets")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Lists, E> {
                let deserializer = serde::de::value::StrDeserializer::<E>::new(name);
                ListKind::deserialize(deserializer).map(Lists::only)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Lists, A::Error> {
                let mut lists = Lists(0);
                while let Some(kind) = names.next_element::<ListKind>()? {
                    lists.0 |= Lists::only(kind).0;
                }
                match lists.0 {
                    0 => Err(A::Error::custom(
                        "`where` is empty: leave it out, or name a kind of list",
                    )),
                    _ => Ok(lists),
                }
            }
        }

        from.deserialize_any(OneOrMany)
    }
}

/// What was understood of a `rules.toml`.
#[derive(Clone, Debug, Default)]
pub struct ListRules {
    /// As it stands there.
    pub file: RulesFile,
    /// In the file's order.
    pub filters: Vec<Filter>,
    /// In the file's order.
    pub boosts: Vec<Boost>,
    /// In the file's order.
    pub pins: Vec<Pin>,
}

/// A filter that was understood.
#[derive(Clone, Debug)]
pub struct Filter {
    /// As it stands there.
    pub text: String,
    /// What must be true.
    pub condition: Condition,
    /// Where.
    pub lists: Lists,
}

/// A boost that was understood.
#[derive(Clone, Debug)]
pub struct Boost {
    /// As it stands there.
    pub text: String,
    /// What must be true.
    pub condition: Condition,
    /// Standard deviations.
    pub by: f32,
    /// Where.
    pub lists: Lists,
}

/// A pinned item that was understood.
#[derive(Clone, Debug)]
pub struct Pin {
    /// As it stands there.
    pub item: String,
    /// From 1.
    pub place: usize,
    /// The last day, `2026-12-24`; none: for good.
    pub until: Option<String>,
    /// Where.
    pub lists: Lists,
}

impl ListRules {
    /// Understands the text of a `rules.toml`. `numbers` are the names of the catalogue's numbers; none: any name may be one.
    ///
    /// # Errors
    /// The first thing that makes no sense, with its line and the remedy.
    pub fn parse(text: &str, numbers: Option<&BTreeSet<String>>) -> Result<Self, RulesError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.len() > MOST_BYTES {
            return Err(RulesError::wrong(format!(
                "it has {} bytes, at most {MOST_BYTES} are read",
                text.len()
            )));
        }
        let file: RulesFile = toml::from_str(text).map_err(|error| RulesError {
            line: error.span().map(|span| line_of(text, span.start)),
            column: error.span().map(|span| column_of(text, span.start)),
            message: error.message().trim().replace('\n', "; "),
        })?;
        check(&file)?;
        let understood = |key: &str, spanned: &Spanned<String>| {
            parse(spanned.as_ref(), numbers).map_err(|error| {
                RulesError::of_expression(key, line_of(text, spanned.span().start), spanned.as_ref(), &error)
            })
        };
        let filters = file.filter.iter().map(|rule| {
            Ok(Filter {
                text: rule.keep.as_ref().clone(),
                condition: understood("keep", &rule.keep)?,
                lists: rule.r#where.unwrap_or(Lists::ALL),
            })
        });
        let filters = filters.collect::<Result<Vec<_>, RulesError>>()?;
        let boosts = file.boost.iter().map(|rule| {
            if !(-MOST_BOOST..=MOST_BOOST).contains(&rule.by) {
                return Err(RulesError {
                    line: Some(line_of(text, rule.when.span().start)),
                    column: None,
                    message: format!("by is {}; it is standard deviations of the scores, from -{MOST_BOOST} to {MOST_BOOST}", rule.by),
                });
            }
            Ok(Boost {
                text: rule.when.as_ref().clone(),
                condition: understood("when", &rule.when)?,
                by: rule.by,
                lists: rule.r#where.unwrap_or(Lists::BY_SCORE),
            })
        });
        let boosts = boosts.collect::<Result<Vec<_>, RulesError>>()?;
        let pins = file.always.iter().map(|pin| Pin {
            item: pin.item.clone(),
            place: pin.place,
            until: pin.until.clone(),
            lists: pin.r#where.unwrap_or(Lists::only(ListKind::Recommendations)),
        });
        Ok(Self {
            pins: pins.collect(),
            filters,
            boosts,
            file,
        })
    }

    /// Whether they change with the day.
    pub fn depend_on_the_day(&self) -> bool {
        self.file.freshness.is_some() || self.pins.iter().any(|pin| pin.until.is_some())
    }

    /// Whether a condition asks what lies in the cart.
    pub fn ask_for_the_cart(&self) -> bool {
        let conditions = self.filters.iter().map(|filter| &filter.condition);
        let mut all = conditions.chain(self.boosts.iter().map(|boost| &boost.condition));
        all.any(|condition| condition.any(&mut |part| *part == Condition::Flag(Flag::InCart)))
    }

    /// In one sentence.
    pub fn words(&self) -> String {
        let file = &self.file;
        let mut parts = Vec::new();
        for (count, one, many) in [
            (self.filters.len(), "filter", "filters"),
            (self.boosts.len(), "boost", "boosts"),
            (self.pins.len(), "pinned item", "pinned items"),
            (
                file.never.len(),
                "item that is never listed",
                "items that are never listed",
            ),
            (file.new_items, "place for new items", "places for new items"),
        ] {
            match count {
                0 => {}
                1 => parts.push(format!("1 {one}")),
                _ => parts.push(format!("{count} {many}")),
            }
        }
        match parts.is_empty() {
            true => "no filter, boost, pinned or hidden item".to_owned(),
            false => parts.join(", "),
        }
    }
}

/// What is wrong with values, whatever the conditions say.
fn check(file: &RulesFile) -> Result<(), RulesError> {
    for (name, count, most) in [
        ("never", file.never.len(), MOST_NEVER),
        ("always", file.always.len(), MOST_RULES),
        ("filter", file.filter.len(), MOST_RULES),
        ("boost", file.boost.len(), MOST_RULES),
        ("feed", file.feed.len(), MOST_FEEDS),
    ] {
        if count > most {
            return Err(RulesError::wrong(format!(
                "{name} has {count} entries, at most {most} are read"
            )));
        }
    }
    for (name, most) in [
        ("at_most_of_a_brand", file.at_most_of_a_brand),
        ("at_most_of_a_category", file.at_most_of_a_category),
    ] {
        if most == Some(0) {
            return Err(RulesError::wrong(format!(
                "{name} is 0, which hides everything: it is 1 or more"
            )));
        }
    }
    if file.new_items > MOST_PLACE {
        return Err(RulesError::wrong(format!(
            "new_items is {}; it is from 0 to {MOST_PLACE}",
            file.new_items
        )));
    }
    if !(0.0..=1.0).contains(&file.diversity) {
        return Err(RulesError::wrong(format!(
            "diversity is {}; it is from 0 to 1",
            file.diversity
        )));
    }
    if let Some(days) = file.freshness
        && !(days > 0.0 && days <= MOST_DAYS)
    {
        return Err(RulesError::wrong(format!(
            "freshness is {days}; it is a half-life in days, above 0 and at most {MOST_DAYS}"
        )));
    }
    if let Some(wrong) = file.feed.iter().find_map(|feed| feed.check().err()) {
        return Err(RulesError::wrong(wrong));
    }
    for pin in &file.always {
        if !(1..=MOST_PLACE).contains(&pin.place) {
            return Err(RulesError::wrong(format!(
                "place of {:?} is {}; it is from 1 to {MOST_PLACE}",
                pin.item, pin.place
            )));
        }
        if let Some(until) = &pin.until
            && (until.len() != 10 || until.parse::<jiff::civil::Date>().is_err())
        {
            return Err(RulesError::wrong(format!(
                "until of {:?} is {until:?}; it is a day such as \"2026-12-24\"",
                pin.item
            )));
        }
        if file.never.contains(&pin.item) {
            return Err(RulesError::wrong(format!(
                "{:?} stands under never and under always: take it out of one of them",
                pin.item
            )));
        }
    }
    Ok(())
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

fn column_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    1 + before.chars().rev().take_while(|letter| *letter != '\n').count()
}

/// What makes no sense in a `rules.toml`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{message}", place(*.line, *.column))]
pub struct RulesError {
    /// From 1; none where it is about the whole.
    pub line: Option<usize>,
    /// From 1; none where it is about the whole line, or `message` names it.
    pub column: Option<usize>,
    /// What, and the remedy.
    pub message: String,
}

impl RulesError {
    fn wrong(message: String) -> Self {
        Self {
            line: None,
            column: None,
            message,
        }
    }

    fn of_expression(key: &str, line: usize, text: &str, error: &ExpressionError) -> Self {
        let shown: String = text.chars().take(80).collect();
        // The file's own line is named already.
        let place = match text.contains('\n') {
            true => error.to_string(),
            false => format!("column {}: {}", error.column, error.message),
        };
        Self {
            line: Some(line),
            column: None,
            message: format!("{key} = {shown:?}, {place}"),
        }
    }
}

fn place(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (None, _) => String::new(),
        (Some(line), None) => format!("line {line}: "),
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
    }
}

/// Most bytes of a `rules.toml`.
pub const MOST_BYTES: usize = 4 << 20;
const MOST_NEVER: usize = 100_000;
const MOST_RULES: usize = 200;
const MOST_FEEDS: usize = 20;
const MOST_PLACE: usize = 1000;
const MOST_BOOST: f32 = 100.0;
const MOST_DAYS: f64 = 36_500.0;

#[cfg(test)]
mod tests;

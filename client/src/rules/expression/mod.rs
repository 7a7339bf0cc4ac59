//! Conditions over an item's fields, such as `price < 50 && category != "gift cards"`.
//!
//! | module | what |
//! |---|---|
//! | [`tokens`] | text cut into words, numbers, texts and signs |
//! | [`parser`] | those put together by how strongly each sign binds (Pratt 1973), with errors that say where and what |
//!
//! Logic is three-valued (Kleene 1952, section 64): what is not known of an item is neither smaller nor larger nor equal, and its
//! opposite is not known either.

pub mod parser;
#[cfg(test)]
mod tests;
pub mod tokens;

use souk_common::catalogue::Item;

/// What a condition is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// As the catalogue has it.
    pub item: &'a Item,
    /// As it is now, in the federation's currency; none if unknown.
    pub price: Option<f64>,
    /// Pieces; none if unknown.
    pub stock: Option<f64>,
    /// Whether the shop hides it.
    pub hidden: bool,
    /// Whether it lies in the customer's cart.
    pub in_cart: bool,
}

/// A condition that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `true` or `false`.
    Constant(bool),
    /// A field that is true or false.
    Flag(Flag),
    /// Both numbers must be known.
    Numbers(NumberOperand, Comparison, NumberOperand),
    /// Whether two texts are the same.
    SameText(TextOperand, TextOperand),
    /// Whether a text contains another.
    Contains(TextField, String),
    /// Whether an item has a tag.
    HasTag(String),
    /// Whether a number is known.
    Known(NumberField),
    /// The opposite.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// At least one.
    Or(Box<Self>, Box<Self>),
    /// At least one of many.
    Any(Vec<Self>),
    /// Both hold or neither does.
    Same(Box<Self>, Box<Self>),
}

/// A field that is true or false.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flag {
    /// The shop hides it.
    Hidden,
    /// It lies in the customer's cart.
    InCart,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    More,
    /// `>=`
    MoreOrEqual,
    /// `==`
    Equal,
}

/// A number of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum NumberField {
    /// In the federation's currency.
    Price,
    /// Pieces.
    Stock,
    /// One of the catalogue's numbers, by its name.
    Named(String),
}

/// A number of an item, or one that stands in the condition.
#[derive(Clone, Debug, PartialEq)]
pub enum NumberOperand {
    /// Of the item.
    Field(NumberField),
    /// Finite.
    Value(f64),
}

/// A text of an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextField {
    /// Compared letter by letter; others without case and surrounding blanks.
    Id,
    /// A name for people.
    Title,
    /// May be empty.
    Category,
    /// May be empty.
    Brand,
}

/// A text of an item, or one that stands in the condition.
#[derive(Clone, Debug, PartialEq)]
pub enum TextOperand {
    /// Of the item.
    Field(TextField),
    /// As it stands there.
    Value(String),
}

impl Condition {
    /// Whether it holds; none if that depends on something that is not known.
    pub fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Flag(Flag::Hidden) => Some(facts.hidden),
            Self::Flag(Flag::InCart) => Some(facts.in_cart),
            Self::Numbers(a, comparison, b) => Some(comparison.holds(a.of(facts)?, b.of(facts)?)),
            Self::SameText(a, b) => Some(match (a, b) {
                (TextOperand::Field(TextField::Id), _) | (_, TextOperand::Field(TextField::Id)) => {
                    a.of(facts) == b.of(facts)
                }
                _ => plain(a.of(facts)) == plain(b.of(facts)),
            }),
            Self::Contains(TextField::Id, part) => Some(facts.item.id.contains(part.as_str())),
            Self::Contains(field, part) => Some(plain(field.of(facts)).contains(plain(part).as_str())),
            Self::HasTag(tag) => Some(facts.item.tags.iter().any(|own| plain(own) == plain(tag))),
            Self::Known(field) => Some(field.of(facts).is_some()),
            Self::Not(inner) => inner.holds(facts).map(|holds| !holds),
            Self::And(a, b) => match (a.holds(facts), b.holds(facts)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => either(a.holds(facts), b.holds(facts)),
            Self::Any(all) => {
                let answers = all.iter().map(|one| one.holds(facts));
                answers.reduce(either).unwrap_or(Some(false))
            }
            Self::Same(a, b) => Some(a.holds(facts)? == b.holds(facts)?),
        }
    }

    /// Whether any part of it satisfies `wanted`.
    pub fn any(&self, wanted: &mut dyn FnMut(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Not(inner) => inner.any(wanted),
                Self::And(a, b) | Self::Or(a, b) | Self::Same(a, b) => a.any(wanted) || b.any(wanted),
                Self::Any(all) => all.iter().any(|one| one.any(wanted)),
                _ => false,
            }
    }
}

fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

impl Comparison {
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::More => a > b,
            Self::MoreOrEqual => a >= b,
            Self::Equal => a == b,
        }
    }
}

impl NumberField {
    fn of(&self, facts: &Facts<'_>) -> Option<f64> {
        match self {
            Self::Price => facts.price,
            Self::Stock => facts.stock,
            Self::Named(name) => facts.item.numbers.get(name).copied(),
        }
    }
}

impl NumberOperand {
    fn of(&self, facts: &Facts<'_>) -> Option<f64> {
        match self {
            Self::Field(field) => field.of(facts),
            Self::Value(value) => Some(*value),
        }
    }
}

impl TextField {
    fn of<'a>(self, facts: &Facts<'a>) -> &'a str {
        match self {
            Self::Id => &facts.item.id,
            Self::Title => &facts.item.title,
            Self::Category => &facts.item.category,
            Self::Brand => &facts.item.brand,
        }
    }
}

impl TextOperand {
    fn of<'a>(&'a self, facts: &Facts<'a>) -> &'a str {
        match self {
            Self::Field(field) => field.of(facts),
            Self::Value(value) => value,
        }
    }
}

/// As texts are compared: without case and surrounding blanks.
pub fn plain(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A condition that was not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ExpressionError {
    /// From 1, within the condition.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What was expected and what stands there.
    pub message: String,
}

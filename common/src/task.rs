//! What a federation recommends, and what a plan for it is made of by default: three applications and star ratings over one
//! engine.
//!
//! | task | what is learned | of which records |
//! |---|---|---|
//! | `product` | what a customer buys next | purchases |
//! | `ads` | whether a customer clicks on an ad that is shown | ads shown and clicked, beside purchases |
//! | `content` | what a customer reads or watches next, where what is new counts | what was read or watched |
//! | `rating` | how many stars a customer gives | stars |

use serde::{Deserialize, Serialize};

/// Which.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// What is bought next.
    #[default]
    Product,
    /// Which ads are clicked.
    Ads,
    /// What is read or watched next.
    Content,
    /// How many stars an item gets.
    Rating,
}

/// What customers say of items, besides touching them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// How many stars they give.
    Stars,
    /// Whether they clicked on what was shown.
    Clicks,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Product, Self::Ads, Self::Content, Self::Rating];

    /// As plans and the command line name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Ads => "ads",
            Self::Content => "content",
            Self::Rating => "rating",
        }
    }

    /// The labels that it is learned from; none: what customers touched is enough.
    pub fn labels(self) -> Option<LabelKind> {
        match self {
            Self::Product | Self::Content => None,
            Self::Ads => Some(LabelKind::Clicks),
            Self::Rating => Some(LabelKind::Stars),
        }
    }

    /// Whether plans leave it out, since it is what they always were for.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

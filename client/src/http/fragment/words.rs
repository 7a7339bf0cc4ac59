//! What fragments say to a shop's customers, a constant a language.

use super::super::problem::Problem;
use super::super::routes::lists::ListedReason;
use crate::rules::file::ListKind;

/// Texts in one language; `{item}` is the item that a reason is about.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct FragmentWords {
    /// As `lang` has it (BCP 47).
    pub(super) tag: &'static str,
    for_you: &'static str,
    popular: &'static str,
    similar: &'static str,
    bought_together: &'static str,
    trending: &'static str,
    new: &'static str,
    why_region: &'static str,
    why_here: &'static str,
    why_new: &'static str,
    why_lately: &'static str,
    why_after: &'static str,
    why_together: &'static str,
    why_alike: &'static str,
    why_trained_item: &'static str,
    why_trained: &'static str,
    why_item: &'static str,
}

static ENGLISH: FragmentWords = FragmentWords {
    tag: "en",
    for_you: "Recommended for you",
    popular: "Bestsellers",
    similar: "Similar items",
    bought_together: "Often bought together",
    trending: "Trending now",
    new: "New",
    why_region: "A bestseller in your region",
    why_here: "A bestseller in our shop",
    why_new: "It is new",
    why_lately: "Bought a lot these days",
    why_after: "Often bought after {item}",
    why_together: "Customers who bought {item} bought this too",
    why_alike: "Like {item}",
    why_trained_item: "Goes with {item}",
    why_trained: "Customers like you buy it",
    why_item: "Because of {item}",
};

static CHINESE: FragmentWords = FragmentWords {
    tag: "zh-Hans",
    for_you: "为您推荐",
    popular: "热销商品",
    similar: "相似商品",
    bought_together: "经常一起购买",
    trending: "近期热门",
    new: "新品",
    why_region: "您所在地区的热销商品",
    why_here: "本店热销商品",
    why_new: "新上架",
    why_lately: "近期很多顾客购买",
    why_after: "常在购买{item}之后购买",
    why_together: "购买{item}的顾客也买了",
    why_alike: "与{item}相似",
    why_trained_item: "与{item}相配",
    why_trained: "与您相似的顾客也在购买",
    why_item: "因为{item}",
};

impl FragmentWords {
    /// Of the query's `lang`; English if it has none.
    ///
    /// # Errors
    /// When there are no texts in that language.
    pub(super) fn of(lang: Option<&str>) -> Result<&'static Self, Problem> {
        let main = lang.map(|lang| lang.split('-').next().unwrap_or_default().to_ascii_lowercase());
        match main.as_deref() {
            None | Some("en") => Ok(&ENGLISH),
            Some("zh") => Ok(&CHINESE),
            Some(_) => {
                let said = format!("lang is {:?}; it must be en or zh", lang.unwrap_or_default());
                Err(Problem::bad_request(said))
            }
        }
    }

    /// What stands over a list.
    pub(super) fn title(&self, kind: ListKind, is_personal: bool) -> &'static str {
        match kind {
            ListKind::Recommendations if is_personal => self.for_you,
            ListKind::Recommendations | ListKind::Popular => self.popular,
            ListKind::Similar => self.similar,
            ListKind::BoughtTogether => self.bought_together,
            ListKind::Trending => self.trending,
            ListKind::New => self.new,
        }
    }

    /// A reason, to the customer whom it concerns.
    pub(super) fn why(&self, reason: &ListedReason) -> String {
        let item = reason.title.as_deref().or(reason.item.as_deref());
        let text = match (reason.kind.as_deref(), item) {
            (Some("bestseller_in_region"), _) => self.why_region,
            (Some("bestseller_here"), _) => self.why_here,
            (Some("new"), _) => self.why_new,
            (Some("bought_lately"), _) => self.why_lately,
            (Some("bought_after"), Some(_)) => self.why_after,
            (Some("bought_together"), Some(_)) => self.why_together,
            (Some("alike"), Some(_)) => self.why_alike,
            (Some("trained"), Some(_)) => self.why_trained_item,
            (None, Some(_)) => self.why_item,
            (_, _) => self.why_trained,
        };
        text.replace("{item}", item.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_to_customers_in_their_language_and_others_are_refused() {
        let reason = |kind: Option<&str>, item: Option<&str>| ListedReason {
            words: String::new(),
            kind: kind.map(str::to_owned),
            item: item.map(str::to_owned),
            title: item.map(|_| "Green tea".to_owned()),
            share: 0.5,
        };
        let (english, chinese) = (
            FragmentWords::of(Some("en-GB")).unwrap(),
            FragmentWords::of(Some("zh-Hans-CN")).unwrap(),
        );
        assert_eq!(english.why(&reason(Some("alike"), Some("i1"))), "Like Green tea");
        assert_eq!(english.why(&reason(None, Some("i1"))), "Because of Green tea");
        assert_eq!(
            chinese.why(&reason(Some("bestseller_here"), None)),
            "本店热销商品"
        );
        for kind in [
            "bestseller_in_region",
            "bestseller_here",
            "new",
            "bought_lately",
            "bought_after",
            "bought_together",
            "alike",
            "trained",
            "of a later version",
        ] {
            for item in [None, Some("i1")] {
                for words in [english, chinese] {
                    let said = words.why(&reason(Some(kind), item));
                    assert!(!said.is_empty() && !said.contains('{'), "{kind}: {said}");
                }
            }
        }
        assert_eq!(FragmentWords::of(None).unwrap(), english);
        assert!(
            FragmentWords::of(Some("tlh"))
                .unwrap_err()
                .detail
                .contains("\"tlh\"")
        );
    }
}

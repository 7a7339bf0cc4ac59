//! Where a fragment's items lead: an address of the web shop with a place for the item's id.

use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::problem::Problem;

/// `https://www.shop.example/product/{item}`, or a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LinkTemplate {
    /// Up to `#`.
    address: String,
    /// From `#` on.
    anchor: String,
    origin: Option<String>,
}

impl LinkTemplate {
    /// Of the query's `link`.
    ///
    /// # Errors
    /// When it is neither `http`, `https` nor a path, or has no place for the item.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            Err(Problem::bad_request(format!(
                "link is {text:?}; {what}, as in https://www.shop.example/product/{ITEM} or /product/{ITEM}"
            )))
        };
        let is_strange = |letter: char| {
            letter.is_whitespace() || letter.is_control() || matches!(letter, '\\' | '"' | '<' | '>')
        };
        if text.len() > MOST_BYTES || text.contains(is_strange) {
            return wrong("it must be an address without blanks, of at most 2048 bytes");
        }
        if !text.contains(ITEM) {
            return wrong("it must have a place for the item's id");
        }
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let origin = match text.split_once("://") {
            _ if is_path => None,
            Some((scheme @ ("http" | "https"), rest)) => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
                // The item must not choose the host, nor a user name look like one.
                let is_host = !authority.contains(['{', '@']) && origin.parse::<Uri>().is_ok();
                if !is_host {
                    return wrong("its host must be written out");
                }
                Some(origin)
            }
            _ => return wrong("it must begin with https://, http:// or one /"),
        };
        let (address, anchor) = text.split_at(text.find('#').unwrap_or(text.len()));
        Ok(Self {
            address: address.to_owned(),
            anchor: anchor.to_owned(),
            origin,
        })
    }

    /// `https://www.shop.example`; none of a path.
    pub(super) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The address of an item that stands in a list.
    pub(super) fn to(&self, item: &str, list: &str) -> String {
        let item = utf8_percent_encode(item, ENCODED).to_string();
        let joint = if self.address.contains('?') { '&' } else { '?' };
        format!(
            "{}{joint}{LIST_KEY}={}{}",
            self.address.replace(ITEM, &item),
            utf8_percent_encode(list, ENCODED),
            self.anchor.replace(ITEM, &item)
        )
    }
}

const ITEM: &str = "{item}";
/// The key of the list's id behind an item's link.
const LIST_KEY: &str = "souk_list";
const MOST_BYTES: usize = 2048;
/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_encoded_and_the_list_stands_behind_them() {
        for (template, link) in [
            (
                "/product/{item}",
                "/product/a%20%26%2Fb%3F%E8%8C%B6?souk_list=alone-1",
            ),
            (
                "https://www.shop.example/p?id={item}",
                "https://www.shop.example/p?id=a%20%26%2Fb%3F%E8%8C%B6&souk_list=alone-1",
            ),
            ("/shop#{item}", "/shop?souk_list=alone-1#a%20%26%2Fb%3F%E8%8C%B6"),
        ] {
            assert_eq!(
                LinkTemplate::parse(template).unwrap().to("a &/b?茶", "alone-1"),
                link
            );
        }
        let origin = |text| LinkTemplate::parse(text).unwrap().origin().map(str::to_owned);
        assert_eq!(
            origin("https://WWW.shop.example:8443/{item}").unwrap(),
            "https://www.shop.example:8443"
        );
        assert_eq!(origin("/{item}"), None);
    }

    #[test]
    fn scripts_other_schemes_and_hosts_that_an_item_chooses_are_refused() {
        for template in [
            "javascript:alert('{item}')",
            "JAVASCRIPT://x/%0a{item}",
            "data:text/html,{item}",
            "//evil.example/{item}",
            "/\\evil.example/{item}",
            "product/{item}",
            "/product/",
            "https://{item}.example/",
            "https://www.shop.example@evil.example/{item}",
            "https:///{item}",
            "/a b/{item}",
            "",
        ] {
            let problem = LinkTemplate::parse(template).unwrap_err();
            assert!(problem.detail.contains("link is"), "{template}: {problem:?}");
        }
        assert!(LinkTemplate::parse(&format!("/{}{{item}}", "x".repeat(3000))).is_err());
    }
}

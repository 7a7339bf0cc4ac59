//! The user, or the item, that was meant.

use souk_common::catalogue::Catalogue;

/// The row of `wanted` among `users`.
///
/// # Errors
/// When it is not there; the error names up to five that look like it.
pub fn find(users: &[String], wanted: &str) -> Result<usize, UnknownName> {
    match users.iter().position(|user| user == wanted) {
        Some(row) => Ok(row),
        None => Err(unknown(
            "user",
            "this shop's",
            users.iter().map(String::as_str),
            wanted,
        )),
    }
}

/// The row of the item called `wanted`.
///
/// # Errors
/// As [`find`].
pub fn find_item(catalogue: &Catalogue, wanted: &str) -> Result<u32, UnknownName> {
    let ids = || catalogue.items().iter().map(|item| item.id.as_str());
    let error = || unknown("item", "the catalogue's", ids(), wanted);
    catalogue.row(wanted).ok_or_else(error)
}

fn unknown<'a>(
    what: &'static str,
    whose: &'static str,
    names: impl ExactSizeIterator<Item = &'a str>,
    wanted: &str,
) -> UnknownName {
    let count = names.len();
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|name| Some((distance(wanted, name)?, name)))
        .collect();
    near.sort_unstable();
    near.truncate(MOST_NEAR);
    UnknownName {
        what,
        whose,
        name: wanted.chars().take(80).collect(),
        count,
        near: near.into_iter().map(|(_, name)| name.to_owned()).collect(),
    }
}

/// There is no such user or item.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no {what} {name:?} among {whose} {count}{}", hint(.near))]
pub struct UnknownName {
    what: &'static str,
    whose: &'static str,
    name: String,
    count: usize,
    near: Vec<String>,
}

fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.iter().map(|user| format!("{user:?}")).collect();
    format!("; near it: {}", quoted.join(", "))
}

/// How far apart two names are, letter case aside: edits, or 1 when one begins with the other; none if too far.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b) = (a.trim().to_lowercase(), b.to_lowercase());
    if a == b {
        return Some(0);
    }
    if !a.is_empty() && (b.starts_with(a.as_str()) || a.starts_with(b.as_str())) && !b.is_empty() {
        return Some(1);
    }
    let most = MOST_EDITS.min(a.chars().count().max(b.chars().count()) / 2);
    Some(strsim::levenshtein(&a, &b)).filter(|edits| *edits <= most)
}

const MOST_NEAR: usize = 5;
const MOST_EDITS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_is_told_with_the_nearest_names() {
        let users: Vec<String> = ["u1042", "u1043", "u2", "Anna"].map(String::from).to_vec();
        assert_eq!(find(&users, "u2"), Ok(2));
        let said = find(&users, "u104").expect_err("not there").to_string();
        assert_eq!(
            said,
            "no user \"u104\" among this shop's 4; near it: \"u1042\", \"u1043\""
        );
        let said = find(&users, "anna").expect_err("other case").to_string();
        assert!(said.contains("\"Anna\""), "{said}");
        let said = find(&users, "entirely else").expect_err("not there").to_string();
        assert!(said.ends_with("this shop's 4"), "{said}");
        assert!(find(&[], "x").is_err());
    }

    #[test]
    fn an_unknown_item_is_told_with_the_nearest_ids() {
        use souk_common::catalogue::Item;
        let items = ["tea-1", "tea-2", "pot"].map(Item::bare).to_vec();
        let catalogue = Catalogue::new(items).unwrap();
        assert_eq!(find_item(&catalogue, "pot"), Ok(2));
        let said = find_item(&catalogue, "tea").expect_err("not there").to_string();
        assert_eq!(
            said,
            "no item \"tea\" among the catalogue's 3; near it: \"tea-1\", \"tea-2\""
        );
    }

    #[test]
    fn edits_are_counted_as_levenshtein_did() {
        for (a, b, edits) in [
            ("kitten", "sittin", Some(2)),
            ("abcdef", "abdef", Some(1)),
            ("abc", "xyz", None),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}

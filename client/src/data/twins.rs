//! Ids that are one number written in two ways: they went through a spreadsheet, which drops the zeros before a number, or
//! through a table of decimals.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How many of `what` stand among the distinct `ids` twice like that, the first of them, and what to do; none if none does.
pub(super) fn warning<'a>(what: &str, ids: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let mut written: HashMap<&str, &str> = HashMap::new();
    let mut twins: Vec<(&str, &str)> = Vec::new();
    for id in ids.clone() {
        if let Some(number) = bare_number(id).filter(|number| *number != id) {
            match written.entry(number) {
                Entry::Occupied(other) => twins.push((other.get(), id)),
                Entry::Vacant(new) => drop(new.insert(id)),
            }
        }
    }
    if !written.is_empty() {
        twins.extend(ids.filter_map(|id| Some((id, *written.get(id)?))));
    }
    let (one, other) = twins.iter().min()?;
    Some(format!(
        "{} {what} stand there twice, such as {one:?} and {other:?}, and count as two: export their ids as text everywhere, as the \
         shop system has them",
        twins.len()
    ))
}

/// The number that an id is, without zeros before it and decimals that are zero; none if it is no whole number.
fn bare_number(id: &str) -> Option<&str> {
    let (whole, decimals) = id.split_once('.').unwrap_or((id, "0"));
    let is_number = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !decimals.is_empty() && decimals.bytes().all(|byte| byte == b'0');
    let bare = whole.trim_start_matches('0');
    let bare = if bare.is_empty() && is_number {
        &whole[..1]
    } else {
        bare
    };
    (is_number && is_whole).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_written_in_two_ways_is_told_with_both_and_other_ids_are_not() {
        let told = |ids: &[&str]| warning("items", ids.iter().copied());
        for (ids, count, one, other) in [
            (&["1", "1.0", "2"][..], 1, "1", "1.0"),
            (&["tea", "00123", "123"], 1, "123", "00123"),
            (&["0123", "00123", "9"], 1, "0123", "00123"),
            (&["7.00", "07", "7", "8", "8.0"], 3, "7", "7.00"),
            (&["0", "00"], 1, "0", "00"),
        ] {
            let text = told(ids).unwrap_or_default();
            let wanted = format!("{count} items stand there twice, such as {one:?} and {other:?}");
            assert!(text.starts_with(&wanted), "{ids:?}: {text}");
        }
        for ids in [
            &["1", "10", "100"][..],
            &["A1", "A1.0", "A01"],
            &["1.5", "1", "15"],
            &["007", "8", "9.0"],
            &["1.", "1", ".0", "", "0"],
            &["-1", "-01", "1e0"],
        ] {
            assert_eq!(told(ids), None, "{ids:?}");
        }
    }
}

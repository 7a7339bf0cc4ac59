//! The user that was meant.

/// The row of `wanted` among `users`.
///
/// # Errors
/// When it is not there; the error names up to five that look like it.
pub fn find(users: &[String], wanted: &str) -> Result<usize, UnknownUser> {
    if let Some(row) = users.iter().position(|user| user == wanted) {
        return Ok(row);
    }
    let mut near: Vec<(usize, &String)> = users
        .iter()
        .filter_map(|user| Some((distance(wanted, user)?, user)))
        .collect();
    near.sort();
    Err(UnknownUser {
        user: wanted.chars().take(80).collect(),
        users: users.len(),
        near: near
            .into_iter()
            .take(MOST_NEAR)
            .map(|(_, user)| user.clone())
            .collect(),
    })
}

/// There is no such user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no user {user:?} among this shop's {users}{}", hint(.near))]
pub struct UnknownUser {
    user: String,
    users: usize,
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

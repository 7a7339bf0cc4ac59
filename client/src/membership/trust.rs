//! One line of `shop.toml` that a program writes: the file stays the owner's otherwise, comments and all.

use std::fs;

use anyhow::{Context, bail};
use souk_common::config::parse_toml;
use souk_common::ids::{Digest, ShopName};

use crate::config::ShopConfig;
use crate::folder::Folder;
use souk_common::storage::write_whole;

/// Writes that `shop` has the key of this fingerprint, in place of an older line about it.
///
/// # Errors
/// When the file can't be read or written, or has its `known_shops` in a form that can't be added to by lines.
pub fn write(folder: &Folder, shop: &ShopName, fingerprint: &Digest) -> anyhow::Result<()> {
    let path = folder.config();
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let mut expected: ShopConfig = parse_toml(&path, &text)?;
    expected.known_shops.insert(shop.clone(), *fingerprint);
    let edited = edit(&text, shop, fingerprint);
    match parse_toml::<ShopConfig>(&path, &edited) {
        Ok(config) if config == expected => {}
        _ => bail!(
            "{} has its known_shops in another form than lines under [known_shops]: add `{}` yourself",
            path.display(),
            line(shop, fingerprint)
        ),
    }
    write_whole(&path, edited.as_bytes(), false).with_context(|| format!("can't write {}", path.display()))
}

fn line(shop: &ShopName, fingerprint: &Digest) -> String {
    format!("{shop} = \"{fingerprint}\"")
}

fn edit(text: &str, shop: &ShopName, fingerprint: &Digest) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let new = line(shop, fingerprint);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let Some(header) = lines.iter().position(|line| is_header(line, Some("known_shops"))) else {
        if !text.is_empty() && !text.ends_with('\n') {
            out.push(end.to_owned());
        }
        let gap = if text.is_empty() { "" } else { end };
        out.push(format!("{gap}[known_shops]{end}{new}{end}"));
        return out.concat();
    };
    let section = lines[header + 1..]
        .iter()
        .take_while(|line| !is_header(line, None));
    let mut last = header;
    for (at, row) in (header + 1..).zip(section) {
        let Some(key) = key_of(row) else { continue };
        last = at;
        if key == shop.as_str() {
            out[at] = format!("{new}{}{end}", comment_of(row));
            return out.concat();
        }
    }
    if !out[last].ends_with('\n') {
        out[last].push_str(end);
    }
    out.insert(last + 1, format!("{new}{end}"));
    out.concat()
}

/// Whether a line begins a table: this one, or any.
fn is_header(line: &str, name: Option<&str>) -> bool {
    let Some(inner) = line.trim_start().strip_prefix('[') else {
        return false;
    };
    let inner = inner.split(']').next().unwrap_or_default();
    name.is_none_or(|name| inner.trim() == name)
}

/// The key of a `key = value` line.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.starts_with('#')).then(|| key.trim_matches(['"', '\'']))
}

/// What stands behind the value. A fingerprint has no `#` in it.
fn comment_of(line: &str) -> String {
    let comment = line.find('#').map(|at| line[at..].trim_end());
    comment.map_or(String::new(), |comment| format!(" {comment}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn known(text: &str) -> Vec<(String, String)> {
        let config: ShopConfig = parse_toml(std::path::Path::new("shop.toml"), text).expect(text);
        let shops = config.known_shops.iter();
        shops
            .map(|(shop, key)| (shop.to_string(), key.to_string()))
            .collect()
    }

    fn folder(text: &str) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        fs::write(folder.config(), text).unwrap();
        (dir, folder)
    }

    fn trust(text: &str, shop: &str, key: &[u8]) -> anyhow::Result<String> {
        let (_dir, folder) = folder(text);
        write(&folder, &shop.parse().unwrap(), &Digest::of(key))?;
        Ok(fs::read_to_string(folder.config()).unwrap())
    }

    #[test]
    fn a_line_is_added_and_replaced_and_nothing_else_changes() {
        let sample = crate::config::sample(None);
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let one = trust(&sample, "south", b"a").unwrap();
        assert_eq!(known(&one), [("south".into(), a.to_string())]);
        let two = trust(&one, "west-2", b"b").unwrap();
        assert_eq!(known(&two).len(), 2);
        let again = trust(&two, "south", b"b").unwrap();
        assert_eq!(known(&again)[0], ("south".into(), b.to_string()));
        // Without the two lines it is the file that it was.
        let rest: String = again
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("south = ") && !line.starts_with("west-2 = "))
            .collect();
        assert_eq!(rest, sample);
        assert_eq!(
            trust(&again, "south", b"b").unwrap(),
            again,
            "once more changes nothing"
        );
    }

    #[test]
    fn comments_quotes_and_line_ends_stay_and_a_missing_section_is_made() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let text =
            format!("[known_shops] # by phone\r\n\"south\" = \"{a}\" # Anna, 3 May\r\n\r\n[policy]\r\n");
        let said = trust(&text, "south", b"b").unwrap();
        assert_eq!(
            said,
            format!("[known_shops] # by phone\r\nsouth = \"{b}\" # Anna, 3 May\r\n\r\n[policy]\r\n")
        );
        for (before, after) in [
            ("", format!("[known_shops]\nsouth = \"{b}\"\n")),
            (
                "[policy]\npause = true",
                format!("[policy]\npause = true\n\n[known_shops]\nsouth = \"{b}\"\n"),
            ),
            ("[known_shops]", format!("[known_shops]\nsouth = \"{b}\"\n")),
        ] {
            assert_eq!(trust(before, "south", b"b").unwrap(), after);
        }
    }

    #[test]
    fn a_form_that_lines_do_not_fit_is_left_alone_with_the_line_to_add() {
        let a = Digest::of(b"a");
        for text in [
            format!("known_shops = {{ west = \"{a}\" }}\n"),
            format!("known_shops.west = \"{a}\"\n"),
        ] {
            let (_dir, folder) = folder(&text);
            let error = write(&folder, &"south".parse().unwrap(), &a)
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("south = \"{a}\"")), "{error}");
            assert_eq!(fs::read_to_string(folder.config()).unwrap(), text);
        }
    }

    #[test]
    fn the_file_is_for_the_owner_alone_afterwards() {
        let (_dir, folder) = folder("");
        for mode in [0o600, 0o644] {
            fs::set_permissions(folder.config(), fs::Permissions::from_mode(mode)).unwrap();
            write(&folder, &"south".parse().unwrap(), &Digest::of(b"a")).unwrap();
            let now = fs::metadata(folder.config()).unwrap().permissions().mode();
            assert_eq!(now & 0o777, 0o600, "{mode:o}");
        }
    }
}

//! `rules.toml` as a text that somebody edits elsewhere than in the file.

use std::io;

use souk_common::ids::Digest;

use super::file::MOST_BYTES;
use super::in_force::ShopRules;

/// The file's text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RulesText {
    /// Empty where there is no file.
    pub text: String,
    /// Of the file's bytes.
    pub digest: Digest,
}

/// Why a text was not written.
#[derive(Debug, thiserror::Error)]
pub enum RulesNotWritten {
    /// The file is another than the one that was edited.
    #[error("rules.toml was changed since it was read")]
    Changed,
    /// Of the disk; what was there before is there now.
    #[error("rules.toml can't be written")]
    Disk(#[source] io::Error),
}

impl ShopRules {
    /// The text of `rules.toml` as it is now.
    ///
    /// # Errors
    /// Of the disk, or when it is no text.
    pub fn text(&self) -> io::Result<RulesText> {
        let bytes = self.bytes()?;
        let digest = Digest::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8: save it so"))?;
        Ok(RulesText { text, digest })
    }

    /// Replaces the file whose digest was `was`, whole; what it was before is kept in `rules.previous.toml`.
    ///
    /// # Errors
    /// When it is another file by now, or of the disk.
    pub fn replace(&self, was: Digest, text: &str) -> Result<(), RulesNotWritten> {
        let _one = self.editing();
        let before = self.bytes().map_err(RulesNotWritten::Disk)?;
        if Digest::of(&before) != was {
            return Err(RulesNotWritten::Changed);
        }
        if before == text.as_bytes() {
            return Ok(());
        }
        let folder = self.folder();
        folder
            .write_whole(&folder.previous_rules(), &before, false)
            .and_then(|()| folder.write_whole(&folder.rules(), text.as_bytes(), false))
            .map_err(RulesNotWritten::Disk)
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        match self.folder().disk().read(&self.folder().rules()) {
            Ok(bytes) if bytes.len() > MOST_BYTES => Err(io::Error::other(format!(
                "it has {} bytes, at most {MOST_BYTES} are read",
                bytes.len()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::folder::Folder;

    #[test]
    fn a_text_replaces_the_file_that_was_read_and_no_other_and_the_earlier_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let rules = ShopRules::new(folder.clone());
        let none = rules.text().unwrap();
        assert_eq!(none.text, "");
        rules.replace(none.digest, "never = ['a']\n").unwrap();
        let first = rules.text().unwrap();
        assert_eq!(first.text, "never = ['a']\n");
        rules.replace(first.digest, "never = ['b']\n").unwrap();
        assert_eq!(fs::read_to_string(folder.previous_rules()).unwrap(), first.text);
        let late = rules.replace(first.digest, "never = ['c']\n").unwrap_err();
        assert!(matches!(late, RulesNotWritten::Changed), "{late}");
        assert_eq!(rules.text().unwrap().text, "never = ['b']\n");
        // Saved again without a change, the earlier text stays.
        rules
            .replace(rules.text().unwrap().digest, "never = ['b']\n")
            .unwrap();
        assert_eq!(fs::read_to_string(folder.previous_rules()).unwrap(), first.text);
        fs::write(folder.rules(), b"never = ['\xff']").unwrap();
        assert!(rules.text().unwrap_err().to_string().contains("UTF-8"));
    }
}

//! Files that people edit: read with errors that name the place, written only where nothing is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Reads a TOML file of at most [`MAX_CONFIG_BYTES`].
///
/// # Errors
/// When there is no such file, or a line of it makes no sense; the text names file, line, column and what stands there.
pub fn load_toml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLong {
            path: path.to_owned(),
            got: length,
        });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse_toml(path, &text)
}

/// Reads TOML text that came from `path`.
///
/// # Errors
/// When a line makes no sense.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let (line, column, content) = place(text, error.span().map_or(0, |span| span.start));
        ConfigError::Syntax {
            path: path.to_owned(),
            line,
            column,
            content,
            reason: error.message().to_owned(),
        }
    })
}

/// Writes a new file, durably; one that is there is left alone.
///
/// # Errors
/// When the file exists, or the system refuses.
pub fn write_new(path: &Path, text: &str) -> Result<(), ConfigError> {
    create(
        path,
        text.as_bytes(),
        OpenOptions::new().write(true).create_new(true),
    )
}

/// Writes a new file that only its owner may read, durably; one that is there is left alone.
///
/// # Errors
/// When the file exists, or the system refuses.
pub fn write_secret_file(path: &Path, secret: &[u8]) -> Result<(), ConfigError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    create(path, secret, &options)
}

fn create(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<(), ConfigError> {
    let mut file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ConfigError::Exists {
            path: path.to_owned(),
        },
        _ => ConfigError::Unwritable {
            path: path.to_owned(),
            source,
        },
    })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|source| {
            // Half a file would be taken for a whole one, and never be overwritten.
            let _ = fs::remove_file(path);
            ConfigError::Unwritable {
                path: path.to_owned(),
                source,
            }
        })
}

/// Line and column (from 1) of a byte in `text`, and what the line says.
fn place(text: &str, at: usize) -> (usize, usize, String) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count();
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count();
    let content = text.lines().nth(line).unwrap_or_default().trim();
    (line + 1, column + 1, content.chars().take(MAX_SHOWN).collect())
}

/// Why a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file, or not to be read.
    #[error("can't read {}: check that the path is right and that you may read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Not a file that a person wrote.
    #[error("{} has {got} bytes, and a configuration has at most {MAX_CONFIG_BYTES}: is it the right file?", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        got: u64,
    },
    /// A line that makes no sense.
    #[error("{}, line {line}, column {column}: {reason}; the line says `{content}`: correct or remove it", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The line.
        content: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that is never overwritten.
    #[error("{} is there already and is never overwritten: move it away or choose another path", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No space, or no permission.
    #[error("can't write {}: check the folder, its permissions and the free space", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Most bytes of a file that people edit.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        rounds: u32,
    }

    #[test]
    fn an_error_names_file_line_column_and_content() {
        let path = Path::new("plan.toml");
        let error = |text| parse_toml::<Sample>(path, text).unwrap_err().to_string();
        let unknown = error("rounds = 3\nroundz = 4\n");
        assert!(
            unknown.contains("plan.toml, line 2, column 1") && unknown.contains("roundz"),
            "{unknown}"
        );
        let kind = error("# größe\nrounds = \"x\"\n");
        assert!(
            kind.contains("line 2, column 10") && kind.contains("rounds = \"x\""),
            "{kind}"
        );
        let syntax = error("rounds = \n");
        assert!(syntax.contains("line 1, column 10"), "{syntax}");
        assert!(error("").contains("missing field `rounds`"));
    }

    #[test]
    fn files_are_read_whole_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert!(matches!(
            load_toml::<Sample>(&path),
            Err(ConfigError::Unreadable { .. })
        ));
        write_new(&path, "rounds = 3\n").unwrap();
        assert_eq!(load_toml::<Sample>(&path).unwrap(), Sample { rounds: 3 });
        assert!(matches!(
            write_new(&path, "rounds = 4\n"),
            Err(ConfigError::Exists { .. })
        ));
        assert_eq!(load_toml::<Sample>(&path).unwrap().rounds, 3);
        let endless = folder.path().join("big.toml");
        write_new(&endless, &" ".repeat(MAX_CONFIG_BYTES as usize + 1)).unwrap();
        assert!(matches!(
            load_toml::<Sample>(&endless),
            Err(ConfigError::TooLong { .. })
        ));
        assert!(matches!(
            write_new(&folder.path().join("no/such.toml"), ""),
            Err(ConfigError::Unwritable { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_a_secret() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret_file(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_secret_file(&path, b"other").is_err());
    }
}

//! `[[data.source]]`: where interactions come from beside the files of orders.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::columns::OrderColumns;

/// One source. A query needs `url`, `query` and a name; everything else needs `path`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "SourceKeys", into = "SourceKeys")]
pub struct SourceConfig {
    /// What it is called in reports; of a file, by default its path.
    pub name: String,
    /// What it is.
    pub place: SourcePlace,
    /// What its columns are called; by default as `[data.columns]` says.
    pub columns: Option<OrderColumns>,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq)]
pub enum SourcePlace {
    /// In a file.
    File {
        /// Of which kind.
        kind: FileKind,
        /// From the shop's folder.
        path: PathBuf,
        /// Of a workbook, the sheet; by default as `[data]` says.
        sheet: Option<String>,
    },
    /// In a database.
    Query(QueryConfig),
}

/// What a file is; where nobody says so, it is told from its name and its first bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// By its first bytes: text with a header line, plain, gzipped or zstd; a workbook; Parquet.
    File,
    /// A JSON object a line, plain, gzipped or zstd.
    Jsonl,
}

/// A query that only reads.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryConfig {
    /// `postgres://reader@host:5432/shop`, `mysql://reader@host/shop` or `sqlite:///srv/shop.db`, without a password.
    pub url: String,
    /// A `SELECT` whose columns are called as `columns` says.
    pub query: String,
    /// A column of it that grows with every new line, as a number counted upward or the time of the entry: only lines from its
    /// last value on are asked for. Without one, all are asked for every time.
    pub watermark: Option<String>,
    /// Where the password is: in an environment variable of this name.
    pub password_env: Option<String>,
    /// Or in a file, on its first line.
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Jsonl,
    Query,
}

/// As written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SourceKeys {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<OrderColumns>,
}

impl TryFrom<SourceKeys> for SourceConfig {
    type Error = String;

    fn try_from(keys: SourceKeys) -> Result<Self, String> {
        let kind = match keys.kind {
            Kind::File => FileKind::File,
            Kind::Jsonl => FileKind::Jsonl,
            Kind::Query => return keys.into_query(),
        };
        let is_of_query = keys.url.is_some() || keys.query.is_some() || keys.watermark.is_some();
        if is_of_query || keys.password_env.is_some() || keys.password_file.is_some() {
            return Err("url, query, watermark and passwords are for a source of kind \"query\"".to_owned());
        }
        if keys.sheet.is_some() && kind == FileKind::Jsonl {
            return Err(
                "JSON lines have no sheet: that is for a source of kind \"file\", a workbook".to_owned(),
            );
        }
        let path = keys.path.ok_or("a source that is a file needs a path")?;
        Ok(Self {
            name: keys.name.unwrap_or_else(|| path.display().to_string()),
            place: SourcePlace::File {
                kind,
                path,
                sheet: keys.sheet,
            },
            columns: keys.columns,
        })
    }
}

impl SourceKeys {
    fn into_query(self) -> Result<SourceConfig, String> {
        if self.path.is_some() || self.sheet.is_some() {
            return Err("a source of kind \"query\" has a url, and no path or sheet".to_owned());
        }
        let needs = |what: &str| format!("a source of kind \"query\" needs {what}");
        let url = self.url.ok_or_else(|| needs("a url"))?;
        if has_password(&url) {
            // Not shown: that is the point.
            return Err(
                "the url of a source has a password in it: take it out, and name an environment variable as \
                        password_env, or a file as password_file"
                    .to_owned(),
            );
        }
        Ok(SourceConfig {
            name: self.name.ok_or_else(|| needs("a name"))?,
            place: SourcePlace::Query(QueryConfig {
                url,
                query: self.query.ok_or_else(|| needs("a query"))?,
                watermark: self.watermark,
                password_env: self.password_env,
                password_file: self.password_file,
            }),
            columns: self.columns,
        })
    }
}

impl From<SourceConfig> for SourceKeys {
    fn from(source: SourceConfig) -> Self {
        let (name, columns) = (Some(source.name), source.columns);
        let bare = |kind| Self {
            kind,
            name,
            path: None,
            sheet: None,
            url: None,
            query: None,
            watermark: None,
            password_env: None,
            password_file: None,
            columns,
        };
        match source.place {
            SourcePlace::File { kind, path, sheet } => Self {
                path: Some(path),
                sheet,
                ..bare(match kind {
                    FileKind::File => Kind::File,
                    FileKind::Jsonl => Kind::Jsonl,
                })
            },
            SourcePlace::Query(query) => Self {
                url: Some(query.url),
                query: Some(query.query),
                watermark: query.watermark,
                password_env: query.password_env,
                password_file: query.password_file,
                ..bare(Kind::Query)
            },
        }
    }
}

/// Whether `scheme://user:password@host` has the third of these, or a `password=` behind a question mark.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = host.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || parameters.to_ascii_lowercase().contains("password")
}

/// The largest share of lines that may be bad before an import is refused whole: from 0 to 1.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct BadShare(f64);

impl BadShare {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for BadShare {
    /// One line in twenty.
    fn default() -> Self {
        Self(0.05)
    }
}

impl TryFrom<f64> for BadShare {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&share) {
            true => Ok(Self(share)),
            false => Err(format!(
                "max_bad is {share}; it is a share of the lines, from 0 to 1, such as 0.05"
            )),
        }
    }
}

impl From<BadShare> for f64 {
    fn from(share: BadShare) -> Self {
        share.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SourceConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn sources_are_written_as_they_are_read_and_what_makes_no_sense_is_named() {
        let file = parse("kind = 'jsonl'\npath = 'a.jsonl'\n[columns]\nuser = 'customer.id'").unwrap();
        let sheet = parse("kind = 'file'\npath = 'a.xlsx'\nsheet = 'Orders'").unwrap();
        let query =
            "name = 'web'\nkind = 'query'\nurl = 'postgres://r@h/d'\nquery = 'SELECT 1'\nwatermark = 'id'";
        for source in [file.clone(), sheet, parse(query).unwrap()] {
            assert_eq!(parse(&toml::to_string(&source).unwrap()).unwrap(), source);
        }
        assert_eq!(file.name, "a.jsonl");
        for (text, said) in [
            ("kind = 'file'", "needs a path"),
            (
                "kind = 'file'\npath = 'a'\nquery = 'b'",
                "for a source of kind \"query\"",
            ),
            ("kind = 'query'\nname = 'a'\nquery = 'b'", "needs a url"),
            ("kind = 'query'\nurl = 'sqlite://a'\nquery = 'b'", "needs a name"),
            (
                "kind = 'query'\nname = 'a'\nurl = 'sqlite://a'\npath = 'b'",
                "no path",
            ),
            ("kind = 'jsonl'\npath = 'a'\nsheet = 'b'", "have no sheet"),
            ("kind = 'file'\npath = 'a'\npasword_env = 'b'", "pasword_env"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for url in ["mysql://r:hunter2@h/d", "postgres://h/d?user=r&password=hunter2"] {
            let text = format!("kind = 'query'\nname = 'a'\nquery = 'b'\nurl = '{url}'");
            let error = parse(&text).unwrap_err();
            assert!(
                error.contains("password_env") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_share_of_bad_lines_is_from_0_to_1() {
        assert!(BadShare::try_from(1.5).unwrap_err().contains("max_bad is 1.5"));
        assert!(BadShare::try_from(f64::NAN).is_err());
        assert_eq!(BadShare::try_from(0.0).map(BadShare::get), Ok(0.0));
    }
}

//! What is signed, and how the signed text stands in both files.
//!
//! One text, [`Text`], is all of OUT.json, and stands in OUT.html byte for byte. Its first line is the signature; then every key
//! of the report has a line of its own, so that a changed byte is told by its key:
//!
//! ```text
//! {"signature":{"body":{...},"signature":"..."},
//! "report":{
//! "findings":{...},
//! ...
//! "subject":{...}
//! }}
//! ```
//!
//! The body has a digest of every line and one of the page around the text. `<`, `>` and `&` are written as \u003c and so on, which
//! is JSON all the same and can't end the element that it stands in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use souk_common::crypto::sign::{Signable, Signed, SigningKey};
use souk_common::hex;
use souk_common::ids::Digest;

use super::model::Report;

/// What the key signs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportStatement {
    /// Of the report.
    pub(crate) format: u32,
    /// Of whoever signs.
    #[serde(with = "hex")]
    pub(crate) public_key: [u8; 32],
    /// Of OUT.html without the signed text.
    pub(crate) page: Digest,
    /// Of each key's line, without the comma behind it.
    pub(crate) lines: BTreeMap<String, Digest>,
}

impl Signable for ReportStatement {
    const DOMAIN: &'static str = "souk audit report 1";
}

/// The first line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) body: ReportStatement,
    #[serde(with = "hex")]
    pub(super) signature: Vec<u8>,
}

impl Signature {
    pub(super) fn signed(&self) -> Signed<ReportStatement> {
        Signed {
            body: self.body.clone(),
            signature: self.signature.clone(),
        }
    }
}

/// The keys of a report, each as the text of one line, in the order of their names.
pub(super) fn lines(report: &Report) -> anyhow::Result<BTreeMap<String, String>> {
    let serde_json::Value::Object(keys) = serde_json::to_value(report)? else {
        anyhow::bail!("a report is an object")
    };
    keys.into_iter()
        .map(|(key, value)| {
            let line = format!("{}:{}", serde_json::to_string(&key)?, value);
            Ok((key, escaped(&line)))
        })
        .collect()
}

/// JSON that no HTML can come of. Outside strings none of the three stands.
fn escaped(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

/// The signed text.
pub(super) fn text(
    lines: &BTreeMap<String, String>,
    page: Digest,
    key: &SigningKey,
) -> anyhow::Result<String> {
    let digests = lines
        .iter()
        .map(|(name, line)| (name.clone(), Digest::of(line.as_bytes())));
    let signed = key.sign(ReportStatement {
        format: super::model::FORMAT,
        public_key: key.public(),
        page,
        lines: digests.collect(),
    });
    let signature = serde_json::to_string(&Signature {
        body: signed.body,
        signature: signed.signature,
    })?;
    let lines: Vec<&str> = lines.values().map(String::as_str).collect();
    Ok(format!("{FIRST}{signature}{THEN}{}{LAST}", lines.join(BETWEEN)))
}

/// Of the page: of what stands before the text, where it stands, and what comes behind it.
pub(super) fn page_digest(before: &str, after: &str) -> Digest {
    let mut bytes = (before.len() as u64).to_le_bytes().to_vec();
    bytes.extend(before.as_bytes());
    bytes.extend(after.as_bytes());
    Digest::of(&bytes)
}

pub(super) const FIRST: &str = "{\"signature\":";
pub(super) const THEN: &str = ",\n\"report\":{\n";
pub(super) const BETWEEN: &str = ",\n";
pub(super) const LAST: &str = "\n}}\n";

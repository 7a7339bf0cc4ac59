//! Which federation a shop belongs to, and how it shows that.

use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::format::Format;
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::transport::Identity;
use zeroize::Zeroizing;

use crate::folder::{Folder, write_whole};

/// `membership.json`: public, but for nobody's use than this shop's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The name in the certificate.
    pub shop: ShopName,
    /// The coordinator, `host:port`.
    pub address: String,
    /// The federation's CA certificate, DER.
    #[serde(with = "hex")]
    pub ca: Vec<u8>,
    /// The shop's certificate, DER.
    #[serde(with = "hex")]
    pub certificate: Vec<u8>,
    /// The Ed25519 key that signs the coordinator's words.
    #[serde(with = "hex")]
    pub signing_key: Vec<u8>,
    /// When it was issued.
    pub joined_at: Timestamp,
    /// When the shop left; none while it is a member.
    #[serde(default)]
    pub left_at: Option<Timestamp>,
}

impl Membership {
    /// Reads the folder's membership.
    ///
    /// # Errors
    /// When the folder is no member's.
    pub fn load(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.membership();
        let bytes = fs::read(&path).with_context(|| {
            format!(
                "can't read {}: `souk-client join CODE` makes a shop a member",
                path.display()
            )
        })?;
        Self::from_bytes(&bytes).with_context(|| format!("can't use {}", path.display()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn store(&self, folder: &Folder) -> anyhow::Result<()> {
        let path = folder.membership();
        write_whole(&path, &self.to_bytes(), false).with_context(|| format!("can't write {}", path.display()))
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of another format.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut file: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(bytes).context("it is damaged")?;
        if let Some(format) = file.remove("format") {
            serde_json::from_value::<Format<1>>(format)?;
        }
        serde_json::from_value(file.into()).context("it is damaged")
    }

    /// As JSON, with the format on top.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct File<'a> {
            format: Format<1>,
            #[serde(flatten)]
            membership: &'a Membership,
        }
        let file = File {
            format: Format,
            membership: self,
        };
        serde_json::to_vec_pretty(&file).expect("names, numbers and digits have a JSON form")
    }

    /// Certificate and key.
    ///
    /// # Errors
    /// When the key can't be read.
    pub fn identity(&self, folder: &Folder) -> anyhow::Result<Identity> {
        let path = folder.key();
        let key = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(Identity {
            chain: vec![self.certificate.clone()],
            key: Zeroizing::new(key),
        })
    }

    /// The shop's long-term key, which signs for it in masked attempts: that of its certificate.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn signing_identity(&self, folder: &Folder) -> anyhow::Result<SigningKey> {
        let key = self.identity(folder)?.key;
        SigningKey::from_pkcs8(&key).with_context(|| format!("{} is damaged", folder.key().display()))
    }

    /// The key that the coordinator's words are checked with.
    ///
    /// # Errors
    /// When the file was changed by hand.
    pub fn words_key(&self) -> anyhow::Result<[u8; 32]> {
        self.signing_key
            .as_slice()
            .try_into()
            .context("membership.json is damaged: signing_key has 64 digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_with_and_without_its_format_and_another_one_is_named_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let membership = Membership {
            shop: "north".parse().unwrap(),
            address: "localhost:4433".to_owned(),
            ca: vec![1],
            certificate: vec![2],
            signing_key: vec![3; 32],
            joined_at: Timestamp(4),
            left_at: None,
        };
        membership.store(&folder).unwrap();
        assert_eq!(Membership::load(&folder).unwrap(), membership);
        let text = fs::read_to_string(folder.membership()).unwrap();
        let with = |format: &str| {
            fs::write(folder.membership(), text.replace("\"format\": 1,", format)).unwrap();
            Membership::load(&folder)
        };
        assert_eq!(with("").unwrap(), membership, "as before there was one");
        let error = format!("{:#}", with("\"format\": 2,").unwrap_err());
        assert!(
            error.contains("membership.json") && error.contains("format 2 and this program reads format 1"),
            "{error}"
        );
        assert!(format!("{:#}", with("\"formed\": 1,").unwrap_err()).contains("damaged"));
    }
}

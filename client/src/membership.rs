//! Which federation a shop belongs to, and how it shows that.

use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
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
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn store(&self, folder: &Folder) -> anyhow::Result<()> {
        let path = folder.membership();
        write_whole(&path, &serde_json::to_vec_pretty(self)?, false)
            .with_context(|| format!("can't write {}", path.display()))
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

//! Which federation a shop belongs to, and how it shows that.

mod bill;
pub mod join;
pub mod listed;
pub mod peers;
pub mod recover;
pub mod renewal;
pub mod trust;

use std::fs;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Validity, is_authority, is_issued_by, key_of, shop_of};
use souk_common::crypto::sign::SigningKey;
use souk_common::format::Format;
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::limits::{MAX_AUTHORITIES, MAX_CERTIFICATE_BYTES};
use souk_common::round::statements::Authorities;
use souk_common::transport::Identity;
use zeroize::Zeroizing;

use crate::folder::Folder;

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
    /// Further CA certificates that are trusted, while one takes another's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_cas: Vec<Der>,
    /// Number of the list of authorities that these are from; 0 for the one of the join.
    #[serde(default, skip_serializing_if = "is_of_the_join")]
    pub authorities: u64,
    /// The certificate before the present one, until that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_certificate: Option<Der>,
}

fn is_of_the_join(number: &u64) -> bool {
    *number == 0
}

/// A certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "hex")] pub Vec<u8>);

impl Membership {
    /// Reads the folder's membership.
    ///
    /// # Errors
    /// When the folder is no member's.
    pub fn load(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.membership();
        let bytes = folder.disk().read(&path).with_context(|| {
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
        let written = folder.write_whole(&path, &self.to_bytes(), false);
        written.with_context(|| format!("can't write {}", path.display()))
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
        self.identity_by(folder, self.certificate.clone())
    }

    /// As [`Self::identity`], with the certificate before the present one; none if there is none.
    ///
    /// # Errors
    /// When the key can't be read.
    pub fn former_identity(&self, folder: &Folder) -> anyhow::Result<Option<Identity>> {
        let former = self.former_certificate.clone();
        former
            .map(|former| self.identity_by(folder, former.0))
            .transpose()
    }

    fn identity_by(&self, folder: &Folder, certificate: Vec<u8>) -> anyhow::Result<Identity> {
        let path = folder.key();
        let key = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(Identity {
            chain: vec![certificate],
            key: Zeroizing::new(key),
        })
    }

    /// CA certificates that the coordinator may be certified by.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        let others = self.other_cas.iter().map(|ca| ca.0.clone());
        [self.ca.clone()].into_iter().chain(others).collect()
    }

    /// With the authorities that the coordinator's signed word names; none if nothing changes.
    ///
    /// # Errors
    /// When the list is older than the known one, or makes no sense: it is not taken.
    pub fn with_authorities(&self, word: &Authorities) -> anyhow::Result<Option<Self>> {
        ensure!(
            word.number >= self.authorities,
            "the coordinator's list of authorities ({}) is older than the one this shop knows ({}): was the coordinator put \
             back from a backup? The list is not taken",
            word.number,
            self.authorities
        );
        let sound =
            |certificate: &Vec<u8>| certificate.len() <= MAX_CERTIFICATE_BYTES && is_authority(certificate);
        ensure!(
            (1..=MAX_AUTHORITIES).contains(&word.certificates.len()) && word.certificates.iter().all(sound),
            "the coordinator's list of authorities makes no sense, and is not taken"
        );
        if word.number == self.authorities {
            let same = word.certificates == self.roots();
            ensure!(
                same,
                "the coordinator has another list of authorities under the known number: it is not taken"
            );
            return Ok(None);
        }
        let mut all = word.certificates.iter().cloned();
        Ok(Some(Self {
            ca: all.next().unwrap_or_default(),
            other_cas: all.map(Der).collect(),
            authorities: word.number,
            ..self.clone()
        }))
    }

    /// With a renewed certificate; the present one is kept until that was used.
    ///
    /// # Errors
    /// When it is not for this shop's name and key, not valid now, or not by the authority that certifies shops.
    pub fn with_certificate(&self, certificate: Vec<u8>, now: Timestamp) -> anyhow::Result<Self> {
        ensure!(
            certificate.len() <= MAX_CERTIFICATE_BYTES
                && shop_of(&certificate).as_ref() == Some(&self.shop)
                && key_of(&certificate) == key_of(&self.certificate),
            "the renewed certificate is not for this shop's name and key"
        );
        let validity = Validity::of(&certificate).context("the renewed certificate can't be read")?;
        ensure!(
            validity.until > now && is_issued_by(&certificate, &self.ca),
            "the renewed certificate has run out, or is not by the authority that certifies shops"
        );
        Ok(Self {
            former_certificate: Some(Der(self.certificate.clone())),
            certificate,
            ..self.clone()
        })
    }

    /// Whether it is time for another certificate.
    pub fn renewal_is_due(&self, now: Timestamp) -> bool {
        let passed = Validity::of(&self.certificate).is_none_or(|validity| now >= validity.renew_at());
        passed || !is_issued_by(&self.certificate, &self.ca)
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
    use std::time::Duration;

    use souk_common::crypto::pki::{Authority, SecretKey, request_for, shop_key};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LIFE: Duration = Duration::from_secs(30 * 86_400);

    fn authority() -> Authority {
        Authority::create("test", NOW).unwrap()
    }

    fn certified(authority: &Authority, key: &SecretKey, now: Timestamp) -> Vec<u8> {
        let csr = request_for(key).unwrap();
        authority
            .issue_shop_for(LIFE, &csr, &"north".parse().unwrap(), now)
            .unwrap()
    }

    fn member(authority: &Authority, key: &SecretKey) -> Membership {
        Membership {
            shop: "north".parse().unwrap(),
            address: "127.0.0.1:1".to_owned(),
            ca: authority.certificate().to_vec(),
            certificate: certified(authority, key, NOW),
            signing_key: vec![1; 32],
            joined_at: NOW,
            left_at: None,
            other_cas: Vec::new(),
            authorities: 0,
            former_certificate: None,
        }
    }

    fn list(number: u64, authorities: &[&Authority]) -> Authorities {
        let der = |authority: &&Authority| authority.certificate().to_vec();
        Authorities {
            number,
            certificates: authorities.iter().map(der).collect(),
        }
    }

    #[test]
    fn a_newer_list_of_authorities_is_taken_and_no_other() {
        let (old, new, key) = (authority(), authority(), shop_key().unwrap().0);
        let joined = member(&old, &key);
        assert_eq!(joined.with_authorities(&list(0, &[&old])).unwrap(), None);
        assert!(!joined.renewal_is_due(NOW));
        let both = joined.with_authorities(&list(1, &[&new, &old])).unwrap().unwrap();
        assert_eq!(both.roots(), list(1, &[&new, &old]).certificates);
        assert!(both.renewal_is_due(NOW), "the old authority certifies no more");
        let one = both.with_authorities(&list(2, &[&new])).unwrap().unwrap();
        assert_eq!(one.roots(), [new.certificate()]);
        let nothing = Authorities {
            number: 3,
            certificates: vec![b"none".to_vec()],
        };
        for bad in [
            list(1, &[&new, &old]),
            list(2, &[&old]),
            list(3, &[]),
            list(3, &[&new; 3]),
            nothing,
        ] {
            assert!(one.with_authorities(&bad).is_err(), "{}", bad.number);
        }
        let text = serde_json::to_vec(&both).unwrap();
        assert_eq!(serde_json::from_slice::<Membership>(&text).unwrap(), both);
    }

    #[test]
    fn a_renewed_certificate_is_for_the_same_name_and_key_and_the_old_one_stays_until_it_was_used() {
        let (ca, key, other) = (authority(), shop_key().unwrap().0, shop_key().unwrap().0);
        let joined = member(&ca, &key);
        let late = NOW + LIFE * 3 / 4;
        assert!(joined.renewal_is_due(late));
        let renewed = joined.with_certificate(certified(&ca, &key, late), late).unwrap();
        assert!(!renewed.renewal_is_due(late));
        assert_eq!(renewed.former_certificate, Some(Der(joined.certificate.clone())));
        let strange = [
            certified(&ca, &other, late),
            certified(&authority(), &key, late),
            joined.certificate.clone(),
            b"none".to_vec(),
        ];
        for certificate in strange {
            assert!(joined.with_certificate(certificate, NOW + LIFE).is_err());
        }
    }

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
            other_cas: Vec::new(),
            authorities: 0,
            former_certificate: None,
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

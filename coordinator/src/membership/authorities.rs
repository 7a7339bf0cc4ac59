//! The federation's certificate authorities, and how one takes another's place without a gap.
//!
//! ```text
//! ca.der  ca.key          the first one
//! ca-N.der  ca-N.key      the one that rotation N made
//! authorities.json        which of them count; absent before the first rotation
//! ```
//!
//! While two count, the new one certifies shops, and the coordinator is certified by the old one: every shop knows that,
//! those that were away as well. Shops learn of the new one by a word that the signing key signed, and renew under it. When
//! no member depends on the old one any more it is retired: the coordinator is certified by the new one, the old key is
//! deleted. `authorities.json` is replaced as a whole, so a crash leaves the one state or the other.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Authority, is_issued_by};
use souk_common::hex;
use souk_common::round::statements::Authorities;
use zeroize::Zeroizing;

use crate::folder::{FIRST_AUTHORITY, FederationFolder, HomeError, store_authority};
use crate::store::{ShopRecord, Standing, Store, StoreError};
use souk_common::ids::ShopName;
use souk_common::storage::write_whole;

/// `authorities.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Counts rotations and retirements.
    number: u64,
    /// Certifies the coordinator.
    serving: String,
    /// Certifies shops, if it is another one.
    certifying: Option<String>,
}

/// Who certifies whom now.
pub struct Certification {
    number: u64,
    serving: Authority,
    next: Option<Authority>,
}

impl Certification {
    /// One authority certifies all.
    pub fn by(serving: Authority) -> Self {
        Self {
            number: 0,
            serving,
            next: None,
        }
    }

    /// Reads the folder's authorities.
    ///
    /// # Errors
    /// Of the file system, or when a key is not that of its certificate.
    pub fn load(home: &FederationFolder) -> Result<Self, HomeError> {
        let state = State::load(home)?;
        let next = state.certifying.as_deref();
        Ok(Self {
            number: state.number,
            serving: load_authority(home.path(), &state.serving)?,
            next: next.map(|name| load_authority(home.path(), name)).transpose()?,
        })
    }

    /// The one that certifies the coordinator, and that a joiner knows by its digest.
    pub fn serving(&self) -> &Authority {
        &self.serving
    }

    /// As [`Self::serving`].
    pub fn into_serving(self) -> Authority {
        self.serving
    }

    /// The one that certifies shops.
    pub fn certifying(&self) -> &Authority {
        self.next.as_ref().unwrap_or(&self.serving)
    }

    /// Whether one is about to take another's place.
    pub fn is_rotating(&self) -> bool {
        self.next.is_some()
    }

    /// What shops are told.
    pub fn word(&self) -> Authorities {
        let both = self.next.iter().chain([&self.serving]);
        Authorities {
            number: self.number,
            certificates: both.map(|authority| authority.certificate().to_vec()).collect(),
        }
    }

    /// Members that could not go on if the old one were retired now: they hold a certificate by it, or have not said that
    /// they know the new one.
    ///
    /// # Errors
    /// Of the store.
    pub fn dependents(&self, store: &Store) -> Result<Vec<(ShopName, ShopRecord)>, StoreError> {
        let Some(next) = &self.next else {
            return Ok(Vec::new());
        };
        let depends = |(_, shop): &(ShopName, ShopRecord)| {
            let held = hex::bytes(&shop.certificate).unwrap_or_default();
            let done = shop.authorities >= self.number && is_issued_by(&held, next.certificate());
            shop.standing == Standing::Enrolled && !done
        };
        Ok(store.shops()?.into_iter().filter(depends).collect())
    }
}

impl State {
    fn load(home: &FederationFolder) -> Result<Self, HomeError> {
        let path = home.path().join(STATE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| HomeError::Authority {
                path: path.display().to_string(),
                reason: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                number: 0,
                serving: FIRST_AUTHORITY.to_owned(),
                certifying: None,
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn store(&self, home: &FederationFolder) -> Result<(), HomeError> {
        // Numbers and names always have a JSON form.
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        Ok(write_whole(&home.path().join(STATE), &bytes, false)?)
    }
}

impl FederationFolder {
    /// The CA by which the coordinator is certified, and whose digest is in join codes.
    ///
    /// # Errors
    /// Of the file system, or when its files do not belong together.
    pub fn authority(&self) -> Result<Authority, HomeError> {
        Ok(Certification::load(self)?.into_serving())
    }
}

/// Makes a new authority, which certifies shops from now on. Durable when this returns.
///
/// # Errors
/// When one is being replaced already, without entropy, or of the file system.
pub fn rotate(home: &FederationFolder, federation: &str, now: Timestamp) -> Result<(), RotationError> {
    let state = State::load(home)?;
    if state.certifying.is_some() {
        return Err(RotationError::Rotating);
    }
    let name = format!("{FIRST_AUTHORITY}-{}", state.number + 1);
    let authority = Authority::create(federation, now).map_err(HomeError::from)?;
    store_authority(home.path(), &name, &authority).map_err(HomeError::from)?;
    let state = State {
        number: state.number + 1,
        certifying: Some(name),
        ..state
    };
    Ok(state.store(home)?)
}

/// Lets the old authority go, and deletes its key. Durable when this returns.
///
/// # Errors
/// When there are not two, when members depend on it and `force` is false, or of the file system.
pub fn retire(home: &FederationFolder, store: &Store, force: bool) -> Result<Vec<ShopName>, RotationError> {
    let state = State::load(home)?;
    let Some(next) = state.certifying else {
        return Err(RotationError::NotRotating);
    };
    let dependents = Certification::load(home)?.dependents(store)?;
    let names: Vec<ShopName> = dependents.into_iter().map(|(name, _)| name).collect();
    if !names.is_empty() && !force {
        return Err(RotationError::Depended { shops: names });
    }
    let retired = state.serving;
    let state = State {
        number: state.number + 1,
        serving: next,
        certifying: None,
    };
    state.store(home)?;
    for ending in ["key", "der"] {
        let path = home.path().join(format!("{retired}.{ending}"));
        // It counts no more; that it stays would only be untidy.
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "a retired authority's file could not be removed");
        }
    }
    Ok(names)
}

fn load_authority(folder: &Path, name: &str) -> Result<Authority, HomeError> {
    let path = folder.join(format!("{name}.der"));
    let wrong = |reason: String| HomeError::Authority {
        path: path.display().to_string(),
        reason,
    };
    let certificate = fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    let key =
        fs::read(folder.join(format!("{name}.key"))).map_err(|error| wrong(format!("its key: {error}")))?;
    let authority = Authority::open(certificate, Zeroizing::new(key));
    if !authority.is_whole() {
        return Err(wrong("its key is another one's".to_owned()));
    }
    Ok(authority)
}

/// Why authorities are not rotated or retired.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Two already.
    #[error(
        "a new authority is taking the old one's place already: `ca status` says who is left, `ca retire` ends it"
    )]
    Rotating,
    /// One only.
    #[error("there is only one authority: `ca rotate` makes another one first")]
    NotRotating,
    /// Members would be shut out.
    #[error(
        "{} still depend on the old authority: start their programs and let them connect (`ca status` says who is left), \
         revoke them, or say --force; then they have to be invited again",
        names(.shops)
    )]
    Depended {
        /// Who.
        shops: Vec<ShopName>,
    },
    /// The folder.
    #[error(transparent)]
    FederationFolder(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn names(shops: &[ShopName]) -> String {
    let names: Vec<&str> = shops.iter().map(ShopName::as_str).collect();
    names.join(", ")
}

const STATE: &str = "authorities.json";

#[cfg(test)]
mod tests {
    use souk_common::crypto::pki::{request_for, shop_key};
    use souk_common::ids::Digest;
    use souk_common::transport::PeerIdentity;
    use souk_common::wire::messages::CheckIn;

    use super::*;
    use crate::membership::registry;
    use crate::membership::registry::Applicant;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn home() -> (tempfile::TempDir, FederationFolder) {
        let dir = tempfile::tempdir().unwrap();
        let home = FederationFolder::new(dir.path());
        home.init(NOW, "test", "127.0.0.1:0", "127.0.0.1:0").unwrap();
        (dir, home)
    }

    #[test]
    fn the_old_authority_is_retired_only_when_no_member_depends_on_it() {
        let (_dir, home) = home();
        let mut store = Store::open(home.path(), None).unwrap();
        let shop: ShopName = "north".parse().unwrap();
        let key = shop_key().unwrap().0;
        let csr = request_for(&key).unwrap();
        let before = Certification::load(&home).unwrap();
        let first = before.certifying().issue_shop(&csr, &shop, NOW).unwrap();
        let secret = &[0; 16];
        registry::invite(&mut store, NOW, &shop, secret).unwrap();
        let here = Applicant { secret, from: None };
        registry::enrol(&mut store, NOW, &shop, &first, here).unwrap();
        assert!(matches!(
            retire(&home, &store, true),
            Err(RotationError::NotRotating)
        ));
        rotate(&home, "test", NOW).unwrap();
        assert!(matches!(rotate(&home, "test", NOW), Err(RotationError::Rotating)));
        let during = Certification::load(&home).unwrap();
        assert_eq!(during.serving().fingerprint(), before.serving().fingerprint());
        assert_ne!(during.certifying().fingerprint(), before.serving().fingerprint());
        assert_eq!((during.word().number, during.word().certificates.len()), (1, 2));
        let peer = |certificate: &[u8]| PeerIdentity {
            shop: shop.clone(),
            fingerprint: Digest::of(certificate),
            identity: souk_common::crypto::pki::key_of(certificate).unwrap(),
        };
        let lives = (during.certifying(), std::time::Duration::from_secs(86_400));
        let second = registry::renew(&mut store, NOW, &peer(&first), &csr, lives).unwrap();
        // Neither the certificate alone nor the knowledge alone will do.
        for (certificate, authorities) in [(&first, 1), (&second, 0)] {
            let word = CheckIn {
                now: NOW,
                certificate: Digest::of(certificate),
                authorities,
            };
            registry::check_in(&mut store, NOW, &peer(&first), &first, &word).unwrap();
            let refused = retire(&home, &store, false).unwrap_err();
            assert!(refused.to_string().starts_with("north still depend"), "{refused}");
        }
        let word = CheckIn {
            now: NOW,
            certificate: Digest::of(&second),
            authorities: 1,
        };
        registry::check_in(&mut store, NOW, &peer(&first), &first, &word).unwrap();
        assert_eq!(retire(&home, &store, false).unwrap(), []);
        let after = Certification::load(&home).unwrap();
        assert_eq!(after.serving().fingerprint(), during.certifying().fingerprint());
        assert_eq!((after.word().number, after.word().certificates.len()), (2, 1));
        assert!(!home.path().join("ca.key").exists(), "the old key is gone");
    }

    #[test]
    fn a_member_that_is_away_is_left_behind_by_force_only_and_one_that_is_revoked_does_not_count() {
        let (_dir, home) = home();
        let mut store = Store::open(home.path(), None).unwrap();
        for shop in ["north", "south"] {
            let shop = shop.parse().unwrap();
            let secret = &[0; 16];
            registry::invite(&mut store, NOW, &shop, secret).unwrap();
            let here = Applicant { secret, from: None };
            registry::enrol(&mut store, NOW, &shop, b"old", here).unwrap();
        }
        rotate(&home, "test", NOW).unwrap();
        let left = |store: &Store| {
            Certification::load(&home)
                .unwrap()
                .dependents(store)
                .unwrap()
                .len()
        };
        assert_eq!(left(&store), 2);
        registry::end(&mut store, NOW, &"south".parse().unwrap(), Standing::Revoked).unwrap();
        assert_eq!(left(&store), 1);
        assert!(retire(&home, &store, false).is_err());
        assert_eq!(retire(&home, &store, true).unwrap(), ["north".parse().unwrap()]);
        rotate(&home, "test", NOW).unwrap();
        assert!(home.path().join("ca-3.key").exists());
    }

    #[test]
    fn files_that_do_not_belong_together_are_named() {
        let (_dir, home) = home();
        let (_other_dir, other) = super::tests::home();
        fs::copy(other.path().join("ca.key"), home.path().join("ca.key")).unwrap();
        let error = home.authority().err().unwrap().to_string();
        assert!(error.contains("ca.der") && error.contains("backup"), "{error}");
        fs::write(home.path().join(STATE), "{}").unwrap();
        let error = home.authority().err().unwrap().to_string();
        assert!(error.contains(STATE), "{error}");
    }
}

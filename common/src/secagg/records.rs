//! What is said in a masked attempt, and the digests that bind it together. All of it is public to the coordinator; the
//! shares are sealed.
//!
//! Digests are BLAKE3 in key-derivation mode, each under a name of its own; numbers are little-endian.

use serde::{Deserialize, Serialize};

use crate::crypto::sign::{Signable, SignatureError, Signed, SigningKey, signable_digest, verify};
use crate::hex;
use crate::ids::{AttemptId, Digest, ShopName};

/// What all keys, masks and signatures of an attempt are bound to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Context {
    /// Which try at which round.
    pub id: AttemptId,
    /// The plan's digest.
    pub plan: Digest,
    /// The broadcast model's digest.
    pub model: Digest,
}

impl Context {
    /// Round, attempt, plan, model.
    pub fn to_bytes(&self) -> [u8; 76] {
        let mut bytes = [0; 76];
        bytes[..8].copy_from_slice(&self.id.round.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.id.attempt.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.plan.0);
        bytes[44..].copy_from_slice(&self.model.0);
        bytes
    }
}

/// A shop's keys for one attempt; signed by its long-term key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Advertisement {
    /// What they are for.
    pub context: Context,
    /// Whose.
    pub shop: ShopName,
    /// The shop's long-term Ed25519 key, the one of its certificate.
    #[serde(with = "hex")]
    pub identity: [u8; 32],
    /// X25519: pair masks. Its secret can be rebuilt by others.
    #[serde(with = "hex")]
    pub mask_key: [u8; 32],
    /// X25519: seals shares. Its secret is never shared.
    #[serde(with = "hex")]
    pub sealing_key: [u8; 32],
    /// [`commitment`] to the seed of the shop's own mask.
    pub commitment: Digest,
}

impl Signable for Advertisement {
    const DOMAIN: &'static str = "souk 2026 masking keys v1";
}

/// A commitment to the seed of a shop's own mask.
pub fn commitment(seed: &[u8; 32]) -> Digest {
    Digest(blake3::derive_key("souk 2026 self mask commitment v1", seed))
}

/// A long-term key's fingerprint, as owners compare them.
pub fn fingerprint(identity: &[u8; 32]) -> Digest {
    Digest(blake3::derive_key("souk 2026 shop key fingerprint v1", identity))
}

/// R1: the shops of an attempt with their keys, in ascending order of their names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Roster(pub Vec<Signed<Advertisement>>);

impl Roster {
    /// How many shops.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A shop's keys.
    pub fn get(&self, shop: u32) -> Option<&Advertisement> {
        self.0.get(shop as usize).map(|signed| &signed.body)
    }

    /// Where a shop stands.
    pub fn position(&self, shop: &ShopName) -> Option<u32> {
        let found = self.0.binary_search_by(|signed| signed.body.shop.cmp(shop));
        found.ok().map(|at| at as u32)
    }

    /// H(R1): over the digests that the shops signed.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("souk 2026 masking roster v1");
        for signed in &self.0 {
            hasher.update(&signable_digest(&signed.body).0);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// Whether every entry is signed for `context`, no shop and no key stands in it twice, and names ascend.
    ///
    /// # Errors
    /// What is wrong, with the entry.
    pub fn check(&self, context: &Context) -> Result<(), RosterError> {
        for signed in &self.0 {
            let shop = || signed.body.shop.clone();
            if signed.body.context != *context {
                return Err(RosterError::Context { shop: shop() });
            }
            verify(signed, &signed.body.identity)
                .map_err(|SignatureError| RosterError::Signature { shop: shop() })?;
        }
        let names = self
            .0
            .windows(2)
            .all(|pair| pair[0].body.shop < pair[1].body.shop);
        let mut keys: Vec<&[u8; 32]> = self
            .0
            .iter()
            .flat_map(|signed| {
                [
                    &signed.body.mask_key,
                    &signed.body.sealing_key,
                    &signed.body.identity,
                ]
            })
            .collect();
        keys.sort_unstable();
        if !names || keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(RosterError::Repeated);
        }
        Ok(())
    }
}

/// Why a roster is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RosterError {
    /// Keys that were made for something else.
    #[error("the keys of {shop} are for another attempt, plan or model")]
    Context {
        /// Whose.
        shop: ShopName,
    },
    /// Not by the key it names.
    #[error("the keys of {shop} are not signed by it")]
    Signature {
        /// Whose.
        shop: ShopName,
    },
    /// A shop or a key twice.
    #[error("a shop or a key stands in the roster twice, or names do not ascend")]
    Repeated,
}

/// H(R1, R2): the roster and those of it (ascending) whose shares have arrived.
pub fn sharers_digest(roster: &Digest, sharers: &[u32]) -> Digest {
    list_digest("souk 2026 masking sharers v1", roster, sharers)
}

/// H(R1, R2, R3): those of R2 (ascending) whose masked updates are in the sum.
pub fn survivors_digest(sharers: &Digest, survivors: &[u32]) -> Digest {
    list_digest("souk 2026 masking survivors v1", sharers, survivors)
}

fn list_digest(name: &str, before: &Digest, list: &[u32]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(name);
    hasher.update(&before.0);
    for member in list {
        hasher.update(&member.to_le_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

/// A shop's shares for its neighbours, and its signature on every ciphertext and every share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Shares {
    /// How many rebuild its secrets.
    pub threshold: u8,
    /// One for each neighbour, in ascending order of their places in R1.
    pub sealed: Vec<SealedShare>,
    /// One for each holder, the shop itself included, in the same order.
    pub hashes: Vec<ShareHashes>,
    /// 64 bytes, over the [`ShareCommitment`].
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
}

/// A share that only its receiver can open.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedShare {
    /// For whom. A place in R1.
    pub peer: u32,
    /// [`SEALED_BYTES`] of ChaCha20-Poly1305.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

/// Length of a sealed share: two shares of 32 bytes and a tag.
pub const SEALED_BYTES: usize = 80;

/// Hashes of the two shares of one holder. A share is 32 random bytes: its hash tells nothing of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ShareHashes {
    /// Of the share of the own mask's seed.
    pub seed: Digest,
    /// Of the share of the mask key's secret.
    pub key: Digest,
}

impl ShareHashes {
    /// Of the share of the seed, then that of the mask key's secret.
    pub fn of(both: &[u8; 64]) -> Self {
        let (seed, key) = both.split_at(32);
        Self {
            seed: seed_share_hash(seed),
            key: key_share_hash(key),
        }
    }

    /// Whether a revealed share is the one that was hashed.
    pub fn fit(&self, share: &[u8; 32], of_the_seed: bool) -> bool {
        match of_the_seed {
            true => seed_share_hash(share) == self.seed,
            false => key_share_hash(share) == self.key,
        }
    }
}

fn seed_share_hash(share: &[u8]) -> Digest {
    Digest(blake3::derive_key("souk 2026 masking seed share v1", share))
}

fn key_share_hash(share: &[u8]) -> Digest {
    Digest(blake3::derive_key("souk 2026 masking key share v1", share))
}

/// What a shop signs with its shares: the root of a tree over all of them ([`super::tree`]), so that a holder can check its
/// own without the others.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ShareCommitment {
    /// Which attempt.
    pub id: AttemptId,
    /// H(R1).
    pub roster: Digest,
    /// How many shares rebuild.
    pub threshold: u8,
    /// Over [`share_leaf`] of every holder, ascending.
    pub root: Digest,
}

impl Signable for ShareCommitment {
    const DOMAIN: &'static str = "souk 2026 masking shares v1";
}

/// One holder's leaf of the tree: its place, what was sealed for it (nothing for the maker itself), its shares' hashes.
pub fn share_leaf(holder: u32, sealed: Option<&[u8]>, hashes: &ShareHashes) -> Digest {
    let sealed = sealed.map_or(Digest::ZERO, |bytes| {
        Digest(blake3::derive_key("souk 2026 masking sealed share v1", bytes))
    });
    let mut hasher = blake3::Hasher::new_derive_key("souk 2026 masking share leaf v1");
    hasher.update(&holder.to_le_bytes());
    for digest in [sealed, hashes.seed, hashes.key] {
        hasher.update(&digest.0);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// A share on its way from the coordinator to its holder, with what it takes to check that it is the one its maker signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeliveredShare {
    /// By whom; a place in R1.
    pub maker: u32,
    /// How many shares rebuild the maker's secrets.
    pub threshold: u8,
    /// [`SEALED_BYTES`] of ChaCha20-Poly1305.
    #[serde(with = "hex")]
    pub sealed: Vec<u8>,
    /// Of the two shares in it.
    pub hashes: ShareHashes,
    /// From the leaf up to the root.
    pub path: Vec<Digest>,
    /// The maker's, over the [`ShareCommitment`].
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
}

/// A shop's word that its masks are made for one H(plan, model, R1, R2); it signs one an attempt, and it goes with the
/// upload. R3 shows those of all survivors.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UploadBinding {
    /// Which attempt.
    pub id: AttemptId,
    /// [`sharers_digest`].
    pub sharers: Digest,
}

impl Signable for UploadBinding {
    const DOMAIN: &'static str = "souk 2026 masking upload v1";
}

/// A shop's Ed25519 signature on an [`UploadBinding`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Binding(#[serde(with = "hex")] pub [u8; 64]);

impl Binding {
    /// Signs a shop's H2.
    pub fn sign(body: UploadBinding, key: &SigningKey) -> Self {
        let signature = key.sign(body).signature;
        Self(signature.try_into().expect("an Ed25519 signature has 64 bytes"))
    }

    /// Whether the holder of `identity` signed `body`.
    pub fn is_by(&self, body: UploadBinding, identity: &[u8; 32]) -> bool {
        let signature = self.0.to_vec();
        verify(&Signed { body, signature }, identity).is_ok()
    }
}

/// A shop's word that it has seen this list of survivors, and will answer no other one of this attempt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Confirmation {
    /// Which attempt.
    pub id: AttemptId,
    /// [`survivors_digest`].
    pub survivors: Digest,
}

impl Signable for Confirmation {
    const DOMAIN: &'static str = "souk 2026 masking survivors confirmed v1";
}

/// A confirmation's signature, and whose it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Confirmed {
    /// A place in R1.
    pub shop: u32,
    /// 64 bytes, over the [`Confirmation`] of the list that goes with it.
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
}

/// A share that is shown to the coordinator: of the own mask's seed for a survivor, of the mask key's secret for a shop that
/// dropped out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revealed {
    /// Whose secret; a place in R1.
    pub of: u32,
    /// The share.
    #[serde(with = "hex")]
    pub share: [u8; 32],
}

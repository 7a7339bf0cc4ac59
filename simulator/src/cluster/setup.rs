//! A small federation's fixed parts: plan, catalogue, keys, and what people put into the shops' folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::{Authority, request_for};
use souk_common::crypto::sign::SigningKey;
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::plan::Plan;
use souk_common::secagg::records::fingerprint;

/// Of one size of federation; many runs share it, for nobody writes to it.
pub(crate) struct Setup {
    pub(crate) plan: Plan,
    pub(crate) catalogue: Catalogue,
    pub(crate) shops: Vec<ShopName>,
    folder: tempfile::TempDir,
}

impl Setup {
    /// `shops` shops, `rounds` rounds, under masks or not.
    pub(crate) fn new(shops: usize, rounds: u64, masked: bool) -> anyhow::Result<Self> {
        let masking = masked.then(|| (shops - 1, "colluding = 1\nstep = '8s'\n"));
        Self::of(shops, rounds, shops - 1, masking)
    }

    /// Twelve shops on a circle, the fewest of which a lying coordinator could read one under the first rules.
    pub(crate) fn ring(rounds: u64) -> anyhow::Result<Self> {
        Self::of(
            12,
            rounds,
            6,
            Some((6, "colluding = 1\nneighbours = 6\nstep = '8s'\n")),
        )
    }

    /// `shops` masked shops whose two rounds each release a statistic, for one budget.
    pub(crate) fn of_releases(shops: usize) -> anyhow::Result<Self> {
        let mut setup = Self::new(shops, 2, true)?;
        setup.plan = Plan::from_toml(&releases_text(&setup.shops))?;
        Ok(setup)
    }

    fn of(shops: usize, rounds: u64, quorum: usize, masking: Option<(usize, &str)>) -> anyhow::Result<Self> {
        let names = (0..shops).map(|shop| format!("shop-{shop}").parse());
        let shops: Vec<ShopName> = names.collect::<Result<_, _>>()?;
        let items = (0..ITEMS).map(|item| Item::bare(format!("item-{item}")));
        let setup = Self {
            plan: Plan::from_toml(&plan_text(&shops, rounds, quorum, masking))?,
            catalogue: Catalogue::new(items.collect())?,
            folder: tempfile::tempdir()?,
            shops,
        };
        for shop in 0..setup.shops.len() {
            setup
                .furnish(shop)
                .with_context(|| format!("the folder of {}", setup.shops[shop]))?;
        }
        Ok(setup)
    }

    /// Where people put a shop's files; its disk has the same path for what the agent writes.
    pub(crate) fn folder(&self, shop: usize) -> PathBuf {
        self.folder.path().join(self.shops[shop].as_str())
    }

    /// Where the coordinator's store is, on its disk.
    pub(crate) fn home(&self) -> &Path {
        Path::new("/coordinator")
    }

    /// A shop's long-term key.
    pub(crate) fn identity(&self, shop: usize) -> SigningKey {
        SigningKey::from_bytes(&secret(shop))
    }

    /// Another plan that differs in its name alone.
    pub(crate) fn other_plan(&self) -> Plan {
        Plan {
            name: "another storm".to_owned(),
            ..self.plan.clone()
        }
    }

    /// The key of the coordinator's words.
    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[0xC0; 32])
    }

    /// Who certifies the shops, for so long as [`LIFE`].
    pub(crate) fn authority(&self) -> anyhow::Result<Authority> {
        Ok(Authority::of_key(
            "storm",
            pkcs8(&[0xCA; 32]).into(),
            Timestamp(0),
        )?)
    }

    /// What the operator gives a shop to join with.
    pub(crate) fn code(&self, shop: usize) -> anyhow::Result<JoinCode> {
        let mut code = [0; 16];
        code[..8].copy_from_slice(&(shop as u64).to_le_bytes());
        Ok(JoinCode {
            address: "coordinator:0".to_owned(),
            ca: self.authority()?.fingerprint(),
            secret: code.into(),
        })
    }

    /// What a shop sends with it.
    pub(crate) fn request(&self, shop: usize) -> anyhow::Result<Vec<u8>> {
        Ok(request_for(&pkcs8(&secret(shop)).into())?)
    }

    fn furnish(&self, shop: usize) -> anyhow::Result<()> {
        let folder = self.folder(shop);
        fs::create_dir_all(&folder)?;
        let mut orders = String::from("user_id,item_id,timestamp\n");
        for user in 0..USERS {
            for step in 0..3 {
                let item = (shop + user + step * (user + 1)) % ITEMS;
                orders.push_str(&format!("user-{user},item-{item},{}\n", 1_700_000_000 + step));
            }
        }
        fs::write(folder.join("orders.csv"), orders)?;
        let mut config = String::from("[policy]\nmax_epsilon = 100000\n[known_shops]\n");
        for other in (0..self.shops.len()).filter(|other| *other != shop) {
            let key = fingerprint(&self.identity(other).public());
            config.push_str(&format!("{} = \"{key}\"\n", self.shops[other]));
        }
        fs::write(folder.join("shop.toml"), config)?;
        Ok(fs::write(folder.join("key.der"), pkcs8(&secret(shop)))?)
    }
}

fn pkcs8(secret: &[u8; 32]) -> Vec<u8> {
    [&hex::bytes(PKCS8).unwrap_or_default()[..], secret].concat()
}

fn secret(shop: usize) -> [u8; 32] {
    let mut secret = [0x50; 32];
    secret[..8].copy_from_slice(&(shop as u64).to_le_bytes());
    secret
}

fn plan_text(shops: &[ShopName], rounds: u64, quorum: usize, masking: Option<(usize, &str)>) -> String {
    let masking = masking.map_or(String::new(), |(least, rest)| {
        format!("[masking]\nmin_shops = {least}\n{rest}")
    });
    let mut text = format!(
        "name = 'storm'\nrounds = {rounds}\n[model]\nkind = 'mf'\ngmf_dim = 2\n[train]\nsolver = 'ials'\n\
         alpha = 0.1\nlambda = 1\n[privacy]\nclip_norm = 1\nnoise_multiplier = 8\nsampling_rate = 1\n\
         [cohort]\nquorum = {quorum}\ndeadline = '30s'\nupload_after = '3s'\nattempts = 8\n{masking}\
         [server]\noptimiser = 'adam'\nlearning_rate = 0.05\n"
    );
    for shop in shops {
        text.push_str(&format!("[[shops]]\nname = '{shop}'\ndeclared_users = {USERS}\n"));
    }
    text
}

fn releases_text(shops: &[ShopName]) -> String {
    let least = shops.len() - 1;
    let mut text = format!(
        "name = 'storm'\n[privacy]\nnoise_multiplier = 0.6\nplacement = 'distributed'\n[cohort]\nquorum = {least}\n\
         deadline = '30s'\nupload_after = '3s'\nattempts = 8\n[masking]\nmin_shops = {least}\ncolluding = 1\nstep = '8s'\n\
         [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.5\n\
         [[training]]\nkind = 'tower'\nrounds = 2\nshare = 0.1\nhidden = 1\n"
    );
    for shop in shops {
        text.push_str(&format!("[[shops]]\nname = '{shop}'\ndeclared_users = {USERS}\n"));
    }
    text
}

/// How long a shop's certificate is valid: a storm sees it renewed.
pub(crate) const LIFE: Duration = Duration::from_secs(180);
const ITEMS: usize = 6;
const USERS: usize = 3;
/// What stands before the 32 secret bytes of an Ed25519 key in PKCS#8 (RFC 8410, section 7).
const PKCS8: &str = "302e020100300506032b657004220420";

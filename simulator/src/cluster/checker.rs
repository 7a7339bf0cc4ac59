//! Sees everything that anybody says, remembers what must not be taken back, and says what was.

use std::collections::{BTreeMap, BTreeSet};

use souk_client::ledger::read_ledger_on;
use souk_client::participate::AttemptKey;
use souk_common::chain::LogHead;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::limits::RECEIPTS_AT_ONCE;
use souk_common::plan::Plan;
use souk_common::round::statements::{Manifest, Outcome, Receipt, UploadHeader};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::engine::Engine;
use souk_coordinator::verify;

use super::coordinator::KEPT_MODELS;
use super::leaks::Leaks;
use super::shop::Shop;

/// What must not be taken back.
#[derive(Default)]
pub(crate) struct Checker {
    /// Receipts that shops got.
    receipts: BTreeMap<(usize, AttemptId), UploadHeader>,
    /// Heads of the record that the coordinator signed and a shop got.
    heads: BTreeMap<u64, Digest>,
    /// Models by round, as published to anybody.
    models: BTreeMap<u64, Digest>,
    /// Updates of which at least one byte left a shop.
    left: BTreeMap<(usize, AttemptId), BTreeSet<Digest>>,
    /// Mask keys that shops sent, and for which attempt.
    keys: BTreeMap<[u8; 32], (usize, AttemptId)>,
    /// Lists of survivors that shops were shown, the newest.
    shown: BTreeMap<(usize, AttemptId), Vec<u32>>,
    /// Those that they signed.
    confirmed: BTreeMap<(usize, AttemptId), (Digest, Vec<u32>)>,
    /// Of each attempt and shop, whose share was shown: of the seed of its own mask, or of its mask key.
    revealed: BTreeMap<(AttemptId, u32), bool>,
    /// Of each revealing shop.
    shares: BTreeMap<(usize, AttemptId, u32), [u8; 32]>,
    /// What the coordinator could compute.
    leaks: Option<Leaks>,
    /// What was found.
    pub(crate) faults: Vec<String>,
}

impl Checker {
    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// Of a federation whose updates are masked.
    pub(crate) fn of_masked(leaks: Option<Leaks>) -> Self {
        Self {
            leaks,
            ..Self::default()
        }
    }

    /// A shop says this.
    pub(crate) fn asked(&mut self, shop: usize, request: &Request) {
        let leak = self.leaks.as_mut().and_then(|leaks| leaks.said(shop, request));
        if let Some((id, fewest)) = leak {
            self.fault(format!(
                "the coordinator can compute the bare sum of the updates of {fewest} shops in {id}"
            ));
        }
        match request {
            Request::Advertise(keys) => {
                let (key, id) = (keys.body.mask_key, keys.body.context.id);
                let before = *self.keys.entry(key).or_insert((shop, id));
                if before != (shop, id) {
                    self.fault(format!(
                        "keys of {} were used again for {id} by shop {shop}",
                        before.1
                    ));
                }
            }
            Request::Confirm(word) => {
                let (id, digest) = (word.body.id, word.body.survivors);
                let list = self.shown.get(&(shop, id)).cloned().unwrap_or_default();
                let before = self.confirmed.entry((shop, id)).or_insert((digest, list));
                if before.0 != digest {
                    self.fault(format!("shop {shop} signed two lists of survivors of {id}"));
                }
            }
            Request::Reveal { id, shares } => {
                let list = self.confirmed.get(&(shop, *id)).map(|(_, list)| list.clone());
                let Some(list) = list else {
                    self.fault(format!(
                        "shop {shop} revealed shares of {id} without having signed a list"
                    ));
                    return;
                };
                for share in shares {
                    let of_seed = list.contains(&share.of);
                    let kind = *self.revealed.entry((*id, share.of)).or_insert(of_seed);
                    let given = *self.shares.entry((shop, *id, share.of)).or_insert(share.share);
                    if kind != of_seed || given != share.share {
                        self.fault(format!(
                            "both kinds of share of shop {} were shown in {id}",
                            share.of
                        ));
                    }
                }
            }
            _ => {}
        }
    }

    /// Bytes of an update leave a shop.
    pub(crate) fn leaves(&mut self, shop: usize, header: &UploadHeader) {
        let sent = self.left.entry((shop, header.id)).or_default();
        sent.insert(header.update);
        if sent.len() > 1 {
            self.fault(format!("shop {shop} sent two different updates in {}", header.id));
        }
    }

    /// A shop gets a word as it was said.
    pub(crate) fn heard(&mut self, shop: usize, push: &Push) {
        if let Some(leaks) = &mut self.leaks {
            leaks.shown(shop, push);
        }
        match push {
            Push::Welcome { manifest } => self.published(&manifest.body),
            Push::Announce(announcement) => self.head(&announcement.body.log),
            Push::Ended { outcome, .. } => {
                if let Outcome::Published(manifest) = &outcome.body {
                    self.published(manifest);
                }
            }
            Push::Survivors { id, survivors, .. } if !self.confirmed.contains_key(&(shop, *id)) => {
                self.shown.insert((shop, *id), survivors.clone());
            }
            _ => {}
        }
    }

    /// A shop gets an answer as it was said.
    pub(crate) fn told(&mut self, shop: usize, reply: &Reply) {
        match reply {
            Reply::Receipt(signed) => {
                let Receipt { upload, log, .. } = &signed.body;
                self.receipts.insert((shop, upload.id), *upload);
                self.head(log);
            }
            Reply::CheckedIn(word) => {
                let last = word
                    .receipt
                    .as_ref()
                    .map(|signed| signed.body.upload.ledger_length);
                if self
                    .received_by(shop)
                    .any(|upload| Some(upload.ledger_length) > last)
                {
                    self.fault(format!("shop {shop} is told of an older receipt than its last"));
                }
            }
            Reply::SignedSpent(spent) if spent.len() < RECEIPTS_AT_ONCE => {
                let told: Vec<_> = spent.iter().map(|one| one.spent.receipt.body.upload).collect();
                if self.received_by(shop).any(|upload| !told.contains(upload)) {
                    self.fault(format!("shop {shop} is not told of a receipt that it got"));
                }
            }
            _ => {}
        }
    }

    fn received_by(&self, shop: usize) -> impl Iterator<Item = &UploadHeader> {
        let of_shop = self.receipts.iter().filter(move |((of, _), _)| *of == shop);
        of_shop.map(|(_, upload)| upload)
    }

    fn head(&mut self, log: &LogHead) {
        let before = *self.heads.entry(log.length).or_insert(log.head);
        if before != log.head {
            self.fault(format!(
                "two heads of the record of length {} were signed",
                log.length
            ));
        }
    }

    fn published(&mut self, manifest: &Manifest) {
        let (round, model) = (manifest.id.round, manifest.model);
        if is_charge(manifest) {
            return;
        }
        let before = *self.models.entry(round).or_insert(model);
        if before != model {
            self.fault(format!("two models of round {round} were published"));
        }
    }

    /// The coordinator has started again, or all is over: whatever it once signed must still be so.
    ///
    /// # Errors
    /// Of its store.
    pub(crate) fn examine(&mut self, engine: &mut Engine, shops: &[ShopName]) -> anyhow::Result<()> {
        let store = engine.store();
        let mut faults = Vec::new();
        for ((shop, id), upload) in &self.receipts {
            let kept = store.receipt(*id, &shops[*shop])?;
            if kept.is_none_or(|kept| kept.body.upload != *upload) {
                faults.push(format!("an acknowledged update of shop {shop} in {id} is lost"));
            }
        }
        let mut chain = BTreeMap::from([(0, Digest::ZERO)]);
        for (at, record) in store.log()?.iter().enumerate() {
            if chain.get(&(at as u64)) != Some(&record.previous) {
                faults.push(format!("the record is no chain at entry {at}"));
            }
            chain.insert(at as u64 + 1, record.digest());
        }
        for (length, head) in &self.heads {
            if chain.get(length) != Some(head) {
                faults.push(format!(
                    "the record does not contain the signed head of length {length}"
                ));
            }
        }
        let versions: Vec<Manifest> = store.models()?.into_iter().map(|signed| signed.body).collect();
        let (old, kept) = versions.split_at(versions.len().saturating_sub(KEPT_MODELS as usize));
        for manifest in kept {
            if store.files().read(&manifest.model).is_err() {
                faults.push(format!(
                    "the model file of round {} can't be read",
                    manifest.id.round
                ));
            }
        }
        for manifest in old {
            let needed = kept.iter().any(|newer| newer.model == manifest.model);
            if !needed && store.files().contains(&manifest.model) {
                faults.push(format!(
                    "the model file of round {} was not removed",
                    manifest.id.round
                ));
            }
        }
        let models: BTreeMap<u64, Manifest> = versions
            .into_iter()
            .filter(|manifest| !is_charge(manifest))
            .map(|manifest| (manifest.id.round, manifest))
            .collect();
        for (round, model) in &self.models {
            if models.get(round).is_none_or(|kept| kept.model != *model) {
                faults.push(format!("the published model of round {round} is lost"));
            }
        }
        for manifest in models.values() {
            for (shop, update) in &manifest.updates {
                let place = shops.iter().position(|name| name == shop).unwrap_or(usize::MAX);
                let sent = self.left.get(&(place, manifest.id));
                if sent.is_none_or(|sent| !sent.contains(update)) {
                    faults.push(format!(
                        "round {} counts an update that no shop sent",
                        manifest.id.round
                    ));
                }
            }
        }
        self.faults.extend(faults);
        Ok(())
    }

    /// A shop has started again, or all is over: whatever left it must have been charged.
    pub(crate) fn audit(&mut self, place: usize, shop: &Shop, (digest, plan): (Digest, &Plan)) {
        let folder = shop.folder();
        let charged: BTreeSet<AttemptKey> = match read_ledger_on(folder.disk(), &folder.ledger()) {
            Ok(chain) => {
                let key = |id| AttemptKey { plan: digest, id };
                let noise = chain.spends().filter_map(|(_, spend)| spend.noise_multiplier);
                let spent: f64 = noise.map(|noise| noise.get().powi(-2)).sum();
                let all = plan.privacy.noise_multiplier.filter(|_| plan.is_of_releases());
                let budget = all.map_or(f64::INFINITY, |all| all.get().powi(-2));
                if spent > budget * (1.0 + 1e-9) {
                    self.fault(format!(
                        "shop {place} was charged for 1/z^2 = {spent} of a plan's {budget}"
                    ));
                }
                chain.spends().map(|(_, spend)| key(spend.id())).collect()
            }
            Err(error) => {
                self.fault(format!("the ledger of shop {place} can't be read: {error}"));
                return;
            }
        };
        let missing: Vec<AttemptId> = self
            .left
            .keys()
            .filter(|(of, id)| {
                *of == place
                    && !charged.contains(&AttemptKey {
                        plan: digest,
                        id: *id,
                    })
            })
            .map(|(_, id)| *id)
            .collect();
        for id in missing {
            self.fault(format!(
                "shop {place} sent an update in {id} that its ledger is not charged for"
            ));
        }
    }

    /// What an auditor finds in the coordinator's record.
    pub(crate) fn verify(&mut self, engine: Option<&mut Engine>) {
        let Some(engine) = engine else { return };
        let key = engine.public_key();
        match verify::check_store(engine.store(), &key) {
            Ok(report) if report.ok => {}
            Ok(report) => {
                let wrong = report.checks.iter().flat_map(|check| check.wrong.clone());
                wrong.for_each(|wrong| self.fault(format!("an auditor says: {wrong}")));
            }
            Err(error) => self.fault(format!("the record can't be verified: {error}")),
        }
    }

    /// Rounds of which a model was seen.
    pub(crate) fn newest(&self) -> Option<(u64, Digest)> {
        self.models
            .last_key_value()
            .map(|(round, model)| (*round, *model))
    }
}

/// Whether it publishes what a failed attempt is charged with, behind the round that it leaves as it is.
fn is_charge(manifest: &Manifest) -> bool {
    manifest.id.attempt == 0 && manifest.parent != Digest::ZERO
}

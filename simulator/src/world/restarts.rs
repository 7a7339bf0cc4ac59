//! All programs stopped between two rounds, and started again over what they kept.

use std::sync::Arc;

use anyhow::ensure;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::learned::Learner;
use souk_common::model::Recommender;
use souk_common::plan::Plan;
use souk_coordinator::round::PauseReason;

use super::drift::Drift;
use super::network::{Line, Network};
use super::rounds::Tallied;
use super::saved::{Head, Kept, Saved};
use super::setup::{Members, open};
use super::shop::Shop;
use super::work::Tasks;
use super::{Watch, World};
use crate::cluster::coordinator::Coordinator;

impl World {
    /// No attempt begins behind a round that is to be saved: it would be open when the programs are stopped, and lost.
    pub(super) fn hold(&mut self, watch: &dyn Watch) -> anyhow::Result<()> {
        let last = self.plan.rounds;
        let open = self.engine()?.machine().open();
        let saves = open.is_some_and(|(id, _)| id.round < last && watch.saves(id.round));
        if saves && !self.is_held {
            let said = self.coordinator.pause(self.now);
            self.is_held = true;
            self.hear(said)?;
        }
        Ok(())
    }

    pub(super) fn let_go(&mut self) -> anyhow::Result<()> {
        self.is_held = false;
        let said = self.coordinator.resume(self.now);
        self.hear(said)
    }

    /// Another attempt at a round that was to be saved. The operator's word would have it count attempts anew.
    pub(super) fn try_again(&mut self, attempt: u32) -> anyhow::Result<()> {
        let waits = self.engine()?.machine().paused() == Some(PauseReason::Operator);
        match self.is_held && waits {
            true if attempt >= self.plan.cohort.attempts => {
                self.paused = Some(PauseReason::Attempts);
                Ok(())
            }
            true => self.let_go(),
            false => Ok(()),
        }
    }

    /// Between two rounds, when all programs have been stopped.
    pub(super) fn saved(&mut self) -> anyhow::Result<Saved> {
        let round = self.engine()?.machine().published();
        let bytes = (self.tallied.bytes_up, self.tallied.bytes_down);
        let head = Head::new(round, self.now, self.network.position(), bytes);
        let shops = self.shops.iter_mut().map(|shop| {
            let memory = shop.agent.machine().memory().clone();
            shop.agent.holdings().saved(&memory, shop.bytes_sent)
        });
        Ok(Saved {
            head,
            shops: shops.collect(),
            store: self.kept.clone(),
        })
    }

    /// The same programs over what was saved.
    pub(super) fn go_on(self, saved: Saved) -> anyhow::Result<Self> {
        let base = Base {
            plan: self.plan,
            recommender: self.recommender,
            learner: self.learner,
            catalogue: self.catalogue,
            line: self.line,
            drift: self.drift,
            seed: self.seed,
        };
        let members = self.shops.into_iter().map(Shop::into_members).collect();
        base.begin(members, Some(saved))
    }
}

/// What stays when all programs are stopped and started again.
pub(super) struct Base {
    pub(super) plan: Arc<Plan>,
    pub(super) recommender: Arc<Recommender>,
    pub(super) learner: Arc<Learner>,
    pub(super) catalogue: Catalogue,
    pub(super) line: Line,
    pub(super) drift: Option<Drift>,
    pub(super) seed: u64,
}

impl Base {
    pub(super) fn begin(self, members: Vec<Members>, saved: Option<Saved>) -> anyhow::Result<World> {
        let (head, kept, saved) = match saved {
            Some(saved) => (Some(saved.head), saved.store, saved.shops),
            None => (None, Kept::default(), Vec::new()),
        };
        ensure!(
            head.is_none() || saved.len() == members.len(),
            "what was saved is of {} shops, not of {}",
            saved.len(),
            members.len()
        );
        let key = SigningKey::from_bytes(&[0xC0; 32]);
        let with = (key.public(), self.drift);
        let shops = members
            .into_iter()
            .enumerate()
            .map(|(at, members)| Shop::new(members, &self.learner, with, saved.get(at), self.seed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let names = shops.iter().map(|shop| shop.peer.shop.clone()).collect();
        let now = head.as_ref().map_or(Timestamp(0), |head| head.now);
        let up = open(now, &kept, (*self.plan).clone(), &self.catalogue, key, &shops)?;
        let mut network = Network::new(self.line, shops.len(), self.seed);
        let mut tallied = Tallied::default();
        let is_held = head.is_some();
        if let Some(head) = head {
            network.go_on_from(head.position);
            (tallied.bytes_up, tallied.bytes_down) = (head.bytes_up, head.bytes_down);
        }
        Ok(World {
            plan: self.plan,
            recommender: self.recommender,
            learner: self.learner,
            catalogue: self.catalogue,
            words_key: with.0,
            coordinator: Coordinator::new(names, Some(up)),
            kept,
            shops,
            line: self.line,
            drift: self.drift,
            seed: self.seed,
            network,
            tasks: Tasks::default(),
            broadcast: None,
            terms: None,
            welcome: None,
            tallied,
            lines: Vec::new(),
            says_epsilon: false,
            is_held,
            now,
            paused: None,
            finished: false,
        })
    }
}

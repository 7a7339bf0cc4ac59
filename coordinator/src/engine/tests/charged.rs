//! A finished federation whose shops keep ledgers, and sign what they send.

use std::collections::BTreeMap;
use std::path::Path;

use souk_common::hex;
use souk_common::privacy::Spend;
use souk_common::privacy::ledger::{Ledger, MemorySink};
use souk_common::round::statements::Sent;

use super::releases::{let_it_end, releases};
use super::*;
use crate::store::{ShopRecord, Standing};

/// What two shops keep.
pub(crate) struct Shops {
    pub(crate) ledgers: BTreeMap<&'static str, Ledger<MemorySink>>,
}

/// Which plan they take part in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Of {
    /// Two rounds of training, under noise.
    Training,
    /// Two releases, whose noise follows from what was charged before.
    Releases,
}

impl Of {
    fn plan(self) -> Plan {
        match self {
            Self::Releases => releases(),
            Self::Training => {
                let mut plan = plan();
                plan.privacy.enabled = true;
                plan.privacy.noise_multiplier = souk_common::params::NoiseMultiplier::new(2.0).ok();
                plan.validate().unwrap();
                plan
            }
        }
    }
}

impl Shops {
    /// Publishes two rounds in `dir`. Shop `b` is not heard of in the first attempt, which ends below quorum.
    pub(crate) fn publish(dir: &Path, of: Of) -> Self {
        Self::publish_charging(dir, of, |_, _, _| ())
    }

    /// The same; what shops charge themselves is changed first.
    pub(crate) fn publish_charging(dir: &Path, of: Of, change: impl Fn(&str, AttemptId, &mut Spend)) -> Self {
        let mut engine = engine_of(dir, 9, None, &of.plan());
        let open = |name: &'static str| {
            let ledger = Ledger::open(MemorySink::default(), &[], &shop(name), Timestamp(1));
            (name, ledger.unwrap())
        };
        let mut shops = Self {
            ledgers: ["a", "b"].map(open).into(),
        };
        connect(&mut engine);
        assert!(shops.send(&mut engine, "a", &change));
        shops.charge(&engine, "b", &change);
        let_it_end(&mut engine);
        while engine.machine().phase() != Phase::Finished {
            if engine.machine().open().is_none() {
                let at = Timestamp(3_600_000);
                engine.handle(at, Event::Timer).unwrap();
            }
            assert!(shops.send(&mut engine, "a", &change) && shops.send(&mut engine, "b", &change));
        }
        drop(engine);
        shops.sign(dir);
        shops
    }

    fn charge(
        &mut self,
        engine: &Engine,
        name: &str,
        change: &impl Fn(&str, AttemptId, &mut Spend),
    ) -> LogHead {
        let (id, _) = engine.machine().open().unwrap();
        let (of_round, _) = engine.learner.round(&engine.learned, id.round).unwrap();
        let mut spend = Spend::of_attempt(&of_round, engine.run.plan, id);
        change(name, id, &mut spend);
        let ledger = self.ledgers.get_mut(name).unwrap();
        ledger.charge(spend, Timestamp(2)).unwrap().head()
    }

    fn send(
        &mut self,
        engine: &mut Engine,
        name: &str,
        change: &impl Fn(&str, AttemptId, &mut Spend),
    ) -> bool {
        let head = self.charge(engine, name, change);
        upload_after(engine, name, head)
    }

    /// Shops join the table of shops, and their words the table of words.
    fn sign(&self, dir: &Path) {
        let mut store = Store::open(dir, None).unwrap();
        for (name, number) in [("a", 7), ("b", 8)] {
            let (shop, key) = (shop(name), SigningKey::from_bytes(&[number; 32]));
            let record = ShopRecord {
                fingerprint: "0".repeat(64),
                standing: Standing::Enrolled,
                enrolled_at: Timestamp(0),
                seen_at: None,
                software: String::new(),
                identity: hex::text(&key.public()),
                certificate: String::new(),
                issued: String::new(),
                authorities: 0,
                clock_ahead_ms: None,
            };
            store.change(|change| change.set_shop(&shop, &record)).unwrap();
            for spent in store.spent(&shop, u64::MAX, 99).unwrap() {
                let upload = spent.receipt.body.upload;
                let word = key.sign(Sent::of(&shop, spent.plan, &upload)).signature;
                assert!(store.keep_word(&shop, &upload, word, &key.public()).unwrap());
            }
        }
    }

    /// A ledger's bytes.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.ledgers[name].sink().0.clone()
    }
}

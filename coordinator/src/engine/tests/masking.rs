//! Masked rounds through a real store, with shops driven by hand and restarts in between.

use std::collections::BTreeMap;
use std::path::Path;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::ids::Digest;
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::stream;
use souk_common::secagg::{Checked, Keys, KnownKeys, Roster, Sharing, UnmaskSecrets};
use souk_common::update::{Grid, UpdateValues};
use souk_common::wire::messages::Push;
use souk_common::wire::update;

use super::*;
use crate::masking::MaskedWord;
use crate::round::{Event, ShopState};

const SHOPS: [&str; 4] = ["a", "b", "c", "d"];

struct Everybody;

impl KnownKeys for Everybody {
    fn knows(&self, _: &ShopName, _: &Digest) -> bool {
        true
    }

    fn least_shops(&self) -> usize {
        0
    }
}

fn plan() -> Plan {
    let shops: String = SHOPS
        .map(|shop| format!("[[shops]]\nname = '{shop}'\ndeclared_users = 4\n"))
        .concat();
    Plan::from_toml(&format!(
        "name = 'a'\nrounds = 1\n[model]\nkind = 'mf'\ngmf_dim = 2\n[train]\nsolver = 'ials'\nalpha = 0.1\n\
         lambda = 1\n[privacy]\nenabled = false\nclip_norm = 1\nsampling_rate = 1\n[masking]\nmin_shops = 3\n\
         step = '5s'\n[cohort]\nquorum = 3\ndeadline = '10s'\n[server]\noptimiser = 'adam'\nlearning_rate = 0.1\n{shops}"
    ))
    .unwrap()
}

fn name(shop: usize) -> ShopName {
    SHOPS[shop].parse().unwrap()
}

fn identity(shop: usize) -> SigningKey {
    SigningKey::from_bytes(&[shop as u8 + 10; 32])
}

/// A coordinator and what its shops hold and heard.
struct Round<'a> {
    dir: &'a Path,
    engine: Engine,
    keys: BTreeMap<usize, Keys>,
    sharing: BTreeMap<usize, Sharing>,
    checked: BTreeMap<usize, Checked>,
    masking: BTreeMap<usize, UnmaskSecrets>,
    heard: BTreeMap<ShopName, Vec<Push>>,
    reports: Vec<String>,
}

impl<'a> Round<'a> {
    fn open(dir: &'a Path, keep_parts: u64) -> Self {
        let mut round = Self {
            dir,
            engine: begin(dir, keep_parts),
            keys: BTreeMap::new(),
            sharing: BTreeMap::new(),
            checked: BTreeMap::new(),
            masking: BTreeMap::new(),
            heard: BTreeMap::new(),
            reports: Vec::new(),
        };
        round.connect();
        round
    }

    /// The process dies and begins again; shops keep what they hold, and come back.
    fn crash(self, keep_parts: u64) -> Self {
        let Self {
            dir, engine, masking, ..
        } = self;
        drop(engine);
        let mut again = Self {
            masking,
            ..Self::open(dir, keep_parts)
        };
        again.reports.clear();
        again
    }

    fn connect(&mut self) {
        for shop in 0..SHOPS.len() {
            let outputs = self
                .engine
                .handle(Timestamp(1), Event::Connected(name(shop)))
                .unwrap();
            self.note(outputs);
        }
    }

    fn note(&mut self, outputs: Vec<Output>) -> Option<Reply> {
        let mut answer = None;
        for output in outputs {
            match output {
                Output::Push {
                    shops: Some(shops),
                    push,
                } => {
                    for shop in shops {
                        self.heard.entry(shop).or_default().push(push.clone());
                    }
                }
                Output::Reply { reply, .. } => answer = Some(reply),
                Output::Report(line) => self.reports.push(line),
                _ => {}
            }
        }
        answer
    }

    fn say(&mut self, shop: usize, word: MaskedWord) -> Reply {
        let outputs = self.engine.masked(Timestamp(2), name(shop), word).unwrap();
        self.note(outputs).expect("an answer")
    }

    fn wait(&mut self, at: i64) {
        let outputs = self.engine.handle(Timestamp(at), Event::Timer).unwrap();
        self.note(outputs);
    }

    fn id(&self) -> AttemptId {
        self.engine.machine().open().expect("an open attempt").0
    }

    fn advertise(&mut self, shops: &[usize]) {
        let context = Context {
            id: self.id(),
            plan: self.engine.run.plan,
            model: self.engine.manifest().body.model,
        };
        let terms = plan().masking_params().unwrap();
        for shop in shops {
            let mut rng = stream(*shop as u64, "keys");
            let keys = Keys::make(context, terms, &name(*shop), &identity(*shop), &mut rng);
            let word = MaskedWord::Keys(identity(*shop).public(), Box::new(keys.advertisement().clone()));
            assert_eq!(self.say(*shop, word), Reply::Done);
            self.keys.insert(*shop, keys);
        }
    }

    fn roster(&self, shop: usize) -> Roster {
        let pushes = self.heard[&name(shop)].iter().rev();
        let mut rosters = pushes.filter_map(|push| match push {
            Push::Roster { roster, .. } => Some(roster.clone()),
            _ => None,
        });
        rosters.next().expect("R1")
    }

    fn share(&mut self, shops: &[usize]) {
        let id = self.id();
        for shop in shops {
            let keys = self.keys.remove(shop).unwrap();
            let mut rng = stream(*shop as u64, "shares");
            let (roster, key) = (self.roster(*shop), identity(*shop));
            let (sharing, shares) = keys.share(roster, &Everybody, &key, &mut rng).unwrap();
            assert_eq!(self.say(*shop, MaskedWord::Shares(id, shares)), Reply::Done);
            self.sharing.insert(*shop, sharing);
        }
        if self.sharing.len() == SHOPS.len() {
            self.check(shops);
        }
    }

    /// Those who shared look at the shares that were passed on to them.
    fn check(&mut self, shops: &[usize]) {
        let id = self.id();
        for shop in shops {
            let pushes = self.heard[&name(*shop)].iter().rev();
            let mut deliveries = pushes.filter_map(|push| match push {
                Push::Delivered { shares, .. } => Some(shares.clone()),
                _ => None,
            });
            let delivered = deliveries.next().expect("shares");
            let (checked, bad) = self.sharing.remove(shop).unwrap().check(&delivered).unwrap();
            assert_eq!(self.say(*shop, MaskedWord::Checked(id, bad)), Reply::Done);
            self.checked.insert(*shop, checked);
        }
    }

    fn sharers(&self, shop: usize) -> Vec<u32> {
        let pushes = self.heard[&name(shop)].iter().rev();
        let mut lists = pushes.filter_map(|push| match push {
            Push::Sharers { sharers, .. } => Some(sharers.clone()),
            _ => None,
        });
        lists.next().expect("R2")
    }

    fn upload(&mut self, shops: &[usize]) {
        for shop in shops {
            let sharers = self.sharers(*shop);
            let checked = self.checked.remove(shop).unwrap();
            let (masking, masks) = checked.mask(sharers, &identity(*shop)).unwrap();
            self.masking.insert(*shop, masking);
            let coordinates = self.engine.update_bytes() as usize / 4;
            let bytes = update::encode(&Privatized::of_nobody_under(values(*shop, coordinates), masks));
            assert!(matches!(self.send(*shop, &bytes), Some(Reply::Receipt(_))));
        }
    }

    fn send(&mut self, shop: usize, bytes: &[u8]) -> Option<Reply> {
        let header = UploadHeader {
            id: self.id(),
            update: Digest::of(bytes),
            len_bytes: bytes.len() as u64,
            ledger_length: 1,
            ledger_head: Digest::ZERO,
        };
        let binding = self.masking.get(&shop).map(UnmaskSecrets::binding);
        let outputs = self.engine.offer(Timestamp(3), name(shop), header, binding);
        let outputs = outputs.unwrap();
        if let Some(Output::Reply { reply, .. }) = outputs.first() {
            return Some(reply.clone());
        }
        let staging = Staging::new(1 << 20, self.engine.store().shared_private());
        let mut staged = staging.begin(bytes.len() as u64).unwrap();
        staged.push(bytes).unwrap();
        let outputs = self
            .engine
            .arrived(Timestamp(3), name(shop), header, staged)
            .unwrap();
        self.note(outputs)
    }

    fn confirm(&mut self, shops: &[usize]) {
        for shop in shops {
            let pushes = self.heard[&name(*shop)].iter().rev();
            let mut lists = pushes.filter_map(|push| match push {
                Push::Survivors {
                    survivors, bindings, ..
                } => Some((survivors.clone(), bindings.clone())),
                _ => None,
            });
            let (survivors, bindings) = lists.next().expect("R3");
            let masking = self.masking.get_mut(shop).unwrap();
            let signed = masking.confirm(&survivors, &bindings, &identity(*shop)).unwrap();
            assert_eq!(self.say(*shop, MaskedWord::Confirmation(signed)), Reply::Done);
        }
    }

    fn reveal(&mut self, shops: &[usize]) {
        let id = self.id();
        for shop in shops {
            let pushes = self.heard[&name(*shop)].iter().rev();
            let mut lists = pushes.filter_map(|push| match push {
                Push::Confirmed { confirmed, .. } => Some(confirmed.clone()),
                _ => None,
            });
            let shares = self.masking[shop]
                .reveal(&lists.next().expect("signatures"))
                .unwrap();
            assert_eq!(self.say(*shop, MaskedWord::Revealed(id, shares)), Reply::Done);
        }
    }
}

/// What a shop sums, before masks: a draw of its own.
fn values(shop: usize, coordinates: usize) -> NoiseVector<souk_common::rng::Stream> {
    let grid = Grid {
        noise_stddev: 500.0,
        ..plan().grid(coordinates).unwrap()
    };
    NoiseVector::draw(&grid, coordinates, &mut stream(shop as u64, "values"))
}

fn begin(dir: &Path, keep_parts: u64) -> Engine {
    let store = Store::open(dir, None).unwrap();
    let settings = Settings {
        keep_parts,
        keep_models: 0,
        new_run: false,
    };
    let catalogue = Catalogue::new(vec![Item::bare("a"), Item::bare("b")]).unwrap();
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut engine = Engine::begin(Timestamp(0), store, key, plan(), &catalogue, settings).unwrap();
    engine.handle(Timestamp(0), Event::Started).unwrap();
    engine
}

/// The model that the bare sum over `shops` makes.
fn expected(dir: &Path, shops: &[usize]) -> Learned {
    let mut engine = begin(dir, 0);
    let mut learned = engine.learned.clone();
    let coordinates = engine.update_bytes() as usize / 4;
    for shop in shops {
        let bare = Privatized::of_nobody(values(*shop, coordinates))
            .into_inner()
            .values;
        let UpdateValues::B32(words) = bare else {
            panic!("b = 32")
        };
        engine
            .aggregator
            .add(crate::aggregate::Integers::B32(&words))
            .unwrap();
    }
    let names: Vec<ShopName> = shops.iter().map(|shop| name(*shop)).collect();
    let parts = crate::aggregate::rules::StoredParts {
        accepted: &[],
        blobs: engine.store.private(),
    };
    let id = AttemptId { round: 1, attempt: 1 };
    engine
        .aggregator
        .learn(&engine.learner, &mut learned, id, &names, &parts)
        .unwrap();
    learned
}

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn the_model_is_that_of_the_bare_sum_also_when_a_shop_drops_out_after_its_shares() {
    for there in [&ALL[..], &[0, 2, 3]] {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut round = Round::open(dir.path(), 1);
        round.advertise(&ALL);
        round.share(&ALL);
        round.upload(there);
        if there.len() < ALL.len() {
            round.wait(11_000);
            // The shops of the sum are fixed: an update by one of R2 that comes now is not added.
            let late = vec![0; round.engine.update_bytes() as usize];
            let refused = round.send(1, &late);
            assert!(
                matches!(
                    refused,
                    Some(Reply::Rejected {
                        code: RejectCode::NotOpen
                    })
                ),
                "{refused:?}"
            );
        }
        round.confirm(there);
        round.reveal(there);
        assert_eq!(round.engine.machine().published(), 1);
        assert_eq!(round.engine.learned, expected(other.path(), there), "{there:?}");
    }
}

#[test]
fn a_crash_while_uploads_come_or_while_the_sum_is_unmasked_goes_on_with_the_same_lists() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut round = Round::open(dir.path(), 1);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&[0, 1]);
    let checked = std::mem::take(&mut round.checked);
    let mut round = round.crash(1);
    round.checked = checked;
    // R2 is repeated to those whose update is still out.
    round.upload(&[2, 3]);
    round.confirm(&ALL);
    round.reveal(&[0]);
    let id = round.id();
    let mut round = round.crash(1);
    assert_eq!(
        (round.id(), round.engine.machine().masked_step()),
        (id, Some("confirming"))
    );
    round.confirm(&ALL);
    round.reveal(&[1, 2, 3]);
    assert_eq!(round.engine.machine().published(), 1);
    assert_eq!(round.engine.learned, expected(other.path(), &ALL));
    // What came too late is answered, and changes nothing.
    let outputs = round
        .engine
        .masked(Timestamp(9), name(0), MaskedWord::Revealed(id, Vec::new()))
        .unwrap();
    assert_eq!(round.note(outputs), Some(Reply::Done));
}

#[test]
fn a_crash_before_the_second_list_or_without_kept_parts_ends_the_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let mut round = Round::open(dir.path(), 1);
    round.advertise(&ALL);
    round.share(&[0, 1]);
    let round = round.crash(1);
    assert_eq!(round.id().attempt, 2);
    let dir = tempfile::tempdir().unwrap();
    let mut round = Round::open(dir.path(), 0);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&[0, 1, 2]);
    let round = round.crash(0);
    assert_eq!(round.id().attempt, 2);
}

/// A store with one published masked round, whose parts are kept.
pub(crate) fn publish_masked_round(dir: &Path) {
    let mut round = Round::open(dir, 1);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&ALL);
    round.confirm(&ALL);
    round.reveal(&ALL);
}

/// What an auditor finds: the masked round again, and any digit of what is stored of its masks that is changed.
#[test]
fn a_masked_round_is_made_again_and_every_changed_digit_of_its_session_is_found() {
    let dir = tempfile::tempdir().unwrap();
    publish_masked_round(dir.path());
    let key = SigningKey::from_bytes(&[3; 32]).public();
    let check = || crate::verify::check(dir.path(), &key);
    let report = check().unwrap();
    assert!(
        report.ok && report.checks[4].good == 1 && report.checks[5].good == 2,
        "{report:?}"
    );
    let change = |with: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        crate::store::tamper::change_masked(dir.path(), with);
    };
    let digits = |bytes: &[u8]| -> Vec<usize> {
        (0..bytes.len())
            .filter(|at| bytes[*at].is_ascii_digit())
            .collect()
    };
    for part in 0..12 {
        let flip = |mut bytes: Vec<u8>| {
            let digits = digits(&bytes);
            let at = digits[digits.len() * part / 12];
            // Twice is nothing: 0 and 1, 2 and 3, and so on change places.
            bytes[at] ^= 1;
            bytes
        };
        change(&flip);
        assert!(
            check().is_ok_and(|report| !report.checks[4].ok) || check().is_err(),
            "part {part}"
        );
        change(&flip);
    }
    assert!(check().unwrap().ok);
}

#[test]
fn too_few_shares_end_the_attempt_with_its_reason_and_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut round = Round::open(dir.path(), 1);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&ALL);
    round.confirm(&ALL);
    round.reveal(&[0, 1]);
    let id = round.id();
    round.wait(60_000);
    assert!(
        round
            .reports
            .iter()
            .any(|line| line.contains("of 4 shops 2 gave their shares")),
        "{:?}",
        round.reports
    );
    assert!(round.engine.store().masked(id).unwrap().is_none());
    assert_eq!(round.id().attempt, 2);
    // Words for the old attempt, or by a shop with other keys, are refused.
    let mut rng = stream(9, "other");
    let context = Context {
        id,
        plan: round.engine.run.plan,
        model: round.engine.manifest().body.model,
    };
    let terms = plan().masking_params().unwrap();
    let old = Keys::make(context, terms, &name(0), &identity(0), &mut rng);
    let word = MaskedWord::Keys(identity(0).public(), Box::new(old.advertisement().clone()));
    assert!(matches!(round.say(0, word), Reply::Error { .. }));
    round.advertise(&[0]);
    let context = Context {
        id: round.id(),
        ..context
    };
    let second = Keys::make(context, terms, &name(0), &identity(0), &mut rng);
    let word = MaskedWord::Keys(identity(0).public(), Box::new(second.advertisement().clone()));
    assert!(matches!(round.say(0, word), Reply::Error { .. }));
}

#[test]
fn an_update_without_the_shops_signature_on_the_list_of_sharers_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut round = Round::open(dir.path(), 1);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&[0, 1, 2]);
    let bytes = vec![0; round.engine.update_bytes() as usize];
    for other in [None, Some(0)] {
        // None at all, or another shop's.
        if let Some(masking) = other.map(|other| round.masking[&other].clone()) {
            round.masking.insert(3, masking);
        }
        let refused = round.send(3, &bytes);
        let code = RejectCode::NotBound;
        assert_eq!(refused, Some(Reply::Rejected { code }));
    }
}

/// A shop that lies after the charge costs everybody one attempt: it is named in the record and left out of the next, which
/// publishes, until the operator lets it back.
#[test]
fn a_liar_is_named_and_left_out_until_it_is_let_back() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut round = Round::open(dir.path(), 1);
    round.advertise(&ALL);
    round.share(&ALL);
    round.upload(&ALL);
    round.confirm(&ALL);
    let id = round.id();
    let confirmed = round.heard[&name(3)].iter().rev().find_map(|push| match push {
        Push::Confirmed { confirmed, .. } => Some(confirmed.clone()),
        _ => None,
    });
    let mut shares = round.masking[&3].reveal(&confirmed.unwrap()).unwrap();
    shares[1].share[7] ^= 1;
    let answer = round.say(3, MaskedWord::Revealed(id, shares));
    assert!(matches!(answer, Reply::Error { .. }), "{answer:?}");
    assert!(
        round
            .reports
            .iter()
            .any(|line| line.contains("revealed a share") && line.contains("readmit")),
        "{:?}",
        round.reports
    );
    let named = round.engine.store().named().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), [&name(3)]);
    let states = round.engine.machine().shop_states();
    assert!(states.contains(&(name(3), ShopState::Named)));
    // The others' shares are enough: the attempt is not lost.
    round.reveal(&[0, 1, 2]);
    assert_eq!(round.engine.machine().published(), 1);
    assert_eq!(round.engine.learned, expected(other.path(), &ALL));
    // It stays out over a restart, and comes back by the operator's word.
    drop(round);
    let mut engine = begin(dir.path(), 1);
    assert!(
        engine
            .machine()
            .shop_states()
            .contains(&(name(3), ShopState::Named))
    );
    crate::membership::registry::readmit(engine.store(), Timestamp(4), &name(3)).unwrap();
    assert!(crate::membership::registry::readmit(engine.store(), Timestamp(4), &name(3)).is_err());
    engine.handle(Timestamp(4), Event::Readmitted(name(3))).unwrap();
    assert!(
        !engine
            .machine()
            .shop_states()
            .contains(&(name(3), ShopState::Named))
    );
    let entries: Vec<String> = engine
        .store()
        .log()
        .unwrap()
        .iter()
        .map(|record| format!("{:?}", record.entry))
        .collect();
    assert!(entries.iter().any(|entry| entry.starts_with("Named")));
    assert!(entries.last().unwrap().starts_with("Readmitted"));
}

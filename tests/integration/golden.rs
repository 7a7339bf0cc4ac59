//! Folders as the first version wrote them, which every later one must be able to read: `tests/golden/1`.
//!
//! They are a coordinator and a shop killed in the middle of a masked attempt. `records/` has one of each kind of record
//! by itself, as it stands in the stores. The keys are of this federation only and of no use anywhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use redb::{ReadableDatabase, TableDefinition};
use serde::Serialize;
use souk_client::config::ShopConfig;
use souk_client::folder::Folder;
use souk_client::ledger::read_ledger;
use souk_client::membership::Membership;
use souk_client::participate::AttemptKey;
use souk_client::store::Store as ShopStore;
use souk_common::clock::Timestamp;
use souk_common::crypto::at_rest::Vault;
use souk_common::crypto::pki::{key_of, shop_of};
use souk_common::crypto::sign::verify;
use souk_common::model::file;
use souk_common::model::layout::{Layout, Vocabulary};
use souk_common::plan::Plan;
use souk_common::secagg::UnmaskSecrets;
use souk_coordinator::folder::{FederationFolder, StoreConfig};
use souk_coordinator::store::{Entry, Keeping, Store};
use souk_coordinator::verify::check;
use souk_tests::federation::{Federation, Running, masked_plan, until};
use tempfile::TempDir;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["east", "north", "west"];
const MASKING: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("masking");

fn golden() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", "1"].iter().collect()
}

/// The golden folders, where they can be opened without being changed.
fn unpacked() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    copy(&golden(), dir.path(), &|path| {
        let bytes = fs::read(path).expect("a file");
        match path.extension().is_some_and(|ending| ending == "gz") {
            false => (path.file_name().expect("a name").into(), bytes),
            true => {
                let mut plain = Vec::new();
                std::io::copy(&mut GzDecoder::new(bytes.as_slice()), &mut plain).expect("whole");
                (path.file_stem().expect("a name").into(), plain)
            }
        }
    });
    dir
}

/// Copies a folder, each file under a name and with bytes made of it.
fn copy(from: &Path, to: &Path, made: &dyn Fn(&Path) -> (PathBuf, Vec<u8>)) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            copy(&path, &to.join(entry.file_name()), made);
        } else if path.is_file() {
            let (name, bytes) = made(&path);
            fs::write(to.join(name), bytes).expect("written");
        }
    }
}

/// One of each kind of record, in the form in which it is stored.
fn records(coordinator: &Store, shop: &ShopStore) -> Vec<(String, Vec<u8>)> {
    fn json(name: &str, value: &impl Serialize) -> (String, Vec<u8>) {
        (format!("{name}.json"), serde_json::to_vec(value).expect("JSON"))
    }
    let run = coordinator.run().expect("readable").expect("one");
    let open = run.open.as_ref().expect("an open attempt").body.id;
    let mut all = vec![
        json("coordinator_run", &run),
        json("coordinator_shop", &coordinator.shops().expect("readable")[0].1),
        json(
            "coordinator_traffic",
            &coordinator.traffic().expect("readable")[0],
        ),
        json(
            "coordinator_manifest",
            &coordinator.models().expect("readable")[1],
        ),
        json(
            "coordinator_receipt",
            &coordinator.receipts_of_round(1).expect("readable")[0],
        ),
        json(
            "coordinator_masked",
            &coordinator.masked(open).expect("readable").expect("one"),
        ),
        json(
            "coordinator_keeping",
            &coordinator.meta::<(u64, Keeping)>("keeping").expect("readable"),
        ),
        json("coordinator_head", &coordinator.log_head()),
        json(
            "shop_upload",
            shop.uploads().expect("readable").last().expect("one"),
        ),
        json("shop_model", &shop.model_word().expect("readable").expect("one")),
        json("shop_announced", &shop.memory([]).expect("readable").announced),
    ];
    // That of an attempt under the first masks is not gone on with.
    let masking = shop.masking().expect("readable");
    all.extend(masking.map(|masking| json("shop_masking", &masking)));
    let mut seen = Vec::new();
    for record in coordinator.log().expect("readable") {
        let kind = match record.entry {
            Entry::Began(_) => "began",
            Entry::Announced(_) => "announced",
            Entry::Received(_) => "received",
            Entry::Ended(_) => "ended",
            Entry::RolledBack(_) => "rolled_back",
            Entry::Grown(_) => "grown",
            Entry::Charged(_) => "charged",
            Entry::Masked { .. } => "masked",
            Entry::Stepped { .. } => "stepped",
            Entry::Quality { .. } => "quality",
            Entry::Unmasked { .. } => "unmasked",
            Entry::Keeping(_) => "keeping",
            Entry::KeepingModels(_) => "keeping_models",
            Entry::Named { .. } => "named",
            Entry::Readmitted { .. } => "readmitted",
            Entry::WentOn { .. } => "went_on",
            Entry::Enrolled(_) => "enrolled",
            Entry::EnrolmentsRefused(_) => "enrolments_refused",
        };
        if !seen.contains(&kind) {
            seen.push(kind);
            all.push(json(&format!("coordinator_log_{kind}"), &record));
        }
    }
    all
}

#[test]
fn a_coordinators_folder_of_the_first_format_is_read_whole_and_goes_on() {
    let dir = unpacked();
    let home = FederationFolder::new(dir.path().join("coordinator"));
    assert_eq!(
        home.config().expect("readable").store,
        StoreConfig {
            keep_parts: 2,
            keep_models: 100
        }
    );
    let key = home.signing_key().expect("readable").public();
    let catalogue = home.catalogue().expect("readable");
    let authority = home.authority().expect("readable");
    assert_eq!(shop_of(authority.certificate()), None);
    let report = check(home.path(), &key).expect("readable");
    assert!(report.ok, "{report:?}");
    assert_eq!(report.checks[5].good, 1 + 2, "the initial model and what is kept");
    let store = Store::open(home.path(), None).expect("readable");
    let run = store.run().expect("readable").expect("one");
    let plan = Plan::from_bytes(&store.files().read(&run.plan).expect("there")).expect("a plan");
    let text = fs::read_to_string(dir.path().join("plan.toml")).expect("there");
    assert_eq!(Plan::from_toml(&text).expect("a plan"), plan);
    let layout = Layout::new(&plan.model, &Vocabulary::from(&catalogue));
    for manifest in store.models().expect("readable") {
        let word = verify(&manifest, &key).expect("signed");
        file::decode(&store.files().read(&word.model).expect("there"), &layout).expect("a model");
    }
    assert!(
        store
            .masked(run.open.expect("open").body.id)
            .expect("readable")
            .is_some()
    );
    drop(store);
    // And it goes on. The attempt that was open is given up, with an entry in the record: its masks are those of the first
    // protocol, under which no shop helps any more.
    let settings = souk_coordinator::engine::Settings {
        keep_parts: 2,
        keep_models: 0,
        new_run: false,
    };
    let store = Store::open(home.path(), None).expect("readable");
    let engine = souk_coordinator::engine::Engine::begin(
        Timestamp(0),
        store,
        home.signing_key().expect("readable"),
        plan,
        &catalogue,
        settings,
    )
    .expect("it goes on");
    assert!(engine.machine().open().is_none());
    drop(engine);
    let store = Store::open(home.path(), None).expect("readable");
    let last = store
        .log()
        .expect("readable")
        .into_iter()
        .rev()
        .find_map(|record| match record.entry {
            Entry::Ended(outcome) => Some(outcome.body),
            _ => None,
        });
    assert!(matches!(
        last,
        Some(souk_common::round::statements::Outcome::BelowQuorum { .. })
    ));
    drop(store);
    assert!(check(home.path(), &key).expect("readable").ok);
}

#[test]
fn a_shops_folder_of_the_first_format_is_read_whole() {
    let dir = unpacked();
    let folder = Folder::new(dir.path().join("shop"));
    let membership = Membership::load(&folder).expect("readable");
    let identity = membership.signing_identity(&folder).expect("readable");
    assert_eq!(key_of(&membership.certificate), Some(identity.public()));
    assert_eq!(ShopConfig::load(&folder).expect("readable").known_shops.len(), 2);
    let chain = read_ledger(&folder.ledger()).expect("readable");
    let store = ShopStore::open(&folder).expect("readable");
    let uploads = store.uploads().expect("readable");
    assert_eq!(chain.spends().count(), uploads.len());
    let last = uploads.last().expect("one");
    assert_eq!(chain.head().length, last.header.ledger_length);
    let spent = chain.spends().map(|(_, spend)| AttemptKey {
        plan: spend.plan,
        id: spend.id(),
    });
    let memory = store.memory(spent).expect("readable");
    // The secrets of an attempt under the first masks are of no use any more; the owner is told.
    assert_eq!((memory.masking, memory.lost_masking), (None, Some(last.key)));
    assert!(memory.outbox.is_some() && !memory.heads.is_empty());
    for upload in uploads.iter().filter_map(|upload| upload.receipt.as_ref()) {
        verify(upload, &membership.words_key().expect("whole")).expect("signed");
    }
    let word = store.model_word().expect("readable").expect("one");
    let manifest = word.manifest().expect("of a model");
    let [plan, catalogue, model] = souk_client::store::blobs_of(manifest);
    let read = |blob| souk_client::recommend::blobs::read_blob(&folder, blob).expect("whole");
    let plan = Plan::from_bytes(&read(&plan)).expect("a plan");
    let catalogue = souk_common::catalogue::Catalogue::from_bytes(&read(&catalogue)).expect("a catalogue");
    let layout = Layout::new(&plan.model, &Vocabulary::from(&catalogue));
    file::decode(&read(&model), &layout).expect("a model");
}

#[test]
fn records_of_the_first_format_are_written_the_same_today() {
    let dir = unpacked();
    let coordinator = Store::open(&dir.path().join("coordinator"), None).expect("readable");
    let folder = Folder::new(dir.path().join("shop"));
    let shop = ShopStore::open(&folder).expect("readable");
    let written = records(&coordinator, &shop);
    for (name, bytes) in &written {
        let frozen = fs::read(dir.path().join("records").join(name)).expect(name);
        let [bytes, frozen] = [bytes, &frozen].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(bytes, frozen, "{name}");
    }
    let sealed = fs::read(dir.path().join("records/shop_masking.sealed")).expect("there");
    let key = fs::read(folder.key()).expect("there");
    let plain = Vault::new("souk 2026 masking at rest v1", &key)
        .open(b"masking v1", &sealed)
        .expect("it opens");
    assert!(
        serde_json::from_slice::<UnmaskSecrets>(&plain).is_err(),
        "of the first masks"
    );
    assert!(serde_json::from_slice::<serde_json::Value>(&plain).is_ok());
    let request = fs::read(dir.path().join("records/signing_request.der")).expect("there");
    let home = FederationFolder::new(dir.path().join("coordinator"));
    let issued = home.authority().expect("readable").issue_shop(
        &request,
        &"east".parse().expect("a name"),
        Timestamp(0),
    );
    assert_eq!(shop_of(&issued.expect("a good request")), "east".parse().ok());
    let frozen = fs::read_dir(dir.path().join("records")).expect("there").count();
    // The secrets of the masked attempt twice, sealed and open, and the request.
    assert_eq!(frozen, written.len() + 3, "a record that nothing is read for");
}

/// Writes the folders again, as this version has them, to the folder that `SOUK_GOLDEN` names: for a new format, beside
/// the old ones.
#[test]
#[ignore = "writes what other tests read"]
fn write_golden_folders() {
    let out = PathBuf::from(std::env::var("SOUK_GOLDEN").expect("SOUK_GOLDEN names a folder"));
    let mut federation = Federation::prepare(SOUK, &masked_plan(60, 3, &SHOPS));
    let config = federation.home().join("coordinator.toml");
    let sample = fs::read_to_string(&config).expect("a file");
    fs::write(&config, sample.replace("# keep_parts = 1", "keep_parts = 2")).expect("a file");
    federation.serve(&[]);
    for (shop, users) in SHOPS.iter().zip([30, 20, 10]) {
        federation.join(shop, users);
    }
    federation.trust_each_other(&SHOPS);
    let folder = Folder::new(federation.shop("east"));
    for tries in 0.. {
        let mut running: Vec<Running> = SHOPS
            .iter()
            .map(|shop| federation.start_client(shop, &[]))
            .collect();
        until("rounds", || {
            federation.coordinator_json(&["status"])["rounds_published"].as_u64() >= Some(3)
        });
        if tries == 0 {
            // A good end notes the shops' traffic.
            running.iter_mut().for_each(|shop| assert!(shop.stop("-TERM")));
            assert!(federation.stop_coordinator());
            federation.serve(&[]);
            continue;
        }
        // Somewhere else in an attempt each time.
        std::thread::sleep(Duration::from_millis(tries * 37 % 500));
        federation.kill_coordinator();
        running.iter_mut().for_each(Running::kill);
        let shop = ShopStore::open(&folder).expect("readable");
        let memory = shop.memory([]).expect("readable");
        let store = Store::open(&federation.home(), None).expect("readable");
        let open = store.run().expect("readable").expect("one").open;
        let masked = open.and_then(|open| store.masked(open.body.id).expect("readable"));
        if memory.masking.is_some() && memory.outbox.is_some() && masked.is_some() {
            fs::create_dir_all(out.join("records")).expect("a folder");
            for (name, bytes) in records(&store, &shop) {
                fs::write(out.join("records").join(name), bytes).expect("written");
            }
            break;
        }
        eprintln!("not in the middle of an attempt");
        drop((shop, store));
        federation.serve(&[]);
    }
    let sealed = redb::Database::open(folder.store()).expect("readable");
    let table = sealed
        .begin_read()
        .expect("readable")
        .open_table(MASKING)
        .expect("there");
    let sealed_bytes = table
        .get("current")
        .expect("readable")
        .expect("there")
        .value()
        .to_owned();
    drop((table, sealed));
    fs::write(out.join("records/shop_masking.sealed"), sealed_bytes).expect("written");
    let (_, request) = souk_common::crypto::pki::shop_key().expect("entropy");
    fs::write(out.join("records/signing_request.der"), request).expect("written");
    let packed = |path: &Path| {
        let name = path.file_name().expect("a name");
        let bytes = fs::read(path).expect("a file");
        if path.extension().is_none_or(|ending| ending != "redb") {
            return (PathBuf::from(name), bytes);
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        std::io::copy(&mut bytes.as_slice(), &mut packer).expect("memory");
        let name = format!("{}.gz", name.display());
        (PathBuf::from(name), packer.finish().expect("memory"))
    };
    copy(&federation.home(), &out.join("coordinator"), &packed);
    copy(folder.path(), &out.join("shop"), &packed);
    let _ = fs::remove_file(out.join("shop/run.log"));
    // Where the data was says something of this machine only.
    let data = format!("{}/", federation.plan().with_file_name("data/east").display());
    let text = fs::read_to_string(folder.config()).expect("a file");
    fs::write(out.join("shop/shop.toml"), text.replace(&data, "")).expect("written");
    fs::copy(federation.plan(), out.join("plan.toml")).expect("copied");
}

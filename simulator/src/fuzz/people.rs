//! What people write: configurations, plans, codes, tables of orders and items, and lines on a control socket.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use souk_client::config::ShopConfig;
use souk_client::control::{Answer, Question};
use souk_client::data::{DataError, FileFormat, ItemColumns, ShopDataConfig, read_catalogue, read_shop};
use souk_client::membership::peers::Trusted;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::config::parse_toml;
use souk_common::crypto::join_code::{JoinCode, JoinCodeError};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::plan::{Plan, PlanError};
use souk_coordinator::folder::Config;
use souk_coordinator::import::{self, FeatureColumns, ImportError};
use tempfile::TempDir;

use super::target::{FuzzTarget, Stage, json, well_formed};
use super::{CATALOGUE, PLAN, golden};

pub(super) fn targets() -> Vec<FuzzTarget> {
    vec![
        plan_toml(),
        toml_file::<ShopConfig>("shop_toml", golden!("shop/shop.toml")),
        toml_file::<Config>("coordinator_toml", golden!("coordinator/coordinator.toml")),
        join_code(),
        names(),
        orders("orders_csv", FileFormat::Columns, ORDERS),
        orders("orders_recbole", FileFormat::Recbole, RECBOLE),
        items(),
        catalogue_import(),
        json::<Question>(
            "control_question",
            &[
                br#"{"ask":"recommend","user":"a","wishes":{"k":10,"include_bought":false,"explain":true},"picture":true}"#,
                br#"{"ask":"recommend_all","k":3,"include_bought":true,"explain":false}"#,
                br#"{"ask":"budget"}"#,
                br#"{"ask":"leave"}"#,
            ],
        ),
        json::<Answer>(
            "control_answer",
            &[
                br#"{"answer":"failed","exit_code":64,"reason":"no such user"}"#,
                br#"{"answer":"budget","epsilon":1.5,"delta":1e-5,"unit":"user","relation":"add-remove","rounds_charged":3,"model_hash":null,"max_epsilon":8.0,"period_days":365,"epsilon_in_period":1.5}"#,
                br#"{"answer":"data","files":["orders.csv"],"rows":4,"users":2,"items":3,"pairs":4,"duplicates":0,"first":"2026-01-01","last":null,"returns":0,"returned_pairs":0,"sources":[{"name":"orders.csv","rows":5,"taken":4,"left_out":{},"bad":{"no time":1},"missing":{},"guessed":[]}],"largest":[["ann",3]],"warnings":[],"rows_not_in_catalogue":0,"items_not_in_catalogue":0,"examples_not_in_catalogue":[],"catalogue_items":3,"short_users":0,"profiles":null,"spanning_items":0,"first_spanning":null,"bad_lines":1,"bad":[{"file":"orders.csv","line":7,"reason":"no time"}],"notes":[]}"#,
            ],
        ),
        command(),
    ]
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn plan_toml() -> FuzzTarget {
    let masked = PLAN.as_bytes().to_vec();
    let examples = [
        include_str!("../../../deploy/examples/ml-100k-neumf.toml"),
        include_str!("../../../deploy/examples/ml-100k-gan.toml"),
        include_str!("../../../deploy/examples/ml-100k-ials-private.toml"),
    ];
    let golden = std::iter::once(masked).chain(examples.map(|text| text.as_bytes().to_vec()));
    FuzzTarget::text("plan_toml", golden.collect(), |bytes| {
        let Some(text) = text_of(bytes) else {
            return Stage::Header;
        };
        match Plan::from_toml(text) {
            Ok(plan) => {
                let again = Plan::from_bytes(&plan.to_bytes());
                assert!(
                    again.is_ok_and(|again| again == plan),
                    "it reads back differently"
                );
                let _ = plan.grid(1000);
                Stage::Decoded
            }
            Err(PlanError::Syntax(_)) => well_formed_toml(text),
            Err(_) => Stage::Body,
        }
    })
}

fn toml_file<T: DeserializeOwned + 'static>(name: &'static str, golden: &[u8]) -> FuzzTarget {
    FuzzTarget::text(name, vec![golden.to_vec()], |bytes| {
        let Some(text) = text_of(bytes) else {
            return Stage::Header;
        };
        match parse_toml::<T>(Path::new("a.toml"), text) {
            Ok(_) => Stage::Decoded,
            Err(error) => {
                let _ = error.to_string();
                well_formed_toml(text)
            }
        }
    })
}

fn well_formed_toml(text: &str) -> Stage {
    match toml::from_str::<toml::Table>(text) {
        Ok(_) => Stage::Body,
        Err(_) => Stage::Header,
    }
}

fn join_code() -> FuzzTarget {
    let code = JoinCode {
        address: "souk.example.org:4433".to_owned(),
        ca: Digest([5; 32]),
        secret: [7; 16].into(),
    };
    FuzzTarget::text("join_code", vec![code.to_string().into_bytes()], |bytes| {
        let Some(text) = text_of(bytes) else {
            return Stage::Header;
        };
        match text.parse::<JoinCode>() {
            Ok(code) => {
                let again = code.to_string().parse::<JoinCode>();
                assert!(
                    again.is_ok_and(|again| again == code),
                    "it reads back differently"
                );
                Stage::Decoded
            }
            Err(JoinCodeError::Damaged) => Stage::Body,
            Err(_) => Stage::Header,
        }
    })
    .repaired(check_again)
}

/// The checksum of a join code whose letters are good.
fn check_again(bytes: &mut Vec<u8>) {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let value = |letter: &u8| LETTERS.iter().position(|known| known == letter);
    let Some(values) = bytes
        .strip_prefix(b"souk1-")
        .and_then(|letters| letters.iter().map(value).collect::<Option<Vec<_>>>())
    else {
        return;
    };
    let bits = values
        .iter()
        .flat_map(|value| (0..5).rev().map(move |bit| (value >> bit & 1) as u8));
    let bits: Vec<u8> = bits.collect();
    let byte = |bits: &[u8]| bits.iter().fold(0u8, |byte, bit| byte << 1 | bit);
    let mut content: Vec<u8> = bits.as_chunks::<8>().0.iter().map(|bits| byte(bits)).collect();
    content.truncate(content.len().saturating_sub(4));
    let check = Digest::of(&content);
    content.extend_from_slice(&check.0[..4]);
    let bits = content
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut bits: Vec<u8> = bits.collect();
    bits.resize(bits.len().next_multiple_of(5), 0);
    let letters = bits.chunks(5).map(|bits| LETTERS[usize::from(byte(bits))]);
    *bytes = b"souk1-".iter().copied().chain(letters).collect();
}

/// Names, digests and digits.
fn names() -> FuzzTarget {
    let digest = Digest([0xab; 32]).to_string();
    let trusted = format!("north={}", digest.replace("abab", "ab AB "));
    let golden = vec![b"north-1".to_vec(), digest.into_bytes(), trusted.into_bytes()];
    FuzzTarget::text("names_and_digits", golden, |bytes| {
        let Some(text) = text_of(bytes) else {
            return Stage::Header;
        };
        let name = text.parse::<ShopName>();
        let digest = text.parse::<Digest>();
        let digits = hex::bytes(text);
        let trusted = text.parse::<Trusted>();
        if let Ok(name) = &name {
            assert_eq!(name.as_str(), text);
        }
        if let Ok(digest) = &digest {
            assert_eq!(digest.to_string(), text.to_lowercase());
        }
        if let Some(digits) = &digits {
            assert_eq!(hex::text(digits), text.to_lowercase());
        }
        match name.is_ok() || digest.is_ok() || digits.is_some() || trusted.is_ok() {
            true => Stage::Decoded,
            false => Stage::Body,
        }
    })
}

/// The shop's control socket takes any line; so does the coordinator's.
fn command() -> FuzzTarget {
    let golden = [
        r#"{"invite":"north"}"#,
        r#""status""#,
        r#"{"model":{"run":2,"round":3}}"#,
        r#"{"model":{"run":null,"round":null}}"#,
        r#"{"rollback":{"run":1,"round":2}}"#,
        r#"{"ca_retire":{"force":true}}"#,
    ];
    let golden = golden.map(|text| text.as_bytes().to_vec()).into();
    FuzzTarget::text("control_command", golden, |bytes| {
        match serde_json::from_slice::<souk_coordinator::control::Question>(bytes) {
            Ok(command) => {
                let written = serde_json::to_vec(&command).expect("what was read has a JSON form");
                assert!(serde_json::from_slice::<souk_coordinator::control::Question>(&written).is_ok());
                Stage::Decoded
            }
            Err(_) => well_formed(bytes),
        }
    })
}

/// A file of these bytes for as long as `read` takes. Readers take paths: a table may be gzipped, or far larger than memory.
fn with_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FOLDER: TempDir = {
            let memory = PathBuf::from("/dev/shm");
            let made = if memory.is_dir() {
                tempfile::tempdir_in(memory)
            } else {
                tempfile::tempdir()
            };
            made.expect("there is room for a temporary folder")
        };
    }
    FOLDER.with(|folder| {
        let path = folder.path().join("table");
        fs::write(&path, bytes).expect("there is room for a temporary file");
        read(&path)
    })
}

fn stage_of<T>(read: &Result<T, DataError>) -> Stage {
    match read {
        Ok(_) => Stage::Decoded,
        Err(DataError::NoOrder { .. } | DataError::NoItem { .. } | DataError::Catalogue { .. }) => {
            Stage::Body
        }
        Err(_) => Stage::Header,
    }
}

fn orders(name: &'static str, format: FileFormat, text: &[u8]) -> FuzzTarget {
    let catalogue = Catalogue::from_bytes(CATALOGUE).expect("the golden catalogue is one");
    let target = FuzzTarget::text(name, vec![text.to_vec(), zipped(text)], move |bytes| {
        with_file(bytes, |path| {
            let config = ShopDataConfig {
                format: Some(format),
                orders: souk_client::data::Paths::One(path.to_owned()),
                ..ShopDataConfig::default()
            };
            let folder = path.parent().unwrap_or(path);
            let read = read_shop(&config, folder, Some(&catalogue), NOW);
            if let Ok(data) = &read {
                let known = |history: &souk_common::dataset::History| {
                    history
                        .items
                        .iter()
                        .all(|item| (*item as usize) < catalogue.len())
                        && history.items.len() == history.times.len()
                };
                assert!(data.dataset.histories.iter().all(known));
            }
            stage_of(&read)
        })
    });
    FuzzTarget {
        fixed_bytes: TABLE_BYTES,
        ..target
    }
}

fn items() -> FuzzTarget {
    let golden = vec![ITEMS.to_vec(), zipped(ITEMS)];
    let target = FuzzTarget::text("items_csv", golden, |bytes| {
        with_file(bytes, |path| {
            stage_of(&read_catalogue(path, &ItemColumns::default(), None, None))
        })
    });
    FuzzTarget {
        fixed_bytes: TABLE_BYTES,
        ..target
    }
}

fn catalogue_import() -> FuzzTarget {
    let target = FuzzTarget::text("catalogue_import", vec![ITEMS.to_vec()], |bytes| {
        with_file(bytes, |path| {
            match import::read(path, &FeatureColumns::default()) {
                Ok(_) => Stage::Decoded,
                Err(ImportError::Line { .. } | ImportError::Items { .. }) => Stage::Body,
                Err(_) => Stage::Header,
            }
        })
    });
    FuzzTarget {
        fixed_bytes: TABLE_BYTES,
        ..target
    }
}

/// The end of November 2026.
const NOW: Timestamp = Timestamp(1_796_000_000_000);
/// Buffers of a reader and of an unpacker.
const TABLE_BYTES: usize = 1 << 20;
const ORDERS: &[u8] = b"user_id,item_id,timestamp,event,quantity,price,rating\nann,i1,1700000000,buy,1,2.5,4\n\
    \"b, \"\"bob\"\"\",i2,2026-01-02T03:04:05Z,view,-1,,\nann,i3,1700000000123,buy,2,1e2,5\n\"c\nd\",i4,2026-01-02,buy,,,\n";
const RECBOLE: &[u8] =
    b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\ti1\t3\t881250949\n7\ti2\t9\t5\n";
const ITEMS: &[u8] =
    b"item_id,title,category,brand,price\na,\"Tea, \"\"best\"\"\nloose\",drinks,,2.5\nb,Jam,spreads,Hill,\n";

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, text).expect("memory takes all bytes");
    packer.finish().expect("memory takes all bytes")
}

//! What stands in files that programs write, and what certifies.

use souk_client::membership::Membership;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::at_rest::Vault;
use souk_common::crypto::pki::{
    Authority, Validity, is_authority, is_issued_by, key_of, shop_of, valid_until,
};
use souk_common::crypto::sign::SigningKey;
use souk_common::features::Features;
use souk_common::hex;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::learned::{Releases, ReleasesFileError};
use souk_common::model::UserVector;
use souk_common::model::file::{ModelFileError, ModelMeta, decode, encode};
use souk_common::model::layout::{Layout, Vocabulary};
use souk_common::params::NoiseMultiplier;
use souk_common::plan::Plan;
use souk_common::plan::ServerPlan;
use souk_common::privacy::ledger::Chain;
use souk_common::privacy::{Ledger, LedgerSink, MemorySink};
use souk_common::release::file::ReleaseFileError;
use souk_common::release::{NoisedSum, PublicParameters, ReleaseKind, Released};
use souk_common::training::phases::{TrainingKind, TrainingPhase};
use souk_common::training::trained::Trained;
use souk_common::transfer::Carried;
use souk_common::transfer::carried::VersionName;
use souk_common::update::UpdateValues;
use souk_common::wire::codec;
use zeroize::Zeroizing;

use super::target::{FuzzTarget, Stage, behind_header, well_formed};
use super::{CATALOGUE, PLAN, golden};

pub(super) fn targets() -> Vec<FuzzTarget> {
    vec![
        model_file(),
        released(),
        releases(),
        plan_json(),
        catalogue(),
        ledger("ledger"),
        ledger("ledger_chained").repaired(chain_again),
        membership(),
        vault(),
        user_vector(),
        certificate(),
        signing_request(),
        private_key(),
    ]
}

fn plan() -> Plan {
    Plan::from_toml(PLAN).expect("the golden plan is one")
}

fn model_file() -> FuzzTarget {
    let catalogue = Catalogue::from_bytes(CATALOGUE).expect("the golden catalogue is one");
    let layout = Layout::new(&plan().model, &Vocabulary::from(&catalogue));
    let params: Vec<f32> = (0..layout.len()).map(|at| at as f32).collect();
    let meta = ModelMeta {
        round: 3,
        plan: plan().digest(),
    };
    let golden = vec![encode(&params, &layout, &meta)];
    FuzzTarget::binary("model_file", golden, move |bytes| match decode(bytes, &layout) {
        Ok((params, meta)) => {
            let again = decode(&encode(&params, &layout, &meta), &layout);
            assert!(
                again.is_ok_and(|again| again == (params, meta)),
                "it reads back differently"
            );
            Stage::Decoded
        }
        Err(ModelFileError::Unreadable(_)) => Stage::Header,
        Err(_) => Stage::Body,
    })
    .repaired(set_lengths)
}

/// A plan's releases so far: none, failed attempts, and a first release behind them.
fn releases() -> FuzzTarget {
    let noise = NoiseMultiplier::new(0.9).ok();
    let mut releases = Releases::default();
    let mut golden = vec![releases.to_bytes()];
    for attempt in 1..3 {
        releases.charge(AttemptId { round: 1, attempt }, noise);
        golden.push(releases.to_bytes());
    }
    releases.last = Released::from_bytes(&two_releases()[0]).ok().map(Box::new);
    golden.push(releases.to_bytes());
    let phase = |kind| TrainingPhase::new(kind, 2, 0.1);
    let server = ServerPlan::Plain { learning_rate: 1.0 };
    let begun = Trained::initial(&phase(TrainingKind::Model), &server, vec![0.5, -1.0]);
    let tower = Trained::initial(&phase(TrainingKind::Tower), &server, vec![0.25; 2]);
    let sum = NoisedSum {
        values: UpdateValues::B32(vec![7, 9]),
        clip_units: 10.0,
        noise_stddev: 1.0,
    };
    releases.trained = vec![begun];
    releases
        .trained
        .extend(tower.step(&phase(TrainingKind::Tower), &server, 2.0, sum));
    golden.push(releases.to_bytes());
    releases.carried = vec![Carried {
        of: VersionName {
            run: 1,
            round: Some(2),
        },
        file: plan().digest(),
        items: 2,
        popularity: Some((vec![1.0, 0.5], 0.25)),
        forms: Vec::new(),
        tower: None,
        model: None,
    }];
    golden.push(releases.to_bytes());
    FuzzTarget::binary("releases", golden, |bytes| match Releases::from_bytes(bytes) {
        Ok(releases) => {
            assert!(releases.to_bytes() == bytes, "it reads back differently");
            Stage::Decoded
        }
        Err(ReleasesFileError::Magic) => Stage::Header,
        Err(_) => Stage::Body,
    })
}

/// A first release, and one behind it, of two items.
fn two_releases() -> Vec<Vec<u8>> {
    let features = Features::default();
    let public = PublicParameters {
        features: &features,
        items: 2,
        seed: 1,
    };
    let sum = |coordinates: u32| NoisedSum {
        values: UpdateValues::B32((0..coordinates).map(|at| at.wrapping_mul(9_999)).collect()),
        clip_units: 65_536.0,
        noise_stddev: 0.5,
    };
    let first =
        Released::compute(ReleaseKind::Popularity, sum(2), None, false, &public).expect("two numbers");
    let kind = ReleaseKind::Collaborative;
    let second = Released::compute(kind, sum(96), Some(&first), true, &public).expect("two rows of the map");
    vec![first.to_bytes(), second.to_bytes()]
}

fn released() -> FuzzTarget {
    FuzzTarget::binary("released", two_releases(), |bytes| {
        match Released::from_bytes(bytes) {
            Ok(released) => {
                assert!(released.to_bytes() == bytes, "it reads back differently");
                let _ = released.forms(&Features::default());
                Stage::Decoded
            }
            Err(
                ReleaseFileError::Length { .. } | ReleaseFileError::Number { .. } | ReleaseFileError::Map(_),
            ) => Stage::Body,
            Err(_) => Stage::Header,
        }
    })
}

/// The lengths of the JSON at the beginning of a `safetensors` file and of the numbers behind it, as its last tensor has
/// them.
fn set_lengths(bytes: &mut Vec<u8>) {
    let Some(end) = bytes.windows(2).rposition(|pair| pair == b"}}").map(|at| at + 2) else {
        return;
    };
    let spaces = bytes[end..]
        .iter()
        .take(7)
        .take_while(|byte| **byte == b' ')
        .count();
    let Some(header) = (end + spaces).checked_sub(8) else {
        return;
    };
    bytes[..8].copy_from_slice(&(header as u64).to_le_bytes());
    // "data_offsets":[FIRST,END]
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let ends = text
        .rsplit_once("\"data_offsets\":[")
        .and_then(|(_, behind)| behind.split_once(','));
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let number = ends.map_or(String::new(), |(_, number)| digits(number));
    if let Some(length) = number.parse::<usize>().ok().filter(|length| *length < 16 << 10) {
        bytes.resize(8 + header + length, 0x3f);
    }
}

fn plan_json() -> FuzzTarget {
    FuzzTarget::text(
        "plan_json",
        vec![plan().to_bytes()],
        |bytes| match Plan::from_bytes(bytes) {
            Ok(plan) => {
                let again = Plan::from_bytes(&plan.to_bytes());
                assert!(
                    again.is_ok_and(|again| again == plan),
                    "it reads back differently"
                );
                // What every program asks a plan that it took.
                let _ = (
                    plan.grid(1000),
                    plan.charged_noise_multiplier(),
                    plan.noise_shares(),
                );
                Stage::Decoded
            }
            Err(_) => well_formed(bytes),
        },
    )
}

fn catalogue() -> FuzzTarget {
    FuzzTarget::text("catalogue", vec![CATALOGUE.to_vec()], |bytes| {
        let read = Catalogue::from_bytes(bytes);
        if let Ok(catalogue) = &read {
            let again = Catalogue::from_bytes(&catalogue.to_bytes());
            let same = again.is_ok_and(|again| again.items() == catalogue.items());
            assert!(same, "it reads back differently");
            let _ = Vocabulary::from(catalogue);
        }
        match read {
            Ok(_) => Stage::Decoded,
            Err(_) => {
                let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                well_formed(first)
            }
        }
    })
}

/// A ledger that is read must also be one that can be opened, gone on with and read again.
fn ledger(name: &'static str) -> FuzzTarget {
    let shop: ShopName = "east".parse().expect("a name");
    FuzzTarget::text(name, vec![golden!("shop/ledger.jsonl").to_vec()], move |bytes| {
        let Ok(chain) = Chain::read(bytes) else {
            return Stage::Header;
        };
        let mut sink = MemorySink(bytes.to_vec());
        let of_another = chain.shop().is_some_and(|owner| *owner != shop);
        match Ledger::open(&mut Through(&mut sink), bytes, &shop, Timestamp(1)) {
            Ok(ledger) => {
                let spends = ledger.chain().spends().count();
                assert!(!of_another && spends >= chain.spends().count(), "a spend is lost");
                let again = Chain::read(&sink.0).map(|chain| chain.spends().count());
                assert!(
                    again.is_ok_and(|again| again == spends),
                    "it reads back differently"
                );
                if chain.records().is_empty() {
                    Stage::Body
                } else {
                    Stage::Decoded
                }
            }
            Err(_) => {
                assert!(of_another, "it is read and can't be opened");
                Stage::Body
            }
        }
    })
}

/// Lets the test keep the sink.
struct Through<'a>(&'a mut MemorySink);

impl LedgerSink for &mut Through<'_> {
    fn append_durably(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.append_durably(bytes)
    }
}

/// Makes the lines of a damaged ledger follow from one another again: their hashes, and the hashes that they name.
fn chain_again(bytes: &mut Vec<u8>) {
    const HASH: &[u8] = b",\"hash\":\"";
    const PREVIOUS: &[u8] = b"\"prev\":\"";
    let find = |line: &[u8], part: &[u8]| line.windows(part.len()).position(|window| window == part);
    let mut head = Digest::ZERO;
    let mut made = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(end) = find(line, HASH) else {
            made.extend_from_slice(line);
            continue;
        };
        let mut body = line[..end].to_vec();
        if let Some(at) = find(&body, PREVIOUS).map(|at| at + PREVIOUS.len())
            && body.len() >= at + 64
        {
            body[at..at + 64].copy_from_slice(head.to_string().as_bytes());
        }
        head = Digest::of(&[body.as_slice(), b"}"].concat());
        made.extend_from_slice(&body);
        made.extend_from_slice(HASH);
        made.extend_from_slice(format!("{head}\"}}\n").as_bytes());
    }
    *bytes = made;
}

fn membership() -> FuzzTarget {
    let golden = vec![golden!("shop/membership.json").to_vec()];
    FuzzTarget::text("membership", golden, |bytes| {
        match Membership::from_bytes(bytes) {
            Ok(membership) => {
                let again = Membership::from_bytes(&membership.to_bytes());
                assert!(
                    again.is_ok_and(|again| again == membership),
                    "it reads back differently"
                );
                let _ = (membership.words_key(), shop_of(&membership.certificate));
                Stage::Decoded
            }
            Err(_) => well_formed(bytes),
        }
    })
}

fn vault() -> FuzzTarget {
    let vault = Vault::new("souk 2026 masking at rest v1", golden!("shop/key.der"));
    let golden = vec![golden!("records/shop_masking.sealed").to_vec()];
    FuzzTarget::binary("sealed_secret", golden, move |bytes| {
        // A nonce, and a tag at least.
        if bytes.len() < 12 + 16 {
            assert!(vault.open(b"masking v1", bytes).is_none());
            return Stage::Header;
        }
        behind_header(&vault.open(b"masking v1", bytes).ok_or(()))
    })
}

fn user_vector() -> FuzzTarget {
    let vector = UserVector::new(vec![0.5, -1.0, 3.0]);
    let golden = vec![codec::encode(&vector).expect("it fits")];
    FuzzTarget::binary("user_vector", golden, |bytes| {
        let Ok(vector) = codec::decode::<UserVector>(bytes) else {
            return Stage::Header;
        };
        let again = codec::encode(&vector).expect("it fits");
        assert!(again == bytes, "it is written differently");
        Stage::Decoded
    })
    .framed()
}

fn certificates() -> Vec<Vec<u8>> {
    let text: serde_json::Value =
        serde_json::from_slice(golden!("shop/membership.json")).expect("the golden membership is JSON");
    ["certificate", "ca"]
        .iter()
        .map(|key| hex::bytes(text[key].as_str().unwrap_or_default()).expect("digits"))
        .collect()
}

fn certificate() -> FuzzTarget {
    let authority = golden!("coordinator/ca.der");
    FuzzTarget::binary("certificate", certificates(), move |bytes| {
        // A CA's names no shop.
        let _ = (shop_of(bytes), is_authority(bytes));
        let _ = (is_issued_by(bytes, authority), is_issued_by(authority, bytes));
        if let Some(valid) = Validity::of(bytes) {
            let _ = (
                valid.renew_at(),
                valid.try_again_at(valid.from),
                valid.holds_at(valid.until),
            );
        }
        match (valid_until(bytes), key_of(bytes)) {
            (None, _) => Stage::Header,
            (Some(_), None) => Stage::Body,
            (Some(_), Some(_)) => Stage::Decoded,
        }
    })
}

fn signing_request() -> FuzzTarget {
    let key = Zeroizing::new(golden!("coordinator/ca.key").to_vec());
    let authority = Authority::open(golden!("coordinator/ca.der").to_vec(), key);
    let shop: ShopName = "east".parse().expect("a name");
    let golden = vec![golden!("records/signing_request.der").to_vec()];
    FuzzTarget::binary("signing_request", golden, move |bytes| {
        match authority.issue_shop(bytes, &shop, Timestamp(0)) {
            Ok(certificate) => {
                assert_eq!(shop_of(&certificate).as_ref(), Some(&shop));
                Stage::Decoded
            }
            Err(_) => Stage::Header,
        }
    })
}

fn private_key() -> FuzzTarget {
    let golden = vec![golden!("shop/key.der").to_vec()];
    FuzzTarget::binary("private_key", golden, |bytes| {
        SigningKey::from_pkcs8(bytes).map_or(Stage::Header, |_| Stage::Decoded)
    })
}

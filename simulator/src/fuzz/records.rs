//! Records of the two stores, JSON.

use souk_client::store::{ModelWord, UploadRecord};
use souk_common::chain::LogHead;
use souk_common::crypto::sign::{Signable, Signed, SigningKey, verify};
use souk_common::ids::Digest;
use souk_common::round::statements::{Manifest, Receipt};
use souk_common::secagg::{Session, UnmaskSecrets};
use souk_common::wire::frame::from_bytes;
use souk_common::wire::messages::{Reply, Spent};
use souk_coordinator::backup::About;
use souk_coordinator::membership::authorities::State;
use souk_coordinator::store::{Invitation, Keeping, KeepingModels, LogRecord, Run, ShopRecord, Traffic};

use super::golden;
use super::target::{FuzzTarget, json, json_and};
use super::wire::bytes_of;

pub(super) fn targets() -> Vec<FuzzTarget> {
    vec![
        json::<Run>("coordinator_run", &[golden!("records/coordinator_run.json")]),
        json::<ShopRecord>("coordinator_shop", &[golden!("records/coordinator_shop.json")]),
        json::<Invitation>(
            "coordinator_invitation",
            &[br#"{"shop":"north-1","expires_at":1800000000000}"#],
        ),
        json::<Traffic>(
            "coordinator_traffic",
            &[golden!("records/coordinator_traffic.json")],
        ),
        json::<(u64, Keeping)>(
            "coordinator_keeping",
            &[golden!("records/coordinator_keeping.json")],
        ),
        json::<KeepingModels>("coordinator_keeping_models", &[br#"{"versions":100,"from":3}"#]),
        json_and::<LogRecord>(
            "coordinator_log",
            &[
                golden!("records/coordinator_log_began.json"),
                golden!("records/coordinator_log_announced.json"),
                golden!("records/coordinator_log_received.json"),
                golden!("records/coordinator_log_ended.json"),
                golden!("records/coordinator_log_masked.json"),
                golden!("records/coordinator_log_stepped.json"),
                golden!("records/coordinator_log_unmasked.json"),
                golden!("records/coordinator_log_keeping.json"),
                KEEPING_MODELS,
            ],
            |record| assert_ne!(record.digest(), Digest::ZERO),
        ),
        json_and::<Signed<Manifest>>(
            "coordinator_manifest",
            &[golden!("records/coordinator_manifest.json")],
            checked,
        ),
        json_and::<Signed<Receipt>>(
            "coordinator_receipt",
            &[golden!("records/coordinator_receipt.json")],
            checked,
        ),
        json_and::<Session>(
            "coordinator_masked",
            &[golden!("records/coordinator_masked.json")],
            |session| {
                let _ = (
                    session.digest(),
                    session.survivors_digest(),
                    session.sharers_digest(),
                );
                let _ = session.survivors().map(|survivors| session.names(survivors));
            },
        ),
        json_and::<Spent>("coordinator_spent", &[&spent()], |spent| checked(&spent.receipt)),
        json::<State>(
            "coordinator_authorities",
            &[br#"{"number":1,"serving":"ca","certifying":"ca-1"}"#],
        ),
        json::<About>(
            "coordinator_backup",
            &[br#"{"made_at":1800000000000,"log":{"length":3,"head":"0000000000000000000000000000000000000000000000000000000000000000"}}"#],
        ),
        json::<LogHead>("head", &[golden!("records/coordinator_head.json")]),
        json::<UploadRecord>("shop_upload", &[golden!("records/shop_upload.json")]),
        json_and::<ModelWord>("shop_model", &[golden!("records/shop_model.json")], |word| {
            let _ = word.manifest();
        }),
        json_and::<UnmaskSecrets>(
            "shop_masking",
            &[include_bytes!("../../../tests/vectors/shop_masking.json")],
            |masking| {
                let mut masking = masking.clone();
                let _ = masking.reveal(&[]);
                let _ = masking.confirm(&[0, 1, 2], &[], &SigningKey::from_bytes(&[7; 32]));
                let _ = masking.reveal(&[]);
            },
        ),
    ]
}

/// As the store keeps what it also sends.
fn spent() -> Vec<u8> {
    let frame = bytes_of(include_str!("../../../tests/vectors/wire/reply_spent.hex"));
    match from_bytes::<Reply>(&frame) {
        Ok(Reply::Spent(all)) => serde_json::to_vec(&all[0]).expect("it has a JSON form"),
        other => unreachable!("the vector is of that reply: {other:?}"),
    }
}

/// A signature of any length over any words, and a key that is none.
fn checked<T: Signable>(signed: &Signed<T>) {
    let _ = verify(signed, &[7; 32]);
}

/// Newer than the golden folder.
const KEEPING_MODELS: &[u8] = br#"{"previous":"b239266c9a716bd764b761a247e02fab9293c7bc807d055736b74db88ed98eef","at":1795549210897,"entry":{"keeping_models":{"versions":100,"from":0}}}"#;

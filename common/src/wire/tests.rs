//! The bytes of every message, frozen in `tests/vectors/wire/`, and hostile bytes.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::codec::{decode, encode};
use super::frame::{FrameError, Framed, HEADER_BYTES, parse_header, to_bytes};
use super::messages::{CheckIn, CheckedIn, ErrorCode, Member, Push, Reply, Request, SignedSpent, Spent};
use crate::chain::LogHead;
use crate::clock::Timestamp;
use crate::crypto::sign::Signed;
use crate::ids::{AttemptId, Digest, ShopName};
use crate::limits::{MAX_REQUEST_BYTES, PROTOCOL_VERSION};
use crate::round::statements::{
    Announcement, Authorities, Decision, DeclineCode, Manifest, Outcome, Receipt, RejectCode, UploadHeader,
};
use crate::secagg::records::{SEALED_BYTES, ShareHashes};
use crate::secagg::{
    Advertisement, Binding, Confirmation, Confirmed, Context, DeliveredShare, Revealed, Roster, SealedShare,
    Shares,
};

#[test]
fn every_message_has_the_bytes_it_was_released_with() {
    let mut checked = 0;
    for (name, message) in requests() {
        checked += check(name, &message);
    }
    for (name, message) in replies() {
        checked += check(name, &message);
    }
    for (name, message) in pushes() {
        checked += check(name, &message);
    }
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(checked, files, "a vector file that no message stands for");
}

fn check<T: Framed + Debug + PartialEq>(name: &str, message: &T) -> usize {
    let path = folder().join(format!("{name}.hex"));
    let bytes = to_bytes(message).unwrap();
    let frozen = fs::read_to_string(&path).unwrap_or_default();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let frozen: String = frozen.split_whitespace().collect();
    assert_eq!(hex, frozen, "{}", path.display());
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
    assert_eq!(parse_header::<T>(*header).unwrap(), body.len());
    assert_eq!(&decode::<T>(body).unwrap(), message);
    1
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tests", "vectors", "wire"]
        .iter()
        .collect()
}

fn requests() -> Vec<(&'static str, Request)> {
    vec![
        (
            "request_join",
            Request::Join {
                secret: [7; 16],
                csr: vec![0x30, 0x82],
            },
        ),
        (
            "request_subscribe",
            Request::Subscribe {
                software: "souk-client 0.1.0".to_owned(),
                process_id: 4711,
            },
        ),
        (
            "request_accept",
            Request::Answer {
                id: ID,
                answer: Decision::Accept,
            },
        ),
        (
            "request_decline",
            Request::Answer {
                id: ID,
                answer: Decision::Decline(DeclineCode::RecordForked),
            },
        ),
        (
            "request_blob",
            Request::Blob {
                digest: Digest([1; 32]),
                offset: 1 << 33,
            },
        ),
        ("request_upload", Request::Upload(UPLOAD)),
        ("request_leave", Request::Leave),
        ("request_advertise", Request::Advertise(signed(advertisement()))),
        (
            "request_share",
            Request::Share {
                id: ID,
                shares: Shares {
                    threshold: 2,
                    sealed: vec![sealed(1), sealed(2)],
                    hashes: vec![HASHES; 3],
                    signature: vec![9; 64],
                },
            },
        ),
        (
            "request_confirm",
            Request::Confirm(signed(Confirmation {
                id: ID,
                survivors: Digest([10; 32]),
            })),
        ),
        (
            "request_reveal",
            Request::Reveal {
                id: ID,
                shares: vec![Revealed {
                    of: 1,
                    share: [11; 32],
                }],
            },
        ),
        ("request_members", Request::Members),
        (
            "request_check_in",
            Request::CheckIn(CheckIn {
                now: Timestamp(1_800_000_000_000),
                certificate: Digest([1; 32]),
                authorities: 2,
            }),
        ),
        (
            "request_renew",
            Request::Renew {
                csr: vec![0x30, 0x82],
            },
        ),
        ("request_spent", Request::Spent { below: u64::MAX }),
        ("request_checked", Request::Checked { id: ID, bad: vec![1] }),
        (
            "request_signed_upload",
            Request::SignedUpload {
                header: UPLOAD,
                signature: vec![9; 64],
                binding: None,
            },
        ),
        (
            "request_masked_upload",
            Request::SignedUpload {
                header: UPLOAD,
                signature: Vec::new(),
                binding: Some(Binding([9; 64])),
            },
        ),
        ("request_signed_spent", Request::SignedSpent { below: u64::MAX }),
    ]
}

fn replies() -> Vec<(&'static str, Reply)> {
    vec![
        (
            "reply_joined",
            Reply::Joined {
                certificate: vec![1, 2],
                ca: vec![3],
                shop: shop(),
                signing_key: [4; 32],
            },
        ),
        ("reply_done", Reply::Done),
        ("reply_blob", Reply::Blob { len_bytes: 5 }),
        ("reply_upload_from", Reply::UploadFrom { offset: 6 }),
        ("reply_receipt", Reply::Receipt(receipt())),
        (
            "reply_rejected",
            Reply::Rejected {
                code: RejectCode::StoreFailed,
            },
        ),
        (
            "reply_left",
            Reply::Left {
                kept: "receipts".to_owned(),
            },
        ),
        (
            "reply_error",
            Reply::Error {
                code: ErrorCode::Internal,
                detail: "ü".to_owned(),
            },
        ),
        (
            "reply_too_slow",
            Reply::Error {
                code: ErrorCode::TooSlow,
                detail: String::new(),
            },
        ),
        (
            "reply_members",
            Reply::Members(vec![Member {
                shop: shop(),
                identity: [12; 32],
            }]),
        ),
        (
            "reply_checked_in",
            Reply::CheckedIn(Box::new(CheckedIn {
                now: Timestamp(1_800_000_000_001),
                authorities: signed(Authorities {
                    number: 3,
                    certificates: vec![vec![1, 2], vec![3]],
                }),
                receipt: Some(receipt()),
            })),
        ),
        (
            "reply_renewed",
            Reply::Renewed {
                certificate: vec![1, 2],
            },
        ),
        (
            "reply_spent",
            Reply::Spent(vec![Spent {
                receipt: receipt(),
                plan: Digest([2; 32]),
            }]),
        ),
        ("reply_spent_nothing", Reply::Spent(vec![])),
        (
            "reply_signed_spent",
            Reply::SignedSpent(vec![SignedSpent {
                spent: Spent {
                    receipt: receipt(),
                    plan: Digest([2; 32]),
                },
                signature: vec![9; 64],
            }]),
        ),
        ("reply_signed_spent_nothing", Reply::SignedSpent(vec![])),
    ]
}

fn receipt() -> Signed<Receipt> {
    signed(Receipt {
        shop: shop(),
        upload: UPLOAD,
        stored_at: Timestamp(1_800_000_000_000),
        log: LOG,
    })
}

fn pushes() -> Vec<(&'static str, Push)> {
    let announcement = Announcement {
        id: ID,
        plan: Digest([1; 32]),
        catalogue: Digest([2; 32]),
        model: Digest([3; 32]),
        deadline: Timestamp(-1),
        log: LOG,
    };
    vec![
        (
            "push_welcome",
            Push::Welcome {
                manifest: signed(manifest()),
            },
        ),
        ("push_announce", Push::Announce(signed(announcement))),
        (
            "push_published",
            Push::Ended {
                id: ID,
                outcome: signed(Outcome::Published(manifest())),
            },
        ),
        (
            "push_below_quorum",
            Push::Ended {
                id: ID,
                outcome: signed(Outcome::BelowQuorum {
                    accepted: 1,
                    quorum: 3,
                }),
            },
        ),
        ("push_finished", Push::Finished),
        (
            "push_not_unmasked",
            Push::Ended {
                id: ID,
                outcome: signed(Outcome::NotUnmasked {
                    survivors: 4,
                    revealed: 2,
                }),
            },
        ),
        (
            "push_roster",
            Push::Roster {
                id: ID,
                roster: Roster(vec![signed(advertisement())]),
            },
        ),
        (
            "push_sharers",
            Push::Sharers {
                id: ID,
                sharers: vec![0, 2],
            },
        ),
        (
            "push_survivors",
            Push::Survivors {
                id: ID,
                survivors: vec![0, 2],
                bindings: vec![Binding([9; 64]); 2],
            },
        ),
        (
            "push_confirmed",
            Push::Confirmed {
                id: ID,
                confirmed: vec![Confirmed {
                    shop: 2,
                    signature: vec![13; 64],
                }],
            },
        ),
        (
            "push_delivered",
            Push::Delivered {
                id: ID,
                shares: vec![DeliveredShare {
                    maker: 2,
                    threshold: 3,
                    sealed: vec![12; SEALED_BYTES],
                    hashes: HASHES,
                    path: vec![Digest([16; 32])],
                    signature: vec![9; 64],
                }],
            },
        ),
    ]
}

fn advertisement() -> Advertisement {
    Advertisement {
        context: Context {
            id: ID,
            plan: Digest([1; 32]),
            model: Digest([3; 32]),
        },
        shop: shop(),
        identity: [14; 32],
        mask_key: [15; 32],
        sealing_key: [16; 32],
        commitment: Digest([17; 32]),
    }
}

fn sealed(peer: u32) -> SealedShare {
    SealedShare {
        peer,
        bytes: vec![18; SEALED_BYTES],
    }
}

/// A message that a release adds needs a vector.
#[test]
fn no_message_is_without_a_vector() {
    fn kinds<T: Framed + Debug>(messages: Vec<(&str, T)>) {
        let number = |(_, message): &(&str, T)| encode(message).unwrap()[0];
        let mut numbers: Vec<u8> = messages.iter().map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let count = numbers.len() as u8;
        assert_eq!(numbers, (0..count).collect::<Vec<u8>>());
        let next = [&[count, 0, 0, 0], [0; 400].as_slice()].concat();
        let refused = decode::<T>(&next).unwrap_err().to_string();
        assert!(
            refused.contains("variant"),
            "kind {count} has no vector: {refused}"
        );
    }
    kinds(requests());
    kinds(replies());
    kinds(pushes());
}

/// Codes travel as four bytes, by their order: append only.
#[test]
fn every_code_has_the_number_it_was_released_with() {
    use DeclineCode as D;
    use ErrorCode as E;
    use RejectCode as R;
    let number = |bytes: Vec<u8>| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let declines = [
        D::OverBudget,
        D::BelowNoiseMinimum,
        D::PrivacyOff,
        D::Paused,
        D::PlanNotUnderstood,
        D::NotInPlan,
        D::OverUploadLimit,
        D::RecordForked,
        D::Interrupted,
        D::CouldNotCompute,
        D::MaskingRequired,
        D::BelowShopMinimum,
        D::TooFewKnownShops,
        D::ListRefused,
        D::NotFetched,
        D::BelowColludingMinimum,
        D::BelowNeighbourMinimum,
    ];
    for (at, code) in declines.iter().enumerate() {
        assert_eq!(number(encode(code).unwrap()), at as u32, "{code:?}");
    }
    let rejects = [
        R::NotOpen,
        R::WrongLength,
        R::WrongDigest,
        R::SecondUpdate,
        R::NotInvited,
        R::NotAccepted,
        R::StoreFailed,
    ];
    for (at, code) in rejects.iter().enumerate() {
        assert_eq!(number(encode(code).unwrap()), at as u32, "{code:?}");
    }
    let errors = [
        E::Version,
        E::BadRequest,
        E::NoCertificate,
        E::JoinRefused,
        E::TooManyTries,
        E::NotEnrolled,
        E::NotFound,
        E::Internal,
    ];
    for (at, code) in errors.iter().enumerate() {
        assert_eq!(number(encode(code).unwrap()), at as u32, "{code:?}");
    }
}

fn signed<T>(body: T) -> Signed<T> {
    Signed {
        body,
        signature: vec![9; 64],
    }
}

fn manifest() -> Manifest {
    Manifest {
        id: ID,
        model: Digest([1; 32]),
        parent: Digest::ZERO,
        plan: Digest([2; 32]),
        catalogue: Digest([3; 32]),
        updates: vec![(shop(), Digest([4; 32]))],
        published_at: Timestamp(1_800_000_000_000),
    }
}

fn shop() -> ShopName {
    "north-1".parse().unwrap()
}

const ID: AttemptId = AttemptId {
    round: 258,
    attempt: 2,
};
const HASHES: ShareHashes = ShareHashes {
    seed: Digest([14; 32]),
    key: Digest([15; 32]),
};
const LOG: LogHead = LogHead {
    length: 7,
    head: Digest([8; 32]),
};
const UPLOAD: UploadHeader = UploadHeader {
    id: ID,
    update: Digest([5; 32]),
    len_bytes: 4_000_000,
    ledger_length: 3,
    ledger_head: Digest([6; 32]),
};

/// Whatever decodes must encode to the very bytes it came from; nothing may panic.
fn survives<T: Framed + Debug + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = decode::<T>(bytes) {
        assert_eq!(encode(&message).unwrap(), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives::<Request>(&bytes);
        survives::<Reply>(&bytes);
        survives::<Push>(&bytes);
    }

    #[test]
    fn damaged_messages_are_decoded_or_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), value: u8, cut: bool) {
        let mut all: Vec<Vec<u8>> = requests().iter().map(|(_, message)| encode(message).unwrap()).collect();
        all.extend(replies().iter().map(|(_, message)| encode(message).unwrap()));
        all.extend(pushes().iter().map(|(_, message)| encode(message).unwrap()));
        let mut bytes = which.get(&all).clone();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if cut {
            bytes.truncate(at);
        }
        survives::<Request>(&bytes);
        survives::<Reply>(&bytes);
        survives::<Push>(&bytes);
    }

    #[test]
    fn any_header_is_parsed_or_refused_by_its_first_fault(header: [u8; HEADER_BYTES], magic: bool, version: bool, kind: bool) {
        let mut header = header;
        if magic {
            header[..4].copy_from_slice(b"SOUK");
        }
        if version {
            header[4..6].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        }
        if kind {
            header[6] = Request::KIND;
        }
        match parse_header::<Request>(header) {
            Ok(length) => prop_assert!(length <= MAX_REQUEST_BYTES),
            Err(FrameError::Magic) => prop_assert!(!magic),
            Err(FrameError::Version { got }) => prop_assert!(!version && got != PROTOCOL_VERSION),
            Err(FrameError::Kind { got, .. }) => prop_assert!(!kind && got != Request::KIND),
            Err(FrameError::TooLong { got, .. }) => prop_assert!(got > MAX_REQUEST_BYTES),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

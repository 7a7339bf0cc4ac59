//! Peers that do not follow the rules, at the door of a coordinator that runs: each ends its own session only.

use souk_common::clock::{Clock, SystemClock};
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::{Authority, shop_key};
use souk_common::ids::{AttemptId, Digest};
use souk_common::limits::{
    CONNECTIONS_PER_SHOP, MAX_JOIN_TRIES, MAX_REQUEST_BYTES, MAX_STREAMS, PROTOCOL_VERSION,
};
use souk_common::round::statements::{RejectCode, UploadHeader};
use souk_common::transport::{CloseCode, Identity};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use souk_tests::federation::{Federation, good, plan, until};
use souk_tests::hostile::{HostilePeer, identity_of, in_time, issue};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A run of one round for one shop. What the test's peer is called is in the plan, too, but not needed.
fn federation() -> Federation {
    Federation::start(SOUK, &plan(1, 1, &["north", "mallory"]), &[])
}

async fn member(federation: &Federation, shop: &str) -> HostilePeer {
    let (identity, ca) = identity_of(&federation.shop(shop));
    let peer = HostilePeer::dial(federation.address(), ca, Some(&identity)).await;
    peer.expect("a member is let in")
}

/// After all that, a shop that follows the rules takes part.
pub(crate) fn honest_shop_completes_a_round(federation: &Federation) {
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(
        north.wait(),
        "{}\n{}",
        federation.log("north"),
        federation.complaints()
    );
    assert_eq!(federation.coordinator_json(&["status"])["rounds_published"], 1);
}

fn header(length: u64) -> UploadHeader {
    UploadHeader {
        id: AttemptId { round: 1, attempt: 1 },
        update: Digest::of(b"anything"),
        len_bytes: length,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_is_no_member_is_told_so_or_turned_away() {
    let federation = federation();
    federation.join("mallory", 5);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    let address = federation.address();
    // A certificate of another authority that calls itself the same.
    let foreign = Authority::create("test", SystemClock.now()).expect("entropy");
    let foreign = issue(&foreign, "north");
    if let Some(peer) = HostilePeer::dial(address, ca.clone(), Some(&foreign)).await {
        // TLS 1.3: the client may be done before it hears the refusal.
        assert!(peer.ask(&Request::Leave).await.is_none());
        assert_eq!(
            peer.close_code().await,
            None,
            "the handshake failed, nothing of ours was said"
        );
    }
    // None at all.
    let joiner = HostilePeer::dial(address, ca.clone(), None)
        .await
        .expect("joiners are let in");
    for request in [
        Request::Leave,
        Request::Blob {
            digest: Digest::ZERO,
            offset: 0,
        },
        Request::Upload(header(400)),
    ] {
        let (reply, ..) = joiner.ask(&request).await.expect("an answer");
        assert!(
            matches!(
                reply,
                Reply::Error {
                    code: ErrorCode::NoCertificate,
                    ..
                }
            ),
            "{reply:?}"
        );
    }
    // Of the right authority, for a name that was never invited, and for a member's name.
    let key = std::fs::read(federation.home().join("ca.key")).expect("the CA's key");
    let authority = Authority::open(ca.clone(), key.into());
    for name in ["stranger", "mallory"] {
        let identity: Identity = issue(&authority, name);
        let peer = HostilePeer::dial(address, ca.clone(), Some(&identity))
            .await
            .expect("a valid certificate");
        let (reply, ..) = peer.ask(&Request::Upload(header(400))).await.expect("an answer");
        assert!(
            matches!(
                reply,
                Reply::Error {
                    code: ErrorCode::NotEnrolled,
                    ..
                }
            ),
            "{reply:?}"
        );
        assert_eq!(peer.close_code().await, Some(CloseCode::NotEnrolled as u64));
    }
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_frame_ends_the_connection_with_a_reason() {
    let federation = federation();
    federation.join("mallory", 5);
    let mut other = to_bytes(&Request::Leave).expect("a frame");
    other[4..6].copy_from_slice(&(PROTOCOL_VERSION + 1).to_le_bytes());
    let mut long = to_bytes(&Request::Leave).expect("a frame");
    long[7..11].copy_from_slice(&(MAX_REQUEST_BYTES as u32 + 1).to_le_bytes());
    let mut garbled = to_bytes(&Request::Leave).expect("a frame");
    *garbled.last_mut().expect("a body") = 0xff;
    let push = {
        let mut frame = to_bytes(&Request::Leave).expect("a frame");
        frame[6] = 3;
        frame
    };
    let cases = [
        (other, ErrorCode::Version, "bring both to the same release"),
        (long, ErrorCode::BadRequest, "the most is"),
        (vec![0xa5; 300_000], ErrorCode::BadRequest, "Souk's protocol"),
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            ErrorCode::BadRequest,
            "Souk's protocol",
        ),
        (garbled, ErrorCode::BadRequest, "no message"),
        (push, ErrorCode::BadRequest, "kind 3"),
    ];
    for (bytes, expected, words) in cases {
        let peer = member(&federation, "mallory").await;
        match peer.say(&bytes).await {
            Some(Reply::Error { code, detail }) => {
                assert!(code == expected && detail.contains(words), "{code:?} {detail}");
            }
            // Closed before all of the garbage was sent.
            None => assert!(bytes.len() > 100_000, "{words}: no answer"),
            other => panic!("{words}: {other:?}"),
        }
        assert_eq!(
            peer.close_code().await,
            Some(CloseCode::BadFrame as u64),
            "{words}"
        );
    }
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn peers_that_stall_hold_up_nobody() {
    let federation = federation();
    federation.join("mallory", 5);
    let (mut stalling, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS_PER_SHOP {
        let peer = member(&federation, "mallory").await;
        for _ in 0..MAX_STREAMS {
            let (mut send, receive) = in_time(peer.connection.open_bi()).await.expect("a stream");
            in_time(send.write_all(b"SOU")).await.expect("three bytes");
            stalling.push((send, receive));
        }
        // No more streams than that.
        let more = tokio::time::timeout(std::time::Duration::from_millis(200), peer.connection.open_bi());
        assert!(more.await.is_err());
        peers.push(peer);
    }
    honest_shop_completes_a_round(&federation);
    drop((stalling, peers));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn updates_that_lie_are_refused_by_their_reason() {
    let federation = federation();
    federation.join("mallory", 5);
    let peer = member(&federation, "mallory").await;
    // Nobody is subscribed: no attempt is open.
    let (reply, ..) = peer.ask(&Request::Upload(header(400))).await.expect("an answer");
    assert_eq!(
        reply,
        Reply::Rejected {
            code: RejectCode::NotOpen
        }
    );
    let (mut send, mut pushes) = in_time(peer.connection.open_bi()).await.expect("a stream");
    let subscribe = Request::Subscribe {
        software: "x".repeat(50_000),
        process_id: 0,
    };
    in_time(send.write_all(&to_bytes(&subscribe).expect("a frame")))
        .await
        .expect("sent");
    until("an attempt is open", || {
        federation.coordinator_json(&["status"])["state"] == "running"
    });
    for length in [0, 399, u64::MAX] {
        let (reply, ..) = peer
            .ask(&Request::Upload(header(length)))
            .await
            .expect("an answer");
        assert_eq!(
            reply,
            Reply::Rejected {
                code: RejectCode::WrongLength
            },
            "{length}"
        );
    }
    let check = federation.coordinator_json(&["plan", "check", federation.plan().to_str().expect("plain")]);
    let length = check["bytes_per_update"].as_u64().expect("a size");
    // Signed, but not by its own key: nothing is received, and no receipt would be signed for it.
    let signed = Request::SignedUpload {
        header: header(length),
        signature: vec![7; 64],
        binding: None,
    };
    let (reply, ..) = peer.ask(&signed).await.expect("an answer");
    assert!(
        matches!(&reply, Reply::Error { code: ErrorCode::BadRequest, detail } if detail.contains("signature")),
        "{reply:?}"
    );
    let (reply, mut send, mut receive) = peer
        .ask(&Request::Upload(header(length)))
        .await
        .expect("an answer");
    assert_eq!(reply, Reply::UploadFrom { offset: 0 });
    in_time(send.write_all(&vec![7; length as usize]))
        .await
        .expect("sent");
    let end: Option<Reply> = in_time(souk_common::transport::read_frame(&mut receive))
        .await
        .expect("an answer");
    assert_eq!(
        end,
        Some(Reply::Rejected {
            code: RejectCode::WrongDigest
        })
    );
    let digest = Digest::of(b"nobody's");
    let (reply, ..) = peer
        .ask(&Request::Blob {
            digest,
            offset: u64::MAX,
        })
        .await
        .expect("an answer");
    assert!(
        matches!(
            reply,
            Reply::Error {
                code: ErrorCode::NotFound,
                ..
            }
        ),
        "{reply:?}"
    );
    drop((send, pushes.stop(0u32.into())));
    // It leaves; the attempt goes on with whom it has.
    let (reply, ..) = peer.ask(&Request::Leave).await.expect("an answer");
    assert!(matches!(reply, Reply::Left { .. }), "{reply:?}");
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bad_request_for_a_certificate_does_not_use_up_the_code_and_guesses_are_slowed() {
    let federation = federation();
    federation.join("mallory", 5);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    let code: JoinCode = federation.invite("north").parse().expect("a code");
    let peer = HostilePeer::dial(federation.address(), ca, None)
        .await
        .expect("joiners are let in");
    let join = |secret: [u8; 16], csr: Vec<u8>| Request::Join { secret, csr };
    for csr in [Vec::new(), vec![0x30; 5000]] {
        let (reply, ..) = peer.ask(&join(*code.secret, csr)).await.expect("an answer");
        assert!(
            matches!(
                reply,
                Reply::Error {
                    code: ErrorCode::BadRequest,
                    ..
                }
            ),
            "{reply:?}"
        );
    }
    good(&federation.client("north", &["join", &code.to_string()]));
    let (_, csr) = shop_key().expect("entropy");
    for attempt in 0..=MAX_JOIN_TRIES {
        let (reply, ..) = peer
            .ask(&join([attempt as u8; 16], csr.clone()))
            .await
            .expect("an answer");
        let expected = if attempt < MAX_JOIN_TRIES {
            ErrorCode::JoinRefused
        } else {
            ErrorCode::TooManyTries
        };
        assert!(
            matches!(reply, Reply::Error { code, .. } if code == expected),
            "{attempt}: {reply:?}"
        );
    }
    // Nor does the right one count now: else the answers would tell.
    let code: JoinCode = federation.invite("west").parse().expect("a code");
    let (reply, ..) = peer.ask(&join(*code.secret, csr)).await.expect("an answer");
    assert!(
        matches!(
            reply,
            Reply::Error {
                code: ErrorCode::TooManyTries,
                ..
            }
        ),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_revoked_shop_is_out_at_once() {
    let federation = federation();
    federation.join("mallory", 5);
    let peer = member(&federation, "mallory").await;
    let (reply, ..) = peer.ask(&Request::Upload(header(400))).await.expect("an answer");
    assert_eq!(
        reply,
        Reply::Rejected {
            code: RejectCode::NotOpen
        },
        "a member so far"
    );
    let mut running = federation.start_client("mallory", &[]);
    until("it is connected", || {
        federation.log("mallory").contains("accepted")
    });
    good(&federation.coordinator(&["revoke", "mallory"]));
    assert_eq!(peer.close_code().await, Some(CloseCode::NotEnrolled as u64));
    until("its run is told", || {
        federation.log("mallory").contains("no member any more")
    });
    let again = member(&federation, "mallory").await;
    let (reply, ..) = again.ask(&Request::Upload(header(400))).await.expect("an answer");
    assert!(
        matches!(
            reply,
            Reply::Error {
                code: ErrorCode::NotEnrolled,
                ..
            }
        ),
        "{reply:?}"
    );
    assert_eq!(again.close_code().await, Some(CloseCode::NotEnrolled as u64));
    running.kill();
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_goes_on_where_its_connection_broke() {
    let mut federation = federation();
    federation.join("mallory", 5);
    let check = federation.coordinator_json(&["plan", "check", federation.plan().to_str().expect("plain")]);
    let length = check["bytes_per_update"].as_u64().expect("a size") as usize;
    let bytes: Vec<u8> = (0..length).map(|at| (at % 4 == 0) as u8).collect();
    let upload = UploadHeader {
        update: Digest::of(&bytes),
        ..header(length as u64)
    };
    let peer = member(&federation, "mallory").await;
    let (mut send, _pushes) = in_time(peer.connection.open_bi()).await.expect("a stream");
    let subscribe = Request::Subscribe {
        software: "test".into(),
        process_id: 0,
    };
    in_time(send.write_all(&to_bytes(&subscribe).expect("a frame")))
        .await
        .expect("sent");
    until("an attempt is open", || {
        federation.coordinator_json(&["status"])["state"] == "running"
    });
    // The first half comes, then nothing more; its connection is not closed either, as when a cable is pulled.
    let silent = member(&federation, "mallory").await;
    let (reply, mut half, _answer) = silent.ask(&Request::Upload(upload)).await.expect("an answer");
    assert_eq!(reply, Reply::UploadFrom { offset: 0 });
    in_time(half.write_all(&bytes[..length / 2])).await.expect("sent");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    // The beginning is not taken on trust: with another end it is thrown away.
    let end = |offset: usize, last: u8| {
        let mut end = bytes[offset..].to_vec();
        *end.last_mut().expect("a byte") ^= last;
        end
    };
    for wrong in [1, 0] {
        let peer = member(&federation, "mallory").await;
        let (reply, mut send, mut receive) = peer.ask(&Request::Upload(upload)).await.expect("an answer");
        let Reply::UploadFrom { offset } = reply else {
            panic!("{reply:?}");
        };
        let from = offset as usize;
        assert!(
            if wrong == 1 {
                (1..=length / 2).contains(&from)
            } else {
                from == 0
            },
            "{wrong}: {from}"
        );
        in_time(send.write_all(&end(from, wrong))).await.expect("sent");
        let said: Option<Reply> = in_time(souk_common::transport::read_frame(&mut receive))
            .await
            .expect("an answer");
        match said {
            Some(Reply::Rejected { code }) if wrong == 1 => assert_eq!(code, RejectCode::WrongDigest),
            Some(Reply::Receipt(receipt)) if wrong == 0 => assert_eq!(receipt.body.upload, upload),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    assert!(federation.stop_coordinator());
}

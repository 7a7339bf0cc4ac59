use souk_common::wire::messages::ErrorCode;

use super::*;
use crate::participate::BlobKind;

fn blob(kind: BlobKind, bytes: &[u8]) -> Blob {
    let digest = Digest::of(bytes);
    Blob { kind, digest }
}

fn answer(attempt: u32) -> Outgoing {
    Outgoing::Answer(AttemptId { round: 1, attempt }, Decision::Accept)
}

fn voice() -> Voice {
    Voice {
        shop: "north".parse().unwrap(),
        words_key: SigningKey::from_bytes(&[5; 32]).public(),
        signing: SigningKey::from_bytes(&[6; 32]),
    }
}

fn attempt_of(exchange: &Exchange) -> u32 {
    match exchange.what {
        Outgoing::Answer(id, _) => id.attempt,
        _ => 0,
    }
}

#[test]
fn each_line_says_one_thing_at_a_time_in_order_and_what_is_due_later_delays_nothing() {
    let (mut queue, now) = (RequestQueue::default(), Timestamp(100));
    queue.post(now, answer(1));
    assert!(queue.next(now).is_none(), "dropped without a connection");
    queue.connected();
    let fetch = blob(BlobKind::Model, b"model");
    queue.post(now, Outgoing::Fetch(fetch, Timestamp(150)));
    queue.post(now, answer(1));
    queue.post(now, answer(2));
    queue.post(now, Outgoing::Renew(Vec::new()));
    let first = queue.next(now).unwrap();
    assert_eq!(attempt_of(&first), 1);
    assert!(matches!(queue.next(now).unwrap().what, Outgoing::Renew(_)));
    assert!(queue.next(now).is_none(), "both lines wait for their replies");
    assert_eq!(queue.due(), Some(Timestamp(150)));
    assert!(matches!(
        queue.next(Timestamp(150)).unwrap().what,
        Outgoing::Fetch(..)
    ));
    assert_eq!(queue.due(), None);
    assert!(queue.ended(first.number()) && !queue.ended(first.number()));
    let second = queue.next(now).unwrap();
    queue.post(now, Outgoing::Fetch(fetch, Timestamp(150)));
    let set_back = Timestamp(-9_000);
    assert!(queue.next(set_back).is_none());
    assert_eq!(queue.due(), Some(set_back + Duration::from_millis(50)));
    assert_eq!(attempt_of(&second), 2);
    queue.post(now, answer(3));
    queue.connected();
    assert!(!queue.ended(second.number()), "of a connection that is no more");
    assert!(queue.next(now).is_none(), "forgotten with it");
}

#[test]
fn a_reply_becomes_an_event_and_one_that_does_not_belong_here_is_none() {
    let (dir, voice, now) = (tempfile::tempdir().unwrap(), voice(), Timestamp(1));
    let folder = Folder::new(dir.path());
    let key = AttemptKey {
        plan: Digest::ZERO,
        id: AttemptId { round: 1, attempt: 1 },
    };
    let refused = || Reply::Error {
        code: ErrorCode::BadRequest,
        detail: "too late".to_owned(),
    };
    let word = |request| Exchange::new(Outgoing::Word(key, Box::new(request)));
    let checked = Request::Checked {
        id: key.id,
        bad: Vec::new(),
    };
    let mut exchange = word(checked);
    exchange.begin(&voice, &folder, now).unwrap();
    assert!(matches!(
        exchange.reply(&voice, now, refused()),
        Ok(Then::Came(Came::NotTaken(of, reason))) if of == key && reason.contains("too late")
    ));
    let mut exchange = word(Request::Reveal {
        id: key.id,
        shares: Vec::new(),
    });
    assert!(matches!(
        exchange.reply(&voice, now, refused()),
        Ok(Then::Came(Came::Nothing))
    ));
    let left = Reply::Left { kept: String::new() };
    assert!(exchange.reply(&voice, now, left).is_err());
    let late = TimedOut {
        step: Step::Ask,
        limit: Step::Ask.limit(),
    };
    assert!(matches!(exchange.failed(late.into()), Came::HangUp));
    let renew = Exchange::new(Outgoing::Renew(Vec::new()));
    assert!(matches!(renew.failed(late.into()), Came::Renewed(Err(_))));
}

#[test]
fn a_blob_that_broke_off_is_fetched_from_there_on_and_one_that_is_here_not_at_all() {
    let (dir, voice, now) = (tempfile::tempdir().unwrap(), voice(), Timestamp(1));
    let (folder, bytes) = (Folder::new(dir.path()), b"the plan's bytes");
    let plan = blob(BlobKind::Plan, bytes);
    let fetch = || Exchange::new(Outgoing::Fetch(plan, now));
    let whole = Reply::Blob {
        len_bytes: bytes.len() as u64,
    };
    let asked = |exchange: &mut Exchange| match exchange.begin(&voice, &folder, now).unwrap() {
        Begin::Ask(request, _) => match *request {
            Request::Blob { offset, .. } => Some(offset),
            other => panic!("{other:?}"),
        },
        Begin::Came(Came::Event(Event::BlobReady(_))) => None,
        Begin::Came(other) => panic!("{other:?}"),
    };
    let mut exchange = fetch();
    assert_eq!(asked(&mut exchange), Some(0));
    exchange.reply(&voice, now, whole.clone()).unwrap();
    exchange.take(&bytes[..4]).unwrap();
    assert!(matches!(
        exchange.failed(anyhow::anyhow!("cut")),
        Came::Event(Event::BlobFailed(of)) if of == plan
    ));
    let mut exchange = fetch();
    assert_eq!(asked(&mut exchange), Some(4));
    let left = exchange.reply(&voice, now, whole.clone()).unwrap();
    assert!(matches!(left, Then::Take(12)), "{left:?}");
    exchange.take(&bytes[4..]).unwrap();
    assert!(matches!(
        exchange.taken(&folder),
        Ok(Came::Event(Event::BlobReady(of))) if of == plan
    ));
    assert_eq!(asked(&mut fetch()), None);
    // Bytes of another one are dropped, and the next try begins anew.
    std::fs::remove_file(folder.blob(&plan)).unwrap();
    let mut exchange = fetch();
    asked(&mut exchange);
    exchange.reply(&voice, now, whole).unwrap();
    exchange.take(&[0; 16]).unwrap();
    assert!(exchange.taken(&folder).is_err());
    assert_eq!(asked(&mut fetch()), Some(0));
}

use souk_common::crypto::pki::{SecretKey, request_for, shop_key, valid_until};

use super::*;
use crate::membership::enrolment::JoinError;
use crate::membership::join_codes::{Code, INVITATION_LASTS, look_up};
use crate::store::{Enrolled, RefusalCause};

const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// A shop's certificate for `key`, and who it is by it.
fn certified(
    authority: &Authority,
    shop: &ShopName,
    key: &SecretKey,
    now: Timestamp,
) -> (Vec<u8>, PeerIdentity) {
    let csr = request_for(key).unwrap();
    let certificate = authority.issue_shop_for(LIFE, &csr, shop, now).unwrap();
    let peer = peer(shop, &certificate);
    (certificate, peer)
}

fn peer(shop: &ShopName, certificate: &[u8]) -> PeerIdentity {
    PeerIdentity {
        shop: shop.clone(),
        fingerprint: Digest::of(certificate),
        identity: key_of(certificate).unwrap(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    (dir, store)
}

/// Invites, and joins with that code.
fn joins(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    certificate: &[u8],
    code: u8,
) -> Result<Enrolled, JoinError> {
    let secret = &[code; 16];
    invite(store, now, shop, secret).unwrap();
    enrol(store, now, shop, certificate, Applicant { secret, from: None })
}

fn with(
    code: u8,
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    certificate: &[u8],
) -> Result<Enrolled, JoinError> {
    let secret = &[code; 16];
    enrol(store, now, shop, certificate, Applicant { secret, from: None })
}

fn cause(joined: Result<Enrolled, JoinError>) -> RefusalCause {
    match joined {
        Err(JoinError::Refused { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_code_works_once_and_not_after_a_day() {
    let (_dir, mut store) = store();
    let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1));
    invite(&mut store, now, &shop, &[1; 16]).unwrap();
    let code = |store: &Store, now, code| look_up(store, now, &[code; 16]).unwrap();
    assert_eq!(code(&store, now, 2), Code::Unknown);
    for _ in 0..2 {
        assert_eq!(
            code(&store, now, 1),
            Code::Works(shop.clone()),
            "looking does not use it up"
        );
    }
    let late = now + INVITATION_LASTS;
    assert_eq!(
        code(&store, late, 1),
        Code::Worked(shop.clone(), RefusalCause::ExpiredCode)
    );
    assert_eq!(
        cause(with(1, &mut store, late, &shop, b"certificate")),
        RefusalCause::ExpiredCode
    );
    let enrolled = with(1, &mut store, now, &shop, b"certificate").unwrap();
    assert_eq!((enrolled.shop, enrolled.again), (shop.clone(), false));
    let used = RefusalCause::EndedCode(CodeEnd::Used);
    assert_eq!(cause(with(1, &mut store, now, &shop, b"certificate")), used);
}

#[test]
fn an_invitation_an_enrolment_a_revocation_and_a_leave_end_all_earlier_codes_of_the_name() {
    let (_dir, mut store) = store();
    let (shop, other): (ShopName, ShopName) = ("north".parse().unwrap(), "south".parse().unwrap());
    let now = Timestamp::from_secs(1);
    let authority = Authority::create("test", now).unwrap();
    let mine = certified(&authority, &shop, &shop_key().unwrap().0, now).0;
    let theirs = certified(&authority, &shop, &shop_key().unwrap().0, now).0;
    invite(&mut store, now, &other, &[9; 16]).unwrap();
    invite(&mut store, now, &shop, &[1; 16]).unwrap();
    assert_eq!(invite(&mut store, now, &shop, &[2; 16]).unwrap().1, 1);
    let ended = |by| RefusalCause::EndedCode(by);
    assert_eq!(
        cause(with(1, &mut store, now, &shop, &theirs)),
        ended(CodeEnd::Replaced)
    );
    // As an older version may have left one behind.
    let leave_behind = |store: &mut Store, code: u8| {
        let invitation = crate::store::Invitation {
            shop: "north".parse().unwrap(),
            expires_at: now + INVITATION_LASTS,
            made_at: None,
        };
        let secret = crate::membership::join_codes::hashed(&[code; 16]);
        store
            .change(|change| change.invite(&secret, &invitation))
            .unwrap();
    };
    leave_behind(&mut store, 3);
    with(2, &mut store, now, &shop, &mine).unwrap();
    assert_eq!(
        cause(with(3, &mut store, now, &shop, &theirs)),
        ended(CodeEnd::Enrolled)
    );
    leave_behind(&mut store, 4);
    assert_eq!(
        cause(with(4, &mut store, now, &shop, &theirs)),
        RefusalCause::NameEnrolled
    );
    let key = store.shop(&shop).unwrap().unwrap().identity;
    assert_eq!(
        key,
        hex::text(&key_of(&mine).unwrap()),
        "nobody has taken the name over"
    );
    assert_eq!(end(&mut store, now, &shop, Standing::Revoked).unwrap().codes, 1);
    assert_eq!(
        cause(with(4, &mut store, now, &shop, &theirs)),
        ended(CodeEnd::Revoked)
    );
    joins(&mut store, now, &shop, &theirs, 5).unwrap();
    leave_behind(&mut store, 6);
    end(&mut store, now, &shop, Standing::Left).unwrap();
    assert_eq!(
        cause(with(6, &mut store, now, &shop, &mine)),
        ended(CodeEnd::Left)
    );
    // Those of another name were never touched.
    let pending = pending(&store, now).unwrap();
    let names: Vec<&str> = pending.iter().map(|(code, _)| code.shop.as_str()).collect();
    assert_eq!(names, ["south"]);
}

#[test]
fn a_member_is_invited_again_for_its_own_key_only() {
    let (_dir, mut store) = store();
    let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1));
    let authority = Authority::create("test", now).unwrap();
    let key = shop_key().unwrap().0;
    let mine = certified(&authority, &shop, &key, now).0;
    let theirs = certified(&authority, &shop, &shop_key().unwrap().0, now).0;
    let early = invite_again(&mut store, now, &shop, &[1; 16]).unwrap_err();
    assert!(early.to_string().contains("not enrolled"), "{early}");
    joins(&mut store, now, &shop, &mine, 1).unwrap();
    let error = invite(&mut store, now, &shop, &[2; 16]).unwrap_err().to_string();
    assert!(
        error.contains("revoke it first") && error.contains("invite north --again"),
        "{error}"
    );
    invite_again(&mut store, now, &shop, &[2; 16]).unwrap();
    assert!(pending(&store, now).unwrap()[0].1, "listed as such");
    assert_eq!(
        cause(with(2, &mut store, now, &shop, &theirs)),
        RefusalCause::NameEnrolled
    );
    let newer = certified(&authority, &shop, &key, now + Duration::from_secs(9)).0;
    assert!(with(2, &mut store, now, &shop, &newer).unwrap().again);
    assert_eq!(store.shop(&shop).unwrap().unwrap().certificate, hex::text(&newer));
    // A code for the own key is none for any key once the name is revoked.
    invite_again(&mut store, now, &shop, &[3; 16]).unwrap();
    end(&mut store, now, &shop, Standing::Revoked).unwrap();
    let revoked = RefusalCause::EndedCode(CodeEnd::Revoked);
    assert_eq!(cause(with(3, &mut store, now, &shop, &theirs)), revoked);
}

#[test]
fn pending_codes_are_listed_and_cancelled_and_old_ones_are_forgotten() {
    let (_dir, mut store) = store();
    let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1));
    let none = cancel(&mut store, now, &shop).unwrap_err().to_string();
    assert!(none.contains("north") && none.contains("--list"), "{none}");
    invite(&mut store, now, &shop, &[1; 16]).unwrap();
    assert_eq!(pending(&store, now).unwrap().len(), 1);
    assert_eq!(pending(&store, now + INVITATION_LASTS).unwrap(), [], "expired");
    assert_eq!(cancel(&mut store, now, &shop).unwrap(), 1);
    assert_eq!(pending(&store, now).unwrap(), []);
    let cancelled = RefusalCause::EndedCode(CodeEnd::Cancelled);
    assert_eq!(cause(with(1, &mut store, now, &shop, b"certificate")), cancelled);
    // A name that is nobody's yet can be revoked, too: its codes end.
    invite(&mut store, now, &shop, &[2; 16]).unwrap();
    let ended = end(&mut store, now, &shop, Standing::Revoked).unwrap();
    assert_eq!(
        ended,
        EndedMembership {
            was_known: false,
            codes: 1
        }
    );
    let much_later = now + INVITATION_LASTS * 40;
    invite(&mut store, much_later, &shop, &[3; 16]).unwrap();
    assert_eq!(look_up(&store, much_later, &[1; 16]).unwrap(), Code::Unknown);
}

#[test]
fn a_revoked_shop_is_not_allowed_and_may_be_invited_again() {
    let (_dir, mut store) = store();
    let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp(0));
    assert!(matches!(
        end(&mut store, now, &shop, Standing::Revoked),
        Err(RegistryError::Unknown { .. })
    ));
    let authority = Authority::create("test", now).unwrap();
    let (mine, others) = (shop_key().unwrap().0, shop_key().unwrap().0);
    let (certificate, peer) = certified(&authority, &shop, &mine, now);
    joins(&mut store, now, &shop, &certificate, 0).unwrap();
    assert!(allows(&store, &peer).unwrap());
    let (_, again) = certified(&authority, &shop, &mine, now);
    assert!(
        allows(&store, &again).unwrap(),
        "another certificate for the same key"
    );
    let (_, other) = certified(&authority, &shop, &others, now);
    assert!(!allows(&store, &other).unwrap(), "another key of that name");
    assert!(invite(&mut store, now, &shop, &[1; 16]).is_err());
    end(&mut store, now, &shop, Standing::Revoked).unwrap();
    assert!(!allows(&store, &peer).unwrap());
    let csr = request_for(&mine).unwrap();
    let renewed = renew(&mut store, now, &peer, &csr, (&authority, LIFE));
    assert!(
        matches!(renewed, Err(RegistryError::NoMember)),
        "nor certified again"
    );
    invite(&mut store, now, &shop, &[1; 16]).unwrap();
}

#[test]
fn a_certificate_is_renewed_for_the_same_key_when_it_is_due_or_its_authority_is_replaced() {
    let (_dir, mut store) = store();
    let (shop, joined): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1_800_000_000));
    let authority = Authority::create("test", joined).unwrap();
    let key = shop_key().unwrap().0;
    let (first, mut peer_now) = certified(&authority, &shop, &key, joined);
    joins(&mut store, joined, &shop, &first, 0).unwrap();
    let csr = request_for(&key).unwrap();
    let early = renew(&mut store, joined, &peer_now, &csr, (&authority, LIFE)).unwrap();
    assert_eq!(early, first, "not due: the same one");
    let due = joined + LIFE * 3 / 4;
    let (_, other_csr) = shop_key().unwrap();
    let other = renew(&mut store, due, &peer_now, &other_csr, (&authority, LIFE));
    assert!(matches!(other, Err(RegistryError::OtherKey)));
    let second = renew(&mut store, due, &peer_now, &csr, (&authority, LIFE)).unwrap();
    assert!(valid_until(&second) > valid_until(&first) && key_of(&second) == key_of(&first));
    let lost = renew(&mut store, due, &peer_now, &csr, (&authority, LIFE)).unwrap();
    assert_eq!(
        lost, second,
        "whoever lost the answer asks again and gets the same"
    );
    // Known to be held only once the shop says that it has it on its disk, or dials with it.
    let held = |store: &Store| store.shop(&shop).unwrap().unwrap().fingerprint;
    let mut word = CheckIn {
        now: due,
        certificate: Digest::of(&first),
        authorities: 0,
    };
    check_in(&mut store, due, &peer_now, &first, &word).unwrap();
    assert_eq!(held(&store), Digest::of(&first).to_string());
    word.certificate = Digest::of(&second);
    check_in(&mut store, due, &peer_now, &first, &word).unwrap();
    assert_eq!(held(&store), Digest::of(&second).to_string());
    assert!(
        allows(&store, &peer_now).unwrap(),
        "the connection that stands goes on"
    );
    let successor = Authority::create("test", due).unwrap();
    let third = renew(&mut store, due, &peer_now, &csr, (&successor, LIFE)).unwrap();
    assert!(
        is_issued_by(&third, successor.certificate()),
        "not due, but by the old authority"
    );
    peer_now = peer(&shop, &third);
    word.now = due + Duration::from_secs(90);
    word.certificate = Digest::of(&second);
    check_in(&mut store, due, &peer_now, &third, &word).unwrap();
    let member = store.shop(&shop).unwrap().unwrap();
    assert_eq!(
        member.fingerprint,
        peer_now.fingerprint.to_string(),
        "dialled with it"
    );
    assert_eq!(member.clock_ahead_ms, Some(90_000));
}

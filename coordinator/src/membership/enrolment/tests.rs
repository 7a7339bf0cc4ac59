//! Tries to enrol, honest and not, on a real store and a clock of the test's own.

use souk_common::crypto::pki::{Authority, shop_key};
use souk_common::limits::MAX_JOIN_TRIES;

use super::*;
use crate::membership::registry::{cancel, invite};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

struct Office {
    _dir: tempfile::TempDir,
    store: Store,
    desk: Desk,
    authority: Authority,
}

impl Office {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(dir.path(), None).unwrap(),
            desk: Desk::default(),
            authority: Authority::create("test", NOW).unwrap(),
            _dir: dir,
        }
    }

    fn invite(&mut self, shop: &str, code: u8) {
        invite(&mut self.store, NOW, &shop.parse().unwrap(), &[code; 16]).unwrap();
    }

    /// Tries a code with a key of its own; why it was refused.
    fn tries(
        &mut self,
        now: Timestamp,
        from: IpAddr,
        secret: [u8; 16],
        csr: &[u8],
    ) -> Result<Enrolled, RefusalCause> {
        let applicant = Applicant {
            secret: &secret,
            from: Some(from),
        };
        let issue = |shop: &ShopName| self.authority.issue_shop(csr, shop, now);
        match self.desk.enrol(&mut self.store, now, applicant, issue) {
            Ok((enrolled, _)) => Ok(enrolled),
            Err(JoinError::Refused { cause, .. }) => Err(cause),
            Err(JoinError::Store(error)) => panic!("{error}"),
        }
    }

    fn write(&mut self, now: Timestamp) -> Option<Refusals> {
        self.desk.write(&mut self.store, now, false).unwrap()
    }

    /// What the record says, and that it is a whole chain.
    fn record(&self) -> Vec<Entry> {
        let mut before = Digest::ZERO;
        let log = self.store.log().unwrap();
        for record in &log {
            assert_eq!(record.previous, before);
            before = record.digest();
        }
        log.into_iter().map(|record| record.entry).collect()
    }
}

fn guess(number: u32) -> [u8; 16] {
    let mut secret = [0xff; 16];
    secret[..4].copy_from_slice(&number.to_le_bytes());
    secret
}

fn host(number: u32) -> IpAddr {
    IpAddr::from([10, (number >> 16) as u8, (number >> 8) as u8, number as u8])
}

#[test]
fn ten_thousand_wrong_codes_from_one_net_make_it_wait_and_an_honest_shop_enrols_at_once() {
    let mut office = Office::open();
    office.invite("north", 1);
    let csr = shop_key().unwrap().1;
    let inside = |host: u32| IpAddr::from([0x2001, 0xdb8, 0, 7, 1, 2, (host >> 16) as u16, host as u16]);
    let mut causes = std::collections::HashMap::new();
    for number in 0..10_000 {
        let refused = office
            .tries(NOW, inside(number), guess(number), &csr)
            .unwrap_err();
        *causes.entry(refused).or_insert(0) += 1;
        office.write(NOW);
    }
    assert_eq!(causes[&RefusalCause::WrongCode], MAX_JOIN_TRIES);
    assert_eq!(causes[&RefusalCause::TooManyTries], 10_000 - MAX_JOIN_TRIES);
    // That net waits, even with the right code; the one beside it does not.
    let waits = office.tries(NOW, inside(77), [1; 16], &csr);
    assert_eq!(waits, Err(RefusalCause::TooManyTries));
    let honest = "2001:db8:0:8::1".parse().unwrap();
    let enrolled = office.tries(NOW, honest, [1; 16], &csr).unwrap();
    assert_eq!(enrolled.from.as_deref(), Some("2001:db8:0:8::/64"));
    assert_eq!(office.record().len(), 2, "the first try, and the enrolment");
    let rest = office.write(NOW + FIRST_PAUSE).unwrap();
    assert!(rest.add_up() && rest.tries == 10_000, "{rest}");
    assert!(
        rest.to_string().contains("2001:db8:0:7::/64 (9996 times)"),
        "{rest}"
    );
}

#[test]
fn wrong_codes_from_a_thousand_addresses_lock_nobody_out_and_fill_no_disk() {
    let mut office = Office::open();
    office.invite("north", 1);
    let csr = shop_key().unwrap().1;
    for number in 0..20_000 {
        let refused = office.tries(NOW, host(number % 1000), guess(number), &csr);
        assert!(refused.is_err());
        office.write(NOW);
    }
    assert!(
        office
            .tries(NOW, "192.0.2.1".parse().unwrap(), [1; 16], &csr)
            .is_ok()
    );
    let rest = office.write(NOW + FIRST_PAUSE).unwrap();
    assert_eq!((rest.tries, rest.of.len()), (19_999, MOST_KINDS));
    assert!(rest.add_up());
    assert!(serde_json::to_vec(&rest).unwrap().len() < 2048);
    assert_eq!(office.record().len(), 3);
}

#[test]
fn who_tries_all_day_adds_few_entries_however_it_paces_itself() {
    for pace in [1, 61, 600, 3_700] {
        let mut office = Office::open();
        let (mut now, end) = (NOW, NOW + Duration::from_secs(24 * 3600));
        let mut number = 0;
        while now < end {
            let refused = office.tries(now, host(number), guess(number), b"");
            assert!(refused.is_err());
            office.write(now);
            (number, now) = (number + 1, now + Duration::from_secs(pace));
        }
        let entries = office.record().len();
        assert!((23..=30).contains(&entries), "{entries} at one in {pace} s");
    }
}

#[test]
fn every_try_stands_in_the_record_with_name_address_and_key_where_they_are_known() {
    let mut office = Office::open();
    let (north, csr) = ("north".parse().unwrap(), shop_key().unwrap().1);
    office.invite("north", 1);
    office.invite("north", 2);
    office.invite("south", 3);
    cancel(&mut office.store, NOW, &"south".parse().unwrap()).unwrap();
    office.invite("east", 4);
    let late = NOW + Duration::from_secs(25 * 3600);
    let enrolled = office.tries(NOW, host(1), [2; 16], &csr).unwrap();
    assert_eq!(
        (&enrolled.shop, enrolled.from.as_deref()),
        (&north, Some("10.0.0.1"))
    );
    let thief = shop_key().unwrap().1;
    // A flood of guesses first: it hides nothing.
    for number in 0..100 {
        assert!(
            office
                .tries(NOW, host(1000 + number), guess(number), &thief)
                .is_err()
        );
    }
    let tried = [
        (NOW, 1, RefusalCause::EndedCode(CodeEnd::Replaced)),
        (NOW, 2, RefusalCause::EndedCode(CodeEnd::Used)),
        (NOW, 3, RefusalCause::EndedCode(CodeEnd::Cancelled)),
        (late, 4, RefusalCause::ExpiredCode),
    ];
    for (now, code, cause) in tried {
        assert_eq!(office.tries(now, host(9), [code; 16], &thief), Err(cause));
    }
    office.invite("west", 5);
    assert_eq!(
        office.tries(NOW, host(8), [5; 16], b"none"),
        Err(RefusalCause::BadRequest)
    );
    let written = office.write(NOW).unwrap();
    let named: Vec<_> = written.of.iter().filter(|one| one.shop.is_some()).collect();
    let causes: Vec<RefusalCause> = named.iter().map(|one| one.cause).collect();
    let all = tried.map(|(_, _, cause)| cause);
    assert_eq!(causes, [&all[..], &[RefusalCause::BadRequest]].concat());
    let keys: Vec<bool> = named
        .iter()
        .map(|one| one.key.is_some() && one.key != enrolled.key)
        .collect();
    assert_eq!(
        keys,
        [true, true, true, true, false],
        "the thief's, where it has shown one"
    );
    assert!(named.iter().all(|one| one.from.starts_with("10.0.0.")));
    assert_eq!(named[1].shop.as_ref(), Some(&north));
    assert!(written.add_up() && written.tries == 105, "{written}");
    let line = written.to_string();
    assert!(
        line.contains("code that was used before from 10.0.0.9 for north by key "),
        "{line}"
    );
    assert!(
        matches!(&office.record()[..], [Entry::Enrolled(first), Entry::EnrolmentsRefused(second)]
        if *first == enrolled && *second == written)
    );
}

/// A shop that was stopped before it had stored its certificate asks for it again.
#[test]
fn a_used_code_works_again_for_the_key_that_joined_with_it_until_that_shop_was_here_and_for_no_other() {
    let mut office = Office::open();
    let (own, other) = (shop_key().unwrap().1, shop_key().unwrap().1);
    let north = "north".parse().unwrap();
    office.invite("north", 1);
    let first = office.tries(NOW, host(1), [1; 16], &own).unwrap();
    let used = Err(RefusalCause::EndedCode(CodeEnd::Used));
    assert_eq!(office.tries(NOW, host(2), [1; 16], &other), used);
    assert_eq!(office.tries(NOW, host(2), [1; 16], b"none"), used);
    let again = office.tries(NOW, host(1), [1; 16], &own).unwrap();
    assert!(again.again && again.key == first.key);
    // Not without end: each stands in the record.
    let tries = (0..100)
        .filter(|_| office.tries(NOW, host(1), [1; 16], &own).is_ok())
        .count();
    assert!(tries < MAX_JOIN_TRIES as usize, "{tries}");
    let mut member = office.store.shop(&north).unwrap().unwrap();
    member.seen_at = Some(NOW);
    office
        .store
        .change(|change| change.set_shop(&north, &member))
        .unwrap();
    assert_eq!(office.tries(NOW, host(3), [1; 16], &own), used);
    // Nor after the operator has ended the membership.
    member.seen_at = None;
    member.standing = Standing::Revoked;
    office
        .store
        .change(|change| change.set_shop(&north, &member))
        .unwrap();
    assert_eq!(office.tries(NOW, host(4), [1; 16], &own), used);
}

#[test]
fn what_is_gathered_when_the_program_ends_is_written_then() {
    let mut office = Office::open();
    for number in 0..2 {
        assert!(office.tries(NOW, host(1), guess(number), b"").is_err());
        office.write(NOW);
    }
    assert_eq!(office.desk.due(), Some(NOW + FIRST_PAUSE));
    assert_eq!(
        office
            .desk
            .write(&mut office.store, NOW, true)
            .unwrap()
            .map(|left| left.tries),
        Some(1)
    );
    assert_eq!((office.desk.due(), office.record().len()), (None, 2));
}

//! How many wrong join codes an address may try. Guessing 128 bits is hopeless however often it is tried: this only keeps it
//! cheap. So there is no number for all addresses together, which a stranger could use up for everybody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::limits::{JOIN_BACKOFF_SECS, MAX_ADDRESSES, MAX_JOIN_TRIES};
use souk_common::transport::address_of;

/// Counts wrong codes by address (IPv6: /64), in bounded memory: when there are too many addresses at once, the one that began
/// first is forgotten. It may try again early then, and nobody else waits for it.
#[derive(Debug, Default)]
pub(crate) struct JoinTries(HashMap<IpAddr, Tries>);

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    since: Timestamp,
}

impl Tries {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.since) >= BACKOFF
    }
}

impl JoinTries {
    /// Whether a code from this address is looked at.
    pub(crate) fn may_try(&self, now: Timestamp, from: IpAddr) -> bool {
        let tries = self.0.get(&address_of(from));
        tries.is_none_or(|tries| tries.wrong < MAX_JOIN_TRIES || tries.is_over(now))
    }

    /// Counts a wrong code.
    pub(crate) fn failed(&mut self, now: Timestamp, from: IpAddr) {
        let from = address_of(from);
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&from) {
            self.make_room(now);
        }
        let tries = self.0.entry(from).or_insert(Tries { wrong: 0, since: now });
        if tries.is_over(now) {
            *tries = Tries { wrong: 0, since: now };
        }
        tries.wrong = tries.wrong.saturating_add(1);
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, tries| !tries.is_over(now));
        if self.0.len() < MAX_ADDRESSES {
            return;
        }
        let first = self.0.iter().min_by_key(|(_, tries)| tries.since);
        if let Some(first) = first.map(|(address, _)| *address) {
            self.0.remove(&first);
        }
    }
}

const BACKOFF: Duration = Duration::from_secs(JOIN_BACKOFF_SECS);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    /// How many of so many wrong codes are looked at.
    fn looked_at(tries: &mut JoinTries, from: impl Fn(u32) -> IpAddr, count: u32) -> usize {
        let look = |number: &u32| {
            let may = tries.may_try(NOW, from(*number));
            if may {
                tries.failed(NOW, from(*number));
            }
            may
        };
        (0..count).filter(look).count()
    }

    fn six(net: u16, host: u32) -> IpAddr {
        let [a, b] = [(host >> 16) as u16, host as u16];
        IpAddr::from([0x2001, 0xdb8, 0, net, 7, a, b, 1])
    }

    #[test]
    fn wrong_codes_make_an_address_wait_and_others_not() {
        let mut tries = JoinTries::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(looked_at(&mut tries, |_| one, 9), MAX_JOIN_TRIES as usize);
        assert!(
            !tries.may_try(NOW, "::ffff:10.0.0.1".parse().unwrap()),
            "the same"
        );
        assert!(tries.may_try(NOW, other));
        assert!(tries.may_try(NOW + BACKOFF, one));
    }

    #[test]
    fn ten_thousand_wrong_codes_from_one_net_make_that_net_wait_and_no_other() {
        let mut tries = JoinTries::default();
        let looked = looked_at(&mut tries, |host| six(7, host), 10_000);
        assert_eq!((looked, tries.0.len()), (MAX_JOIN_TRIES as usize, 1));
        assert!(!tries.may_try(NOW, six(7, 99_999)), "it waits");
        assert!(tries.may_try(NOW, six(8, 1)), "the net beside it does not");
        assert!(tries.may_try(NOW, IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn however_many_addresses_try_the_table_stays_small_and_nobody_else_waits() {
        let mut tries = JoinTries::default();
        for number in 0..1000 {
            let from = IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
            assert_eq!(looked_at(&mut tries, |_| from, 20), MAX_JOIN_TRIES as usize);
        }
        let honest = IpAddr::from([192, 0, 2, 1]);
        assert!(tries.may_try(NOW, honest), "after a thousand that wait");
        for number in 0..3 * MAX_ADDRESSES as u32 {
            tries.failed(
                NOW,
                IpAddr::from([11, (number >> 16) as u8, (number >> 8) as u8, number as u8]),
            );
        }
        assert_eq!(tries.0.len(), MAX_ADDRESSES);
        assert!(tries.may_try(NOW, honest), "nor when the table is full");
        // And one who mistypes then still has all of its own tries.
        assert_eq!(looked_at(&mut tries, |_| honest, 9), MAX_JOIN_TRIES as usize);
    }
}

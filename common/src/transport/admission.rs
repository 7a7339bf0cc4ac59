//! Who is let in before anything is known of them, and how connections end.

use std::net::{IpAddr, Ipv6Addr};

use quinn::{Connection, ConnectionError, Incoming, VarInt};

use super::token_bucket::{Bucket, Buckets, Rate};
use crate::clock::Timestamp;
use crate::limits::{ADDRESSES_PER_NET, MAX_ADDRESSES};

/// Why a connection was closed, as the peer is told. Numbers are never reused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum CloseCode {
    /// All is said.
    Done = 0,
    /// The shop's membership has ended.
    NotEnrolled = 1,
    /// The peer sent what is no frame of this protocol.
    BadFrame = 2,
    /// The program stops; dial again later.
    Stopping = 3,
    /// A newer connection of the same shop takes this one's place.
    Replaced = 4,
    /// The peer dials or asks more often than it may; dial again later.
    TooMany = 5,
    /// The peer does not read what it asked for, or asked for nothing.
    TooSlow = 6,
}

impl CloseCode {
    /// What the peer reads beside the number.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotEnrolled => "the membership has ended",
            Self::BadFrame => "no frame of this protocol",
            Self::Stopping => "the coordinator stops",
            Self::Replaced => "a newer connection takes this one's place",
            Self::TooMany => "too many connections or requests; dial again later",
            Self::TooSlow => "nothing was asked, or what was said is not read",
        }
    }

    /// Why the peer closed `connection`, if it did and said so.
    pub fn of(connection: &Connection) -> Option<Self> {
        let Some(ConnectionError::ApplicationClosed(closed)) = connection.close_reason() else {
            return None;
        };
        let all = [
            Self::Done,
            Self::NotEnrolled,
            Self::BadFrame,
            Self::Stopping,
            Self::Replaced,
            Self::TooMany,
            Self::TooSlow,
        ];
        all.into_iter()
            .find(|code| closed.error_code == VarInt::from_u32(*code as u32))
    }

    /// Closes `connection` for this reason.
    pub fn close(self, connection: &Connection) {
        connection.close(VarInt::from_u32(self as u32), self.words().as_bytes());
    }
}

/// What a [`Door`] lets in.
#[derive(Clone, Copy, Debug)]
pub struct DoorRules {
    /// Most connections at once.
    pub max_connections: usize,
    /// Handshakes of all peers.
    pub handshakes: Rate,
    /// Handshakes from one address.
    pub per_address: Rate,
}

/// Decides about peers that knock, of which nothing is known but the address that they claim.
///
/// Whoever is over a limit is refused at the cost of one datagram. While much is going on, a peer must first prove (at the
/// cost of one round trip) that it can receive at its address: so nobody uses up what another address may do.
#[derive(Debug)]
pub struct Door {
    rules: DoorRules,
    overall: Bucket,
    addresses: Buckets<IpAddr>,
    nets: Buckets<IpAddr>,
}

/// What to do with a peer that knocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Shake hands.
    Take,
    /// Have it prove its address, and knock again.
    Prove,
    /// Turn it away.
    Refuse,
}

impl Door {
    /// A door at which nobody has knocked yet.
    pub fn new(rules: DoorRules) -> Self {
        Self {
            rules,
            overall: Bucket::default(),
            addresses: Buckets::new(MAX_ADDRESSES),
            nets: Buckets::new(MAX_ADDRESSES),
        }
    }

    /// Decides about a peer that claims to be at `from` (and has proven it, or not) while `open` connections are held.
    pub fn knock(&mut self, now: Timestamp, from: IpAddr, proven: bool, open: usize) -> Verdict {
        let rules = self.rules;
        if open >= rules.max_connections {
            return Verdict::Refuse;
        }
        let busy = open * 2 >= rules.max_connections
            || self.overall.is_half_used(rules.handshakes, now)
            || self.addresses.is_crowded();
        if busy && !proven {
            return Verdict::Prove;
        }
        let (address, net) = places_of(from);
        let of_net = rules.per_address.times(ADDRESSES_PER_NET);
        // Its own first: who is over that takes nothing from others.
        let may = self.addresses.take(address, rules.per_address, now, 1)
            && self.nets.take(net, of_net, now, 1)
            && self.overall.take(rules.handshakes, now, 1);
        if may { Verdict::Take } else { Verdict::Refuse }
    }
}

/// What counts as one address wherever peers are told apart by theirs: the owner of an IPv6 address has its whole /64, and an
/// IPv4 address within IPv6 is that IPv4 address.
pub fn address_of(from: IpAddr) -> IpAddr {
    places_of(from).0
}

/// What counts as one address, and the net it is in.
fn places_of(from: IpAddr) -> (IpAddr, IpAddr) {
    match from.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            (IpAddr::V4(address), IpAddr::from([a, b, c, 0]))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            let masked = |d| IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0));
            (masked(d), masked(0))
        }
    }
}

/// Carries out a verdict; the peer if it is let in.
pub fn admit(incoming: Incoming, verdict: Verdict) -> Option<Incoming> {
    match verdict {
        Verdict::Take => Some(incoming),
        Verdict::Prove => match incoming.retry() {
            Ok(()) => None,
            Err(error) => Some(error.into_incoming()),
        },
        Verdict::Refuse => {
            incoming.refuse();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(max_connections: usize, handshakes: u64) -> Door {
        Door::new(DoorRules {
            max_connections,
            handshakes: Rate::per_sec(handshakes),
            per_address: Rate::per_sec(1),
        })
    }

    fn takes(door: &mut Door, from: impl Fn(u8) -> IpAddr) -> usize {
        let now = Timestamp::from_secs(1000);
        let taken = |host: &u8| door.knock(now, from(*host), true, 0) == Verdict::Take;
        (0..250).filter(taken).count()
    }

    #[test]
    fn an_address_a_net_and_all_together_have_their_rates() {
        let all = |host: u8| IpAddr::from([10, host, 0, 1]);
        let (one, net) = (
            |_| IpAddr::from([10, 0, 0, 1]),
            |host| IpAddr::from([10, 0, 0, host]),
        );
        assert_eq!(takes(&mut door(100, 1000), one), 10);
        assert_eq!(takes(&mut door(100, 1000), net), 40);
        assert_eq!(takes(&mut door(100, 20), all), 200);
        let mapped = |_| "::ffff:10.0.0.1".parse().unwrap();
        let mut door = door(100, 1000);
        assert_eq!(takes(&mut door, mapped), 10);
        assert_eq!(takes(&mut door, one), 0, "the same address");
        let six = |host: u8| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, u16::from(host)]);
        assert_eq!(takes(&mut door, six), 10, "a /64 counts as one");
        let six = |host: u8| IpAddr::from([0x2001, 0xdb8, 0, u16::from(host), 0, 0, 0, 1]);
        assert_eq!(
            takes(&mut door, six),
            30,
            "a /48 as four, of which one is used up"
        );
    }

    #[test]
    fn who_has_proven_nothing_can_not_use_up_what_others_may_do() {
        let (mut door, now) = (door(100, 20), Timestamp::from_secs(1000));
        let verdicts: Vec<_> = (0..=255u8)
            .map(|host| door.knock(now, IpAddr::from([10, host, 0, 1]), false, 0))
            .collect();
        let taken = verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Take)
            .count();
        assert_eq!(taken, 100, "half of the burst");
        assert!(!verdicts.contains(&Verdict::Refuse));
        let honest = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(door.knock(now, honest, true, 0), Verdict::Take);
    }

    #[test]
    fn over_half_of_the_cap_addresses_are_proven_and_over_the_cap_nobody_gets_in() {
        let (mut door, now) = (door(100, 1000), Timestamp::from_secs(1000));
        let from = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(door.knock(now, from, false, 49), Verdict::Take);
        assert_eq!(door.knock(now, from, false, 50), Verdict::Prove);
        assert_eq!(door.knock(now, from, true, 99), Verdict::Take);
        assert_eq!(door.knock(now, from, true, 100), Verdict::Refuse);
    }
}

//! Who is let in, and what those who are not are told.

#[cfg(test)]
mod moves;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::crypto::pki::{Authority, shop_key};
use crate::limits::{CONNECTION_WINDOW_BYTES, MAX_DATAGRAM_BYTES};
use std::time::Duration;

pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn resets() -> ResetKey {
    ResetKey::derive(b"a secret")
}

pub(super) fn coordinator(authority: &Authority) -> Identity {
    let (leaf, key) = authority.issue_coordinator(SystemClock.now()).unwrap();
    Identity {
        chain: vec![leaf, authority.certificate().to_vec()],
        key,
    }
}

pub(super) fn shop(authority: &Authority, name: &str) -> Identity {
    let (key, csr) = shop_key().unwrap();
    let leaf = authority
        .issue_shop(&csr, &name.parse().unwrap(), SystemClock.now())
        .unwrap();
    Identity {
        chain: vec![leaf],
        key,
    }
}

/// Dials; the peer as the server sees it, or none if the handshake fails on either side.
async fn meet(
    server: Identity,
    ca: &[u8],
    trust: Trust,
    identity: Option<&Identity>,
) -> Option<Option<PeerIdentity>> {
    let server = server_endpoint((Ipv4Addr::LOCALHOST, 0).into(), server, ca, resets()).unwrap();
    let remote = server.local_addr().unwrap();
    let client = client_endpoint(remote, trust, identity).unwrap();
    let accepted = async {
        server
            .accept()
            .await?
            .await
            .ok()
            .map(|peer| (peer_of(&peer), peer))
    };
    let both = async { tokio::join!(accepted, connect(&client, remote)) };
    let (accepted, dialled) = tokio::time::timeout(LIMIT, both)
        .await
        .expect("a handshake in time");
    // In TLS 1.3 the client ends first: it learns of a refusal by its first read.
    let dialled = dialled.ok()?;
    let (peer, _alive) = accepted?;
    dialled.close_reason().is_none().then_some(peer)
}

#[tokio::test]
async fn a_shop_is_known_by_its_certificate_and_a_joiner_by_none() {
    let authority = Authority::create("a", SystemClock.now()).unwrap();
    let ca = authority.certificate();
    let north = shop(&authority, "north");
    let met = meet(coordinator(&authority), ca, Trust::Ca(ca.to_vec()), Some(&north)).await;
    let peer = met.unwrap().unwrap();
    assert_eq!(
        (peer.shop.as_str(), peer.fingerprint),
        ("north", Digest::of(&north.chain[0]))
    );
    let joiner = meet(
        coordinator(&authority),
        ca,
        Trust::Fingerprint(authority.fingerprint()),
        None,
    )
    .await;
    assert_eq!(joiner, Some(None));
}

#[tokio::test]
async fn certificates_of_another_authority_or_for_another_use_are_refused() {
    let ours = Authority::create("a", SystemClock.now()).unwrap();
    let other = Authority::create("a", SystemClock.now()).unwrap();
    let ca = ours.certificate();
    let trust = || Trust::Ca(ca.to_vec());
    let foreign = shop(&other, "north");
    assert_eq!(
        meet(coordinator(&ours), ca, trust(), Some(&foreign)).await,
        None,
        "foreign shop"
    );
    assert_eq!(
        meet(coordinator(&other), ca, trust(), None).await,
        None,
        "foreign coordinator"
    );
    assert_eq!(
        meet(shop(&ours, "north"), ca, trust(), None).await,
        None,
        "a shop as coordinator"
    );
    let by_digest = || Trust::Fingerprint(ours.fingerprint());
    assert_eq!(
        meet(coordinator(&other), ca, by_digest(), None).await,
        None,
        "another fingerprint"
    );
    // A chain that shows the right CA certificate but was signed by another.
    let (leaf, key) = other.issue_coordinator(SystemClock.now()).unwrap();
    let forged = Identity {
        chain: vec![leaf, ca.to_vec()],
        key,
    };
    assert_eq!(
        meet(forged, ca, by_digest(), None).await,
        None,
        "borrowed CA certificate"
    );
    let mut posing = shop(&ours, "north");
    posing.chain.push(ca.to_vec());
    assert_eq!(
        meet(posing, ca, by_digest(), None).await,
        None,
        "a shop as coordinator, to a joiner"
    );
}

#[tokio::test]
async fn the_coordinators_own_or_an_expired_certificate_is_no_shops() {
    let authority = Authority::create("a", SystemClock.now()).unwrap();
    let ca = authority.certificate();
    let trust = || Trust::Ca(ca.to_vec());
    let posing = coordinator(&authority);
    let met = meet(coordinator(&authority), ca, trust(), Some(&posing)).await;
    assert_eq!(met, None, "the coordinator as a shop");
    let (key, csr) = shop_key().unwrap();
    let long_ago = SystemClock.now() - Duration::from_secs(6 * 365 * 86_400);
    let leaf = authority
        .issue_shop(&csr, &"north".parse().unwrap(), long_ago)
        .unwrap();
    let expired = Identity {
        chain: vec![leaf],
        key,
    };
    let met = meet(coordinator(&authority), ca, trust(), Some(&expired)).await;
    assert_eq!(met, None, "expired");
}

/// Dials; what the shop is told, at once or by its first read.
async fn told(
    server: Identity,
    cas: &[Vec<u8>],
    trust: Trust,
    identity: &Identity,
) -> Option<CertificateRefusal> {
    let platform = Platform::system();
    let config = server_config(&platform, &server, cas).unwrap();
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let server = bind(&*platform.sockets, any, EndpointConfig::default(), Some(config)).unwrap();
    let remote = server.local_addr().unwrap();
    let client = client_endpoint(remote, trust, Some(identity)).unwrap();
    let accepted = async { server.accept().await.unwrap().await };
    let dialled = async {
        match connect(&client, remote).await {
            Ok(connection) => {
                // A peer that is taken is told nothing.
                let _ = tokio::time::timeout(Duration::from_millis(300), connection.closed()).await;
                refusal_of(&connection)
            }
            Err(TransportError::Refused { refusal, .. }) => Some(refusal),
            Err(other) => panic!("{other}"),
        }
    };
    let both = async { tokio::join!(accepted, dialled) };
    let (_alive, told) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    told
}

#[tokio::test]
async fn while_one_authority_takes_anothers_place_both_are_taken_and_then_one() {
    let (old, new) = (
        Authority::create("a", SystemClock.now()).unwrap(),
        Authority::create("a", SystemClock.now()).unwrap(),
    );
    let both = || vec![new.certificate().to_vec(), old.certificate().to_vec()];
    for authority in [&old, &new] {
        let met = told(
            coordinator(&old),
            &both(),
            Trust::AnyOf(both()),
            &shop(authority, "north"),
        )
        .await;
        assert_eq!(met, None);
    }
    let one = [new.certificate().to_vec()];
    let met = told(
        coordinator(&new),
        &one,
        Trust::AnyOf(both()),
        &shop(&new, "north"),
    )
    .await;
    assert_eq!(met, None);
    let met = told(
        coordinator(&new),
        &one,
        Trust::AnyOf(both()),
        &shop(&old, "north"),
    )
    .await;
    assert_eq!(met, Some(CertificateRefusal::OwnAuthority));
    let trust = Trust::Ca(old.certificate().to_vec());
    let met = told(coordinator(&new), &one, trust, &shop(&new, "north")).await;
    assert_eq!(met, Some(CertificateRefusal::CoordinatorsAuthority));
}

#[tokio::test]
async fn a_clock_that_is_years_off_is_called_that_on_either_side() {
    let years = Duration::from_secs(6 * 365 * 86_400);
    let now = SystemClock.now();
    for (theirs, ours, expected) in [
        (now + years, now, CertificateRefusal::CoordinatorsTime),
        (now - years, now, CertificateRefusal::CoordinatorsTime),
        (now, now + years, CertificateRefusal::OwnTime),
        (now, now - years, CertificateRefusal::OwnTime),
    ] {
        // An authority of long ago, as they are.
        let authority = Authority::create("a", now - years * 2).unwrap();
        let (leaf, key) = authority.issue_coordinator(theirs).unwrap();
        let chain = vec![leaf, authority.certificate().to_vec()];
        let (shop_key, csr) = shop_key().unwrap();
        let leaf = authority
            .issue_shop(&csr, &"north".parse().unwrap(), ours)
            .unwrap();
        let north = Identity {
            chain: vec![leaf],
            key: shop_key,
        };
        let trust = Trust::Ca(authority.certificate().to_vec());
        let cas = [authority.certificate().to_vec()];
        let met = told(Identity { chain, key }, &cas, trust, &north).await;
        assert_eq!(met, Some(expected));
        assert!(expected.to_string().contains("clock"));
    }
}

#[tokio::test]
async fn blocks_beyond_every_window_arrive_whole_in_large_datagrams() {
    let authority = Authority::create("a", SystemClock.now()).unwrap();
    let ca = authority.certificate();
    let server = server_endpoint(
        (Ipv4Addr::LOCALHOST, 0).into(),
        coordinator(&authority),
        ca,
        resets(),
    )
    .unwrap();
    let remote = server.local_addr().unwrap();
    let north = shop(&authority, "north");
    let client = client_endpoint(remote, Trust::Ca(ca.to_vec()), Some(&north)).unwrap();
    let block: Vec<u8> = (0..5 * CONNECTION_WINDOW_BYTES)
        .map(|at| (at % 251) as u8)
        .collect();
    let echo = async {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        tokio::io::copy(&mut receive, &mut send).await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
        connection.stats().path.current_mtu
    };
    let shop = async {
        let connection = connect(&client, remote).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let sent = async {
            send.write_all(&block).await.unwrap();
            send.finish().unwrap();
        };
        let (back, ()) = tokio::join!(receive.read_to_end(block.len()), sent);
        back.unwrap()
    };
    let both = async { tokio::join!(echo, shop) };
    let (mtu, back) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    assert!(back == block);
    // Found on the way: loopback carries more than the Internet's 1,452, and never more than asked for.
    assert!((1_453..=MAX_DATAGRAM_BYTES).contains(&mtu), "{mtu}");
}

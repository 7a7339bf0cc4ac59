//! Joiners on the virtual network: honest ones, guessers from many addresses, and a thief with an older code.

use souk_client::folder::Folder;
use souk_client::membership::Membership;
use souk_client::membership::join::{certify, join_on};
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::{request_for, shop_key};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::storage::write_whole;
use souk_common::transport::{TransportChoice, Trust, client_endpoint_on, connect, read_frame, write_frame};
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use souk_coordinator::membership::registry::invite;
use souk_coordinator::store::{Entry, Invitation, RefusalCause, Refusals, Store};
use souk_coordinator::verify;

use super::*;
use crate::virtual_net::federation::{Federation, Setting};

const START: Timestamp = Timestamp(1_800_000_000_000);
const GUESSERS: u32 = 40;
const GUESSES: u32 = 6;

fn federation(net: &Arc<Net>) -> Federation {
    let setting = Setting {
        upload_after: None,
        shops: 1,
        users: 10,
        items: 60,
        columns: 16,
        rounds: 1,
        quorum: 1,
        deadline: Duration::from_secs(600),
    };
    Federation::new(net, &setting).unwrap()
}

fn code(federation: &Federation, secret: [u8; 16]) -> JoinCode {
    JoinCode {
        address: federation.home.config().unwrap().address,
        ca: federation.home.authority().unwrap().fingerprint(),
        secret: secret.into(),
    }
}

/// What each of so many wrong codes from one host is answered.
async fn guess(federation: &Federation, host: &Arc<Host>, number: u32) -> Vec<ErrorCode> {
    let address = federation.home.config().unwrap().address.parse().unwrap();
    let ca = federation.home.authority().unwrap().certificate().to_vec();
    let endpoint = client_endpoint_on(&host.platform(), address, Trust::Ca(ca), None).unwrap();
    let connection = connect(&endpoint, address).await.unwrap();
    let mut answers = Vec::new();
    for guess in 0..GUESSES {
        let mut secret = [0xee; 16];
        secret[..4].copy_from_slice(&(number * GUESSES + guess).to_le_bytes());
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let csr = vec![0];
        write_frame(&mut send, &Request::Join { secret, csr })
            .await
            .unwrap();
        match read_frame(&mut receive).await.unwrap() {
            Some(Reply::Error { code, .. }) => answers.push(code),
            other => panic!("{other:?}"),
        }
    }
    answers
}

#[test]
fn guessers_at_many_addresses_lock_no_honest_shop_out_and_all_that_was_tried_is_in_log_and_record() {
    virtually(async {
        let net = Net::new(31, START);
        let federation = federation(&net);
        let name = "west".parse().unwrap();
        let mut store = Store::open(federation.home.path(), None).unwrap();
        invite(&mut store, START, &name, &[1; 16]).unwrap();
        drop(store);
        let mut serving = federation.serve();
        tokio::time::sleep(Duration::from_secs(1)).await;
        for number in 0..GUESSERS {
            let answers = guess(&federation, &net.host(), number).await;
            let (last, first) = answers.split_last().unwrap();
            assert!(
                first.iter().all(|code| *code == ErrorCode::JoinRefused),
                "{answers:?}"
            );
            assert_eq!(*last, ErrorCode::TooManyTries);
        }
        // Within the same minute, at an address of its own.
        let platform = net.host().platform();
        let joined = certify(
            &platform,
            &code(&federation, [1; 16]),
            shop_key().unwrap().1,
            TransportChoice::Auto,
        )
        .await;
        assert_eq!(joined.unwrap().shop, name);
        serving.stop().await.unwrap();
        let log = serving.said();
        let told = |words: &str| log.iter().filter(|(_, line)| line.contains(words)).count();
        assert_eq!(told("west is enrolled, from 10.0."), 1, "{log:?}");
        assert!(told("refused: wrong code from 10.0.") == 2, "{log:?}");
        let store = Store::open(federation.home.path(), None).unwrap();
        let entries: Vec<Entry> = store
            .log()
            .unwrap()
            .into_iter()
            .map(|record| record.entry)
            .collect();
        drop(store);
        let refused: Vec<&Refusals> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::EnrolmentsRefused(refusals) => Some(refusals),
                _ => None,
            })
            .collect();
        let tries: u64 = refused.iter().map(|refusals| refusals.tries).sum();
        assert_eq!((refused.len(), tries), (2, u64::from(GUESSERS * GUESSES)));
        assert_eq!(refused[0].of[0].cause, RefusalCause::WrongCode);
        let enrolled = |entry: &&Entry| matches!(entry, Entry::Enrolled(enrolled) if enrolled.shop == name);
        assert_eq!(entries.iter().filter(enrolled).count(), 1);
        // And it is a record that can be verified.
        let key = federation.home.signing_key().unwrap().public();
        let report = verify::check(federation.home.path(), &key).unwrap();
        assert!(report.ok, "{:?}", report.checks);
    })
    .unwrap();
}

#[test]
fn an_older_code_takes_no_membership_over_and_the_owner_of_the_key_joins_again() {
    virtually(async {
        let net = Net::new(32, START);
        let federation = federation(&net);
        let shop = &federation.shops[0];
        // As the build before left them behind.
        let mut store = Store::open(federation.home.path(), None).unwrap();
        let (thiefs, owners) = ([7; 16], [8; 16]);
        for secret in [thiefs, owners] {
            let invitation = Invitation {
                shop: shop.name.clone(),
                expires_at: START + Duration::from_secs(3600),
                made_at: None,
            };
            let digest = Digest::of(&[&b"souk 2026 invitation v1"[..], &secret].concat());
            store
                .change(|change| change.invite(&digest, &invitation))
                .unwrap();
        }
        let before = store.shop(&shop.name).unwrap().unwrap();
        drop(store);
        let mut serving = federation.serve();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let platform = net.host().platform();
        let thief = certify(
            &platform,
            &code(&federation, thiefs),
            shop_key().unwrap().1,
            TransportChoice::Auto,
        )
        .await;
        let said = thief.unwrap_err().to_string();
        assert!(said.contains("join code was refused"), "{said}");
        let membership = Membership::load(&shop.folder).unwrap();
        let csr = request_for(&membership.identity(&shop.folder).unwrap().key).unwrap();
        let again = certify(
            &shop.host.platform(),
            &code(&federation, owners),
            csr,
            TransportChoice::Auto,
        )
        .await;
        assert_eq!(again.unwrap().shop, shop.name);
        serving.stop().await.unwrap();
        let log = serving.said();
        let told = |words: &str| log.iter().any(|(_, line)| line.contains(words));
        assert!(told("the name is enrolled by another key from 10.0."), "{log:?}");
        assert!(told("has joined again, from 10.0."), "{log:?}");
        let store = Store::open(federation.home.path(), None).unwrap();
        assert_eq!(store.shop(&shop.name).unwrap().unwrap().identity, before.identity);
    })
    .unwrap();
}

/// A join that is stopped before each of its writes in turn: the same command goes on, with the key that the coordinator has.
#[test]
fn a_join_that_was_stopped_at_any_write_is_finished_by_the_same_code_and_key() {
    const WRITES: usize = 3;
    virtually(async {
        let net = Net::new(33, START);
        let federation = federation(&net);
        let joins = (0..=WRITES).map(|stop| {
            let name: ShopName = format!("stopped-{stop}").parse().unwrap();
            (stop, name, [stop as u8 + 40; 16])
        });
        let mut store = Store::open(federation.home.path(), None).unwrap();
        for (_, name, secret) in joins.clone() {
            invite(&mut store, START, &name, &secret).unwrap();
        }
        drop(store);
        let mut serving = federation.serve();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let dir = tempfile::tempdir().unwrap();
        let mut enrolled = Vec::new();
        for (stop, name, secret) in joins {
            let code = code(&federation, secret);
            let (folder, platform) = (Folder::new(dir.path().join(name.as_str())), net.host().platform());
            let mut left = stop;
            let stopping = |path: &std::path::Path, bytes: &[u8], secret: bool| match left.checked_sub(1) {
                Some(less) => {
                    left = less;
                    write_whole(path, bytes, secret)
                }
                None => Err(std::io::Error::other("stopped here")),
            };
            let first = join_on(&platform, &code, &folder, None, stopping).await;
            assert_eq!(first.is_ok(), stop == WRITES, "{stop}: {first:?}");
            let kept = std::fs::read(folder.key()).ok();
            assert_eq!(kept.is_some(), stop > 0, "{stop}");
            if stop < WRITES {
                let again = join_on(&platform, &code, &folder, None, |path, bytes, secret| {
                    write_whole(path, bytes, secret)
                });
                again.await.unwrap_or_else(|error| panic!("{stop}: {error:#}"));
                let key = std::fs::read(folder.key()).unwrap();
                assert!(kept.is_none_or(|kept| kept == key), "{stop}: another key");
            }
            assert!(folder.config().is_file(), "{stop}");
            // It is a shop's now, and is not joined twice.
            let more = join_on(&platform, &code, &folder, None, |_, _, _| Ok(())).await;
            let said = more.unwrap_err().to_string();
            assert!(said.contains("never overwritten"), "{said}");
            let membership = Membership::load(&folder).unwrap();
            enrolled.push((
                name,
                hex::text(&membership.signing_identity(&folder).unwrap().public()),
            ));
        }
        serving.stop().await.unwrap();
        let store = Store::open(federation.home.path(), None).unwrap();
        for (name, identity) in enrolled {
            assert_eq!(store.shop(&name).unwrap().unwrap().identity, identity, "{name}");
        }
    })
    .unwrap();
}

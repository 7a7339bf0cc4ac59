//! Limits of a coordinator that runs, on virtual time: whoever is over one is slowed, or closed with a reason, and nobody
//! else notices. How busy the machine is makes no difference.

use std::fs;
use std::io::IoSliceMut;

use quinn::udp::RecvMeta;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use souk_client::membership::Membership;
use souk_common::ids::{AttemptId, Digest};
use souk_common::limits::{
    BURST_SECS, CONNECTIONS_PER_SEC_PER_SHOP, CONNECTIONS_PER_SHOP, HANDSHAKE_SECS, MAX_STRANGER_REQUESTS,
};
use souk_common::round::statements::UploadHeader;
use souk_common::transport::{
    CloseCode, Identity, Trust, client_endpoint_on, connect, read_frame, write_frame,
};
use souk_common::wire::messages::{ErrorCode, Reply, Request};

use super::*;
use crate::virtual_net::federation::{Federation, Running, Setting, VirtualShop};

const START: Timestamp = Timestamp(1_800_000_000_000);
/// A test that hangs fails; in virtual time.
const LONGEST: Duration = Duration::from_secs(3600);
const COLUMNS: usize = 16;
const ITEMS: usize = 60;

/// A run of one round that takes one update, under limits.
fn federation(net: &Arc<Net>, shops: usize, rounds: u64, limits: &[(&str, u64)]) -> Federation {
    let setting = Setting {
        upload_after: None,
        shops,
        users: 10,
        items: ITEMS,
        columns: COLUMNS,
        rounds,
        quorum: 1,
        deadline: Duration::from_secs(600),
    };
    let federation = Federation::new(net, &setting).unwrap();
    let path = federation.home.path().join("coordinator.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines: String = limits
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    fs::write(&path, text.replace("[limits]", &format!("[limits]\n{lines}"))).unwrap();
    federation
}

/// A peer that says what it likes; its connection ends with it.
struct Peer {
    connection: Connection,
    _endpoint: Endpoint,
}

/// Dials from `host` as `identity`, or as a joiner; none if it is turned away.
async fn dial(federation: &Federation, host: &Arc<Host>, identity: Option<&Identity>) -> Option<Peer> {
    let address = federation.home.config().unwrap().address.parse().unwrap();
    let ca = federation.home.authority().unwrap().certificate().to_vec();
    let endpoint = client_endpoint_on(&host.platform(), address, Trust::Ca(ca), identity).unwrap();
    let connection = connect(&endpoint, address).await.ok()?;
    Some(Peer {
        connection,
        _endpoint: endpoint,
    })
}

async fn member(federation: &Federation, shop: &VirtualShop) -> Option<Peer> {
    let identity = Membership::load(&shop.folder)
        .unwrap()
        .identity(&shop.folder)
        .unwrap();
    dial(federation, &shop.host, Some(&identity)).await
}

impl Peer {
    async fn ask(&self, request: &Request) -> Option<(Reply, SendStream, RecvStream)> {
        let (mut send, mut receive) = self.connection.open_bi().await.ok()?;
        write_frame(&mut send, request).await.ok()?;
        let reply = read_frame(&mut receive).await.ok()??;
        Some((reply, send, receive))
    }

    async fn is_served(&self) -> bool {
        matches!(self.ask(&Request::Members).await, Some((Reply::Members(_), ..)))
    }

    async fn close_code(&self) -> Option<CloseCode> {
        self.connection.closed().await;
        CloseCode::of(&self.connection)
    }
}

fn said<E>(running: &Running<E>, words: &str) -> bool {
    running.said().iter().any(|(_, line)| line.contains(words))
}

async fn until<E>(running: &Running<E>, words: &str) {
    while !said(running, words) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs `day` on virtual time, within bounds.
fn day<T>(day: impl Future<Output = T>) -> T {
    virtually(async { tokio::time::timeout(LONGEST, day).await })
        .unwrap()
        .expect("it hangs")
}

async fn completes_a_round(federation: &Federation, shop: &VirtualShop) {
    let mut honest = federation.run(shop);
    honest.wait().await.unwrap();
    assert!(said(&honest, "received"), "{:?}", honest.said());
}

#[test]
fn a_shop_has_few_connections_and_few_new_ones_in_a_second() {
    day(async {
        let net = Net::new(21, START);
        let federation = federation(&net, 2, 1, &[]);
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        let (honest, mallory) = (&federation.shops[0], &federation.shops[1]);
        let began = net.now();
        let first = member(&federation, mallory).await.unwrap();
        let mut peers = Vec::new();
        for _ in 1..CONNECTIONS_PER_SHOP {
            peers.push(member(&federation, mallory).await.unwrap());
        }
        assert!(first.is_served().await);
        peers.push(member(&federation, mallory).await.unwrap());
        assert_eq!(first.close_code().await, Some(CloseCode::Replaced));
        let most = CONNECTIONS_PER_SEC_PER_SHOP * BURST_SECS;
        let (mut served, mut refused) = (CONNECTIONS_PER_SHOP as u64 + 1, 0);
        for _ in 0..2 * most {
            let peer = member(&federation, mallory).await.unwrap();
            match peer.is_served().await {
                true => {
                    served += 1;
                    peers.push(peer);
                }
                false => {
                    assert_eq!(peer.close_code().await, Some(CloseCode::TooMany));
                    refused += 1;
                }
            }
        }
        let came_back = net.now().since(began).as_secs_f64() * CONNECTIONS_PER_SEC_PER_SHOP as f64;
        assert!(refused > 0, "{served} connections in {came_back}");
        assert!(
            served >= most && served as f64 <= most as f64 + came_back + 1.0,
            "{served} and {came_back}"
        );
        completes_a_round(&federation, honest).await;
        serving.wait().await.unwrap();
    });
}

#[test]
fn an_honest_shop_that_is_asked_to_wait_waits_and_then_takes_part() {
    day(async {
        let net = Net::new(22, START);
        let limits = [
            ("connections_per_sec_per_shop", 1),
            ("handshakes_per_sec_per_address", 1000),
        ];
        let federation = Arc::new(federation(&net, 1, 100_000, &limits));
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        // Somebody who has its key uses up its connections, until it has noticed.
        let at = Arc::clone(&federation);
        let used_up = tokio::spawn(async move {
            loop {
                drop(member(&at, &at.shops[0]).await);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut north = federation.run(&federation.shops[0]);
        until(&north, "dial again later").await;
        let asked = net.now();
        used_up.abort();
        until(&north, "accepted").await;
        let waited = net.now().since(asked);
        assert!(waited > Duration::from_secs(8), "{waited:?}");
        north.stop().await.unwrap();
        serving.stop().await.unwrap();
    });
}

#[test]
fn who_asks_too_often_waits_and_a_joiner_is_sent_away() {
    day(async {
        let net = Net::new(23, START);
        let federation = federation(&net, 2, 1, &[("requests_per_sec_per_shop", 1)]);
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        let mallory = &federation.shops[1];
        let peer = member(&federation, mallory).await.unwrap();
        let began = net.now();
        for _ in 0..BURST_SECS + 6 {
            assert!(peer.is_served().await);
        }
        let took = net.now().since(began);
        assert!(
            (Duration::from_secs(5)..Duration::from_secs(8)).contains(&took),
            "{took:?}"
        );
        let joiner = dial(&federation, &mallory.host, None).await.unwrap();
        for _ in 0..MAX_STRANGER_REQUESTS {
            assert!(joiner.ask(&Request::Members).await.is_some());
        }
        let _ = joiner.ask(&Request::Members).await;
        assert_eq!(joiner.close_code().await, Some(CloseCode::TooMany));
        completes_a_round(&federation, &federation.shops[0]).await;
        serving.wait().await.unwrap();
    });
}

#[test]
fn an_address_shakes_hands_only_so_often_and_who_is_connected_goes_on() {
    day(async {
        let net = Net::new(24, START);
        let federation = federation(&net, 2, 1, &[("handshakes_per_sec_per_address", 1)]);
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        let mallory = &federation.shops[1];
        let peer = member(&federation, mallory).await.unwrap();
        let (began, mut taken) = (net.now(), 1);
        for _ in 0..3 * BURST_SECS {
            taken += u64::from(dial(&federation, &mallory.host, None).await.is_some());
        }
        let came_back = net.now().since(began).as_secs();
        assert!(
            (BURST_SECS..=BURST_SECS + came_back + 1).contains(&taken),
            "{taken} in {came_back} s"
        );
        assert!(taken < 3 * BURST_SECS);
        assert!(peer.is_served().await);
        drop(peer);
        // From that very address: it dials again until there is room.
        completes_a_round(&federation, mallory).await;
        serving.stop().await.unwrap();
    });
}

/// Sends the first datagram of a handshake from a new address, and never goes on; what is answered.
async fn knock(federation: &Arc<Federation>, net: &Arc<Net>) -> Vec<u8> {
    let host = net.host();
    let socket = |port| HostSockets(Arc::clone(&host)).bind(SocketAddr::new(host.address(), port));
    let (ear, mouth) = (socket(5000).unwrap(), socket(5001).unwrap());
    let ca = federation.home.authority().unwrap().certificate().to_vec();
    let towards = ear.local_addr().unwrap();
    let endpoint = client_endpoint_on(&host.platform(), towards, Trust::Ca(ca), None).unwrap();
    let dialling = tokio::spawn(async move { connect(&endpoint, towards).await.map(drop) });
    let first = hear(&ear).await;
    dialling.abort();
    let coordinator = federation.home.config().unwrap().address.parse().unwrap();
    host.send(mouth.local_addr().unwrap(), coordinator, &first);
    hear(&mouth).await
}

async fn hear(socket: &Arc<dyn AsyncUdpSocket>) -> Vec<u8> {
    std::future::poll_fn(|cx| {
        let (mut datagram, mut meta) = ([0; 2000], [RecvMeta::default()]);
        let got = socket.poll_recv(cx, &mut [IoSliceMut::new(&mut datagram)], &mut meta);
        got.map(|_| datagram[..meta[0].len].to_vec())
    })
    .await
}

#[test]
fn over_half_of_the_cap_an_address_must_be_proven_and_over_the_cap_nobody_gets_in() {
    day(async {
        let net = Net::new(27, START);
        let federation = Arc::new(federation(&net, 1, 1, &[("max_connections", 4)]));
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        // Bits 4 and 5 of the first byte of a long header: 0 begins a handshake (a whole one fills its datagram, a refusal
        // does not), 3 asks to prove the address (RFC 9000, 17.2).
        let kind = |answer: &[u8]| (answer[0] >> 4 & 3, answer.len() >= 1200);
        assert_eq!(kind(&knock(&federation, &net).await), (0, true));
        let north = &federation.shops[0];
        let _second = member(&federation, north).await.unwrap();
        assert_eq!(kind(&knock(&federation, &net).await), (3, false));
        let _third = member(&federation, north).await.unwrap();
        let _fourth = member(&federation, north).await.unwrap();
        assert!(member(&federation, north).await.is_none());
        serving.stop().await.unwrap();
    });
}

#[test]
fn handshakes_that_are_never_finished_are_given_up() {
    day(async {
        let net = Net::new(25, START);
        let federation = federation(&net, 1, 1, &[("max_strangers", 2)]);
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        let federation = Arc::new(federation);
        for _ in 0..2 {
            // Its first datagram arrives, and it hears and says nothing more.
            let silent = net.host();
            silent.set_conditions(Conditions {
                latency: Duration::from_millis(20),
                ..Conditions::default()
            });
            let (at, host) = (Arc::clone(&federation), Arc::clone(&silent));
            tokio::spawn(async move { drop(dial(&at, &host, None).await) });
            tokio::time::sleep(Duration::from_millis(30)).await;
            silent.cut(LONGEST);
        }
        let north = &federation.shops[0];
        assert!(
            member(&federation, north).await.is_none(),
            "both places are taken"
        );
        tokio::time::sleep(Duration::from_secs(HANDSHAKE_SECS + 1)).await;
        assert!(member(&federation, north).await.is_some());
        serving.stop().await.unwrap();
    });
}

#[test]
fn shops_that_send_a_byte_a_second_make_way_and_go_on_where_they_were() {
    day(async {
        let net = Net::new(26, START);
        let federation = federation(&net, 5, 1, &[("slow_secs", 2)]);
        let mut serving = federation.serve();
        until(&serving, "listening").await;
        let (north, slow) = federation.shops.split_first().unwrap();
        // An attempt is opened for a subscriber.
        let subscriber = member(&federation, &slow[0]).await.unwrap();
        let subscribe = Request::Subscribe {
            software: "test".into(),
            process_id: 0,
        };
        let _subscribed = subscriber.ask(&subscribe).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let upload = UploadHeader {
            id: AttemptId { round: 1, attempt: 1 },
            update: Digest::of(b"never arrives"),
            len_bytes: 4 * (ITEMS * COLUMNS + 1) as u64,
            ledger_length: 1,
            ledger_head: Digest::ZERO,
        };
        // All four places are taken.
        let mut sending = tokio::task::JoinSet::new();
        for shop in slow {
            let peer = member(&federation, shop).await.unwrap();
            let (reply, mut send, mut receive) = peer.ask(&Request::Upload(upload)).await.unwrap();
            assert_eq!(reply, Reply::UploadFrom { offset: 0 });
            sending.spawn(async move {
                while send.write_all(&[7]).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                let last: Option<Reply> = read_frame(&mut receive).await.unwrap();
                (last, peer.ask(&Request::Upload(upload)).await.unwrap().0)
            });
        }
        let mut fast = federation.run(north);
        until(&fast, "received").await;
        let first = sending.join_next().await.unwrap().unwrap();
        let (Some(Reply::Error { code, .. }), Reply::UploadFrom { offset }) = first else {
            panic!("{first:?}");
        };
        assert_eq!(code, ErrorCode::TooSlow);
        assert!(offset > 0, "what came before is kept");
        sending.abort_all();
        fast.stop().await.unwrap();
        serving.stop().await.unwrap();
    });
}

//! Whole rounds, over UDP and through tunnels over TCP: announcement, model out, update in, receipt, step, model published; nobody trains.

use std::net::Ipv4Addr;

use anyhow::Context;
use quinn::Connection;
use souk_common::clock::{Clock, Stopwatch, SystemClock};
use souk_common::crypto::pki::{Authority, shop_key};
use souk_common::limits::CHUNK_BYTES;
use souk_common::transport::{
    Identity, ResetKey, TransportChoice, Trust, client_endpoint, connect, server_endpoint,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::row::Row;
use crate::load::raw_shops::Shops;
use crate::processes::site::{Setting, Site};

/// `round_16x1m`, the same with updates kept and with all shops in tunnels, and the transport alone.
pub(super) fn rows(short: bool) -> anyhow::Result<Vec<Row>> {
    let runtime = runtime()?;
    let rounds = if short { 8 } else { 24 };
    let transport = runtime.block_on(transport(rounds))?;
    let plain = rate(&runtime, rounds, 0, TransportChoice::Udp)?;
    let kept = rate(&runtime, rounds, 1, TransportChoice::Udp)?;
    let tunnelled = rate(&runtime, rounds, 0, TransportChoice::Tcp)?;
    let row = |name, rate: f64| {
        Row::new(name, rate, "rounds/s")
            .ratio(rate / transport, TRANSPORT)
            .with("rounds", rounds)
    };
    Ok(vec![
        Row::new(TRANSPORT, transport, "rounds/s").with("bytes_each_way", SHOPS * PARAMETERS * 4),
        row("round_16x1m", plain).bound(plain >= LEAST_ROUNDS, "at least 4 rounds/s"),
        row("round_16x1m_kept", kept),
        Row::new("round_16x1m_tcp", tunnelled, "rounds/s")
            .ratio(tunnelled / plain, "round_16x1m")
            .with("rounds", rounds)
            .bound(tunnelled >= plain * LEAST_OF_UDP, "at least half of round_16x1m"),
    ])
}

/// A runtime on all cores, as the programs have it.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")
}

/// Rounds a second of a real coordinator, after the first.
fn rate(runtime: &Runtime, rounds: u64, keep_parts: u64, choice: TransportChoice) -> anyhow::Result<f64> {
    let setting = Setting {
        shops: SHOPS,
        parameters: PARAMETERS,
        rounds: rounds + WARM_UP,
        adam: false,
        keep_parts,
        at_once: None,
        masking: None,
    };
    let site = Site::new(&setting)?;
    let serving = site.serve()?;
    let seen = runtime.block_on(async {
        let shops = Shops::connect_over(choice, &site, serving.address, PARAMETERS + 1).await?;
        shops.run().await
    })?;
    serving.wait()?;
    let began = seen.published.get(WARM_UP as usize - 1);
    let ended = seen.published.last();
    let (began, ended) = began
        .zip(ended)
        .context("the coordinator published too few rounds")?;
    Ok(rounds as f64 / (ended - began))
}

/// The same bytes both ways over the same sockets and certificates, with nothing done to them.
async fn transport(rounds: u64) -> anyhow::Result<f64> {
    let now = SystemClock.now();
    let authority = Authority::create("bench", now)?;
    let (certificate, key) = authority.issue_coordinator(now)?;
    let chain = vec![certificate, authority.certificate().to_vec()];
    let server = server_endpoint(
        (Ipv4Addr::LOCALHOST, 0).into(),
        Identity { chain, key },
        authority.certificate(),
        ResetKey::derive(authority.key()),
    )?;
    let address = server.local_addr()?;
    let mut ends = Vec::new();
    for shop in 0..SHOPS {
        let (key, request) = shop_key()?;
        let name = format!("shop-{shop}").parse()?;
        let chain = vec![authority.issue_shop(&request, &name, now)?];
        let trust = Trust::Ca(authority.certificate().to_vec());
        let client = client_endpoint(address, trust, Some(&Identity { chain, key }))?;
        let accepted = async {
            let incoming = server.accept().await.context("the endpoint is closed")?;
            Ok(incoming.await?)
        };
        let (accepted, dialled) = tokio::join!(accepted, connect(&client, address));
        let accepted: anyhow::Result<Connection> = accepted;
        ends.push((accepted?, dialled?, client));
    }
    one_round(&ends).await?;
    let watch = Stopwatch::start();
    for _ in 0..rounds {
        one_round(&ends).await?;
    }
    Ok(rounds as f64 / watch.secs())
}

async fn one_round(ends: &[(Connection, Connection, quinn::Endpoint)]) -> anyhow::Result<()> {
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for (coordinator, shop, _) in ends {
        let (coordinator, shop) = (coordinator.clone(), shop.clone());
        tasks.spawn(async move {
            let (mut send, mut receive) = coordinator.accept_bi().await?;
            send.write_all(&vec![0; PARAMETERS * 4]).await?;
            send.finish()?;
            while receive.read_chunk(CHUNK_BYTES, true).await?.is_some() {}
            Ok(())
        });
        tasks.spawn(async move {
            let (mut send, mut receive) = shop.open_bi().await?;
            // A stream is seen by the other end with its first byte.
            send.write_all(&[0]).await?;
            while receive.read_chunk(CHUNK_BYTES, true).await?.is_some() {}
            send.write_all(&vec![0; PARAMETERS * 4]).await?;
            send.finish()?;
            send.stopped().await?;
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("an end of a connection panicked")??;
    }
    Ok(())
}

pub(super) const SHOPS: usize = 16;
pub(super) const PARAMETERS: usize = 1_000_000;
pub(super) const WARM_UP: u64 = 2;
const LEAST_ROUNDS: f64 = 4.0;
const LEAST_OF_UDP: f64 = 0.5;
const TRANSPORT: &str = "transport_16x4mb";

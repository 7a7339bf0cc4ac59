//! Shops that have no customers: they fetch the model, send an update of zeros, and wait for the next round. All live in
//! this process; each has a socket, a certificate and a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use souk_common::clock::Stopwatch;
use souk_common::ids::{Digest, Digester};
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::stream;
use souk_common::round::record::{Announcement, Answer, AttemptId, Outcome, UploadHeader};
use souk_common::transport::{Trust, client_endpoint, connect, fill, read_frame, write_frame};
use souk_common::wire::limits::CHUNK_BYTES;
use souk_common::wire::messages::{Push, Reply, Request};
use souk_common::wire::update;
use tokio::task::JoinSet;

use super::site::Site;
use super::training::NOISELESS;

/// Connected shops.
pub(super) struct Shops {
    all: Vec<Shop>,
    shared: Arc<Shared>,
}

struct Shop {
    number: usize,
    connection: Connection,
    /// Its driver lives as long as it is held.
    _endpoint: Endpoint,
}

/// What all shops send, and what they saw.
struct Shared {
    update: Vec<u8>,
    watch: Stopwatch,
    published: Mutex<Vec<f64>>,
    sending: AtomicUsize,
    most_sending: AtomicUsize,
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Seen {
    /// When each round was published, in seconds, as the first shop heard of it.
    pub(super) published: Vec<f64>,
    /// Most shops that were sending their bytes at once.
    pub(super) most_sending: usize,
}

impl Shops {
    /// Lets all shops of the site dial.
    pub(super) async fn connect(site: &Site, address: SocketAddr, parameters: usize) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (number, identity) in site.shops.iter().enumerate() {
            let endpoint = client_endpoint(address, Trust::Ca(site.ca.clone()), Some(identity))?;
            let connection = connect(&endpoint, address).await?;
            all.push(Shop {
                number,
                connection,
                _endpoint: endpoint,
            });
        }
        let nothing = NoiseVector::draw(&NOISELESS, parameters, &mut stream(1, "bench"));
        let shared = Arc::new(Shared {
            update: update::encode(&Privatized::of_nobody(nothing)),
            watch: Stopwatch::start(),
            published: Mutex::default(),
            sending: AtomicUsize::new(0),
            most_sending: AtomicUsize::new(0),
        });
        Ok(Self { all, shared })
    }

    /// Takes part until the coordinator says that the run is finished; the connections stay open.
    pub(super) async fn run(&self) -> anyhow::Result<Seen> {
        let mut tasks = JoinSet::new();
        for shop in &self.all {
            let (number, connection) = (shop.number, shop.connection.clone());
            tasks.spawn(take_part(number, connection, Arc::clone(&self.shared)));
        }
        let all = async {
            while let Some(done) = tasks.join_next().await {
                done.context("a shop of the benchmark panicked")??;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(LONGEST, all)
            .await
            .with_context(|| format!("the rounds did not end within {LONGEST:?}"))??;
        let published = self.shared.published.lock();
        Ok(Seen {
            published: published.unwrap_or_else(PoisonError::into_inner).clone(),
            most_sending: self.shared.most_sending.load(Ordering::SeqCst),
        })
    }
}

async fn take_part(number: usize, connection: Connection, shared: Arc<Shared>) -> anyhow::Result<()> {
    let (mut send, mut pushes) = connection.open_bi().await?;
    let subscribe = Request::Subscribe {
        software: "souk-sim bench".to_owned(),
        process_id: std::process::id(),
    };
    write_frame(&mut send, &subscribe).await?;
    send.finish()?;
    loop {
        let push = read_frame(&mut pushes).await?;
        match push.context("the coordinator ended the subscription")? {
            Push::Welcome { .. } => {}
            Push::Announce(announcement) => {
                round(number, &connection, &shared, &announcement.body).await?;
            }
            Push::Ended { id, outcome } => {
                ensure!(
                    matches!(outcome.body, Outcome::Published(_)),
                    "{id} ended without a model"
                );
                if number == 0 {
                    let mut published = shared.published.lock().unwrap_or_else(PoisonError::into_inner);
                    published.push(shared.watch.secs());
                }
            }
            Push::Finished => return Ok(()),
        }
    }
}

async fn round(
    number: usize,
    connection: &Connection,
    shared: &Shared,
    announcement: &Announcement,
) -> anyhow::Result<()> {
    let (id, answer) = (announcement.id, Answer::Accept);
    let (reply, ..) = ask(connection, &Request::Answer { id, answer }, true).await?;
    ensure!(reply == Reply::Done, "the answer was not taken: {reply:?}");
    fetch(connection, announcement.model).await?;
    upload(number, connection, shared, id).await
}

/// Reads the model as a shop does, digest and all, and keeps none of it.
async fn fetch(connection: &Connection, digest: Digest) -> anyhow::Result<()> {
    let (reply, _send, mut receive) = ask(connection, &Request::Blob { digest, offset: 0 }, true).await?;
    let Reply::Blob { len_bytes } = reply else {
        bail!("the coordinator does not have the model: {reply:?}");
    };
    let (mut digester, mut left) = (Digester::default(), len_bytes);
    let mut piece = vec![0; CHUNK_BYTES];
    loop {
        let (filled, ended) = fill(&mut receive, &mut piece).await;
        ended?;
        digester.update(&piece[..filled]);
        left = left.saturating_sub(filled as u64);
        if filled < piece.len() {
            break;
        }
    }
    ensure!(
        left == 0 && digester.finish() == digest,
        "the model's bytes are not those announced"
    );
    Ok(())
}

async fn upload(
    number: usize,
    connection: &Connection,
    shared: &Shared,
    id: AttemptId,
) -> anyhow::Result<()> {
    // Another first coordinate for each shop and round: equal updates would share one file in the coordinator's store.
    let head = (number as u32 | (id.round as u32) << 16).to_le_bytes();
    let rest = &shared.update[head.len()..];
    let header = UploadHeader {
        id,
        update: Digester::default().update(&head).update(rest).finish(),
        len_bytes: shared.update.len() as u64,
        ledger_length: id.round,
        ledger_head: Digest::ZERO,
    };
    let (reply, mut send, mut receive) = ask(connection, &Request::Upload(header), false).await?;
    ensure!(
        reply == Reply::UploadFrom { offset: 0 },
        "the update was not taken: {reply:?}"
    );
    let now = shared.sending.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_sending.fetch_max(now, Ordering::SeqCst);
    send.write_all(&head).await?;
    send.write_all(rest).await?;
    shared.sending.fetch_sub(1, Ordering::SeqCst);
    send.finish()?;
    match read_frame(&mut receive).await? {
        Some(Reply::Receipt(receipt)) if receipt.body.upload == header => Ok(()),
        other => bail!("the update has no receipt: {other:?}"),
    }
}

/// Asks on a new stream, which is all there is to say if `whole`.
async fn ask(
    connection: &Connection,
    request: &Request,
    whole: bool,
) -> anyhow::Result<(Reply, SendStream, RecvStream)> {
    let (mut send, mut receive) = connection.open_bi().await?;
    write_frame(&mut send, request).await?;
    if whole {
        send.finish()?;
    }
    let reply = read_frame(&mut receive).await?;
    Ok((reply.context("the coordinator did not answer")?, send, receive))
}

const LONGEST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::fs;

    use souk_common::round::plan::Plan;
    use souk_coordinator::serve::{Options, run};

    use super::*;
    use crate::bench::site::Setting;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_updates_are_on_their_way_than_configured_and_none_is_lost() {
        let (parameters, shops, rounds) = (300_000, 5, 2);
        let setting = Setting {
            shops,
            parameters,
            rounds,
            adam: false,
            keep_parts: 0,
            at_once: Some(2),
        };
        let site = Site::new(&setting).unwrap();
        let options = Options {
            plan: Plan::from_toml(&fs::read_to_string(site.plan()).unwrap()).unwrap(),
            listen: None,
            exit_when_finished: true,
            new_run: false,
        };
        let (said_in, mut said) = tokio::sync::mpsc::unbounded_channel();
        let report = move |line: &str| said_in.send(line.to_owned()).unwrap();
        let serving = tokio::spawn(run(site.home.clone(), options, std::future::pending(), report));
        let first = said.recv().await.unwrap();
        let address = first.strip_prefix("listening on ").unwrap().parse().unwrap();
        let shops = Shops::connect(&site, address, parameters + 1).await.unwrap();
        let seen = shops.run().await.unwrap();
        assert_eq!(seen.published.len() as u64, rounds);
        assert!((1..=2).contains(&seen.most_sending), "{}", seen.most_sending);
        drop(shops);
        serving.await.unwrap().unwrap();
        let kept = fs::read_dir(site.home.path().join("private")).unwrap();
        let kept = kept.flatten().filter(|entry| entry.file_name() != "tmp");
        let files = kept.flat_map(|folder| fs::read_dir(folder.path()).unwrap());
        assert_eq!(files.count(), 0, "no part is kept");
    }
}

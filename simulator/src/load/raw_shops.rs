//! Shops that have no customers: they fetch the model, send an update of zeros, and wait for the next round. All live in
//! this process; each has a socket, a certificate and a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use quinn::{Connection, RecvStream, SendStream};
use souk_common::clock::Stopwatch;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{AttemptId, Digest, Digester, ShopName};
use souk_common::limits::CHUNK_BYTES;
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::{secret_stream, stream};
use souk_common::round::statements::{Announcement, Decision, Outcome, Sent, UploadHeader};
use souk_common::secagg::{Binding, Checked, Context, Keys, MaskingParams, Sharing, UnmaskSecrets};
use souk_common::transport::{
    Dialled, Platform, TransportChoice, Trust, dial, fill, read_frame, write_frame,
};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_common::wire::update;
use tokio::task::JoinSet;

use crate::load::{NOISELESS, cpu_secs};
use crate::processes::site::Site;
use crate::world::shop::Everybody;

/// Connected shops.
pub(crate) struct Shops {
    all: Vec<Shop>,
    shared: Arc<Shared>,
}

struct Shop {
    number: usize,
    name: ShopName,
    identity: Arc<SigningKey>,
    connection: Connection,
    /// Its driver lives as long as it is held.
    _dialled: Dialled,
}

/// What all shops send, and what they saw.
struct Shared {
    update: Vec<u8>,
    parameters: usize,
    masking: Option<MaskingParams>,
    /// Whose CPU time is added to this process' own.
    coordinator: Option<u32>,
    cpu: Mutex<Vec<f64>>,
    watch: Stopwatch,
    published: Mutex<Vec<f64>>,
    sending: AtomicUsize,
    most_sending: AtomicUsize,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Seen {
    /// When each round was published, in seconds, as the first shop heard of it.
    pub(crate) published: Vec<f64>,
    /// CPU seconds of the coordinator and of all shops until then, if that was asked for.
    pub(crate) cpu: Vec<f64>,
    /// Most shops that were sending their bytes at once.
    pub(crate) most_sending: usize,
}

impl Shops {
    /// Lets all shops of the site dial over UDP.
    pub(crate) async fn connect(site: &Site, address: SocketAddr, parameters: usize) -> anyhow::Result<Self> {
        Self::connect_over(TransportChoice::Udp, site, address, parameters).await
    }

    /// The same, over UDP or TCP.
    pub(crate) async fn connect_over(
        choice: TransportChoice,
        site: &Site,
        address: SocketAddr,
        parameters: usize,
    ) -> anyhow::Result<Self> {
        let (platform, trust) = (Platform::system(), Trust::Ca(site.ca.clone()));
        let mut all = Vec::new();
        for (number, identity) in site.shops.iter().enumerate() {
            let dialled = dial(&platform, address, &trust, Some(identity), choice).await?;
            all.push(Shop {
                number,
                name: format!("shop-{number}").parse()?,
                identity: Arc::new(SigningKey::from_pkcs8(&identity.key)?),
                connection: dialled.connection.clone(),
                _dialled: dialled,
            });
        }
        let nothing = NoiseVector::draw(&NOISELESS, parameters, &mut stream(1, "bench"));
        let shared = Arc::new(Shared {
            update: update::encode(&Privatized::of_nobody(nothing)),
            parameters,
            masking: site.masking.as_ref().map(terms),
            coordinator: None,
            cpu: Mutex::default(),
            watch: Stopwatch::start(),
            published: Mutex::default(),
            sending: AtomicUsize::new(0),
            most_sending: AtomicUsize::new(0),
        });
        Ok(Self { all, shared })
    }

    /// Notes CPU seconds at every publication: this process' and the coordinator's.
    pub(crate) fn watching(mut self, coordinator: u32) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.coordinator = Some(coordinator);
        }
        self
    }

    /// Takes part until the coordinator says that the run is finished; the connections stay open.
    pub(crate) async fn run(&self) -> anyhow::Result<Seen> {
        let mut tasks = JoinSet::new();
        for shop in &self.all {
            let taking_part = TakingPart {
                number: shop.number,
                name: shop.name.clone(),
                identity: Arc::clone(&shop.identity),
                connection: shop.connection.clone(),
                shared: Arc::clone(&self.shared),
                plan: Digest::ZERO,
                attempt: Attempt::None,
            };
            tasks.spawn(taking_part.run());
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
            cpu: self
                .shared
                .cpu
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            most_sending: self.shared.most_sending.load(Ordering::SeqCst),
        })
    }
}

/// A shop in its rounds.
struct TakingPart {
    number: usize,
    name: ShopName,
    identity: Arc<SigningKey>,
    connection: Connection,
    shared: Arc<Shared>,
    /// As the last announcement named it.
    plan: Digest,
    attempt: Attempt,
}

/// Where a masked attempt stands.
enum Attempt {
    None,
    Keys(Box<Keys>),
    Sharing(Box<Sharing>),
    Checked(Box<Checked>),
    Masking(Box<UnmaskSecrets>),
}

impl TakingPart {
    async fn run(mut self) -> anyhow::Result<()> {
        let (mut send, mut pushes) = self.connection.open_bi().await?;
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
                Push::Announce(announcement) => self.round(&announcement.body).await?,
                Push::Ended { id, outcome } => {
                    ensure!(
                        matches!(outcome.body, Outcome::Published(_)),
                        "{id} ended without a model"
                    );
                    if self.number == 0 {
                        self.note()?;
                    }
                }
                Push::Finished => return Ok(()),
                masked => self.masked(masked).await?,
            }
        }
    }

    fn note(&self) -> anyhow::Result<()> {
        let mut published = self
            .shared
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        published.push(self.shared.watch.secs());
        if let Some(coordinator) = self.shared.coordinator {
            let cpu = cpu_secs("self")? + cpu_secs(&coordinator.to_string())?;
            self.shared
                .cpu
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(cpu);
        }
        Ok(())
    }

    async fn round(&mut self, announcement: &Announcement) -> anyhow::Result<()> {
        let id = announcement.id;
        self.plan = announcement.plan;
        if let Some(terms) = self.shared.masking {
            let context = Context {
                id,
                plan: announcement.plan,
                model: announcement.model,
            };
            let keys = Keys::make(context, terms, &self.name, &self.identity, &mut secret_stream()?);
            self.say(&Request::Advertise(keys.advertisement().clone()))
                .await?;
            self.attempt = Attempt::Keys(Box::new(keys));
            return fetch(&self.connection, announcement.model).await;
        }
        let answer = Decision::Accept;
        self.say(&Request::Answer { id, answer }).await?;
        fetch(&self.connection, announcement.model).await?;
        // Another first coordinate for each shop and round: equal updates would share one file in the coordinator's store.
        let head = (self.number as u32 | (id.round as u32) << 16).to_le_bytes();
        let rest = &self.shared.update[head.len()..];
        upload(self, id, None, (&head, rest)).await
    }

    async fn masked(&mut self, push: Push) -> anyhow::Result<()> {
        match (push, std::mem::replace(&mut self.attempt, Attempt::None)) {
            (Push::Roster { id, roster }, Attempt::Keys(keys)) => {
                let (sharing, shares) =
                    keys.share(roster, &Everybody, &self.identity, &mut secret_stream()?)?;
                self.attempt = Attempt::Sharing(Box::new(sharing));
                self.say(&Request::Share { id, shares }).await
            }
            (Push::Delivered { id, shares }, Attempt::Sharing(sharing)) => {
                let (checked, bad) = sharing.check(&shares)?;
                self.attempt = Attempt::Checked(Box::new(checked));
                self.say(&Request::Checked { id, bad }).await
            }
            (Push::Sharers { id, sharers }, Attempt::Checked(checked)) => {
                let parameters = self.shared.parameters;
                let (masking, update) = tokio::task::block_in_place(|| {
                    let (masking, masks) = checked.mask(sharers, &self.identity)?;
                    let nothing = NoiseVector::draw(&NOISELESS, parameters, &mut stream(1, "bench"));
                    anyhow::Ok((
                        masking,
                        update::encode(&Privatized::of_nobody_under(nothing, masks)),
                    ))
                })?;
                let binding = Some(masking.binding());
                self.attempt = Attempt::Masking(Box::new(masking));
                upload(self, id, binding, (&[], &update)).await
            }
            (
                Push::Survivors {
                    survivors, bindings, ..
                },
                Attempt::Masking(mut masking),
            ) => {
                let signed = masking.confirm(&survivors, &bindings, &self.identity)?;
                self.attempt = Attempt::Masking(masking);
                self.say(&Request::Confirm(signed)).await
            }
            (Push::Confirmed { id, confirmed }, Attempt::Masking(masking)) => {
                let shares = masking.reveal(&confirmed)?;
                self.attempt = Attempt::Masking(masking);
                self.say(&Request::Reveal { id, shares }).await
            }
            (push, _) => bail!("the coordinator says at the wrong time: {push:?}"),
        }
    }

    async fn say(&self, request: &Request) -> anyhow::Result<()> {
        let (reply, ..) = ask(&self.connection, request, true).await?;
        ensure!(reply == Reply::Done, "{request:?} was not taken: {reply:?}");
        Ok(())
    }
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

/// Offers an update as real shops do, under the shop's own signature, and sends it.
async fn upload(
    shop: &TakingPart,
    id: AttemptId,
    binding: Option<Binding>,
    (head, rest): (&[u8], &[u8]),
) -> anyhow::Result<()> {
    let (connection, shared) = (&shop.connection, &shop.shared);
    let header = UploadHeader {
        id,
        update: Digester::default().update(head).update(rest).finish(),
        len_bytes: (head.len() + rest.len()) as u64,
        ledger_length: id.round,
        ledger_head: Digest::ZERO,
    };
    let sent = Sent::of(&shop.name, shop.plan, &header);
    let offer = Request::SignedUpload {
        header,
        signature: shop.identity.sign(sent).signature,
        binding,
    };
    let (reply, mut send, mut receive) = ask(connection, &offer, false).await?;
    ensure!(
        reply == Reply::UploadFrom { offset: 0 },
        "the update was not taken: {reply:?}"
    );
    let now = shared.sending.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_sending.fetch_max(now, Ordering::SeqCst);
    send.write_all(head).await?;
    // Counted until just before the last byte: with it the coordinator gives the place to the next, who may be faster than
    // this task comes back.
    let (most, last) = rest.split_at(rest.len().saturating_sub(1));
    send.write_all(most).await?;
    shared.sending.fetch_sub(1, Ordering::SeqCst);
    send.write_all(last).await?;
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

/// Terms of the plan that a masked benchmark runs.
fn terms(masking: &souk_common::plan::MaskingPlan) -> MaskingParams {
    MaskingParams {
        min_shops: masking.min_shops,
        colluding: masking.colluding,
        neighbours: masking.neighbours,
        cipher: masking.cipher,
        bits: souk_common::update::ModulusBits::B32,
        safeguards: souk_common::secagg::Safeguards::ALL,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use souk_common::plan::Plan;
    use souk_coordinator::serve::{Options, run};

    use super::*;
    use crate::processes::site::Setting;

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
            masking: None,
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

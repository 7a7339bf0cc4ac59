//! A federation's coordinator: the production engine, dialogue and store, on a disk that fails or in memory.
//!
//! Every request is answered by the dialogue that `serve` carries over QUIC, certificates and joins included: who a shop is
//! stands in the certificate that it dials with. What only sockets have is not here: TLS, which would refuse a certificate
//! that has run out; places, rates and patience; and the notice that refused joiners wait to be written, for nobody guesses
//! codes here. Shops join before the storm, and none leaves: both are answered, but nobody asks while it blows.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use souk_client::membership::Membership;
use souk_client::membership::join::joined;
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};
use souk_common::transport::PeerIdentity;
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::engine::{Engine, EngineError, Output, Settings};
use souk_coordinator::membership::authorities::Certification;
use souk_coordinator::membership::registry;
use souk_coordinator::round::{Event, PauseReason};
use souk_coordinator::session::upload::{Offer, Receiving, UploadEnd};
use souk_coordinator::session::{Caller, Dialogue, Handled, Next, no_such_blob};
use souk_coordinator::store::Store;

use super::disk::FakeDisk;
use super::setup::{LIFE, Setup};

/// Where an answer goes: which shop's connection, which question on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) shop: usize,
    pub(crate) link: u64,
    pub(crate) number: u64,
}

/// What the coordinator says or wants.
pub(crate) enum Said {
    /// To these shops, over these connections.
    Push(Vec<(usize, u64)>, Push),
    Reply(Stream, Reply),
    /// A blob's bytes, from where the shop asked on, behind the reply.
    Bytes(Stream, Vec<u8>),
    WakeAt(Timestamp),
    /// It does not go on by itself.
    Paused,
    Finished,
}

/// The coordinator.
pub(crate) struct Coordinator {
    up: Option<(Engine, Dialogue)>,
    /// Who dialled last, of each shop.
    callers: BTreeMap<usize, Caller>,
    /// Connections that are told of rounds.
    links: BTreeMap<usize, u64>,
    receiving: BTreeMap<usize, (Stream, Offer, Receiving)>,
    names: Vec<ShopName>,
    /// Where each stands among them.
    places: HashMap<ShopName, usize>,
    /// What its clock is ahead.
    pub(crate) ahead_ms: i64,
    /// Counts starts.
    pub(crate) boots: u64,
    pub(crate) wake_at: Option<Timestamp>,
}

/// What stops it.
pub(crate) type Stopped = anyhow::Error;

impl Coordinator {
    /// With shops of these names; it runs if it is `up`.
    pub(crate) fn new(names: Vec<ShopName>, up: Option<(Engine, Dialogue)>) -> Self {
        Self {
            up,
            callers: BTreeMap::new(),
            links: BTreeMap::new(),
            receiving: BTreeMap::new(),
            places: names.iter().cloned().zip(0..).collect(),
            names,
            ahead_ms: 0,
            boots: 0,
            wake_at: None,
        }
    }

    /// Starts from what was opened.
    pub(crate) fn start(
        &mut self,
        now: Timestamp,
        up: anyhow::Result<(Engine, Dialogue)>,
    ) -> Result<Vec<Said>, Stopped> {
        self.boots += 1;
        self.up = Some(up?);
        self.tell(now, Event::Started)
    }

    /// The machine is off, or the program has ended: nothing in memory is left.
    pub(crate) fn stop(&mut self) {
        // What holds files goes before the disk starts again.
        self.receiving.clear();
        self.up = None;
        self.callers.clear();
        self.links.clear();
        self.wake_at = None;
    }

    pub(crate) fn engine(&mut self) -> Option<&mut Engine> {
        self.up.as_mut().map(|(engine, _)| engine)
    }

    /// A shop dials, and shows a certificate.
    pub(crate) fn connected(&mut self, shop: usize, peer: Option<PeerIdentity>, certificate: &[u8]) {
        let caller = Caller {
            peer,
            certificate: certificate.to_vec(),
            from: HERE,
        };
        self.callers.insert(shop, caller);
    }

    /// A shop's question.
    pub(crate) fn answer(
        &mut self,
        now: Timestamp,
        stream: Stream,
        request: Request,
    ) -> Result<Vec<Said>, Stopped> {
        let Some(caller) = self.callers.get(&stream.shop).cloned() else {
            return Ok(Vec::new());
        };
        self.converse(now, stream, |dialogue, engine| {
            dialogue.answer(engine, now, &caller, request)
        })
    }

    /// Bytes of an update.
    pub(crate) fn bytes(
        &mut self,
        now: Timestamp,
        stream: Stream,
        bytes: &[u8],
        last: bool,
    ) -> Result<Vec<Said>, Stopped> {
        let receiving = self.receiving.get_mut(&stream.shop);
        let Some((_, _, update)) = receiving.filter(|(of, ..)| *of == stream) else {
            return Ok(Vec::new());
        };
        // What a shop sends behind the end nobody reads.
        let most = bytes.len().min(update.left() as usize);
        let pushed = update.push(&bytes[..most]);
        let ended = match (update.left(), last) {
            (0, _) => None,
            (_, true) => Some(UploadEnd::TooShort),
            (_, false) if pushed.is_ok() => return Ok(Vec::new()),
            (_, false) => None,
        };
        let Some((_, offer, update)) = self.receiving.remove(&stream.shop) else {
            return Ok(Vec::new());
        };
        let received = pushed.map_err(Into::into).and_then(|()| update.end(ended));
        self.converse(now, stream, |dialogue, engine| {
            dialogue.received(engine, now, &offer, received)
        })
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, now: Timestamp, shop: usize, link: u64) -> Result<Vec<Said>, Stopped> {
        let mut said = Vec::new();
        if self
            .receiving
            .get(&shop)
            .is_some_and(|(stream, ..)| stream.link == link)
        {
            said.extend(self.break_off(now, shop)?);
        }
        if self.links.get(&shop) == Some(&link) {
            self.links.remove(&shop);
            said.extend(self.tell(now, Event::Disconnected(self.names[shop].clone()))?);
        }
        Ok(said)
    }

    /// Its timer, or the operator.
    pub(crate) fn tell(&mut self, now: Timestamp, event: Event) -> Result<Vec<Said>, Stopped> {
        self.act(|engine| engine.handle(now, event))
    }

    /// The operator lets no further attempt begin.
    pub(crate) fn pause(&mut self, now: Timestamp) -> Result<Vec<Said>, Stopped> {
        self.act(|engine| engine.set_paused(now, true))
    }

    /// The operator lets the run go on.
    pub(crate) fn resume(&mut self, now: Timestamp) -> Result<Vec<Said>, Stopped> {
        self.act(|engine| engine.set_paused(now, false))
    }

    fn act(
        &mut self,
        act: impl FnOnce(&mut Engine) -> Result<Vec<Output>, EngineError>,
    ) -> Result<Vec<Said>, Stopped> {
        match &mut self.up {
            Some((engine, _)) => {
                let outputs = act(engine)?;
                Ok(self.pass_on(outputs))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Lets the dialogue use the engine, and follows where that leads.
    fn converse(
        &mut self,
        now: Timestamp,
        stream: Stream,
        act: impl FnOnce(&Dialogue, &mut Engine) -> Handled,
    ) -> Result<Vec<Said>, Stopped> {
        let Some((engine, dialogue)) = &mut self.up else {
            return Ok(Vec::new());
        };
        let answer = act(dialogue, engine);
        self.follow(now, stream, answer)
    }

    fn follow(&mut self, now: Timestamp, stream: Stream, answer: Handled) -> Result<Vec<Said>, Stopped> {
        let Handled { next, outputs } = answer;
        if matches!(next, Next::Subscribe { .. }) {
            self.links.insert(stream.shop, stream.link);
        }
        let mut said = self.pass_on(outputs?);
        match next {
            // A shop that is told that it is none hangs up by itself.
            Next::Reply(reply) | Next::Close(reply, _) => said.push(Said::Reply(stream, reply)),
            Next::Subscribe { .. } => {}
            Next::Blob { digest, offset } => said.extend(self.blob(stream, &digest, offset)),
            Next::Offer(offer) => {
                // A newer upload of a shop ends an older one.
                said.extend(self.break_off(now, stream.shop)?);
                said.extend(self.converse(now, stream, |dialogue, engine| {
                    dialogue.offered(engine, now, *offer)
                })?);
            }
            Next::Receive(offer) => said.extend(self.receive(now, stream, *offer)?),
        }
        Ok(said)
    }

    fn receive(&mut self, now: Timestamp, stream: Stream, offer: Offer) -> Result<Vec<Said>, Stopped> {
        let Some((_, dialogue)) = &self.up else {
            return Ok(Vec::new());
        };
        match dialogue.receive(&offer) {
            Ok(update) => {
                let is_whole = update.left() == 0;
                let mut said = vec![Said::Reply(stream, update.from())];
                self.receiving.insert(stream.shop, (stream, offer, update));
                // All of it may have come before.
                if is_whole {
                    said.extend(self.bytes(now, stream, &[], true)?);
                }
                Ok(said)
            }
            Err(error) => self.converse(now, stream, |dialogue, engine| {
                dialogue.received(engine, now, &offer, Err(error.into()))
            }),
        }
    }

    /// Nobody hears what an upload comes to that broke off.
    fn break_off(&mut self, now: Timestamp, shop: usize) -> Result<Vec<Said>, Stopped> {
        let Some((stream, offer, update)) = self.receiving.remove(&shop) else {
            return Ok(Vec::new());
        };
        let received = update.end(Some(UploadEnd::BrokeOff));
        let mut said = self.converse(now, stream, |dialogue, engine| {
            dialogue.received(engine, now, &offer, received)
        })?;
        said.retain(|said| !matches!(said, Said::Reply(of, _) if *of == stream));
        Ok(said)
    }

    fn blob(&mut self, stream: Stream, digest: &Digest, offset: u64) -> Vec<Said> {
        let read = self.engine().map(|engine| {
            let (mut file, len_bytes) = engine.store().files().open_from(digest, offset)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            std::io::Result::Ok((len_bytes, bytes))
        });
        match read {
            Some(Ok((len_bytes, bytes))) => vec![
                Said::Reply(stream, Reply::Blob { len_bytes }),
                Said::Bytes(stream, bytes),
            ],
            _ => vec![Said::Reply(stream, no_such_blob())],
        }
    }

    /// Whether nothing is left of a plan of releases for the next one.
    pub(crate) fn is_spent(&self) -> bool {
        let engine = self.up.as_ref().map(|(engine, _)| engine);
        engine.is_some_and(|engine| engine.machine().open().is_none() && engine.may_go_on().is_err())
    }

    fn pass_on(&self, outputs: Vec<Output>) -> Vec<Said> {
        let mut said = Vec::new();
        for output in outputs {
            match output {
                Output::Push { shops, push } => said.push(self.push(shops, push)),
                Output::WakeAt(at) => said.push(Said::WakeAt(at)),
                Output::Receive { .. } | Output::Reply { .. } | Output::Report(_) => {}
                Output::Finished => said.push(Said::Finished),
            }
        }
        let paused = self.up.as_ref().and_then(|(engine, _)| engine.machine().paused());
        // Nothing that an operator could do lets a plan of releases go on that has spent its budget.
        if paused.is_some_and(|reason| reason != PauseReason::Operator) && !self.is_spent() {
            said.push(Said::Paused);
        }
        said
    }

    fn push(&self, shops: Option<Vec<ShopName>>, push: Push) -> Said {
        if let Some((_, dialogue)) = &self.up {
            dialogue.told(&push);
        }
        let link = |shop: usize| Some((shop, *self.links.get(&shop)?));
        let links = match shops {
            None => self.links.iter().map(|(shop, link)| (*shop, *link)).collect(),
            Some(shops) => shops
                .iter()
                .filter_map(|name| link(*self.places.get(name)?))
                .collect(),
        };
        Said::Push(links, push)
    }
}

/// Makes a storm's federation on `disk`: every shop joins with its code.
pub(crate) fn found(disk: &FakeDisk, setup: &Setup, now: Timestamp) -> anyhow::Result<Vec<Membership>> {
    let (mut engine, dialogue) = open(disk, setup, now)?;
    // What a liar announces in place of the plan.
    engine.store().files().put(&setup.other_plan().to_bytes())?;
    let stranger = Caller {
        peer: None,
        certificate: Vec::new(),
        from: HERE,
    };
    (0..setup.shops.len())
        .map(|shop| {
            let code = setup.code(shop)?;
            registry::invite(engine.store(), now, &setup.shops[shop], &code.secret)?;
            let request = Request::Join {
                secret: *code.secret,
                csr: setup.request(shop)?,
            };
            match dialogue.answer(&mut engine, now, &stranger, request).next {
                Next::Reply(reply) => joined(&code, now, reply),
                next => anyhow::bail!("a request to join led to {next:?}"),
            }
        })
        .collect()
}

/// Opens it as the disk has it.
pub(crate) fn open(disk: &FakeDisk, setup: &Setup, now: Timestamp) -> anyhow::Result<(Engine, Dialogue)> {
    let store = Store::open_on(Arc::new(disk.clone()), setup.home(), None)?;
    let settings = Settings {
        keep_parts: KEPT_ROUNDS,
        keep_models: KEPT_MODELS,
        new_run: false,
    };
    let (key, plan) = (setup.signing_key(), setup.plan.clone());
    let mut engine = Engine::begin(now, store, key, plan, &setup.catalogue, settings)?;
    let certification = Certification::by(setup.authority()?);
    let dialogue = Dialogue::new(&mut engine, certification, LIFE, STAGING_BYTES)?;
    Ok((engine, dialogue))
}

/// Where every shop is.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Rounds whose updates stay on disk.
const KEPT_ROUNDS: u64 = 2;
/// More than the parts need.
pub(crate) const KEPT_MODELS: u64 = 4;
/// Less than two updates: the others wait in files.
const STAGING_BYTES: u64 = 120;

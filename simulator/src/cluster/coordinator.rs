//! The coordinator of a storm: the production engine and store on a disk that fails, with the part of a session that
//! decides (the part that moves bytes is the world's).

use std::collections::BTreeMap;

use souk_common::clock::Timestamp;
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::round::statements::{RejectCode, UploadHeader};
use souk_common::secagg::Binding;
use souk_common::wire::messages::{ErrorCode, Push, Reply, Request};
use souk_coordinator::engine::{Engine, EngineError, Output, Settings, Staged, Staging};
use souk_coordinator::masking::MaskedWord;
use souk_coordinator::round::{Event, PauseReason};
use souk_coordinator::store::{Shop, Standing, Store};

use super::disk::FakeDisk;
use super::setup::Setup;

/// Where an answer goes: which shop's connection, which question on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) shop: usize,
    pub(crate) link: u64,
    pub(crate) number: u64,
}

/// What the coordinator says or wants.
pub(crate) enum Said {
    Push {
        shop: usize,
        link: u64,
        push: Push,
    },
    Reply(Stream, Reply),
    /// A blob's bytes, from where the shop asked on.
    Blob(Stream, Vec<u8>),
    WakeAt(Timestamp),
    /// It does not go on by itself.
    Paused,
    Finished,
}

/// The coordinator.
pub(crate) struct Coordinator {
    pub(crate) disk: FakeDisk,
    engine: Option<Engine>,
    staging: Option<Staging>,
    /// Of each shop: its connection, and whether it is told of rounds.
    links: BTreeMap<usize, (u64, bool)>,
    receiving: BTreeMap<usize, Receiving>,
    partials: BTreeMap<usize, (UploadHeader, Staged)>,
    names: Vec<ShopName>,
    /// What its clock is ahead.
    pub(crate) ahead_ms: i64,
    /// Counts starts.
    pub(crate) boots: u64,
    pub(crate) wake_at: Option<Timestamp>,
}

/// An update on its way.
struct Receiving {
    stream: Stream,
    header: UploadHeader,
    staged: Staged,
}

/// What stops it.
pub(crate) type Stopped = anyhow::Error;

impl Coordinator {
    pub(crate) fn new(disk: FakeDisk, setup: &Setup) -> Self {
        Self {
            disk,
            engine: None,
            staging: None,
            links: BTreeMap::new(),
            receiving: BTreeMap::new(),
            partials: BTreeMap::new(),
            names: setup.shops.clone(),
            ahead_ms: 0,
            boots: 0,
            wake_at: None,
        }
    }

    /// Makes the federation: every shop a member.
    pub(crate) fn found(&mut self, setup: &Setup) -> anyhow::Result<()> {
        let mut store = Store::open_on(std::sync::Arc::new(self.disk.clone()), setup.home(), None)?;
        for (at, shop) in setup.shops.iter().enumerate() {
            let identity = setup.identity(at).public();
            let fingerprint = Digest::of(&identity).to_string();
            let member = Shop {
                fingerprint,
                standing: Standing::Enrolled,
                enrolled_at: Timestamp(0),
                seen_at: None,
                software: String::new(),
                identity: hex::text(&identity),
                certificate: String::new(),
                issued: String::new(),
                authorities: 0,
                clock_ahead_ms: None,
            };
            store.change(|change| change.set_shop(shop, &member))?;
        }
        // What a liar announces in place of the plan.
        store.files().put(&setup.other_plan().to_bytes())?;
        Ok(())
    }

    /// Starts from what the disk has.
    pub(crate) fn start(&mut self, now: Timestamp, setup: &Setup) -> Result<Vec<Said>, Stopped> {
        self.boots += 1;
        let disk = std::sync::Arc::new(self.disk.clone());
        let store = Store::open_on(disk, setup.home(), None)?;
        let settings = Settings {
            keep_parts: KEPT_ROUNDS,
            keep_models: KEPT_MODELS,
            new_run: false,
        };
        let (key, plan) = (setup.signing_key(), setup.plan.clone());
        let mut engine = Engine::begin(now, store, key, plan, &setup.catalogue, settings)?;
        self.staging = Some(Staging::new(STAGING_BYTES, engine.store().shared_private()));
        let outputs = engine.handle(now, Event::Started)?;
        self.engine = Some(engine);
        Ok(self.pass_on(outputs, None))
    }

    /// The machine is off, or the program has ended: nothing in memory is left.
    pub(crate) fn stop(&mut self) {
        // What holds files goes before the disk starts again.
        self.receiving.clear();
        self.partials.clear();
        self.engine = None;
        self.staging = None;
        self.links.clear();
        self.wake_at = None;
    }

    pub(crate) fn engine(&mut self) -> Option<&mut Engine> {
        self.engine.as_mut()
    }

    /// A shop's question.
    pub(crate) fn answer(
        &mut self,
        now: Timestamp,
        stream: Stream,
        request: Request,
    ) -> Result<Vec<Said>, Stopped> {
        let shop = self.names[stream.shop].clone();
        match request {
            Request::Subscribe { .. } => self.subscribe(now, stream, shop),
            Request::Answer { id, answer } => {
                let mut said = self.tell(now, Event::Answered { shop, id, answer })?;
                said.push(Said::Reply(stream, Reply::Done));
                Ok(said)
            }
            Request::Blob { digest, offset } => Ok(vec![self.blob(stream, &digest, offset)]),
            Request::Upload(header) => self.offered(now, stream, (header, None)),
            // The word that a shop signs for itself is kept by `serve`, not by the engine.
            Request::SignedUpload { header, binding, .. } => self.offered(now, stream, (header, binding)),
            Request::Advertise(keys) => {
                let identity = keys.body.identity;
                self.masked(now, stream, MaskedWord::Keys(identity, Box::new(keys)))
            }
            Request::Share { id, shares } => self.masked(now, stream, MaskedWord::Shares(id, shares)),
            Request::Checked { id, bad } => self.masked(now, stream, MaskedWord::Checked(id, bad)),
            Request::Confirm(word) => self.masked(now, stream, MaskedWord::Confirmation(word)),
            Request::Reveal { id, shares } => self.masked(now, stream, MaskedWord::Revealed(id, shares)),
            Request::Join { .. }
            | Request::Leave
            | Request::Members
            | Request::CheckIn(_)
            | Request::Renew { .. }
            | Request::Spent { .. }
            | Request::SignedSpent { .. } => Ok(Vec::new()),
        }
    }

    /// Bytes of an update.
    pub(crate) fn bytes(
        &mut self,
        now: Timestamp,
        stream: Stream,
        bytes: &[u8],
        last: bool,
    ) -> Result<Vec<Said>, Stopped> {
        let Some(receiving) = self
            .receiving
            .get_mut(&stream.shop)
            .filter(|receiving| receiving.stream == stream)
        else {
            return Ok(Vec::new());
        };
        let pushed = receiving.staged.push(bytes);
        let (header, length) = (receiving.header, receiving.staged.len_bytes());
        if pushed.is_ok() && length < header.len_bytes && !last {
            return Ok(Vec::new());
        }
        let Some(Receiving { staged, .. }) = self.receiving.remove(&stream.shop) else {
            return Ok(Vec::new());
        };
        let shop = self.names[stream.shop].clone();
        let refused = match (pushed, staged.digest() == header.update) {
            (Err(_), _) => Some(RejectCode::StoreFailed),
            (Ok(()), _) if length < header.len_bytes => Some(RejectCode::WrongLength),
            (Ok(()), false) => Some(RejectCode::WrongDigest),
            (Ok(()), true) => None,
        };
        if let Some(code) = refused {
            let mut said = self.tell(now, Event::UploadFailed { shop, id: header.id })?;
            said.push(Said::Reply(stream, Reply::Rejected { code }));
            return Ok(said);
        }
        let outputs = self.with(|engine| engine.arrived(now, shop, header, staged))?;
        Ok(self.pass_on(outputs, Some(stream)))
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, now: Timestamp, shop: usize, link: u64) -> Result<Vec<Said>, Stopped> {
        let mut said = Vec::new();
        if self
            .receiving
            .get(&shop)
            .is_some_and(|receiving| receiving.stream.link == link)
        {
            said.extend(self.break_off(now, shop)?);
        }
        if self.links.get(&shop).is_some_and(|(current, _)| *current == link) {
            self.links.remove(&shop);
            said.extend(self.tell(now, Event::Disconnected(self.names[shop].clone()))?);
        }
        Ok(said)
    }

    /// Its timer, or the operator.
    pub(crate) fn tell(&mut self, now: Timestamp, event: Event) -> Result<Vec<Said>, Stopped> {
        let outputs = self.with(|engine| engine.handle(now, event))?;
        Ok(self.pass_on(outputs, None))
    }

    /// The operator lets the run go on.
    pub(crate) fn resume(&mut self, now: Timestamp) -> Result<Vec<Said>, Stopped> {
        let outputs = self.with(|engine| engine.set_paused(now, false))?;
        Ok(self.pass_on(outputs, None))
    }

    fn subscribe(&mut self, now: Timestamp, stream: Stream, shop: ShopName) -> Result<Vec<Said>, Stopped> {
        self.links.insert(stream.shop, (stream.link, true));
        let outputs = self.with(|engine| {
            let mut outputs = engine.welcome(&shop);
            outputs.extend(engine.handle(now, Event::Connected(shop))?);
            Ok(outputs)
        })?;
        Ok(self.pass_on(outputs, Some(stream)))
    }

    fn offered(
        &mut self,
        now: Timestamp,
        stream: Stream,
        (header, binding): (UploadHeader, Option<Binding>),
    ) -> Result<Vec<Said>, Stopped> {
        // A newer upload of a shop ends an older one.
        let mut said = self.break_off(now, stream.shop)?;
        let shop = self.names[stream.shop].clone();
        let outputs = self.with(|engine| engine.offer(now, shop.clone(), header, binding))?;
        let wanted = outputs
            .iter()
            .any(|output| matches!(output, Output::Receive { shop: of, .. } if *of == shop));
        said.extend(self.pass_on(outputs, Some(stream)));
        if !wanted {
            return Ok(said);
        }
        let kept = self.partials.remove(&stream.shop);
        let begun = kept.filter(|(of, _)| *of == header).map(|(_, staged)| Ok(staged));
        let staging = self.staging.as_ref();
        let staged = begun.or_else(|| staging.map(|staging| staging.begin(header.len_bytes)));
        match staged {
            Some(Ok(staged)) => {
                let offset = staged.len_bytes();
                said.push(Said::Reply(stream, Reply::UploadFrom { offset }));
                let receiving = Receiving {
                    stream,
                    header,
                    staged,
                };
                self.receiving.insert(stream.shop, receiving);
                // All of it may have come before.
                if offset >= header.len_bytes {
                    said.extend(self.bytes(now, stream, &[], true)?);
                }
            }
            _ => {
                let code = RejectCode::StoreFailed;
                said.push(Said::Reply(stream, Reply::Rejected { code }));
                said.extend(self.tell(now, Event::UploadFailed { shop, id: header.id })?);
            }
        }
        Ok(said)
    }

    /// What came of an upload that broke off is kept while its attempt is open.
    fn break_off(&mut self, now: Timestamp, shop: usize) -> Result<Vec<Said>, Stopped> {
        let Some(Receiving { header, staged, .. }) = self.receiving.remove(&shop) else {
            return Ok(Vec::new());
        };
        let open = self.engine.as_ref().and_then(|engine| engine.machine().open());
        if open.is_some_and(|(id, _)| id == header.id) {
            self.partials.insert(shop, (header, staged));
        }
        let (shop, id) = (self.names[shop].clone(), header.id);
        self.tell(now, Event::UploadFailed { shop, id })
    }

    fn masked(&mut self, now: Timestamp, stream: Stream, word: MaskedWord) -> Result<Vec<Said>, Stopped> {
        let shop = self.names[stream.shop].clone();
        let outputs = self.with(|engine| engine.masked(now, shop, word))?;
        Ok(self.pass_on(outputs, Some(stream)))
    }

    fn blob(&mut self, stream: Stream, digest: &Digest, offset: u64) -> Said {
        let Some(engine) = &mut self.engine else {
            return Said::Reply(stream, Reply::Done);
        };
        let read = engine.store().files().read_range(digest, offset, u64::MAX);
        match read {
            Ok(bytes) => Said::Blob(stream, bytes),
            Err(error) => {
                let detail = error.to_string();
                let code = ErrorCode::NotFound;
                Said::Reply(stream, Reply::Error { code, detail })
            }
        }
    }

    fn with(
        &mut self,
        act: impl FnOnce(&mut Engine) -> Result<Vec<Output>, EngineError>,
    ) -> Result<Vec<Output>, Stopped> {
        match &mut self.engine {
            Some(engine) => Ok(act(engine)?),
            None => Ok(Vec::new()),
        }
    }

    fn pass_on(&mut self, outputs: Vec<Output>, own: Option<Stream>) -> Vec<Said> {
        let mut said = Vec::new();
        for output in outputs {
            match output {
                Output::Push { shops, push } => {
                    if let Push::Ended { id, .. } = &push {
                        self.partials.retain(|_, (header, _)| header.id != *id);
                    }
                    for (shop, (link, told)) in &self.links {
                        let meant = shops
                            .as_ref()
                            .is_none_or(|shops| shops.contains(&self.names[*shop]));
                        if meant && *told {
                            let (shop, link, push) = (*shop, *link, push.clone());
                            said.push(Said::Push { shop, link, push });
                        }
                    }
                }
                Output::Reply { reply, .. } => said.extend(own.map(|stream| Said::Reply(stream, reply))),
                Output::WakeAt(at) => said.push(Said::WakeAt(at)),
                Output::Receive { .. } | Output::Report(_) => {}
                Output::Finished => said.push(Said::Finished),
            }
        }
        let paused = self.engine.as_ref().and_then(|engine| engine.machine().paused());
        if paused.is_some_and(|reason| reason != PauseReason::Operator) {
            said.push(Said::Paused);
        }
        said
    }
}

/// Rounds whose updates stay on disk.
const KEPT_ROUNDS: u64 = 2;
/// More than the parts need.
pub(crate) const KEPT_MODELS: u64 = 4;
/// Less than two updates: the others wait in files.
const STAGING_BYTES: u64 = 120;

//! A shop of a storm: the production agent, ledger and store on a disk that fails, with the part of the uplink that
//! decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Context;
use souk_client::agent::{Agent, AgentAction};
use souk_client::config::ShopConfig;
use souk_client::folder::Folder;
use souk_client::link::is_here;
use souk_client::membership::Membership;
use souk_client::participate::{AttemptKey, Blob, Event, Pending};
use souk_client::store::Store;
use souk_client::training::Attempts;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::verify;
use souk_common::ids::Digest;
use souk_common::round::statements::{Announcement, UploadHeader};
use souk_common::wire::messages::{Reply, Request};

use super::disk::FakeDisk;
use super::member::MemberLie;
use super::mutations::Mutation;
use super::setup::Setup;

/// What a shop says or wants.
pub(crate) enum Wish {
    /// A question on a new stream of the connection.
    Ask {
        number: u64,
        request: Request,
    },
    /// Bytes of an update, behind the question that offered it.
    Bytes {
        number: u64,
        header: UploadHeader,
        bytes: Vec<u8>,
        /// Whether these are all.
        last: bool,
    },
    /// To dial, later.
    Dial {
        at: Timestamp,
    },
    /// To come back to something later.
    Later {
        at: Timestamp,
        what: Later,
    },
    /// To think about a plan, or to train; both take a while.
    Consider(Announcement),
    Compute(Announcement),
    /// What came does not make sense: the connection is given up.
    GiveUp,
}

/// What is done later.
#[derive(Clone, Debug)]
pub(crate) enum Later {
    Fetch(Blob),
    Upload(Pending),
}

/// What an answer is for.
enum Asked {
    Nothing,
    /// Keys or shares, which have to be taken.
    Place(AttemptKey),
    Blob(Blob),
    Upload(Pending),
}

/// The shop.
pub(crate) struct Shop {
    pub(crate) disk: FakeDisk,
    folder: Folder,
    config: ShopConfig,
    membership: Membership,
    place: usize,
    agent: Option<Agent>,
    pub(crate) ahead_ms: i64,
    pub(crate) boots: u64,
    pub(crate) link: Option<u64>,
    pub(crate) slow_ms: i64,
    /// What is sent one after the other, as over one line; blobs are fetched over another.
    sending: VecDeque<(Request, Asked)>,
    fetching: VecDeque<(Request, Asked)>,
    /// Open questions: on which of the two lines, what for.
    asked: BTreeMap<u64, (bool, Asked)>,
    next: u64,
    plant: Option<Mutation>,
    /// How it lies to the others.
    lie: Option<MemberLie>,
}

impl Shop {
    pub(crate) fn new(
        place: usize,
        disk: FakeDisk,
        setup: &Setup,
        (plant, lie): (Option<Mutation>, Option<MemberLie>),
    ) -> anyhow::Result<Self> {
        let folder = Folder::on(Arc::new(disk.clone()), setup.folder(place));
        Ok(Self {
            config: ShopConfig::load(&folder)?,
            membership: setup.membership(place),
            disk,
            folder,
            place,
            agent: None,
            ahead_ms: 0,
            boots: 0,
            link: None,
            slow_ms: 0,
            sending: VecDeque::new(),
            fetching: VecDeque::new(),
            asked: BTreeMap::new(),
            next: 0,
            plant,
            lie,
        })
    }

    /// Starts from what the disk has.
    pub(crate) fn start(&mut self, now: Timestamp) -> anyhow::Result<Vec<Wish>> {
        self.boots += 1;
        let store = Arc::new(Store::open(&self.folder)?);
        let workshop = Attempts::open(&self.folder, &self.membership, Arc::clone(&store), now)?;
        let memory = Mutation::remembered(self.plant, store.memory(workshop.spent())?);
        let keys = match self.lie {
            Some(lie) => lie.keys(),
            None => Mutation::keys(self.plant, self.place),
        };
        let mut agent = Agent::new(
            &self.folder,
            &self.config,
            &self.membership,
            store,
            Arc::new(workshop),
            memory,
            keys,
        )?;
        let acts = agent.handle(now, Event::Started)?;
        self.agent = Some(agent);
        Ok(self.perform(acts))
    }

    pub(crate) fn stop(&mut self) {
        self.agent = None;
        self.hang_up();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// What was under way over the connection is lost.
    pub(crate) fn hang_up(&mut self) {
        self.link = None;
        self.sending.clear();
        self.fetching.clear();
        self.asked.clear();
    }

    pub(crate) fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The connection stands.
    pub(crate) fn linked(&mut self, link: u64) -> Vec<Wish> {
        self.hang_up();
        self.link = Some(link);
        let request = Request::Subscribe {
            software: "storm".into(),
            process_id: 0,
        };
        let number = self.number();
        self.asked.insert(number, (true, Asked::Nothing));
        // Its answer is every push there is: nothing waits for it.
        self.asked.remove(&number);
        vec![Wish::Ask { number, request }]
    }

    /// A word on it.
    pub(crate) fn hear(
        &mut self,
        now: Timestamp,
        push: souk_common::wire::messages::Push,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = &mut self.agent else {
            return Ok(Vec::new());
        };
        match agent.hear(now, push)? {
            Ok(acts) => Ok(self.perform(acts)),
            Err(_) => Ok(vec![Wish::GiveUp]),
        }
    }

    /// An answer on it.
    pub(crate) fn answered(
        &mut self,
        now: Timestamp,
        number: u64,
        reply: Reply,
    ) -> anyhow::Result<Vec<Wish>> {
        if let Some((_, Asked::Upload(pending))) = self.asked.get(&number)
            && let Reply::UploadFrom { offset } = reply
        {
            let pending = *pending;
            return self.send_bytes(now, number, pending, offset);
        }
        let Some((_, asked)) = self.asked.remove(&number) else {
            return Ok(Vec::new());
        };
        let mut wishes = match (asked, reply) {
            (Asked::Place(key), Reply::Error { detail, .. }) => {
                self.act(|agent| agent.not_taken(now, key, &detail))?
            }
            (Asked::Upload(pending), Reply::Receipt(receipt)) => {
                let key = self.membership.words_key()?;
                let fits = verify(&receipt, &key).is_ok() && receipt.body.upload == pending.header;
                match fits {
                    true => self.act(|agent| agent.received(now, receipt))?,
                    false => self.event(now, Event::UploadFailed(pending.header))?,
                }
            }
            (Asked::Upload(pending), Reply::Rejected { code }) => {
                let header = pending.header;
                self.event(now, Event::Rejected { header, code })?
            }
            (Asked::Upload(pending), _) => self.event(now, Event::UploadFailed(pending.header))?,
            (Asked::Blob(blob), _) => self.event(now, Event::BlobFailed(blob))?,
            (Asked::Nothing | Asked::Place(_), _) => Vec::new(),
        };
        wishes.extend(self.go_on());
        Ok(wishes)
    }

    /// The bytes of a blob.
    pub(crate) fn fetched(&mut self, now: Timestamp, number: u64, bytes: &[u8]) -> anyhow::Result<Vec<Wish>> {
        let Some((_, Asked::Blob(blob))) = self.asked.remove(&number) else {
            return Ok(Vec::new());
        };
        let whole = Digest::of(bytes) == blob.digest;
        let written = whole && {
            let path = self.folder.blob(&blob);
            self.folder.write_whole(&path, bytes, false).is_ok()
        };
        let mut wishes = self.event(
            now,
            match written {
                true => Event::BlobReady(blob),
                false => Event::BlobFailed(blob),
            },
        )?;
        wishes.extend(self.go_on());
        Ok(wishes)
    }

    /// The time has come.
    pub(crate) fn due(&mut self, now: Timestamp, what: Later) -> anyhow::Result<Vec<Wish>> {
        if self.link.is_none() {
            return Ok(Vec::new());
        }
        match what {
            Later::Fetch(blob) if is_here(&self.folder, &blob) => self.event(now, Event::BlobReady(blob)),
            Later::Fetch(blob) => {
                let (digest, offset) = (blob.digest, 0);
                let request = Request::Blob { digest, offset };
                self.fetching.push_back((request, Asked::Blob(blob)));
                Ok(self.go_on())
            }
            Later::Upload(pending) => {
                let request = Request::offer(pending.header, pending.binding);
                self.sending.push_back((request, Asked::Upload(pending)));
                Ok(self.go_on())
            }
        }
    }

    /// The plan was thought about.
    pub(crate) fn consider(
        &mut self,
        now: Timestamp,
        announcement: &Announcement,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = &self.agent else {
            return Ok(Vec::new());
        };
        let consideration = agent.workshop().consider(announcement, now);
        let key = AttemptKey::from(announcement);
        self.event(now, Event::Considered(key, consideration))
    }

    /// The update was made.
    pub(crate) fn compute(
        &mut self,
        now: Timestamp,
        announcement: &Announcement,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = &self.agent else {
            return Ok(Vec::new());
        };
        let draw = agent.workshop().draw(announcement).map(Box::new);
        let key = AttemptKey::from(announcement);
        self.act(|agent| agent.drawn(now, key, draw))
    }

    pub(crate) fn event(&mut self, now: Timestamp, event: Event) -> anyhow::Result<Vec<Wish>> {
        self.act(|agent| agent.handle(now, event))
    }

    fn act(
        &mut self,
        work: impl FnOnce(&mut Agent) -> anyhow::Result<Vec<AgentAction>>,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = &mut self.agent else {
            return Ok(Vec::new());
        };
        let acts = work(agent)?;
        Ok(self.perform(acts))
    }

    fn perform(&mut self, acts: Vec<AgentAction>) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for act in acts {
            match act {
                AgentAction::Connect { at } => wishes.push(Wish::Dial { at }),
                AgentAction::Fetch { blob, at } => wishes.push(Wish::Later {
                    at,
                    what: Later::Fetch(blob),
                }),
                AgentAction::Upload { pending, at } => wishes.push(Wish::Later {
                    at,
                    what: Later::Upload(pending),
                }),
                AgentAction::Answer(key, answer) => {
                    let id = key.id;
                    self.send(Request::Answer { id, answer }, Asked::Nothing);
                }
                AgentAction::Say(key, request) => {
                    let asked = match &request {
                        Request::Advertise(_) | Request::Share { .. } | Request::Checked { .. } => {
                            Asked::Place(key)
                        }
                        _ => Asked::Nothing,
                    };
                    self.send(request, asked);
                }
                AgentAction::Consider(announcement) => wishes.push(Wish::Consider(announcement)),
                AgentAction::Compute(announcement) => wishes.push(Wish::Compute(announcement)),
                AgentAction::Report(report) => tracing::debug!(shop = self.place, %report, "says"),
                AgentAction::Tell(line) => tracing::debug!(shop = self.place, line, "tells"),
                AgentAction::Finish => {}
            }
        }
        wishes.extend(self.go_on());
        wishes
    }

    /// Without a connection it is dropped: the machine asks again when there is one.
    fn send(&mut self, request: Request, asked: Asked) {
        if self.link.is_some() {
            self.sending.push_back((request, asked));
        }
    }

    /// Asks the next question of each line that waits for no answer.
    fn go_on(&mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for first in [true, false] {
            if self.asked.values().any(|(line, _)| *line == first) {
                continue;
            }
            let line = match first {
                true => &mut self.sending,
                false => &mut self.fetching,
            };
            if let Some((request, asked)) = line.pop_front() {
                let number = self.number();
                self.asked.insert(number, (first, asked));
                wishes.push(Wish::Ask { number, request });
            }
        }
        wishes
    }

    fn send_bytes(
        &mut self,
        now: Timestamp,
        number: u64,
        pending: Pending,
        offset: u64,
    ) -> anyhow::Result<Vec<Wish>> {
        let header = pending.header;
        let read = || {
            let agent = self.agent.as_ref().context("stopped")?;
            let left = header.len_bytes.saturating_sub(offset);
            agent.store().note_sending(&header.update, left, now)?;
            let bytes = self.folder.disk().read(&self.folder.update(&header.update))?;
            let rest = bytes
                .get(offset as usize..)
                .context("the outbox's bytes were changed")?;
            anyhow::ensure!(
                bytes.len() as u64 == header.len_bytes,
                "the outbox's bytes were changed"
            );
            anyhow::Ok(rest.to_vec())
        };
        match read() {
            Ok(rest) => {
                let piece = rest.len().div_ceil(PIECES).max(1);
                let count = rest.len().div_ceil(piece);
                let pieces = rest.chunks(piece).enumerate().map(|(at, bytes)| Wish::Bytes {
                    number,
                    header,
                    bytes: bytes.to_vec(),
                    last: at + 1 == count,
                });
                Ok(pieces.collect())
            }
            Err(_) => {
                self.asked.remove(&number);
                let mut wishes = self.event(now, Event::UploadFailed(header))?;
                wishes.extend(self.go_on());
                Ok(wishes)
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// An update travels in so many.
const PIECES: usize = 3;

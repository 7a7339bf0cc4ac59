//! A shop of a storm: the production agent, ledger, store, membership and queue of requests on a disk that fails.

mod talks;

use std::collections::BTreeMap;
use std::sync::Arc;

use souk_client::agent::{Agent, AgentAction};
use souk_client::config::ShopConfig;
use souk_client::folder::Folder;
use souk_client::link::requests::{Exchange, Outgoing, RequestQueue, Then, Voice};
use souk_client::membership::Membership;
use souk_client::membership::renewal::{Renewal, RenewalAction};
use souk_client::participate::{AttemptKey, Event};
use souk_client::store::Store;
use souk_client::training::Attempts;
use souk_common::clock::Timestamp;
use souk_common::round::statements::{Announcement, UploadHeader};
use souk_common::wire::messages::{Push, Reply, Request};

use super::disk::FakeDisk;
use super::member::MemberLie;
use super::mutations::Mutation;
use super::setup::Setup;

use talks::pieces;

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
    /// To be asked again what it wants, for something is due then.
    Wake {
        at: Timestamp,
    },
    /// To think about a plan, or to train; both take a while.
    Consider(Announcement),
    Compute(Announcement),
    /// What came does not make sense: the connection is given up.
    GiveUp,
}

/// What a stream is for.
enum Talk {
    /// The shop checks in before anything else.
    Arrival(Exchange),
    Request(Exchange),
    /// The owner looks whom the coordinator knows, and what it has of this shop.
    Owner {
        below: Option<u64>,
    },
}

/// A program that runs.
struct Running {
    agent: Agent,
    renewal: Renewal,
    voice: Voice,
    requests: RequestQueue,
    /// Open streams, and how many bytes of a blob are still to come.
    talks: BTreeMap<u64, (Talk, u64)>,
    /// When it is woken next, if it is.
    wake_at: Option<Timestamp>,
}

/// The shop.
pub(crate) struct Shop {
    pub(crate) disk: FakeDisk,
    folder: Folder,
    config: ShopConfig,
    place: usize,
    running: Option<Running>,
    pub(crate) ahead_ms: i64,
    pub(crate) boots: u64,
    pub(crate) link: Option<u64>,
    pub(crate) slow_ms: i64,
    next: u64,
    plant: Option<Mutation>,
    /// How it lies to the others.
    lie: Option<MemberLie>,
}

impl Shop {
    pub(crate) fn new(
        place: usize,
        disk: FakeDisk,
        (setup, membership): (&Setup, &Membership),
        (plant, lie): (Option<Mutation>, Option<MemberLie>),
    ) -> anyhow::Result<Self> {
        let folder = Folder::on(Arc::new(disk.clone()), setup.folder(place));
        membership.store(&folder)?;
        Ok(Self {
            config: ShopConfig::load(&folder)?,
            disk,
            folder,
            place,
            running: None,
            ahead_ms: 0,
            boots: 0,
            link: None,
            slow_ms: 0,
            next: 0,
            plant,
            lie,
        })
    }

    /// Starts from what the disk has.
    pub(crate) fn start(&mut self, now: Timestamp) -> anyhow::Result<Vec<Wish>> {
        self.boots += 1;
        let membership = Membership::load(&self.folder)?;
        let store = Arc::new(Store::open(&self.folder)?);
        let workshop = Attempts::open(&self.folder, &membership, Arc::clone(&store), now)?;
        let memory = Mutation::remembered(self.plant, store.memory(workshop.spent())?);
        let keys = match self.lie {
            Some(lie) => lie.keys(),
            None => Mutation::keys(self.plant, self.place),
        };
        let mut agent = Agent::new(
            &self.folder,
            &self.config,
            &membership,
            store,
            Arc::new(workshop),
            memory,
            keys,
        )?;
        let acts = agent.handle(now, Event::Started)?;
        self.running = Some(Running {
            agent,
            voice: Voice::new(&membership, membership.signing_identity(&self.folder)?)?,
            renewal: Renewal::new(&self.folder, membership, now),
            requests: RequestQueue::default(),
            talks: BTreeMap::new(),
            wake_at: None,
        });
        self.perform(now, acts)
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
        self.link = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// What was under way over the connection is lost.
    pub(crate) fn hang_up(&mut self) {
        self.link = None;
        if let Some(running) = &mut self.running {
            running.requests.lost();
            running.talks.clear();
        }
    }

    pub(crate) fn agent(&self) -> Option<&Agent> {
        self.running.as_ref().map(|running| &running.agent)
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The certificate that it dials with, DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        let membership = self.running.as_ref().map(|running| running.renewal.membership());
        membership.map_or(&[], |membership| &membership.certificate)
    }

    /// The connection stands: the shop checks in.
    pub(crate) fn linked(&mut self, now: Timestamp, link: u64) -> anyhow::Result<Vec<Wish>> {
        self.hang_up();
        self.link = Some(link);
        let Some(running) = &self.running else {
            return Ok(Vec::new());
        };
        let word = Outgoing::CheckIn(Box::new(running.renewal.membership().clone()));
        self.begin(now, Exchange::new(word), Talk::Arrival)
    }

    /// A word on it.
    pub(crate) fn hear(&mut self, now: Timestamp, push: Push) -> anyhow::Result<Vec<Wish>> {
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let is_welcome = matches!(push, Push::Welcome { .. });
        match running.agent.hear(now, push)? {
            Ok(acts) => {
                let more = match is_welcome {
                    true => running.renewal.welcomed(now),
                    false => Vec::new(),
                };
                self.keep_up(now, more);
                self.perform(now, acts)
            }
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
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let then = match running.talks.get_mut(&number) {
            Some((Talk::Arrival(exchange) | Talk::Request(exchange), _)) => {
                exchange.reply(&running.voice, now, reply)
            }
            Some((Talk::Owner { below }, _)) => {
                let below = *below;
                running.talks.remove(&number);
                // What it must contain is the referee's to say, of the reply as it was said.
                let sound = below.is_none_or(|below| running.voice.told(below, reply).is_ok());
                return Ok(if sound { Vec::new() } else { vec![Wish::GiveUp] });
            }
            None => return Ok(Vec::new()),
        };
        match then {
            Ok(Then::Came(came)) => self.ended(now, number, Ok(came)),
            Ok(Then::Take(0)) => self.taken(now, number),
            Ok(Then::Take(left)) => {
                // The bytes come behind it.
                if let Some((_, open)) = running.talks.get_mut(&number) {
                    *open = left;
                }
                Ok(Vec::new())
            }
            Ok(Then::Send(from)) => match self.rest_of(now, number, from) {
                Ok((header, rest)) => Ok(pieces(number, header, &rest)),
                Err(error) => self.ended(now, number, Err(error)),
            },
            Err(error) => self.ended(now, number, Err(error)),
        }
    }

    /// Bytes of a blob; behind the last the stream ends.
    pub(crate) fn fetched(
        &mut self,
        now: Timestamp,
        number: u64,
        bytes: &[u8],
        last: bool,
    ) -> anyhow::Result<Vec<Wish>> {
        let talk = self
            .running
            .as_mut()
            .and_then(|running| running.talks.get_mut(&number));
        let Some((Talk::Request(exchange), left)) = talk else {
            return Ok(Vec::new());
        };
        let most = bytes.len().min(*left as usize);
        *left -= most as u64;
        let is_all = *left == 0;
        match exchange.take(&bytes[..most]) {
            Ok(()) if is_all => self.taken(now, number),
            Ok(()) if last => self.ended(now, number, Err(anyhow::anyhow!("the blob was cut off"))),
            Ok(()) => Ok(Vec::new()),
            Err(error) => self.ended(now, number, Err(error)),
        }
    }

    /// Something may be due.
    pub(crate) fn wake(&mut self, now: Timestamp) -> anyhow::Result<Vec<Wish>> {
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        running.wake_at = None;
        let more = match now >= running.renewal.look_at() {
            true => running.renewal.look(now),
            false => Vec::new(),
        };
        self.keep_up(now, more);
        self.go_on(now)
    }

    /// The plan was thought about.
    pub(crate) fn consider(
        &mut self,
        now: Timestamp,
        announcement: &Announcement,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = self.agent() else {
            return Ok(Vec::new());
        };
        let consideration = agent.workshop().consider(announcement, now);
        self.event(now, Event::Considered(announcement.clone(), consideration))
    }

    /// The update was made.
    pub(crate) fn compute(
        &mut self,
        now: Timestamp,
        announcement: &Announcement,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(agent) = self.agent() else {
            return Ok(Vec::new());
        };
        let draw = agent.workshop().draw(announcement).map(Box::new);
        let key = AttemptKey::from(announcement);
        self.act(now, |agent| agent.drawn(now, key, draw))
    }

    pub(crate) fn event(&mut self, now: Timestamp, event: Event) -> anyhow::Result<Vec<Wish>> {
        self.act(now, |agent| agent.handle(now, event))
    }

    fn act(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Agent) -> anyhow::Result<Vec<AgentAction>>,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let acts = work(&mut running.agent)?;
        self.perform(now, acts)
    }

    fn perform(&mut self, now: Timestamp, acts: Vec<AgentAction>) -> anyhow::Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        for act in acts {
            match act {
                AgentAction::Connect { at } => wishes.push(Wish::Dial { at }),
                AgentAction::Say(what) => self.keep_up(now, vec![RenewalAction::Post(what)]),
                AgentAction::Consider(announcement) => wishes.push(Wish::Consider(announcement)),
                AgentAction::Compute(announcement) => wishes.push(Wish::Compute(announcement)),
                AgentAction::Report(report) => tracing::debug!(shop = self.place, %report, "says"),
                AgentAction::Tell(line) => tracing::debug!(shop = self.place, line, "tells"),
                AgentAction::Finish => {}
            }
        }
        wishes.extend(self.go_on(now)?);
        Ok(wishes)
    }

    fn keep_up(&mut self, now: Timestamp, acts: Vec<RenewalAction>) {
        let Some(running) = &mut self.running else { return };
        for act in acts {
            match act {
                RenewalAction::Tell(line) => tracing::debug!(shop = self.place, line, "tells"),
                RenewalAction::Post(what) => running.requests.post(now, what),
            }
        }
    }

    /// Says what may be said now, and looks when to come back.
    fn go_on(&mut self, now: Timestamp) -> anyhow::Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        loop {
            let Some(running) = &mut self.running else {
                return Ok(wishes);
            };
            let Some(exchange) = running.requests.next(now) else {
                break;
            };
            wishes.extend(self.begin(now, exchange, Talk::Request)?);
        }
        if let Some(running) = &mut self.running {
            let look_at = running.renewal.look_at();
            let due = running.requests.due().map_or(look_at, |due| due.min(look_at));
            if running.wake_at.is_none_or(|at| due < at) {
                running.wake_at = Some(due);
                wishes.push(Wish::Wake { at: due });
            }
        }
        Ok(wishes)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

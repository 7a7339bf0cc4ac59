//! What is said over the lines, and who hears it.

use std::sync::Arc;

use souk_client::agent::AgentAction;
use souk_client::link::requests::{Came, Outgoing, Then, Voice};
use souk_client::link::verified;
use souk_client::participate::{AttemptKey, Blob, BlobKind, Event as ShopEvent};
use souk_common::clock::Timestamp;
use souk_common::round::statements::{Decision, Outcome as Ending, RejectCode};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::round::Event;

use super::World;
use super::work::{Task, TaskKey};
use crate::cluster::coordinator::{Said, Stopped, Stream};

/// What is on its way, and to whom. What goes over a line that was cut since is lost.
pub(super) enum Letter {
    Timer,
    Question(Stream, Box<Request>),
    /// An update's bytes.
    Bytes(Stream, Vec<u8>),
    /// Over which of a shop's connections.
    Push(usize, u64, Arc<ShopEvent>),
    Reply(Stream, Reply),
    Fetched(usize, u64, Blob),
    /// A shop has made its update.
    Drawn(usize, TaskKey),
    Dial(usize),
}

/// A word to shops that come in, by its signature.
pub(super) type Welcome = (Vec<u8>, Arc<ShopEvent>);

impl World {
    pub(super) fn deliver(&mut self, letter: Letter) -> anyhow::Result<()> {
        let now = self.now;
        if self.is_lost(&letter) {
            return Ok(());
        }
        match letter {
            Letter::Timer => {
                let said = self.coordinator.tell(now, Event::Timer);
                self.hear(said)
            }
            Letter::Question(stream, request) => {
                let said = self.coordinator.answer(now, stream, *request);
                self.hear(said)
            }
            Letter::Bytes(stream, bytes) => {
                let said = self.coordinator.bytes(now, stream, &bytes, true);
                self.hear(said)
            }
            Letter::Push(shop, _, event) => self.tell(shop, (*event).clone()),
            Letter::Reply(stream, reply) => self.answered(stream, reply),
            Letter::Fetched(shop, _, blob) => self.tell(shop, ShopEvent::BlobReady(blob)),
            Letter::Drawn(shop, key) => {
                let Some((announcement, update)) = self.tasks.due(key, &mut self.shops) else {
                    return Ok(());
                };
                let key = AttemptKey::from(&announcement);
                let acts = self.shops[shop].agent.drawn(now, key, Ok(Box::new(update?)))?;
                self.act(shop, acts)
            }
            Letter::Dial(shop) => {
                self.dial(shop);
                Ok(())
            }
        }
    }

    /// Whether it was on a line that has been cut since.
    fn is_lost(&self, letter: &Letter) -> bool {
        let (shop, link) = match letter {
            Letter::Question(stream, _) | Letter::Bytes(stream, _) | Letter::Reply(stream, _) => {
                (stream.shop, stream.link)
            }
            Letter::Push(shop, link, _) | Letter::Fetched(shop, link, _) => (*shop, *link),
            Letter::Timer | Letter::Drawn(..) | Letter::Dial(_) => return false,
        };
        let shop = &self.shops[shop];
        !shop.connected || shop.link != link
    }

    /// A shop dials and asks to be told of rounds. It shows no certificate and does not check in: memberships do not change.
    fn dial(&mut self, at: usize) {
        let shop = &mut self.shops[at];
        shop.link += 1;
        shop.connected = true;
        self.coordinator.connected(at, Some(shop.peer.clone()), &[]);
        let subscribe = Letter::Question(shop.stream(at), Box::new(Voice::subscribe(0)));
        self.network.deliver(self.now, subscribe);
    }

    /// The line breaks: what is under way over it is lost, and both sides notice.
    fn cut(&mut self, at: usize) -> anyhow::Result<()> {
        let shop = &mut self.shops[at];
        shop.connected = false;
        shop.asked.clear();
        let link = shop.link;
        self.tallied.cut(at);
        let said = self.coordinator.lost(self.now, at, link);
        self.hear(said)?;
        let jitter = self.network.jitter();
        self.tell(at, ShopEvent::Disconnected { jitter })
    }

    /// What the coordinator says. A line's latency counts once for each question and each word, and once for an update's
    /// bytes: the welcome, and the reply that lets the bytes come, cost none of their own.
    pub(super) fn hear(&mut self, said: Result<Vec<Said>, Stopped>) -> anyhow::Result<()> {
        for said in said? {
            match said {
                Said::Push(shops, Push::Welcome { manifest }) => {
                    let event = match &self.welcome {
                        Some((signature, event)) if *signature == manifest.signature => Arc::clone(event),
                        _ => {
                            let signature = manifest.signature.clone();
                            let event = self.event(Push::Welcome { manifest })?;
                            self.welcome = Some((signature, Arc::clone(&event)));
                            event
                        }
                    };
                    for (shop, _) in shops {
                        self.tell(shop, (*event).clone())?;
                    }
                }
                Said::Push(shops, push) => {
                    self.note(&shops, &push);
                    let event = self.event(push)?;
                    for (shop, link) in shops {
                        let letter = Letter::Push(shop, link, Arc::clone(&event));
                        self.network.deliver(self.now, letter);
                    }
                }
                Said::Reply(stream, reply @ Reply::UploadFrom { .. }) => self.answered(stream, reply)?,
                Said::Reply(stream, reply) => {
                    if let Reply::Receipt(receipt) = &reply {
                        self.tallied.counted(receipt.body.upload.id, stream.shop);
                    }
                    self.network.deliver(self.now, Letter::Reply(stream, reply));
                }
                Said::WakeAt(at) => self.network.at(at, Letter::Timer),
                Said::Paused => self.paused = self.engine()?.machine().paused(),
                Said::Finished => self.finished = true,
                // Blobs are not asked for: see `say`.
                Said::Bytes(..) => {}
            }
        }
        Ok(())
    }

    /// What a push means to a shop. All hear the same bytes, so the signature is checked once for all. Whose updates made a
    /// model is nothing that a shop acts on: ten thousand shops would each hold ten thousand names.
    fn event(&self, push: Push) -> anyhow::Result<Arc<ShopEvent>> {
        let mut event = verified(push, &self.words_key)?;
        if let ShopEvent::Welcomed(manifest)
        | ShopEvent::Ended {
            outcome: Ending::Published(manifest),
            ..
        } = &mut event
        {
            manifest.updates = Vec::new();
        }
        Ok(Arc::new(event))
    }

    /// For the table of rounds.
    fn note(&mut self, shops: &[(usize, u64)], push: &Push) {
        match push {
            Push::Announce(announcement) => {
                let shops = shops.iter().map(|(shop, _)| *shop);
                self.tallied.announced(announcement.body.id, shops);
            }
            Push::Ended { id, outcome } => {
                let epsilon = match self.says_epsilon {
                    true => self.epsilon().map(|epsilon| epsilon.get()),
                    false => None,
                };
                let secs = self.now.since(Timestamp(0)).as_secs_f64();
                self.lines
                    .push(self.tallied.ended(*id, &outcome.body, secs, epsilon));
            }
            _ => {}
        }
    }

    pub(super) fn tell(&mut self, at: usize, event: ShopEvent) -> anyhow::Result<()> {
        let acts = self.shops[at].agent.handle(self.now, event)?;
        self.act(at, acts)
    }

    fn answered(&mut self, stream: Stream, reply: Reply) -> anyhow::Result<()> {
        let (now, shop) = (self.now, &mut self.shops[stream.shop]);
        let Some(mut exchange) = shop.asked.remove(&stream.number) else {
            return Ok(());
        };
        let came = match exchange.reply(&shop.voice, now, reply) {
            Ok(Then::Came(came)) => came,
            Ok(Then::Send(from)) => {
                let bytes = shop.agent.holdings().outbox_from(from);
                shop.asked.insert(stream.number, exchange);
                let len_bytes = bytes.len() as u64;
                self.tallied.bytes_up += len_bytes;
                self.network
                    .transfer(now, stream.shop, len_bytes, Letter::Bytes(stream, bytes));
                return Ok(());
            }
            Ok(Then::Take(_)) => return Ok(()),
            Err(error) => exchange.failed(error),
        };
        let done = match &came {
            Came::Event(ShopEvent::Rejected { code, .. }) => *code != RejectCode::StoreFailed,
            came => matches!(came, Came::Receipt(_)),
        };
        if done {
            shop.agent.holdings().empty_outbox();
        }
        let acts = match came {
            Came::Event(event) => shop.agent.handle(now, event)?,
            Came::Receipt(receipt) => shop.agent.received(now, receipt)?,
            Came::NotTaken(key, reason) => shop.agent.not_taken(now, key, &reason)?,
            Came::Nothing | Came::Heard(_) | Came::Renewed(_) | Came::HangUp => return Ok(()),
        };
        self.act(stream.shop, acts)
    }

    /// Does what a shop's agent leaves to others.
    fn act(&mut self, at: usize, acts: Vec<AgentAction>) -> anyhow::Result<()> {
        for act in acts {
            match act {
                AgentAction::Connect { at: when } => self.network.at(when, Letter::Dial(at)),
                AgentAction::Say(what) => self.say(at, what)?,
                AgentAction::Consider(announcement) => {
                    let terms = self.terms(&announcement)?;
                    let costs = self.shops[at].agent.holdings().consider(&terms, &announcement);
                    self.tell(at, ShopEvent::Considered(announcement, costs))?;
                }
                AgentAction::Compute(announcement) => {
                    let out = self.broadcast()?.out.clone();
                    let terms = self.terms(&announcement)?;
                    self.tallied.takes_part(announcement.id, at);
                    let due = self.network.worked(self.now, at);
                    let task = Task {
                        announcement,
                        terms,
                        out,
                    };
                    let key = self.tasks.give(due, at, task);
                    self.network.at(due, Letter::Drawn(at, key));
                    if self.network.cuts() {
                        self.cut(at)?;
                    }
                }
                AgentAction::Tell(line) => tracing::debug!(shop = at, line, "tells"),
                AgentAction::Report(_) | AgentAction::Finish => {}
            }
        }
        Ok(())
    }

    fn say(&mut self, at: usize, what: Outgoing) -> anyhow::Result<()> {
        let when = match &what {
            // Its bytes take their time and are not carried: all shops would set up the same model.
            Outgoing::Fetch(blob, when) => {
                let len_bytes = match blob.kind {
                    BlobKind::Model => self.broadcast()?.len_bytes,
                    BlobKind::Plan | BlobKind::Catalogue => 0,
                };
                self.tallied.bytes_down += len_bytes;
                let letter = Letter::Fetched(at, self.shops[at].link, *blob);
                self.network.transfer(*when, at, len_bytes, letter);
                return Ok(());
            }
            Outgoing::Upload(_, when) => *when,
            Outgoing::Answer(id, Decision::Decline(_)) => {
                self.tallied.declines(*id, at);
                self.now
            }
            _ => self.now,
        };
        if let Some((stream, request)) = self.shops[at].ask(at, self.now, what)? {
            self.network.deliver(when, Letter::Question(stream, request));
        }
        Ok(())
    }
}

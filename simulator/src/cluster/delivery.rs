//! What is said gets to whom it is for, with what goes wrong on the way.

use souk_client::membership::renewal::NotNewest;

use super::*;

impl Storm {
    pub(super) fn deliver(&mut self, letter: Delivery) {
        match letter {
            Delivery::Op(op) => self.go_wrong(op),
            Delivery::Question(stream, frame) => self.take_question(stream, &frame),
            Delivery::Bytes(stream, bytes, last) => {
                if self.stands(stream.shop, stream.link) {
                    let said = self
                        .coordinator
                        .bytes(self.coordinators_time(), stream, &bytes, last);
                    self.after_coordinator(said);
                }
            }
            Delivery::Push { shop, link, frame } => self.take_push(shop, link, &frame),
            Delivery::Reply(stream, frame) => self.take_reply(stream, &frame),
            Delivery::Fetched(stream, bytes, last) => {
                if self.stands_at_shop(stream) {
                    let now = self.shops_time(stream.shop);
                    let wishes = self.shops[stream.shop].fetched(now, stream.number, &bytes, last);
                    self.after_shop(stream.shop, wishes);
                }
            }
            Delivery::Timer { boots } => self.ring(boots),
            Delivery::Resume { boots } if boots == self.coordinator.boots => {
                let said = self.coordinator.resume(self.coordinators_time());
                self.after_coordinator(said);
            }
            Delivery::Dial { shop, boots } if self.is_running(shop, boots) => self.dial(shop),
            Delivery::Wake { shop, boots } if self.is_running(shop, boots) => {
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].wake(now);
                self.after_shop(shop, wishes);
            }
            Delivery::Consider {
                shop,
                boots,
                announcement,
            } if self.is_running(shop, boots) => {
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].consider(now, &announcement);
                self.after_shop(shop, wishes);
            }
            Delivery::Compute {
                shop,
                boots,
                announcement,
            } if self.is_running(shop, boots) => {
                self.note("compute");
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].compute(now, &announcement);
                self.after_shop(shop, wishes);
            }
            Delivery::LostAtShop { shop, link } => {
                if self.shops[shop].link == Some(link) {
                    self.shops[shop].hang_up();
                    self.tell_disconnected(shop);
                }
            }
            Delivery::LostAtCoordinator { shop, link } => {
                let said = self.coordinator.lost(self.coordinators_time(), shop, link);
                self.after_coordinator(said);
            }
            Delivery::StartCoordinator { boots } if boots == self.coordinator.boots => {
                self.start_coordinator()
            }
            Delivery::StartShop { shop, boots } if boots == self.shops[shop].boots => self.start_shop(shop),
            // Of a process that is no more.
            Delivery::Resume { .. }
            | Delivery::Dial { .. }
            | Delivery::Wake { .. }
            | Delivery::Consider { .. }
            | Delivery::Compute { .. }
            | Delivery::StartCoordinator { .. }
            | Delivery::StartShop { .. } => {}
        }
    }

    pub(crate) fn is_running(&self, shop: usize, boots: u64) -> bool {
        self.shops[shop].boots == boots && self.shops[shop].is_up()
    }

    pub(crate) fn stands(&mut self, shop: usize, link: u64) -> bool {
        self.lines[shop].up && self.lines[shop].link == link && self.coordinator.engine().is_some()
    }

    pub(crate) fn stands_at_shop(&self, stream: Stream) -> bool {
        self.lines[stream.shop].up && self.shops[stream.shop].link == Some(stream.link)
    }

    pub(crate) fn take_question(&mut self, stream: Stream, frame: &[u8]) {
        if !self.stands(stream.shop, stream.link) {
            return;
        }
        match from_bytes::<Request>(frame) {
            Ok(mut request) => {
                tracing::debug!(at = %self.now, ?stream, ?request, "asked");
                if let Some(lie) = self
                    .weather
                    .member
                    .filter(|_| stream.shop + 1 == self.setup.shops.len())
                {
                    self.member
                        .says(lie, &self.setup.identity(stream.shop), &mut request);
                }
                let name = &self.setup.shops[stream.shop];
                let liar = self.liar.as_mut();
                if let Some(reply) = liar.and_then(|liar| liar.hear(stream.shop, name, &mut request)) {
                    return self.after_coordinator(Ok(vec![Said::Reply(stream, reply)]));
                }
                let said = self.coordinator.answer(self.coordinators_time(), stream, request);
                self.after_coordinator(said);
            }
            // A peer that does not follow the protocol loses its connection.
            Err(_) => self.cut(stream.shop, 0),
        }
    }

    pub(crate) fn take_push(&mut self, shop: usize, link: u64, frame: &[u8]) {
        if !self.lines[shop].up || self.shops[shop].link != Some(link) {
            return;
        }
        match from_bytes::<Push>(frame) {
            Ok(push) => {
                tracing::debug!(at = %self.now, shop, ?push, "told");
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].hear(now, push);
                self.after_shop(shop, wishes);
            }
            Err(_) => self.cut(shop, 0),
        }
    }

    pub(crate) fn take_reply(&mut self, stream: Stream, frame: &[u8]) {
        if !self.stands_at_shop(stream) {
            return;
        }
        match from_bytes::<Reply>(frame) {
            Ok(reply) => {
                tracing::debug!(at = %self.now, ?stream, ?reply, "answered");
                let now = self.shops_time(stream.shop);
                let wishes = self.shops[stream.shop].answered(now, stream.number, reply);
                self.after_shop(stream.shop, wishes);
            }
            Err(_) => self.cut(stream.shop, 0),
        }
    }

    pub(crate) fn ring(&mut self, boots: u64) {
        if boots != self.coordinator.boots {
            return;
        }
        let now = self.coordinators_time();
        // Its clock may have been set back meanwhile: it looks again.
        match self.coordinator.wake_at {
            Some(at) if at > now => {
                self.post_in((at.0 - now.0).min(LOOK_AGAIN_MS), Delivery::Timer { boots })
            }
            _ => {
                self.coordinator.wake_at = None;
            }
        }
        let said = self.coordinator.tell(now, Event::Timer);
        self.after_coordinator(said);
    }

    /// Puts a word on a line, with what may go wrong there.
    pub(super) fn send<T: Framed>(
        &mut self,
        shop: usize,
        to_shop: bool,
        message: &T,
        letter: impl Fn(Vec<u8>) -> Delivery,
    ) {
        let Ok(mut frame) = to_bytes(message) else {
            self.referee.faults.push("a word that is too long".into());
            return;
        };
        let jitter = self.rng.random_range(5..60);
        let line = &mut self.lines[shop];
        if let Some(bit) = line.corrupt[usize::from(to_shop)].take() {
            let bit = bit as usize % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let twice = std::mem::take(&mut line.duplicate[usize::from(to_shop)]);
        let last = match to_shop {
            true => &mut line.last_there,
            false => &mut line.last_here,
        };
        let at = (self.now.0 + jitter + line.delay_ms).max(*last);
        *last = at;
        if twice {
            self.post_at(Timestamp(at), letter(frame.clone()));
        }
        self.post_at(Timestamp(at), letter(frame));
    }

    fn push(&mut self, shop: usize, link: u64, mut push: Push) {
        if let Some(liar) = &mut self.liar {
            liar.show(shop, &self.setup.shops[shop], &mut push);
        }
        if shop + 1 == self.setup.shops.len() {
            self.member.hears(&push);
        }
        self.referee.heard(shop, &push);
        if let Push::Ended { id, .. } = &push {
            self.note(&format!("ended {id}"));
        }
        self.send(shop, true, &push, |frame| Delivery::Push { shop, link, frame });
    }

    /// What the coordinator has said goes out, unless it has stopped over it.
    pub(crate) fn after_coordinator(&mut self, said: Result<Vec<Said>, Stopped>) {
        if self.coordinators_disk.is_off() {
            return self.stop_coordinator(None);
        }
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(%error, "the coordinator ends");
                self.last_words = format!("coordinator: {error:#}");
                self.outcome.ended_by_disk += 1;
                return self.stop_coordinator(Some(Stop::Kill));
            }
        };
        let boots = self.coordinator.boots;
        for said in said {
            match said {
                Said::Push(mut links, said) => {
                    links.sort_unstable();
                    for (shop, link) in links {
                        self.push(shop, link, said.clone());
                    }
                }
                Said::Reply(stream, reply) => {
                    self.referee.told(stream.shop, &reply);
                    if matches!(reply, Reply::Receipt(_)) {
                        self.outcome.receipts += 1;
                        self.note("receipt");
                    }
                    self.send(stream.shop, true, &reply, |frame| Delivery::Reply(stream, frame));
                }
                Said::Bytes(stream, bytes) => {
                    let mut at = self.lines[stream.shop].last_there.max(self.now.0);
                    let piece = bytes.len().div_ceil(BLOB_PIECES).max(1);
                    let mut pieces: Vec<_> = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
                    // Behind the last one the stream ends.
                    let last = pieces.pop().unwrap_or_default();
                    for piece in pieces {
                        at += self.rng.random_range(10..100);
                        self.post_at(Timestamp(at), Delivery::Fetched(stream, piece, false));
                    }
                    at += self.rng.random_range(10..100);
                    self.post_at(Timestamp(at), Delivery::Fetched(stream, last, true));
                }
                Said::WakeAt(at) => {
                    self.coordinator.wake_at = Some(at);
                    let wait = at.0 - self.coordinators_time().0;
                    self.post_in(wait.min(LOOK_AGAIN_MS), Delivery::Timer { boots });
                }
                Said::Paused => self.post_in(OPERATOR_MS, Delivery::Resume { boots }),
                Said::Finished => self.finished = true,
            }
        }
    }

    /// What a shop wants is done, unless it has stopped over it.
    pub(crate) fn after_shop(&mut self, shop: usize, wishes: anyhow::Result<Vec<Wish>>) {
        if self.shops[shop].disk.is_off() {
            return self.stop_shop(shop, None);
        }
        let wishes = match wishes {
            Ok(wishes) => wishes,
            Err(error) => {
                tracing::debug!(%error, shop, "a shop ends");
                self.last_words = format!("shop {shop}: {error:#}");
                if error.is::<NotNewest>() {
                    self.referee.faults.push(self.last_words.clone());
                }
                self.outcome.ended_by_disk += 1;
                return self.stop_shop(shop, Some(Stop::Kill));
            }
        };
        let (boots, now) = (self.shops[shop].boots, self.shops_time(shop));
        let wait = |at: Timestamp| at.0 - now.0;
        for wish in wishes {
            match wish {
                Wish::Ask { number, request } => {
                    self.referee.asked(shop, &request);
                    let link = self.shops[shop].link.unwrap_or_default();
                    let stream = Stream { shop, link, number };
                    self.send(shop, false, &request, |frame| Delivery::Question(stream, frame));
                }
                Wish::Bytes {
                    number,
                    header,
                    bytes,
                    last,
                } => {
                    self.referee.leaves(shop, &header);
                    let link = self.shops[shop].link.unwrap_or_default();
                    let stream = Stream { shop, link, number };
                    let ms = match self.rng.random_bool(SLOW_PIECES) {
                        true => self.rng.random_range(400..4_000),
                        false => self.rng.random_range(20..400),
                    };
                    let at = (self.now.0 + ms).max(self.lines[shop].last_here);
                    self.lines[shop].last_here = at;
                    self.post_at(Timestamp(at), Delivery::Bytes(stream, bytes, last));
                }
                Wish::Dial { at } => {
                    self.post_in(wait(at), Delivery::Dial { shop, boots });
                }
                Wish::Wake { at } => self.post_in(wait(at), Delivery::Wake { shop, boots }),
                Wish::Consider(announcement) => {
                    let letter = Delivery::Consider {
                        shop,
                        boots,
                        announcement,
                    };
                    self.post_in(5, letter);
                }
                Wish::Compute(announcement) => {
                    let slow = std::mem::take(&mut self.shops[shop].slow_ms);
                    let ms = self.rng.random_range(200..4_000) + slow;
                    let letter = Delivery::Compute {
                        shop,
                        boots,
                        announcement,
                    };
                    self.post_in(ms, letter);
                }
                Wish::GiveUp => self.cut(shop, 0),
            }
        }
    }
}

/// A blob travels in so many.
const BLOB_PIECES: usize = 3;

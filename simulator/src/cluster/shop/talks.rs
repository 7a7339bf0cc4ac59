//! What is said over the connection: exchanges of the queue, and how each ends.

use std::io::Read;

use anyhow::Context;
use souk_client::link::Showed;
use souk_client::link::requests::{Begin, Came, Exchange, Voice};
use souk_common::clock::Timestamp;
use souk_common::round::statements::UploadHeader;
use souk_common::wire::messages::Request;

use super::{Shop, Talk, Wish};

impl Shop {
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        mut exchange: Exchange,
        talk: impl FnOnce(Exchange) -> Talk,
    ) -> anyhow::Result<Vec<Wish>> {
        let number = self.number();
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let begun = exchange.begin(&running.voice, &self.folder, now);
        running.talks.insert(number, (talk(exchange), 0));
        match begun {
            Ok(Begin::Ask(request, _)) => {
                let request = *request;
                Ok(vec![Wish::Ask { number, request }])
            }
            Ok(Begin::Came(came)) => self.ended(now, number, Ok(came)),
            Err(error) => self.ended(now, number, Err(error)),
        }
    }

    pub(super) fn taken(&mut self, now: Timestamp, number: u64) -> anyhow::Result<Vec<Wish>> {
        let talk = self
            .running
            .as_mut()
            .and_then(|running| running.talks.get_mut(&number));
        let Some((Talk::Request(exchange), _)) = talk else {
            return Ok(Vec::new());
        };
        let came = exchange.taken(&self.folder);
        self.ended(now, number, came)
    }

    /// What came of an exchange.
    pub(super) fn ended(
        &mut self,
        now: Timestamp,
        number: u64,
        came: anyhow::Result<Came>,
    ) -> anyhow::Result<Vec<Wish>> {
        let Some(running) = &mut self.running else {
            return Ok(Vec::new());
        };
        let came = match (running.talks.remove(&number), came) {
            (Some((Talk::Arrival(_), _)), Ok(Came::Heard(mut heard))) => {
                heard.showed = Some(Showed::Present);
                running.requests.connected();
                let more = running.renewal.hear(now, &heard, running.agent.workshop())?;
                self.keep_up(now, more);
                let mut wishes = self.subscribe();
                wishes.extend(self.go_on(now)?);
                return Ok(wishes);
            }
            (Some((Talk::Arrival(_), _)), came) => {
                tracing::debug!(shop = self.place, ?came, "is not let in");
                return Ok(vec![Wish::GiveUp]);
            }
            (Some((Talk::Request(exchange), _)), came) => {
                if !running.requests.ended(exchange.number()) {
                    return Ok(Vec::new());
                }
                came.unwrap_or_else(|error| exchange.failed(error))
            }
            _ => return Ok(Vec::new()),
        };
        match came {
            Came::Nothing => self.go_on(now),
            Came::HangUp => Ok(vec![Wish::GiveUp]),
            Came::Event(event) => self.event(now, event),
            Came::Receipt(receipt) => self.act(now, |agent| agent.received(now, receipt)),
            Came::NotTaken(key, reason) => self.act(now, |agent| agent.not_taken(now, key, &reason)),
            Came::Heard(heard) => {
                let more = running.renewal.hear(now, &heard, running.agent.workshop())?;
                self.keep_up(now, more);
                self.go_on(now)
            }
            Came::Renewed(renewed) => {
                let more = running.renewal.take(now, renewed)?;
                self.keep_up(now, more);
                self.go_on(now)
            }
        }
    }

    /// Asks to be told of rounds; and the owner looks at what the coordinator has.
    pub(super) fn subscribe(&mut self) -> Vec<Wish> {
        let below = u64::MAX;
        let asked = [
            (Voice::subscribe(0), None),
            (Request::Members, Some(None)),
            (Request::SignedSpent { below }, Some(Some(below))),
        ];
        let mut wishes = Vec::new();
        for (request, owner) in asked {
            let number = self.number();
            if let (Some(below), Some(running)) = (owner, &mut self.running) {
                running.talks.insert(number, (Talk::Owner { below }, 0));
            }
            wishes.push(Wish::Ask { number, request });
        }
        wishes
    }

    pub(super) fn rest_of(
        &mut self,
        now: Timestamp,
        number: u64,
        from: u64,
    ) -> anyhow::Result<(UploadHeader, Vec<u8>)> {
        let running = self.running.as_ref().context("stopped")?;
        let Some((Talk::Request(exchange), _)) = running.talks.get(&number) else {
            anyhow::bail!("no update is sent there");
        };
        let header = exchange.header().context("no update is sent there")?;
        let note = |bytes| Ok(running.agent.store().note_sending(&header.update, bytes, now)?);
        let mut rest = Vec::new();
        let mut file = exchange.update(&self.folder, from, note)?;
        file.read_to_end(&mut rest)?;
        Ok((header, rest))
    }
}

/// An update's pieces; none of an empty rest.
pub(super) fn pieces(number: u64, header: UploadHeader, rest: &[u8]) -> Vec<Wish> {
    let piece = rest.len().div_ceil(PIECES).max(1);
    let count = rest.len().div_ceil(piece);
    let all = rest.chunks(piece).enumerate().map(|(at, bytes)| Wish::Bytes {
        number,
        header,
        bytes: bytes.to_vec(),
        last: at + 1 == count,
    });
    all.collect()
}

/// An update travels in so many.
const PIECES: usize = 3;

//! Tasks that dial, listen and carry what the queue of requests ([`crate::link::requests`]) has next; they end with their
//! connection.

use std::sync::Arc;

use souk_common::clock::{Clock, Timestamp};
use souk_common::transport::Platform;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::{Driver, Input};
use crate::error::CheckFailed;
use crate::folder::Folder;
use crate::link::requests::{Came, Exchange};
use crate::link::{Heard, Link, Route, asks_to_wait, close_code_in, says_no_member};
use crate::membership::Membership;
use crate::membership::renewal::{NotNewest, RenewalAction};
use crate::store::Store;

/// Carries exchanges over one connection, until it is dropped.
pub(crate) struct Courier {
    pub(crate) link: Arc<Link>,
    folder: Folder,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    generation: u64,
    inputs: UnboundedSender<Input>,
    tasks: JoinSet<()>,
}

impl Courier {
    pub(crate) fn new(
        link: Arc<Link>,
        folder: Folder,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        (generation, inputs): (u64, UnboundedSender<Input>),
    ) -> Self {
        Self {
            link,
            folder,
            store,
            clock,
            generation,
            inputs,
            tasks: JoinSet::new(),
        }
    }

    /// Carries an exchange to its end; what comes of it is an input.
    pub(crate) fn carry(&mut self, mut exchange: Exchange) {
        // Those that have ended need not be kept.
        while self.tasks.try_join_next().is_some() {}
        let (link, folder, store) = (
            Arc::clone(&self.link),
            self.folder.clone(),
            Arc::clone(&self.store),
        );
        let (clock, generation, inputs) = (Arc::clone(&self.clock), self.generation, self.inputs.clone());
        self.tasks.spawn(async move {
            let header = exchange.header();
            let note = |bytes| match header {
                Some(header) => Ok(store.note_sending(&header.update, bytes, clock.now())?),
                None => Ok(()),
            };
            let number = exchange.number();
            let came = match link.exchange(&folder, &mut exchange, note).await {
                Ok(came) => came,
                Err(error) => exchange.failed(error),
            };
            if matches!(came, Came::HangUp) {
                link.close();
            }
            let _ = inputs.send(Input::Came(generation, number, came));
        });
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.link.close();
        tracing::debug!(generation = self.generation, folder = %self.folder.path().display(), closed = self.inputs.is_closed(), "connection dropped");
    }
}

impl Driver {
    /// Takes in what came of an exchange.
    pub(super) fn take_in(&mut self, came: Came) -> anyhow::Result<()> {
        match came {
            Came::Nothing | Came::HangUp => Ok(()),
            Came::Event(event) => self.handle(event),
            Came::Receipt(receipt) => self.act(|agent, now| agent.received(now, receipt)),
            Came::NotTaken(key, reason) => self.act(|agent, now| agent.not_taken(now, key, &reason)),
            Came::Heard(heard) => self.hear(&heard),
            Came::Renewed(renewed) => {
                let acts = self.standing.take(self.platform.clock.now(), renewed)?;
                self.go_on(acts);
                Ok(())
            }
        }
    }

    pub(super) fn hear(&mut self, heard: &Heard) -> anyhow::Result<()> {
        let acts = self
            .standing
            .hear(self.platform.clock.now(), heard, self.agent.workshop());
        let acts = acts.map_err(|error| match error.downcast::<NotNewest>() {
            Ok(lost) => CheckFailed(lost.to_string()).into(),
            Err(error) => error,
        });
        self.go_on(acts?);
        Ok(())
    }

    /// Does what keeps the membership going.
    pub(super) fn go_on(&mut self, acts: Vec<RenewalAction>) {
        for act in acts {
            match act {
                RenewalAction::Tell(line) => self.tell(&line),
                RenewalAction::Post(what) => self.requests.post(self.platform.clock.now(), what),
            }
        }
    }

    /// Says what may be said now.
    pub(super) fn carry_on(&mut self) {
        let Some(courier) = &mut self.courier else { return };
        while let Some(exchange) = self.requests.next(self.platform.clock.now()) {
            courier.carry(exchange);
        }
    }

    pub(super) fn hang_up(&mut self) {
        self.courier = None;
        self.requests.lost();
    }

    /// Why it is over.
    pub(super) fn no_member(&self) -> anyhow::Error {
        let folder = self.folder.path().display();
        CheckFailed(format!(
            "the coordinator says that {} is no member any more: it was revoked, or has left. The ledger and the last model \
             stay in {folder}, and `souk-client recommend` goes on. If it is a mistake, ask the operator for a new code and \
             `souk-client join CODE --again --dir {folder}`",
            self.standing.membership().shop
        ))
        .into()
    }
}

/// Dials at its time, then passes on what the coordinator says until the connection ends.
pub(crate) async fn listen(
    platform: Platform,
    at: Timestamp,
    generation: u64,
    folder: Folder,
    membership: Membership,
    route: Route,
    inputs: UnboundedSender<Input>,
) {
    tokio::time::sleep(at.since(platform.clock.now())).await;
    let (ended, why) = match Link::arrive_on(&platform, &folder, &membership, &route).await {
        Ok((link, heard)) => {
            let link = Arc::new(link);
            let ended = follow(generation, &link, heard, &inputs).await;
            (ended, link.close_code())
        }
        Err(error) => {
            let why = close_code_in(&error);
            (Err(error), why)
        }
    };
    if why.is_some_and(asks_to_wait) {
        let _ = inputs.send(Input::AskedToWait(generation));
    }
    let reason = match ended {
        Ok(()) => "the coordinator ended the connection, trying again".to_owned(),
        Err(error) if says_no_member(&error) => {
            let _ = inputs.send(Input::NoMember(generation));
            return;
        }
        Err(error) => format!("no connection to the coordinator, trying again: {error:#}"),
    };
    let _ = inputs.send(Input::Lost(generation, reason, why));
}

/// Passes on what the coordinator says, until the connection ends.
async fn follow(
    generation: u64,
    link: &Arc<Link>,
    heard: Heard,
    inputs: &UnboundedSender<Input>,
) -> anyhow::Result<()> {
    let _ = inputs.send(Input::Linked(generation, Arc::clone(link)));
    // Taken in before any announcement: a shop whose ledger is not its newest takes part in nothing.
    let _ = inputs.send(Input::Heard(generation, Box::new(heard)));
    let mut pushes = link.subscribe().await?;
    while let Some(push) = link.next_push(&mut pushes).await? {
        if inputs.send(Input::Pushed(generation, push)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

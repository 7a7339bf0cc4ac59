//! `run`: the agent ([`crate::agent`]) on a platform's clock and sockets, with its tasks.
//!
//! | module | what |
//! |---|---|
//! | `alone`, `no_federation` | `run` without a federation; what there is of such a shop |
//! | [`stop`] | when it ends by itself |
//! | [`connection`] | tasks that dial, listen, fetch and send |
//! | [`output`] | who reads what it says |
//! | [`control`] | what commands ask, while `run` is up and while it is not |
//! | [`feeds`] | product feeds by address, fetched when they are due |
//! | [`refit`] | the shop's own stack, fitted again when its data or what was released have changed |
//! | `web` | the HTTP API and the owner's page |
//! | [`duplicate`] | whether another program has this shop's key |

mod alone;
mod connection;
mod control;
mod duplicate;
mod feeds;
mod no_federation;
mod output;
mod refit;
mod stop;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::RngExt;
use souk_common::clock::Timestamp;
use souk_common::control::ControlSocket;
use souk_common::rng::{Secret, secret_stream};
use souk_common::round::statements::{Announcement, Decision};
use souk_common::telemetry::ServiceManager;
use souk_common::transport::{CloseCode, Platform, in_place};
use souk_common::wire::messages::Push;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::agent::{Agent, AgentAction, about_strangers, fresh_keys};
use crate::config::ShopConfig;
use crate::control::{Accounts, Answer, Service};
use crate::error::CheckFailed;
use crate::folder::Folder;
use crate::http::HttpServer;
use crate::link::requests::{Came, Outgoing, RequestQueue};
use crate::link::{Heard, Link, Route};
use crate::membership::Membership;
use crate::membership::renewal::Renewal;
use crate::page::Page;
use crate::participate::{AttemptKey, Event, Note, ready_word};
use crate::recommend::service::ListService;
use crate::store::Store;
use crate::training::{Attempts, UnreleasedUpdate};

use connection::Courier;
pub use control::answer_alone;
use control::serve_control;
use duplicate::Replaced;
pub(crate) use no_federation::is_alone;
use output::Owner;
use refit::Refit;
pub use stop::StopRules;
use stop::{Offline, stopped};

/// What reaches the driver.
enum Input {
    /// For the machine.
    Event(Event),
    /// The connection of this generation stands.
    Linked(u64, Arc<Link>),
    /// A word on it.
    Pushed(u64, Push),
    /// The coordinator asks to dial later.
    AskedToWait(u64),
    /// It is gone: in words, and by the coordinator's own reason.
    Lost(u64, String, Option<CloseCode>),
    /// What the coordinator said when this shop arrived.
    Heard(u64, Box<Heard>),
    /// What came of an exchange.
    Came(u64, u64, Came),
    /// The coordinator says that this shop is no member.
    NoMember(u64),
    /// For the owner.
    Tell(String),
    /// A draw is ready.
    Drawn(AttemptKey, anyhow::Result<Box<UnreleasedUpdate>>),
    /// The owner leaves the federation.
    Leave(oneshot::Sender<Answer>),
    /// It is over; the answer has been given.
    Left,
}

/// Takes part until stopped, or, where the folder never joined a federation, does without; and serves the HTTP API, at `http` or where `shop.toml` says.
///
/// # Errors
/// When the folder is no member's, is in use, or its files make no sense; when the address of the HTTP API can't be had; after too
/// long alone.
pub fn run(folder: &Folder, ends: StopRules, http: Option<SocketAddr>) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        if is_alone(folder) && alone::serve(folder, ends, http, stopped()?).await? == alone::Ended::Stopped {
            return Ok(());
        }
        let mut driver = Driver::open(Platform::system(), folder, ends, Owner::new())?;
        let api = driver.serve_http(http)?;
        let refit = Refit::start(folder, &driver.lists, driver.inputs_in.clone(), api.clone())?;
        driver.refit = Some(refit);
        driver.run(stopped()?).await
    });
    // Training that is under way is of no use to anybody now.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map(|()| true)
}

/// As [`run`], on any platform, until `stop` is done; the owner's lines go to `tell`.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    platform: Platform,
    folder: &Folder,
    ends: StopRules,
    stop: impl Future<Output = ()>,
    tell: impl Fn(&str) + Send + 'static,
) -> anyhow::Result<()> {
    let owner = Owner::Elsewhere(Box::new(tell));
    let mut driver = Driver::open(platform, folder, ends, owner)?;
    driver.run(stop).await
}

struct Driver {
    platform: Platform,
    agent: Agent,
    folder: Folder,
    route: Route,
    inputs: UnboundedReceiver<Input>,
    inputs_in: UnboundedSender<Input>,
    /// Counts connections, so that what an old one still says is ignored.
    generation: u64,
    /// No dialling before that.
    not_before: Timestamp,
    courier: Option<Courier>,
    requests: RequestQueue,
    replaced: Replaced,
    manager: ServiceManager,
    standing: Renewal,
    jitter: Secret,
    owner: Owner,
    dialling: Option<tokio::task::JoinHandle<()>>,
    ends: StopRules,
    alone: Offline,
    done: bool,
    /// Whether this program has been welcomed before.
    greeted: bool,
    lists: Arc<ListService>,
    /// None where whoever runs many shops in one program has no use for their lists.
    refit: Option<Refit>,
    http: Option<HttpServer>,
    /// The owner's, where the HTTP API is served.
    page: Option<Arc<Page>>,
    service: Arc<Service>,
    _control: tokio::task::JoinHandle<()>,
}

impl Driver {
    fn open(platform: Platform, folder: &Folder, ends: StopRules, owner: Owner) -> anyhow::Result<Self> {
        let config = ShopConfig::load(folder)?;
        let membership = Membership::load(folder)?;
        ensure!(
            membership.left_at.is_none(),
            "this shop has left its federation: join again in a new folder"
        );
        let store = Arc::new(Store::open_patiently(folder)?);
        let now = platform.clock.now();
        let workshop = Arc::new(Attempts::open(folder, &membership, Arc::clone(&store), now)?);
        let (inputs_in, inputs) = unbounded_channel();
        let lists = Arc::new(ListService::beside_rounds(
            folder.clone(),
            Some(Arc::clone(&store)),
        ));
        let service = Arc::new(Service::new(
            folder.clone(),
            Arc::clone(&store),
            Arc::clone(&workshop) as Arc<dyn Accounts>,
            Arc::clone(&platform.clock),
            Arc::clone(&lists),
        ));
        let control = ControlSocket::bind(&folder.control()).context("can't listen on control.sock")?;
        let control = tokio::spawn(serve_control(control, Arc::clone(&service), inputs_in.clone()));
        let memory = store.memory(workshop.spent())?;
        let agent = Agent::new(
            folder,
            &config,
            &membership,
            store,
            workshop,
            memory,
            fresh_keys(),
        )?;
        Ok(Self {
            platform,
            agent,
            folder: folder.clone(),
            route: config.route_or(&membership.address),
            inputs,
            inputs_in,
            generation: 0,
            not_before: Timestamp(0),
            courier: None,
            requests: RequestQueue::default(),
            replaced: Replaced::default(),
            manager: ServiceManager::from_environment(),
            standing: Renewal::new(folder, membership, now),
            jitter: secret_stream()?,
            owner,
            dialling: None,
            ends,
            alone: Offline::since(now, ends),
            done: false,
            greeted: false,
            lists,
            refit: None,
            http: None,
            page: None,
            service,
            _control: control,
        })
    }

    async fn run(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.tell("takes part; stop with Ctrl-C");
        self.handle(Event::Started)?;
        self.manager.ready();
        let ended = self.take_part(stop).await;
        self.manager.stopping();
        if let Some(courier) = self.courier.take() {
            courier.link.close();
            // Lets the goodbye leave.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.dialling.iter().for_each(tokio::task::JoinHandle::abort);
        self.owner.part();
        self._control.abort();
        let _ = (&mut self._control).await;
        ended
    }

    /// Takes in what happens until it is over, or the owner stops it.
    async fn take_part(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::pin!(stop);
        let mut signs_of_life = self.manager.signs_of_life();
        while !self.done {
            let alone_too_long = self.alone.too_long(self.platform.clock.now());
            let look_again = self.standing.look_at().since(self.platform.clock.now());
            let due = self
                .requests
                .due()
                .map(|due| due.since(self.platform.clock.now()));
            tokio::select! {
                input = self.inputs.recv() => {
                    // The driver holds a sender, so the channel never ends.
                    if let Some(input) = input {
                        self.take(input)?;
                    }
                }
                () = tokio::time::sleep(LOOK_AT_RULES), if self.agent.machine().waits_for_owner() => {
                    self.act(Agent::look_at_policy)?;
                }
                () = tokio::time::sleep(look_again) => {
                    let acts = self.standing.look(self.platform.clock.now());
                    self.go_on(acts);
                }
                // What is due is carried on below.
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
                () = alone_too_long => return Err(self.alone.error(&self.route.address)),
                () = signs_of_life.due() => self.manager.alive(),
                () = &mut stop => break,
            }
            self.carry_on();
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Event(event) => self.handle(event),
            Input::Heard(generation, heard) if generation == self.generation => self.hear(&heard),
            Input::NoMember(generation) if generation == self.generation => Err(self.no_member()),
            Input::Linked(generation, link) if generation == self.generation => {
                self.alone.is_over();
                self.requests.connected();
                let (way, now) = (link.way(), self.platform.clock.now());
                let noted = self.service.connection().note(way, self.route.transport, now);
                noted.iter().for_each(|line| self.tell(line));
                let tcp = self.service.connection().get().filter(|now| now.fell_back);
                self.page
                    .iter()
                    .for_each(|page| page.connected(tcp.map(|tcp| tcp.since)));
                self.courier = Some(Courier::new(
                    link,
                    self.folder.clone(),
                    Arc::clone(self.agent.store()),
                    Arc::clone(&self.platform.clock),
                    (generation, self.inputs_in.clone()),
                ));
                Ok(())
            }
            Input::Pushed(generation, push) if generation == self.generation => self.take_push(push),
            Input::AskedToWait(generation) if generation == self.generation => {
                self.not_before = self.platform.clock.now() + WHEN_ASKED_TO_WAIT;
                Ok(())
            }
            Input::Lost(generation, reason, why) if generation == self.generation => {
                tracing::info!(%reason, "no connection");
                if why == Some(CloseCode::Replaced) {
                    let noted = self.replaced.note(self.platform.clock.now());
                    noted.map_err(|two| CheckFailed(two.to_string()))?;
                }
                self.tell(&reason);
                self.hang_up();
                self.alone.goes_on(self.platform.clock.now());
                let jitter = self.jitter.random();
                self.handle(Event::Disconnected { jitter })
            }
            Input::Came(generation, number, came)
                if generation == self.generation && self.requests.ended(number) =>
            {
                self.take_in(came)
            }
            Input::Tell(line) => {
                self.tell(&line);
                Ok(())
            }
            Input::Drawn(key, draw) => self.act(|agent, now| agent.drawn(now, key, draw)),
            Input::Leave(answer) => {
                self.leave(answer);
                Ok(())
            }
            Input::Left => {
                self.done = true;
                Ok(self.agent.store().erase_masking()?)
            }
            // Of a connection that is no more.
            Input::Linked(..)
            | Input::Heard(..)
            | Input::NoMember(..)
            | Input::Pushed(..)
            | Input::AskedToWait(..)
            | Input::Lost(..)
            | Input::Came(..) => Ok(()),
        }
    }

    fn take_push(&mut self, push: Push) -> anyhow::Result<()> {
        let Some(courier) = &self.courier else {
            return Ok(());
        };
        let is_welcome = matches!(push, Push::Welcome { .. });
        match in_place(|| self.agent.hear(self.platform.clock.now(), push))? {
            Ok(acts) => {
                self.perform(acts);
                if is_welcome {
                    self.say_ready_once();
                    let acts = self.standing.welcomed(self.platform.clock.now());
                    self.go_on(acts);
                }
            }
            Err(error) => {
                courier.link.close();
                self.tell(&format!(
                    "the coordinator said something it did not sign: {error}"
                ));
            }
        }
        Ok(())
    }

    /// A program that was started again does not know what it declined before: it says that it would take part now.
    fn say_ready_once(&mut self) {
        if !std::mem::replace(&mut self.greeted, true) {
            let ready = Outgoing::Answer(ready_word(0), Decision::Accept);
            self.requests.post(self.platform.clock.now(), ready);
        }
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        self.act(|agent, now| agent.handle(now, event))
    }

    /// Lets the agent work, which writes to disk, and does what it leaves to others.
    fn act(
        &mut self,
        work: impl FnOnce(&mut Agent, Timestamp) -> anyhow::Result<Vec<AgentAction>>,
    ) -> anyhow::Result<()> {
        let now = self.platform.clock.now();
        let acts = in_place(|| work(&mut self.agent, now))?;
        self.perform(acts);
        Ok(())
    }

    fn perform(&mut self, acts: Vec<AgentAction>) {
        for act in acts {
            match act {
                AgentAction::Connect { at } => self.connect(at),
                AgentAction::Say(what) => self.requests.post(self.platform.clock.now(), what),
                AgentAction::Consider(announcement) => self.consider(announcement),
                AgentAction::Compute(announcement) => self.compute(announcement),
                AgentAction::Report(note) => self.report(&note),
                AgentAction::Tell(line) => self.tell(&line),
                AgentAction::Finish => self.done = self.ends.when_finished,
            }
        }
    }

    fn connect(&mut self, at: Timestamp) {
        self.generation += 1;
        self.hang_up();
        let dial = connection::listen(
            self.platform.clone(),
            at.max(self.not_before),
            self.generation,
            self.folder.clone(),
            self.standing.membership().clone(),
            self.route.clone(),
            self.inputs_in.clone(),
        );
        let before = self.dialling.replace(tokio::spawn(dial));
        before.iter().for_each(tokio::task::JoinHandle::abort);
    }

    fn consider(&self, announcement: Announcement) {
        let (workshop, inputs) = (Arc::clone(self.agent.workshop()), self.inputs_in.clone());
        let clock = Arc::clone(&self.platform.clock);
        tokio::task::spawn_blocking(move || {
            let strangers = workshop.strangers_in(&announcement).unwrap_or_default();
            if let Some(line) = about_strangers(&announcement, &strangers) {
                let _ = inputs.send(Input::Tell(line));
            }
            let consideration = workshop.consider(&announcement, clock.now());
            let event = Event::Considered(announcement, consideration);
            // A driver that is gone asks nothing more.
            let _ = inputs.send(Input::Event(event));
        });
    }

    fn compute(&mut self, announcement: Announcement) {
        let (workshop, inputs) = (Arc::clone(self.agent.workshop()), self.inputs_in.clone());
        tokio::task::spawn_blocking(move || {
            let draw = workshop.draw(&announcement).map(Box::new);
            let _ = inputs.send(Input::Drawn(AttemptKey::from(&announcement), draw));
        });
    }

    fn report(&mut self, note: &Note) {
        if let Note::Model(manifest) = note {
            let rounds = || self.agent.workshop().rounds_of(manifest).unwrap_or(0);
            self.owner.show_progress(manifest.id.round, rounds);
            self.refit.iter().for_each(Refit::look);
        }
        if let Some(page) = &self.page {
            page.hear(note, self.platform.clock.now());
        }
        match note {
            // Told with its reason already.
            Note::Disconnected { .. } => {}
            note => self.tell(&note.to_string()),
        }
    }

    fn tell(&self, line: &str) {
        self.manager.status(line);
        self.owner.tell(line);
    }
}

/// After the coordinator closed a connection for too many, or too slow, words: its limits let ten seconds' worth be saved up.
const WHEN_ASKED_TO_WAIT: Duration = Duration::from_secs(10);
/// After an attempt was declined by the owner's rules, they are looked at so often.
const LOOK_AT_RULES: Duration = Duration::from_secs(2);

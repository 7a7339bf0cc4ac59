//! A light shop: the connection, the requests and the certificates are real; instead of customers it has a waiting time and
//! noise, and instead of a ledger the round's number.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rand::RngExt;
use souk_client::folder::Folder;
use souk_client::link::requests::{Came, Exchange, Outgoing};
use souk_client::link::{Link, Route};
use souk_client::membership::Membership;
use souk_client::membership::join::certify;
use souk_client::participate::{AttemptKey, Blob, BlobKind, Event, Pending};
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::shop_key;
use souk_common::ids::Digest;
use souk_common::model::layout::{Layout, Vocabulary};
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::Stream;
use souk_common::round::statements::{Announcement, Decision, UploadHeader};
use souk_common::storage::write_whole;
use souk_common::transport::TransportChoice;
use souk_common::update::Grid;
use souk_common::wire::update;
use souk_coordinator::control::{self, Question, ask};
use souk_coordinator::folder::FederationFolder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, sleep_until};

use super::gauge::Tally;
use crate::virtual_net::federation::{self, Federation, Setting};
use crate::virtual_net::{Conditions, Host};

/// What all shops share.
pub(crate) struct Common {
    home: FederationFolder,
    tally: Arc<Tally>,
    pace: Duration,
    grid: Grid,
    coordinates: usize,
}

/// A shop.
pub(crate) struct Shop {
    number: usize,
    common: Arc<Common>,
    folder: Folder,
    membership: Membership,
    host: Arc<Host>,
    luck: Stream,
    is_new: bool,
    work: Option<Work>,
}

/// An update that was announced and has no receipt yet.
struct Work {
    announcement: Announcement,
    at: Instant,
    made: Option<(UploadHeader, PathBuf)>,
}

/// What befalls a shop.
#[derive(Clone, Copy)]
enum Fate {
    /// Its program is started anew.
    Restart,
    /// Its line is cut for a while.
    Cut(Duration),
    /// Its line becomes another.
    Line,
    /// It leaves the federation, and joins it again after a while.
    Leave(Duration),
}

impl Common {
    pub(crate) fn new(
        federation: &Federation,
        setting: &Setting,
        tally: Arc<Tally>,
        pace: Duration,
    ) -> anyhow::Result<Self> {
        let (plan, catalogue) = (setting.plan()?, federation.home.catalogue()?);
        let coordinates = Layout::new(&plan.model, &Vocabulary::from(&catalogue)).len();
        Ok(Self {
            home: federation.home.clone(),
            tally,
            pace,
            grid: plan.grid(coordinates)?,
            coordinates: plan.update_len(coordinates),
        })
    }
}

impl Shop {
    pub(crate) fn new(
        number: usize,
        member: &federation::VirtualShop,
        common: Arc<Common>,
        luck: Stream,
    ) -> anyhow::Result<Self> {
        let mut shop = Self {
            number,
            common,
            folder: member.folder.clone(),
            membership: Membership::load(&member.folder)?,
            host: Arc::clone(&member.host),
            luck,
            is_new: true,
            work: None,
        };
        shop.change_line();
        Ok(shop)
    }

    /// Takes part until it is dropped.
    pub(crate) async fn live(mut self) -> anyhow::Result<()> {
        let mut failures = 0;
        loop {
            match self.connected(&mut failures).await {
                Ok(Fate::Leave(span)) => {
                    self.work = None;
                    sleep(span).await;
                    self.rejoin().await?;
                }
                // Another process takes some time to start.
                Ok(_) => sleep(Duration::from_secs(2)).await,
                Err(error) => {
                    tracing::debug!(shop = %self.membership.shop, "no connection: {error:#}");
                    // As `participate` waits.
                    let most = FIRST_BACKOFF
                        .saturating_mul(1 << failures.min(8))
                        .min(LONGEST_BACKOFF);
                    failures += 1;
                    sleep(most.mul_f64(self.luck.random_range(0.5..1.0))).await;
                }
            }
        }
    }

    /// One connection; what ended it if nothing went wrong.
    async fn connected(&mut self, failures: &mut u32) -> anyhow::Result<Fate> {
        let (platform, address) = (self.host.platform(), self.membership.address.clone());
        let route = Route::to(&address);
        let dial = Link::dial_on(&platform, &self.folder, &self.membership, &route);
        let link = tokio::time::timeout(DIAL_PATIENCE, dial).await??;
        let mut pushes = link.subscribe().await?;
        let (news_in, mut news) = unbounded_channel();
        let reading = async {
            while let Some(push) = link.next_push(&mut pushes).await? {
                // Never closed while this is polled.
                let _ = news_in.send(Box::new(link.verified(push)?));
            }
            bail!("the coordinator ended the subscription")
        };
        tokio::pin!(reading);
        let common = Arc::clone(&self.common);
        let _open = common.tally.open();
        let (mut until, mut fate) = match std::mem::take(&mut self.is_new) {
            true => (Instant::now() + self.morning(), Fate::Restart),
            false => (Instant::now() + self.quiet(), self.fate()),
        };
        loop {
            let at = self.work.as_ref().map_or(until, |work| work.at.min(until));
            tokio::select! {
                biased;
                ended = &mut reading => return ended,
                Some(event) = news.recv() => {
                    *failures = 0;
                    self.hear(*event, &link).await?;
                }
                () = sleep_until(at) => {
                    if at < until {
                        self.send(&link).await?;
                        continue;
                    }
                    match fate {
                        Fate::Restart => {
                            link.close();
                            return Ok(fate);
                        }
                        Fate::Leave(_) => {
                            link.leave().await?;
                            link.close();
                            return Ok(fate);
                        }
                        // What becomes of the connection is the network's matter: it is dialled anew if it is lost.
                        Fate::Cut(span) => self.host.cut(span),
                        Fate::Line => self.change_line(),
                    }
                    (until, fate) = (Instant::now() + self.quiet(), self.fate());
                }
            }
        }
    }

    async fn hear(&mut self, event: Event, link: &Link) -> anyhow::Result<()> {
        match event {
            Event::Announced(announcement) => {
                let id = announcement.id;
                let known = |work: &Work| work.announcement.id == id;
                if !self.work.as_ref().is_some_and(known) {
                    let at = Instant::now() + self.training();
                    self.work = Some(Work {
                        announcement: announcement.clone(),
                        at,
                        made: None,
                    });
                }
                self.say(Outgoing::Answer(id, Decision::Accept), link).await?;
                self.fetch(announcement.model, link).await
            }
            Event::Ended { id, .. } => {
                if let Some(Work {
                    made: Some((_, path)),
                    ..
                }) = self.work.take_if(|work| work.announcement.id == id)
                {
                    fs::remove_file(path)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Half of the shops are quick; the others take as long as a round does, so that one takes that long.
    fn training(&mut self) -> Duration {
        let share = if self.number.is_multiple_of(2) { 0.01 } else { 1.0 };
        self.common.pace.mul_f64(share * self.luck.random::<f64>())
    }

    async fn say(&self, what: Outgoing, link: &Link) -> anyhow::Result<Came> {
        link.exchange(&self.folder, &mut Exchange::new(what), |_| Ok(()))
            .await
    }

    async fn fetch(&self, model: Digest, link: &Link) -> anyhow::Result<()> {
        let blob = Blob {
            kind: BlobKind::Model,
            digest: model,
        };
        link.fetch(&self.folder, &blob).await?;
        Ok(fs::remove_file(self.folder.blob(&blob))?)
    }

    async fn send(&mut self, link: &Link) -> anyhow::Result<()> {
        let Some(work) = self.work.as_mut() else {
            return Ok(());
        };
        let (header, path) = match &work.made {
            Some(made) => made.clone(),
            None => {
                let noise = NoiseVector::draw(&self.common.grid, self.common.coordinates, &mut self.luck);
                let bytes = update::encode(&Privatized::of_nobody(noise));
                let id = work.announcement.id;
                let ledger = LogHead {
                    length: id.round,
                    head: Digest::ZERO,
                };
                let header = UploadHeader::of(id, &bytes, ledger);
                let path = self.folder.update(&header.update);
                self.folder.write_whole(&path, &bytes, false)?;
                work.made.insert((header, path)).clone()
            }
        };
        let announcement = &work.announcement;
        let pending = Pending {
            key: AttemptKey::from(announcement),
            header,
            binding: None,
            due: None,
        };
        match self.say(Outgoing::Upload(pending, Timestamp(0)), link).await? {
            Came::Receipt(_) => self.common.tally.counted(self.number, self.host.now()),
            Came::Event(Event::Rejected { code, .. }) => self.common.tally.refused(code),
            other => bail!("an update came to {other:?}"),
        }
        self.work = None;
        Ok(fs::remove_file(path)?)
    }

    /// By the way that `souk-coordinator invite` and `souk-client join` go.
    async fn rejoin(&mut self) -> anyhow::Result<()> {
        let question = Question::Invite(self.membership.shop.clone());
        let home = self.common.home.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&home, &question)).await??;
        let control::Answer::Invited(invited) = answer.context("the coordinator takes no commands")?? else {
            bail!("the coordinator answered something else than an invitation");
        };
        let code: JoinCode = invited.code.parse()?;
        let (key, csr) = shop_key()?;
        write_whole(&self.folder.key(), &key, true)?;
        loop {
            let certified = certify(&self.host.platform(), &code, csr.clone(), TransportChoice::Auto).await;
            match certified {
                Ok(membership) => {
                    self.membership = membership;
                    self.common.tally.rejoined();
                    return Ok(());
                }
                Err(error) => tracing::debug!("no certificate: {error:#}"),
            }
            sleep(LONGEST_BACKOFF).await;
        }
    }

    /// Every program is started anew once in the opening, as all will be some day.
    fn morning(&mut self) -> Duration {
        MORNING.mul_f64(self.luck.random_range(0.1..1.0))
    }

    /// How long nothing befalls it: six times a day in the mean.
    fn quiet(&mut self) -> Duration {
        let share: f64 = self.luck.random();
        BETWEEN_FATES.mul_f64(-(1.0 - share).ln())
    }

    fn fate(&mut self) -> Fate {
        let span = Duration::from_secs(self.luck.random_range(1..180));
        match self.luck.random_range(0..20) {
            0 => Fate::Leave(2 * span),
            1..8 => Fate::Restart,
            8..14 => Fate::Cut(span),
            _ => Fate::Line,
        }
    }

    fn change_line(&mut self) {
        let luck = &mut self.luck;
        self.host.set_conditions(Conditions {
            latency: Duration::from_millis(luck.random_range(3..80)),
            jitter: Duration::from_millis(1),
            loss: luck.random_range(0.0..0.02),
            burst: 3.0,
            doubled: 0.001,
            overtaken: 0.001,
            damaged: 0.001,
            mtu_bytes: luck.random_range(1280..1500),
            bytes_per_sec: Some(luck.random_range(1e5..1e7)),
            ..Conditions::default()
        });
    }
}

const DIAL_PATIENCE: Duration = Duration::from_secs(20);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
const MORNING: Duration = Duration::from_secs(20 * 60);
const BETWEEN_FATES: Duration = Duration::from_secs(4 * 3600);

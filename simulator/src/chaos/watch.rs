//! What the coordinator says of itself, asked again and again beside everything else: a look never waits for a coordinator
//! that is busy or dead.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use souk_common::clock::Stopwatch;
use souk_coordinator::control::answer::{RunState, Status};
use souk_coordinator::control::{Answer, Question, ask};
use souk_coordinator::folder::FederationFolder;

/// Asks until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    seen: Mutex<Seen>,
    ended: AtomicBool,
}

/// The last word.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Rounds published, as far as anybody said.
    pub(super) published: u64,
    /// The number of the attempt at the next round.
    pub(super) attempt: u64,
    /// None from a coordinator that does not answer.
    state: Option<RunState>,
    /// What a masked attempt waits for.
    masked_step: Option<String>,
    /// Where each shop stands.
    shops: Vec<(String, String)>,
    /// Since the answer, or since the question that is still open.
    since: Stopwatch,
}

impl Watch {
    pub(super) fn start(home: &Path) -> Self {
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                published: 0,
                attempt: 0,
                state: None,
                masked_step: None,
                shops: Vec::new(),
                since: Stopwatch::start(),
            }),
            ended: AtomicBool::new(false),
        });
        let (asked, home) = (Arc::clone(&shared), FederationFolder::new(home));
        let thread = std::thread::spawn(move || asked.ask_on(&home));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.shared.lock().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It only asks; what it could not is nobody's loss.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask_on(&self, home: &FederationFolder) {
        while !self.ended.load(Ordering::SeqCst) {
            let answer = ask(home, &Question::Status);
            self.lock().take(match answer {
                Ok(Some(Ok(Answer::Status(status)))) => Some(*status),
                _ => None,
            });
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn take(&mut self, status: Option<Status>) {
        self.since = Stopwatch::start();
        self.state = status.as_ref().map(|status| status.state);
        let Some(status) = status else {
            self.masked_step = None;
            return;
        };
        self.masked_step = status.masked_step;
        self.published = status.rounds_published;
        self.attempt = status.attempt.into();
        let shops = status.shops.into_iter().flatten();
        self.shops = shops.map(|shop| (shop.shop.to_string(), shop.state)).collect();
    }

    /// Whether an attempt is open, as far as is known.
    pub(super) fn is_running(&self) -> bool {
        self.state == Some(RunState::Running)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state == Some(RunState::Finished)
    }

    /// What the coordinator was at.
    pub(super) fn coordinators_step(&self) -> String {
        match self.state {
            None => "starting".to_owned(),
            // It answers while nobody has the engine: then it writes, or makes a model.
            Some(_) if self.since.secs() > BUSY.as_secs_f64() => "writing, or making a model".to_owned(),
            Some(RunState::Running) => match &self.masked_step {
                Some(step) => format!("attempt, {step}"),
                None => "attempt, updates".to_owned(),
            },
            Some(RunState::Waiting) => "waiting for shops".to_owned(),
            Some(RunState::Paused) => "paused".to_owned(),
            Some(RunState::Finished) => "finished".to_owned(),
        }
    }

    /// What a shop was at, as the coordinator knew.
    pub(super) fn shops_step(&self, shop: &str) -> String {
        let known = self.shops.iter().find(|(name, _)| name == shop);
        let state = match known {
            _ if self.state.is_none() => "no coordinator",
            Some((_, state)) if state == "accepted" => "accepted: keys, training, update",
            Some((_, state)) if state == "counted" => "counted: signing, unmasking, next model",
            Some((_, state)) if state == "connected" => "connected: fetching, considering",
            Some((_, state)) if state == "away" => "away: starting, dialling",
            Some((_, state)) => state,
            None => "unknown",
        };
        state.to_owned()
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const BUSY: Duration = Duration::from_millis(30);

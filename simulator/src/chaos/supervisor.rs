//! Keeps the real programs running, as a service manager does, and kills them when the schedule says so.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use souk_client::control::{Answer, Question};
use souk_client::folder::Folder;
use souk_common::clock::Stopwatch;
use souk_common::ids::ShopName;

use crate::chaos::schedule::{Place, QUICK, Schedule, Victim};
use crate::chaos::watch::{Seen, Watch};
use crate::processes::folders::{ANY_PORT, COORDINATOR, Folders, wait_until_listening};
use crate::processes::{Line, Process, tail};

/// The programs, the coordinator first.
pub(crate) struct Supervisor {
    pub(crate) folders: Folders,
    address: String,
    programs: Vec<Program>,
    lines: Receiver<Line>,
    lines_in: Sender<Line>,
    watch: Watch,
    pub(crate) done: Done,
}

struct Program {
    name: String,
    /// None for the coordinator.
    shop: Option<ShopName>,
    process: Process,
    said: VecDeque<String>,
}

/// What was done to the programs, and what they did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// By what was under way: kills of the coordinator, of shops.
    pub(crate) steps: BTreeMap<String, [u32; 2]>,
    /// Of the coordinator, of shops.
    pub(crate) kills: [u32; 2],
    /// Kills within a second of the one before.
    pub(crate) quick: u32,
    pub(crate) starts: u32,
    /// Programs that ended though nobody killed them, with their last words.
    pub(crate) ended_alone: Vec<String>,
    /// Programs that did not end well, or in time, when they were asked to stop.
    pub(crate) bad_stops: Vec<String>,
}

impl Supervisor {
    /// Starts a coordinator in `dir`, lets all shops join, and starts them.
    pub(crate) fn start(dir: &Path, shops: &[ShopName]) -> anyhow::Result<Self> {
        let folders = Folders::make(dir, shops)?;
        let (lines_in, lines) = channel();
        let mut coordinator = folders.serve(ANY_PORT, &[], &lines_in)?;
        let address = wait_until_listening(&mut coordinator, &lines)?;
        folders.join_all()?;
        for shop in shops {
            // What chaos costs in privacy is a figure of its report, not a reason to stop.
            let config = folders.shop_dir(shop).join("shop.toml");
            let text = std::fs::read_to_string(&config).context("reading shop.toml")?;
            let text = text.replace("max_epsilon = 8.0", "max_epsilon = 1e6");
            std::fs::write(&config, text).context("writing shop.toml")?;
        }
        let mut programs = vec![Program::new(COORDINATOR.to_owned(), None, coordinator)];
        for shop in shops {
            let process = folders.run(shop, &[], &lines_in)?;
            programs.push(Program::new(shop.to_string(), Some(shop.clone()), process));
        }
        let watch = Watch::start(&folders.home());
        Ok(Self {
            folders,
            address,
            programs,
            lines,
            lines_in,
            watch,
            done: Done::default(),
        })
    }

    /// Kills and restarts until the schedule is empty and every shop has the last model, then stops all programs.
    ///
    /// # Errors
    /// When that takes longer than `most`: then the ends of all logs are in the error.
    pub(crate) fn run(
        &mut self,
        schedule: &mut Schedule,
        most: Duration,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        let mut attempt = OpenAttempt::default();
        let mut last_kill: Option<Stopwatch> = None;
        loop {
            self.listen();
            self.restart_the_ended()?;
            let seen = self.watch.seen();
            let place = attempt.place(&seen, schedule);
            let since = last_kill.map(|last| Duration::from_secs_f64(last.secs()));
            if let Some(victim) = schedule.due(place, since) {
                self.done.quick += u32::from(since.is_some_and(|since| since < QUICK));
                self.kill(victim, &seen)?;
                last_kill = Some(Stopwatch::start());
            } else if schedule.left() == 0 && seen.is_finished() && self.all_have_the_last_model()? {
                break;
            }
            bar.set_position(seen.published);
            let [coordinator, shops] = self.done.kills;
            bar.set_message(format!(
                "{coordinator} + {shops} kills, {}",
                seen.coordinators_step()
            ));
            if watch.secs() > most.as_secs_f64() {
                bail!("the run did not complete within {most:?}\n{}", self.tails());
            }
            std::thread::sleep(schedule.moment());
        }
        self.stop_all()
    }

    /// Asks every program to stop; the shops first.
    fn stop_all(&mut self) -> anyhow::Result<()> {
        for at in (0..self.programs.len()).rev() {
            let program = &mut self.programs[at];
            program.process.ask_to_stop()?;
            if let Err(error) = program.process.wait(STOP) {
                self.done.bad_stops.push(format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn kill(&mut self, victim: Victim, seen: &Seen) -> anyhow::Result<()> {
        let at = match victim {
            Victim::Coordinator => 0,
            Victim::Shop(shop) => shop + 1,
        };
        let program = &mut self.programs[at];
        let (step, kind) = match &program.shop {
            None => (format!("coordinator: {}", seen.coordinators_step()), 0),
            Some(shop) => (format!("shop: {}", seen.shops_step(shop.as_str())), 1),
        };
        program.process.kill();
        self.done.steps.entry(step).or_default()[kind] += 1;
        self.done.kills[kind] += 1;
        self.restart(at)
    }

    fn restart(&mut self, at: usize) -> anyhow::Result<()> {
        let program = &mut self.programs[at];
        program.process = match &program.shop {
            None => self.folders.serve(&self.address, &[], &self.lines_in)?,
            Some(shop) => self.folders.run(shop, &[], &self.lines_in)?,
        };
        self.done.starts += 1;
        Ok(())
    }

    /// A program that ends by itself is restarted, too, but it counts against it.
    fn restart_the_ended(&mut self) -> anyhow::Result<()> {
        for at in 0..self.programs.len() {
            let program = &mut self.programs[at];
            let reason = match program.process.check() {
                Ok(false) => continue,
                Ok(true) => format!("{} ended as if it were done", program.name),
                Err(error) => format!("{error:#}"),
            };
            if self.done.ended_alone.len() >= MOST_ENDED_ALONE {
                bail!("{reason}, again and again\n{}", self.tails());
            }
            self.done.ended_alone.push(reason);
            self.restart(at)?;
        }
        Ok(())
    }

    fn listen(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            let speaker = self
                .programs
                .iter_mut()
                .find(|program| program.name == line.process);
            if let Some(program) = speaker {
                program.said.push_back(line.text);
                if program.said.len() > KEPT_LINES {
                    program.said.pop_front();
                }
            }
        }
    }

    fn all_have_the_last_model(&self) -> anyhow::Result<bool> {
        let model = self.folders.status()?.model_hash;
        let has = |shop: &ShopName| {
            let folder = Folder::new(self.folders.shop_dir(shop));
            let answer = souk_client::control::socket::ask(&folder, &Question::Budget);
            matches!(answer, Ok(Some(Answer::Budget(budget))) if budget.model_hash.as_ref() == Some(&model))
        };
        Ok(self.folders.shops().iter().all(has))
    }

    /// The end of what every program said.
    pub(crate) fn tails(&mut self) -> String {
        self.listen();
        let mut text = String::new();
        for program in &self.programs {
            text += &format!("--- {}\n", program.name);
            program.said.iter().for_each(|line| text += &format!("{line}\n"));
            let complaints = tail(&self.folders.log(&program.name));
            if !complaints.is_empty() {
                text += &format!("--- {}, complaints\n{complaints}\n", program.name);
            }
        }
        text
    }
}

impl Program {
    fn new(name: String, shop: Option<ShopName>, process: Process) -> Self {
        Self {
            name,
            shop,
            process,
            said: VecDeque::new(),
        }
    }
}

/// The attempt that was seen open last, and how long it was under way: not while its coordinator was down.
#[derive(Default)]
struct OpenAttempt {
    id: Option<(u64, u64)>,
    worked: Duration,
    looked: Option<Stopwatch>,
}

impl OpenAttempt {
    fn place(&mut self, seen: &Seen, schedule: &mut Schedule) -> Place {
        let id = (seen.published, seen.attempt);
        let looked = self.looked.replace(Stopwatch::start());
        let passed = looked.map_or(0.0, |looked| looked.secs());
        if seen.is_running() && self.id != Some(id) {
            if self.id.is_some_and(|(published, _)| published < seen.published) {
                schedule.note_attempt(self.worked);
            }
            (self.id, self.worked) = (Some(id), Duration::ZERO);
        } else if seen.is_running() {
            self.worked += Duration::from_secs_f64(passed);
        }
        Place {
            published: seen.published,
            in_attempt: seen.is_running().then_some(self.worked),
        }
    }
}

const STOP: Duration = Duration::from_secs(15);
const KEPT_LINES: usize = 30;
const MOST_ENDED_ALONE: usize = 20;

//! What a run keeps, so that it goes on after it was killed.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | which run it is: plan, data, seed, lines |
//! | `checkpoint` | the federation after the last round that was saved ([`crate::world::saved`]) |
//! | `rounds.jsonl` | a line a round, up to then |
//! | `result.json`, `result.txt`, `model` | once the run is complete |

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use souk_common::ids::{Digest, Digester};
use souk_common::plan::Plan;
use souk_common::storage::disk::{SystemDisk, write_whole};

use super::setting::{Setting, Settings};
use super::table::to_json_lines;
use crate::error::{Unusable, WrongUsage};
use crate::world::rounds::RoundLine;
use crate::world::saved::Saved;

/// A run's folder.
pub(super) struct RunFolder {
    dir: PathBuf,
    every: u64,
    saved: Option<Saved>,
    result: Option<Done>,
}

/// What a complete run said.
pub(super) struct Done {
    pub(super) json: String,
    pub(super) text: String,
}

/// Which run it is. A run that differs in any of these is another one.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Identity {
    plan: String,
    data: String,
    seed: u64,
    lines: String,
    drift: Option<f64>,
    checkpoint_every: u64,
    score_every: Option<u64>,
}

impl Identity {
    fn of(every: u64, setting: &Setting, (plan, settings, seed): (&Plan, &Settings, u64)) -> Self {
        Self {
            plan: format!("{} {}", plan.name, plan.digest()),
            data: format!("{} {}", setting.known.name, digest(setting)),
            seed,
            lines: format!("{:?}", settings.line),
            drift: settings.drift,
            checkpoint_every: every,
            score_every: settings.score_every,
        }
    }

    /// The first part that is another one, here and there.
    fn other(&self, there: &Self) -> Option<(&'static str, String, String)> {
        let parts = |of: &Self| {
            [
                ("--seed", of.seed.to_string()),
                (
                    "--dropout, --latency, --bandwidth or --stragglers",
                    of.lines.clone(),
                ),
                ("--drift", format!("{:?}", of.drift)),
                ("--checkpoint-every", of.checkpoint_every.to_string()),
                ("--score-every", format!("{:?}", of.score_every)),
                ("plan (with --quorum and --rounds)", of.plan.clone()),
                ("data, or cut into shops,", of.data.clone()),
            ]
        };
        let mut both = parts(self).into_iter().zip(parts(there));
        both.find_map(|((what, here), (_, there))| (here != there).then_some((what, here, there)))
    }
}

/// Of the items, the histories and whose they are.
fn digest(setting: &Setting) -> Digest {
    let known = &setting.known;
    let mut digester = Digester::default();
    digester.update(&known.catalogue.digest().0);
    for ((user, history), shop) in known
        .dataset
        .users
        .iter()
        .zip(&known.dataset.histories)
        .zip(&known.shop_of)
    {
        digester.update(&(user.len() as u64).to_le_bytes());
        digester.update(user.as_bytes());
        digester.update(&(*shop as u64).to_le_bytes());
        digester.update(&(history.len() as u64).to_le_bytes());
        for (item, time) in history.items.iter().zip(&history.times) {
            digester.update(&item.to_le_bytes());
            digester.update(&time.to_le_bytes());
        }
    }
    digester.finish()
}

impl RunFolder {
    /// Makes the folder, or finds in it the same run.
    ///
    /// # Errors
    /// When it holds another run or something else, or what was saved is damaged.
    pub(super) fn open(
        dir: &Path,
        every: u64,
        setting: &Setting,
        run: (&Plan, &Settings, u64),
    ) -> anyhow::Result<Self> {
        let identity = Identity::of(every, setting, run);
        let mut folder = Self {
            dir: dir.to_owned(),
            every,
            saved: None,
            result: None,
        };
        let Some(there) = folder.read(RUN)? else {
            if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
                let told = format!(
                    "--out-dir {}: the folder holds something else; name a new one",
                    dir.display()
                );
                bail!(WrongUsage(told));
            }
            fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
            folder.write(RUN, &serde_json::to_vec_pretty(&identity)?)?;
            return Ok(folder);
        };
        let there: Identity = serde_json::from_slice(&there)
            .with_context(|| folder.unusable(RUN, "it is not what this program wrote"))?;
        if let Some((what, here, there)) = identity.other(&there) {
            let told = format!(
                "--out-dir {}: it holds a simulation with another {what}: {there} there, {here} here. Give what it was begun with, or \
                 name a new folder",
                dir.display()
            );
            bail!(WrongUsage(told));
        }
        if let (Some(json), Some(text)) = (folder.read(RESULT)?, folder.read(RESULT_TEXT)?) {
            folder.result = Some(Done {
                json: String::from_utf8_lossy(&json).into_owned(),
                text: String::from_utf8_lossy(&text).into_owned(),
            });
            return Ok(folder);
        }
        if let Some(bytes) = folder.read(CHECKPOINT)? {
            let saved = Saved::from_bytes(&bytes)
                .map_err(|error| folder.unusable(CHECKPOINT, &error.to_string()))
                .map_err(anyhow::Error::msg)?;
            folder.saved = Some(saved);
        }
        Ok(folder)
    }

    /// What the run said at its end, if it came to it.
    pub(super) fn result(&self) -> Option<&Done> {
        self.result.as_ref()
    }

    /// Where it goes on, if it is not new.
    pub(super) fn take_saved(&mut self) -> Option<Saved> {
        self.saved.take()
    }

    /// After how many rounds it is saved.
    pub(super) fn every(&self) -> u64 {
        self.every
    }

    /// Saves the federation and the lines so far; a crash at any moment leaves the one before or this one.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn save(&self, saved: &Saved, lines: &[RoundLine]) -> anyhow::Result<()> {
        self.write(CHECKPOINT, &saved.to_bytes(lines)?)?;
        // For people: the run goes on from the lines in the checkpoint.
        self.write(ROUNDS, to_json_lines(lines)?.as_bytes())
    }

    /// Keeps what came of the run. What it took to go on is removed.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn complete(
        &self,
        model: &[u8],
        lines: &[RoundLine],
        json: &str,
        text: &str,
    ) -> anyhow::Result<()> {
        self.write(ROUNDS, to_json_lines(lines)?.as_bytes())?;
        self.write(MODEL, model)?;
        self.write(RESULT_TEXT, text.as_bytes())?;
        self.write(RESULT, json.as_bytes())?;
        match fs::remove_file(self.dir.join(CHECKPOINT)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        write_whole(&SystemDisk, &path, bytes, false)
            .with_context(|| format!("can't write {}", path.display()))
    }

    fn unusable(&self, name: &str, why: &str) -> Unusable {
        Unusable(format!(
            "{}: {why}. Remove {} to begin the run again, or name a new --out-dir",
            self.dir.join(name).display(),
            self.dir.display()
        ))
    }
}

const RUN: &str = "run.json";
const CHECKPOINT: &str = "checkpoint";
const ROUNDS: &str = "rounds.jsonl";
const RESULT: &str = "result.json";
const RESULT_TEXT: &str = "result.txt";
const MODEL: &str = "model";

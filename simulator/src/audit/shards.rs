//! Trials in files: one line a chunk, so that a run that was stopped goes on, and several machines can share the work.
//!
//! The first line says what the trials are of. Chunks are numbered over both arms; shard I of N does those whose number leaves I - 1
//! when divided by N. A last line that was cut off is written again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use souk_common::ids::Digest;

use super::bounds::TrialScores;
use super::trials::{Target, Trials};
use crate::error::{Unusable, WrongUsage};

/// Which part of the trials.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Shard {
    /// From 1.
    pub(crate) number: u64,
    /// How many there are.
    pub(crate) of: u64,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no part; say 3/8 for the third of eight, the first being 1/8");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (
            number.parse().map_err(|_| wrong())?,
            of.parse().map_err(|_| wrong())?,
        );
        match (1..=of).contains(&number) && of <= MOST_SHARDS {
            true => Ok(Self { number, of }),
            false => Err(wrong()),
        }
    }
}

/// What the trials of a file are of: the first line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ShardHeader {
    /// Of this file.
    pub(crate) souk_audit_trials: u32,
    /// Digest of the plan.
    pub(crate) plan: Digest,
    /// Digest of the records and the catalogue.
    pub(crate) data: Digest,
    /// Of every draw.
    pub(crate) seed: u64,
    /// With the canary, and as many without.
    pub(crate) trials: u64,
    /// Which part.
    pub(crate) shard: Shard,
    /// What is looked at.
    pub(crate) targets: Vec<Target>,
}

#[derive(Deserialize, Serialize)]
struct Chunk {
    present: bool,
    first: u64,
    scores: Vec<Vec<f64>>,
}

/// Today's format.
pub(crate) const FORMAT: u32 = 1;

/// Numbers of the chunks of a shard: whether with the canary, and the first and past the last trial.
fn chunks(trials: u64, shard: Shard) -> impl Iterator<Item = (bool, u64, u64)> {
    let each_arm = trials.div_ceil(CHUNK);
    (0..2 * each_arm)
        .filter(move |number| number % shard.of == shard.number - 1)
        .map(move |number| {
            let first = number / 2 * CHUNK;
            (number % 2 == 1, first, (first + CHUNK).min(trials))
        })
}

/// Does what is left to do of a shard, and keeps it in `path`.
///
/// # Errors
/// When the file is another audit's, is damaged, or can't be written; when a trial can't be carried out.
pub(crate) fn run(
    path: &Path,
    header: &ShardHeader,
    trials: &Trials<'_>,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let done = match path.exists() {
        true => {
            let (kept, chunks, whole) = read(path)?;
            must_be_of(path, &kept, header)?;
            ensure!(
                kept.shard == header.shard,
                WrongUsage(format!(
                    "{} has part {}/{}, not {}/{}: name another file with --out",
                    path.display(),
                    kept.shard.number,
                    kept.shard.of,
                    header.shard.number,
                    header.shard.of
                ))
            );
            let file = OpenOptions::new().write(true).open(path);
            let cut = file.and_then(|file| file.set_len(whole));
            cut.with_context(|| format!("can't write {}", path.display()))?;
            chunks.iter().map(|chunk| (chunk.present, chunk.first)).collect()
        }
        false => {
            write_line(path, header)?;
            BTreeSet::new()
        }
    };
    let all: Vec<_> = chunks(header.trials, header.shard).collect();
    for (at, (present, first, last)) in (1..).zip(&all) {
        if !done.contains(&(*present, *first)) {
            let scores = trials.range(*first, *last, *present)?;
            let chunk = Chunk {
                present: *present,
                first: *first,
                scores,
            };
            write_line(path, &chunk)?;
        }
        progress(at, all.len() as u64);
    }
    Ok(())
}

/// All scores of the parts in `paths`, in order.
///
/// # Errors
/// When they are of different audits, two have the same chunk, or one is missing or unfinished.
pub(crate) fn merge(paths: &[PathBuf]) -> anyhow::Result<(ShardHeader, TrialScores)> {
    let first = paths
        .first()
        .context(WrongUsage("--merge names no file".to_owned()))?;
    let mut header: Option<ShardHeader> = None;
    let (mut seen, mut chunks_of) = (BTreeSet::new(), Vec::new());
    for path in paths {
        let (kept, chunks, _) = read(path)?;
        if let Some(header) = &header {
            must_be_of(path, &kept, header)?;
            ensure!(
                kept.shard.of == header.shard.of,
                WrongUsage(format!(
                    "{} is one of {} parts and {} one of {}: they don't fit together",
                    path.display(),
                    kept.shard.of,
                    first.display(),
                    header.shard.of
                ))
            );
        }
        ensure!(
            seen.insert(kept.shard.number),
            WrongUsage(format!(
                "part {}/{} is there twice, the second time in {}",
                kept.shard.number,
                kept.shard.of,
                path.display()
            ))
        );
        header.get_or_insert(kept);
        chunks_of.extend(chunks);
    }
    let header = header.context("a first file was read")?;
    let missing: Vec<String> = (1..=header.shard.of)
        .filter(|number| !seen.contains(number))
        .map(|number| format!("{number}/{}", header.shard.of))
        .collect();
    ensure!(
        missing.is_empty(),
        WrongUsage(format!(
            "parts are missing: {}; name their files, too",
            missing.join(", ")
        ))
    );
    let mut scores = TrialScores::default();
    chunks_of.sort_by_key(|chunk| (chunk.present, chunk.first));
    for chunk in chunks_of {
        let arm = match chunk.present {
            true => &mut scores.present,
            false => &mut scores.absent,
        };
        if chunk.first != arm.len() as u64 {
            bail!(Unusable(format!(
                "trials {} to {} are missing or there twice: let each part run to its end, then merge",
                arm.len().min(chunk.first as usize),
                arm.len().max(chunk.first as usize)
            )));
        }
        arm.extend(chunk.scores);
    }
    for (arm, what) in [(&scores.present, "with"), (&scores.absent, "without")] {
        ensure!(
            arm.len() as u64 == header.trials,
            Unusable(format!(
                "there are {} of {} trials {what} the canary: let each part run to its end, then merge",
                arm.len(),
                header.trials
            ))
        );
    }
    Ok((header, scores))
}

/// Refuses the trials of another audit.
///
/// # Errors
/// With what differs.
pub(crate) fn must_be_of(path: &Path, kept: &ShardHeader, wanted: &ShardHeader) -> anyhow::Result<()> {
    let differs = [
        ("plan", kept.plan != wanted.plan),
        ("data set", kept.data != wanted.data),
        ("seed", kept.seed != wanted.seed),
        ("number of trials", kept.trials != wanted.trials),
        ("list of canaries", kept.targets != wanted.targets),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((what, _)) => bail!(WrongUsage(format!(
            "{} has trials with another {what}: name another file with --out, or remove it",
            path.display()
        ))),
    }
}

/// The header, the whole chunks, and how many bytes they take.
fn read(path: &Path) -> anyhow::Result<(ShardHeader, Vec<Chunk>, u64)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut lines = text.split_inclusive('\n');
    let none = || Unusable(format!("{} is no file of an audit's trials", path.display()));
    let first = lines
        .next()
        .filter(|line| line.ends_with('\n'))
        .with_context(none)?;
    let format: serde_json::Value = serde_json::from_str(first).with_context(none)?;
    match format
        .get("souk_audit_trials")
        .and_then(serde_json::Value::as_u64)
    {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => bail!(Unusable(format!(
            "{} was written by a newer Souk (format {format}; this one knows {FORMAT}): use that version's souk-sim",
            path.display()
        ))),
        None => bail!(none()),
    }
    let header: ShardHeader = serde_json::from_value(format).with_context(none)?;
    let (mut chunks, mut whole) = (Vec::new(), first.len());
    for (number, line) in (2..).zip(lines) {
        if !line.ends_with('\n') {
            break;
        }
        let chunk: Chunk = serde_json::from_str(line)
            .ok()
            .filter(|chunk: &Chunk| chunk.is_of(&header))
            .with_context(|| {
                Unusable(format!(
                    "{}: line {number} is damaged; remove the file and run the part again",
                    path.display()
                ))
            })?;
        whole += line.len();
        chunks.push(chunk);
    }
    Ok((header, chunks, whole as u64))
}

impl Chunk {
    fn is_of(&self, header: &ShardHeader) -> bool {
        let mut chunks = chunks(header.trials, header.shard);
        let fits = chunks.any(|(present, first, last)| {
            (present, first) == (self.present, self.first) && self.scores.len() as u64 == last - first
        });
        let is_row =
            |row: &Vec<f64>| row.len() == header.targets.len() && row.iter().all(|score| score.is_finite());
        fits && self.scores.iter().all(is_row)
    }
}

fn write_line(path: &Path, line: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let append = || -> std::io::Result<()> {
        let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    };
    append().with_context(|| format!("can't write {}", path.display()))
}

/// Trials a line.
const CHUNK: u64 = 250;
const MOST_SHARDS: u64 = 100_000;

#[cfg(test)]
mod tests;

//! `models`: the registry of versions.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use souk_common::date::date;
use souk_common::ids::Digest;

use super::{At, ask, other_version, show, table};
use crate::control::answer::{Model, Models};
use crate::control::{Answer, Choice, Question};
use crate::engine::publish::not_kept;
use crate::error::{Failure, failed};

#[derive(Subcommand)]
pub(super) enum ModelsCommand {
    /// All versions.
    #[command(after_help = "Example: souk-coordinator models list --dir federation")]
    List(At),
    /// One version's manifest.
    #[command(after_help = "Example: souk-coordinator models show --round 3 --dir federation")]
    Show {
        /// The round; the latest if absent.
        #[arg(long)]
        round: Option<u64>,
        /// The run that it is of; the current one if absent.
        #[arg(long)]
        run: Option<u32>,
        #[command(flatten)]
        at: At,
    },
    /// Copies a model file.
    #[command(
        after_help = "Example: souk-coordinator models export --out model.safetensors --dir federation"
    )]
    Export {
        /// Where to.
        #[arg(long)]
        out: PathBuf,
        /// The round; the latest if absent.
        #[arg(long)]
        round: Option<u64>,
        /// The run that it is of; the current one if absent.
        #[arg(long)]
        run: Option<u32>,
        #[command(flatten)]
        at: At,
    },
    /// Makes an older model the current one: of this run, for its next round; of another one, which ends this run.
    ///
    /// Of a plan that trains a model, to any round whose file is kept. What a plan of releases released can't be taken back, nor
    /// what was charged for it: of another run of releases the last round alone can be current again.
    #[command(
        after_help = "Examples:\n  souk-coordinator models rollback 40 --dir federation           (a plan that trains a model)\n  \
                      souk-coordinator models rollback 22 --run 1 --dir federation   (the last round of a run of releases)"
    )]
    Rollback {
        /// The round whose model it is.
        round: u64,
        /// The run that it is of; the current one if absent.
        #[arg(long)]
        run: Option<u32>,
        #[command(flatten)]
        at: At,
    },
}

pub(super) fn run(command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List(at) => match ask(&at, &Question::Models)? {
            Answer::Models(models) => show(&at, &models, || list(&models)),
            _ => Err(other_version()),
        },
        ModelsCommand::Show { round, run, at } => {
            let model = ask_for(Choice { run, round }, &at)?;
            show(&at, &model, || facts(&model))
        }
        ModelsCommand::Export { out, round, run, at } => export(out, Choice { run, round }, &at),
        ModelsCommand::Rollback { round, run, at } => match ask(&at, &back_to(run, round))? {
            Answer::RolledBack(back) => show(&at, &back, || {
                table::facts(&[
                    ("round", round.to_string()),
                    ("current model", back.model_hash.to_string()),
                ])
            }),
            _ => Err(other_version()),
        },
    }
}

fn back_to(run: Option<u32>, round: u64) -> Question {
    Question::Rollback(Choice {
        run,
        round: Some(round),
    })
}

fn ask_for(choice: Choice, at: &At) -> Result<Model, Failure> {
    match ask(at, &Question::Model(choice))? {
        Answer::Model(model) => Ok(model),
        _ => Err(other_version()),
    }
}

#[derive(Serialize)]
struct Exported {
    out: PathBuf,
    model_hash: Digest,
}

fn export(out: PathBuf, choice: Choice, at: &At) -> Result<(), Failure> {
    let model = ask_for(choice, at)?;
    let manifest = &model.manifest.body;
    let Some(path) = model.path else {
        return Err(failed(not_kept(manifest.id.round)));
    };
    let bytes = fs::copy(path, &out).map_err(|error| failed(format!("{}: {error}", out.display())))?;
    let exported = Exported {
        out,
        model_hash: manifest.model,
    };
    show(at, &exported, || {
        table::facts(&[
            ("file", exported.out.display().to_string()),
            ("size", table::size(bytes)),
            ("model", exported.model_hash.to_string()),
        ])
    })
}

/// The current one is marked.
fn list(models: &Models) -> String {
    if models.models.is_empty() {
        return "there is no model yet; `serve --plan FILE` makes the first".to_owned();
    }
    let last = models.models.len() - 1;
    let rows = models.models.iter().enumerate().map(|(index, listed)| {
        let manifest = &listed.manifest;
        [
            if index == last { "current" } else { "" }.to_owned(),
            listed.run.to_string(),
            manifest.id.round.to_string(),
            manifest.id.attempt.to_string(),
            date(manifest.published_at),
            manifest.updates.len().to_string(),
            table::yes_or_no(listed.kept),
            manifest.model.to_string(),
        ]
    });
    let header = [
        "",
        "run",
        "round",
        "attempt",
        "published",
        "updates",
        "kept",
        "model",
    ];
    table::columns(header, rows)
}

fn facts(model: &Model) -> String {
    let manifest = &model.manifest.body;
    let file = match &model.path {
        Some(path) => path.display().to_string(),
        None => not_kept(manifest.id.round),
    };
    let parent = match manifest.parent {
        Digest::ZERO => "none: it is an initial model".to_owned(),
        parent => parent.to_string(),
    };
    let mut facts = vec![
        ("run", model.run.to_string()),
        ("round", manifest.id.round.to_string()),
        ("attempt", manifest.id.attempt.to_string()),
        ("published", date(manifest.published_at)),
        ("model", manifest.model.to_string()),
        ("file", file),
    ];
    let bytes = model.path.as_ref().and_then(|path| fs::metadata(path).ok());
    facts.extend(bytes.map(|file| ("size", table::size(file.len()))));
    facts.extend([
        ("made from", parent),
        ("plan", manifest.plan.to_string()),
        ("catalogue", manifest.catalogue.to_string()),
    ]);
    let update = |(shop, digest): &(_, Digest)| ("update", format!("{digest} of {shop}"));
    facts.extend(manifest.updates.iter().map(update));
    table::facts(&facts)
}

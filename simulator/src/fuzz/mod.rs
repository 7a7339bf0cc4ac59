//! `souk-sim fuzz`: every decoder of bytes that a peer, a file or a person gives, fed with damaged and random inputs.
//!
//! | module | what |
//! |---|---|
//! | [`target`] | one decoder, and what may come of an input |
//! | [`generate`] | the input of a number |
//! | [`hunt`] | all cores through all numbers; a panic is caught, made small and told |
//! | [`wire`], [`files`], [`records`], [`people`] | the decoders |
//! | [`regressions`] | inputs that once made one panic, and the classic ones |

mod files;
mod generate;
mod hunt;
mod people;
mod records;
pub mod regressions;
mod target;
mod wire;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use souk_common::hex;
use souk_common::terminal::say;

pub use generate::input;
pub use hunt::{DecoderTally, Found, hunt};
pub use target::{FuzzRun, FuzzTarget, Stage};

use crate::error::WrongUsage;

/// A file of the golden folders.
macro_rules! golden {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/golden/1/", $path)).as_slice()
    };
}
pub(in crate::fuzz) use golden;

const PLAN: &str = include_str!("../../../tests/golden/1/plan.toml");
const CATALOGUE: &[u8] = golden!("coordinator/catalogue.jsonl");

/// Feed every decoder with damaged and random inputs and see that none panics.
///
/// Half of the inputs are mutations of golden ones (flipped bits, cuts, insertions, splices, lengths at their edges), half
/// are random behind a golden beginning. What is decoded is written and read again, and must be the same. The same seed
/// gives the same inputs.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim fuzz\n  souk-sim fuzz --decoder frame_request --inputs 10000000\n  \
                        souk-sim fuzz --decoder ledger --seed 3 --index 417     (that input alone, as hexadecimal digits)"
)]
pub struct FuzzArgs {
    /// Only this decoder; may be given more than once. `--list` has the names.
    #[arg(long, value_name = "NAME")]
    decoder: Vec<String>,
    /// How many inputs for each.
    #[arg(long, default_value_t = 200_000)]
    inputs: u64,
    /// Which inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the input of this number: it is printed and decoded, and a panic is not caught.
    #[arg(long)]
    index: Option<u64>,
    /// Print the decoders' names and stop.
    #[arg(long)]
    list: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Every decoder.
pub fn targets() -> Vec<FuzzTarget> {
    let mut all = wire::targets();
    all.extend(files::targets());
    all.extend(records::targets());
    all.extend(people::targets());
    all
}

/// Runs the command; false when a decoder has panicked.
///
/// # Errors
/// When there is no such decoder.
pub fn run(args: &FuzzArgs) -> anyhow::Result<bool> {
    let mut targets = targets();
    if let Some(unknown) = args
        .decoder
        .iter()
        .find(|name| !targets.iter().any(|target| target.name == **name))
    {
        let wrong = WrongUsage(format!(
            "--decoder {unknown}: there is none; `--list` has the names"
        ));
        return Err(anyhow::anyhow!("no such decoder").context(wrong));
    }
    targets.retain(|target| args.decoder.is_empty() || args.decoder.iter().any(|name| name == target.name));
    if args.list {
        for target in &targets {
            say(target.name)?;
        }
        return Ok(true);
    }
    if let Some(index) = args.index {
        let [target] = targets.as_slice() else {
            bail!(WrongUsage("--index needs one --decoder".to_owned()));
        };
        let bytes = input(target, args.seed, index);
        say(&hex::text(&bytes))?;
        say(&format!("{:?}", (target.run)(&bytes)))?;
        return Ok(true);
    }
    let mut rows = Vec::new();
    for target in &targets {
        let tally = hunt::hunt(target, args.seed, args.inputs);
        if !args.json {
            say(tally.to_text().trim_end())?;
        }
        rows.push(tally);
    }
    let ok = rows.iter().all(|tally| tally.found.is_empty());
    if args.json {
        say(&json!({ "ok": ok, "seed": args.seed, "rows": rows }).to_string())?;
    } else {
        let inputs: u64 = rows.iter().map(|tally| tally.inputs).sum();
        let panics: u64 = rows.iter().map(|tally| tally.panics).sum();
        say(&format!(
            "{} decoders, {inputs} inputs, seed {}: {panics} panics",
            rows.len(),
            args.seed
        ))?;
    }
    Ok(ok)
}

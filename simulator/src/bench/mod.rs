//! `souk-sim bench`: the project's own figures, each as a share of what the same machine does at best in the same run.
//!
//! | module | rows |
//! |---|---|
//! | [`machine`] | what one core and its memory do at best, and matrix products beside it |
//! | [`training`] | a step of NeuMF with each user's update clipped |
//! | [`privacy`] | accountant, noise, clip and quantisation |
//! | [`rounds`] | whole rounds over QUIC, beside the transport alone |
//! | [`masked`] | the same under masks, in CPU time beside the bare keystream |
//! | [`unmasking`] | masks without a network: how fast, how many bytes, and the server's part for a thousand shops |
//! | [`joining`] | a customer of a release; a shop's stack fitted, and a list made |
//! | [`audit`] | trials of an audit, on a mechanism of known epsilon |
//! | [`memory`] | what a coordinator process holds while many shops send at once |
//! | [`crate::processes::site`], [`crate::load::raw_shops`] | a real coordinator process; shops that only send |

use clap::{Args, ValueEnum};
use serde_json::json;
use souk_common::terminal::{say, tell};

mod audit;
mod joining;
mod machine;
pub(crate) mod masked;
pub(crate) mod memory;
mod privacy;
mod rounds;
mod row;
pub(crate) mod training;
mod unmasking;

use machine::Machine;
use row::Row;

/// Measure this build on this machine: training, privacy, rounds over QUIC, a coordinator's memory.
///
/// Every ratio is of something that was measured in the same run, so figures of two machines can be compared. Close
/// other programs first. The whole takes some minutes and about 1 GB of the temporary folder; nothing stays.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim bench\n  souk-sim bench --only round_16x1m --only rdp --json\n  \
                        souk-sim bench --short --check\n\nReading a row:\n  train_neumf_user_clip   1.75 M samples/s   \
                        0.270 of fma_peak\n  means: of the multiply-adds that one core can do, 27 % went into training.\n  \
                        coordinator_memory_100x10m   2.60 models\n  \
                        means: while 100 shops fetched a model of 10 million parameters (40 MB) and sent as large an \
                        update, a coordinator with default limits held at most 104 MB more than an idle one with as \
                        many shops connected and next to no model."
)]
pub struct BenchArgs {
    /// Only these figures, and what they are held against; may be given more than once.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Theme>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Fewer repetitions and fewer shops, for a machine that has other work to do.
    #[arg(long)]
    short: bool,
    /// Exit with 1 if a figure misses its bound.
    #[arg(long)]
    check: bool,
}

/// What can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Theme {
    FmaPeak,
    TrainNeumfUserClip,
    Pld,
    Rdp,
    DiscreteGaussian,
    NoiseReduction,
    ClipQuantiseNoise,
    #[value(name = "round_16x1m")]
    Round16x1m,
    MaskedRound,
    MaskExpand,
    MaskedUploadBytes,
    #[value(name = "secagg_1000")]
    Secagg1000,
    #[value(name = "coordinator_memory_100x10m")]
    CoordinatorMemory100x10m,
    ReleaseCustomer,
    Stack,
    Tower,
    AuditTrials,
}

/// Runs the benchmarks; false when a bound was missed and that was asked for.
///
/// # Errors
/// When a temporary folder can't be written, or a coordinator's process fails; it says how.
pub fn run(args: &BenchArgs) -> anyhow::Result<bool> {
    let machine = Machine::measure(args.short);
    let mut rows = Vec::new();
    for theme in Theme::value_variants() {
        if !args.only.is_empty() && !args.only.contains(theme) {
            continue;
        }
        if let Some(name) = theme.to_possible_value() {
            tell(&format!("measuring {} ...", name.get_name()));
        }
        rows.extend(theme.measure(&machine, args.short)?);
    }
    let ok = rows.iter().all(Row::ok);
    if args.json {
        say(&json!({ "ok": ok, "rows": rows }).to_string())?;
    } else {
        for row in rows {
            say(row.to_text().trim_end())?;
        }
    }
    Ok(ok || !args.check)
}

impl Theme {
    fn measure(self, machine: &Machine, short: bool) -> anyhow::Result<Vec<Row>> {
        Ok(match self {
            Self::FmaPeak => machine.rows(),
            Self::TrainNeumfUserClip => training::rows(machine, short)?,
            Self::Pld => privacy::pld(short)?,
            Self::Rdp => privacy::rdp(short)?,
            Self::DiscreteGaussian => privacy::discrete_gaussian(short)?,
            Self::NoiseReduction => privacy::noise_reduction(short)?,
            Self::ClipQuantiseNoise => privacy::clip_quantise(short)?,
            Self::Round16x1m => rounds::rows(short)?,
            Self::MaskedRound => masked::rows(short)?,
            Self::MaskExpand => unmasking::expansion(short)?,
            Self::MaskedUploadBytes => unmasking::upload_bytes()?,
            Self::Secagg1000 => unmasking::server(short)?,
            Self::CoordinatorMemory100x10m => memory::rows(short)?,
            Self::ReleaseCustomer => joining::customer(short)?,
            Self::Tower => joining::tower(short)?,
            Self::AuditTrials => audit::trials(short)?,
            Self::Stack => {
                let mut rows = joining::stack(short)?;
                rows.extend(joining::best_products(short));
                rows
            }
        })
    }
}

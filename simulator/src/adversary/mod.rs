//! `souk-sim adversary`: which combinations of honest updates can a lying coordinator compute?
//!
//! The coordinator shows each shop whatever lists (R1, R2, R3) it likes, leaves out whom it likes, and has colluding shops (t of
//! those that an owner has confirmed) and invented ones. No cryptography runs here: a share, a seed, a mask or a signature is a
//! symbol that is known or not. What shops check is data ([`rules`]); degrees, T, A and F are those of the programs.
//!
//! An attack is a sum that the coordinator can compute over fewer than n_min - t honest shops: so many carry the noise that is
//! charged for.
//!
//! | module | what |
//! |---|---|
//! | [`set`], [`arena`] | shops as bits; an attempt as it is staged |
//! | [`rules`] | what shops check: today's rules, those that fell, some weakened ones |
//! | [`knowledge`] | what the coordinator holds afterwards, and what it can compute from that |
//! | [`algebra`] | the same by Gaussian elimination, as a check |
//! | [`exhaustive`] | every choice, in small federations |
//! | [`structured`], [`search`] | larger ones: the known attacks with all their measures; at random |
//! | [`judge`], [`report`] | what was found |

mod algebra;
mod arena;
mod exhaustive;
mod judge;
mod knowledge;
mod plan;
mod report;
mod rules;
mod search;
mod set;
mod structured;
#[cfg(test)]
mod tests;

use clap::Args;
use souk_common::terminal::say;

use plan::Depth;
use rules::Rules;

/// Ask which sums of honest updates a lying coordinator can compute, under today's masking rules and under those that fell.
///
/// Each column of the table is a set of rules: "old" (signatures counted over R2, capped); 1: nobody confirms a list of
/// survivors without each one's signature on the same lists; 2: signatures counted over R1, never capped; 3: enough
/// confirmed holders before the charge. The rules in force are 1+2+3, and privacy hangs on 1+2: there nothing may be found.
/// Those without 1 or 2 are planted, and must be found broken, but for 1+3, of which nothing
/// is claimed. Each row is a kind of attempts: every choice of lists in small
/// federations, the known attacks with all their measures, and random ones, to 1000 shops.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 the rules in force hold and every planted set of rules was found broken, 1 otherwise.\nThe \
                  same seed prints the same. --json has the lists of every attack found.\n\nExamples:\n  souk-sim adversary\n  \
                  souk-sim adversary --long --seed 7\n  souk-sim adversary --weakened\n  souk-sim adversary --json"
)]
pub struct AdversaryArgs {
    /// For what is drawn at random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Less of everything: seconds, as `cargo test` does.
    #[arg(long)]
    short: bool,
    /// More of everything.
    #[arg(long, conflicts_with = "short")]
    long: bool,
    /// Try the rules in force with F, T or A lowered instead: each must be found broken, but for F lowered by one alone, which
    /// T and A make good.
    #[arg(long)]
    weakened: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Sums of too few shops under the rules in force, or under the first protocol's: attempts that were followed, and the first
/// attack found.
pub(crate) fn attacks(old_rules: bool, seed: u64) -> (u64, Option<String>) {
    let rules = match old_rules {
        true => rules::ALL[0],
        false => rules::NEW_WITH_3,
    };
    let report = plan::examine(&[rules], Depth::Short, seed);
    (report.cases, report.first_attack())
}

/// Runs the command; false when the rules in force are broken, or planted ones are not found.
///
/// # Errors
/// When the report has no JSON form.
pub fn run(args: &AdversaryArgs) -> anyhow::Result<bool> {
    let depth = match (args.short, args.long) {
        (true, _) => Depth::Short,
        (_, true) => Depth::Long,
        _ => Depth::Usual,
    };
    let rules: &[Rules] = if args.weakened {
        &rules::WEAKENED
    } else {
        &rules::ALL
    };
    let report = plan::examine(rules, depth, args.seed);
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        say(report.to_text().trim_end())?;
    }
    Ok(report.ok)
}

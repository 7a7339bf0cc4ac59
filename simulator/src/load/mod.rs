//! Many light shops against a real coordinator.
//!
//! | module | what |
//! |---|---|
//! | [`raw_shops`] | shops that send what `bench` wants sent |
//! | [`shop`] | a shop on a bad line, for `soak` |
//! | [`gauge`] | what the coordinator's memory does meanwhile |

pub(crate) mod gauge;
pub(crate) mod raw_shops;
pub(crate) mod shop;

use std::fs;

use anyhow::Context;
use souk_common::update::{Grid, ModulusBits};

/// CPU seconds of a process so far, in user and in system mode; Linux counts them in hundredths.
pub(crate) fn cpu_secs(process: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    // After the name, which may hold blanks and brackets: fields 14 and 15 of proc_pid_stat(5), counted from 1.
    let after = text.rsplit_once(')').map_or(text.as_str(), |(_, after)| after);
    let mut ticks = after
        .split_whitespace()
        .skip(11)
        .map_while(|field| field.parse::<f64>().ok());
    let both = ticks
        .next()
        .zip(ticks.next())
        .with_context(|| format!("{path} has another form"))?;
    Ok((both.0 + both.1) / 100.0)
}

/// Clip norm 1 at the finest scale, and no noise: drawing it has a row of its own.
pub(crate) const NOISELESS: Grid = Grid {
    bits: ModulusBits::B32,
    log2_clip: 16,
    clip_norm: 1.0,
    noise_stddev: 0.0,
};

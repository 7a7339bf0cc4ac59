//! Training as a shop does it: every user's whole update clipped before it is added.

use anyhow::Context;
use souk_common::clock::Stopwatch;
use souk_common::model::bench::NeumfWorkload;
use souk_common::numeric::kernels::peak;
use souk_common::params::Weight;
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::rng::stream;

use super::machine::Machine;
use super::row::Row;
use crate::load::NOISELESS;

/// `train_neumf_user_clip`, on one core.
pub(super) fn rows(machine: &Machine, short: bool) -> anyhow::Result<Vec<Row>> {
    let mut workload = NeumfWorkload::new(1).context("can't make the items of the benchmark")?;
    let mut sum = UserSum::new(
        &NOISELESS,
        Weight::new(1.0)?,
        NoiseVector::draw(&NOISELESS, workload.layout().len(), &mut stream(1, "bench")),
    );
    let mut rates: Vec<f64> = (0..if short { 20 } else { 100 })
        .map(|_| {
            let watch = Stopwatch::start();
            let samples = workload.step(|update| sum.add(update));
            samples as f64 / watch.secs()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let (median, fastest) = (rates[rates.len() / 2], rates[rates.len() - 1]);
    // Measured again: clocks change with the machine's other work, and a low peak would flatter.
    let peak = peak::fma_flops_per_second().max(machine.fma_flops());
    let ratio = NeumfWorkload::FLOPS_PER_SAMPLE * fastest / peak;
    let mut row = Row::new("train_neumf_user_clip", fastest, "samples/s")
        .ratio(ratio, "fma_peak")
        .with("flops_per_sample", NeumfWorkload::FLOPS_PER_SAMPLE)
        .with("fma_peak", peak)
        .with("median", median);
    if machine.is_fast() {
        row = row.bound(ratio >= LEAST_OF_PEAK, "at least 0.20 of fma_peak");
    }
    Ok(vec![row])
}

const LEAST_OF_PEAK: f64 = 0.20;

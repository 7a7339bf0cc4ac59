//! What privacy costs in time: the accountant, the noise, and the way of an update into the sum.

use std::hint::black_box;

use souk_common::accountant::{Relation, SampledGaussian, pld, rdp};
use souk_common::model::update::UserUpdate;
use souk_common::params::{Delta, NoiseMultiplier, SamplingRate, Weight};
use souk_common::privacy::noise::FastGaussian;
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::rng::stream;
use souk_common::update::Grid;

use super::machine::{copy_bytes_per_second, fastest, keystream_bytes_per_second};
use super::row::Row;
use crate::load::NOISELESS;

/// `rdp`: an epsilon of a thousand rounds by Rényi divergences.
pub(super) fn rdp(short: bool) -> anyhow::Result<Vec<Row>> {
    accountant("rdp", 2.4367, MOST_RDP_MS, runs(short), rdp::epsilon)
}

/// `pld`: the same by privacy loss distributions, for both ways of adding and removing.
pub(super) fn pld(short: bool) -> anyhow::Result<Vec<Row>> {
    accountant("pld", 2.1245, MOST_PLD_MS, runs(short) / 5, |rounds, delta| {
        pld::epsilon(rounds, delta, Relation::AddRemove)
    })
}

fn accountant(
    name: &str,
    reference: f64,
    most_ms: f64,
    runs: usize,
    epsilon: impl Fn(&[(SampledGaussian, u64)], Delta) -> f64,
) -> anyhow::Result<Vec<Row>> {
    let mechanism = SampledGaussian {
        noise_multiplier: NoiseMultiplier::new(1.0)?,
        sampling_rate: SamplingRate::new(0.01)?,
    };
    let delta = Delta::new(1e-6)?;
    let rate = fastest(runs, || {
        black_box(epsilon(black_box(&[(mechanism, 1000)]), delta));
        1.0
    });
    let (ms, epsilon) = (1e3 / rate, epsilon(&[(mechanism, 1000)], delta));
    Ok(vec![
        Row::new(name, ms, "ms/epsilon")
            .bound(ms < most_ms, format!("under {most_ms} ms"))
            .bound(
                (epsilon - reference).abs() <= PRECISION,
                format!("within {PRECISION} of {reference}, the reference's"),
            )
            .with("epsilon", epsilon)
            .with("setting", "z 1, q 0.01, 1000 rounds, delta 1e-6"),
    ])
}

/// `discrete_gaussian`: draws of the noise that leaves a shop, beside the generator that it is made from.
pub(super) fn discrete_gaussian(short: bool) -> anyhow::Result<Vec<Row>> {
    let rate = draws_per_second(short)?;
    let keystream = keystream_bytes_per_second(runs(short));
    Ok(vec![
        Row::new("chacha20_keystream", keystream, "B/s"),
        Row::new("discrete_gaussian", rate, "draws/s")
            .ratio(rate * RANDOM_BYTES / keystream, "chacha20_keystream")
            .bound(rate >= LEAST_DRAWS, "at least 50 M draws/s")
            .with("stddev", NOISE_STDDEV)
            .with("random_bytes_per_draw", RANDOM_BYTES),
    ])
}

/// `noise_reduction`: a whole update's noise, as a shop draws it, its table and memory included, reduced modulo 2^32;
/// beside the sampler alone, which fills the same few numbers again and again.
pub(super) fn noise_reduction(short: bool) -> anyhow::Result<Vec<Row>> {
    let grid = Grid {
        noise_stddev: NOISE_STDDEV as f64,
        ..NOISELESS
    };
    let mut rng = stream(1, "bench");
    let rate = fastest(runs(short), || {
        black_box(NoiseVector::draw(&grid, COORDINATES, &mut rng));
        COORDINATES as f64
    });
    let bare = draws_per_second(short)?;
    Ok(vec![
        Row::new("bare_sampler", bare, "draws/s"),
        Row::new("noise_reduction", rate, "coordinates/s")
            .ratio(rate / bare, "bare_sampler")
            .bound(
                bare <= MOST_FOR_REDUCTION * rate,
                "at most 1.3 times as long as bare_sampler",
            )
            .with("stddev", NOISE_STDDEV)
            .with("coordinates", COORDINATES),
    ])
}

fn draws_per_second(short: bool) -> anyhow::Result<f64> {
    let sampler = FastGaussian::new(NOISE_STDDEV)
        .ok_or_else(|| anyhow::anyhow!("the sampler takes no standard deviation of {NOISE_STDDEV}"))?;
    let (mut rng, mut draws) = (stream(1, "bench"), vec![0i64; DRAWS]);
    Ok(fastest(runs(short), || {
        sampler.fill(&mut draws, &mut rng);
        black_box(&mut draws);
        DRAWS as f64
    }))
}

/// `clip_quantise_noise`: norm, clip, scale, truncate and add into a sum that began with its noise, beside a plain copy
/// of the same size.
pub(super) fn clip_quantise(short: bool) -> anyhow::Result<Vec<Row>> {
    let noise = NoiseVector::draw(&NOISELESS, COORDINATES, &mut stream(1, "bench"));
    let mut sum = UserSum::new(&NOISELESS, Weight::new(1.0)?, noise);
    let ranges = std::iter::once(0..COORDINATES).collect();
    let values = (0..COORDINATES).map(|at| (at % 17) as f32 - 8.0).collect();
    let update = UserUpdate::Sparse { ranges, values };
    let rate = fastest(runs(short), || {
        sum.add(black_box(&update));
        COORDINATES as f64
    });
    let copy = copy_bytes_per_second(COORDINATES * 4, runs(short));
    Ok(vec![
        Row::new("memcpy", copy, "B/s"),
        Row::new("clip_quantise_noise", rate, "coordinates/s")
            .ratio(rate * TOUCHED_BYTES / copy, "memcpy")
            .bound(
                copy <= MOST_COPIES * rate * TOUCHED_BYTES,
                "at most 3 times as long as memcpy of the same bytes",
            )
            .with("bytes_per_coordinate", TOUCHED_BYTES),
    ])
}

fn runs(short: bool) -> usize {
    if short { 20 } else { 100 }
}

const MOST_RDP_MS: f64 = 5.0;
const MOST_PLD_MS: f64 = 50.0;
/// Of an epsilon, to the four digits that the reference states.
const PRECISION: f64 = 1e-3;
const NOISE_STDDEV: u64 = 1 << 16;
const DRAWS: usize = 20_000;
const LEAST_DRAWS: f64 = 50e6;
const MOST_FOR_REDUCTION: f64 = 1.3;
/// What a draw would take if one 64-bit number were enough for it.
const RANDOM_BYTES: f64 = 8.0;
const COORDINATES: usize = 1 << 20;
/// The update read, the sum read and written; the second reading for the norm is the implementation's own affair.
const TOUCHED_BYTES: f64 = 12.0;
const MOST_COPIES: f64 = 3.0;

//! What privacy costs in time: the accountant, the noise, and the way of an update into the sum.

use std::hint::black_box;

use souk_common::model::update::UserUpdate;
use souk_common::privacy::accountant::SampledGaussian;
use souk_common::privacy::accountant::rdp::epsilon;
use souk_common::privacy::noise::DiscreteGaussian;
use souk_common::privacy::params::{Delta, NoiseMultiplier, SamplingRate, Weight};
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::rng::stream;

use super::machine::{copy_bytes_per_second, fastest, keystream_bytes_per_second};
use super::row::Row;
use super::training::NOISELESS;

/// `rdp`: epsilons of a thousand rounds.
pub(super) fn rdp(short: bool) -> anyhow::Result<Vec<Row>> {
    let mechanism = SampledGaussian {
        noise_multiplier: NoiseMultiplier::new(1.0)?,
        sampling_rate: SamplingRate::new(0.01)?,
    };
    let delta = Delta::new(1e-6)?;
    let rate = fastest(runs(short), || {
        black_box(epsilon(black_box(&[(mechanism, 1000)]), delta));
        1.0
    });
    Ok(vec![
        Row::new("rdp", rate, "epsilons/s")
            .with("epsilon", epsilon(&[(mechanism, 1000)], delta))
            .with("setting", "z 1, q 0.01, 1000 rounds, delta 1e-6"),
    ])
}

/// `discrete_gaussian`: draws of the noise that leaves a shop, beside the generator that it is made from.
pub(super) fn discrete_gaussian(short: bool) -> anyhow::Result<Vec<Row>> {
    let sampler = DiscreteGaussian::new(NOISE_STDDEV)
        .ok_or_else(|| anyhow::anyhow!("the sampler takes no standard deviation of {NOISE_STDDEV}"))?;
    let mut rng = stream(1, "bench");
    let rate = fastest(runs(short), || {
        let sum = (0..DRAWS).fold(0i64, |sum, _| sum.wrapping_add(sampler.sample(&mut rng)));
        black_box(sum);
        DRAWS as f64
    });
    let keystream = keystream_bytes_per_second(runs(short));
    Ok(vec![
        Row::new("chacha20_keystream", keystream, "B/s"),
        Row::new("discrete_gaussian", rate, "draws/s")
            .ratio(rate * RANDOM_BYTES / keystream, "chacha20_keystream")
            .with("stddev", NOISE_STDDEV)
            .with("random_bytes_per_draw", RANDOM_BYTES),
    ])
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
            .with("bytes_per_coordinate", TOUCHED_BYTES),
    ])
}

fn runs(short: bool) -> usize {
    if short { 20 } else { 100 }
}

const NOISE_STDDEV: u64 = 1 << 16;
const DRAWS: usize = 20_000;
/// What a draw would take if one 64-bit number were enough for it.
const RANDOM_BYTES: f64 = 8.0;
const COORDINATES: usize = 1 << 20;
/// The update read, the sum read and written; the second reading for the norm is the implementation's own affair.
const TOUCHED_BYTES: f64 = 12.0;

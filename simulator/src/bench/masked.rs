//! `masked_round`: what masks cost a whole round, in CPU time, beside the keystream that they are made of.

use anyhow::Context;
use souk_common::plan::MaskingPlan;
use souk_common::secagg::mask::MaskCipher;

use super::rounds::{PARAMETERS, SHOPS, WARM_UP, runtime};
use super::row::Row;
use crate::load::cpu_secs;
use crate::load::raw_shops::{Seen, Shops};
use crate::processes::site::{Setting, Site};

/// `masked_round`, for both ciphers, with the plain rounds of the same run.
pub(super) fn rows(short: bool) -> anyhow::Result<Vec<Row>> {
    let rounds = if short { 6 } else { 16 };
    let plain = measure(rounds, None)?;
    let ciphers = [
        ("masked_round", MaskCipher::Chacha20),
        ("masked_round_aes128_ctr", MaskCipher::Aes128Ctr),
    ];
    let mut rows = vec![
        Row::new("plain_round", plain.rounds_per_sec, "rounds/s")
            .bound(plain.rounds_per_sec >= LEAST_PLAIN, "at least 4 rounds/s")
            .with("cpu_seconds_per_round", plain.cpu_secs),
    ];
    for (name, cipher) in ciphers {
        let masked = measure(rounds, Some(cipher))?;
        let keystream = keystream_secs(cipher)?;
        let ratio = (masked.cpu_secs - plain.cpu_secs) / keystream;
        let row = Row::new(name, masked.rounds_per_sec, "rounds/s")
            .ratio(ratio, "bare_keystream_cpu")
            .with("cpu_seconds_per_round", masked.cpu_secs)
            .with("keystream_seconds_per_round", keystream)
            .with(
                "masked_over_plain_wall",
                plain.rounds_per_sec / masked.rounds_per_sec,
            );
        rows.push(match cipher {
            MaskCipher::Chacha20 => row.bound(
                ratio <= MOST_RATIO,
                "CPU beside the plain round at most 1.6 keystreams",
            ),
            MaskCipher::Aes128Ctr => row,
        });
    }
    Ok(rows)
}

struct Measured {
    rounds_per_sec: f64,
    cpu_secs: f64,
}

/// Rounds of a real coordinator with shops in this process, after the first.
fn measure(rounds: u64, cipher: Option<MaskCipher>) -> anyhow::Result<Measured> {
    let setting = Setting {
        shops: SHOPS,
        parameters: PARAMETERS,
        rounds: rounds + WARM_UP,
        adam: false,
        keep_parts: 0,
        at_once: None,
        masking: cipher.map(masking),
    };
    let site = Site::new(&setting)?;
    let serving = site.serve()?;
    let coordinator = serving.id();
    let seen = runtime()?.block_on(async {
        let shops = Shops::connect(&site, serving.address, PARAMETERS + 1).await?;
        shops.watching(coordinator).run().await
    })?;
    serving.wait()?;
    let Seen { published, cpu, .. } = seen;
    let span = |times: &[f64]| {
        let began = times.get(WARM_UP as usize - 1).zip(times.last());
        let (began, ended) = began.context("the coordinator published too few rounds")?;
        anyhow::Ok(ended - began)
    };
    Ok(Measured {
        rounds_per_sec: rounds as f64 / span(&published)?,
        cpu_secs: span(&cpu)? / rounds as f64,
    })
}

fn masking(cipher: MaskCipher) -> MaskingPlan {
    MaskingPlan {
        min_shops: 12,
        colluding: 2,
        cipher,
        neighbours: None,
        step: std::time::Duration::from_secs(30),
    }
}

/// CPU seconds of a round's keystream alone: each shop's masks with all others and its own one, which the coordinator makes
/// again.
fn keystream_secs(cipher: MaskCipher) -> anyhow::Result<f64> {
    use ctr::cipher::{KeyIvInit, StreamCipher};
    let mut block = vec![0u8; 16 << 10];
    let streams = SHOPS * (SHOPS - 1) + 2 * SHOPS;
    let blocks = streams * (PARAMETERS + 1) * 4 / block.len();
    let before = cpu_secs("self")?;
    match cipher {
        MaskCipher::Chacha20 => {
            let mut stream = chacha20::ChaCha20::new(&[7; 32].into(), &[0; 12].into());
            (0..blocks).for_each(|_| stream.write_keystream(&mut block));
        }
        MaskCipher::Aes128Ctr => {
            let mut stream = ctr::Ctr128LE::<aes::Aes128>::new(&[7; 16].into(), &[0; 16].into());
            (0..blocks).for_each(|_| stream.write_keystream(&mut block));
        }
    }
    std::hint::black_box(&block);
    Ok(cpu_secs("self")? - before)
}

const LEAST_PLAIN: f64 = 4.0;
const MOST_RATIO: f64 = 1.6;

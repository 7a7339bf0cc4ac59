//! What masks cost a shop: expanding them, and the bytes of an attempt.

use std::hint::black_box;

use chacha20::ChaCha20;
use ctr::Ctr128LE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{Digest, ShopName};
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::{Stream, stream};
use souk_common::round::grid::ModulusBits;
use souk_common::round::plan::MaskCipher;
use souk_common::round::record::{AttemptId, UploadHeader};
use souk_common::secagg::mask::{Mask, Sign, apply_words};
use souk_common::secagg::{Context, Keys, Session, Sharing, Terms};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::Request;
use souk_common::wire::update;

use super::machine::fastest;
use super::row::Row;
use super::training::NOISELESS;
use crate::world::masked::Everybody;

/// `mask_expansion`, for both ciphers: masks added to an update in place, beside the keystream of as many bytes alone.
pub(super) fn expansion(short: bool) -> anyhow::Result<Vec<Row>> {
    let runs = if short { 10 } else { 40 };
    let mut rows = Vec::new();
    for (suffix, cipher) in [("", MaskCipher::Chacha20), ("_aes128_ctr", MaskCipher::Aes128Ctr)] {
        let (mut bare, mut rate) = (0f64, 0f64);
        // In turns: a core changes its clock with what it and its neighbours do.
        for _ in 0..runs {
            bare = bare.max(fastest(1, || keystream(cipher)));
            rate = rate.max(fastest(1, || expand(cipher)));
        }
        let name = format!("bare_keystream{suffix}");
        rows.push(Row::new(name.as_str(), bare, "B/s"));
        let row = Row::new(format!("mask_expansion{suffix}"), rate, "B/s")
            .ratio(rate / bare, name)
            .with("masks", MASKS)
            .with("coordinates", COORDINATES);
        rows.push(match cipher {
            MaskCipher::Chacha20 => row.bound(
                rate >= LEAST_OF_KEYSTREAM * bare,
                "at least 0.60 of the bare keystream",
            ),
            MaskCipher::Aes128Ctr => row,
        });
    }
    Ok(rows)
}

/// Bytes of keystream that were added.
fn expand(cipher: MaskCipher) -> f64 {
    let mut words = vec![0u32; COORDINATES];
    let masks: Vec<Mask> = (0..MASKS)
        .map(|at| Mask {
            key: [at as u8; 32].into(),
            sign: if at % 2 == 0 { Sign::Plus } else { Sign::Minus },
        })
        .collect();
    apply_words(cipher, black_box(&masks), &mut words);
    black_box(&words);
    (MASKS * COORDINATES * 4) as f64
}

/// As many bytes, block after block into the same place.
fn keystream(cipher: MaskCipher) -> f64 {
    let mut block = vec![0u8; 16 << 10];
    let bytes = MASKS * COORDINATES * 4;
    let blocks = bytes / block.len();
    match cipher {
        MaskCipher::Chacha20 => {
            let mut stream = ChaCha20::new(&[7; 32].into(), &[0; 12].into());
            (0..blocks).for_each(|_| stream.write_keystream(black_box(&mut block)));
        }
        MaskCipher::Aes128Ctr => {
            let mut stream = Ctr128LE::<aes::Aes128>::new(&[7; 16].into(), &[0; 16].into());
            (0..blocks).for_each(|_| stream.write_keystream(black_box(&mut block)));
        }
    }
    black_box(&block);
    bytes as f64
}

/// `masked_upload_bytes`: all that one of 16 shops sends in an attempt, frames and all, beside four bytes a coordinate.
pub(super) fn upload_bytes() -> anyhow::Result<Vec<Row>> {
    let cohort = Cohort {
        shops: SHOPS,
        terms: Terms {
            min_shops: 12,
            colluding: 2,
            neighbours: None,
            cipher: MaskCipher::Chacha20,
            bits: ModulusBits::B32,
        },
    };
    let mut session = Session::new(context());
    let mut sent = Vec::new();
    for shop in 0..SHOPS {
        let said = cohort.keys(shop)?.advertisement().clone();
        let public = identity(shop).public();
        sent.push(("advertisement", to_bytes(&Request::Advertise(said.clone()))?.len()));
        session.advertise(&name(shop)?, &public, said)?;
    }
    sent.truncate(1);
    session.fix_roster(&cohort.terms);
    let id = context().id;
    let mut first: Option<Sharing> = None;
    for shop in 0..SHOPS {
        let (sharing, shares) = cohort.share(&session, shop)?;
        if shop == 0 {
            let shares = shares.clone();
            sent.push(("shares", to_bytes(&Request::Share { id, shares })?.len()));
            first = Some(sharing);
        }
        session.share(&name(shop)?, shares)?;
    }
    let everybody = session.fix_sharers();
    let received = session.shares_for(&name(0)?);
    let sharing = first.ok_or_else(|| anyhow::anyhow!("there is no shop"))?;
    let (mut masking, masks) = sharing.mask(everybody.clone(), &received)?;
    let nothing = NoiseVector::draw(&NOISELESS, COORDINATES, &mut stream(1, "bench"));
    let bytes = update::encode(&Privatized::of_nobody_under(nothing, masks));
    let header = Request::Upload(UploadHeader {
        id,
        update: Digest::of(&bytes),
        len_bytes: bytes.len() as u64,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    });
    sent.push(("upload", to_bytes(&header)?.len() + bytes.len()));
    session.fix_survivors(&session.names(&everybody))?;
    for shop in 0..SHOPS {
        let signed = match shop {
            0 => masking.confirm(&everybody, &identity(0))?,
            // The same words under another key.
            _ => identity(shop).sign(masking.confirm(&everybody, &identity(0))?.body),
        };
        if shop == 0 {
            sent.push(("confirmation", to_bytes(&Request::Confirm(signed.clone()))?.len()));
        }
        session.confirm(&name(shop)?, &signed)?;
    }
    let shares = masking.reveal(&session.confirmations())?;
    sent.push(("reveal", to_bytes(&Request::Reveal { id, shares })?.len()));
    let total: usize = sent.iter().map(|(_, bytes)| bytes).sum();
    let ratio = total as f64 / (COORDINATES * 4) as f64;
    let row = Row::new("masked_upload_bytes", total as f64, "B")
        .ratio(ratio, "four_bytes_a_coordinate")
        .bound(ratio <= MOST_BYTES, "at most 1.10 times 4 bytes a coordinate")
        .with("coordinates", COORDINATES)
        .with("shops", SHOPS);
    Ok(vec![sent.into_iter().fold(row, |row, (what, bytes)| {
        row.with(&format!("{what}_bytes"), bytes)
    })])
}

/// Shops of one attempt whose secrets can be made again from their numbers.
pub(super) struct Cohort {
    pub(super) shops: usize,
    pub(super) terms: Terms,
}

impl Cohort {
    /// A shop's keys.
    pub(super) fn keys(&self, shop: usize) -> anyhow::Result<Keys> {
        let random = &mut random(shop, "keys");
        Ok(Keys::make(
            context(),
            self.terms,
            &name(shop)?,
            &identity(shop),
            random,
        ))
    }

    /// What it makes of the session's roster.
    pub(super) fn share(
        &self,
        session: &Session,
        shop: usize,
    ) -> anyhow::Result<(Sharing, souk_common::secagg::Shares)> {
        let roster = session
            .roster()
            .ok_or_else(|| anyhow::anyhow!("the roster is not fixed"))?
            .clone();
        Ok(self
            .keys(shop)?
            .share(roster, &Everybody, &mut random(shop, "shares"))?)
    }
}

/// What all of them are bound to.
pub(super) fn context() -> Context {
    Context {
        id: AttemptId { round: 1, attempt: 1 },
        plan: Digest::of(b"plan"),
        model: Digest::of(b"model"),
    }
}

/// A shop's name; in the order of numbers.
pub(super) fn name(shop: usize) -> anyhow::Result<ShopName> {
    Ok(format!("shop-{shop:04}").parse()?)
}

/// A shop's long-term key.
pub(super) fn identity(shop: usize) -> SigningKey {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(shop as u64).to_le_bytes());
    SigningKey::from_bytes(&secret)
}

fn random(shop: usize, what: &str) -> Stream {
    stream(shop as u64, what)
}

const SHOPS: usize = 16;
const MASKS: usize = 16;
const COORDINATES: usize = 1 << 20;
const LEAST_OF_KEYSTREAM: f64 = 0.60;
const MOST_BYTES: f64 = 1.10;

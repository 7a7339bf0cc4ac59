//! Masks without a network: how fast they are made, what a shop sends beside its update, and what the server does for a
//! thousand shops.

use std::hint::black_box;

use anyhow::Context as _;
use rand::RngExt;
use rayon::prelude::*;
use souk_common::clock::Stopwatch;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::{secret_stream, stream};
use souk_common::secagg::mask::{Mask, MaskCipher, Sign, apply_words};
use souk_common::secagg::{
    Checked, Context, Keys, MaskingParams, Safeguards, Session, Sharing, UnmaskSecrets,
};
use souk_common::update::{ModulusBits, UpdateValues};
use souk_common::wire::codec::encode;
use zeroize::Zeroizing;

use super::machine::fastest;
use super::row::Row;
use crate::load::NOISELESS;
use crate::world::shop::Everybody;

/// `mask_expand`: masks made and added, beside the bare keystream of the same bytes.
pub(super) fn expansion(short: bool) -> anyhow::Result<Vec<Row>> {
    use ctr::cipher::{KeyIvInit, StreamCipher};
    let (runs, words, masks) = (if short { 3 } else { 9 }, 1_000_000, 16);
    let masks: Vec<Mask> = (0..masks)
        .map(|byte| Mask {
            key: Zeroizing::new([byte; 32]),
            sign: if byte % 2 == 0 { Sign::Plus } else { Sign::Minus },
        })
        .collect();
    let bytes = (masks.len() * words * 4) as f64;
    let mut values = vec![0u32; words];
    let mut block = vec![0u8; 16 << 10];
    let blocks = masks.len() * words * 4 / block.len();
    let mut rows = Vec::new();
    for (name, cipher) in [
        ("mask_expand", MaskCipher::Chacha20),
        ("mask_expand_aes128_ctr", MaskCipher::Aes128Ctr),
    ] {
        let bare = fastest(runs, || {
            match cipher {
                MaskCipher::Chacha20 => {
                    let mut stream = chacha20::ChaCha20::new(&[7; 32].into(), &[0; 12].into());
                    (0..blocks).for_each(|_| stream.write_keystream(black_box(&mut block)));
                }
                MaskCipher::Aes128Ctr => {
                    let mut stream = ctr::Ctr128LE::<aes::Aes128>::new(&[7; 16].into(), &[0; 16].into());
                    (0..blocks).for_each(|_| stream.write_keystream(black_box(&mut block)));
                }
            }
            bytes
        });
        let made = fastest(runs, || {
            apply_words(cipher, &masks, black_box(&mut values));
            bytes
        });
        let row = Row::new(name, made, "bytes/s").ratio(made / bare, "bare_keystream");
        rows.push(match cipher {
            MaskCipher::Chacha20 => row.bound(made >= 0.6 * bare, "at least 0.60 of the bare keystream"),
            MaskCipher::Aes128Ctr => row,
        });
    }
    Ok(rows)
}

/// `masked_upload_bytes`: all that a shop sends for an attempt, over four bytes a coordinate.
pub(super) fn upload_bytes() -> anyhow::Result<Vec<Row>> {
    let (shops, coordinates) = (16, 1_000_000);
    let mut federation = Federation::advertise(shops, terms(12, 2))?;
    let mut sent = encode(
        federation.keys[0]
            .as_ref()
            .map(Keys::advertisement)
            .context("keys")?,
    )?
    .len();
    let shares = federation.share()?;
    sent += encode(&shares[0])?.len() + coordinates * 4;
    let masking: Vec<UnmaskSecrets> = (0..shops)
        .map(|shop| Ok(federation.mask(shop, 8)?.0))
        .collect::<anyhow::Result<_>>()?;
    let (confirmation, revealed) = federation.unmask(masking)?;
    sent += confirmation + revealed;
    let ratio = sent as f64 / (coordinates * 4) as f64;
    Ok(vec![
        Row::new("masked_upload_bytes", sent as f64, "bytes")
            .ratio(ratio, "four_bytes_a_coordinate")
            .bound(ratio <= 1.10, "at most 1.10 of 4 bytes a coordinate"),
    ])
}

/// `secagg_1000`: the server's work for a masked attempt, alone, on one core.
pub(super) fn server(short: bool) -> anyhow::Result<Vec<Row>> {
    let (shops, colluding) = if short { (150, 4) } else { (1000, 10) };
    let coordinates = 100_000;
    let mut federation = Federation::advertise(shops, terms(shops * 7 / 10, colluding))?;
    federation.share()?;
    let mut sum = vec![0u32; coordinates];
    let mut masking = Vec::new();
    let before = federation.session_bytes()?;
    // One shop in ten drops out with its shares out.
    let present: Vec<usize> = (0..shops).filter(|shop| shop % 10 != 3).collect();
    for shop in &present {
        let (kept, update) = federation.mask(*shop, coordinates)?;
        masking.push(kept);
        let watch = Stopwatch::start();
        let UpdateValues::B32(update) = update else {
            anyhow::bail!("another modulus")
        };
        sum.iter_mut()
            .zip(&update)
            .for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        federation.server_secs += watch.secs();
    }
    let after = federation.session_bytes()?;
    federation.present = present;
    federation.unmask(masking)?;
    let watch = Stopwatch::start();
    federation.session.unmask(&federation.terms, &mut sum)?;
    federation.server_secs += watch.secs();
    anyhow::ensure!(
        sum.iter().all(|word| *word == 0),
        "updates of nothing do not add up to nothing"
    );
    let secs = federation.server_secs;
    Ok(vec![
        Row::new("secagg_1000", secs, "s")
            .bound(secs < 4.0, "under 4 s on one core")
            .bound(
                after <= before + shops * BINDING_TEXT_BYTES,
                "nothing is kept of an update but the sum and a signature",
            )
            .with("shops", shops)
            .with("dropped_out", shops - federation.present.len())
            .with("neighbours", federation.terms.degree(shops))
            .with("session_bytes", after)
            .with("sum_bytes", coordinates * 4),
    ])
}

/// A signature as JSON keeps it, with its key.
const BINDING_TEXT_BYTES: usize = 150;

fn terms(min_shops: usize, colluding: usize) -> MaskingParams {
    MaskingParams {
        min_shops,
        colluding,
        neighbours: None,
        cipher: MaskCipher::Chacha20,
        bits: ModulusBits::B32,
        safeguards: Safeguards::ALL,
    }
}

/// Shops and a server in one process. What the server does is timed, what shops do is not.
struct Federation {
    terms: MaskingParams,
    session: Session,
    keys: Vec<Option<Keys>>,
    sharing: Vec<Sharing>,
    checked: Vec<Option<Checked>>,
    sharers: Vec<u32>,
    present: Vec<usize>,
    server_secs: f64,
}

impl Federation {
    fn advertise(shops: usize, terms: MaskingParams) -> anyhow::Result<Self> {
        let context = Context {
            id: AttemptId { round: 1, attempt: 1 },
            plan: Digest::ZERO,
            model: Digest::ZERO,
        };
        let keys: Vec<Keys> = (0..shops)
            .into_par_iter()
            .map(|shop| {
                Ok(Keys::make(
                    context,
                    terms,
                    &name(shop)?,
                    &identity(shop),
                    &mut secret_stream()?,
                ))
            })
            .collect::<anyhow::Result<_>>()?;
        let mut session = Session::new(context);
        let said: Vec<_> = keys.iter().map(|keys| keys.advertisement().clone()).collect();
        let watch = Stopwatch::start();
        for (shop, said) in said.into_iter().enumerate() {
            session.advertise(&name(shop)?, &identity(shop).public(), said)?;
        }
        Ok(Self {
            terms,
            session,
            keys: keys.into_iter().map(Some).collect(),
            sharing: Vec::new(),
            checked: Vec::new(),
            sharers: Vec::new(),
            present: (0..shops).collect(),
            server_secs: watch.secs(),
        })
    }

    fn share(&mut self) -> anyhow::Result<Vec<souk_common::secagg::Shares>> {
        let watch = Stopwatch::start();
        let roster = self.session.fix_roster(&self.terms).clone();
        self.server_secs += watch.secs();
        let both: Vec<_> = std::mem::take(&mut self.keys)
            .into_par_iter()
            .enumerate()
            .map(|(shop, keys)| {
                let keys = keys.context("a shop shares once")?;
                let secret = &mut secret_stream()?;
                Ok(keys.share(roster.clone(), &Everybody, &identity(shop), secret)?)
            })
            .collect::<anyhow::Result<_>>()?;
        let mut all = Vec::with_capacity(both.len());
        for (shop, (sharing, shares)) in both.into_iter().enumerate() {
            all.push(shares.clone());
            let watch = Stopwatch::start();
            self.session.share(&self.terms, &name(shop)?, shares)?;
            self.server_secs += watch.secs();
            self.sharing.push(sharing);
        }
        let watch = Stopwatch::start();
        self.session.deliver();
        self.server_secs += watch.secs();
        for (shop, sharing) in std::mem::take(&mut self.sharing).into_iter().enumerate() {
            let watch = Stopwatch::start();
            let delivered = self.session.shares_for(&name(shop)?);
            self.server_secs += watch.secs();
            let (checked, bad) = sharing.check(&delivered)?;
            self.checked.push(Some(checked));
            let watch = Stopwatch::start();
            self.session.check(&name(shop)?, bad)?;
            self.server_secs += watch.secs();
        }
        let watch = Stopwatch::start();
        self.sharers = self.session.fix_sharers(&self.terms);
        self.server_secs += watch.secs();
        Ok(all)
    }

    /// A shop's update of nothing, masked.
    fn mask(&mut self, shop: usize, coordinates: usize) -> anyhow::Result<(UnmaskSecrets, UpdateValues)> {
        let checked = self.checked[shop].take().context("a shop masks once")?;
        let (masking, masks) = checked.mask(self.sharers.clone(), &identity(shop))?;
        let watch = Stopwatch::start();
        self.session.bind(&name(shop)?, masking.binding())?;
        self.server_secs += watch.secs();
        let nothing = NoiseVector::draw(&NOISELESS, coordinates, &mut stream(1, "bench"));
        let masked = Privatized::of_nobody_under(nothing, masks);
        Ok((masking, masked.into_inner().values))
    }

    /// Signatures and shares; bytes of a confirmation and of what a shop reveals.
    fn unmask(&mut self, mut masking: Vec<UnmaskSecrets>) -> anyhow::Result<(usize, usize)> {
        let names = self
            .present
            .iter()
            .map(|shop| name(*shop))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let watch = Stopwatch::start();
        let survivors = self.session.fix_survivors(&names)?;
        let bindings = self.session.bindings();
        self.server_secs += watch.secs();
        let signed: Vec<_> = masking
            .par_iter_mut()
            .zip(&self.present)
            .map(|(masking, shop)| Ok(masking.confirm(&survivors, &bindings, &identity(*shop))?))
            .collect::<anyhow::Result<_>>()?;
        let confirmation = encode(&signed[0])?.len();
        let watch = Stopwatch::start();
        for (name, signed) in names.iter().zip(&signed) {
            self.session.confirm(name, signed)?;
        }
        let confirmed = self.session.confirmations();
        self.server_secs += watch.secs();
        let shares: Vec<_> = masking
            .par_iter()
            .map(|masking| Ok(masking.reveal(&confirmed)?))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let revealed = encode(&shares[0])?.len();
        let watch = Stopwatch::start();
        for (name, shares) in names.iter().zip(shares) {
            self.session.reveal(name, shares)?;
            black_box(self.session.can_unmask());
        }
        self.server_secs += watch.secs();
        anyhow::ensure!(self.session.can_unmask(), "too few shares");
        Ok((confirmation, revealed))
    }

    fn session_bytes(&self) -> anyhow::Result<usize> {
        Ok(serde_json::to_vec(&self.session)?.len())
    }
}

fn name(shop: usize) -> anyhow::Result<ShopName> {
    Ok(format!("shop-{shop:04}").parse()?)
}

fn identity(shop: usize) -> SigningKey {
    SigningKey::from_bytes(&stream(shop as u64, "bench identity").random())
}

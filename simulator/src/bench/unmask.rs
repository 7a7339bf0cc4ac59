//! `unmask_1000_shops`: a coordinator's own work in one masked attempt of many shops, a tenth of which drop out after their
//! shares.
//!
//! The shops' words are made first, on all cores, and written down. Then a process of its own, which never held a shop's
//! secrets, takes them in as a coordinator does: what it takes in time and memory is measured there.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use souk_common::clock::Stopwatch;
use souk_common::ids::ShopName;
use souk_common::privacy::{NoiseVector, Privatized};
use souk_common::rng::stream;
use souk_common::round::grid::ModulusBits;
use souk_common::round::plan::MaskCipher;
use souk_common::secagg::{Masking, Session, Sharing, Terms};
use souk_common::wire::frame::{HEADER_BYTES, parse_header, to_bytes};
use souk_common::wire::limits::CHUNK_BYTES;
use souk_common::wire::messages::{Push, Request};
use souk_common::wire::{codec, update};
use souk_coordinator::aggregate::Accumulator;

use super::masked::cpu_secs;
use super::masks::{Cohort, context, identity, name};
use super::memory::{forget_high_water, high_water, resident};
use super::row::Row;
use super::training::NOISELESS;
use crate::demo::processes::output;

/// Measures it.
pub(super) fn rows(short: bool) -> anyhow::Result<Vec<Row>> {
    let shops = if short { 200 } else { 1000 };
    let cohort = cohort(shops);
    let folder = tempfile::tempdir().context("can't create a temporary folder")?;
    let watch = Stopwatch::start();
    write(&cohort, folder.path())?;
    let making = watch.secs();
    let said = output([
        "bench".as_ref(),
        "--unmask".as_ref(),
        folder.path().as_os_str(),
        "--unmask-shops".as_ref(),
        shops.to_string().as_ref(),
    ])?;
    let seen: Seen = serde_json::from_str(&said).context("the measuring process said something else")?;
    let row = Row::new(format!("unmask_{shops}_shops"), seen.seconds, "s")
        .bound(seen.seconds < MOST_SECONDS, "under 20 s on one core")
        .bound(
            seen.uploads_growth_bytes <= MOST_GROWTH_BYTES,
            format!("memory grows by at most {MOST_GROWTH_BYTES} bytes while updates come in"),
        )
        .with("coordinates", COORDINATES)
        .with("neighbours", cohort.terms.degree(shops))
        .with("cpu_seconds", seen.cpu_seconds)
        .with("seconds_by_step", serde_json::to_value(&seen.steps)?)
        .with("updates_bytes", seen.updates_bytes)
        .with("updates_growth_bytes", seen.uploads_growth_bytes)
        .with("peak_growth_bytes", seen.peak_growth_bytes)
        .with("shops_seconds", making);
    Ok(vec![row])
}

/// What the measuring process saw.
#[derive(Deserialize, Serialize)]
struct Seen {
    seconds: f64,
    cpu_seconds: f64,
    steps: Vec<(String, f64)>,
    updates_bytes: u64,
    /// The most resident memory while updates came in, minus that before the first.
    uploads_growth_bytes: u64,
    /// The most of the whole attempt, minus that before its first word: session, sum, and what is made of them.
    peak_growth_bytes: u64,
}

fn cohort(shops: usize) -> Cohort {
    let terms = Terms {
        min_shops: shops * 7 / 10,
        colluding: shops / 100,
        neighbours: None,
        cipher: MaskCipher::Chacha20,
        bits: ModulusBits::B32,
    };
    Cohort { shops, terms }
}

fn survives(shop: usize) -> bool {
    shop % 10 != 3
}

/// All that shops say in an attempt, in files of frames; the updates bare, one after another.
fn write(cohort: &Cohort, folder: &Path) -> anyhow::Result<()> {
    let mut session = Session::new(context());
    let everybody: Vec<usize> = (0..cohort.shops).collect();
    let keys: Vec<_> = everybody
        .par_iter()
        .map(|shop| anyhow::Ok(cohort.keys(*shop)?.advertisement().clone()))
        .collect::<anyhow::Result<_>>()?;
    let mut file = Frames::create(folder, ADVERTISEMENTS)?;
    for (shop, said) in keys.into_iter().enumerate() {
        file.put(&Request::Advertise(said.clone()))?;
        session.advertise(&name(shop)?, &identity(shop).public(), said)?;
    }
    file.finish()?;
    session.fix_roster(&cohort.terms);
    let id = context().id;
    let mut file = Frames::create(folder, SHARES)?;
    let mut sharing: Vec<(usize, Sharing)> = Vec::new();
    for some in everybody.chunks(AT_ONCE) {
        let made: Vec<_> = some
            .par_iter()
            .map(|shop| cohort.share(&session, *shop))
            .collect::<anyhow::Result<_>>()?;
        for (shop, (kept, shares)) in some.iter().zip(made) {
            file.put(&Request::Share {
                id,
                shares: shares.clone(),
            })?;
            session.share(&name(*shop)?, shares)?;
            if survives(*shop) {
                sharing.push((*shop, kept));
            }
        }
    }
    file.finish()?;
    let masking = write_updates(&mut session, sharing, folder)?;
    let mut file = Frames::create(folder, CONFIRMATIONS)?;
    let counted: Vec<ShopName> = masking
        .iter()
        .map(|(shop, _)| name(*shop))
        .collect::<anyhow::Result<_>>()?;
    let survivors = session.fix_survivors(&counted)?;
    let mut ready = Vec::new();
    for (shop, mut masking) in masking {
        let signed = masking.confirm(&survivors, &identity(shop))?;
        file.put(&Request::Confirm(signed.clone()))?;
        session.confirm(&name(shop)?, &signed)?;
        ready.push(masking);
    }
    file.finish()?;
    let confirmed = session.confirmations();
    let revealed: Vec<_> = ready
        .par_iter()
        .map(|masking| Ok(masking.reveal(&confirmed)?))
        .collect::<anyhow::Result<_>>()?;
    let mut file = Frames::create(folder, REVEALS)?;
    for shares in revealed {
        file.put(&Request::Reveal { id, shares })?;
    }
    file.finish()
}

fn write_updates(
    session: &mut Session,
    sharing: Vec<(usize, Sharing)>,
    folder: &Path,
) -> anyhow::Result<Vec<(usize, Masking)>> {
    let sharers = session.fix_sharers();
    let mut file = BufWriter::new(File::create(folder.join(UPDATES))?);
    let mut all = Vec::new();
    let mut sharing = sharing.into_iter();
    loop {
        let some: Vec<_> = sharing.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let masked: Vec<_> = some
            .into_par_iter()
            .map(|(shop, sharing)| {
                let received = session.shares_for(&name(shop)?);
                let (masking, masks) = sharing.mask(sharers.clone(), &received)?;
                let nothing = NoiseVector::draw(&NOISELESS, COORDINATES, &mut stream(1, "bench"));
                let bytes = update::encode(&Privatized::of_nobody_under(nothing, masks));
                anyhow::Ok((shop, masking, bytes))
            })
            .collect::<anyhow::Result<_>>()?;
        for (shop, masking, bytes) in masked {
            file.write_all(&bytes)?;
            all.push((shop, masking));
        }
    }
    file.flush()?;
    Ok(all)
}

/// The measured process: a coordinator's part, from the files; prints what it saw.
///
/// # Errors
/// When a file is not as it was written, or the sum is not zero.
pub(super) fn measure(folder: &Path, shops: usize) -> anyhow::Result<()> {
    let terms = cohort(shops).terms;
    let before = resident()?;
    forget_high_water("self");
    let mut clock = Steps::start()?;
    let mut session = Session::new(context());
    for (shop, frame) in Frames::read(folder, ADVERTISEMENTS)?.enumerate() {
        if let Request::Advertise(keys) = frame? {
            // In a federation the certificate names it.
            let identity = keys.body.identity;
            session.advertise(&name(shop)?, &identity, keys)?;
        }
    }
    let roster = session.fix_roster(&terms).clone();
    let id = context().id;
    to_bytes(&Push::Roster { id, roster })?;
    session.digest();
    clock.step("keys");
    for (shop, frame) in Frames::read(folder, SHARES)?.enumerate() {
        if let Request::Share { shares, .. } = frame? {
            session.share(&name(shop)?, shares)?;
        }
    }
    let sharers = session.fix_sharers();
    for shop in session.names(&sharers) {
        let shares = session.shares_for(&shop);
        let sharers = sharers.clone();
        to_bytes(&Push::Sharers { id, sharers, shares })?;
    }
    session.digest();
    clock.step("shares");
    let mut sum = Accumulator::new(terms.bits, COORDINATES);
    let before_updates = resident()?;
    let peak_so_far = high_water("self")?;
    forget_high_water("self");
    let updates_bytes = add_updates(folder, &mut sum)?;
    let uploads_growth_bytes = high_water("self")?.saturating_sub(before_updates);
    clock.step("updates");
    let counted: Vec<ShopName> = (0..shops)
        .filter(|shop| survives(*shop))
        .map(name)
        .collect::<anyhow::Result<_>>()?;
    session.fix_survivors(&counted)?;
    session.digest();
    for (shop, frame) in counted.iter().zip(Frames::read(folder, CONFIRMATIONS)?) {
        if let Request::Confirm(signed) = frame? {
            session.confirm(shop, &signed)?;
        }
    }
    let confirmed = session.confirmations();
    to_bytes(&Push::Confirmed { id, confirmed })?;
    clock.step("confirmations");
    for (shop, frame) in counted.iter().zip(Frames::read(folder, REVEALS)?) {
        if let Request::Reveal { shares, .. } = frame? {
            session.reveal(shop, shares)?;
            session.can_unmask();
        }
    }
    ensure!(session.can_unmask(), "too few shares to unmask");
    clock.step("reveals");
    sum.unmask(&session, &terms)?;
    clock.step("unmask");
    let seen = Seen {
        seconds: clock.whole.secs(),
        cpu_seconds: cpu_secs("self")? - clock.cpu,
        steps: clock.steps,
        updates_bytes,
        uploads_growth_bytes,
        peak_growth_bytes: high_water("self")?.max(peak_so_far).saturating_sub(before),
    };
    // Nobody's update held anything.
    ensure!(
        (0..COORDINATES).all(|at| sum.lifted(at) == 0),
        "what is unmasked is not the sum"
    );
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Adds one update after the other, as chunks arrive; bytes in all.
fn add_updates(folder: &Path, sum: &mut Accumulator) -> anyhow::Result<u64> {
    let mut file = File::open(folder.join(UPDATES))?;
    let (mut chunk, mut total) = (vec![0; CHUNK_BYTES], 0);
    while total < file.metadata()?.len() {
        let mut first = 0;
        while first < COORDINATES {
            let bytes = ((COORDINATES - first) * 4).min(CHUNK_BYTES);
            file.read_exact(&mut chunk[..bytes])?;
            sum.add_bytes_at(first, &chunk[..bytes])?;
            first += bytes / 4;
            total += bytes as u64;
        }
    }
    Ok(total)
}

struct Steps {
    whole: Stopwatch,
    last: Stopwatch,
    cpu: f64,
    steps: Vec<(String, f64)>,
}

impl Steps {
    fn start() -> anyhow::Result<Self> {
        Ok(Self {
            whole: Stopwatch::start(),
            last: Stopwatch::start(),
            cpu: cpu_secs("self")?,
            steps: Vec::new(),
        })
    }

    fn step(&mut self, name: &str) {
        self.steps.push((name.to_owned(), self.last.secs()));
        self.last = Stopwatch::start();
    }
}

/// A file of frames.
struct Frames {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Frames {
    fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let file = File::create(&path).with_context(|| format!("can't create {}", path.display()))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
        })
    }

    fn put(&mut self, request: &Request) -> anyhow::Result<()> {
        self.file
            .write_all(&to_bytes(request)?)
            .with_context(|| format!("can't write {}", self.path.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        Ok(self.file.flush()?)
    }

    /// One by one.
    fn read(folder: &Path, name: &str) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Request>>> {
        let path = folder.join(name);
        let length = fs::metadata(&path)
            .with_context(|| format!("can't read {}", path.display()))?
            .len();
        let mut file = BufReader::new(File::open(&path)?);
        let mut left = length;
        Ok(std::iter::from_fn(move || {
            (left > 0).then(|| {
                let mut header = [0; HEADER_BYTES];
                file.read_exact(&mut header)?;
                let mut body = vec![0; parse_header::<Request>(header)?];
                file.read_exact(&mut body)?;
                left -= (HEADER_BYTES + body.len()) as u64;
                Ok(codec::decode(&body)?)
            })
        }))
    }
}

const COORDINATES: usize = 100_000;
/// Shops whose words are made at once.
const AT_ONCE: usize = 16;
const MOST_SECONDS: f64 = 20.0;
/// Of 360 MB that come in: about a percent, which the allocator may take for itself.
const MOST_GROWTH_BYTES: u64 = 4 << 20;
const ADVERTISEMENTS: &str = "advertisements";
const SHARES: &str = "shares";
const UPDATES: &str = "updates";
const CONFIRMATIONS: &str = "confirmations";
const REVEALS: &str = "reveals";

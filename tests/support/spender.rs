//! A process that charges a ledger and stops where it is told to, to be killed there.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use souk_client::ledger::{FileSink, open_ledger_through};
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};
use souk_common::params::{ClipNorm, NoiseMultiplier, SamplingRate};
use souk_common::privacy::{LedgerSink, Spend};

/// Where the process stops and waits for its end.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Before anything of this write.
    Before(usize),
    /// After so many thousandths of its bytes, and at least one byte from either end.
    Within(usize, usize),
    /// When it is durable, before anybody is told.
    After(usize),
}

/// What it prints once it stands still.
pub const STANDS: &str = "stands";
/// What it prints after a charge that was acknowledged.
pub const ACKNOWLEDGED: &str = "acknowledged";

impl Stop {
    /// As arguments of the program.
    pub fn args(self) -> [String; 3] {
        let (kind, write, part) = match self {
            Self::Before(write) => ("before", write, 0),
            Self::Within(write, part) => ("within", write, part),
            Self::After(write) => ("after", write, 0),
        };
        [kind.to_owned(), write.to_string(), part.to_string()]
    }

    fn parse(kind: &str, write: &str, part: &str) -> Option<Self> {
        let (write, part) = (write.parse().ok()?, part.parse().ok()?);
        match kind {
            "before" => Some(Self::Before(write)),
            "within" => Some(Self::Within(write, part)),
            "after" => Some(Self::After(write)),
            _ => None,
        }
    }
}

/// The shop whose ledger it is.
pub fn shop() -> ShopName {
    "north".parse().expect("a name")
}

/// What it charges: each spend with a noise of its own.
pub fn spend(round: u64) -> Spend {
    Spend {
        plan: Digest::of(b"plan"),
        round,
        attempt: 1,
        noise_multiplier: NoiseMultiplier::new(1.0 + round as f64).ok(),
        sampling_rate: SamplingRate::new(0.5).expect("a rate"),
        clip_norm: ClipNorm::new(1.0).expect("a norm"),
        shared: None,
    }
}

/// `FILE ROUNDS before|within|after WRITE PART`: opens the ledger, then charges it so often.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let [file, rounds, kind, write, part] = args.as_slice() else {
        return ExitCode::from(64);
    };
    let (Ok(rounds), Some(stop)) = (rounds.parse::<u64>(), Stop::parse(kind, write, part)) else {
        return ExitCode::from(64);
    };
    let around = |file| Stopping {
        file,
        stop,
        writes: 0,
    };
    let mut ledger =
        open_ledger_through(Path::new(file), &shop(), Timestamp(1), around).expect("the ledger opens");
    for round in 1..=rounds {
        ledger.charge(spend(round), Timestamp(2)).expect("a charge");
        say(ACKNOWLEDGED);
    }
    ExitCode::SUCCESS
}

/// The real file, and a place to stop.
struct Stopping {
    file: FileSink,
    stop: Stop,
    writes: usize,
}

impl LedgerSink for Stopping {
    fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = self.writes;
        self.writes += 1;
        match self.stop {
            Stop::Before(at) if at == write => stand_still(),
            Stop::Within(at, part) if at == write => {
                let cut = (bytes.len() * part / 1000).clamp(1, bytes.len() - 1);
                self.file.append_durably(&bytes[..cut])?;
                stand_still()
            }
            Stop::After(at) if at == write => {
                self.file.append_durably(bytes)?;
                stand_still()
            }
            _ => self.file.append_durably(bytes),
        }
    }
}

fn stand_still() -> ! {
    say(STANDS);
    loop {
        std::thread::park();
    }
}

fn say(word: &str) {
    let mut out = io::stdout().lock();
    let told = writeln!(out, "{word}").and_then(|()| out.flush());
    told.expect("the parent listens");
}

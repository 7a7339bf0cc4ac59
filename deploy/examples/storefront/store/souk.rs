//! The shop's Souk program, and what the web shop's server asks it. Its token never reaches a browser.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use souk_common::clock::Stopwatch;
use tempfile::TempDir;

use super::http::ask;

/// How to start `souk-client`: a program, and what it takes first.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) first: String,
}

/// `souk-client run --http`, a process of its own.
pub(crate) struct Souk {
    pub(crate) address: SocketAddr,
    token: String,
    /// What a page waits for a list at most.
    patience: Duration,
    child: Mutex<Child>,
    /// Goes with this.
    _dir: TempDir,
}

impl Souk {
    /// Makes a shop's folder in `dir`, of the orders there, and starts the program; waits until there are lists.
    pub(crate) fn start(program: &Program, dir: TempDir, patience: Duration) -> anyhow::Result<Self> {
        let shop = dir.path().join("shop");
        let made = command(program)
            .args(["init", "--dir"])
            .arg(&shop)
            .arg("--data")
            .arg(dir.path())
            .output()
            .context("can't start souk-client")?;
        ensure!(
            made.status.success(),
            "souk-client init: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let log = dir.path().join("souk.log");
        let mut child = command(program)
            .args(["run", "--http", "127.0.0.1:0", "--dir"])
            .arg(&shop)
            // Held open: it ends with this program, however that ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("can't start souk-client")?;
        let address = told_address(&mut child);
        let mut souk = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: String::new(),
            patience,
            child: Mutex::new(child),
            _dir: dir,
        };
        souk.address = address.with_context(|| said(&log))?;
        let token = shop.join("http/token");
        souk.token = fs::read_to_string(&token).with_context(|| format!("can't read {}", token.display()))?;
        let watch = Stopwatch::start();
        while ask(souk.address, "GET /v1/healthz", "", "", PATIENCE).map_or(0, |reply| reply.status) != 200 {
            ensure!(
                watch.secs() < LONGEST_FIT_SECS,
                "there are no lists: {}",
                said(&log)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(souk)
    }

    /// A fragment; none if there is none in time: the page is whole without it.
    pub(crate) fn fragment(&self, path: &str) -> Option<String> {
        let head = format!("authorization: Bearer {}\r\n", self.token);
        let reply = ask(self.address, &format!("GET {path}"), &head, "", self.patience).ok()?;
        (reply.status == 200).then_some(reply.body)
    }

    /// Reports what a customer did; whether that was acknowledged. A real shop tries again later, with the same `id`.
    pub(crate) fn report(&self, events: &Value) -> bool {
        let head = format!(
            "authorization: Bearer {}\r\ncontent-type: application/json\r\n",
            self.token
        );
        let reply = ask(
            self.address,
            "POST /v1/events",
            &head,
            &events.to_string(),
            PATIENCE,
        );
        reply.is_ok_and(|reply| reply.status == 200)
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended before.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Souk {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command.arg(&program.first).stdin(Stdio::null());
    command
}

/// Where it says that it listens. The rest of what it says is read and let go.
fn told_address(child: &mut Child) -> Option<SocketAddr> {
    let mut lines = BufReader::new(child.stdout.take()?).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        let (_, rest) = line.split_once("HTTP API at http://")?;
        rest.split(' ').next()?.parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    address
}

fn said(log: &Path) -> String {
    format!(
        "souk-client said: {}",
        fs::read_to_string(log).unwrap_or_default()
    )
}

const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_FIT_SECS: f64 = 120.0;

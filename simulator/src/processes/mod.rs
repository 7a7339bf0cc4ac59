//! Child processes of `demo`, `chaos` and `bench`: this program again, as coordinator and as shops, none of which outlives
//! it.

pub(crate) mod federation;
pub(crate) mod folders;
pub(crate) mod site;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use souk_common::clock::Stopwatch;

/// A child that is killed when this is dropped, and that ends by itself when this process is gone.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Held open: a child that sees its standard input end knows that its parent is gone.
    _lifeline: Option<ChildStdin>,
    log: std::path::PathBuf,
}

/// A line that a child printed.
pub(crate) struct Line {
    /// Which child.
    pub(crate) process: String,
    /// What it said.
    pub(crate) text: String,
}

impl Process {
    /// Starts `souk-sim PROGRAM ARGS...`; its standard output goes to `lines`, its errors to the end of `log`.
    pub(crate) fn start<S: AsRef<OsStr>>(
        name: &str,
        args: impl IntoIterator<Item = S>,
        log: &Path,
        lines: &Sender<Line>,
    ) -> anyhow::Result<Self> {
        let errors = OpenOptions::new().create(true).append(true).open(log);
        let errors = errors.with_context(|| format!("can't write {}", log.display()))?;
        let mut child = program()?
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let lifeline = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            let (process, lines) = (name.to_owned(), lines.clone());
            std::thread::spawn(move || {
                for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if lines
                        .send(Line {
                            process: process.clone(),
                            text,
                        })
                        .is_err()
                    {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            _lifeline: lifeline,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a power cut would (SIGKILL); it may have ended before.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, as a service manager does (SIGTERM).
    pub(crate) fn ask_to_stop(&self) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .stdin(Stdio::null())
            .status()
            .context("can't run `kill`")?;
        ensure!(sent.success(), "`kill -TERM` did not reach {}", self.name);
        Ok(())
    }

    /// Fails if the child has ended with an error, with the end of what it said.
    pub(crate) fn check(&mut self) -> anyhow::Result<bool> {
        match self
            .child
            .try_wait()
            .with_context(|| format!("can't ask for {}", self.name))?
        {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, tail(&self.log)),
        }
    }

    /// Waits for a good end.
    pub(crate) fn wait(&mut self, most: Duration) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        while !self.check()? {
            ensure!(
                watch.secs() < most.as_secs_f64(),
                "{} did not end within {most:?}:\n{}",
                self.name,
                tail(&self.log)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `souk-sim PROGRAM ARGS...` to its end and returns what it printed.
pub(crate) fn output<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> anyhow::Result<String> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let said: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let done = program()?
        .args(&args)
        .stdin(Stdio::null())
        .env(NO_LIFELINE, "1")
        .output()
        .with_context(|| format!("can't run {}", said.join(" ")))?;
    ensure!(
        done.status.success(),
        "`{}` ended with {}:\n{}",
        said.join(" "),
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).with_context(|| format!("`{}` printed no text", said.join(" ")))
}

/// The next line of any child, or none if `wait` passes without one.
pub(crate) fn next_line(lines: &Receiver<Line>, wait: Duration) -> Option<Line> {
    lines.recv_timeout(wait).ok()
}

/// In a child: ends the process when the parent's end of standard input is gone, even if the parent was killed.
pub(crate) fn end_with_parent() {
    if std::env::var_os(LIFELINE).is_none() || std::env::var_os(NO_LIFELINE).is_some() {
        return;
    }
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        while std::io::stdin().read(&mut sink).is_ok_and(|read| read > 0) {}
        std::process::exit(i32::from(EXIT_ORPHANED));
    });
}

fn program() -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("can't find this program's own file")?;
    let mut command = Command::new(own);
    if let Some(first) = std::env::var_os(PREFIX) {
        command.arg(first);
    }
    command.env(LIFELINE, "1");
    Ok(command)
}

/// The end of what was written to `log`.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

const LIFELINE: &str = "SOUK_DEMO_LIFELINE";
const NO_LIFELINE: &str = "SOUK_DEMO_NO_LIFELINE";
/// Set by a multicall executable that needs its own name for this program first.
const PREFIX: &str = "SOUK_DEMO_PREFIX";
const EXIT_ORPHANED: u8 = 2;

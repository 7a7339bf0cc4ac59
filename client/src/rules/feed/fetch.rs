//! Feeds by address: fetched whole into `feeds/` at their schedule, from where they are read as files are.
//!
//! What can't be fetched changes nothing: what came last stays, the owner is told, and it is tried again, after a minute at first,
//! then after twice as long each time, at most after `every`.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use souk_common::clock::{Clock, Timestamp};
use souk_common::date::date;
use souk_common::format::Format;
use souk_common::storage::disk::Access;
use ureq::Agent;
use ureq::http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use ureq::http::{HeaderName, Response, StatusCode};

use super::address::FeedAddress;
use super::offers::MOST_BYTES;
use super::source::FeedSource;
use crate::folder::Folder;
use crate::interactions::manifest::FileStamp;

/// How fetches of one feed went.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct FetchState {
    format: Format<1>,
    /// When its server last said how it is, also that it is as it was.
    pub fetched_at: Option<Timestamp>,
    /// As of when it is: what the server says of it, or when it was fetched.
    pub written: Option<Timestamp>,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// Since when tries fail; none: the last one did not.
    pub failing_since: Option<Timestamp>,
    /// How many in a row.
    pub failures: u32,
    /// Why the last one did.
    pub trouble: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
    /// The file that the two above are of.
    file: Option<FileStamp>,
}

/// How long a fetch may take, and what it may bring.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// From the first byte to the last, with all redirects.
    pub total: Duration,
    /// Until the server says something, or something more.
    pub silence: Duration,
    /// Of the feed, uncompressed.
    pub bytes: u64,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(600),
            silence: Duration::from_secs(30),
            bytes: MOST_BYTES,
        }
    }
}

impl FetchState {
    /// Of a feed by address; that of one that was never fetched where nothing is known, or the file is damaged.
    pub fn load(folder: &Folder, source: &FeedSource) -> Self {
        let bytes = folder.disk().read(&source.fetched_files(folder).state);
        let read = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.unwrap_or_default()
    }

    /// When it is to be fetched next; none: it never was.
    pub fn due_at(&self, every: Duration) -> Option<Timestamp> {
        let pause = match self.failures {
            0 => every,
            failures => every.min(FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16))),
        };
        Some(self.tried_at? + pause)
    }

    /// Whether it is time. A clock that was put back is no reason to wait.
    fn is_due(&self, every: Duration, now: Timestamp) -> bool {
        let is_ahead = self.tried_at.is_some_and(|tried| tried > now);
        is_ahead || self.due_at(every).is_none_or(|at| at <= now)
    }

    /// What the owner should know: that it fails, or that nobody fetches it.
    pub fn told(&self, source: &FeedSource, now: Timestamp) -> Option<String> {
        let grace = (source.every() * 3).max(Duration::from_secs(86_400));
        match (&self.trouble, self.failing_since, self.fetched_at) {
            (Some(trouble), Some(since), last) => {
                let kept = match last {
                    Some(at) => format!("what came on {} stays in force", date(at)),
                    None => "nothing is known by it".to_owned(),
                };
                Some(format!(
                    "the feed {source} can't be fetched since {}: {trouble}; {kept}, and it is tried again by itself",
                    date(since)
                ))
            }
            (_, _, None) => Some(format!(
                "the feed {source} was never fetched: a running `souk-client run` does so within a minute"
            )),
            (_, _, Some(at)) if now.since(at) > grace => Some(format!(
                "the feed {source} was last fetched on {}, and is due every {}: a running `souk-client run` fetches it",
                date(at),
                humantime::format_duration(source.every())
            )),
            _ => None,
        }
    }
}

/// Fetches those of these feeds that are due, one after the other, and removes what was fetched of others.
pub fn fetch_due(folder: &Folder, sources: &[FeedSource], clock: &dyn Clock, limits: FetchLimits) {
    sweep(folder, sources);
    for source in sources {
        if let Some(address) = source.address()
            && FetchState::load(folder, source).is_due(source.every(), clock.now())
        {
            fetch(folder, source, &address, clock, limits);
        }
    }
}

/// Fetches a feed; how fetches of it went, this one included.
pub(crate) fn fetch(
    folder: &Folder,
    source: &FeedSource,
    address: &FeedAddress,
    clock: &dyn Clock,
    limits: FetchLimits,
) -> FetchState {
    let now = clock.now();
    let files = source.fetched_files(folder);
    let stamp = || {
        std::fs::metadata(&files.fetched)
            .ok()
            .map(|file| FileStamp::of(&file))
    };
    let mut state = FetchState::load(folder, source);
    state.tried_at = Some(now);
    if state.file.is_none() || state.file != stamp() {
        // What is said of another file is of no use.
        (state.etag, state.last_modified, state.file) = (None, None, None);
    }
    match ask(folder, (&files.part, address), &state, clock, limits).and_then(|answer| {
        if let Answered::New { .. } = answer {
            put(folder, &files.part, &files.fetched)?;
        }
        Ok(answer)
    }) {
        Ok(answer) => {
            if let Answered::New { etag, last_modified } = answer {
                let said = last_modified.as_deref().and_then(http_date);
                state.written = Some(said.map_or(now, |said| said.min(now)));
                (state.etag, state.last_modified, state.file) = (etag, last_modified, stamp());
            }
            state.fetched_at = Some(now);
            (state.failures, state.failing_since, state.trouble) = (0, None, None);
        }
        Err(error) => {
            // Half a feed helps nobody.
            let _ = folder.disk().remove(&files.part);
            state.failures = state.failures.saturating_add(1);
            state.failing_since = state.failing_since.or(Some(now));
            let words = format!("{error:#}");
            // Whoever tells it names the feed; another address is one that it leads to.
            let words = words
                .strip_prefix(&address.to_string())
                .map_or(words.clone(), |rest| format!("it{rest}"));
            state.trouble = Some(words);
        }
    }
    let bytes = serde_json::to_vec(&state).expect("a state has a JSON form");
    if let Err(error) = folder.write_whole(&files.state, &bytes, false) {
        tracing::warn!(%error, "{} can't be written: the feed is fetched again sooner than it has to be", files.state.display());
    }
    state
}

/// Gives what has come whole the name by which it is read.
fn put(folder: &Folder, part: &Path, fetched: &Path) -> anyhow::Result<()> {
    let disk = folder.disk();
    disk.rename(part, fetched)
        .and_then(|()| disk.sync_folder(&folder.feeds()))
        .with_context(|| format!("can't write {}", fetched.display()))
}

enum Answered {
    /// It is as it was.
    Unchanged,
    /// It is in the file for what is coming, whole.
    New {
        etag: Option<String>,
        last_modified: Option<String>,
    },
}

fn ask(
    folder: &Folder,
    (part, address): (&Path, &FeedAddress),
    state: &FetchState,
    clock: &dyn Clock,
    limits: FetchLimits,
) -> anyhow::Result<Answered> {
    let begun = clock.now();
    let mut address = address.clone();
    for _ in 0..=MOST_REDIRECTS {
        let rest = limits.total.saturating_sub(clock.now().since(begun));
        ensure!(!rest.is_zero(), "it took longer than {:?}", limits.total);
        let answer = request(&address, state, limits, rest)?;
        match answer.status() {
            StatusCode::OK => {
                let header = |name: HeaderName| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
                let (etag, last_modified) = (header(ETAG), header(LAST_MODIFIED));
                take(folder, part, answer, limits)?;
                return Ok(Answered::New { etag, last_modified });
            }
            StatusCode::NOT_MODIFIED if state.file.is_some() => return Ok(Answered::Unchanged),
            status if status.is_redirection() => {
                let location = answer
                    .headers()
                    .get(LOCATION)
                    .and_then(|location| location.to_str().ok());
                let location = location
                    .with_context(|| format!("{address} answers {status} and names no other address"))?;
                address = address
                    .follow(location)
                    .map_err(|error| anyhow!("{address} answers {status}: {error}"))?;
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                bail!(
                    "{address} answers {status}: does the address lack a key, or a user:password@ before the host?"
                )
            }
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
                bail!("{address} answers {status}: has the feed moved?")
            }
            status => bail!("{address} answers {status}"),
        }
    }
    bail!("it leads from one address to the next more than {MOST_REDIRECTS} times")
}

fn request(
    address: &FeedAddress,
    state: &FetchState,
    FetchLimits { silence, total, .. }: FetchLimits,
    rest: Duration,
) -> anyhow::Result<Response<ureq::Body>> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // They are followed here, and not everywhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("souk-client/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(rest))
        .timeout_resolve(Some(silence))
        .timeout_connect(Some(silence))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence));
    if address.is_of_this_machine() {
        config = config.proxy(None);
    }
    let mut request = config.build().new_agent().get(address.uri());
    for (name, value) in [
        (IF_NONE_MATCH, &state.etag),
        (IF_MODIFIED_SINCE, &state.last_modified),
    ] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request.call().map_err(|error| match error {
        ureq::Error::HostNotFound => anyhow!("{address}: there is no such host"),
        ureq::Error::Timeout(ureq::Timeout::Global) => anyhow!("it took longer than {total:?}"),
        ureq::Error::Timeout(_) => anyhow!("{address} says nothing for {silence:?}"),
        error => anyhow!("{address} can't be reached: {error}"),
    })
}

/// Streams what comes into a file, to the last byte.
fn take(
    folder: &Folder,
    part: &Path,
    answer: Response<ureq::Body>,
    limits: FetchLimits,
) -> anyhow::Result<()> {
    let disk = folder.disk();
    let local = || format!("can't write {}: is the disk full?", part.display());
    disk.make_folder(&folder.feeds()).with_context(local)?;
    let mut file = disk.open(part, Access::Write).with_context(local)?;
    let mut body = answer.into_body().into_with_config().limit(limits.bytes).reader();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken_off(ureq::Error::from(error), limits)),
        };
        file.write_all(&piece[..read]).with_context(local)?;
    }
    file.sync().with_context(local)
}

fn broken_off(error: ureq::Error, limits: FetchLimits) -> anyhow::Error {
    match error {
        ureq::Error::BodyExceedsLimit(most) => anyhow!("it has more than {most} bytes, and no more are read"),
        ureq::Error::Timeout(ureq::Timeout::Global) => anyhow!("it took longer than {:?}", limits.total),
        ureq::Error::Timeout(_) => anyhow!("it broke off: nothing came for {:?}", limits.silence),
        error => anyhow!("it broke off in the middle: {error}"),
    }
}

/// `Sat, 28 Nov 2026 10:00:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Timestamp(time.as_millisecond()))
}

/// Removes what was fetched of feeds that no rule names any more.
fn sweep(folder: &Folder, sources: &[FeedSource]) {
    let named: Vec<PathBuf> = sources
        .iter()
        .filter(|source| source.url.is_some())
        .map(|source| source.fetched_files(folder))
        .flat_map(|files| [files.fetched, files.state])
        .collect();
    for path in folder.disk().list(&folder.feeds()).unwrap_or_default() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_ours = [".fetched", ".part", ".fetch.json"]
            .iter()
            .any(|ending| name.ends_with(ending));
        if is_ours && !named.contains(&path) {
            // It is of no harm but its size; the next look tries again.
            let _ = folder.disk().remove(&path);
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const MOST_REDIRECTS: usize = 5;
const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;

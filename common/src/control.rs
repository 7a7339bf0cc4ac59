//! How a command reaches a program that has the folder's store open: one question and one answer, JSON lines, over a
//! socket in the folder that only its owner can use.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::limits::MAX_QUESTIONS;

/// Asks the program that listens at `path`, and waits for as long as `patience`; none if there is none.
///
/// # Errors
/// When it runs but does not answer.
pub fn ask<Q: Serialize, A: DeserializeOwned>(
    path: &Path,
    question: &Q,
    patience: Duration,
) -> io::Result<Option<A>> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    match exchange(path, &line, patience) {
        // It stopped just now.
        Ok(answer) if answer.is_empty() => Ok(None),
        Ok(answer) => Ok(Some(serde_json::from_str(&answer)?)),
        Err(error) if is_nobody(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a program listens at `path`.
pub fn is_up(path: &Path) -> bool {
    Address::of(path).is_ok_and(|address| UnixStream::connect(&address.path).is_ok())
}

fn exchange(path: &Path, line: &[u8], patience: Duration) -> io::Result<String> {
    let address = Address::of(path)?;
    let mut stream = UnixStream::connect(&address.path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut answer)?;
    Ok(answer)
}

/// No socket, a dead program's, or one whose program stops at this moment.
fn is_nobody(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
    )
}

/// The listening end; its file goes with it.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`. The caller must have the folder's store open: a socket that lies there is a dead program's.
    ///
    /// # Errors
    /// Of the file system.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
        // Made in a folder of the owner's only, and moved when its own mode is right: it is never open to others.
        let aside = folder.join(format!(".control-{}", std::process::id()));
        let _ = fs::remove_dir_all(&aside);
        fs::DirBuilder::new().mode(0o700).create(&aside)?;
        let made = Self::bind_in(&aside, path);
        let _ = fs::remove_dir_all(&aside);
        made
    }

    fn bind_in(aside: &Path, path: &Path) -> io::Result<Self> {
        let first = aside.join("s");
        let address = Address::of(&first)?;
        let listener = UnixListener::bind(&address.path)?;
        fs::set_permissions(&first, fs::Permissions::from_mode(0o600))?;
        fs::rename(&first, path)?;
        let path = path.to_owned();
        Ok(Self { listener, path })
    }

    /// Answers until it is dropped; `answer` may block, and gets the reason if a question can't be read. One that
    /// takes longer than `patience` is given up; over [`MAX_QUESTIONS`] at once they wait.
    pub async fn serve<Q, A, F>(&self, patience: Duration, answer: F)
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        F: Fn(Result<Q, String>) -> A + Send + Sync + 'static,
    {
        let answer = Arc::new(answer);
        let places = Arc::new(Semaphore::new(MAX_QUESTIONS));
        loop {
            // Never closed: it is this function's own.
            let place = Arc::clone(&places).acquire_owned().await;
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let answer = Arc::clone(&answer);
                    tokio::spawn(async move {
                        let _place = place;
                        let done = tokio::time::timeout(patience, serve_one(stream, answer)).await;
                        if let Ok(Err(error)) = done {
                            tracing::debug!(%error, "a question on the control socket broke off");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket takes no question now");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve_one<Q, A, F>(stream: tokio::net::UnixStream, answer: Arc<F>) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    F: Fn(Result<Q, String>) -> A + Send + Sync + 'static,
{
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(MAX_QUESTION_BYTES))
        .read_line(&mut line)
        .await?;
    let question =
        serde_json::from_str(&line).map_err(|error| format!("the question can't be read: {error}"));
    let said = tokio::task::spawn_blocking(move || answer(question));
    let mut bytes = serde_json::to_vec(&said.await.map_err(io::Error::other)?)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await?;
    writer.shutdown().await
}

/// A path that fits a socket's address: a long one goes through the open folder.
struct Address {
    path: PathBuf,
    _folder: Option<fs::File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() < MAX_SOCKET_PATH {
            let path = path.to_owned();
            return Ok(Self { path, _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let folder = fs::File::open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }
}

/// Longest socket path that every system takes.
const MAX_SOCKET_PATH: usize = 100;
const MAX_QUESTION_BYTES: u64 = 64 << 10;
/// Recommendations for every user of a large shop.
const MAX_ANSWER_BYTES: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn asked(path: &Path, question: impl Serialize + Send + 'static) -> Option<String> {
        ask(path, &question, PATIENCE).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_question_is_answered_even_in_a_folder_with_a_long_name_and_only_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["short".to_owned(), "long".repeat(40)] {
            let path = dir.path().join(&name).join("control.sock");
            fs::create_dir(path.parent().unwrap()).unwrap();
            assert_eq!(asked(&path, 1), None);
            let socket = ControlSocket::bind(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let serving = tokio::spawn(async move {
                let answer = |question: Result<u32, String>| format!("{question:?}");
                socket.serve(PATIENCE, answer).await;
            });
            let at = path.clone();
            let (right, wrong) = tokio::task::spawn_blocking(move || (asked(&at, 7), asked(&at, "seven")))
                .await
                .unwrap();
            assert_eq!(right, Some("Ok(7)".to_owned()));
            assert!(wrong.is_some_and(|said| said.contains("can't be read")));
            serving.abort();
            let _ = serving.await;
            assert_eq!(asked(&path, 1), None, "the file goes with the program");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_dead_programs_socket_counts_as_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert_eq!(asked(&path, 1), None);
        ControlSocket::bind(&path).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn questions_wait_while_as_many_as_may_are_answered() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let answer = move |_: Result<u32, String>| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            now.fetch_sub(1, Ordering::SeqCst);
            "done".to_owned()
        };
        let serving = tokio::spawn(async move { socket.serve(PATIENCE, answer).await });
        let mut asking = tokio::task::JoinSet::new();
        for question in 0..3 * MAX_QUESTIONS {
            let path = path.clone();
            asking.spawn_blocking(move || asked(&path, question));
        }
        while let Some(said) = asking.join_next().await {
            assert_eq!(said.unwrap(), Some("done".to_owned()));
        }
        let most = seen.load(Ordering::SeqCst);
        assert!((2..=MAX_QUESTIONS).contains(&most), "{most} at once");
        serving.abort();
    }

    #[test]
    fn a_program_that_stops_without_an_answer_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let stops = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(asked(&path, 1), None);
        stops.join().unwrap();
    }
}

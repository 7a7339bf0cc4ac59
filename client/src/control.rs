//! How a command reaches a shop's program that runs: one question and one answer, JSON lines, over a socket in the
//! shop's folder that only its owner can use.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::folder::Folder;
use crate::service::{Answer, Question};

/// Asks the running program; none if there is none.
///
/// # Errors
/// When it runs but does not answer.
pub fn ask(folder: &Folder, question: &Question) -> io::Result<Option<Answer>> {
    let path = folder.control();
    let address = Address::of(&path)?;
    let mut stream = match UnixStream::connect(address.path()) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut answer)?;
    if answer.is_empty() {
        // It stopped just now.
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&answer)?))
}

/// The listening end; its file goes with it.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens in the folder. The caller must have the store open: a socket that lies there is a dead program's.
    ///
    /// # Errors
    /// Of the file system.
    pub fn bind(folder: &Folder) -> io::Result<Self> {
        // Made in a folder of the owner's only, and moved when its own mode is right: it is never open to others.
        let aside = folder.path().join(format!(".control-{}", std::process::id()));
        let _ = fs::remove_dir_all(&aside);
        fs::DirBuilder::new().mode(0o700).create(&aside)?;
        let made = Self::bind_in(&aside, folder.control());
        let _ = fs::remove_dir_all(&aside);
        made
    }

    fn bind_in(aside: &Path, path: PathBuf) -> io::Result<Self> {
        let first = aside.join("s");
        let listener = UnixListener::bind(Address::of(&first)?.path())?;
        fs::set_permissions(&first, fs::Permissions::from_mode(0o600))?;
        fs::rename(&first, &path)?;
        Ok(Self { listener, path })
    }

    /// Answers questions until it is dropped; `answer` may block.
    pub async fn serve(&self, answer: Arc<dyn Fn(Question) -> Answer + Send + Sync>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let answer = Arc::clone(&answer);
                    tokio::spawn(async move {
                        let done = tokio::time::timeout(PATIENCE, serve_one(stream, answer)).await;
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

async fn serve_one(
    stream: tokio::net::UnixStream,
    answer: Arc<dyn Fn(Question) -> Answer + Send + Sync>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(MAX_QUESTION_BYTES))
        .read_line(&mut line)
        .await?;
    let reply = match serde_json::from_str(&line) {
        Ok(question) => tokio::task::spawn_blocking(move || answer(question))
            .await
            .map_err(io::Error::other)?,
        Err(error) => Answer::Failed {
            usage: true,
            reason: format!("the question can't be read: {error}"),
        },
    };
    let mut bytes = serde_json::to_vec(&reply)?;
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
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let folder = fs::File::open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Longest socket path that every system takes.
const MAX_SOCKET_PATH: usize = 100;
const MAX_QUESTION_BYTES: u64 = 64 << 10;
const MAX_ANSWER_BYTES: u64 = 4 << 30;
/// Recommending to every user of a large shop takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_question_is_answered_even_in_a_folder_with_a_long_name_and_only_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["short".to_owned(), "long".repeat(40)] {
            let folder = Folder::new(dir.path().join(&name));
            fs::create_dir(folder.path()).unwrap();
            assert_eq!(ask(&folder, &Question::Budget).unwrap(), None);
            let socket = ControlSocket::bind(&folder).unwrap();
            assert_eq!(
                fs::metadata(folder.control()).unwrap().permissions().mode() & 0o777,
                0o600
            );
            let serving = tokio::spawn(async move {
                socket
                    .serve(Arc::new(|question| Answer::Failed {
                        usage: false,
                        reason: format!("{question:?}"),
                    }))
                    .await;
            });
            let asked = folder.clone();
            let answer = tokio::task::spawn_blocking(move || ask(&asked, &Question::Sent))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                answer,
                Some(Answer::Failed {
                    usage: false,
                    reason: "Sent".into()
                })
            );
            serving.abort();
            let _ = serving.await;
            assert_eq!(
                ask(&folder, &Question::Budget).unwrap(),
                None,
                "the file goes with the program"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_dead_programs_socket_counts_as_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        drop(std::os::unix::net::UnixListener::bind(folder.control()).unwrap());
        assert!(folder.control().exists());
        assert_eq!(ask(&folder, &Question::Budget).unwrap(), None);
        ControlSocket::bind(&folder).unwrap();
    }
}

//! What the programs tell the service manager that started them (systemd's `sd_notify` protocol): datagrams of `KEY=value`
//! lines to the socket that `NOTIFY_SOCKET` names. Without one they tell nobody.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use std::{env, io};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// It restarts a program that gives no sign of life for so long.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As the environment says; a socket that can't be used counts as none, and is logged.
    pub fn from_environment() -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // Set for another process of the same service: that one is watched.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|_| ours)
            .map(Duration::from_micros);
        Self::new(env::var_os("NOTIFY_SOCKET"), watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager's socket can't be used");
            Self::default()
        })
    }

    fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> io::Result<Self> {
        let Some(path) = socket.filter(|path| !path.is_empty()) else {
            return Ok(Self::default());
        };
        // "@name" is no file but a name that only the kernel knows.
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read holds nobody up.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Some((socket, address)),
            watchdog: watchdog.filter(|limit| !limit.is_zero()),
        })
    }

    /// The program does its work from now on.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// It was asked to stop, and does.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// What it is at, in a line for people.
    pub fn status(&self, line: &str) {
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        self.say(&format!("STATUS={line}"));
    }

    /// A sign of life. It has to come from the loop that does the work, whenever its [`SignsOfLife`] says so: from anywhere
    /// else it would say nothing about it.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// When signs of life are due: twice as often as they must come.
    pub fn signs_of_life(&self) -> SignsOfLife {
        SignsOfLife(self.watchdog.map(|limit| {
            let mut beats = interval(limit / 2);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        }))
    }

    fn say(&self, words: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(words.as_bytes(), address)
        {
            tracing::debug!(%error, words, "the service manager was not told");
        }
    }
}

/// The beats of a watchdog.
#[derive(Debug)]
pub struct SignsOfLife(Option<Interval>);

impl SignsOfLife {
    /// Done when the next one is due; never without a watchdog. May be dropped and called again.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(beats) => {
                beats.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut datagram = [0; 200];
        let got = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..got].to_vec()).unwrap()
    }

    #[test]
    fn words_reach_sockets_in_folders_and_in_the_abstract() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("souk-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, said) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_name).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            let manager = ServiceManager::new(Some(said), None).unwrap();
            manager.ready();
            manager.status("round 1\nREADY=0");
            manager.stopping();
            assert_eq!(heard(&socket), "READY=1");
            assert_eq!(heard(&socket), "STATUS=round 1READY=0", "one line");
            assert_eq!(heard(&socket), "STOPPING=1");
        }
    }

    #[tokio::test]
    async fn signs_of_life_come_twice_as_often_as_they_must_and_never_without_a_watchdog() {
        let manager = ServiceManager::new(Some("@nobody".into()), Some(Duration::from_millis(40))).unwrap();
        let mut beats = manager.signs_of_life();
        let all = async {
            for _ in 0..3 {
                beats.due().await;
                manager.alive();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
        let mut never = ServiceManager::default().signs_of_life();
        let waited = tokio::time::timeout(Duration::from_millis(60), never.due()).await;
        assert!(waited.is_err());
    }
}

//! What leads to a coordinator: as the owner has set it, and as it was found lately.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::limits::UDP_AGAIN_SECS;

/// What a shop dials over.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportChoice {
    /// UDP, and TCP where nobody answers over UDP.
    #[default]
    Auto,
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
}

/// What led to coordinators lately, for a program that dials again.
#[derive(Debug, Default)]
pub struct Ways(Mutex<HashMap<SocketAddr, ByTcp>>);

/// TCP led there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ByTcp {
    port: u16,
    since: Timestamp,
}

impl Ways {
    /// Notes that TCP led to `remote` at `port`, where UDP did not.
    pub(super) fn note_tcp(&self, remote: SocketAddr, port: u16, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        // Tries that find the same do not put off the next one over UDP.
        let way = known.entry(remote).or_insert(ByTcp { port, since: now });
        way.port = port;
    }

    /// Forgets what is known of `remote`: it is looked at anew.
    pub(super) fn forget(&self, remote: SocketAddr) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&remote);
    }

    /// The TCP port that led to `remote`, for as long as UDP need not be tried again.
    pub(super) fn tcp_port(&self, remote: SocketAddr, now: Timestamp) -> Option<u16> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let way = known.get(&remote)?;
        // A clock set back must not keep UDP away.
        if now < way.since || now.since(way.since) >= UDP_AGAIN {
            known.remove(&remote);
            return None;
        }
        Some(way.port)
    }
}

const UDP_AGAIN: Duration = Duration::from_secs(UDP_AGAIN_SECS);
/// A program dials one coordinator, or a few in turn.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_remembered_for_a_while_and_then_udp_is_tried_again() {
        let (ways, remote) = (Ways::default(), SocketAddr::from(([192, 0, 2, 1], 4433)));
        let at = Timestamp::from_secs;
        assert_eq!(ways.tcp_port(remote, at(1000)), None);
        ways.note_tcp(remote, 443, at(1000));
        assert_eq!(ways.tcp_port(remote, at(1599)), Some(443));
        ways.note_tcp(remote, 4433, at(1599));
        assert_eq!(
            ways.tcp_port(remote, at(1600)),
            None,
            "ten minutes after the first"
        );
        ways.note_tcp(remote, 4433, at(2000));
        assert_eq!(ways.tcp_port(remote, at(1999)), None, "the clock was set back");
        ways.note_tcp(remote, 4433, at(2000));
        ways.forget(remote);
        assert_eq!(ways.tcp_port(remote, at(2000)), None);
        for host in 0..=255 {
            ways.note_tcp(([10, 0, 0, host], 1).into(), 1, at(2000));
        }
        assert!(ways.0.lock().unwrap().len() <= MOST);
    }
}

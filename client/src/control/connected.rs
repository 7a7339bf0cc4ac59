//! What carries the connection of a running program, for whoever asks.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::transport::{Carrier, TransportChoice, Way};

/// The newest connection to the coordinator.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Connected {
    /// What carries it.
    pub carrier: Carrier,
    /// Where the coordinator's end is.
    pub remote: SocketAddr,
    /// Since when connections have been carried so.
    pub since: Timestamp,
    /// Whether TCP took UDP's place by itself.
    pub fell_back: bool,
}

/// Notes connections, and says whether something has changed.
#[derive(Debug, Default)]
pub struct NotedConnection(Mutex<Option<Connected>>);

impl NotedConnection {
    /// The newest.
    pub fn get(&self) -> Option<Connected> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a new connection; what the owner has to hear of it.
    pub(crate) fn note(&self, way: Way, choice: TransportChoice, now: Timestamp) -> Option<String> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = noted.filter(|before| before.carrier == way.carrier);
        let connected = Connected {
            carrier: way.carrier,
            remote: way.remote,
            since: same.map_or(now, |before| before.since),
            fell_back: way.carrier == Carrier::Tcp && choice == TransportChoice::Auto,
        };
        let before = noted.replace(connected);
        match (before.map(|before| before.carrier), way.carrier) {
            (None | Some(Carrier::Udp), Carrier::Tcp) if connected.fell_back => Some(format!(
                "connected over TCP, port {}: nothing gets through from here over UDP. All works, a broken line costs some seconds \
                 more; UDP is tried again from time to time (`souk-client doctor` says more)",
                way.remote.port()
            )),
            (Some(Carrier::Tcp), Carrier::Udp) => Some("connected over UDP again".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_hears_when_tcp_takes_udps_place_and_when_it_gives_it_back() {
        let noted = NotedConnection::default();
        let way = |carrier| Way {
            carrier,
            remote: ([192, 0, 2, 1], 443).into(),
        };
        let note = |carrier, choice, secs| noted.note(way(carrier), choice, Timestamp::from_secs(secs));
        use TransportChoice::{Auto, Tcp};
        assert_eq!(note(Carrier::Udp, Auto, 1), None);
        let told = note(Carrier::Tcp, Auto, 2).unwrap();
        assert!(told.contains("over TCP, port 443"), "{told}");
        assert_eq!(note(Carrier::Tcp, Auto, 3), None, "told already");
        let now = noted.get().unwrap();
        assert!(now.fell_back && now.since == Timestamp::from_secs(2));
        assert!(note(Carrier::Udp, Auto, 4).unwrap().contains("UDP again"));
        assert_eq!(note(Carrier::Tcp, Tcp, 5), None, "as the owner set it");
        assert!(!noted.get().unwrap().fell_back);
    }
}

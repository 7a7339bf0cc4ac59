//! What peers may make the coordinator hold and do, and the memory that follows from it.
//!
//! `docs/limits.md` has the table with worked numbers; [`Limits::memory`] is the formula.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use souk_common::limits::{
    BYTES_PER_SEC_PER_SHOP, CHUNK_BYTES, CONNECTION_STATE_BYTES, CONNECTION_WINDOW_BYTES, CONNECTIONS,
    CONNECTIONS_PER_SEC_PER_SHOP, CONNECTIONS_PER_SHOP, HANDSHAKES_PER_SEC, HANDSHAKES_PER_SEC_PER_ADDRESS,
    INCOMING_BYTES, LEAST_BYTES_PER_SEC, MAX_CONNECTIONS, MAX_INCOMING, MAX_REQUEST_BYTES, MAX_STREAMS,
    PROGRAM_BYTES, PUSH_BYTES, REQUESTS_PER_SEC_PER_SHOP, SLOW_SECS, STRANGERS, STREAM_SLACK_BYTES,
    TUNNEL_ARRIVALS, TUNNEL_DATAGRAM_BYTES, TUNNEL_QUEUE_BYTES, TUNNEL_STATE_BYTES, TUNNELS,
    TUNNELS_PER_ADDRESS, WINDOW_TENTHS,
};
use souk_common::transport::{DoorRules, Rate};

/// `[limits]` of `coordinator.toml`. Rates may be saved up for ten seconds. The defaults are for two hundred shops, which may
/// all be behind one address.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory that updates on their way share; beyond it they wait in files. Default 32 MiB.
    pub staging_memory_bytes: u64,
    /// Updates on their way at once; others wait in the order in which they asked. Default 4.
    pub max_concurrent_uploads: usize,
    /// Models, plans and catalogues on their way to shops at once; others wait likewise. Default 4.
    pub max_concurrent_downloads: usize,
    /// Least bytes in a second of what is on its way. Whoever is slower makes way for a shop that waits, and goes on from
    /// there when it is its turn again. 0: everybody keeps its place. Default 32 KiB.
    pub least_bytes_per_sec: u64,
    /// Seconds that it may be slower than that, at its beginning too. Default 10.
    pub slow_secs: u64,
    /// Connections at once, 1 to 4096; what stands then is refused. Over half of it, peers must prove their address.
    /// Default 400.
    pub max_connections: usize,
    /// Connections at once of one shop; a newer one takes the oldest one's place. Default 4.
    pub max_connections_per_shop: usize,
    /// Connections at once of peers without a certificate: handshakes under way, and joiners. Default 128.
    pub max_strangers: usize,
    /// Handshakes in a second, of all peers. Default 100.
    pub handshakes_per_sec: u64,
    /// Handshakes in a second from one address (IPv6: /64); four times as many from one net (/24, /48). Default 20.
    pub handshakes_per_sec_per_address: u64,
    /// Tunnels over TCP at once. Default 256.
    pub max_tunnels: usize,
    /// Tunnels at once from one address (IPv6: /64). Default 64.
    pub max_tunnels_per_address: usize,
    /// New connections in a second of one shop; over that they are closed. Default 2.
    pub connections_per_sec_per_shop: u64,
    /// Requests in a second of one shop; over that they are answered later. Default 50.
    pub requests_per_sec_per_shop: u64,
    /// Bytes of updates and blobs in a second of one shop, both ways together; over that they flow slower. Default 64 MiB.
    pub bytes_per_sec_per_shop: u64,
    /// Bytes of pushes that wait for a shop that does not read; over that its connection is closed. Default 1 MiB.
    pub push_bytes: usize,
    /// Most bytes of files that one run of `serve` writes; absent: what the disk holds.
    pub store_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            staging_memory_bytes: 32 << 20,
            max_concurrent_uploads: 4,
            max_concurrent_downloads: 4,
            least_bytes_per_sec: LEAST_BYTES_PER_SEC,
            slow_secs: SLOW_SECS,
            max_connections: CONNECTIONS,
            max_connections_per_shop: CONNECTIONS_PER_SHOP,
            max_strangers: STRANGERS,
            handshakes_per_sec: HANDSHAKES_PER_SEC,
            handshakes_per_sec_per_address: HANDSHAKES_PER_SEC_PER_ADDRESS,
            max_tunnels: TUNNELS,
            max_tunnels_per_address: TUNNELS_PER_ADDRESS,
            connections_per_sec_per_shop: CONNECTIONS_PER_SEC_PER_SHOP,
            requests_per_sec_per_shop: REQUESTS_PER_SEC_PER_SHOP,
            bytes_per_sec_per_shop: BYTES_PER_SEC_PER_SHOP,
            push_bytes: PUSH_BYTES,
            store_bytes: None,
        }
    }
}

/// One kind of buffer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Share {
    /// What it holds.
    pub what: Cow<'static, str>,
    /// How many there are at most.
    pub count: u64,
    /// How large each is at most.
    pub bytes: u64,
}

/// The most memory that a coordinator takes, whatever its peers do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemoryBound {
    /// Of all parts.
    pub total_bytes: u64,
    /// What it is made of.
    pub parts: Vec<Share>,
}

impl Limits {
    /// A value that makes no sense: its key, and what it may be.
    pub(crate) fn misfit(&self) -> Option<(&'static str, String, &'static str)> {
        let least_one = "at least 1";
        let counts = [
            ("max_concurrent_uploads", self.max_concurrent_uploads as u64),
            ("max_concurrent_downloads", self.max_concurrent_downloads as u64),
            ("slow_secs", self.slow_secs),
            ("max_connections", self.max_connections as u64),
            ("max_connections_per_shop", self.max_connections_per_shop as u64),
            ("max_strangers", self.max_strangers as u64),
            ("handshakes_per_sec", self.handshakes_per_sec),
            (
                "handshakes_per_sec_per_address",
                self.handshakes_per_sec_per_address,
            ),
            ("max_tunnels", self.max_tunnels as u64),
            ("max_tunnels_per_address", self.max_tunnels_per_address as u64),
            ("connections_per_sec_per_shop", self.connections_per_sec_per_shop),
            ("requests_per_sec_per_shop", self.requests_per_sec_per_shop),
            ("bytes_per_sec_per_shop", self.bytes_per_sec_per_shop),
            ("push_bytes", self.push_bytes as u64),
        ];
        let none = counts.into_iter().find(|(_, value)| *value == 0);
        let none = none.map(|(key, value)| (key, value.to_string(), least_one));
        let counts = [
            ("max_connections", self.max_connections),
            ("max_tunnels", self.max_tunnels),
        ];
        let most = counts.into_iter().find(|(_, value)| *value > MAX_CONNECTIONS);
        none.or(most.map(|(key, value)| (key, value.to_string(), "at most 4096")))
    }

    /// Who is let in.
    pub fn door(&self) -> DoorRules {
        DoorRules {
            max_connections: self.max_connections,
            handshakes: Rate::per_sec(self.handshakes_per_sec),
            per_address: Rate::per_sec(self.handshakes_per_sec_per_address),
        }
    }

    /// The most memory that it takes to serve a model whose file has `model_bytes` to `shops` shops.
    pub fn memory(&self, model_bytes: u64, shops: u64) -> MemoryBound {
        let connections = self.max_connections as u64;
        let streams = connections * u64::from(MAX_STREAMS);
        let window = u64::from(CONNECTION_WINDOW_BYTES);
        let transfers = self.max_concurrent_uploads as u64 + self.max_concurrent_downloads as u64;
        let part = |what: &'static str, count, bytes| Share {
            what: what.into(),
            count,
            bytes,
        };
        let parts = vec![
            part("the program itself", 1, PROGRAM_BYTES),
            part("models, sums and optimiser", MODELS, model_bytes),
            part(
                "a masked attempt's shares",
                shops * shops.min(HOLDERS),
                SHARE_BYTES,
            ),
            part("updates on their way, shared", 1, self.staging_memory_bytes),
            part("pieces on their way", transfers, 2 * CHUNK_BYTES as u64),
            part("state of a connection", connections, CONNECTION_STATE_BYTES),
            part(
                "what it sent and nobody read yet",
                connections,
                window * WINDOW_TENTHS / 10,
            ),
            part("what it was sent and has not read", connections, window),
            part("pushes that wait for it", connections, self.push_bytes as u64),
            part(
                "requests on their way",
                streams,
                2 * MAX_REQUEST_BYTES as u64 + STREAM_SLACK_BYTES,
            ),
            part(
                "what waits for a tunnel",
                self.max_tunnels as u64,
                TUNNEL_QUEUE_BYTES as u64,
            ),
            part("state of a tunnel", self.max_tunnels as u64, TUNNEL_STATE_BYTES),
            part(
                "what came through tunnels",
                TUNNEL_ARRIVALS as u64,
                TUNNEL_DATAGRAM_BYTES.into(),
            ),
            part("peers that knock", MAX_INCOMING as u64, INCOMING_BYTES),
        ];
        let total_bytes = parts.iter().map(|part| part.count * part.bytes).sum();
        MemoryBound { total_bytes, parts }
    }
}

/// The broadcast model, its successor, the sum (of 8 bytes) and Adam's two moments: `souk-sim bench --only memory` holds it.
const MODELS: u64 = 5;
/// Most shops that hold shares of one shop's secrets, and what one share takes in memory and on its way to disk.
const HOLDERS: u64 = 255;
const SHARE_BYTES: u64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_bound_is_the_one_that_is_computed() {
        let page = include_str!("../../docs/limits.md");
        let bound = Limits::default().memory(40_000_000, 200);
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        for part in &bound.parts {
            let row = format!("| {} | {} | {} |", part.what, part.count, part.bytes);
            assert!(page.contains(&row), "docs/limits.md lacks {row}");
        }
        let total = format!("{} MiB", mib(bound.total_bytes));
        assert!(page.contains(&total), "docs/limits.md lacks {total}");
    }

    #[test]
    fn every_limit_makes_the_bound_larger_or_leaves_it() {
        let base = Limits::default();
        let of = |limits: &Limits| limits.memory(1 << 20, 10).total_bytes;
        let larger = Limits {
            max_connections: base.max_connections + 1,
            ..base.clone()
        };
        let each = of(&larger) - of(&base);
        assert!(each > 4 << 20 && each < 6 << 20, "{each} bytes a connection");
        let larger = Limits {
            push_bytes: base.push_bytes + 1,
            ..base.clone()
        };
        assert_eq!(of(&larger) - of(&base), base.max_connections as u64);
    }

    #[test]
    fn values_that_would_serve_nobody_are_refused() {
        assert_eq!(Limits::default().misfit(), None);
        let none = Limits {
            max_strangers: 0,
            ..Limits::default()
        };
        assert_eq!(none.misfit().map(|(key, ..)| key), Some("max_strangers"));
        let many = Limits {
            max_connections: MAX_CONNECTIONS + 1,
            ..Limits::default()
        };
        assert_eq!(many.misfit().map(|(key, ..)| key), Some("max_connections"));
        let many = Limits {
            max_tunnels: MAX_CONNECTIONS + 1,
            ..Limits::default()
        };
        assert_eq!(many.misfit().map(|(key, ..)| key), Some("max_tunnels"));
        let patient = Limits {
            least_bytes_per_sec: 0,
            ..Limits::default()
        };
        assert_eq!(patient.misfit(), None);
    }
}

//! Where shops come in that have no UDP: listeners for tunnels, whose connections are served as all others.

use std::net::SocketAddr;

use souk_common::transport::{Identity, Platform, ResetKey, TransportError, TunnelRules, TunnelServer};

use crate::folder::Config;

/// Where else the coordinator listens, beside UDP.
#[derive(Default)]
pub(super) struct Tunnels {
    pub(super) server: Option<TunnelServer>,
    /// What the operator has to know of it.
    pub(super) said: Option<String>,
}

/// Listens where `coordinator.toml` says, or else at UDP's address. That one may be taken: without it the coordinator serves all
/// who have UDP, and says what is missing.
pub(super) fn listen(
    platform: &Platform,
    config: &Config,
    udp: SocketAddr,
    identity: &Identity,
    ca: &[u8],
    resets: ResetKey,
) -> Result<Tunnels, TransportError> {
    let addresses = config.tcp_or(udp);
    if addresses.is_empty() {
        return Ok(Tunnels::default());
    }
    let rules = TunnelRules {
        most: config.limits.max_tunnels,
        per_address: config.limits.max_tunnels_per_address,
        door: config.limits.door(),
    };
    match TunnelServer::bind(platform, &addresses, identity, ca, resets, rules) {
        Ok(server) => {
            let listening: Vec<String> = server.listening().iter().map(ToString::to_string).collect();
            Ok(Tunnels {
                said: Some(format!(
                    "shops without UDP come in over TCP at {}",
                    listening.join(", ")
                )),
                server: Some(server),
            })
        }
        Err(error) if config.tcp.is_none() => Ok(Tunnels {
            server: None,
            said: Some(format!(
                "shops without UDP can't come in: {error}; or set `tcp` in coordinator.toml to other addresses, or to [] if all \
                 shops have UDP"
            )),
        }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::clock::{Clock, SystemClock};
    use souk_common::crypto::pki::Authority;

    fn config(tcp: &str) -> Config {
        toml::from_str(&format!("name = \"a\"\naddress = \"a:1\"\n{tcp}")).unwrap()
    }

    #[tokio::test]
    async fn a_taken_port_is_told_and_ends_serve_only_where_it_was_asked_for() {
        let authority = Authority::create("a", SystemClock.now()).unwrap();
        let (leaf, key) = authority.issue_coordinator(SystemClock.now()).unwrap();
        let identity = Identity {
            chain: vec![leaf],
            key,
        };
        let platform = Platform::system();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let begin = |config: &Config| {
            let resets = ResetKey::derive(b"a");
            listen(
                &platform,
                config,
                address,
                &identity,
                authority.certificate(),
                resets,
            )
        };
        let told = begin(&config("")).unwrap();
        let said = told.said.unwrap();
        assert!(
            told.server.is_none() && said.contains(&format!("TCP {address} is taken")),
            "{said}"
        );
        assert!(said.contains("`tcp` in coordinator.toml"), "{said}");
        let error = begin(&config(&format!("tcp = [\"{address}\"]"))).err().unwrap();
        assert!(matches!(error, TransportError::Taken { .. }), "{error}");
        let off = begin(&config("tcp = []")).unwrap();
        assert!(off.server.is_none() && off.said.is_none());
        let elsewhere = begin(&config("tcp = [\"127.0.0.1:0\", \"127.0.0.2:0\"]")).unwrap();
        let server = elsewhere.server.unwrap();
        let said = elsewhere.said.unwrap();
        assert!(
            server.listening().len() == 2 && said.contains("over TCP at 127.0.0.1:"),
            "{said}"
        );
    }
}

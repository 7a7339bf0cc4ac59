//! What carries QUIC's datagrams.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What carries a connection's datagrams.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// UDP, one by one.
    #[default]
    Udp,
    /// A tunnel over TCP (`transport::tunnel`).
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

//! Why nobody answers, as far as that can be told from here: what the network says to a datagram, and what the host says to TCP.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};

use crate::health::Finding;

/// What came back to a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UdpAnswer {
    /// Some QUIC program says that it speaks another version.
    Answered,
    /// The host says that nobody listens at the port.
    Refused,
    /// This machine or a router knows no way there.
    NoWay,
    /// This machine does not let it out.
    Forbidden,
    /// Nothing.
    Silence,
}

/// What the host said to TCP at the same port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TcpAnswer {
    /// The host is up: it took the connection, or refused it at once.
    Up,
    /// No way there.
    NoWay,
    /// Nothing.
    Silence,
}

/// Sends one datagram of which any QUIC server says at once that it is of a version that it does not know.
pub(super) async fn udp(remote: SocketAddr, patience: Duration) -> UdpAnswer {
    let asked = async {
        let any: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        // Only a connected socket hears what routers and hosts say.
        socket.connect(remote).await?;
        socket.send(&of_unknown_version()).await?;
        socket.recv(&mut [0; 1500]).await
    };
    match tokio::time::timeout(patience, asked).await {
        Err(_) => UdpAnswer::Silence,
        Ok(answered) => udp_answer(answered),
    }
}

fn udp_answer(answered: io::Result<usize>) -> UdpAnswer {
    match answered.map_err(|error| error.kind()) {
        Ok(_) => UdpAnswer::Answered,
        Err(ErrorKind::ConnectionRefused) => UdpAnswer::Refused,
        Err(ErrorKind::PermissionDenied) => UdpAnswer::Forbidden,
        Err(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable) => {
            UdpAnswer::NoWay
        }
        Err(_) => UdpAnswer::Silence,
    }
}

/// A QUIC packet with a long header (RFC 8999) of a version that is set aside for this (RFC 9000, section 15).
fn of_unknown_version() -> Vec<u8> {
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    packet.extend([0x5a; 8]);
    packet.push(8);
    packet.extend([0xa5; 8]);
    // Shorter ones are dropped.
    packet.resize(1200, 0);
    packet
}

/// Whether the host is up, by what it says to TCP; what listens there does not matter.
pub(super) async fn tcp(remote: SocketAddr, patience: Duration) -> TcpAnswer {
    let Ok(answered) = tokio::time::timeout(patience, TcpStream::connect(remote)).await else {
        return TcpAnswer::Silence;
    };
    match answered.map_err(|error| error.kind()) {
        Ok(_) | Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => TcpAnswer::Up,
        Err(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable) => {
            TcpAnswer::NoWay
        }
        Err(_) => TcpAnswer::Silence,
    }
}

/// What both mean for a coordinator that does not answer, and what to do.
pub(super) fn explain(at: &str, port: u16, udp: UdpAnswer, tcp: TcpAnswer) -> Finding {
    let ask = "ask the operator whether `souk-coordinator serve` is up there, and whether other shops are connected";
    Finding::bad(match (udp, tcp) {
        (UdpAnswer::Answered, _) => format!(
            "{at} answers a first datagram over UDP, but no connection came about in time: the way is open and slow, or loses large \
             datagrams (a VPN with a small MTU), or the program there is busy or none of Souk's: try again, then {ask}"
        ),
        (UdpAnswer::Refused, _) => format!(
            "{at} is up and says that nobody listens at UDP port {port}: the coordinator is down, or its port is another ({ask}), or a \
             firewall says so in its place"
        ),
        (UdpAnswer::Forbidden, _) => format!(
            "this machine does not let UDP out to {at}: allow outgoing UDP to port {port} in its firewall"
        ),
        (UdpAnswer::NoWay, _) | (UdpAnswer::Silence, TcpAnswer::NoWay) => format!(
            "no way leads from here to {at}: is this machine in the network, or does it lack IPv6 or a VPN that it needs?"
        ),
        (UdpAnswer::Silence, TcpAnswer::Up) => format!(
            "{at} is up, as it answers over TCP at once, but nothing comes back over UDP: either a firewall on the way, here or \
             there, drops UDP to port {port}, or the coordinator is down behind one. Allow outgoing UDP to port {port} here; {ask}: if \
             they are, it is the firewall"
        ),
        (UdpAnswer::Silence, TcpAnswer::Silence) => format!(
            "nothing comes back from {at}, neither over UDP nor over TCP: the host is down, the address is another's, or a firewall \
             drops both. Does this machine reach other hosts? Then {ask}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use souk_common::clock::{Clock, SystemClock};
    use souk_common::crypto::pki::Authority;
    use souk_common::transport::{Identity, ResetKey, server_endpoint};

    const SOON: Duration = Duration::from_millis(100);
    /// For what comes at once, on a machine that has much else to do.
    const AT_LAST: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_port_at_which_nobody_listens_one_that_is_silent_and_one_that_answers_are_told_apart() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(udp(silent.local_addr().unwrap(), SOON).await, UdpAnswer::Silence);
        let answering = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = answering.local_addr().unwrap();
        let answers = async {
            let mut packet = [0; 1500];
            let (length, from) = answering.recv_from(&mut packet).await.unwrap();
            assert!(
                length == 1200 && packet[0] & 0x80 != 0,
                "whole, with a long header"
            );
            answering.send_to(b"!", from).await.unwrap();
        };
        assert_eq!(
            tokio::join!(udp(address, AT_LAST), answers).0,
            UdpAnswer::Answered
        );
        // Another program may take a port that was just given up.
        let mut answers = Vec::new();
        for _ in 0..5 {
            let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = closed.local_addr().unwrap();
            drop(closed);
            answers.push(udp(address, AT_LAST).await);
            if answers.last() == Some(&UdpAnswer::Refused) {
                return;
            }
        }
        panic!("{answers:?}");
    }

    #[tokio::test]
    async fn a_coordinators_socket_answers_what_it_does_not_understand() {
        let now = SystemClock.now();
        let authority = Authority::create("test", now).unwrap();
        let (certificate, key) = authority.issue_coordinator(now).unwrap();
        let identity = Identity {
            chain: vec![certificate],
            key,
        };
        let resets = ResetKey::derive(b"test");
        let endpoint = server_endpoint(
            "127.0.0.1:0".parse().unwrap(),
            identity,
            authority.certificate(),
            resets,
        )
        .unwrap();
        assert_eq!(
            udp(endpoint.local_addr().unwrap(), AT_LAST).await,
            UdpAnswer::Answered
        );
    }

    #[tokio::test]
    async fn a_host_is_up_that_takes_or_refuses_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(tcp(address, AT_LAST).await, TcpAnswer::Up);
        drop(listener);
        assert_eq!(tcp(address, AT_LAST).await, TcpAnswer::Up);
    }

    #[test]
    fn what_the_system_says_is_understood() {
        for (kind, answer) in [
            (ErrorKind::ConnectionRefused, UdpAnswer::Refused),
            (ErrorKind::HostUnreachable, UdpAnswer::NoWay),
            (ErrorKind::NetworkUnreachable, UdpAnswer::NoWay),
            (ErrorKind::PermissionDenied, UdpAnswer::Forbidden),
            (ErrorKind::Other, UdpAnswer::Silence),
        ] {
            assert_eq!(udp_answer(Err(kind.into())), answer, "{kind}");
        }
    }

    #[test]
    fn each_pair_of_answers_says_what_it_means_and_what_to_do() {
        use TcpAnswer as Tcp;
        use UdpAnswer as Udp;
        for (udp, tcp, means, remedy) in [
            (
                Udp::Refused,
                Tcp::Up,
                "nobody listens at UDP port 4433",
                "ask the operator",
            ),
            (
                Udp::Refused,
                Tcp::Silence,
                "the coordinator is down",
                "ask the operator",
            ),
            (
                Udp::Silence,
                Tcp::Up,
                "nothing comes back over UDP",
                "Allow outgoing UDP to port 4433",
            ),
            (
                Udp::Silence,
                Tcp::Silence,
                "neither over UDP nor over TCP",
                "ask the operator",
            ),
            (Udp::Silence, Tcp::NoWay, "no way leads", "IPv6"),
            (Udp::NoWay, Tcp::Silence, "no way leads", "VPN"),
            (Udp::Forbidden, Tcp::Up, "does not let UDP out", "its firewall"),
            (Udp::Answered, Tcp::Silence, "the way is open", "try again"),
        ] {
            let found = explain("souk.example:4433", 4433, udp, tcp);
            for said in ["souk.example:4433", means, remedy] {
                assert!(
                    found.text.contains(said),
                    "{udp:?} {tcp:?} {said}: {}",
                    found.text
                );
            }
        }
    }
}

//! QUIC where UDP does not get through: its datagrams, each with its length, in one TLS connection over TCP.
//!
//! The connection inside is the same as over UDP, with the same certificates, frames and limits; a tunnel is one more kind of
//! socket for it. A tunnel that breaks is made again under the connection, which then moves there as to any new address
//! (RFC 9000, section 9). ADR 0028 says why.
//!
//! | module | what |
//! |---|---|
//! | `queue` | what waits for a tunnel, within a bound |
//! | `carry` | datagrams over one stream, both ways |
//! | `outer` | the TLS around it, and what else answers |
//! | `shop` | the end that dials |
//! | `coordinator` | the end that listens |
//! | `error` | why there is none |

mod carry;
mod coordinator;
mod error;
mod outer;
mod queue;
mod shop;
#[cfg(test)]
mod tests;

use std::io::{self, IoSliceMut};
use std::task::{Context, Poll, ready};

use quinn::udp::RecvMeta;
use tokio::sync::mpsc;

use carry::Arrived;
pub use coordinator::{TunnelRules, TunnelServer};
pub(super) use error::TunnelError;
pub(super) use shop::{Tunnelled, open};

/// Takes as many datagrams as have come and there are buffers for; none: the endpoint has no tunnels any more, and waits.
fn receive(
    arrivals: &mut mpsc::Receiver<Arrived>,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
    meta: &mut [RecvMeta],
) -> Poll<io::Result<usize>> {
    let mut slots = bufs.iter_mut().zip(meta);
    let Some((buffer, meta)) = slots.next() else {
        return Poll::Ready(Ok(0));
    };
    let Some(first) = ready!(arrivals.poll_recv(cx)) else {
        return Poll::Pending;
    };
    first.hand_over(buffer, meta);
    let mut count = 1;
    for (buffer, meta) in slots {
        let Ok(next) = arrivals.try_recv() else { break };
        next.hand_over(buffer, meta);
        count += 1;
    }
    Poll::Ready(Ok(count))
}

/// Of the TLS around tunnels: whoever looks sees it, as they see addresses and sizes.
const ALPN: &[u8] = b"souk-tunnel/1";

//! Carries datagrams over one stream, both ways, until it breaks, stalls, or says what is no datagram.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quinn::udp::RecvMeta;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::queue::{LENGTH_BYTES, Outgoing};
use crate::limits::{TUNNEL_DATAGRAM_BYTES, TUNNEL_STALL_SECS};

/// A datagram that came through a tunnel.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Arrived {
    /// Puts it where QUIC reads.
    pub(super) fn hand_over(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        // Never longer: the endpoint's buffers are for the largest.
        let len = self.bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.bytes[..len]);
        *meta = RecvMeta {
            addr: self.from,
            len,
            stride: len,
            ..RecvMeta::default()
        };
    }
}

/// How long a tunnel may be silent: before its first datagram, and between two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) first: Duration,
    pub(super) later: Duration,
}

/// Why a stream carries nothing any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// There is nothing more to carry.
    Done,
    /// The other end closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
    /// No datagram came for so long.
    Silent(Duration),
    /// Nothing of what waits went into it.
    Stalled,
    /// What came is no datagram: its length.
    BadLength(usize),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("there is nothing more to carry"),
            Self::Closed => f.write_str("the other end closed it"),
            Self::Broken(error) => write!(f, "{error}"),
            Self::Silent(limit) => write!(f, "nothing came through it for {limit:?}"),
            Self::Stalled => write!(f, "nothing went into it for {STALL:?}"),
            Self::BadLength(length) => write!(
                f,
                "a datagram of {length} bytes was announced; they have 1 to {TUNNEL_DATAGRAM_BYTES}"
            ),
        }
    }
}

/// Carries what waits in `outgoing` to the peer, and what comes from it to `arrivals` as `from`'s; while nobody takes that,
/// nothing more is read.
pub(super) async fn carry(
    stream: impl AsyncRead + AsyncWrite,
    outgoing: &Outgoing,
    (from, arrivals): (SocketAddr, &mpsc::Sender<Arrived>),
    patience: Patience,
) -> Ended {
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        ended = read(reader, from, arrivals, patience) => ended,
        ended = write(writer, outgoing) => ended,
    }
}

async fn read(
    mut reader: impl AsyncRead + Unpin,
    from: SocketAddr,
    arrivals: &mpsc::Sender<Arrived>,
    patience: Patience,
) -> Ended {
    let mut buffer = vec![0; 2 * (LENGTH_BYTES + TUNNEL_DATAGRAM_BYTES as usize)];
    let (mut filled, mut limit) = (0, patience.first);
    let mut due = Instant::now() + limit;
    loop {
        // A whole datagram is due by then: bytes that trickle in are none.
        match timeout_at(due, reader.read(&mut buffer[filled..])).await {
            Err(_) => return Ended::Silent(limit),
            Ok(Ok(0)) => return Ended::Closed,
            Ok(Ok(read)) => filled += read,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ended::Closed,
            Ok(Err(error)) => return Ended::Broken(error),
        }
        let mut at = 0;
        while let Some((length, rest)) = buffer[at..filled].split_first_chunk::<LENGTH_BYTES>() {
            let length = usize::from(u16::from_le_bytes(*length));
            if !(1..=usize::from(TUNNEL_DATAGRAM_BYTES)).contains(&length) {
                return Ended::BadLength(length);
            }
            let Some(datagram) = rest.get(..length) else { break };
            let bytes = datagram.to_vec();
            at += LENGTH_BYTES + length;
            if arrivals.send(Arrived { from, bytes }).await.is_err() {
                return Ended::Done;
            }
        }
        if at > 0 {
            buffer.copy_within(at..filled, 0);
            filled -= at;
            limit = patience.later;
            due = Instant::now() + limit;
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, outgoing: &Outgoing) -> Ended {
    let written = async {
        while let Some(chunk) = outgoing.next().await {
            let mut next = Some(chunk);
            while let Some(chunk) = next {
                let mut rest = chunk.as_slice();
                while !rest.is_empty() {
                    let wrote = timeout(STALL, writer.write(rest)).await??;
                    rest = rest.get(wrote..).unwrap_or_default();
                }
                next = outgoing.try_next();
            }
            timeout(STALL, writer.flush()).await??;
        }
        timeout(STALL, writer.shutdown()).await?
    };
    match written.await {
        Ok(()) => Ended::Done,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ended::Stalled,
        Err(error) => Ended::Broken(error),
    }
}

const STALL: Duration = Duration::from_secs(TUNNEL_STALL_SECS);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    const PATIENCE: Patience = Patience {
        first: Duration::from_secs(5),
        later: Duration::from_secs(9),
    };

    fn peer() -> SocketAddr {
        ([192, 0, 2, 1], 7).into()
    }

    /// What becomes of a tunnel whose peer does `act`, and the datagrams that came.
    async fn carried<F: Future<Output = DuplexStream>>(
        act: impl FnOnce(DuplexStream) -> F,
    ) -> (Ended, Vec<Vec<u8>>) {
        let (ours, theirs) = duplex(1 << 16);
        let (sender, mut arrivals) = mpsc::channel(100);
        let outgoing = Outgoing::new(1000);
        let carried = carry(ours, &outgoing, (peer(), &sender), PATIENCE);
        let (ended, _theirs) = tokio::join!(carried, act(theirs));
        let mut came = Vec::new();
        while let Ok(arrived) = arrivals.try_recv() {
            assert_eq!(arrived.from, peer());
            came.push(arrived.bytes);
        }
        (ended, came)
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_come_whole_however_they_are_cut_and_a_length_that_is_none_ends_it() {
        let largest = usize::from(TUNNEL_DATAGRAM_BYTES);
        let (ended, came) = carried(async |mut theirs| {
            let mut bytes = b"\x03\0abc\x01\0d".to_vec();
            bytes.extend(TUNNEL_DATAGRAM_BYTES.to_le_bytes());
            bytes.extend(vec![9; largest]);
            for piece in bytes.chunks(2) {
                theirs.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            theirs
                .write_all(&(TUNNEL_DATAGRAM_BYTES + 1).to_le_bytes())
                .await
                .unwrap();
            theirs
        })
        .await;
        assert!(
            matches!(ended, Ended::BadLength(length) if length == largest + 1),
            "{ended}"
        );
        assert_eq!(came, [b"abc".to_vec(), b"d".to_vec(), vec![9; largest]]);
        let (ended, came) = carried(async |mut theirs| {
            theirs.write_all(b"\x01\0d\0\0").await.unwrap();
            theirs
        })
        .await;
        assert!(matches!(ended, Ended::BadLength(0)), "{ended}");
        assert_eq!(came, [b"d"]);
        assert!(ended.to_string().contains("1 to 16000"), "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_no_datagram() {
        let begun = Instant::now();
        let (ended, came) = carried(async |mut theirs| {
            theirs.write_all(b"\x64\0").await.unwrap();
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                theirs.write_all(b"x").await.unwrap();
            }
            theirs
        })
        .await;
        assert!(
            matches!(ended, Ended::Silent(limit) if limit == PATIENCE.first),
            "{ended}"
        );
        assert_eq!((came.len(), begun.elapsed()), (0, PATIENCE.first));
        let begun = Instant::now();
        let (ended, came) = carried(async |mut theirs| {
            tokio::time::sleep(Duration::from_secs(4)).await;
            theirs.write_all(b"\x01\0x").await.unwrap();
            theirs
        })
        .await;
        assert!(
            matches!(ended, Ended::Silent(limit) if limit == PATIENCE.later),
            "{ended}"
        );
        assert_eq!((came.len(), begun.elapsed()), (1, Duration::from_secs(13)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_cut_and_one_that_goes_is_noticed() {
        let (ours, theirs) = duplex(16);
        let (sender, _arrivals) = mpsc::channel(1);
        let outgoing = Outgoing::new(1000);
        let contents = [7; 100];
        assert!(outgoing.put(&super::super::queue::transmit_of(&contents, None)));
        let patience = Patience {
            first: STALL * 2,
            later: STALL * 2,
        };
        let ended = carry(ours, &outgoing, (peer(), &sender), patience).await;
        assert!(matches!(ended, Ended::Stalled), "{ended}");
        drop(theirs);
        let (ended, came) = carried(async |theirs| {
            drop(theirs);
            duplex(1).0
        })
        .await;
        assert!(matches!(ended, Ended::Closed) && came.is_empty(), "{ended}");
    }
}

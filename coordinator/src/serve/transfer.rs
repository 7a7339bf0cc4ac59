//! Updates that come and blobs that go, piece by piece: each holds one of few places, and its shop's rate bounds it.

use std::io::{self, Read};
use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use souk_common::ids::{Digest, ShopName};
use souk_common::limits::CHUNK_BYTES;
use souk_common::round::statements::RejectCode;
use souk_common::transport::{FrameError, Framed};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::{ErrorCode, Reply};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::PATIENCE;
use super::quota::newest::Turn;
use super::quota::slots::{Lost, Place};
use super::state::ServeState;
use crate::engine::Staged;
use crate::session;
use crate::session::upload::{NotReceived, Offer, Receiving, UploadEnd};

/// A shop's connection, and what it may use.
pub(crate) struct Line<'a> {
    pub(crate) hub: &'a Arc<ServeState>,
    pub(crate) connection: &'a Connection,
    pub(crate) shop: &'a ShopName,
}

impl Line<'_> {
    /// Takes in the bytes that are not here yet.
    pub(crate) async fn receive(
        &self,
        offer: &Offer,
        turn: &Turn,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<Staged, NotReceived> {
        let place = tokio::select! {
            place = self.hub.uploads.take(self.shop) => place,
            () = turn.over.cancelled() => None,
            _ = self.connection.closed() => None,
        };
        let mut place = place.ok_or(NotReceived::Refused(RejectCode::StoreFailed))?;
        let (hub, of) = (Arc::clone(self.hub), offer.clone());
        let mut update = on_disk(move || hub.dialogue.receive(&of)).await?;
        if say(send, &update.from()).await.is_err() {
            return update.end(Some(UploadEnd::BrokeOff));
        }
        // Gathered into large pieces: a hash and a write for each datagram cost more than the copy.
        let mut piece = vec![0; CHUNK_BYTES];
        while update.left() > 0 {
            let left = usize::try_from(update.left()).unwrap_or(usize::MAX);
            let most = left.min(CHUNK_BYTES);
            let (filled, ended) = gather(receive, &mut piece[..most], turn, &mut place).await;
            (update, piece) = push(update, piece, filled).await?;
            if ended.is_some() {
                return update.end(ended);
            }
            self.pay(filled).await;
        }
        let whole = update.end(None)?;
        place.done();
        Ok(whole)
    }

    /// Sends what is kept under `digest`, from `offset` to its end.
    pub(crate) async fn blob(
        &self,
        digest: Digest,
        offset: u64,
        send: &mut SendStream,
    ) -> Result<(), FrameError> {
        let turn = self.hub.fetches.turn(self.shop).await;
        let files = Arc::clone(&self.hub.files);
        let Ok((file, len_bytes)) = on_disk(move || files.open_from(&digest, offset)).await else {
            return say(send, &session::no_such_blob()).await;
        };
        // Each connection holds a window of what it was sent: only so many at once.
        let place = tokio::select! {
            place = self.hub.downloads.take(self.shop) => place,
            () = turn.over.cancelled() => None,
            _ = self.connection.closed() => None,
        };
        let Some(mut place) = place else {
            return say(
                send,
                &session::failure(ErrorCode::Internal, "a newer request takes its place"),
            )
            .await;
        };
        say(send, &Reply::Blob { len_bytes }).await?;
        tokio::select! {
            sent = self.send_file(file, send, &mut place) => sent?,
            () = turn.over.cancelled() => return Err(io::Error::from(io::ErrorKind::Interrupted).into()),
        }
        // The window is given back only when the shop has it all.
        let _ = send.finish();
        let arrived = tokio::select! {
            arrived = place.wait(send.stopped()) => matches!(arrived, Ok(Ok(None))),
            () = turn.over.cancelled() => false,
        };
        // If not, nothing more can be done for it.
        if arrived {
            place.done();
        }
        Ok(())
    }

    /// Writes what is left of `file` to a peer that reads, however slowly while nobody waits.
    async fn send_file(
        &self,
        mut file: impl Read + Send + 'static,
        to: &mut (impl AsyncWrite + Unpin),
        place: &mut Place<'_>,
    ) -> io::Result<()> {
        let mut piece = vec![0; CHUNK_BYTES];
        loop {
            let read = on_disk(move || {
                let read = file.read(&mut piece)?;
                Ok((file, piece, read))
            });
            let read_bytes;
            (file, piece, read_bytes) = read.await?;
            if read_bytes == 0 {
                return Ok(());
            }
            write_piece(&piece[..read_bytes], to, place).await?;
            self.pay(read_bytes).await;
        }
    }

    /// Waits until the shop may move more.
    async fn pay(&self, bytes: usize) {
        let wait = self.hub.meters.bytes(self.hub.now(), self.shop, bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

async fn write_piece(
    mut left: &[u8],
    to: &mut (impl AsyncWrite + Unpin),
    place: &mut Place<'_>,
) -> io::Result<()> {
    while !left.is_empty() {
        match place.wait(to.write(left)).await.map_err(give_up)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                place.moved(written);
                left = &left[written..];
            }
        }
    }
    Ok(())
}

fn give_up(lost: Lost) -> io::Error {
    let words = match lost {
        Lost::Silent => "the peer does not read",
        Lost::Slow => "the peer reads too slowly while others wait",
    };
    io::Error::new(io::ErrorKind::TimedOut, words)
}

/// Adds what came; in memory at once, else where waiting for the disk holds up nobody.
async fn push(mut update: Receiving, piece: Vec<u8>, filled: usize) -> io::Result<(Receiving, Vec<u8>)> {
    if update.is_in_memory() {
        update.push(&piece[..filled])?;
        return Ok((update, piece));
    }
    on_disk(move || {
        update.push(&piece[..filled])?;
        Ok((update, piece))
    })
    .await
}

/// Lets `act` wait for the disk, beside the connections.
async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}

/// Fills `piece` with what arrives; how much, and why it ended before that was all.
async fn gather(
    receive: &mut RecvStream,
    piece: &mut [u8],
    turn: &Turn,
    place: &mut Place<'_>,
) -> (usize, Option<UploadEnd>) {
    let mut filled = 0;
    while filled < piece.len() {
        let read = tokio::select! {
            biased;
            read = place.wait(receive.read(&mut piece[filled..])) => read,
            () = turn.over.cancelled() => return (filled, Some(UploadEnd::BrokeOff)),
        };
        match read {
            Ok(Ok(Some(read))) => {
                place.moved(read);
                filled += read;
            }
            Ok(Ok(None)) => return (filled, Some(UploadEnd::TooShort)),
            Ok(Err(_)) | Err(Lost::Silent) => return (filled, Some(UploadEnd::BrokeOff)),
            Err(Lost::Slow) => return (filled, Some(UploadEnd::TooSlow)),
        }
    }
    (filled, None)
}

/// Writes a frame to a peer that reads; one that does not is given up.
pub(super) async fn say<T: Framed>(send: &mut SendStream, message: &T) -> Result<(), FrameError> {
    say_frame(send, &to_bytes(message)?).await
}

/// As [`say`], of a frame that is encoded already.
pub(super) async fn say_frame(send: &mut SendStream, frame: &[u8]) -> Result<(), FrameError> {
    let written = tokio::time::timeout(PATIENCE, send.write_all(frame)).await;
    match written {
        Ok(written) => Ok(written.map_err(io::Error::from)?),
        Err(_) => Err(stalled().into()),
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::serve::quota::slots::{Pace, Places};

    #[tokio::test]
    async fn a_reader_that_stalls_is_given_up_and_a_slow_one_is_not_while_nobody_waits() {
        let pace = Pace {
            least_bytes_per_sec: u64::MAX,
            grace: Duration::from_millis(100),
            patience: Duration::from_secs(2),
        };
        let places = Places::new(1, pace);
        let mut place = places.take(&"north".parse().unwrap()).await.unwrap();
        let (mut ours, theirs) = tokio::io::duplex(1000);
        let stalled = write_piece(&[7; CHUNK_BYTES], &mut ours, &mut place).await;
        assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        let (mut ours, mut theirs) = tokio::io::duplex(CHUNK_BYTES / 8);
        let slow = tokio::spawn(async move {
            let (mut read, mut piece) = (0, vec![0; CHUNK_BYTES]);
            while read < CHUNK_BYTES {
                tokio::time::sleep(pace.patience / 5).await;
                read += tokio::io::AsyncReadExt::read(&mut theirs, &mut piece)
                    .await
                    .unwrap();
            }
        });
        // 8 pieces take longer than the patience, each of them less.
        write_piece(&[7; CHUNK_BYTES], &mut ours, &mut place)
            .await
            .unwrap();
        slow.await.unwrap();
    }
}

//! One exchange over a stream: its request, its replies, and the bytes of a blob or an update.
//!
//! Files are read and written in small pieces between the awaits.

use std::io::Read;

use anyhow::{Context, ensure};
use quinn::{RecvStream, SendStream};
use souk_common::limits::CHUNK_BYTES;
use souk_common::transport::read_frame;
use souk_common::wire::messages::Reply;

use super::requests::{Begin, Came, Exchange, Then};
use super::{FAREWELL, Link};
use crate::folder::Folder;
use crate::link::timeouts::{Step, within};

impl Link {
    /// Carries an exchange to its end. Of an update, `note` is told how many bytes leave, and must succeed, before any does.
    ///
    /// # Errors
    /// When the connection breaks (what came of a blob is kept), or the reply is not one that the exchange can use.
    pub async fn exchange(
        &self,
        folder: &Folder,
        exchange: &mut Exchange,
        note: impl FnOnce(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Came> {
        let (request, step) = match exchange.begin(&self.voice, folder, self.clock.now())? {
            Begin::Ask(request, step) => (request, step),
            Begin::Came(came) => return Ok(came),
        };
        let (reply, mut send, mut recv) = self.request_open(step, &request).await?;
        let end = match exchange.reply(&self.voice, self.clock.now(), reply)? {
            Then::Came(came) => {
                send.finish()?;
                return Ok(came);
            }
            Then::Take(left) => {
                send.finish()?;
                take_all(exchange, &mut recv, left).await?;
                return exchange.taken(folder);
            }
            Then::Send(from) => {
                let mut update = exchange.update(folder, from, note)?;
                match send_all(&mut update, &mut send).await {
                    Ok(()) => {
                        send.finish()?;
                        within(Step::Receipt, read_frame(&mut recv))
                            .await??
                            .context("the coordinator did not say whether it has the update")?
                    }
                    Err(error) => {
                        // It takes no more; it may have said why.
                        let said = tokio::time::timeout(FAREWELL, read_frame::<Reply>(&mut recv)).await;
                        match said {
                            Ok(Ok(Some(reply))) => reply,
                            _ => return Err(error),
                        }
                    }
                }
            }
        };
        match exchange.reply(&self.voice, self.clock.now(), end)? {
            Then::Came(came) => Ok(came),
            Then::Take(_) | Then::Send(_) => Err(super::not_to_the_question()),
        }
    }
}

/// Takes in `left` bytes of a blob from a coordinator that goes on sending.
async fn take_all(exchange: &mut Exchange, recv: &mut RecvStream, mut left: u64) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (got, ended) = fill_in_time(recv, &mut chunk[..most]).await;
        exchange.take(&chunk[..got])?;
        left -= got as u64;
        ended?;
        ensure!(got == most, "the blob was cut off");
    }
    Ok(())
}

/// Fills `piece` from a coordinator that goes on sending; how much, and why that is not all.
async fn fill_in_time(recv: &mut RecvStream, piece: &mut [u8]) -> (usize, anyhow::Result<()>) {
    let mut filled = 0;
    while filled < piece.len() {
        match within(Step::Download, recv.read(&mut piece[filled..])).await {
            Ok(Ok(Some(read))) => filled += read,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return (filled, Err(error.into())),
            Err(late) => return (filled, Err(late.into())),
        }
    }
    (filled, Ok(()))
}

/// Sends an update to a coordinator that goes on taking it, however slowly.
async fn send_all(update: &mut (impl Read + ?Sized), send: &mut SendStream) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let got = update.read(&mut chunk)?;
        let mut bytes = &chunk[..got];
        if bytes.is_empty() {
            return Ok(());
        }
        while !bytes.is_empty() {
            let taken = within(Step::Upload, send.write(bytes)).await??;
            bytes = &bytes[taken..];
        }
    }
}

//! A request over HTTP/1.1 on this machine. A real shop uses its language's library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks, and gives up after `patience` without a byte. `head` is further lines of the head, each with its end.
pub(crate) fn ask(
    address: SocketAddr,
    request: &str,
    head: &str,
    body: &str,
    patience: Duration,
) -> anyhow::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let text = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Reply {
        status: status.context("the answer has no status")?,
        body: body.to_owned(),
    })
}

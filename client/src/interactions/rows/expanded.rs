//! Plain, gzip and zstd files as streams of bytes, told apart by how they begin, within limits on what they expand to.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::digested::{DigestedSource, Seen};

/// The bytes of a file, expanded if it is compressed; reading fails beyond `max_bytes`, or where a small file expands out of
/// all proportion.
pub(super) fn expanded(source: DigestedSource, max_bytes: u64) -> io::Result<Box<dyn BufRead + Send>> {
    let seen = source.seen();
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let start = source.fill_buf()?;
    let stream: Box<dyn Read + Send> = if start.starts_with(&GZIP_MAGIC) {
        Box::new(MultiGzDecoder::new(source))
    } else if start.starts_with(&ZSTD_MAGIC) {
        Box::new(ZstdFrames {
            source,
            decoder: FrameDecoder::new(),
            within: false,
        })
    } else {
        return Ok(Box::new(source));
    };
    let limited = Limited {
        stream,
        seen,
        bytes: 0,
        max_bytes,
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, limited)))
}

/// All frames of a zstd file, one after another.
struct ZstdFrames {
    source: BufReader<DigestedSource>,
    decoder: FrameDecoder,
    within: bool,
}

impl ZstdFrames {
    /// Goes on to the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.within = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
            }
            Err(error) => return Err(damaged(error)),
        }
        Ok(true)
    }
}

impl Read for ZstdFrames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within {
                match self.begin()? {
                    true => continue,
                    false => return Ok(0),
                }
            }
            let read = self.decoder.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                let said = self.decoder.get_checksum_from_data();
                if said.is_some() && said != self.decoder.get_calculated_checksum() {
                    return Err(damaged("a checksum does not hold"));
                }
                self.within = false;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.source, one)
                    .map_err(damaged)?;
            }
        }
    }
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

struct Limited {
    stream: Box<dyn Read + Send>,
    seen: Seen,
    bytes: u64,
    max_bytes: u64,
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.bytes += read as u64;
        match too_large(self.bytes, self.seen.bytes(), self.max_bytes) {
            Some(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
            None => Ok(read),
        }
    }
}

/// Why what has expanded to so many bytes, of a file of so many, is not read on, if so.
pub(super) fn too_large(bytes: u64, of: u64, max_bytes: u64) -> Option<String> {
    if bytes > max_bytes {
        return Some(format!(
            "it expands to more than {max_bytes} bytes; if that is meant, set max_bytes under [data] in shop.toml"
        ));
    }
    (bytes > ALWAYS_ALLOWED_BYTES && bytes / MAX_RATIO > of).then(|| {
        format!(
            "it expands to more than {MAX_RATIO} times its size, as a decompression bomb does and no export; if it is one all \
             the same, unpack it and import the unpacked file"
        )
    })
}

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Exports of orders shrink to a tenth; those of a shop that sells one thing a day to one customer perhaps to a hundredth.
const MAX_RATIO: u64 = 300;
const ALWAYS_ALLOWED_BYTES: u64 = 64 << 20;

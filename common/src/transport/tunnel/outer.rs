//! The TLS around a tunnel: for whom it is, and what else answers where a coordinator was expected.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::TunnelError;
use crate::crypto::pki::{AUTHORITY_PREFIX, COORDINATOR_NAME, names_in};
use crate::limits::{HANDSHAKE_SECS, MAX_TOLD_BYTES};
use crate::transport::error::CertificateRefusal;
use crate::transport::platform::{ByteStream, Platform};
use crate::transport::tls::{Trust, client_tls, verifier};

/// What a shop and its coordinator carry datagrams through.
pub(super) type OuterStream = TlsStream<Noting>;

/// Dials TCP and shakes hands. No certificate is shown: who this is, only the handshake inside says.
pub(super) async fn open(
    platform: &Platform,
    trust: &Trust,
    at: SocketAddr,
) -> Result<OuterStream, TunnelError> {
    let opened = tokio::time::timeout(HANDSHAKE, open_without_limit(platform, trust, at)).await;
    opened.unwrap_or(Err(TunnelError::Silent))
}

async fn open_without_limit(
    platform: &Platform,
    trust: &Trust,
    at: SocketAddr,
) -> Result<OuterStream, TunnelError> {
    let unusable = |error: &dyn std::fmt::Display| TunnelError::Unusable(error.to_string());
    let verifier = Arc::new(NotingVerifier {
        verifier: verifier(trust).map_err(|error| unusable(&error))?,
        shown: Mutex::default(),
    });
    let judge = Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>;
    let mut tls = client_tls(platform, judge, None, super::ALPN).map_err(|error| unusable(&error))?;
    // A tunnel that is made again needs no old secret.
    tls.resumption = Resumption::disabled();
    let name = ServerName::try_from(COORDINATOR_NAME).map_err(|error| unusable(&error))?;
    let stream = platform
        .sockets
        .dial(at)
        .await
        .map_err(TunnelError::Unreachable)?;
    let said = Arc::new(Mutex::new(Vec::new()));
    let noting = Noting {
        stream,
        said: Some(Arc::clone(&said)),
    };
    match TlsConnector::from(Arc::new(tls)).connect(name, noting).await {
        Ok(mut stream) => {
            let (noting, connection) = stream.get_mut();
            if connection.alpn_protocol() != Some(super::ALPN) {
                return Err(TunnelError::OtherProgram);
            }
            noting.said = None;
            Ok(stream)
        }
        Err(error) => Err(what_answers(&error, &taken(&said), &taken(&verifier.shown))),
    }
}

/// Who answered, by how the handshake failed, the first bytes that came, and the certificate that was shown.
fn what_answers(error: &io::Error, said: &[u8], shown: &[u8]) -> TunnelError {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, said.first()) {
        (Some(rustls::Error::InvalidCertificate(reason)), _) => {
            let (subject, issuer) = names_in(shown);
            match (issuer.starts_with(AUTHORITY_PREFIX), reason) {
                (true, CertificateError::Expired | CertificateError::ExpiredContext { .. })
                | (true, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                    TunnelError::Refused(CertificateRefusal::CoordinatorsTime)
                }
                (true, _) => TunnelError::Refused(CertificateRefusal::CoordinatorsAuthority),
                (false, _) => TunnelError::OtherAuthority { subject, issuer },
            }
        }
        (_, Some(first)) if !TLS_RECORDS.contains(first) => TunnelError::PlainText {
            said: first_line(said),
        },
        (Some(rustls::Error::AlertReceived(_)), _) => TunnelError::OtherProgram,
        (None, None) => TunnelError::ClosedAtOnce,
        _ => TunnelError::Broken(error.to_string()),
    }
}

fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn taken(bytes: &Mutex<Vec<u8>>) -> Vec<u8> {
    std::mem::take(&mut *bytes.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A stream that notes the first bytes that come, until a handshake is over.
pub(super) struct Noting {
    stream: Box<dyn ByteStream>,
    said: Option<Arc<Mutex<Vec<u8>>>>,
}

impl AsyncRead for Noting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(said) = &self.said {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_TOLD_BYTES.saturating_sub(said.len());
            said.extend(buf.filled().iter().skip(before).take(room));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Noting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Judges as another does, and keeps the certificate that was shown.
#[derive(Debug)]
struct NotingVerifier {
    verifier: Arc<dyn ServerCertVerifier>,
    shown: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for NotingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = end_entity.to_vec();
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

pub(super) const HANDSHAKE: Duration = Duration::from_secs(HANDSHAKE_SECS);
/// Of TLS, what a server's first record may be: a handshake or an alert (RFC 8446, 5.1).
const TLS_RECORDS: [u8; 2] = [22, 21];

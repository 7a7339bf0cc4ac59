"""Souk's protocol as its pages describe it, written again: join codes, frames, and a connection over aioquic.

Nothing here comes from Souk's own code, so that both agree only where the format is what it is said to be.
"""

import asyncio
import datetime
import ssl
import struct

import blake3
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

MAGIC = b"SOUK"
VERSION = 2
REQUEST, REPLY, PUSH = 1, 2, 3
MAX_REQUEST_BYTES = 64 << 10
ALPN = "souk/1"
SERVER_NAME = "coordinator.souk"

REPLIES = ["joined", "done", "blob", "upload_from", "receipt", "rejected", "left", "error", "members"]
PUSHES = ["welcome", "announce", "ended", "finished", "roster", "sharers", "survivors", "confirmed"]
ERRORS = [
    "version", "bad_request", "no_certificate", "join_refused", "too_many_tries", "not_enrolled", "not_found",
    "internal", "too_many", "too_slow",
]
CLOSES = ["done", "not_enrolled", "bad_frame", "stopping", "replaced", "too_many", "too_slow"]


def frame(body, kind=REQUEST, version=VERSION, length=None):
    """A header and a body; `length` lies about it."""
    return MAGIC + struct.pack("<HBI", version, kind, len(body) if length is None else length) + body


def sized(data):
    return struct.pack("<Q", len(data)) + data


def join(secret, csr):
    return frame(struct.pack("<I", 0) + secret + sized(csr))


def subscribe(process_id=0):
    return frame(struct.pack("<I", 1) + sized(b"an independent client") + struct.pack("<I", process_id))


def blob(digest, offset=0):
    return frame(struct.pack("<I", 3) + digest + struct.pack("<Q", offset))


def upload(round_number, attempt, digest, length):
    body = struct.pack("<IQI", 4, round_number, attempt) + digest + struct.pack("<QQ", length, 1) + bytes(32)
    return frame(body)


def members():
    return frame(struct.pack("<I", 10))


def take_frame(data):
    """The first frame of `data`: its kind, its message's number, its body, and what follows; none if it is not whole."""
    if len(data) < 11:
        return None
    assert data[:4] == MAGIC, data[:4]
    version, kind, length = struct.unpack("<HBI", data[4:11])
    assert version == VERSION, version
    if len(data) < 11 + length:
        return None
    body = data[11:11 + length]
    return kind, struct.unpack("<I", body[:4])[0], body[4:], data[11 + length:]


def parse_code(code):
    """A join code's secret, the CA certificate's digest, and the coordinator's address."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    letters = code.strip().removeprefix("souk1-").lower()
    bits = "".join(format(alphabet.index(letter), "05b") for letter in letters)
    data = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits) - 7, 8))
    content, check = data[:-4], data[-4:]
    assert blake3.blake3(content).digest()[:4] == check, "a damaged join code"
    host, port = content[48:].decode().rsplit(":", 1)
    return content[:16], content[16:48], (host.strip("[]"), int(port))


class Identity:
    """A certificate with its key."""

    def __init__(self, key, certificate):
        self.key, self.certificate = key, certificate


def foreign_identity(name):
    """A certificate for `name` by an authority that nobody knows."""
    authority, key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority, None)
    )
    return Identity(key, certificate)


class Peer(QuicConnectionProtocol):
    """A connection. What arrives on each stream is gathered; how it ended is kept."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data, self.ended, self.close = {}, set(), None
        self.news = asyncio.Event()

    def quic_event_received(self, event):
        if isinstance(event, events.StreamDataReceived):
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self.ended.add(event.stream_id)
        elif isinstance(event, (events.StreamReset, events.StopSendingReceived)):
            if isinstance(event, events.StreamReset):
                self.ended.add(event.stream_id)
        elif isinstance(event, events.ConnectionTerminated):
            self.close = event
        self.news.set()

    def open(self):
        return self._quic.get_next_available_stream_id()

    def say(self, stream, data, end=False):
        self._quic.send_stream_data(stream, data, end)

    async def until(self, holds, seconds=20):
        """Waits until something holds, or the connection has ended; whether it holds."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            left = deadline - asyncio.get_running_loop().time()
            if self.close is not None or left <= 0:
                return bool(holds())
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), left)
            except asyncio.TimeoutError:
                pass
        return True

    async def ask(self, data, seconds=20):
        """Asks on a new stream; the first frame of the answer, or none."""
        stream = self.open()
        self.say(stream, data, True)
        self.transmit()
        whole = lambda: take_frame(self.data.get(stream, b"")) or stream in self.ended
        await self.until(whole, seconds)
        return take_frame(self.data.get(stream, b""))

    async def closed(self, seconds=20):
        """Why the other end closed the connection: a number of Souk's, or the words of the handshake's failure."""
        await self.until(lambda: self.close is not None, seconds)
        if self.close is None:
            return None
        # Frame type none: the application's word.
        return CLOSES[self.close.error_code] if self.close.frame_type is None else self.close.reason_phrase

    def leave(self):
        self._quic.close()
        self.transmit()
        self.vanish()

    def vanish(self):
        """Ends without a word."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()


def authority_of(peer):
    """The CA certificate that the coordinator shows beside its own."""
    return peer._quic.tls._peer_certificate_chain[-1]


async def dial(address, identity=None, source="127.0.0.1", alpn=ALPN, reads=True, window=1 << 20):
    """Connects; the peer, whether the handshake succeeded or not (`close` says)."""
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=[alpn], server_name=SERVER_NAME, verify_mode=ssl.CERT_NONE, idle_timeout=60,
        max_data=window, max_stream_data=window,
    )
    if identity is not None:
        configuration.certificate, configuration.private_key = identity.certificate, identity.key
    quic = QuicConnection(configuration=configuration)
    if not reads:
        # Never gives the coordinator more room than at first.
        quic._write_stream_limits = lambda **_: None
        quic._write_connection_limits = lambda **_: None
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_datagram_endpoint(lambda: Peer(quic), local_addr=(source, 0))
    peer.connect(address)
    try:
        await asyncio.wait_for(peer.wait_connected(), 20)
    except (ConnectionError, asyncio.TimeoutError):
        pass
    return peer


async def become_member(code, source="127.0.0.1"):
    """Joins by a code: a key that is made here, and a certificate for it."""
    secret, authority, address = parse_code(code)
    peer = await dial(address, source=source)
    shown = authority_of(peer).public_bytes(serialization.Encoding.DER)
    assert blake3.blake3(shown).digest() == authority, "not the coordinator of the join code"
    peer._quic.tls._peer_certificate.verify_directly_issued_by(authority_of(peer))
    key = ed25519.Ed25519PrivateKey.generate()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    kind, number, body, _ = await peer.ask(join(secret, csr.public_bytes(serialization.Encoding.DER)))
    assert (kind, REPLIES[number]) == (REPLY, "joined"), (kind, number, body)
    length = struct.unpack("<Q", body[:8])[0]
    certificate = x509.load_der_x509_certificate(body[8:8 + length])
    peer.leave()
    return Identity(key, certificate), address


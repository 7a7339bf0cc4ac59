"""What a hostile peer throws: frames that are none, and streams and handshakes that do not follow the rules."""

import asyncio
import collections
import struct

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from peer import ALPN, MAX_REQUEST_BYTES, PUSH, REPLY, SERVER_NAME, Peer, blob, dial, frame, join, members, subscribe, upload

STREAMS = 4


def a_request(random):
    """A good frame of any kind."""
    digest = random.randbytes(32)
    return random.choice([
        members(), subscribe(random.randrange(1 << 32)), blob(digest, random.randrange(1 << 40)),
        upload(random.randrange(9), 1, digest, random.randrange(1 << 40)), join(digest[:16], random.randbytes(200)),
    ])


def random_bytes(random):
    return random.randbytes(random.randrange(1, 3000))


def cut_short(random):
    request = a_request(random)
    return request[:random.randrange(1, len(request))]


def longer_than_allowed(random):
    return frame(random.randbytes(50), length=random.randrange(MAX_REQUEST_BYTES + 1, 1 << 32))


def longer_than_it_is(random):
    return frame(random.randbytes(random.randrange(1, 500)), length=random.randrange(501, MAX_REQUEST_BYTES))


def other_version(random):
    return frame(a_request(random)[11:], version=random.choice([0, 1, 3, 255, 65535]))


def other_kind(random):
    return frame(a_request(random)[11:], kind=random.choice([0, REPLY, PUSH, 4, 255]))


def flipped(random):
    request = bytearray(a_request(random))
    for _ in range(random.randrange(1, 9)):
        request[random.randrange(len(request))] ^= 1 << random.randrange(8)
    return bytes(request)


def random_body(random):
    return frame(random.randbytes(random.randrange(0, 2000)))


def leftovers(random):
    return frame(a_request(random)[11:] + random.randbytes(random.randrange(1, 100)))


def lying_list(random):
    """A list that says it has up to 2^64 entries."""
    count = random.choice([1 << 20, 1 << 32, 1 << 60, (1 << 64) - 1])
    return frame(struct.pack("<I", random.choice([0, 1, 6, 7])) + random.randbytes(28) + struct.pack("<Q", count))


def two_at_once(random):
    return a_request(random) + a_request(random)


def largest(random):
    return frame(random.randbytes(MAX_REQUEST_BYTES))


FRAMES = [
    random_bytes, cut_short, longer_than_allowed, longer_than_it_is, other_version, other_kind, flipped, random_body,
    leftovers, lying_list, two_at_once, largest,
]


def ends_stream(peer, stream, data, random):
    peer.say(stream, data, True)


def leaves_it_open(peer, stream, data, random):
    peer.say(stream, data)


def resets(peer, stream, data, random):
    peer.say(stream, data)
    peer._quic.reset_stream(stream, random.randrange(1 << 30))


def stops_reading(peer, stream, data, random):
    peer.say(stream, data, True)
    peer._quic.stop_stream(stream, random.randrange(1 << 30))


MANNERS = [ends_stream, ends_stream, ends_stream, leaves_it_open, resets, stops_reading]


def too_many_streams(peer, random):
    peer._quic._remote_max_streams_bidi = 1 << 20
    for _ in range(200):
        peer.say(peer.open(), b"S")


def one_way_streams(peer, random):
    peer._quic._remote_max_streams_uni = 1 << 20
    peer.say(peer._quic.get_next_available_stream_id(is_unidirectional=True), a_request(random), True)


def more_than_the_window(peer, random):
    peer._quic._remote_max_data = 1 << 40
    stream = peer.open()
    peer.say(stream, b"S")
    peer._quic._streams[stream].max_stream_data_remote = 1 << 40
    peer.say(stream, random.randbytes(700_000))


def datagrams(peer, random):
    for _ in range(10):
        peer._quic._datagrams_pending.append(random.randbytes(100))


BREACHES = [too_many_streams, one_way_streams, more_than_the_window, datagrams]


class Thrower:
    """Throws until so many frames were thrown by all throwers together."""

    def __init__(self, address, identities, random, most):
        self.address, self.identities, self.random, self.most = address, identities, random, most
        self.frames, self.closes = collections.Counter(), collections.Counter()
        self.dialled = self.turned_away = self.breaches = 0

    def thrown(self):
        return sum(self.frames.values())

    async def run(self, source):
        while self.thrown() < self.most:
            await self.connection(source)

    async def connection(self, source):
        identity = self.random.choice(self.identities + [None] * 2)
        self.dialled += 1
        peer = await dial(self.address, identity, source)
        if peer.close is not None or not peer._connected:
            self.turned_away += 1
            peer.vanish()
            await asyncio.sleep(0.1)
            return
        frames, is_breach = collections.Counter(), self.random.random() < 0.03
        if is_breach:
            self.random.choice(BREACHES)(peer, self.random)
        else:
            for _ in range(STREAMS):
                kind = self.random.choice(FRAMES)
                self.random.choice(MANNERS)(peer, peer.open(), kind(self.random), self.random)
                frames[kind.__name__] += 1
        peer.transmit()
        reason = await peer.closed(1) or "none"
        peer.leave()
        self.closes[reason] += 1
        # TLS 1.3: this side may be done before it hears that it was turned away. Nobody looked at what it said then.
        if reason == "too_many" or "certificate" in reason:
            self.turned_away += 1
        else:
            self.frames += frames
            self.breaches += is_breach


async def knock_and_run(address, source):
    """Begins a handshake and never goes on."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=[ALPN], server_name=SERVER_NAME)
    quic, loop = QuicConnection(configuration=configuration), asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(source, 0))
    quic.connect(address, loop.time())
    for data, to in quic.datagrams_to_send(loop.time()):
        transport.sendto(data, to)
    transport.close()


async def never_reads(address, identity, source):
    """Subscribes and reads nothing; why it was closed, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    peer = await dial(address, identity, source, reads=False, window=64)
    peer.say(peer.open(), subscribe(), True)
    peer.transmit()
    reason = await peer.closed(120)
    peer.leave()
    return reason, round(loop.time() - began, 1)


async def asks_nothing(address, identity, source):
    """Connects and says nothing; why it was closed, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    peer = await dial(address, identity, source)
    peer.ping_forever = asyncio.ensure_future(keep_alive(peer))
    reason = await peer.closed(120)
    peer.ping_forever.cancel()
    peer.leave()
    return reason, round(loop.time() - began, 1)


async def keep_alive(peer):
    while True:
        await asyncio.sleep(5)
        peer._quic.send_ping(1)
        peer.transmit()


async def holds_a_download(address, identity, source, digest):
    """Asks for a model and reads nothing of it, again and again."""
    while True:
        peer = await dial(address, identity, source, reads=False, window=64)
        peer.say(peer.open(), blob(digest), True)
        peer.transmit()
        await peer.until(lambda: peer.ended or peer.close, 40)
        peer.leave()
        await asyncio.sleep(1)

//! Every cap on what a peer may send, in one place.

/// Version of the protocol that this build speaks, in every frame's header. In version 1 a lying coordinator could read a
/// masked update (docs/threat-model.md, isolation): neither side speaks it any more.
pub const PROTOCOL_VERSION: u16 = 2;

/// Most bytes of one frame's body. The largest is a manifest of a thousand shops (about 120 kB).
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Most bytes of a request's body: a coordinator holds one for each open stream. The largest are shares for 254 neighbours
/// (about 44 kB).
pub const MAX_REQUEST_BYTES: usize = 64 << 10;

/// Most bytes of one blob (model, plan, catalogue). A NeuMF of 4 million items at 64 columns is 1 GB.
pub const MAX_BLOB_BYTES: u64 = 4 << 30;

/// Most bytes of a certificate signing request.
pub const MAX_CSR_BYTES: usize = 4096;

/// Most bytes of a certificate.
pub const MAX_CERTIFICATE_BYTES: usize = 4096;

/// Most certificate authorities that a federation trusts at once: one, and one that takes its place.
pub const MAX_AUTHORITIES: usize = 2;

/// Receipts of one shop that are told at once, if no more of them are of one length.
pub const RECEIPTS_AT_ONCE: usize = 256;

/// Seconds by which two clocks may differ before it is reported.
pub const MAX_CLOCK_SKEW_SECS: u64 = 60;

/// Most bytes of a text in a message (error details, software names).
pub const MAX_TEXT_BYTES: usize = 1024;

/// Raw blocks are read and written in pieces of this size.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Streams a peer may have open at once.
pub const MAX_STREAMS: u32 = 4;

/// Receive window of one stream, in bytes. Half a connection's, so that a stalled upload does not block an answer; at 50
/// ms round trip it carries 10 MB/s.
pub const STREAM_WINDOW_BYTES: u32 = 512 << 10;

/// Receive window, and unacknowledged bytes sent, of one connection: what one shop can make the coordinator hold each way.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Most that the QUIC library holds for each byte of an unread window, in tenths: small datagrams are copied together when
/// what they take is over two and a half times what they carry (and over [`STREAM_SLACK_BYTES`] for each stream).
pub const WINDOW_TENTHS: u64 = 25;

/// Allocations beside its bytes that a stream may always hold.
pub const STREAM_SLACK_BYTES: u64 = 32 << 10;

/// What a connection costs beside its windows: keys, state, a buffer for datagrams, its tasks.
pub const CONNECTION_STATE_BYTES: u64 = 128 << 10;

/// What the program holds before the first shop: code, runtime, threads' arenas, the records' cache.
pub const PROGRAM_BYTES: u64 = 64 << 20;

/// Largest UDP payload looked for on a path. Loopback carries it, twice as cheap as the Internet's 1,452.
pub const MAX_DATAGRAM_BYTES: u16 = 6_500;

/// Datagrams handed to the system at once. Each connection keeps a buffer for as many (26 kB on loopback) while it lives;
/// together they must fit the 65,507 bytes that the system takes, or all of them are lost.
pub const DATAGRAMS_AT_ONCE: usize = 4;

/// Largest datagram within a tunnel over TCP: with its length it fits one TLS record of 16,384 bytes.
pub const TUNNEL_DATAGRAM_BYTES: u16 = 16_000;

/// Bytes that wait for a tunnel on the coordinator's side: more than a connection may have unacknowledged, so that nothing is
/// lost there which TCP would have carried.
pub const TUNNEL_QUEUE_BYTES: usize = CONNECTION_WINDOW_BYTES as usize + (256 << 10);

/// As [`TUNNEL_QUEUE_BYTES`], on a shop's side, where QUIC waits until there is room.
pub const TUNNEL_SHOP_QUEUE_BYTES: usize = 256 << 10;

/// Datagrams of all tunnels that QUIC has not taken yet; meanwhile nothing more is read from TCP.
pub const TUNNEL_ARRIVALS: usize = 64;

/// What a tunnel costs beside its queue: what is read of it, TLS records both ways, its task.
pub const TUNNEL_STATE_BYTES: u64 = 192 << 10;

/// Tunnels that a coordinator holds at once unless told otherwise: one for each of two hundred shops, and some for commands.
pub const TUNNELS: usize = 256;

/// Of these, most from one address (IPv6: a /64): as many shops as may share one that lets no UDP out.
pub const TUNNELS_PER_ADDRESS: usize = 64;

/// Most addresses on which a coordinator takes tunnels.
pub const MAX_TUNNEL_LISTENERS: usize = 8;

/// A tunnel into which nothing of what waits for it goes within so many seconds is cut.
pub const TUNNEL_STALL_SECS: u64 = 15;

/// A shop that has heard nothing through its tunnel for so long makes a new one under the same connection: after more than a
/// [`KEEP_ALIVE_SECS`], and early enough for that before [`IDLE_TIMEOUT_SECS`].
pub const TUNNEL_SILENCE_SECS: u64 = 13;

/// UDP is given so many seconds before a shop tries TCP as well.
pub const UDP_HEAD_START_SECS: u64 = 2;

/// After TCP has carried a connection, UDP is tried again with the first one that is made after so many seconds.
pub const UDP_AGAIN_SECS: u64 = 600;

/// Bytes that are told of what else answers where a coordinator was expected.
pub const MAX_TOLD_BYTES: usize = 160;

/// Buffer asked of the system for a socket, in bytes: bursts of sixteen shops at once.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Most connections that a coordinator may be told to hold at once.
pub const MAX_CONNECTIONS: usize = 4096;

/// Connections it holds unless told otherwise: two for each of two hundred shops.
pub const CONNECTIONS: usize = 400;

/// Of these, most of one shop: a cut line leaves old ones behind until they are noticed.
pub const CONNECTIONS_PER_SHOP: usize = 4;

/// Of these, most whose peer has not shown a certificate yet: handshakes under way, and joiners.
pub const STRANGERS: usize = 128;

/// Processes of a shop whose traffic is kept apart; the rest share one record.
pub const MAX_PROCESSES: usize = 64;

/// Requests of a joiner on one connection; it needs one.
pub const MAX_STRANGER_REQUESTS: u32 = 16;

/// Handshakes in a second, of all peers together. One costs about a millisecond of a core.
pub const HANDSHAKES_PER_SEC: u64 = 100;

/// Handshakes in a second from one address (IPv6: a /64). Two hundred shops may share one.
pub const HANDSHAKES_PER_SEC_PER_ADDRESS: u64 = 20;

/// A /24 of IPv4 and a /48 of IPv6 may do as much as so many addresses.
pub const ADDRESSES_PER_NET: u64 = 4;

/// Connections in a second of one shop.
pub const CONNECTIONS_PER_SEC_PER_SHOP: u64 = 2;

/// Requests in a second of one shop, over all its connections. A round takes up to eight.
pub const REQUESTS_PER_SEC_PER_SHOP: u64 = 50;

/// Bytes of updates and blobs in a second of one shop, both ways together.
pub const BYTES_PER_SEC_PER_SHOP: u64 = 64 << 20;

/// Every rate may be saved up for so long, and used at once.
pub const BURST_SECS: u64 = 10;

/// Addresses of which rates are remembered; the rest share one.
pub const MAX_ADDRESSES: usize = 4096;

/// Least bytes in a second of an update or blob on its way, while others wait for its place.
pub const LEAST_BYTES_PER_SEC: u64 = 32 << 10;

/// How long it may be slower than that.
pub const SLOW_SECS: u64 = 10;

/// Bytes of pushes that wait for one subscriber to read them. A masked round of a thousand shops takes about 600 kB.
pub const PUSH_BYTES: usize = 1 << 20;

/// A handshake that takes longer is given up.
pub const HANDSHAKE_SECS: u64 = 10;

/// A peer that says nothing within a request, or holds a connection without any, is given up after so long.
pub const PATIENCE_SECS: u64 = 30;

/// Connections that knock and wait to be looked at, and the bytes that may arrive for them meanwhile.
pub const MAX_INCOMING: usize = 256;
/// As [`MAX_INCOMING`] says: of one.
pub const INCOMING_BYTES: u64 = 16 << 10;

/// Questions on a control socket that are answered at once; others wait.
pub const MAX_QUESTIONS: usize = 8;

/// A peer that sends nothing for this long has lost its connection.
pub const IDLE_TIMEOUT_SECS: u64 = 30;

/// A quiet connection says so this often.
pub const KEEP_ALIVE_SECS: u64 = 8;

/// Wrong join codes from one address before it has to wait.
pub const MAX_JOIN_TRIES: u32 = 5;

/// How long it has to wait then.
pub const JOIN_BACKOFF_SECS: u64 = 60;

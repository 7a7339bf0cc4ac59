//! Every cap on what a peer may send, in one place.

/// Version of the protocol that this build speaks, in every frame's header.
pub const PROTOCOL_VERSION: u16 = 1;

/// Most bytes of one frame's body. The largest is a manifest of a thousand shops (about 120 kB).
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Most bytes of one blob (model, plan, catalogue). A NeuMF of 4 million items at 64 columns is 1 GB.
pub const MAX_BLOB_BYTES: u64 = 4 << 30;

/// Most bytes of a certificate signing request.
pub const MAX_CSR_BYTES: usize = 4096;

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

/// Most bytes that all windows of a coordinator add up to: 2 GiB with every connection stalled both ways.
pub const MAX_WINDOWS_BYTES: u64 = 2 * MAX_CONNECTIONS as u64 * CONNECTION_WINDOW_BYTES as u64;

/// Largest UDP payload looked for on a path. Loopback carries it, twice as cheap as the Internet's 1,452.
pub const MAX_DATAGRAM_BYTES: u16 = 6_500;

/// Datagrams handed to the system at once. Each connection keeps a buffer for as many (26 kB on loopback) while it lives;
/// together they must fit the 65,507 bytes that the system takes, or all of them are lost.
pub const DATAGRAMS_AT_ONCE: usize = 4;

/// Buffer asked of the system for a socket, in bytes: bursts of sixteen shops at once.
pub const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Connections a coordinator holds at once, those of joiners included.
pub const MAX_CONNECTIONS: usize = 1024;

/// A peer that sends nothing for this long has lost its connection.
pub const IDLE_TIMEOUT_SECS: u64 = 30;

/// A quiet connection says so this often.
pub const KEEP_ALIVE_SECS: u64 = 8;

/// Wrong join codes from one address before it has to wait.
pub const MAX_JOIN_TRIES: u32 = 5;

/// How long it has to wait then.
pub const JOIN_BACKOFF_SECS: u64 = 60;

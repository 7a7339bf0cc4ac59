//! Tests across programs, over real sockets on loopback.

mod federation;

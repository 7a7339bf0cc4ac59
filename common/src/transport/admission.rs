//! Who is let in before anything is known of them, and how connections end.

use quinn::{Connection, ConnectionError, Incoming, VarInt};

use crate::wire::limits::MAX_CONNECTIONS;

/// Why a connection was closed, as the peer is told. Numbers are never reused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum CloseCode {
    /// All is said.
    Done = 0,
    /// The shop's membership has ended.
    NotEnrolled = 1,
    /// The peer sent what is no frame of this protocol.
    BadFrame = 2,
    /// The program stops; dial again later.
    Stopping = 3,
    /// A newer connection of the same shop takes this one's place.
    Replaced = 4,
}

impl CloseCode {
    /// What the peer reads beside the number.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotEnrolled => "the membership has ended",
            Self::BadFrame => "no frame of this protocol",
            Self::Stopping => "the coordinator stops",
            Self::Replaced => "a newer connection takes this one's place",
        }
    }

    /// Why the peer closed `connection`, if it did and said so.
    pub fn of(connection: &Connection) -> Option<Self> {
        let Some(ConnectionError::ApplicationClosed(closed)) = connection.close_reason() else {
            return None;
        };
        let all = [
            Self::Done,
            Self::NotEnrolled,
            Self::BadFrame,
            Self::Stopping,
            Self::Replaced,
        ];
        all.into_iter()
            .find(|code| closed.error_code == VarInt::from_u32(*code as u32))
    }

    /// Closes `connection` for this reason.
    pub fn close(self, connection: &Connection) {
        connection.close(VarInt::from_u32(self as u32), self.words().as_bytes());
    }
}

/// Takes or turns away a peer that knocks while `open` connections are held: over the cap it is refused; over half of
/// it, it must first prove (at the cost of one round trip) that it can receive at the address it claims.
pub fn admit(incoming: Incoming, open: usize) -> Option<Incoming> {
    if open >= MAX_CONNECTIONS {
        incoming.refuse();
        return None;
    }
    if open >= MAX_CONNECTIONS / 2 && !incoming.remote_address_validated() {
        return match incoming.retry() {
            Ok(()) => None,
            Err(error) => Some(error.into_incoming()),
        };
    }
    Some(incoming)
}

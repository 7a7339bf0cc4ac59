//! What peers send.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use souk_common::hex;
use souk_common::limits::PROTOCOL_VERSION;
use souk_common::secagg::Roster;
use souk_common::transport::frames::{FrameError, Framed, read_frame};
use souk_common::update::ModulusBits;
use souk_common::wire::codec;
use souk_common::wire::frame::{HEADER_BYTES, from_bytes, to_bytes};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::aggregate::{Accumulator, OptimiserState};

use super::target::{FuzzTarget, Stage, behind_header};

macro_rules! frames {
    ($($name:literal),* $(,)?) => {
        [$(include_str!(concat!("../../../tests/vectors/wire/", $name, ".hex"))),*]
    };
}

pub(super) fn targets() -> Vec<FuzzTarget> {
    vec![
        frame::<Request>(
            "frame_request",
            &frames![
                "request_accept",
                "request_advertise",
                "request_blob",
                "request_check_in",
                "request_checked",
                "request_confirm",
                "request_decline",
                "request_join",
                "request_leave",
                "request_masked_upload",
                "request_members",
                "request_renew",
                "request_reveal",
                "request_share",
                "request_signed_spent",
                "request_signed_upload",
                "request_spent",
                "request_subscribe",
                "request_upload",
            ],
        ),
        frame::<Reply>(
            "frame_reply",
            &frames![
                "reply_blob",
                "reply_checked_in",
                "reply_done",
                "reply_error",
                "reply_joined",
                "reply_left",
                "reply_members",
                "reply_receipt",
                "reply_rejected",
                "reply_renewed",
                "reply_signed_spent",
                "reply_signed_spent_nothing",
                "reply_spent",
                "reply_spent_nothing",
                "reply_too_slow",
                "reply_upload_from",
            ],
        ),
        frame::<Push>(
            "frame_push",
            &frames![
                "push_announce",
                "push_below_quorum",
                "push_confirmed",
                "push_delivered",
                "push_finished",
                "push_not_unmasked",
                "push_published",
                "push_roster",
                "push_sharers",
                "push_survivors",
                "push_welcome",
            ],
        ),
        roster(),
        update_block(),
        optimiser_state(),
    ]
}

fn frame<T: Framed + PartialEq + 'static>(name: &'static str, golden: &[&str]) -> FuzzTarget {
    let golden = golden.iter().map(|text| bytes_of(text)).collect();
    FuzzTarget::binary(name, golden, |bytes| {
        let mut rest = bytes;
        match at_once(read_frame::<T>(&mut rest)) {
            Ok(Some(message)) => {
                let used = bytes.len() - rest.len();
                let again = to_bytes(&message).expect("what was read fits a frame");
                assert!(again == bytes[..used], "it is written differently");
                let whole = from_bytes::<T>(bytes);
                let same = whole.is_ok_and(|whole| whole == message);
                assert_eq!(same, rest.is_empty(), "read at once it is another");
                Stage::Decoded
            }
            Ok(None) => Stage::Header,
            Err(FrameError::Codec(_) | FrameError::Cut { .. }) => Stage::Body,
            Err(_) => Stage::Header,
        }
    })
    .framed()
    .repaired(|bytes| set_header::<T>(bytes))
}

pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::bytes(&digits).expect("a vector is hexadecimal digits")
}

/// A future that waits for nothing: it reads from memory.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("memory is always ready"),
    }
}

/// The header that belongs to the body.
fn set_header<T: Framed>(bytes: &mut [u8]) {
    let Some(body) = bytes.len().checked_sub(HEADER_BYTES) else {
        return;
    };
    bytes[..4].copy_from_slice(b"SOUK");
    bytes[4..6].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    bytes[6] = T::KIND;
    bytes[7..HEADER_BYTES].copy_from_slice(&(body as u32).to_le_bytes());
}

/// A roster, as it stands in a push, and the check that a shop makes of it.
fn roster() -> FuzzTarget {
    let push = bytes_of(include_str!("../../../tests/vectors/wire/push_roster.hex"));
    // Behind the frame's header, the kind of push and the attempt.
    let golden = push[HEADER_BYTES + 4 + 12..].to_vec();
    FuzzTarget::binary("roster", vec![golden], |bytes| {
        let roster = codec::decode::<Roster>(bytes);
        if let Ok(roster) = &roster
            && let Some(first) = roster.get(0)
        {
            let _ = roster.check(&first.context);
            let _ = (roster.digest(), roster.position(&first.shop));
        }
        roster.map_or(Stage::Header, |_| Stage::Decoded)
    })
    .framed()
}

fn update_block() -> FuzzTarget {
    let golden = [16usize, 32, 64].map(|bytes| (0..bytes as u8).collect());
    FuzzTarget::binary("update_block", golden.into(), |bytes| {
        // Where it goes and how wide its words are comes from the plan, never from the peer.
        let first = bytes.len() % 5;
        let added = [ModulusBits::B32, ModulusBits::B64].map(|bits| {
            let mut sum = Accumulator::new(bits, 12);
            sum.add_bytes_at(first, bytes).is_ok()
        });
        match added {
            [false, false] => Stage::Body,
            _ => Stage::Decoded,
        }
    })
}

fn optimiser_state() -> FuzzTarget {
    let golden = [8usize, 16, 40].map(|bytes| (0..bytes as u8).collect());
    FuzzTarget::binary("optimiser_state", golden.into(), |bytes| {
        behind_header(&OptimiserState::from_bytes(bytes).ok_or(()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_decoders_of_frames_know_every_vector() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/wire");
        let known: Vec<_> = targets().into_iter().flat_map(|target| target.golden).collect();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = bytes_of(&fs::read_to_string(&path).unwrap());
            assert!(known.contains(&bytes), "{} is in no list", path.display());
        }
    }
}

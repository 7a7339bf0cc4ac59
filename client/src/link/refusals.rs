//! What the coordinator, or TLS, says when it does not do what was asked: in words, with the remedy.

use anyhow::anyhow;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Validity;
use souk_common::terminal::printable;
use souk_common::transport::{CertificateRefusal, CloseCode, TransportError};
use souk_common::wire::messages::{ErrorCode, Reply};

use crate::membership::Membership;
use souk_common::date::date;

/// Whether a connection that was closed so is not to be dialled again at once.
pub(crate) fn asks_to_wait(code: CloseCode) -> bool {
    matches!(code, CloseCode::TooMany | CloseCode::TooSlow)
}

/// A reply that does not belong here, in words.
pub(crate) fn unexpected(reply: Reply) -> anyhow::Error {
    match reply {
        Reply::Error { code, detail } => {
            let detail: String = detail.chars().take(200).collect();
            let detail = printable(&detail);
            let words = match code {
                ErrorCode::Version => "the coordinator speaks another protocol version: update souk-client",
                ErrorCode::BadRequest => "the coordinator does not understand the request",
                ErrorCode::NoCertificate => "the coordinator does not know this certificate",
                ErrorCode::JoinRefused => "the join code was refused",
                ErrorCode::TooManyTries => "too many wrong join codes from here: wait a minute",
                ErrorCode::NotEnrolled => "this shop is no member any more (it left, or was revoked)",
                ErrorCode::NotFound => "the coordinator does not have it",
                ErrorCode::Internal => "the coordinator failed: try again later",
                ErrorCode::TooMany => "the coordinator takes no more from here for now",
                ErrorCode::TooSlow => "this link is slow, and the coordinator serves others meanwhile",
            };
            Refused {
                code,
                words: match detail.is_empty() {
                    true => words.to_owned(),
                    false => format!("{words} ({detail})"),
                },
            }
            .into()
        }
        _ => not_to_the_question(),
    }
}

/// The coordinator, which was authenticated, refused a request.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Refused {
    code: ErrorCode,
    words: String,
}

/// The coordinator closed the connection and said why.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator closed the connection: {}", .0.words())]
pub(crate) struct Closed(pub(crate) CloseCode);

/// By which code the coordinator closed the connection over which this error came, if it did.
pub(crate) fn close_code_in(error: &anyhow::Error) -> Option<CloseCode> {
    error.downcast_ref::<Closed>().map(|closed| closed.0)
}

/// Whether the coordinator itself has said that this shop is no member. Nobody else can.
pub(crate) fn says_no_member(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.code == ErrorCode::NotEnrolled)
}

/// Whether a join code was wrong, used or expired: another try with it says the same.
pub(crate) fn is_refused_code(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.code == ErrorCode::JoinRefused)
}

pub(crate) fn no_member() -> anyhow::Error {
    unexpected(Reply::Error {
        code: ErrorCode::NotEnrolled,
        detail: String::new(),
    })
}

pub(crate) fn not_to_the_question() -> anyhow::Error {
    anyhow!("the coordinator's answer does not belong to the question")
}

pub(crate) fn refusal_in(error: &anyhow::Error) -> Option<CertificateRefusal> {
    match error.downcast_ref::<TransportError>() {
        Some(TransportError::Refused { refusal, .. }) => Some(*refusal),
        _ => error.downcast_ref::<CertificateRefusal>().copied(),
    }
}

/// With the times and the remedy, if certificates were the reason.
pub(crate) fn explained(error: anyhow::Error, membership: &Membership, now: Timestamp) -> anyhow::Error {
    let (Some(refusal), Some(validity)) = (refusal_in(&error), Validity::of(&membership.certificate)) else {
        return error;
    };
    let (from, until, now_text) = (date(validity.from), date(validity.until), date(now));
    let words = match refusal {
        CertificateRefusal::CoordinatorsTime | CertificateRefusal::OwnTime if now < validity.from => format!(
            "this machine's clock says {now_text}, which is before this shop was certified ({from}): set the clock"
        ),
        CertificateRefusal::CoordinatorsTime => format!(
            "this machine's clock says {now_text}; if that is right, the coordinator's clock or certificate is wrong: tell \
             the operator"
        ),
        CertificateRefusal::OwnTime if now > validity.until => format!(
            "this shop's certificate has run out on {until} while the shop was away: the operator revokes and invites this \
             shop, then `souk-client join CODE --again` takes part with the same key and ledger"
        ),
        CertificateRefusal::OwnTime => format!(
            "this shop's certificate is valid from {from} to {until}, and by this machine's clock it is {now_text}: the \
             coordinator's clock is off, or this one is; compare both"
        ),
        CertificateRefusal::OwnAuthority | CertificateRefusal::CoordinatorsAuthority => {
            "a new join code and `souk-client join CODE --again` take part with the same key and ledger"
                .to_owned()
        }
    };
    error.context(words)
}

//! Joiners: each is answered here, and each stands in the operator's log and in the record.

use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;
use souk_common::wire::messages::{ErrorCode, Reply};

use super::{Dialogue, Handled, Next, ended_by, failure};
use crate::engine::{Engine, Output};
use crate::membership::registry::{Applicant, Desk, JoinError};
use crate::round::Event;
use crate::store::RefusalCause;

impl Dialogue {
    /// Makes the holder of an invitation a member, or says why not; either way in the operator's log and the record.
    pub(super) fn join(
        &self,
        engine: &mut Engine,
        now: Timestamp,
        (secret, csr): (&[u8; 16], &[u8]),
        from: IpAddr,
    ) -> Handled {
        let certification = self.certification();
        let issue = |shop: &ShopName| {
            certification
                .certifying()
                .issue_shop_for(self.life, csr, shop, now)
        };
        let applicant = Applicant {
            secret,
            from: Some(from),
        };
        let enrolled = self.desk().enrol(engine.store(), now, applicant, issue);
        match enrolled {
            Ok((enrolled, certificate)) => {
                let reply = Reply::Joined {
                    certificate,
                    // The one that the join code names. Of another one the shop learns when it checks in.
                    ca: certification.serving().certificate().to_vec(),
                    shop: enrolled.shop.clone(),
                    signing_key: engine.public_key(),
                };
                let report = Output::Report(enrolled.to_string());
                let outputs = engine.handle(now, Event::Enrolled(enrolled.shop));
                Handled {
                    next: Next::Reply(reply),
                    outputs: outputs.map(|outputs| [report].into_iter().chain(outputs).collect()),
                }
            }
            Err(JoinError::Store(error)) => ended_by(error),
            Err(error) => {
                tracing::info!(%from, %error, "a try to enrol was refused");
                Handled {
                    next: Next::Reply(refusal(&error)),
                    outputs: Ok(self.write_refusals(engine, now, false).into_iter().collect()),
                }
            }
        }
    }

    /// When refused tries to enrol are to be written; none while there are none.
    pub fn refusals_due(&self) -> Option<Timestamp> {
        self.desk().due()
    }

    /// Writes the refused tries to enrol that are due (all, at the `end`) into the record; what the operator is told.
    pub fn write_refusals(&self, engine: &mut Engine, now: Timestamp, end: bool) -> Option<Output> {
        match self.desk().write(engine.store(), now, end) {
            Ok(refusals) => refusals.map(|refusals| Output::Report(refusals.to_string())),
            Err(error) => {
                tracing::error!(%error, "refused tries to enrol are not in the record yet");
                None
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an applicant is told. Whoever has no code that works learns nothing about those of others.
fn refusal(error: &JoinError) -> Reply {
    let (code, words) = match error {
        JoinError::Store(error) => (ErrorCode::Internal, error.to_string()),
        JoinError::Refused { cause, shop, .. } => match (cause, shop) {
            (RefusalCause::TooManyTries, _) => (ErrorCode::TooManyTries, "wait a minute".to_owned()),
            (RefusalCause::BadRequest, _) => (
                ErrorCode::BadRequest,
                "the request for a certificate is not signed by its own Ed25519 key".to_owned(),
            ),
            (RefusalCause::NameEnrolled, Some(shop)) => (
                ErrorCode::JoinRefused,
                format!(
                    "{shop} is enrolled, by another key: in the folder with that key `souk-client join CODE --again` takes this \
                     code; if that folder is lost, the operator has to say `revoke {shop}` and invite it anew"
                ),
            ),
            _ => (
                ErrorCode::JoinRefused,
                "the code is wrong, used or expired, or a newer one has taken its place; ask for a new one"
                    .to_owned(),
            ),
        },
    };
    failure(code, &words)
}

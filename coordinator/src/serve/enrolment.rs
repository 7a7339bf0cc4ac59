//! Joiners: each is answered here, and each stands in the operator's log and in the record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use souk_common::ids::ShopName;
use souk_common::wire::messages::{ErrorCode, Reply};

use super::session::failure;
use super::state::ServeState;
use crate::engine::Engine;
use crate::membership::registry::{Applicant, JoinError};
use crate::store::RefusalCause;

/// Makes the holder of an invitation a member, or says why not; either way in the operator's log and the record.
pub(super) fn enrol(
    hub: &ServeState,
    engine: &mut Engine,
    secret: &[u8; 16],
    csr: &[u8],
    from: IpAddr,
) -> Result<(ShopName, Reply), Box<Reply>> {
    let now = hub.now();
    let certification = hub.certificates.certification();
    let life = hub.certificates.lives.shop;
    let issue = |shop: &ShopName| certification.certifying().issue_shop_for(life, csr, shop, now);
    let applicant = Applicant {
        secret,
        from: Some(from),
    };
    let mut desk = hub.desk();
    let enrolled = desk.enrol(engine.store(), now, applicant, issue);
    drop(desk);
    match enrolled {
        Ok((enrolled, certificate)) => {
            hub.report(&enrolled.to_string());
            let reply = Reply::Joined {
                certificate,
                // The one that the join code names. Of another one the shop learns when it checks in.
                ca: certification.serving().certificate().to_vec(),
                shop: enrolled.shop.clone(),
                signing_key: engine.public_key(),
            };
            Ok((enrolled.shop, reply))
        }
        Err(error) => {
            tracing::info!(%from, %error, "a try to enrol was refused");
            hub.write_refusals(engine, false);
            Err(Box::new(refusal(&error)))
        }
    }
}

/// What an applicant is told. Whoever has no code that works learns nothing about those of others.
fn refusal(error: &JoinError) -> Reply {
    let (code, words) = match error {
        JoinError::Store(error) => return failure(ErrorCode::Internal, &error.to_string()),
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

impl ServeState {
    /// Writes the refused tries to enrol that are due (all, at the `end`) into the record, and tells the operator.
    fn write_refusals(&self, engine: &mut Engine, end: bool) {
        let now = self.now();
        let written = self.desk().write(engine.store(), now, end);
        match written {
            Ok(Some(refusals)) => self.report(&refusals.to_string()),
            Ok(None) => self.refused.notify_one(),
            Err(error) => tracing::error!(%error, "refused tries to enrol are not in the record yet"),
        }
    }

    /// Writes refused tries when they are due, and what is left at the end.
    pub(super) async fn keep_refusals(hub: Arc<Self>) {
        let mut ended = false;
        while !ended {
            let due = hub.desk().due();
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep(due.since(hub.now()).max(SOON)).await,
                    None => hub.refused.notified().await,
                }
            };
            tokio::select! {
                () = hub.stop.cancelled() => ended = true,
                () = wait => {}
            }
            if due.is_some() || ended {
                let (hub, end) = (Arc::clone(&hub), ended);
                let keeper = Arc::clone(&hub);
                keeper
                    .keeper
                    .ask(move |engine: &mut Engine| hub.write_refusals(engine, end))
                    .await;
            }
        }
    }
}

/// A store that fails is not asked again at once.
const SOON: Duration = Duration::from_secs(1);

//! Where shops enrol: each try is decided here, and each stands in the record and in the operator's log.
//!
//! An enrolment is an entry of its own, in the transaction that makes the member. Refused tries are gathered, for strangers
//! decide how many there are: the first is written at once, what follows a minute later at the earliest, and twice as late
//! each time, up to an hour, until an hour was quiet. One entry names [`MOST_KINDS`] kinds and counts the rest. So strangers,
//! from however many addresses and however they pace themselves, add about three entries of two kilobytes in an hour at most.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{PkiError, key_of};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::secagg::records::fingerprint;
use souk_common::transport::address_of;

use super::join_codes::{Code, enrolled, hashed, look_up};
use super::tries::JoinTries;
use crate::store::{
    CodeEnd, Enrolled, EnrolmentRefusal, Entry, RefusalCause, Refusals, ShopRecord, Standing, Store,
    StoreError,
};

/// One who wants to enrol.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Of its join code.
    pub secret: &'a [u8; 16],
    /// Where it is; none: on this machine, in the operator's own program.
    pub from: Option<IpAddr>,
}

/// Decides about applicants.
#[derive(Debug, Default)]
pub struct Desk {
    tries: JoinTries,
    gathered: Option<Refusals>,
    /// When what is gathered may be written, and how long that was put off.
    not_before: Timestamp,
    put_off: Duration,
}

/// Why there is no new member.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The applicant's fault.
    #[error("{}{}", .cause.words(), .shop.as_ref().map(|shop| format!(" ({shop})")).unwrap_or_default())]
    Refused {
        /// Why.
        cause: RefusalCause,
        /// Whose code it is or was.
        shop: Option<ShopName>,
        /// The key that wanted a certificate, where the code is or was a shop's.
        key: Option<Digest>,
    },
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Desk {
    /// Makes an applicant a member, with the certificate that `issue` makes for its name.
    ///
    /// # Errors
    /// Why not; it is counted and gathered already.
    pub fn enrol(
        &mut self,
        store: &mut Store,
        now: Timestamp,
        applicant: Applicant<'_>,
        issue: impl FnOnce(&ShopName) -> Result<Vec<u8>, PkiError>,
    ) -> Result<(Enrolled, Vec<u8>), JoinError> {
        let from = applicant.from;
        let result = match from.is_none_or(|from| self.tries.may_try(now, from)) {
            true => {
                let works = matches!(look_up(store, now, applicant.secret)?, Code::Works(_));
                let decided = decide(store, now, applicant, issue);
                // A code that is used a second time adds to the record as often as it is.
                if let Some(from) = from.filter(|_| !works && decided.is_ok()) {
                    self.tries.failed(now, from);
                }
                decided
            }
            false => Err(refused(RefusalCause::TooManyTries, None, None)),
        };
        if let (Err(JoinError::Refused { cause, shop, key }), Some(from)) = (&result, from) {
            // Whoever has a code that works need not guess.
            if !matches!(cause, RefusalCause::TooManyTries | RefusalCause::BadRequest) {
                self.tries.failed(now, from);
            }
            self.gather(now, *cause, from, shop.clone(), *key);
        }
        result
    }

    /// When refused tries are to be written; none while there are none.
    pub fn due(&self) -> Option<Timestamp> {
        self.gathered.as_ref().map(|_| self.not_before)
    }

    /// Writes the refused tries that are due (all, at the `end`) into the record.
    ///
    /// # Errors
    /// Of the store; they are kept for the next time.
    pub fn write(
        &mut self,
        store: &mut Store,
        now: Timestamp,
        end: bool,
    ) -> Result<Option<Refusals>, StoreError> {
        let is_due = |due| end || due <= now;
        let Some(refusals) = self.gathered.take_if(|_| is_due(self.not_before)) else {
            return Ok(None);
        };
        let entry = Entry::EnrolmentsRefused(refusals.clone());
        if let Err(error) = store.change(|change| change.append(now, entry)) {
            self.gathered = Some(refusals);
            return Err(error);
        }
        let quiet = refusals.since.since(self.not_before);
        self.put_off = match quiet < LONGEST_PAUSE {
            true => (self.put_off * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
            false => FIRST_PAUSE,
        };
        self.not_before = now + self.put_off;
        Ok(Some(refusals))
    }

    fn gather(
        &mut self,
        now: Timestamp,
        cause: RefusalCause,
        from: IpAddr,
        shop: Option<ShopName>,
        key: Option<Digest>,
    ) {
        let refusals = self.gathered.get_or_insert_with(|| Refusals {
            since: now,
            tries: 0,
            of: Vec::new(),
            others: 0,
        });
        refusals.tries += 1;
        let from = shown(from);
        let same = |one: &&mut EnrolmentRefusal| {
            (one.cause, &one.from, &one.shop, one.key) == (cause, &from, &shop, key)
        };
        if let Some(one) = refusals.of.iter_mut().find(same) {
            one.tries += 1;
            return;
        }
        if refusals.of.len() >= MOST_KINDS {
            // Whoever has a code that is or was a shop's is named before those who guess.
            let guess = shop
                .as_ref()
                .and_then(|_| refusals.of.iter().rposition(|one| one.shop.is_none()));
            let Some(guess) = guess else {
                refusals.others += 1;
                return;
            };
            refusals.others += refusals.of.remove(guess).tries;
        }
        let named = refusals.of.iter().filter(|one| one.shop.is_some()).count();
        let place = if shop.is_some() { named } else { refusals.of.len() };
        let tries = 1;
        refusals.of.insert(
            place,
            EnrolmentRefusal {
                cause,
                from,
                shop,
                key,
                tries,
            },
        );
    }
}

fn decide(
    store: &mut Store,
    now: Timestamp,
    applicant: Applicant<'_>,
    issue: impl FnOnce(&ShopName) -> Result<Vec<u8>, PkiError>,
) -> Result<(Enrolled, Vec<u8>), JoinError> {
    let (shop, cause) = match look_up(store, now, applicant.secret)? {
        Code::Works(shop) => (shop, None),
        Code::Worked(shop, cause) => (shop, Some(cause)),
        Code::Unknown => return Err(refused(RefusalCause::WrongCode, None, None)),
    };
    // Also for a code that works no more: by which key it was tried is what the operator wants to know. Nobody gets to see
    // that certificate.
    let issued = issue(&shop);
    let key = issued
        .as_ref()
        .ok()
        .and_then(|certificate| key_shown(certificate));
    let is_used = cause == Some(RefusalCause::EndedCode(CodeEnd::Used));
    // A used one may be tried again by the key that joined with it: `enrol` looks at that.
    if let Some(cause) = cause.filter(|_| !is_used || issued.is_err()) {
        return Err(refused(cause, Some(shop), key));
    }
    let Ok(certificate) = issued else {
        return Err(refused(RefusalCause::BadRequest, Some(shop), None));
    };
    let enrolled = enrol(store, now, &shop, &certificate, applicant)?;
    Ok((enrolled, certificate))
}

/// Makes the holder of a certificate a member, uses up the code, ends all others of that name and says so in the record: all
/// or nothing of it.
///
/// # Errors
/// When the code does not work for `shop`, the name is enrolled by another key, or of the store.
pub fn enrol(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    certificate: &[u8],
    applicant: Applicant<'_>,
) -> Result<Enrolled, JoinError> {
    let identity = key_of(certificate).map(|key| hex::text(&key)).unwrap_or_default();
    let key = key_shown(certificate);
    let before = enrolled(store, shop)?;
    let is_own = before
        .as_ref()
        .is_some_and(|member| !identity.is_empty() && member.identity == identity);
    match look_up(store, now, applicant.secret)? {
        Code::Works(name) if name == *shop => {}
        // A shop that stopped before it had stored the answer asks again: by the key that was enrolled, and it was not here yet.
        Code::Worked(name, RefusalCause::EndedCode(CodeEnd::Used))
            if name == *shop && is_own && before.as_ref().is_some_and(|member| member.seen_at.is_none()) => {}
        Code::Worked(name, cause) => return Err(refused(cause, Some(name), key)),
        _ => return Err(refused(RefusalCause::WrongCode, None, None)),
    }
    if before.is_some() && !is_own {
        return Err(refused(RefusalCause::NameEnrolled, Some(shop.clone()), key));
    }
    let member = ShopRecord {
        fingerprint: Digest::of(certificate).to_string(),
        standing: Standing::Enrolled,
        enrolled_at: now,
        seen_at: None,
        software: String::new(),
        identity,
        certificate: hex::text(certificate),
        issued: String::new(),
        authorities: 0,
        clock_ahead_ms: None,
    };
    let enrolled = Enrolled {
        shop: shop.clone(),
        key,
        from: applicant.from.map(shown),
        again: before.is_some(),
    };
    store.change(|change| {
        change.take_invitation(&hashed(applicant.secret), now)?;
        change.end_codes_of(shop, CodeEnd::Enrolled, now)?;
        change.set_shop(shop, &member)?;
        change.append(now, Entry::Enrolled(enrolled.clone()))
    })?;
    Ok(enrolled)
}

fn refused(cause: RefusalCause, shop: Option<ShopName>, key: Option<Digest>) -> JoinError {
    JoinError::Refused { cause, shop, key }
}

fn key_shown(certificate: &[u8]) -> Option<Digest> {
    key_of(certificate).map(|key| fingerprint(&key))
}

/// What counts as one address, in words.
fn shown(from: IpAddr) -> String {
    match address_of(from) {
        IpAddr::V6(net) => format!("{net}/64"),
        address => address.to_string(),
    }
}

/// Kinds of refused tries that one entry tells apart.
pub(crate) const MOST_KINDS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

//! What keeps a membership going over the years: the coordinator is asked on every arrival and once an hour whom to trust,
//! what time it is, and how far this shop's ledger was when it last received an update.
//!
//! A certificate is renewed over the connection that stands, for the key that it is for: owners of other shops have compared
//! that key, and nothing may change it silently. What changes is on disk before the coordinator is told that it is held.

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Validity, request_for};
use souk_common::date::date;
use souk_common::privacy::ledger::LedgerError;

use super::Membership;
use crate::folder::Folder;

use crate::link::requests::Outgoing;
use crate::link::{Heard, Showed};
use crate::training::Attempts;

/// A membership, and what is remembered from one look to the next.
pub struct Renewal {
    folder: Folder,
    membership: Membership,
    look_at: Timestamp,
    /// No renewal is asked for before.
    renew_at: Timestamp,
    clock_is_off: bool,
    /// Whether this connection's first welcome has come.
    welcomed: bool,
    acts: Vec<RenewalAction>,
}

/// What it leaves to whoever runs it, in this order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful, taken apart at once")]
pub enum RenewalAction {
    /// Tell the owner.
    Tell(String),
    /// Say this to the coordinator.
    Post(Outgoing),
}

/// The ledger lacks what this shop once sent.
#[derive(Debug, thiserror::Error)]
#[error("this shop takes part in nothing, for its ledger is not its newest: {0}")]
pub struct NotNewest(LedgerError);

impl Renewal {
    /// Of a folder's membership.
    pub fn new(folder: &Folder, membership: Membership, now: Timestamp) -> Self {
        Self {
            folder: folder.clone(),
            membership,
            acts: Vec::new(),
            look_at: now + BETWEEN_LOOKS,
            renew_at: Timestamp(0),
            clock_is_off: false,
            welcomed: false,
        }
    }

    /// The membership as it is in the folder.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// When to look again.
    pub fn look_at(&self) -> Timestamp {
        self.look_at
    }

    /// Checks in again; without a connection, the next arrival does.
    pub fn look(&mut self, now: Timestamp) -> Vec<RenewalAction> {
        self.look_again(now);
        std::mem::take(&mut self.acts)
    }

    /// A second welcome on one connection says that there is something new to hear.
    pub fn welcomed(&mut self, now: Timestamp) -> Vec<RenewalAction> {
        if std::mem::replace(&mut self.welcomed, true) {
            self.look_again(now);
        }
        std::mem::take(&mut self.acts)
    }

    fn look_again(&mut self, now: Timestamp) {
        self.look_at = now + BETWEEN_LOOKS;
        self.post(Outgoing::CheckIn(Box::new(self.membership.clone())));
    }

    fn tell(&mut self, line: &str) {
        self.acts.push(RenewalAction::Tell(line.to_owned()));
    }

    fn post(&mut self, what: Outgoing) {
        self.acts.push(RenewalAction::Post(what));
    }

    /// Takes in what the coordinator says of this shop.
    ///
    /// # Errors
    /// When the ledger is not this shop's newest ([`NotNewest`]), or the folder can't be written.
    pub fn hear(
        &mut self,
        now: Timestamp,
        heard: &Heard,
        workshop: &Attempts,
    ) -> anyhow::Result<Vec<RenewalAction>> {
        if let Some(receipt) = &heard.receipt {
            workshop.must_account_for(receipt).map_err(NotNewest)?;
        }
        if heard.clock.is_off() != self.clock_is_off {
            self.clock_is_off = heard.clock.is_off();
            let clock = heard.clock;
            self.tell(&match clock.is_off() {
                true => format!("this machine's clock is {clock}: set it (rounds go on meanwhile)"),
                false => format!("this machine's clock is right again: {clock}"),
            });
        }
        let mut changed = self.used_certificate(heard)?;
        match self.membership.with_authorities(&heard.authorities) {
            Ok(None) => {}
            Ok(Some(membership)) => {
                let trusted = self.membership.roots();
                self.keep(membership)?;
                changed = true;
                self.renew_at = Timestamp(0);
                if self.membership.roots() != trusted {
                    self.tell(match self.membership.other_cas.is_empty() {
                        true => "the federation's old certificate authority is trusted no more",
                        false => {
                            "the federation has a new certificate authority: both are trusted from now on"
                        }
                    });
                }
            }
            Err(error) => self.tell(&error.to_string()),
        }
        if self.membership.renewal_is_due(now) && now >= self.renew_at {
            self.renew_at = now + RENEWAL_PATIENCE;
            let key = self.membership.identity(&self.folder)?.key;
            self.post(Outgoing::Renew(request_for(&key)?));
        } else if changed {
            self.look_again(now);
        }
        self.look_in_time(now);
        Ok(std::mem::take(&mut self.acts))
    }

    /// On arrival it shows which certificate is taken: the other one goes.
    fn used_certificate(&mut self, heard: &Heard) -> anyhow::Result<bool> {
        let Some(showed) = heard.showed else {
            return Ok(false);
        };
        self.welcomed = false;
        let Some(former) = self.membership.former_certificate.clone() else {
            return Ok(false);
        };
        let certificate = match showed {
            Showed::Present => self.membership.certificate.clone(),
            Showed::Former => {
                self.tell(
                    "the renewed certificate was not taken, the one before it was: asking for another one",
                );
                former.0
            }
        };
        self.keep(Membership {
            certificate,
            former_certificate: None,
            ..self.membership.clone()
        })?;
        Ok(true)
    }

    /// Stores a renewed certificate, then tells the coordinator that it is held.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn take(
        &mut self,
        now: Timestamp,
        renewed: anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Vec<RenewalAction>> {
        let again_at = Validity::of(&self.membership.certificate)
            .map_or(now + BETWEEN_LOOKS, |validity| validity.try_again_at(now));
        match renewed.and_then(|certificate| self.membership.with_certificate(certificate, now)) {
            // By the coordinator's clock it is not due: one of the two clocks is off.
            Ok(same) if same.certificate == self.membership.certificate => self.renew_at = again_at,
            Ok(membership) => {
                self.keep(membership)?;
                self.renew_at = match self.membership.renewal_is_due(now) {
                    true => again_at,
                    false => Timestamp(0),
                };
                let until = Validity::of(&self.membership.certificate)
                    .map_or_else(String::new, |validity| date(validity.until));
                self.tell(&format!(
                    "this shop's certificate was renewed: valid until {until}"
                ));
                self.look_again(now);
            }
            Err(error) => {
                self.renew_at = again_at;
                self.tell(&format!(
                    "the certificate was not renewed, trying again: {error:#}"
                ));
            }
        }
        self.look_in_time(now);
        Ok(std::mem::take(&mut self.acts))
    }

    /// Not later than it takes to renew in time.
    fn look_in_time(&mut self, now: Timestamp) {
        let due = Validity::of(&self.membership.certificate).map(|validity| validity.renew_at());
        let due = due.unwrap_or(now + BETWEEN_LOOKS).max(self.renew_at);
        // While a renewal is asked for it is due already.
        let soonest = now + SOONEST;
        self.look_at = self.look_at.min(due).max(soonest);
    }

    fn keep(&mut self, membership: Membership) -> anyhow::Result<()> {
        membership.store(&self.folder)?;
        self.membership = membership;
        Ok(())
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_secs(3600);
const SOONEST: Duration = Duration::from_secs(1);
/// How long an answer to a request for a certificate may take.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(60);

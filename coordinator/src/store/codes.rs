//! Join codes: pending ones, and those that work no more. Neither holds a secret, only its digest.

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};

use super::backend::Table;
use super::{Change, Store, StoreError, all_from};

/// An invitation that was not used yet; stored under the digest of its secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Invitation {
    /// For whom.
    pub shop: ShopName,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was made; none of one that was made before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
}

/// A code that works no more, kept for a while so that who tries it can be told apart from who guesses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct EndedCode {
    /// What it was.
    pub invitation: Invitation,
    /// What ended it.
    pub by: CodeEnd,
    /// When.
    pub at: Timestamp,
}

/// What ends a code before it expires.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeEnd {
    /// A shop joined with it.
    Used,
    /// A shop joined with another code of that name.
    Enrolled,
    /// A newer invitation of that name.
    Replaced,
    /// The operator's `revoke`.
    Revoked,
    /// The shop left.
    Left,
    /// The operator's `invite --cancel`.
    Cancelled,
}

impl Store {
    /// The invitation with this secret, which stays.
    ///
    /// # Errors
    /// Of the store.
    pub fn invitation(&self, secret: &Digest) -> Result<Option<Invitation>, StoreError> {
        self.get(Table::Invitations, &secret.to_string())
    }

    /// The code with this secret that works no more, if it is still known.
    ///
    /// # Errors
    /// Of the store.
    pub fn ended_code(&self, secret: &Digest) -> Result<Option<EndedCode>, StoreError> {
        self.get(Table::EndedCodes, &secret.to_string())
    }

    /// All invitations that nobody has used, expired ones included.
    ///
    /// # Errors
    /// Of the store.
    pub fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let all = self.all(Table::Invitations)?.into_iter();
        Ok(all.map(|(_, invitation)| invitation).collect())
    }
}

impl Change<'_> {
    /// Keeps an invitation under the digest of its secret.
    ///
    /// # Errors
    /// Of the store.
    pub fn invite(&mut self, secret: &Digest, invitation: &Invitation) -> Result<(), StoreError> {
        self.put(Table::Invitations, &secret.to_string(), invitation)
    }

    /// Takes the invitation with this secret out of the pending ones: it works once.
    ///
    /// # Errors
    /// Of the store.
    pub fn take_invitation(
        &mut self,
        secret: &Digest,
        at: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let taken: Option<Invitation> = self.get(Table::Invitations, &secret.to_string())?;
        if let Some(invitation) = &taken {
            self.end_code(&secret.to_string(), invitation, CodeEnd::Used, at)?;
        }
        Ok(taken)
    }

    /// Ends all pending codes of a name; how many of them would still have worked.
    ///
    /// # Errors
    /// Of the store.
    pub fn end_codes_of(&mut self, shop: &ShopName, by: CodeEnd, at: Timestamp) -> Result<u64, StoreError> {
        let mut worked = 0;
        for (secret, invitation) in all_from::<Invitation>(&*self.transaction, Table::Invitations, "")? {
            if invitation.shop == *shop {
                worked += u64::from(at < invitation.expires_at);
                self.end_code(&secret, &invitation, by, at)?;
            }
        }
        Ok(worked)
    }

    /// Forgets codes that expired before `before`.
    ///
    /// # Errors
    /// Of the store.
    pub fn forget_codes(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.forget_rows(Table::Invitations, "", |value| {
            is_older::<Invitation>(value, before, |code| code.expires_at)
        })?;
        self.forget_rows(Table::EndedCodes, "", |value| {
            is_older::<EndedCode>(value, before, |code| code.invitation.expires_at)
        })
    }

    fn end_code(
        &mut self,
        secret: &str,
        invitation: &Invitation,
        by: CodeEnd,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.transaction.remove(Table::Invitations, secret)?;
        let invitation = invitation.clone();
        self.put(Table::EndedCodes, secret, &EndedCode { invitation, by, at })
    }
}

/// One that can't be read is kept: it is told where it is asked for.
fn is_older<T: serde::de::DeserializeOwned>(
    value: &[u8],
    before: Timestamp,
    expires_at: impl FnOnce(&T) -> Timestamp,
) -> bool {
    serde_json::from_slice(value).is_ok_and(|code| expires_at(&code) < before)
}

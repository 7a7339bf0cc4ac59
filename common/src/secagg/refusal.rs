//! Why a shop goes no further.

use super::records::RosterError;
use crate::ids::ShopName;

/// Why a shop takes no further part in a masked attempt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// This shop is missing, or other keys stand in its place.
    #[error("the list lacks this shop, or shows other keys for it")]
    Absent,
    /// Too few shops that the owner has confirmed.
    #[error("{known} shops that the owner has confirmed; it takes {least} (`souk-client shops`)")]
    Unknown {
        /// How many, this one included.
        known: usize,
        /// How many it takes.
        least: usize,
    },
    /// A key that agrees on what anybody could know.
    #[error("a key of {shop} is of small order")]
    WeakKey {
        /// Whose.
        shop: ShopName,
    },
    /// A list that is no part of the one before, or does not ascend.
    #[error("the list is no part of the one before it")]
    NoPart,
    /// Too few shops in R2 for F signatures, or for T shares of this shop's secrets.
    #[error(
        "only {got} shops are left of those whose signatures or shares it takes to unmask the sum, of which it takes {least}: nothing is charged"
    )]
    TooFewSharers {
        /// How many.
        got: usize,
        /// How many it takes.
        least: usize,
    },
    /// A share that its maker did not sign as it came.
    #[error(
        "the coordinator passed on a share of {maker} that is not the one {maker} signed: ask the operator"
    )]
    Altered {
        /// Whose.
        maker: ShopName,
    },
    /// A survivor made its masks for other lists than this shop did.
    #[error(
        "the coordinator counts {shop}, which did not sign the list of sharers (H2) that this shop's masks are made for: \
         it shows shops different lists; nothing is revealed"
    )]
    Unbound {
        /// Which survivor.
        shop: ShopName,
    },
    /// Another list of survivors was answered before.
    #[error("another list of survivors was answered in this attempt")]
    SecondList,
    /// Too few signatures on the list of survivors.
    #[error("{got} shops signed the list of survivors; it takes {least}")]
    Unconfirmed {
        /// Valid signatures by survivors.
        got: usize,
        /// How many it takes.
        least: usize,
    },
}

pub(super) fn enough(known: usize, least: usize) -> Result<(), Refusal> {
    if known < least {
        return Err(Refusal::Unknown { known, least });
    }
    Ok(())
}

/// Whether a list ascends and holds only allowed places.
pub(super) fn part_of(list: &[u32], below: u32, allowed: impl Fn(u32) -> bool) -> Result<(), Refusal> {
    let ascends = list.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascends || list.iter().any(|shop| *shop >= below || !allowed(*shop)) {
        return Err(Refusal::NoPart);
    }
    Ok(())
}

//! What does not fit.

use crate::ids::ShopName;

/// Why the coordinator does not take something in, or can't unmask.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Not by the shop's key.
    #[error("the signature is not by the shop's key")]
    Signature,
    /// For another attempt, plan, model, list or shop.
    #[error("it belongs to another attempt, plan, model or list")]
    Context,
    /// Of small order.
    #[error("a key is of small order")]
    WeakKey,
    /// Other ones were taken in before.
    #[error("other ones were sent before")]
    Second,
    /// Its list was fixed before, or is not fixed yet.
    #[error("it comes at the wrong time")]
    Late,
    /// Not in the list it takes.
    #[error("the shop is not in the list")]
    Absent,
    /// Not one for each neighbour, or of whom the shop holds none.
    #[error("the shares are not those of the shop's neighbours")]
    Shares,
    /// A threshold that the rules do not give.
    #[error("the threshold of the shares is none that the plan's numbers give")]
    Threshold,
    /// About itself, twice the same, or about a shop of which it holds no share.
    #[error(
        "a complaint is about a shop of which the complaining one holds no share, about itself, or repeated"
    )]
    Complaint,
    /// A revealed share that its maker did not make: the holder that shows it lies.
    #[error("the share of {of} that is revealed is not the one that {of} signed")]
    FalseShare {
        /// Whose secret it would be of.
        of: ShopName,
    },
    /// Shares that fit what their makers signed rebuild something else: the makers lie.
    #[error(
        "the shares that {} signed rebuild nothing that it had committed itself to",
        listed(shops)
    )]
    FalseShares {
        /// The makers.
        shops: Vec<ShopName>,
    },
    /// Too few shares are here.
    #[error("too few shares to rebuild what {} left behind", listed(shops))]
    TooFew {
        /// Whose.
        shops: Vec<ShopName>,
    },
}

fn listed(shops: &[ShopName]) -> String {
    let names: Vec<&str> = shops.iter().map(ShopName::as_str).collect();
    names.join(", ")
}

//! Kind `gan`: a generator that draws items for a customer, and a discriminator that tells what is drawn from what was bought
//! (IRGAN, Wang et al. 2017, arXiv 1705.10513).
//!
//! The generator is G(i | u) = softmax over all items of g_u . v_i / T. The discriminator is one of the other kinds, with logit f,
//! trained as these are, on negatives of which part are drawn by G. Both item sides stand in one joint table, the generator's
//! columns last, and both user sides in one vector that stays in the shop: a customer's update has both, is clipped together
//! and noised once, like that of any other kind.
//!
//! The generator climbs n (a J + b L), for a customer with n items: J = sum_i G(i | u) (2 sigmoid(f_i) - 1), by its policy gradient, and
//! L, the mean log-likelihood of the customer's own items, which keeps it from leaving them. Both gradients are estimated from
//! one draw of items, and name no other items: what every item has in them, -G_j times a sum of weights, is zero where the
//! baseline is the weighted mean reward ([`draw`]), and is stood for by the drawn items in the likelihood.
//!
//! | module | what |
//! |---|---|
//! | [`generator`] | probabilities of all items, and the exact gradient of a user's likelihood |
//! | [`draw`] | items drawn from the generator and the own items, their importance weights, and both gradients at their logits |
//! | [`update`] | a customer's step |
//! | [`collapse`] | whether the generator says the same to everybody |

pub mod collapse;
mod draw;
mod generator;
#[cfg(test)]
mod tests;
mod update;

pub use collapse::Spread;
pub use generator::Generator;
pub(super) use update::Game;

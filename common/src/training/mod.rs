//! Training after the releases of a plan: full-batch rounds that start from what was released, under the same budget.
//!
//! Each round sums one clipped gradient a customer, like a release sums one vector; what follows from the noised sum is one
//! step of an optimiser, which everybody can make again.
//!
//! | module | what |
//! |---|---|
//! | [`phases`] | `[[training]]`: what is trained, how long, and its share of the budget |
//! | [`tower`] | an MLP over what all shops know of a customer and an item |
//! | [`inputs`] | what it is fed |
//! | [`clicks`] | which ads are clicked |
//! | [`shallow`] | the network of both: one hidden layer beside a linear part |
//! | [`embeddings`] | the plan's `[model]`, whose item embeddings start from the released view |
//! | [`trained`] | the parameters so far, the next step, and their bytes |
//! | [`channels`] | what a shop's stack scores with after it |
//! | [`optimiser`] | from a mean update to the next parameters |

pub mod channels;
pub mod clicks;
pub mod embeddings;
pub mod inputs;
pub mod optimiser;
pub mod phases;
pub mod shallow;
pub mod tower;
pub mod trained;

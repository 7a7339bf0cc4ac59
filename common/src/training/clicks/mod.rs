//! Which ads are clicked: a small network over what a customer was shown, clicked and bought.
//!
//! | module | what |
//! |---|---|
//! | [`inputs`] | what it is fed: the public catalogue and the customer's own record, as it was when the ad was shown |
//! | [`tower`] | the network, its loss, and click probabilities |

pub mod inputs;
pub mod tower;

//! Ways to score items for a user without a trained network.
//!
//! | module | what |
//! |---|---|
//! | [`popularity`] | the same order for everybody |
//! | [`ease`] | a linear item-to-item model in closed form |

pub mod ease;
pub mod popularity;

pub use ease::Ease;
pub use popularity::Popularity;

//! What is summed: integers modulo 2^b on a plan's grid.
//!
//! | module | what |
//! |---|---|
//! | [`modulus`] | b |
//! | [`values`] | the integers |
//! | [`blocks`] | its parts: the update, quality counts |
//! | [`grid`] | how many grid units a unit of the model is |

pub mod blocks;
pub mod grid;
pub mod modulus;
pub mod values;

pub use blocks::{Block, BlockName};
pub use grid::{Counts, CountsGrid, Grid};
pub use modulus::{ModulusBits, ModulusError};
pub use values::{Update, UpdateValues};

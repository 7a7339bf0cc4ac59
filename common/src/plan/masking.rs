//! What a plan's masking comes to.

use super::Plan;
use crate::secagg::{MaskingParams, Safeguards};

impl Plan {
    /// The numbers of its masks; none without `[masking]`.
    pub fn masking_params(&self) -> Option<MaskingParams> {
        let masking = self.masking.as_ref()?;
        Some(MaskingParams {
            min_shops: masking.min_shops,
            colluding: masking.colluding,
            neighbours: masking.neighbours,
            cipher: masking.cipher,
            bits: self.privacy.modulus_bits,
            safeguards: Safeguards::ALL,
        })
    }
}

//! What a plan's rounds sum, block by block.

use super::Plan;
use crate::params::NoiseMultiplier;
use crate::update::blocks::{Block, BlockName, together};
use crate::update::{CountsGrid, Grid};

impl Plan {
    /// What a round sums for a model of `coordinates` parameters, in the order of the coordinates. A further statistic is one
    /// more block here.
    pub fn blocks(&self, coordinates: usize) -> Vec<Block> {
        let noise = self.privacy.noise_multiplier;
        let mut blocks = vec![Block {
            name: BlockName::Update,
            coordinates: 0..coordinates,
            sensitivity: 1.0,
            noise_multiplier: noise,
        }];
        if let Some(metrics) = self.metrics {
            let end = coordinates + CountsGrid::COORDINATES;
            blocks.push(Block {
                name: BlockName::Counts,
                coordinates: coordinates..end,
                sensitivity: noise.map_or(1.0, |z| z.get() / metrics.noise_multiplier.get()),
                noise_multiplier: Some(metrics.noise_multiplier),
            });
        }
        blocks
    }

    /// z as the ledger is charged: of all blocks together.
    pub fn charged_noise_multiplier(&self) -> Option<NoiseMultiplier> {
        match self.privacy.enabled {
            true => together(&self.blocks(0)),
            false => None,
        }
    }

    /// Coordinates of an update for a model of `coordinates` parameters: all blocks.
    pub fn update_len(&self, coordinates: usize) -> usize {
        let blocks = self.blocks(coordinates);
        blocks.last().map_or(coordinates, |last| last.coordinates.end)
    }

    /// The quality counts' unit on the plan's grid; none without, or without noise.
    pub fn counts(&self, grid: &Grid) -> Option<CountsGrid> {
        self.privacy.noise_multiplier?;
        let blocks = self.blocks(0);
        let block = blocks.iter().find(|block| block.name == BlockName::Counts)?;
        let most = grid.clip_units() * block.sensitivity;
        Some(CountsGrid {
            unit: (most * std::f64::consts::FRAC_1_SQRT_2 * (1.0 - 8.0 * f64::EPSILON)) as u64,
        })
    }
}

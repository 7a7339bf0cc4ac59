//! Why an item scores as it does. Every channel but popularity is linear in the user's items, so that its part of the
//! score falls into parts of these items, which add up.

use super::Stack;
use super::cases::score_channel;
use crate::channels::scale::{Standard, compress};
use crate::channels::{Recency, recency_weights};

/// What one of the user's items adds to a score through one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The user's item; none for popularity.
    pub item: Option<u32>,
    /// Position of the channel in the stack.
    pub channel: usize,
    /// Its part of the score; may be negative.
    pub part: f32,
}

impl Stack {
    /// The parts of each of `wanted`'s scores for a history of distinct items, earliest first. With the factor
    /// 3 asinh(z/3) / z of the channel's score, past item i adds w r_i (K_ij - mean of K_i.) / (deviation + 1e-6) times
    /// that. The parts of one wanted item add up to its score.
    pub fn evidence(&self, history: &[u32], wanted: &[u32]) -> Vec<Vec<Evidence>> {
        let mut all = vec![Vec::new(); wanted.len()];
        let mut scores = vec![0.0; self.items()];
        for (at, channel) in self.channels().iter().enumerate() {
            let standard = score_channel(&**channel, history, &mut scores);
            let factors: Vec<(f32, f32)> = wanted
                .iter()
                .map(|item| {
                    let z = (scores[*item as usize] - standard.mean) * standard.rate;
                    let bend = if z == 0.0 { 1.0 } else { compress(z) / z };
                    (
                        self.weights()[at] * bend * standard.rate,
                        self.weights()[at] * compress(z),
                    )
                })
                .collect();
            let Some(decay) = channel.decay() else {
                for (parts, (_, part)) in all.iter_mut().zip(factors) {
                    parts.push(Evidence {
                        item: None,
                        channel: at,
                        part,
                    });
                }
                continue;
            };
            for (item, weight) in history.iter().zip(recency_weights(history.len(), decay)) {
                let of = Recency {
                    items: &[*item],
                    weights: &[weight],
                };
                channel.score(of, &mut scores);
                let mean = Standard::of(&scores).mean;
                for ((parts, wanted), (factor, _)) in all.iter_mut().zip(wanted).zip(&factors) {
                    parts.push(Evidence {
                        item: Some(*item),
                        channel: at,
                        part: factor * (scores[*wanted as usize] - mean),
                    });
                }
            }
        }
        all
    }
}

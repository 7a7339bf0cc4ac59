//! Why an item scores as it does. Channels but popularity and what is trained are linear in the user's items, so that their part of
//! the score falls into parts of these items, which add up.

use super::Stack;
use crate::channels::scale::{Standard, compress, score_channel};
use crate::channels::{Recency, recency_weights};

/// What one of the user's items adds to a score through one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The user's item; none for popularity, and for what no single item of a trained channel accounts for.
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
            if !channel.is_linear() {
                let found = match channel.attributed(history, wanted) {
                    Some(raw) => {
                        let scaled = raw.into_iter().zip(&factors).map(|(parts, (factor, _))| {
                            parts
                                .into_iter()
                                .map(|(item, part)| (item, factor * part))
                                .collect()
                        });
                        scaled.collect()
                    }
                    None => {
                        let whole: Vec<f32> = factors.iter().map(|(_, part)| *part).collect();
                        self.left_out(at, history, wanted, &whole)
                    }
                };
                for ((parts, found), (_, whole)) in all.iter_mut().zip(found).zip(&factors) {
                    push(parts, at, &found, *whole);
                }
                continue;
            }
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

    /// Of a channel that can't say more: an item's part is what the score falls by without it.
    fn left_out(&self, at: usize, history: &[u32], wanted: &[u32], whole: &[f32]) -> Vec<Vec<(u32, f32)>> {
        let mut all = vec![Vec::with_capacity(history.len()); wanted.len()];
        let mut scores = vec![0.0; self.items()];
        for (position, item) in history.iter().enumerate() {
            let mut others = history.to_vec();
            others.remove(position);
            let standard = score_channel(&*self.channels()[at], &others, &mut scores);
            for ((parts, wanted), whole) in all.iter_mut().zip(wanted).zip(whole) {
                let without = self.weights()[at] * standard.apply(scores[*wanted as usize]);
                parts.push((*item, whole - without));
            }
        }
        all
    }
}

/// Parts of a channel that is not linear; what is beyond them is no single item's, so that all add up to its score.
fn push(parts: &mut Vec<Evidence>, channel: usize, found: &[(u32, f32)], whole: f32) {
    let named: f32 = found.iter().map(|(_, part)| part).sum();
    parts.extend(found.iter().map(|(item, part)| Evidence {
        item: Some(*item),
        channel,
        part: *part,
    }));
    parts.push(Evidence {
        item: None,
        channel,
        part: whole - named,
    });
}

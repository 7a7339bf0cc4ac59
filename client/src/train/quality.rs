//! How well the broadcast model ranks what a user bought last: counted, under noise, in a plan with `[metrics]`.

use souk_common::dataset::History;
use souk_common::eval::metrics::{hit, rank};
use souk_common::model::Loaded;
use souk_common::rng::Stream;

/// Whether the user's newest purchase is among the first ten of all items that the user had not bought before, with the
/// user's own vector fitted to what came before it; none for users with fewer than two. It depends on nobody else.
///
/// The shared parameters may have been trained on that purchase in earlier rounds: it shows progress, no more.
pub(super) fn hits_newest(
    model: &Loaded,
    history: &History,
    forbidden: &[u32],
    rng: &mut Stream,
) -> Option<bool> {
    let (newest, earlier) = history
        .items
        .split_last()
        .filter(|(_, earlier)| !earlier.is_empty())?;
    let before = History {
        items: earlier.to_vec(),
        times: history.times.get(..earlier.len()).unwrap_or_default().to_vec(),
    };
    let vector = model.fit_user(&before, None, forbidden, rng);
    let mut scores = model.score_all(&vector);
    let score = *scores.get(*newest as usize)?;
    for item in &history.items {
        if let Some(known) = scores.get_mut(*item as usize) {
            *known = f32::NEG_INFINITY;
        }
    }
    Some(hit(rank(score, scores.into_iter()), FIRST) > 0.0)
}

const FIRST: usize = 10;

//! How well the broadcast model ranks what a user bought last: counted, under noise, in a plan with `[metrics]`.

use souk_common::dataset::History;
use souk_common::eval::metrics::{hit, rank};
use souk_common::model::Loaded;
use souk_common::rng::Stream;

/// Whether the user's newest purchase is among the first ten of all items that the user had not bought before, with the
/// user's own vector fitted to what came before it; none for users with fewer than two. It depends on nobody else.
///
/// The shared parameters may have been trained on that purchase in earlier rounds: it shows progress, no more.
pub(crate) fn hits_newest(
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

#[cfg(test)]
mod tests {
    use souk_common::catalogue::{Catalogue, Item};
    use souk_common::model::Recommender;
    use souk_common::model::init::initial_parameters;
    use souk_common::model::work::{MOST_ITEMS, steps};
    use souk_common::rng::stream;

    use super::*;

    #[test]
    fn ranking_a_customer_who_has_nearly_everything_takes_no_more_steps_than_one_at_the_cap() {
        const ITEMS: usize = 20_000;
        let catalogue =
            Catalogue::new((0..ITEMS).map(|row| Item::bare(format!("i{row}"))).collect()).unwrap();
        let config = toml::from_str("kind = \"mf\"\ngmf_dim = 2").unwrap();
        for train in [
            "solver = \"sgd\"\nfit_steps = 3",
            "solver = \"ials\"\nalpha = 0.1\nlambda = 1.0",
        ] {
            let train = toml::from_str(train).unwrap();
            let recommender = Recommender::new(&config, &train, &catalogue);
            let model = recommender.load(initial_parameters(&config, &train, recommender.layout(), 1));
            let work = |count: usize| {
                let history = History {
                    items: (0..count as u32).rev().collect(),
                    times: vec![0; count],
                };
                let mut rng = stream(2, "user");
                let before = steps();
                hits_newest(&model, &history, &[], &mut rng).expect("it can be ranked");
                (steps() - before, rng.get_word_pos())
            };
            let (full, full_words) = work(MOST_ITEMS + 1);
            let (taken, words) = work(ITEMS - 1);
            // Items to leave out are marked once, a step each: at most the catalogue, which is public.
            assert!(
                full > MOST_ITEMS as u64 && taken <= full + ITEMS as u64,
                "{taken} after {full}"
            );
            assert!(
                words <= full_words + full_words / 50,
                "{words} after {full_words}"
            );
        }
    }
}

//! A shop of more users than there is room for: its sum stops at the room, and nothing else about it changes.

use super::*;

/// Users who all pull one way, `at` one of four coordinates.
fn pull(at: usize, value: f32) -> UserUpdate {
    UserUpdate::Sparse {
        ranges: vec![at..at + 1],
        values: vec![value],
    }
}

/// What is let out of `users` users in `parts` parts, with room for `room`, as signed integers.
fn let_out(
    grid: &Grid,
    (users, room): (u64, u64),
    parts: usize,
    fill: impl Fn(&mut PartialSum, u64),
) -> Vec<i64> {
    let counts = Some(CountsGrid { unit: 1 << 15 });
    let mut sum = bare(grid, 0.5, 4 + 2).with_counts(counts).with_room(users, room);
    let mut all: Vec<PartialSum> = (0..parts).map(|_| sum.part()).collect();
    (0..users).for_each(|user| fill(&mut all[user as usize % parts], user));
    all.into_iter().for_each(|part| sum.merge(part));
    if let Some(capped) = sum.capped.take() {
        capped.add_to(&mut sum.sum.values);
    }
    signed(&sum.sum.values)
}

#[test]
fn nine_times_the_users_stop_at_the_room_in_every_coordinate_and_every_block_and_do_not_wrap() {
    for (bits, log2_clip) in [(ModulusBits::B32, 16), (ModulusBits::B64, 24)] {
        let grid = grid(bits, log2_clip, 1.0);
        // The room is what the modulus of 32 bits holds: 20,000 users at 2^16 / 2 and counts of 2^15.
        let (users, room) = (180_000, 20_000);
        for parts in [1, 3] {
            let out = let_out(&grid, (users, room), parts, |part, user| {
                part.add(&pull(usize::from(user % 20 == 0), 1.0));
                part.add(&pull(2, -1.0));
                part.count(user % 20 == 0);
            });
            let most = (room as f64 * 0.5 * grid.clip_units()).ceil() as i64;
            assert_eq!([out[0], out[2]], [most, -most], "{bits:?}, {parts} parts");
            // 9,000 users are within the room: theirs is the exact sum.
            let exact = let_out(&grid, (9_000, room), parts, |part, _| part.add(&pull(1, 1.0)));
            assert_eq!(out[1], exact[1]);
            assert!(out[1] > 0 && out[1] < most && out[3] == 0);
            assert_eq!(out[4..], [20_000 << 15, 9_000 << 15], "{bits:?}, {parts} parts");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_user_more_changes_a_sum_that_is_held_back_by_no_more_than_the_sensitivity(
        updates in proptest::collection::vec(update(), 2..9), grid in any_grid(), room in 1u64..4,
    ) {
        let sum = |updates: &[UserUpdate]| {
            // Held back whether one more is there or not: what is let out is the same as without, where there is room.
            let mut sum = bare(&grid, 1.0, COORDINATES).with_room(100, room);
            updates.iter().for_each(|update| sum.add(update));
            sum.capped.take().expect("100 are more").add_to(&mut sum.sum.values);
            signed(&sum.sum.values)
        };
        let (with, without) = (sum(&updates), sum(&updates[1..]));
        let change: Vec<i64> = with.iter().zip(&without).map(|(one, other)| one - other).collect();
        prop_assert!(squared_norm(&change) <= 1u128 << (2 * grid.log2_clip));
        let few = &updates[..updates.len().min(room as usize)];
        prop_assert_eq!(sum(few), integers(&grid, 1.0, COORDINATES, few));
    }
}

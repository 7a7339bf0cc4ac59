//! What an upload, and a coordinator's whole view, say of an update: nothing.

use super::*;

/// One shop's upload for fixed input, over 1,000 attempts: every bit pattern is as likely as any other.
#[test]
fn an_upload_says_nothing_about_the_update() {
    // Chi-square over bytes: 255 degrees of freedom; above 361 once in 100,000 seeds.
    let chi = |bytes: &[u8]| {
        let mut counts = [0f64; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
        let expected = bytes.len() as f64 / 256.0;
        counts
            .iter()
            .map(|count| (count - expected).powi(2) / expected)
            .sum::<f64>()
    };
    let words = 16;
    let fixed = vec![UpdateValues::B32(vec![3; words]); 3];
    let mut uploads: Vec<Vec<u8>> = vec![Vec::new(); 4];
    for seed in 0..1000 {
        let mut federation = Federation::new(terms(2, 1, None, ModulusBits::B32), &[true; 3], seed);
        federation.share(&[true; 3]).unwrap();
        let masked = federation.mask(&[true; 3], &fixed).unwrap();
        let UpdateValues::B32(upload) = &masked[1].1 else {
            panic!("b = 32")
        };
        for word in upload {
            for (byte, place) in word.to_le_bytes().iter().zip(&mut uploads) {
                place.push(*byte);
            }
        }
    }
    for place in &uploads {
        assert!(chi(place) < 361.0, "{}", chi(place));
    }
    assert!(chi(&[7; 16_000]) > 361.0, "the test can tell");
}

/// After a dropout, the coordinator takes off all that its view and T - 1 shares of the dropped shop's key rebuild; every
/// survivor's upload is still hidden.
#[test]
fn a_dropout_and_one_share_too_few_leave_every_survivor_hidden() {
    let words = 16;
    let fixed = vec![UpdateValues::B32(vec![3; words]); 5];
    let mut left: Vec<u8> = Vec::new();
    for seed in 0..300 {
        let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], seed);
        federation.share(&[true; 5]).unwrap();
        // Shop 4 drops out after its shares: its update never comes.
        let there = [true, true, true, true, false];
        let masked = federation.mask(&there, &fixed).unwrap();
        federation.reveal(&[0, 1, 2, 3], &there).unwrap();
        // Of shop 4's key, one share less than it takes: what these rebuild is not the key.
        federation
            .session
            .revealed
            .get_mut(&0)
            .unwrap()
            .retain(|share| share.of != 4);
        assert_eq!(federation.session.shares_of(4).len(), 3);
        let wrong = shamir::rebuild(&federation.session.shares_of(4));
        let roster = federation.session.roster().unwrap().clone();
        assert_ne!(secrets::public_key(&wrong), roster.get(4).unwrap().mask_key);
        // What the coordinator knows of survivor 1: its own mask (its seed is rebuilt), and the pair mask with a colluding
        // shop, say 0. The one with shop 4 that it would derive from the wrong key comes off as well.
        let bound = records::sharers_digest(&roster.digest(), federation.session.sharers().unwrap());
        let seed = shamir::rebuild(&federation.session.shares_of(1)[..4]);
        assert_eq!(records::commitment(&seed), roster.get(1).unwrap().commitment);
        let agreed = secrets::agree(&wrong, &roster.get(1).unwrap().mask_key).unwrap();
        let known = [
            mask::Mask {
                key: secrets::self_key(&seed, &context(1), &bound),
                sign: mask::Sign::Minus,
            },
            mask::Mask {
                key: secrets::pair_seed(&agreed, &context(1), &bound, [1, 4]),
                sign: mask::Sign::of(1, 4).opposite(),
            },
        ];
        let mut values = masked[1].1.clone();
        mask::apply(MaskCipher::Chacha20, &known, &mut values);
        let UpdateValues::B32(values) = values else {
            panic!("b = 32")
        };
        left.extend(values.iter().flat_map(|word| word.to_le_bytes()));
    }
    let mut counts = [0f64; 256];
    left.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
    let expected = left.len() as f64 / 256.0;
    let chi: f64 = counts
        .iter()
        .map(|count| (count - expected).powi(2) / expected)
        .sum();
    // As above.
    assert!(chi < 361.0, "{chi}");
}

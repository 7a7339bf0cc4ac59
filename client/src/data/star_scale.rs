//! `stars` under `[data]`: the fewest and the most.

use serde::{Deserialize, Serialize};

/// Of which numbers stars are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Vec<f32>", into = "[f32; 2]")]
pub struct StarScale {
    lowest: f32,
    highest: f32,
}

impl Default for StarScale {
    fn default() -> Self {
        Self {
            lowest: 1.0,
            highest: 5.0,
        }
    }
}

impl StarScale {
    /// The fewest.
    pub fn lowest(self) -> f32 {
        self.lowest
    }

    /// The most.
    pub fn highest(self) -> f32 {
        self.highest
    }

    /// Whether so many are of the scale.
    pub fn has(self, stars: f32) -> bool {
        (self.lowest..=self.highest).contains(&stars)
    }
}

impl TryFrom<Vec<f32>> for StarScale {
    type Error = String;

    fn try_from(numbers: Vec<f32>) -> Result<Self, String> {
        match numbers[..] {
            [lowest, highest] if lowest >= 0.0 && lowest < highest && highest <= MOST => {
                Ok(Self { lowest, highest })
            }
            _ => Err(format!(
                "stars = {numbers:?}: it must be the fewest and the most, such as stars = [1, 5], with the fewest below the most and \
                 neither below 0 or above {MOST}"
            )),
        }
    }
}

impl From<StarScale> for [f32; 2] {
    fn from(scale: StarScale) -> Self {
        [scale.lowest, scale.highest]
    }
}

const MOST: f32 = 1000.0;

#[cfg(test)]
mod tests {
    use crate::data::ShopDataConfig;

    #[test]
    fn a_scale_has_two_numbers_the_first_of_which_is_less() {
        let read = |text: &str| toml::from_str::<ShopDataConfig>(&format!("stars = {text}"));
        let scale = read("[0.5, 10]").expect("a scale").stars;
        assert_eq!((scale.lowest(), scale.highest()), (0.5, 10.0));
        assert!(scale.has(0.5) && scale.has(10.0) && !scale.has(0.4));
        for wrong in [
            "[5, 1]",
            "[3, 3]",
            "[nan, 5]",
            "[1, 2, 3]",
            "[1, 1e9]",
            "[1]",
            "[-1, 5]",
        ] {
            let said = read(wrong).expect_err(wrong).to_string();
            assert!(said.contains("stars = [1, 5]"), "{wrong}: {said}");
        }
    }
}

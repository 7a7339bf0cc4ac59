//! Names for made-up products.

/// Eight departments of five product groups each: what things are called.
pub(crate) const GROUPS: [[&str; 5]; 8] = [
    [
        "black tea",
        "ground coffee",
        "hot chocolate",
        "herbal infusion",
        "cordial",
    ],
    [
        "oat biscuits",
        "rye bread",
        "breakfast cereal",
        "crackers",
        "fruit cake",
    ],
    ["cheddar", "yoghurt", "butter", "soft cheese", "custard"],
    [
        "tomato soup",
        "baked beans",
        "pasta sauce",
        "lentils",
        "pickled onions",
    ],
    [
        "apple juice",
        "lemonade",
        "sparkling water",
        "ginger beer",
        "smoothie",
    ],
    ["hand soap", "shampoo", "toothpaste", "bath salts", "face cream"],
    [
        "washing powder",
        "kitchen roll",
        "candles",
        "dish soap",
        "floor polish",
    ],
    [
        "notebook",
        "wool socks",
        "garden twine",
        "tea towel",
        "storage jar",
    ],
];

/// First halves of brand names.
pub(crate) const BRAND_HEADS: [&str; 15] = [
    "Clover", "Ash", "Bram", "Hazel", "Stone", "Winter", "Marsh", "Oak", "Heather", "Silver", "Willow",
    "Thistle", "Copper", "Fern", "Larks",
];

/// Second halves of brand names, one a department.
pub(crate) const BRAND_TAILS: [&str; 8] = [
    "field", "well", "brook", "gate", "mere", "combe", "worth", "haven",
];

/// What sets two products of one brand and group apart.
pub(crate) const KINDS: [&str; 12] = [
    "classic",
    "mild",
    "extra",
    "organic",
    "country",
    "family",
    "fine",
    "golden",
    "light",
    "rich",
    "small batch",
    "everyday",
];

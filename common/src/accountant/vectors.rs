//! The reference tables in tests/vectors.

/// The rows of a table, empty cells as NaN. Fails when it is missing.
pub(crate) fn table(name: &str) -> Vec<Vec<f64>> {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the table is committed; accountant.py makes it");
    let number = |cell: &str| {
        if cell.is_empty() {
            f64::NAN
        } else {
            cell.trim().parse().unwrap()
        }
    };
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(number).collect())
        .collect()
}

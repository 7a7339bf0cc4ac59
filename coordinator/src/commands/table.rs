//! Tables for people: one fact a line, or one thing a row.

/// `key  value` lines, the values below each other.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let rows = facts
        .iter()
        .map(|(key, value)| vec![(*key).to_owned(), value.clone()]);
    aligned(rows.collect())
}

/// A row a thing, under a header.
pub(super) fn columns<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut all = vec![header.map(str::to_owned).to_vec()];
    all.extend(rows.into_iter().map(Vec::from));
    aligned(all)
}

fn aligned(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A size with its unit, decimal.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A text, or what stands for none.
pub(super) fn or_none(text: &Option<String>, none: &str) -> String {
    text.clone().unwrap_or_else(|| none.to_owned())
}

pub(super) fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_sizes_have_units() {
        let rows = [["north", "3"], ["südwest-1", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(
            columns(["shop", "rounds"], rows),
            "shop       rounds\nnorth      3\nsüdwest-1"
        );
        assert_eq!(
            [999, 1_500, 40_000_000, 2_500_000_000].map(size),
            ["999 bytes", "1.5 kB", "40.0 MB", "2.5 GB"]
        );
    }
}

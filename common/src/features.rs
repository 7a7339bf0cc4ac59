//! Public features of a catalogue's items, as sparse rows.

/// One sparse row of numbers an item. Shape: `[items, columns]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    columns: usize,
    starts: Vec<usize>,
    index: Vec<u32>,
    values: Vec<f32>,
}

impl Features {
    /// One row an item, each a list of (column, value).
    pub fn from_rows(columns: usize, rows: Vec<Vec<(u32, f32)>>) -> Self {
        let mut features = Self {
            columns,
            starts: vec![0],
            ..Self::default()
        };
        for row in rows {
            for (column, value) in row {
                features.index.push(column);
                features.values.push(value);
            }
            features.starts.push(features.index.len());
        }
        features
    }

    /// How many rows.
    pub fn items(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Columns and values of one item's row; empty for an item that is not there.
    pub fn row(&self, item: usize) -> (&[u32], &[f32]) {
        match (self.starts.get(item), self.starts.get(item + 1)) {
            (Some(start), Some(end)) => (&self.index[*start..*end], &self.values[*start..*end]),
            _ => (&[], &[]),
        }
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }
}

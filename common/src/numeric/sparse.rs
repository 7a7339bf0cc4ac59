//! A sparse matrix, row after row.

/// Rows of (column, value), columns ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    columns: usize,
    starts: Vec<usize>,
    index: Vec<u32>,
    value: Vec<f32>,
}

impl Sparse {
    /// From rows whose columns ascend and are below `columns`.
    pub fn from_rows(columns: usize, rows: impl IntoIterator<Item = Vec<(u32, f32)>>) -> Self {
        let mut sparse = Self {
            columns,
            starts: vec![0],
            index: Vec::new(),
            value: Vec::new(),
        };
        for row in rows {
            for (column, value) in row {
                debug_assert!((column as usize) < columns, "column {column} of {columns}");
                sparse.index.push(column);
                sparse.value.push(value);
            }
            sparse.starts.push(sparse.index.len());
        }
        sparse
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Columns and values of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.index[range.clone()], &self.value[range])
    }

    /// `row . vector`. Shape: `[columns]`.
    pub fn dot(&self, row: usize, vector: &[f32]) -> f32 {
        let (index, value) = self.row(row);
        index
            .iter()
            .zip(value)
            .map(|(column, value)| vector[*column as usize] * value)
            .sum()
    }

    /// `out += scale row`. Shape: `[columns]`.
    pub fn add_row(&self, row: usize, scale: f32, out: &mut [f32]) {
        let (index, value) = self.row(row);
        for (column, value) in index.iter().zip(value) {
            out[*column as usize] += scale * value;
        }
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Self {
        let mut starts = vec![0_usize; self.columns + 1];
        for column in &self.index {
            starts[*column as usize + 1] += 1;
        }
        for at in 0..self.columns {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let (mut index, mut value) = (vec![0; self.index.len()], vec![0.0; self.index.len()]);
        for row in 0..self.rows() {
            let (columns, values) = self.row(row);
            for (column, entry) in columns.iter().zip(values) {
                let at = &mut next[*column as usize];
                (index[*at], value[*at]) = (row as u32, *entry);
                *at += 1;
            }
        }
        Self {
            columns: self.rows(),
            starts,
            index,
            value,
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.index) + size_of_val(&*self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_matrix_has_its_rows_as_columns_and_twice_is_the_same() {
        let rows = vec![vec![(0, 1.0), (2, 2.0)], vec![], vec![(2, 3.0)]];
        let sparse = Sparse::from_rows(4, rows);
        let turned = sparse.transposed();
        assert_eq!((turned.rows(), turned.columns()), (4, 3));
        assert_eq!(turned.row(2), (&[0, 2][..], &[2.0, 3.0][..]));
        assert_eq!(turned.transposed(), sparse);
        assert_eq!(sparse.dot(0, &[1.0, 9.0, 0.5, 9.0]), 2.0);
        let mut out = [1.0; 4];
        sparse.add_row(0, 2.0, &mut out);
        assert_eq!(out, [3.0, 1.0, 5.0, 1.0]);
    }
}

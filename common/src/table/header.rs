//! Columns by name.

use super::TableError;

/// The position of the column called `name` in the `header` of `file`, exactly or else but for upper and lower case.
///
/// # Errors
/// When several columns are called so: names of columns that nobody asks for may repeat.
pub fn column(file: &str, header: &[String], name: &str) -> Result<Option<usize>, TableError> {
    let exact = positions(header, |column| column == name);
    let found = match exact.is_empty() {
        false => exact,
        true => positions(header, |column| column.eq_ignore_ascii_case(name)),
    };
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(TableError::Twice {
            path: file.to_owned(),
            column: name.to_owned(),
            count: found.len(),
        }),
    }
}

fn positions(header: &[String], wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..header.len()).filter(|at| wanted(&header[*at])).collect()
}

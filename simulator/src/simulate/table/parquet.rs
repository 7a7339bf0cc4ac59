//! Lines of rounds as one Parquet file, compressed with Snappy.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use crate::world::rounds::RoundLine;

/// The file's bytes: one row group, the columns in the order of the JSON lines' keys.
///
/// # Errors
/// Of the writer.
pub(super) fn to_parquet(lines: &[RoundLine]) -> anyhow::Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let mut rows = file.next_row_group()?;
    for column in columns(lines) {
        let Some(mut writer) = rows.next_column()? else {
            anyhow::bail!("the schema has fewer columns than a line");
        };
        match (writer.untyped(), column) {
            (ColumnWriter::Int64ColumnWriter(to), Column::Whole(values)) => {
                to.write_batch(&values, None, None)
            }
            (ColumnWriter::BoolColumnWriter(to), Column::Flag(values)) => to.write_batch(&values, None, None),
            (ColumnWriter::DoubleColumnWriter(to), Column::Number(values)) => {
                let (values, there) = present(values);
                to.write_batch(&values, Some(&there), None)
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Column::Text(values)) => {
                let (values, there) = present(values);
                to.write_batch(&values, Some(&there), None)
            }
            _ => anyhow::bail!("the schema has another type for a column than the lines"),
        }?;
        writer.close()?;
    }
    rows.close()?;
    Ok(file.into_inner()?)
}

enum Column {
    Whole(Vec<i64>),
    Flag(Vec<bool>),
    Number(Vec<Option<f64>>),
    Text(Vec<Option<ByteArray>>),
}

fn columns(lines: &[RoundLine]) -> Vec<Column> {
    let whole = |of: fn(&RoundLine) -> u64| Column::Whole(lines.iter().map(|line| of(line) as i64).collect());
    let number = |of: fn(&RoundLine) -> Option<f64>| Column::Number(lines.iter().map(of).collect());
    vec![
        whole(|line| line.round),
        whole(|line| u64::from(line.attempt)),
        Column::Flag(lines.iter().map(|line| line.published).collect()),
        Column::Text(
            lines
                .iter()
                .map(|line| line.why.as_deref().map(ByteArray::from))
                .collect(),
        ),
        whole(|line| line.cohort),
        whole(|line| line.declined),
        whole(|line| line.accepted),
        whole(|line| line.dropped),
        whole(|line| line.late),
        whole(|line| line.bytes_up),
        whole(|line| line.bytes_down),
        number(|line| Some(line.virtual_seconds)),
        number(|line| line.epsilon),
        number(|line| line.hit_rate_full),
        number(|line| line.ndcg_full),
        number(|line| line.hit_rate_leak_free),
        number(|line| line.ndcg_leak_free),
    ]
}

/// What is there, and where.
fn present<T>(values: Vec<Option<T>>) -> (Vec<T>, Vec<i16>) {
    let there = values.iter().map(|value| i16::from(value.is_some())).collect();
    (values.into_iter().flatten().collect(), there)
}

const SCHEMA: &str = "message rounds {
    REQUIRED INT64 round; REQUIRED INT64 attempt; REQUIRED BOOLEAN published; OPTIONAL BYTE_ARRAY why (UTF8);
    REQUIRED INT64 cohort; REQUIRED INT64 declined; REQUIRED INT64 accepted; REQUIRED INT64 dropped; REQUIRED INT64 late;
    REQUIRED INT64 bytes_up; REQUIRED INT64 bytes_down; OPTIONAL DOUBLE virtual_seconds; OPTIONAL DOUBLE epsilon;
    OPTIONAL DOUBLE hit_rate_full; OPTIONAL DOUBLE ndcg_full; OPTIONAL DOUBLE hit_rate_leak_free;
    OPTIONAL DOUBLE ndcg_leak_free;
}";

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;

    use super::*;
    use crate::simulate::table::to_json_lines;
    use crate::simulate::tests::a_line;

    #[test]
    fn what_is_written_is_read_back_with_the_keys_of_the_json_lines() {
        let mut scored = a_line(2);
        scored.score(Some([(0.25, 0.125), (0.5, 0.375)]));
        scored.why = Some("below quorum: 1 of 2 updates".to_owned());
        let lines = [a_line(1), scored];
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &to_parquet(&lines).unwrap()).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let value = |field: &Field| match field {
            Field::Null => serde_json::Value::Null,
            Field::Bool(value) => (*value).into(),
            Field::Long(value) => (*value).into(),
            Field::Double(value) => (*value).into(),
            Field::Str(value) => value.clone().into(),
            other => panic!("no column is of {other}"),
        };
        let read: Vec<serde_json::Value> = rows
            .map(|row| {
                let row = row.unwrap();
                let columns = row.get_column_iter();
                columns
                    .map(|(name, field)| (name.clone(), value(field)))
                    .collect()
            })
            .collect();
        let expected: Vec<serde_json::Value> = to_json_lines(&lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, expected);
    }
}

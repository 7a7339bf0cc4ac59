//! A column of a Parquet file: its values as what a text file would have in their place.

use std::fmt::Write;

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int96,
};
use ::parquet::errors::Result;
use ::parquet::schema::types::ColumnDescriptor;
use jiff::Timestamp;
use jiff::tz::Offset;
use souk_common::table::{Moment, Row};

use super::cell::{number_text, time_of_day};

/// What the values of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// What they look like: numbers, texts.
    Plain,
    /// Integers without a sign.
    Unsigned,
    /// Days since 1970.
    Date,
    /// Counts since 1970, so many a second, in UTC or by some clock on a wall.
    Time {
        a_second: i64,
        is_utc: bool,
    },
    /// The same since midnight.
    TimeOfDay {
        a_second: i64,
    },
    Int96,
    Decimal {
        scale: i32,
    },
    Uuid,
    /// What no shop has: said of each value that is used.
    Unread,
}

impl Meaning {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        if column.physical_type() == Type::INT96 {
            return Self::Int96;
        }
        let a_second = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        };
        match column.logical_type_ref() {
            Some(LogicalType::Date) => Self::Date,
            Some(LogicalType::Timestamp(of)) => Self::Time {
                a_second: a_second(&of.unit),
                is_utc: of.is_adjusted_to_u_t_c,
            },
            Some(LogicalType::Time(of)) => Self::TimeOfDay {
                a_second: a_second(&of.unit),
            },
            Some(LogicalType::Integer(of)) if !of.is_signed => Self::Unsigned,
            Some(LogicalType::Decimal(of)) => Self::Decimal { scale: of.scale },
            Some(LogicalType::Uuid) => Self::Uuid,
            Some(LogicalType::Float16) => Self::Unread,
            Some(_) => Self::Plain,
            // What older programs write.
            None => match column.converted_type() {
                ConvertedType::DATE => Self::Date,
                ConvertedType::TIMESTAMP_MILLIS => Self::Time {
                    a_second: 1_000,
                    is_utc: true,
                },
                ConvertedType::TIMESTAMP_MICROS => Self::Time {
                    a_second: 1_000_000,
                    is_utc: true,
                },
                ConvertedType::TIME_MILLIS => Self::TimeOfDay { a_second: 1_000 },
                ConvertedType::TIME_MICROS => Self::TimeOfDay { a_second: 1_000_000 },
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64 => Self::Unsigned,
                ConvertedType::DECIMAL => Self::Decimal {
                    scale: column.type_scale(),
                },
                ConvertedType::INTERVAL => Self::Unread,
                _ => Self::Plain,
            },
        }
    }
}

/// A column of one row group, read batch by batch.
pub(super) trait Column: Send {
    /// Decodes the values of the next rows, at most so many; how many there were.
    fn fill(&mut self, rows: usize) -> Result<usize>;

    /// Adds the value of the next of them to `row`: nothing is an empty field.
    fn push_next(&mut self, row: &mut Row);
}

/// A column's values as its meaning says; at the level `full` there is one.
pub(super) fn column(reader: ColumnReader, meaning: Meaning, full: i16) -> Box<dyn Column> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => typed(reader, meaning, full, |value, _, text, row| {
            let _ = write!(text, "{value}");
            row.push(text);
        }),
        ColumnReader::Int32ColumnReader(reader) => {
            typed(reader, meaning, full, |value, meaning, text, row| match meaning {
                Meaning::Unsigned => integer(i128::from(*value as u32), 0, text, row),
                _ => whole(i64::from(*value), meaning, text, row),
            })
        }
        ColumnReader::Int64ColumnReader(reader) => {
            typed(reader, meaning, full, |value, meaning, text, row| match meaning {
                Meaning::Unsigned => integer(i128::from(*value as u64), 0, text, row),
                _ => whole(*value, meaning, text, row),
            })
        }
        ColumnReader::Int96ColumnReader(reader) => {
            typed(reader, meaning, full, |value: &Int96, _, text, row| {
                moment(value.to_seconds(), true, text, row);
            })
        }
        ColumnReader::FloatColumnReader(reader) => typed(reader, meaning, full, |value, _, _, row| {
            float(f64::from(*value), &value.to_string(), row)
        }),
        ColumnReader::DoubleColumnReader(reader) => typed(reader, meaning, full, |value, _, _, row| {
            float(*value, &number_text(*value), row)
        }),
        ColumnReader::ByteArrayColumnReader(reader) => {
            typed::<ByteArrayType>(reader, meaning, full, |value: &ByteArray, meaning, text, row| {
                bytes(value.data(), meaning, text, row);
            })
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => typed::<FixedLenByteArrayType>(
            reader,
            meaning,
            full,
            |value: &FixedLenByteArray, meaning, text, row| {
                bytes(value.data(), meaning, text, row);
            },
        ),
    }
}

/// Adds a value to a row, by way of a buffer that is empty.
type Push<V> = fn(&V, Meaning, &mut String, &mut Row);

struct Typed<T: DataType> {
    reader: ColumnReaderImpl<T>,
    meaning: Meaning,
    full: i16,
    push: Push<T::T>,
    levels: Vec<i16>,
    values: Vec<T::T>,
    row: usize,
    value: usize,
    text: String,
}

fn typed<T: DataType>(
    reader: ColumnReaderImpl<T>,
    meaning: Meaning,
    full: i16,
    push: Push<T::T>,
) -> Box<dyn Column> {
    Box::new(Typed::<T> {
        reader,
        meaning,
        full,
        push,
        levels: Vec::new(),
        values: Vec::new(),
        row: 0,
        value: 0,
        text: String::new(),
    })
}

impl<T: DataType> Column for Typed<T> {
    fn fill(&mut self, rows: usize) -> Result<usize> {
        self.levels.clear();
        self.values.clear();
        (self.row, self.value) = (0, 0);
        let levels = (self.full > 0).then_some(&mut self.levels);
        let (read, ..) = self.reader.read_records(rows, levels, None, &mut self.values)?;
        Ok(read)
    }

    fn push_next(&mut self, row: &mut Row) {
        let has_value = self.levels.get(self.row).is_none_or(|level| *level == self.full);
        self.row += 1;
        // As many values as levels that are full: else there is none.
        let value = self.values.get(self.value).filter(|_| has_value);
        self.value += usize::from(has_value);
        self.text.clear();
        match value {
            Some(value) => (self.push)(value, self.meaning, &mut self.text, row),
            None => row.push(""),
        }
    }
}

fn whole(value: i64, meaning: Meaning, text: &mut String, row: &mut Row) {
    match meaning {
        Meaning::Date => moment(value.saturating_mul(DAY), false, text, row),
        Meaning::Time { a_second, is_utc } => moment(value.div_euclid(a_second), is_utc, text, row),
        Meaning::TimeOfDay { a_second } => row.push(&time_of_day(value.div_euclid(a_second))),
        Meaning::Decimal { scale } => integer(i128::from(value), scale, text, row),
        _ => integer(i128::from(value), 0, text, row),
    }
}

/// A number without its point, which stands `scale` digits before its end.
fn integer(value: i128, scale: i32, text: &mut String, row: &mut Row) {
    let scale = usize::try_from(scale).unwrap_or(0);
    // Writing to a string can't fail.
    let _ = match scale {
        0 => write!(text, "{value}"),
        _ => write!(text, "{:0width$}", value.unsigned_abs(), width = scale + 1),
    };
    if scale > 0 {
        text.insert(text.len() - scale, '.');
        if value < 0 {
            text.insert(0, '-');
        }
    }
    row.push(text);
}

fn float(value: f64, text: &str, row: &mut Row) {
    // Tables of numbers have it where a value is missing.
    row.push(if value.is_nan() { "" } else { text });
}

fn bytes(value: &[u8], meaning: Meaning, text: &mut String, row: &mut Row) {
    match (meaning, value.len()) {
        (Meaning::Decimal { scale }, 1..=16) => {
            let sign = if value[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut whole = [sign; 16];
            whole[16 - value.len()..].copy_from_slice(value);
            integer(i128::from_be_bytes(whole), scale, text, row);
        }
        (Meaning::Uuid, 16) => {
            for (at, byte) in value.iter().enumerate() {
                let sign = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                let _ = write!(text, "{sign}{byte:02x}");
            }
            row.push(text);
        }
        // Numbers of more digits than any price has, or of fewer.
        (Meaning::Decimal { .. } | Meaning::Unread, _) => row.push(UNREADABLE),
        _ => match std::str::from_utf8(value) {
            Ok(value) => row.push(value),
            Err(_) => row.push(&String::from_utf8_lossy(value)),
        },
    }
}

/// A time, as text in RFC 3339, or without a zone; a day if it is midnight there.
fn moment(seconds: i64, is_utc: bool, text: &mut String, row: &mut Row) {
    let moment = if is_utc {
        Moment::Utc(seconds)
    } else {
        Moment::Local(seconds)
    };
    let Ok(time) = Timestamp::from_second(seconds) else {
        let _ = write!(text, "{seconds}");
        row.push_moment(text, moment);
        return;
    };
    let time = Offset::UTC.to_datetime(time);
    let mut two = |sign: &str, value: i8| {
        text.push_str(sign);
        text.push(char::from(b'0' + value as u8 / 10));
        text.push(char::from(b'0' + value as u8 % 10));
    };
    let year = time.year().clamp(0, 9999);
    two("", (year / 100) as i8);
    two("", (year % 100) as i8);
    two("-", time.month());
    two("-", time.day());
    if is_utc || seconds.rem_euclid(DAY) != 0 {
        two(if is_utc { "T" } else { " " }, time.hour());
        two(":", time.minute());
        two(":", time.second());
    }
    if is_utc {
        text.push('Z');
    }
    row.push_moment(text, moment);
}

const DAY: i64 = 86_400;
const UNREADABLE: &str = "of a type that is not read";

//! Parquet files as other programs write them, made here column by column.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::table::Moment;

use super::*;
use crate::data::interaction::{Interaction, OrderKey, Sink};
use crate::data::{DataReport, Reading, ShopDataConfig, read_interactions};
use crate::interactions::rows::open;

mod speed;

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

/// A file with this schema, whose row groups `write` fills.
fn file(
    schema: &str,
    groups: usize,
    compression: Compression,
    write: impl Fn(usize, &mut Group<'_>),
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message orders {{ {schema} }}")).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for at in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        write(at, &mut group);
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// The next column's values; where nothing is, the level is 0.
fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, levels, None).unwrap();
    column.close().unwrap();
}

fn texts(texts: &[&str]) -> Vec<ByteArray> {
    texts.iter().map(|text| ByteArray::from(*text)).collect()
}

/// All rows under the header, with the moments that they have.
#[derive(Debug)]
struct Read {
    rows: Vec<Vec<String>>,
    moments: Vec<Vec<Option<Moment>>>,
    told: Vec<String>,
}

fn read(bytes: &[u8]) -> Result<Read, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    fs::write(&path, bytes).unwrap();
    let (mut rows, rest) =
        open(&path, None, &ShopDataConfig::default()).map_err(|error| error.to_string())?;
    let header = rows.header().to_vec();
    let mut read = Read {
        rows: vec![header.clone()],
        moments: Vec::new(),
        told: Vec::new(),
    };
    let mut row = Row::default();
    while rows.next_row(&mut row).map_err(|error| error.to_string())? {
        read.rows.push(row.fields().map(str::to_owned).collect());
        read.moments
            .push((0..header.len()).map(|at| row.moment(at)).collect());
        assert_eq!(row.line as usize, read.moments.len());
    }
    read.told = rows.guessed();
    assert_eq!(rest.finish().unwrap(), Digest::of(bytes));
    Ok(read)
}

#[test]
fn values_of_all_types_are_what_a_text_file_would_have_and_nulls_are_nothing() {
    let schema = "optional binary user_id (UTF8); required int64 item_id; required int64 at (TIMESTAMP(MICROS,true)); \
        required int64 local (TIMESTAMP(NANOS,false)); required int64 old (TIMESTAMP_MILLIS); required int32 day (DATE); \
        required int32 clock (TIME(MILLIS,false)); required int32 price (DECIMAL(9,2)); \
        required fixed_len_byte_array(3) more (DECIMAL(6,3)); optional double number; required boolean sent; \
        required int32 small (INTEGER(32,false)); required int96 spark; required fixed_len_byte_array(16) uuid (UUID);";
    // 2024-01-05 10:22:33.
    let seconds = 1_704_450_153;
    let bytes = file(schema, 1, Compression::SNAPPY, |_, group| {
        put::<ByteArrayType>(group, &texts(&["ann@example.com"]), Some(&[1, 0]));
        put::<Int64Type>(group, &[17850, -1], None);
        put::<Int64Type>(group, &[seconds * 1_000_000 + 999_999, -1], None);
        put::<Int64Type>(group, &[seconds * 1_000_000_000, 1_704_412_800_000_000_000], None);
        put::<Int64Type>(group, &[seconds * 1000, 0], None);
        put::<Int32Type>(group, &[19727, 0], None);
        put::<Int32Type>(group, &[37_353_000, 0], None);
        put::<Int32Type>(group, &[1250, -5], None);
        let fixed =
            [[0, 0x30, 0x39], [0xff, 0xff, 0xff]].map(|bytes| FixedLenByteArray::from(bytes.to_vec()));
        put::<FixedLenByteArrayType>(group, &fixed, None);
        put::<DoubleType>(group, &[17850.0, f64::NAN], Some(&[1, 1]));
        put::<BoolType>(group, &[true, false], None);
        put::<Int32Type>(group, &[7, -1], None);
        let mut spark = Int96::new();
        // Nanoseconds of the day, low and high, and the Julian day.
        let nanoseconds = 37_353_000_000_000u64;
        spark.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, 2_460_315);
        put::<Int96Type>(group, &[spark, spark], None);
        let uuid = FixedLenByteArray::from((0..16).collect::<Vec<u8>>());
        put::<FixedLenByteArrayType>(group, &[uuid.clone(), uuid], None);
    });
    let read = read(&bytes).unwrap();
    let uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f";
    assert_eq!(
        read.rows[1],
        [
            "ann@example.com",
            "17850",
            "2024-01-05T10:22:33Z",
            "2024-01-05 10:22:33",
            "2024-01-05T10:22:33Z",
            "2024-01-05",
            "10:22:33",
            "12.50",
            "12.345",
            "17850",
            "true",
            "7",
            "2024-01-05T10:22:33Z",
            uuid
        ]
    );
    assert_eq!(
        read.rows[2],
        [
            "",
            "-1",
            "1969-12-31T23:59:59Z",
            "2024-01-05",
            "1970-01-01T00:00:00Z",
            "1970-01-01",
            "00:00:00",
            "-0.05",
            "-0.001",
            "",
            "false",
            "4294967295",
            "2024-01-05T10:22:33Z",
            uuid
        ]
    );
    let (utc, local) = (Some(Moment::Utc(seconds)), Some(Moment::Local(seconds)));
    assert_eq!(
        read.moments[0][..6],
        [None, None, utc, local, utc, Some(Moment::Local(1_704_412_800))]
    );
    assert_eq!(read.told, ["times: as INT96, which says no zone; taken as UTC"]);
}

#[test]
fn nested_columns_have_dots_and_lists_are_said_not_to_be_read() {
    let schema = "optional group customer { required binary id (UTF8); optional int32 age; } required int64 item_id; \
        repeated int32 tags;";
    let bytes = file(schema, 1, Compression::UNCOMPRESSED, |_, group| {
        put::<ByteArrayType>(group, &texts(&["ann", "bob"]), Some(&[1, 0, 1]));
        put::<Int32Type>(group, &[40], Some(&[2, 0, 1]));
        put::<Int64Type>(group, &[1, 2, 3], None);
        let mut column = group.next_column().unwrap().unwrap();
        let tags = column.typed::<Int32Type>();
        tags.write_batch(&[1, 2, 3], Some(&[1, 1, 0, 1]), Some(&[0, 1, 0, 0]))
            .unwrap();
        column.close().unwrap();
    });
    let read = read(&bytes).unwrap();
    let all: [[&str; 3]; 4] = [
        ["customer.id", "customer.age", "item_id"],
        ["ann", "40", "1"],
        ["", "", "2"],
        ["bob", "", "3"],
    ];
    assert_eq!(read.rows, all);
    assert_eq!(read.told, ["columns: lists are not read: tags"]);
}

const SHORT: &str = "required binary user_id (UTF8); required int64 item_id; required int64 timestamp (TIMESTAMP(MILLIS,true));";

/// Row groups of so many rows.
fn orders(groups: usize, rows: usize, compression: Compression) -> Vec<u8> {
    file(SHORT, groups, compression, |at, group| {
        let users: Vec<String> = (0..rows).map(|row| format!("u{}", row % 7)).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        put::<ByteArrayType>(group, &texts(&users), None);
        let items: Vec<i64> = (0..rows).map(|row| (at * rows + row) as i64).collect();
        put::<Int64Type>(group, &items, None);
        put::<Int64Type>(group, &vec![1_704_450_153_000; rows], None);
    })
}

#[test]
fn all_row_groups_are_read_whatever_they_are_compressed_with() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for compression in [Compression::SNAPPY, zstd, Compression::GZIP(Default::default())] {
        // More than one batch, and a group without rows.
        let read = read(&orders(3, 1500, compression)).unwrap();
        assert_eq!(read.rows.len(), 4501);
        assert_eq!(read.rows[4500], ["u1", "4499", "2024-01-05T10:22:33Z"]);
    }
    assert_eq!(read(&orders(2, 0, Compression::SNAPPY)).unwrap().rows.len(), 1);
}

#[test]
fn a_file_that_is_cut_short_or_changed_in_any_place_is_an_error_or_rows_and_never_a_crash() {
    let bytes = orders(2, 50, Compression::SNAPPY);
    for cut in (4..bytes.len()).step_by(7) {
        let error = read(&bytes[..cut]).unwrap_err();
        assert!(
            error.contains("damaged Parquet file, or one cut short"),
            "{cut}: {error}"
        );
    }
    for at in 4..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        // A changed number can't be told; what can is named.
        if let Err(error) = read(&changed) {
            assert!(error.contains("orders.csv"), "{at}: {error}");
        }
    }
}

/// Counts what it takes.
#[derive(Default)]
struct Taken(u64);

impl Sink for Taken {
    fn take(&mut self, _: &Interaction<'_>) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn take_not_bought(&mut self, _: OrderKey, _: &str) -> std::io::Result<()> {
        Ok(())
    }
}

fn import(bytes: &[u8], config: &ShopDataConfig) -> Result<(u64, DataReport), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.parquet");
    fs::write(&path, bytes).unwrap();
    let (mut rows, _) = open(&path, None, config).map_err(|error| error.to_string())?;
    let (mut taken, mut report) = (Taken::default(), DataReport::default());
    let reading = Reading {
        config,
        levels: None,
        // 2024-06-01.
        now: Timestamp(1_717_200_000_000),
        kept_since: None,
        forgotten: None,
    };
    read_interactions(&mut *rows, &reading, &mut taken, &mut report).map_err(|error| error.to_string())?;
    Ok((taken.0, report))
}

#[test]
fn a_column_that_is_missing_is_named_with_those_that_there_are() {
    let config = ShopDataConfig {
        columns: crate::data::OrderColumns {
            user: Some("customer".to_owned()),
            ..Default::default()
        },
        ..ShopDataConfig::default()
    };
    let error = import(&orders(1, 1, Compression::SNAPPY), &config).unwrap_err();
    assert!(
        error.contains("no column \"customer\"; it has: user_id, item_id, timestamp"),
        "{error}"
    );
}

#[test]
fn times_that_are_times_need_no_setting_and_none_stands_in_their_way() {
    for format in [None, Some("%d/%m/%Y"), Some("seconds"), Some("excel")] {
        let config = ShopDataConfig {
            time_format: format.map(str::to_owned),
            ..ShopDataConfig::default()
        };
        let (taken, report) = import(&orders(1, 10, Compression::SNAPPY), &config).unwrap();
        assert_eq!((taken, report.bad_lines), (10, 0), "{format:?}: {:?}", report.bad);
    }
}

proptest! {
    #[test]
    fn every_row_is_an_interaction_left_out_or_bad(rows in prop::collection::vec(
        (prop::option::of("[a-c]?"), prop::option::of(-1i64..3), prop::option::of(0i64..2_000_000_000), prop::option::of(-2i32..3)), 0..40,
    ), groups in 1usize..4) {
        let schema = "optional binary user_id (UTF8); optional int64 item_id; optional int64 timestamp (TIMESTAMP(MILLIS,false)); \
            optional int32 quantity;";
        let bytes = file(schema, groups, Compression::SNAPPY, |_, group| {
            let levels = |is: &dyn Fn(usize) -> bool| (0..rows.len()).map(|at| i16::from(is(at))).collect::<Vec<_>>();
            let users: Vec<&str> = rows.iter().filter_map(|row| row.0.as_deref()).collect();
            put::<ByteArrayType>(group, &texts(&users), Some(&levels(&|at| rows[at].0.is_some())));
            let items: Vec<i64> = rows.iter().filter_map(|row| row.1).collect();
            put::<Int64Type>(group, &items, Some(&levels(&|at| rows[at].1.is_some())));
            let times: Vec<i64> = rows.iter().filter_map(|row| row.2).map(|time| time * 1000).collect();
            put::<Int64Type>(group, &times, Some(&levels(&|at| rows[at].2.is_some())));
            let pieces: Vec<i32> = rows.iter().filter_map(|row| row.3).collect();
            put::<Int32Type>(group, &pieces, Some(&levels(&|at| rows[at].3.is_some())));
        });
        let (taken, report) = import(&bytes, &ShopDataConfig::default()).unwrap();
        let source = &report.sources[0];
        prop_assert_eq!(report.rows, (rows.len() * groups) as u64);
        prop_assert_eq!(source.rows, taken + source.left_out_rows() + source.bad_rows());
        prop_assert_eq!(report.rows, source.rows);
        let good = rows.iter().filter(|(user, item, time, pieces)| {
            user.as_deref().is_some_and(|user| !user.is_empty()) && item.is_some() && time.is_some_and(|time| {
                (631_152_000..1_717_372_800).contains(&time)
            }) && *pieces != Some(0)
        });
        prop_assert_eq!(taken, (good.count() * groups) as u64);
    }
}

//! What an import costs, of the same three million rows as text and as Parquet.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::*;
use crate::data::Paths;
use crate::folder::Folder;
use crate::interactions::import::import;

const ROWS: usize = 3_000_000;
const ROWS_IN_GROUP: usize = 100_000;
const SCHEMA: &str = "required binary user_id (UTF8); required binary item_id (UTF8); required int64 timestamp (TIMESTAMP(MICROS,true)); \
    required int32 quantity; required double price;";

/// A row that looks like one of a shop's: who, what, when (seconds since 1970), how many, at what price.
fn row(at: usize) -> (String, String, i64, i32, f64) {
    let mixed = at.wrapping_mul(2_654_435_761) >> 7;
    (
        format!("customer-{}", mixed % 100_000),
        format!("SKU-{}", mixed / 7 % 20_000),
        1_600_000_000 + (at as i64) * 30,
        1 + (at % 3) as i32,
        f64::from((50 + mixed % 9_000) as u32) / 100.0,
    )
}

fn write_text(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    writeln!(out, "user_id,item_id,timestamp,quantity,price").unwrap();
    for at in 0..ROWS {
        let (user, item, time, quantity, price) = row(at);
        let time = jiff::Timestamp::from_second(time).unwrap();
        writeln!(out, "{user},{item},{time},{quantity},{price:.2}").unwrap();
    }
    out.flush().unwrap();
}

fn write_parquet(path: &Path) {
    let schema = Arc::new(parse_message_type(&format!("message orders {{ {SCHEMA} }}")).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for start in (0..ROWS).step_by(ROWS_IN_GROUP) {
        let rows: Vec<_> = (start..start + ROWS_IN_GROUP).map(row).collect();
        let mut group = writer.next_row_group().unwrap();
        put::<ByteArrayType>(
            &mut group,
            &rows.iter().map(|row| row.0.as_str().into()).collect::<Vec<_>>(),
            None,
        );
        put::<ByteArrayType>(
            &mut group,
            &rows.iter().map(|row| row.1.as_str().into()).collect::<Vec<_>>(),
            None,
        );
        put::<Int64Type>(
            &mut group,
            &rows.iter().map(|row| row.2 * 1_000_000).collect::<Vec<_>>(),
            None,
        );
        put::<Int32Type>(
            &mut group,
            &rows.iter().map(|row| row.3).collect::<Vec<_>>(),
            None,
        );
        put::<DoubleType>(
            &mut group,
            &rows.iter().map(|row| row.4).collect::<Vec<_>>(),
            None,
        );
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// CPU seconds of this process, its threads included.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    // After the name in brackets: user and system time are the 12th and 13th, in hundredths.
    let fields = text.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

#[test]
#[ignore = "imports three million rows twice"]
fn speed_of_an_import_from_text_and_from_parquet() {
    let dir = tempfile::tempdir().unwrap();
    write_text(&dir.path().join("orders.csv"));
    write_parquet(&dir.path().join("orders.parquet"));
    let mut said = String::new();
    let mut segments = Vec::new();
    for name in ["orders.csv", "orders.parquet"] {
        let config = ShopDataConfig {
            orders: Paths::One(name.into()),
            ..ShopDataConfig::default()
        };
        let before = cpu();
        let outcome = import(
            &Folder::new(dir.path()),
            &config,
            &[],
            true,
            Timestamp(1_800_000_000_000),
        )
        .unwrap();
        let spent = cpu() - before;
        assert_eq!(outcome.report().sources.last().unwrap().taken, ROWS as u64);
        let manifest = crate::interactions::manifest::StoreManifest::load(&Folder::new(dir.path())).unwrap();
        segments.push(manifest.find(name).unwrap().segments.clone());
        writeln!(said, "{name}: {ROWS} rows in {spent:.2} CPU seconds").unwrap();
    }
    assert_eq!(segments[0], segments[1], "the same rows");
    souk_common::terminal::tell(said.trim_end());
}

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use souk_common::ids::Digest;
use souk_common::table::Row;

use super::*;

const ORDERS: &str = "user_id,item_id,timestamp\nann,tea,1700000000\nbob,jam,1700000001\n";

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// All rows, and the digest of what was read.
fn read_with(path: &Path, config: &ShopDataConfig) -> Result<(Vec<Vec<String>>, Digest), DataError> {
    let (mut rows, rest) = open(path, None, config)?;
    let mut read = vec![rows.header().to_vec()];
    let mut row = Row::default();
    while rows.next_row(&mut row)? {
        read.push(match &row.fault {
            Some(fault) => vec![format!("{}: {fault}", row.line)],
            None => row.fields().map(str::to_owned).collect(),
        });
    }
    drop(rows);
    Ok((read, rest.finish().unwrap()))
}

fn read(name: &str, bytes: &[u8]) -> Result<Vec<Vec<String>>, DataError> {
    let (_dir, path) = write(name, bytes);
    let (rows, digest) = read_with(&path, &ShopDataConfig::default())?;
    assert_eq!(digest, Digest::of(bytes), "{name}");
    assert_eq!(digest_of(&path).unwrap(), digest, "{name}");
    Ok(rows)
}

fn refused(name: &str, bytes: &[u8]) -> String {
    let error = read(name, bytes).map(drop).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_told_by_their_first_bytes_and_read_to_their_last_member() {
    let plain = read("orders.csv", ORDERS.as_bytes()).unwrap();
    assert_eq!(plain[2], ["bob", "jam", "1700000001"]);
    let (first, second) = ORDERS.split_at(40);
    let zstd = |text: &str| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    for bytes in [gzipped(ORDERS.as_bytes()), zstd(ORDERS)] {
        assert_eq!(read("orders.csv", &bytes).unwrap(), plain, "whatever its name");
    }
    let members = [gzipped(first.as_bytes()), gzipped(second.as_bytes())].concat();
    assert_eq!(read("orders.csv.gz", &members).unwrap(), plain);
    // A frame that says nothing, between two that do.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = [zstd(first), skipped, zstd(second)].concat();
    assert_eq!(read("orders.csv.zst", &frames).unwrap(), plain);
    for whole in [gzipped(ORDERS.as_bytes()), zstd(ORDERS)] {
        let cut = refused("orders.csv", &whole[..whole.len() - 9]);
        assert!(cut.contains("orders.csv can't be read"), "{cut}");
    }
    let mut changed = zstd(ORDERS);
    let at = changed.len() - 6;
    changed[at] ^= 1;
    assert!(refused("orders.csv", &changed).contains("can't be read"));
}

#[test]
fn what_expands_beyond_its_limit_or_out_of_all_proportion_is_refused() {
    let line = "ann,tea,1700000000\n";
    let mut many = ORDERS.to_owned();
    many.push_str(&line.repeat(5000));
    let (_dir, path) = write("orders.csv.gz", &gzipped(many.as_bytes()));
    let config = ShopDataConfig {
        max_bytes: 50_000,
        ..ShopDataConfig::default()
    };
    let error = read_with(&path, &config).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("more than 50000 bytes") && source.contains("max_bytes"),
        "{source}"
    );
    // 70 MB of one letter.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(ORDERS.as_bytes()).unwrap();
    let piece = vec![b'a'; 1 << 20];
    (0..70).for_each(|_| encoder.write_all(&piece).unwrap());
    let bomb = refused("orders.csv.gz", &encoder.finish().unwrap());
    assert!(
        bomb.contains("300 times its size") && bomb.contains("unpack it"),
        "{bomb}"
    );
}

#[test]
fn json_lines_have_columns_by_their_keys_with_dots_between() {
    let text = "{\"customer\":{\"id\":7,\"vip\":true},\"item\":\"tea\",\"at\":\"2024-01-05\",\"tags\":[1]}\n\n\
        {\"item\":\"jam\",\"customer\":{\"id\":\"8\"},\"price\":1.5,\"at\":null}\n[1]\n{\"item\":\n";
    let rows = read("orders.jsonl", text.as_bytes()).unwrap();
    assert_eq!(rows[0], ["at", "customer.id", "customer.vip", "item", "price"]);
    assert_eq!(rows[1], ["2024-01-05", "7", "true", "tea", ""]);
    assert_eq!(rows[2], ["", "8", "", "jam", "1.5"]);
    assert!(
        rows[3][0].starts_with("4: the line is no JSON object"),
        "{rows:?}"
    );
    assert!(
        rows[4][0].starts_with("5: the line is no JSON object"),
        "{rows:?}"
    );
    assert_eq!(read("orders.ndjson.gz", &gzipped(text.as_bytes())).unwrap(), rows);
    let none = refused("orders.jsonl", ORDERS.as_bytes());
    assert!(
        none.contains("none of the first lines is a JSON object"),
        "{none}"
    );
    assert!(refused("orders.jsonl", b"\n").contains("is empty"));
}

#[test]
fn a_long_line_of_json_costs_itself_only() {
    let mut text = format!("{{\"a\":\"{}\"}}\n", "x".repeat(2 << 20));
    text.push_str("{\"a\":1}");
    let rows = read("orders.jsonl", text.as_bytes()).unwrap();
    assert_eq!(rows[1], ["1: the line is too long"]);
    assert_eq!(rows[2], ["1"]);
}

#[test]
fn what_is_written_behind_the_end_that_a_reader_saw_is_of_the_next_version() {
    let (_dir, path) = write("orders.csv", ORDERS.as_bytes());
    let (mut rows, rest) = open(&path, None, &ShopDataConfig::default()).unwrap();
    let mut row = Row::default();
    while rows.next_row(&mut row).unwrap() {}
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"cy,tea,1700000002\n").unwrap();
    assert!(!rows.next_row(&mut row).unwrap(), "the end stays the end");
    drop(rows);
    assert_eq!(rest.finish().unwrap(), Digest::of(ORDERS.as_bytes()));
    assert_ne!(digest_of(&path).unwrap(), Digest::of(ORDERS.as_bytes()));
}

//! Files as shop systems and people write them, each with what is right.

use proptest::prelude::*;

use super::interaction::{Interaction, Kind, OrderKey, Sink};
use super::*;

mod exports;
mod further;
mod labels;
mod statuses;

/// The end of November 2026.
const NOW: Timestamp = Timestamp(1_796_000_000_000);

/// What was taken: user, item, time, and pieces (below zero: they came back).
#[derive(Default)]
struct Taken(Vec<(String, String, i64, f32)>);

impl Sink for Taken {
    fn take(&mut self, one: &Interaction<'_>) -> std::io::Result<()> {
        let sign = if one.kind == Kind::Return { -1.0 } else { 1.0 };
        let row = (
            one.user.to_owned(),
            one.item.to_owned(),
            one.time,
            sign * one.quantity,
        );
        self.0.push(row);
        Ok(())
    }

    fn take_not_bought(&mut self, _: OrderKey, _: &str) -> std::io::Result<()> {
        Ok(())
    }
}

impl Taken {
    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(user, item, ..)| (user.as_str(), item.as_str()))
            .collect()
    }

    fn times(&self) -> Vec<i64> {
        self.0.iter().map(|(_, _, time, _)| *time).collect()
    }
}

fn try_read(settings: &str, text: &[u8]) -> Result<(Taken, DataReport), DataError> {
    let config: ShopDataConfig = toml::from_str(settings).expect("settings");
    let (mut taken, mut report) = (Taken::default(), DataReport::default());
    let options = TextOptions {
        style: FileFormat::style(config.format),
        delimiter: config.delimiter,
        spans: false,
    };
    let source = Box::new(std::io::Cursor::new(text.to_vec()));
    let mut rows = TextTable::new(Path::new("orders.csv"), source, options)?;
    let reading = Reading {
        config: &config,
        levels: None,
        now: NOW,
        kept_since: None,
        forgotten: None,
    };
    read_interactions(&mut rows, &reading, &mut taken, &mut report)?;
    let source = &report.sources[0];
    assert_eq!(source.taken, taken.0.len() as u64);
    assert_eq!(
        source.rows,
        source.taken + source.left_out_rows() + source.bad_rows()
    );
    assert_eq!(source.bad_rows(), report.bad_lines);
    Ok((taken, report))
}

fn read(settings: &str, text: &str) -> (Taken, SourceReport) {
    let (taken, report) =
        try_read(settings, text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    (taken, report.sources[0].clone())
}

fn told(source: &SourceReport) -> String {
    source.guessed.join("\n")
}

#[test]
fn looking_is_not_buying_unless_it_is_asked_for() {
    let text = "event_time,event_type,product_id,category_id,price,user_id\n\
                2019-10-01 00:00:00 UTC,purchase,1,2053013552326770905,35.79,541312140\n\
                2019-10-01 00:00:01 UTC,view,2,2053013552326770905,35.79,541312140\n\
                2019-10-01 00:00:02 UTC,cart,2,2053013552326770905,35.79,541312140\n";
    let (taken, source) = read("", text);
    assert_eq!(
        (taken.pairs(), taken.times()),
        (vec![("541312140", "1")], vec![1_569_888_000])
    );
    assert_eq!(
        (
            source.left_out["event \"view\""],
            source.left_out["event \"cart\""]
        ),
        (1, 1)
    );
    assert!(told(&source).contains("REES46"));
    let (taken, _) = read("events = [\"purchase\", \"view\"]", text);
    assert_eq!(taken.pairs(), [("541312140", "1"), ("541312140", "2")]);
}

#[test]
fn day_and_month_are_refused_until_their_order_is_set() {
    let text = "TRANSACTION_DT,CUSTOMER_ID,PRODUCT_ID,AMOUNT,SALES_PRICE\n11/1/2000,01104905,4710199010372,2,24\n\
                11/1/2000,00418683,4710857472535,1,48\n";
    let (taken, report) = try_read("", text.as_bytes()).expect("rows");
    assert!(taken.0.is_empty() && report.sources[0].bad["day or month first"] == 2);
    let reason = &report.bad[0].reason;
    assert!(
        reason.contains("%m/%d/%Y") && reason.contains("%d/%m/%Y"),
        "{reason}"
    );
    let (taken, _) = read("time_format = \"%m/%d/%Y\"", text);
    assert_eq!(
        taken.0[0],
        (
            "01104905".to_owned(),
            "4710199010372".to_owned(),
            973_036_800,
            2.0
        )
    );
    let text = "\u{feff}Kundennr;Artikel;Datum;Menge;Preis\r\n10001;85123A;05/01/2024 14:30;2;2,55\r\n\
                10001;71053;31/01/2024 09:00;1;3,39\r\n10002;84406B;2024-02-01 10:00;1;3,39\r\n";
    let columns = "[columns]\nuser = \"Kundennr\"\nitem = \"Artikel\"\ntimestamp = \"Datum\"\nquantity = \"Menge\"\n\
                   price = \"Preis\"\n";
    let (taken, source) = read(columns, text);
    assert_eq!((taken.0.len(), source.bad["day or month first"]), (1, 2));
    let settings = format!("time_format = \"%d/%m/%Y %H:%M\"\ntime_zone = \"Europe/Vienna\"\n{columns}");
    let (taken, source) = read(&settings, text);
    assert_eq!(taken.times(), [1_704_461_400, 1_706_688_000, 1_706_778_000]);
    assert!(
        source.missing.is_empty() && told(&source).contains("delimiter: ;"),
        "{source:?}"
    );
}

#[test]
fn numbers_that_are_no_moments_are_refused_and_others_told() {
    let rows = |times: &[&str]| {
        let lines = times
            .iter()
            .enumerate()
            .map(|(at, time)| format!("u,i{at},{time}\n"));
        read(
            "",
            &format!("user_id,item_id,timestamp\n{}", lines.collect::<String>()),
        )
    };
    let (taken, source) = rows(&["20240115", "20240116", "20240117"]);
    assert_eq!(taken.times(), [1_705_276_800, 1_705_363_200, 1_705_449_600]);
    assert!(told(&source).contains("3 read as YYYYMMDD"));
    let (taken, source) = rows(&["45306.25", "45306.50", "45306.75"]);
    assert_eq!(taken.times(), [1_705_298_400, 1_705_320_000, 1_705_341_600]);
    assert!(told(&source).contains("3 read as Excel's day numbers"));
    let (taken, source) = rows(&["1700000000", "1700086400", "17001"]);
    assert_eq!((taken.0.len(), source.bad["day number"]), (2, 1));
    let (taken, source) = rows(&["0", "1", "2"]);
    assert_eq!((taken.0.len(), source.bad["day number"]), (0, 3));
    let (taken, source) = rows(&["17000000", "170000000012", "1700000000123456"]);
    assert_eq!((taken.0.len(), source.bad_rows()), (0, 3));
}

#[test]
fn a_column_that_nobody_needs_costs_no_row() {
    let (taken, source) = read(
        "",
        "user_id;item_id;timestamp;price\nu1;a;1700000000;12,99\nu2;b;1700000001;3,00\n",
    );
    assert_eq!((taken.0.len(), source.missing.len()), (2, 0));
    let text = "user_id,item_id,timestamp,rating\nu1,a,1700000000,NULL\nu2,b,1700000001,nan\nu3,b,1700000001,5 stars\n\
                u3,c,1700000001,3\n";
    let (taken, source) = read("", text);
    assert_eq!((taken.0.len(), source.missing["rating"]), (4, 3));
    let (taken, source) = read("", "user_id,item_id,timestamp,notes,notes\nu1,i1,1700000000,,\n");
    assert_eq!((taken.0.len(), source.bad_rows()), (1, 0));
    let (taken, _) = read("", "user_id,item_id,timestamp,,\nu1,i1,1700000000,,\n");
    assert_eq!(taken.0.len(), 1);
    let twice = "user_id,item_id,timestamp,price,price\nu1,i1,1700000000,1,2\n";
    let error = try_read("", twice.as_bytes())
        .err()
        .map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("2 columns are called \"price\"")));
    assert_eq!(read("[columns]\nprice = \"\"", twice).0.0.len(), 1);
    let text = "user_id,item_id,timestamp,price\nu1,a,1700000000,\"1,299\"\nu1,b,1700000000,\"$1,299.50\"\nu1,c,1700000000,-3\n";
    let (taken, source) = read("", text);
    assert_eq!((taken.0.len(), source.missing["price"]), (3, 2));
}

#[test]
fn delimiters_and_line_ends_are_told_by_the_header() {
    let rows = "u0,i0,1700000000,pan 0\nu1,i1,1700000001,pan 1\nu2,i2,1700000002,pan 2\n";
    let text = format!("sep=,\nuser_id,item_id,timestamp,note\n{rows}");
    let plain = read("", &text).0.0;
    assert_eq!(plain.len(), 3);
    for text in [
        text.replace("sep=,", "sep=;")
            .replace("user_id,item_id,timestamp,note", "user_id;item_id;timestamp;note")
            .replace(rows, &rows.replace(',', ";")),
        text.replace("sep=,\n", "").replace(',', "\t"),
        text.replace("sep=,\n", "").replace(',', "|"),
        text.replace("sep=,\n", "").replace(',', ";"),
        text.replace('\n', "\r"),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r\r\n"),
        text.replace("sep=,\n", "\u{feff}"),
    ] {
        assert_eq!(read("", &text).0.0, plain, "{text:?}");
    }
    let tab = read("", "user_id\titem_id\ttimestamp\na\t85123A\t1704450153\n");
    assert_eq!(tab.0.pairs(), [("a", "85123A")]);
}

#[test]
fn encodings_are_told_and_said() {
    let text = "user_id,item_id,timestamp,title\nJosé,caf\u{e9},1700000000,x\nann,tea,1700000001,x\n";
    let plain = read("", text).0.0;
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    for (bytes, said) in [
        ([&[0xff, 0xfe], &le[..]].concat(), "UTF-16"),
        ([&[0xfe, 0xff], &be[..]].concat(), "UTF-16"),
        (le, "UTF-16"),
        (be, "UTF-16"),
        (latin, "1 lines are not UTF-8 and were read as Windows-1252"),
    ] {
        let (taken, report) = try_read("", &bytes).expect("text");
        assert_eq!(taken.0, plain);
        assert!(told(&report.sources[0]).contains(said), "{report:?}");
    }
    let (taken, source) = read("", &text.replace('\u{e9}', "\u{fffd}"));
    assert_eq!((taken.0.len(), source.bad["id with lost letters"]), (1, 1));
}

#[test]
fn files_of_another_kind_are_refused_by_name() {
    for (bytes, what) in [
        (&b"PK\x03\x04orders"[..], "a zip archive"),
        (b"PAR1....", "a Parquet file"),
        (b"%PDF-1.7", "a PDF"),
        (b"SQLite format 3\0", "SQLite"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"user_id,item\x00\x01\x02\x03id", "a binary file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "(.xls)"),
    ] {
        let error = try_read("", bytes)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.starts_with("orders.csv is ") && error.contains(what),
            "{error}"
        );
    }
}

#[test]
fn a_line_beyond_the_limit_is_one_bad_line() {
    let long = "x".repeat(3 << 20);
    let text = format!(
        "user_id,item_id,timestamp\nu,a,1700000000\nu,{long},1700000000\n{long}\nu,b,1700000000\nu,c,{long}"
    );
    let (taken, source) = read("", &text);
    assert_eq!(taken.pairs(), [("u", "a"), ("u", "b")]);
    assert_eq!((source.rows, source.bad["line too long"]), (5, 3));
}

#[test]
fn ids_that_a_spreadsheet_has_spoilt_are_no_ids() {
    let lines = [
        "4.7E+11,tea",
        "4,00638E+12,tea",
        "ann,#N/A",
        "ann,4E+9",
        "E+1,tea",
        "2E4,1E+x",
        "ann,A1.5E+",
    ];
    let lines: String = lines
        .iter()
        .map(|line| format!("{};1700000000\n", line.replacen(",tea", ";tea", 1)))
        .collect();
    let lines = lines.replace("ann,", "ann;").replace("2E4,", "2E4;");
    let (taken, source) = read("", &format!("user_id;item_id;timestamp\n{lines}"));
    assert_eq!(
        taken.pairs(),
        [("E+1", "tea"), ("2E4", "1E+x"), ("ann", "A1.5E+")]
    );
    assert_eq!(source.bad["id that a spreadsheet has spoilt"], 4);
}

#[test]
fn nobody_is_no_customer_and_who_that_is_the_owner_says() {
    let ids = ["0", "nan", "NULL", "Guest", "-", "", " ", "N/A", "ann", "00"];
    let lines: String = ids.iter().map(|id| format!("{id},tea,1700000000\n")).collect();
    let text = format!("user_id,item_id,timestamp\n{lines}");
    let (taken, source) = read("", &text);
    assert_eq!(taken.pairs(), [("ann", "tea"), ("00", "tea")]);
    assert_eq!(source.left_out["no customer"], 8);
    let (taken, source) = read("nobody = [\"ANN\", \"n*\"]", &text);
    assert_eq!((taken.0.len(), source.left_out["no customer"]), (4, 6));
}

#[test]
fn addresses_are_compared_without_case_and_other_ids_exactly() {
    let text = "user_id,item_id,timestamp\nAnna@example.com,85123A,1704450153\nanna@Example.com,71053,1704450154\n\
                A17@x,t,1704450154\na17@x,t,1704450154\nB1,t,1704450154\nb1,t,1704450154\nÄNNE@example.com,t,1704450154\n";
    let (taken, _) = read("", text);
    let users: Vec<&str> = taken.pairs().into_iter().map(|(user, _)| user).collect();
    assert_eq!(
        users,
        [
            "anna@example.com",
            "anna@example.com",
            "A17@x",
            "a17@x",
            "B1",
            "b1",
            "änne@example.com"
        ]
    );
}

#[test]
fn service_lines_are_no_products() {
    let text = "user_id,item_id,timestamp,title\na,POST,1700000000,x\na,1,1700000000,Shipping\na,gift_0001_20,1700000000,x\n\
                a,2,1700000000,Gift card 50 EUR\na,3,1700000000,Postage stamp album\na,m,1700000000,x\n";
    let (taken, source) = read("", text);
    assert_eq!(taken.pairs(), [("a", "3"), ("a", "m")]);
    assert_eq!(source.left_out_rows(), 4);
    let (taken, _) = read("leave_out = [\"m\"]", text);
    assert_eq!(taken.0.len(), 5);
}

proptest! {
    /// Whatever a file holds, each of its lines that is not blank is a header, or counted.
    #[test]
    fn no_line_of_any_text_is_lost_without_being_counted(
        lines in proptest::collection::vec("[a-z0-9,;\"\t@.:/ \u{e9}-]{0,24}", 0..20),
        header in prop_oneof![
            Just("user_id,item_id,timestamp,price,event,quantity"),
            Just("user_id;item_id;timestamp"),
            Just("Name,Email,Financial Status,Created at,Lineitem sku,Lineitem quantity"),
            Just("user_id:token\titem_id:token\ttimestamp:float"),
        ],
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        utf16: bool,
    ) {
        let text = format!("{header}{end}{}", lines.join(end));
        let bytes = match utf16 {
            true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            false => text.into_bytes(),
        };
        let (_, report) = try_read("", &bytes).expect("the header is good");
        let seen = lines.iter().filter(|line| !line.bytes().all(|byte| byte.is_ascii_whitespace())).count();
        prop_assert_eq!(report.sources[0].rows, seen as u64);
    }
}

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn open(text: &[u8], options: TextOptions) -> Result<TextTable, TableError> {
    TextTable::new(Path::new("t.csv"), Box::new(Cursor::new(text.to_vec())), options)
}

/// Each row's line, fields and fault.
fn rows(text: &str, options: TextOptions) -> Vec<(u64, Vec<String>, Option<RowFault>)> {
    let mut table = open(text.as_bytes(), options).expect("a table");
    let (mut row, mut all) = (Row::default(), Vec::new());
    while table.next_row(&mut row).expect("memory") {
        all.push((
            row.line,
            row.fields().map(str::to_owned).collect(),
            row.fault.clone(),
        ));
    }
    all
}

fn spanning() -> TextOptions {
    TextOptions {
        spans: true,
        ..TextOptions::default()
    }
}

#[test]
fn fields_before_a_fault_are_given_and_none_where_they_can_not_be_told_apart() {
    let text = "a,b,c\n1, 2 ,\"x\n1,\"2\"3,4\n1,2\n\n\"1\" ,\"2,\"\"\",3\n1,2,3,4\n1,2 \",3\n";
    let strings = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
    let fields = |have, open_since| {
        Some(RowFault::Fields {
            have,
            want: 3,
            open_since,
        })
    };
    assert_eq!(
        rows(text, TextOptions::default()),
        [
            (2, strings(&["1", "2"]), Some(RowFault::OpenQuote { within: 1 })),
            (3, strings(&["1"]), Some(RowFault::AfterQuote)),
            (4, vec![], fields(2, Some(2))),
            (6, strings(&["1", "2,\"", "3"]), None),
            (7, vec![], fields(4, None)),
            (8, strings(&["1", "2 \"", "3"]), None),
        ]
    );
}

#[test]
fn public_files_may_hold_line_breaks_within_quotes() {
    let text = "a,b\n\"x\ny\",1\n\"open,2\nz,3\n";
    let all = rows(text, spanning());
    assert_eq!(
        (all[0].0, all[0].1.as_slice()),
        (2, &["x\ny".to_owned(), "1".to_owned()][..])
    );
    assert_eq!(all[1].2, Some(RowFault::OpenQuote { within: 32 }));
    assert_eq!((all[2].0, all[2].1[0].as_str()), (5, "z"));
}

#[test]
fn headers_tell_the_delimiter_and_used_columns_must_be_one() {
    for (text, header) in [
        ("a;b,c;d\n", &["a", "b,c", "d"][..]),
        ("\"a;;;\",b\n", &["a;;;", "b"]),
        ("a\n", &["a"]),
        ("SEP=|\na|b,c\n", &["a", "b,c"]),
        ("\"sep=;\"\na;b\n", &["a", "b"]),
        ("user:token\titem:token\n", &["user", "item"]),
        ("user:token,item:x\n", &["user:token", "item:x"]),
    ] {
        assert_eq!(
            open(text.as_bytes(), TextOptions::default())
                .expect("a table")
                .header(),
            header
        );
    }
    let names = ["a", "B", "b", "b", ""].map(str::to_owned);
    let find = |name| column("t.csv", &names, name);
    assert!(matches!(find("a"), Ok(Some(0))) && matches!(find("A"), Ok(Some(0))));
    assert!(matches!(find("B"), Ok(Some(1))) && matches!(find("c"), Ok(None)));
    let twice = find("b").expect_err("two").to_string();
    assert!(twice.contains("t.csv: 2 columns are called \"b\""), "{twice}");
}

#[test]
fn what_is_no_table_is_named() {
    for (bytes, part) in [
        (&b""[..], "is empty"),
        (b"\n \r\n", "is empty"),
        (b"sep=;\n", "is empty"),
        (b"a,\"b\nc\n", "header line is unusable"),
        (b"\x1f\x8b....", "a gzip archive inside"),
    ] {
        let error = open(bytes, TextOptions::default()).err().expect(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    let missing = TextTable::open(Path::new("not/here.csv"), TextOptions::default()).err();
    assert!(missing.is_some_and(|error| error.to_string().starts_with("not/here.csv can't be read")));
}

#[test]
fn numbers_are_read_as_people_write_them() {
    for (text, number) in [
        ("12.5", 12.5),
        ("-3", -3.0),
        ("1e2", 100.0),
        (".5", 0.5),
        ("12,99", 12.99),
        ("3,5", 3.5),
        ("1.299,00", 1299.0),
        ("1,299.00", 1299.0),
        ("1,234,567", 1_234_567.0),
        ("1.234.567,8", 1_234_567.8),
        ("$12.00", 12.0),
        ("-$6.00", -6.0),
        ("12,99 €", 12.99),
        ("1 299,50", 1299.5),
        ("1'299.50", 1299.5),
    ] {
        assert_eq!(number::parse(text, false), Some(number), "{text}");
    }
    for text in [
        "", "nan", "inf", "-inf", "5 stars", "1,299", "1,29,9.0", "1.2.3", "12..", ",", "--1", "1e999",
    ] {
        assert_eq!(number::parse(text, false), None, "{text}");
    }
    assert_eq!(number::parse("1,299", true), Some(1.299));
}

proptest! {
    #[test]
    fn every_line_that_is_not_blank_is_a_row(
        lines in proptest::collection::vec("[ab,\" \u{e9}\u{2028}]{0,8}", 0..12),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        spans: bool,
    ) {
        let text = format!("a,b{end}{}{end}", lines.join(end));
        let mut table = open(text.as_bytes(), TextOptions { spans, ..TextOptions::default() }).expect("a table");
        let (mut row, mut seen, mut last) = (Row::default(), 0, 1);
        while table.next_row(&mut row).expect("memory") {
            prop_assert!(row.line > last);
            prop_assert!(row.fault.is_some() || row.len() == 2);
            last = row.line + row.lines - 1;
            seen += row.lines;
        }
        let blank = |line: &&String| line.bytes().all(|byte| byte.is_ascii_whitespace());
        let blanks = lines.iter().filter(blank).count() as u64;
        // Within quotes, blank lines are part of a row.
        prop_assert!(seen + blanks >= lines.len() as u64 && seen <= lines.len() as u64 + 1);
        if !spans {
            prop_assert_eq!(seen + blanks, lines.len() as u64);
        }
    }
}

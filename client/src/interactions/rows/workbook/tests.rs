//! Workbooks as spreadsheet programs write them, made here part by part.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use souk_common::table::Moment;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::data::interaction::{Interaction, OrderKey, Sink};
use crate::data::{DataReport, Reading, read_interactions};
use crate::interactions::rows::open;

/// A zip archive of these parts.
fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An .xlsx of sheets with these rows of cells; style 1 is a date's, style 2 that of a time of day.
fn xlsx(properties: &str, sheets: &[(&str, &str)]) -> Vec<u8> {
    let spreadsheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let of_package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let (mut list, mut links) = (String::new(), String::new());
    let mut parts = Vec::new();
    for (at, (name, rows)) in sheets.iter().enumerate() {
        let at = at + 1;
        list += &format!("<sheet name=\"{name}\" sheetId=\"{at}\" r:id=\"rId{at}\"/>");
        links += &format!(
            "<Relationship Id=\"rId{at}\" Type=\"{relations}/worksheet\" Target=\"worksheets/sheet{at}.xml\"/>"
        );
        parts.push((
            format!("xl/worksheets/sheet{at}.xml"),
            format!("<worksheet xmlns=\"{spreadsheet}\">{rows}</worksheet>"),
        ));
    }
    links += &format!("<Relationship Id=\"rId90\" Type=\"{relations}/styles\" Target=\"styles.xml\"/>");
    links += &format!(
        "<Relationship Id=\"rId91\" Type=\"{relations}/sharedStrings\" Target=\"sharedStrings.xml\"/>"
    );
    parts.push((
        "xl/workbook.xml".to_owned(),
        format!("<workbook xmlns=\"{spreadsheet}\" xmlns:r=\"{relations}\">{properties}<sheets>{list}</sheets></workbook>"),
    ));
    parts.push((
        "xl/_rels/workbook.xml.rels".to_owned(),
        format!("<Relationships xmlns=\"{of_package}\">{links}</Relationships>"),
    ));
    parts.push((
        "_rels/.rels".to_owned(),
        format!(
            "<Relationships xmlns=\"{of_package}\"><Relationship Id=\"rId1\" Type=\"{relations}/officeDocument\" \
             Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    ));
    parts.push((
        "xl/styles.xml".to_owned(),
        format!(
            "<styleSheet xmlns=\"{spreadsheet}\"><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"22\"/>\
             <xf numFmtId=\"21\"/></cellXfs></styleSheet>"
        ),
    ));
    let strings = [
        "user_id",
        "item_id",
        "timestamp",
        "quantity",
        "ann@example.com",
        "Tee &amp; Kanne",
    ];
    let strings: String = strings
        .iter()
        .map(|text| format!("<si><t>{text}</t></si>"))
        .collect();
    parts.push((
        "xl/sharedStrings.xml".to_owned(),
        format!("<sst xmlns=\"{spreadsheet}\">{strings}</sst>"),
    ));
    let parts: Vec<(&str, &str)> = parts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    zipped(&parts)
}

const HEADER: &str = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c><c r=\"C1\" t=\"s\"><v>2</v></c>\
    <c r=\"D1\" t=\"s\"><v>3</v></c></row>";

fn sheet(rows: &str) -> String {
    format!("<sheetData>{HEADER}{rows}</sheetData>")
}

fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        "<office:document-content><office:body><office:spreadsheet><table:table table:name=\"Orders\">{rows}</table:table>\
         </office:spreadsheet></office:body></office:document-content>"
    );
    zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", "<manifest:manifest/>"),
        ("content.xml", &content),
    ])
}

struct Read {
    header: Vec<String>,
    /// The line, the fields, and the time that the third one is.
    rows: Vec<(u64, Vec<String>, Option<Moment>)>,
    told: Vec<String>,
}

fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn read_with(bytes: &[u8], config: &ShopDataConfig) -> Result<Read, String> {
    let (_dir, path) = write(bytes);
    let told = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let (mut rows, rest) = open(&path, None, config).map_err(|error| told(&error))?;
    let mut read = Read {
        header: rows.header().to_vec(),
        rows: Vec::new(),
        told: Vec::new(),
    };
    let mut row = Row::default();
    while rows.next_row(&mut row).map_err(|error| told(&error))? {
        read.rows
            .push((row.line, row.fields().map(str::to_owned).collect(), row.moment(2)));
    }
    read.told = rows.guessed();
    assert_eq!(rest.finish().unwrap(), Digest::of(bytes));
    Ok(read)
}

fn read_all(bytes: &[u8]) -> Result<Read, String> {
    read_with(bytes, &ShopDataConfig::default())
}

#[test]
fn cells_are_read_as_what_a_text_file_would_have_whatever_the_files_name() {
    // 2024-01-05 12:00, a blank row with a style only, a number in a text, an error, a formula that nobody worked out.
    let rows = "<row r=\"2\"><c r=\"A2\"><v>17850</v></c><c r=\"B2\" t=\"inlineStr\"><is><t>0815</t></is></c><c r=\"C2\" s=\"1\"><v>45296.5</v></c>\
        <c r=\"D2\"><f>1+1</f><v>2</v></c><c r=\"F2\"><v>9</v></c></row><row r=\"3\"><c r=\"A3\" s=\"1\"/></row>\
        <row r=\"5\"><c r=\"A5\" t=\"s\"><v>4</v></c><c r=\"B5\" t=\"s\"><v>5</v></c><c r=\"C5\" t=\"str\"><v>2024-01-06 10:00</v></c>\
        <c r=\"D5\" t=\"e\"><v>#N/A</v></c></row><row r=\"6\"><c r=\"A6\"><v>4006381333931</v></c><c r=\"B6\"><v>2.5</v></c>\
        <c r=\"C6\" s=\"1\"><v>45296</v></c><c r=\"D6\"><f>A1</f></c></row>";
    let rows = format!(
        "{}<mergeCells count=\"1\"><mergeCell ref=\"A8:A9\"/></mergeCells>",
        sheet(rows)
    );
    let read = read_all(&xlsx("", &[("Orders", &rows)])).unwrap();
    assert_eq!(read.header, ["user_id", "item_id", "timestamp", "quantity"]);
    let row = |line: u64, fields: [&str; 4], moment: Option<i64>| {
        (
            line,
            fields.map(str::to_owned).to_vec(),
            moment.map(Moment::Local),
        )
    };
    assert_eq!(
        read.rows,
        [
            row(
                2,
                ["17850", "0815", "2024-01-05 12:00:00", "2"],
                Some(1_704_456_000)
            ),
            row(
                5,
                ["ann@example.com", "Tee & Kanne", "2024-01-06 10:00", ""],
                None
            ),
            row(6, ["4006381333931", "2.5", "2024-01-05", ""], Some(1_704_412_800)),
        ]
    );
    let told = read.told.join("\n");
    for said in [
        "1 hold errors, the first is #N/A in row 5",
        "some are merged",
        "1 formulas have no value",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn days_are_counted_from_1904_where_the_workbook_says_so() {
    let rows = "<row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"B2\"><v>2</v></c><c r=\"C2\" s=\"1\"><v>43834.5</v></c></row>\
        <row r=\"3\"><c r=\"A3\"><v>1</v></c><c r=\"B3\"><v>2</v></c><c r=\"C3\"><v>43834.5</v></c></row>";
    let read = read_all(&xlsx("<workbookPr date1904=\"1\"/>", &[("Orders", &sheet(rows))])).unwrap();
    let moments: Vec<_> = read.rows.iter().map(|row| row.2).collect();
    assert_eq!(moments, [Some(Moment::Local(1_704_456_000)); 2]);
}

#[test]
fn the_sheet_and_the_row_with_the_columns_are_found_and_said_or_chosen_by_the_owner() {
    let other = "<sheetData><row r=\"1\"><c t=\"inlineStr\"><is><t>Notes</t></is></c></row></sheetData>";
    let below = format!(
        "<sheetData><row r=\"1\"><c t=\"inlineStr\"><is><t>Orders of 2024</t></is></c></row>{}<row r=\"4\"><c r=\"A4\"><v>7</v></c>\
         <c r=\"B4\"><v>8</v></c><c r=\"C4\"><v>1700000000</v></c></row></sheetData>",
        HEADER.replace("r=\"1\"", "r=\"3\"").replace("1\" t=", "3\" t=")
    );
    let book = xlsx("", &[("Notes", other), ("Orders", &below)]);
    let read = read_all(&book).unwrap();
    assert_eq!(read.rows.len(), 1);
    assert_eq!(read.rows[0].0, 4);
    assert_eq!(
        read.told,
        [
            "sheet: \"Orders\", the first of 2 that has the columns",
            "header: row 3"
        ]
    );
    let named = |sheet: &str| ShopDataConfig {
        sheet: Some(sheet.to_owned()),
        ..ShopDataConfig::default()
    };
    assert_eq!(
        read_with(&book, &named("Orders")).unwrap().told,
        ["header: row 3"]
    );
    let none = read_with(&book, &named("orders 2024")).err().unwrap();
    assert!(
        none.contains("no sheet called \"orders 2024\"; there are: Notes, Orders"),
        "{none}"
    );
    // What is lacking is then said of that sheet's own columns.
    assert_eq!(read_with(&book, &named("Notes")).unwrap().header, ["Notes"]);
    let nowhere = read_all(&xlsx("", &[("Notes", other), ("More", other)]))
        .err()
        .unwrap();
    assert!(
        nowhere.contains("Notes (Notes); More (Notes); name the sheet as sheet"),
        "{nowhere}"
    );
    let empty = read_all(&xlsx("", &[("Orders", "<sheetData></sheetData>")]))
        .err()
        .unwrap();
    assert!(empty.contains("is empty"), "{empty}");
}

#[test]
fn sheets_of_open_document_are_read_alike() {
    let text = |text: &str| {
        format!("<table:table-cell office:value-type=\"string\"><text:p>{text}</text:p></table:table-cell>")
    };
    let header = ["user_id", "item_id", "timestamp", "quantity"].map(text).concat();
    let rows = format!(
        "<table:table-row>{header}</table:table-row><table:table-row table:number-rows-repeated=\"2\"><table:table-cell/></table:table-row>\
         <table:table-row><table:table-cell office:value-type=\"float\" office:value=\"17850\"/>{}<table:table-cell \
         office:value-type=\"date\" office:date-value=\"2024-01-05T12:00:00\"/><table:table-cell office:value-type=\"float\" \
         office:value=\"2\"/></table:table-row>",
        text("0815")
    );
    let read = read_all(&ods(&rows)).unwrap();
    let fields = ["17850", "0815", "2024-01-05 12:00:00", "2"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(read.rows, [(4, fields, Some(Moment::Local(1_704_456_000)))]);
}

#[test]
fn what_is_no_workbook_or_can_not_be_read_says_what_to_do() {
    let book = xlsx("", &[("Orders", &sheet(""))]);
    let ole = [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 4096]].concat();
    for (bytes, said) in [
        (&book[..book.len() - 40], "damaged or cut short"),
        (&book[..300], "damaged or cut short"),
        (
            &zipped(&[("orders.csv", "user_id,item_id,timestamp\n")]),
            "without a workbook in it: unpack it",
        ),
        (&zipped(&[("xl/workbook.bin", "")]), ".xlsb): save it as .xlsx"),
        (&zipped(&[("xl/workbook.xml", "<workbook>")]), "damaged workbook"),
        (&ole, "an old Excel workbook (.xls), whatever its name"),
    ] {
        let error = read_all(bytes).err().unwrap();
        assert!(error.contains(said) && error.contains("orders.csv"), "{error}");
    }
    // In the middle of the sheet.
    let rows = sheet("<row r=\"2\"><c r=\"A2\"><v>1</v></c>").replace("</sheetData>", "");
    let error = read_all(&xlsx("", &[("Orders", &rows)])).err().unwrap();
    assert!(error.contains("damaged workbook"), "{error}");
}

#[test]
fn a_workbook_with_a_password_is_told_from_an_old_one() {
    // The container's header, its table of sectors, and a directory with the part that Office encrypts into.
    let mut ole = vec![0; 512];
    ole[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    for (at, value) in [(24, 0x3eu16), (26, 3), (28, 0xfffe), (30, 9), (32, 6)] {
        ole[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in [
        (44, 1u32),
        (48, 1),
        (56, 4096),
        (60, u32::MAX - 1),
        (68, u32::MAX - 1),
    ] {
        ole[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    ole[76..].fill(0xff);
    ole[76..80].fill(0);
    let mut sectors = vec![0xff; 512];
    sectors[..4].copy_from_slice(&(u32::MAX - 2).to_le_bytes());
    sectors[4..8].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    let mut directory = vec![0; 512];
    for (at, (name, kind)) in [("Root Entry", 5), ("EncryptedPackage", 2)].iter().enumerate() {
        let entry = &mut directory[at * 128..][..128];
        for (place, letter) in name.encode_utf16().enumerate() {
            entry[place * 2..][..2].copy_from_slice(&letter.to_le_bytes());
        }
        entry[64] = (name.len() as u8 + 1) * 2;
        entry[66] = *kind;
        entry[116..120].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    }
    let error = read_all(&[ole, sectors, directory].concat()).err().unwrap();
    assert!(
        error.contains("a workbook with a password: open it, save it without one"),
        "{error}"
    );
}

#[test]
fn what_a_workbook_expands_to_is_bounded_before_it_is_parsed() {
    let many = "<row><c><v>1</v></c></row>".repeat(5000);
    let book = xlsx("", &[("Orders", &sheet(&many))]);
    let config = ShopDataConfig {
        max_bytes: 50_000,
        ..ShopDataConfig::default()
    };
    let error = read_with(&book, &config).err().unwrap();
    assert!(
        error.contains("more than 50000 bytes") && error.contains("max_bytes"),
        "{error}"
    );
    let bomb = format!("<row>{}</row>", " ".repeat(1000)).repeat(80_000);
    let error = read_all(&xlsx("", &[("Orders", &sheet(&bomb))])).err().unwrap();
    assert!(error.contains("300 times its size"), "{error}");
    let long = format!(
        "<row><c t=\"inlineStr\"><is><t>{}</t></is></c></row>",
        "a".repeat(2 << 20)
    );
    let error = read_all(&xlsx("", &[("Orders", &sheet(&long))])).err().unwrap();
    assert!(error.contains("a cell of more than 1024 kB"), "{error}");
}

/// The times of what it takes.
#[derive(Default)]
struct Taken(Vec<i64>);

impl Sink for Taken {
    fn take(&mut self, interaction: &Interaction<'_>) -> std::io::Result<()> {
        self.0.push(interaction.time);
        Ok(())
    }

    fn take_not_bought(&mut self, _: OrderKey, _: &str) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn dates_are_times_in_the_shops_zone_whatever_time_format_says_and_every_row_is_accounted_for() {
    let row = |at: u32, user: &str, item: &str, when: &str| {
        let user = format!("<c r=\"A{at}\" t=\"inlineStr\"><is><t>{user}</t></is></c>");
        format!("<row r=\"{at}\">{user}<c r=\"B{at}\">{item}</c>{when}</row>")
    };
    let date = |at: u32| format!("<c r=\"C{at}\" s=\"1\"><v>45296.5</v></c>");
    let rows = [
        row(2, "ann", "<v>7</v>", &date(2)),
        // In the owner's own way, no customer, no item, and a time that is none.
        row(
            3,
            "ann",
            "<v>7</v>",
            "<c r=\"C3\" t=\"str\"><v>05.01.2024 12:00</v></c>",
        ),
        row(4, "guest", "<v>7</v>", &date(4)),
        row(5, "bob", "", &date(5)),
        row(6, "bob", "<v>7</v>", "<c r=\"C6\" t=\"b\"><v>1</v></c>"),
    ];
    let (_dir, path) = write(&xlsx("", &[("Orders", &sheet(&rows.concat()))]));
    let config = ShopDataConfig {
        time_zone: Some("Europe/Vienna".to_owned()),
        time_format: Some("%d.%m.%Y %H:%M".to_owned()),
        ..ShopDataConfig::default()
    };
    let (mut rows, _) = open(&path, None, &config).unwrap();
    let (mut taken, mut report) = (Taken::default(), DataReport::default());
    let reading = Reading {
        config: &config,
        levels: None,
        // 2024-06-01.
        now: Timestamp(1_717_200_000_000),
        kept_since: None,
        forgotten: None,
    };
    read_interactions(&mut *rows, &reading, &mut taken, &mut report).unwrap();
    // Noon in Vienna.
    assert_eq!(taken.0, [1_704_452_400; 2]);
    let source = &report.sources[0];
    assert_eq!(
        (source.rows, source.left_out["no customer"], source.bad_rows()),
        (5, 1, 2)
    );
    let lines: Vec<u64> = report.bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [5, 6]);
}

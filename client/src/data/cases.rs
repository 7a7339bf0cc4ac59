//! Files as shop systems and people write them, each with what is right.

use proptest::prelude::*;

use super::interaction::{Interaction, Kind, Sink};
use super::*;

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
    let options = Options {
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

/// A row of a Shopify export: the first line of an order has its status.
fn shopify(order: &str, email: &str, status: &str, name: &str, sku: &str, rest: &str) -> String {
    format!("{order},{email},{status},2024-01-05 10:22:33 -0500,1,{name},3.39,{sku},{rest}\n")
}

const SHOPIFY: &str = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Notes,\
                       Cancelled at,Notes\n";

#[test]
fn shopify_orders_take_their_status_from_their_first_line() {
    let text = [
        SHOPIFY.to_owned(),
        shopify(
            "#1001",
            "anna@example.com",
            "paid",
            "Heart",
            "85123A",
            "\"please\nring twice, \"\"back door\"\"\",,",
        ),
        shopify("#1001", "anna@example.com", "", "Lantern", "71053", ",,"),
        shopify("#1002", "bob@example.org", "refunded", "Mug", "84406B", ",,"),
        shopify("#1002", "bob@example.org", "", "Cap", "84407", ",,"),
        shopify("#1003", "Anna@Example.com ", "voided", "Mug", "84029G", ",,"),
        shopify("#1004", "", "paid", "Mug", "84029E", ",,"),
        shopify("#1005", "carla@example.net", "paid", "Gift card", "", ",,"),
        shopify("#1006", "carla@example.net", "paid", "Tip", "", ",,"),
        shopify(
            "#1007",
            "Carla@example.net",
            "partially_refunded",
            "Mug",
            "84029G",
            ",,",
        ),
        shopify(
            "#1008",
            "carla@example.net",
            "paid",
            "Cap",
            "84407",
            ",2024-02-06 09:00:00 -0500,",
        ),
        shopify("#1009", "carla@example.net", "", "Cap", "84407", ",,"),
    ];
    let (taken, source) = read("", &text.concat());
    let bought = [
        ("anna@example.com", "85123A"),
        ("anna@example.com", "71053"),
        ("carla@example.net", "84029G"),
    ];
    assert_eq!(taken.pairs(), bought);
    assert_eq!(taken.times()[0], 1_704_468_153);
    assert_eq!(source.rows, 12);
    for (reason, count) in [
        ("order refunded", 2),
        ("order voided", 1),
        ("order cancelled", 1),
        ("no customer", 1),
        ("no product (postage, vouchers, fees: leave_out)", 2),
        ("the rest of a row whose quotes hold a line break", 1),
    ] {
        assert_eq!(source.left_out[reason], count, "{reason}");
    }
    assert_eq!(
        source.bad["the order's first line, which has its status, is missing"],
        1
    );
    assert!(
        told(&source).contains("format: shopify (by the header)"),
        "{}",
        told(&source)
    );
}

#[test]
fn shopify_rows_without_sku_or_customer_are_counted() {
    let text = "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Total,Created at,Lineitem quantity,Lineitem name,\
                Lineitem price,Lineitem sku,Cancelled at,Refunded Amount,Id\n\
                #1001,anna@example.org,paid,2026-03-03 10:15:00 -0400,fulfilled,USD,56.29,2026-03-03 10:14:00 -0400,2,Fern \
                print,16.00,FERN-1,,0.00,555\n\
                #1001,anna@example.org,,,,,,2026-03-03 10:14:00 -0400,1,\"Tote, canvas\",20.00,TOTE-1,,,\n\
                #1002,,paid,2026-03-04 10:15:00 -0400,fulfilled,USD,9.00,2026-03-04 10:14:00 -0400,1,Mug,9.00,,,0.00,556\n";
    let (taken, source) = read("", text);
    assert_eq!(
        taken.pairs(),
        [("anna@example.org", "FERN-1"), ("anna@example.org", "TOTE-1")]
    );
    assert_eq!((taken.0[0].2, taken.0[0].3), (1_772_547_240, 2.0));
    assert_eq!((source.rows, source.left_out["no customer"]), (3, 1));
    // The owner's own column takes the preset's place.
    let (taken, _) = read("[columns]\nitem = \"Lineitem name\"", text);
    assert_eq!(taken.pairs()[1], ("anna@example.org", "Tote, canvas"));
}

#[test]
fn woocommerce_guests_cancelled_orders_and_refunds_are_left_out() {
    let text = "Order Number,Order Date,Customer User ID,SKU,Item Name,Quantity (- Refund),Item Cost\n\
                101,2024-01-05 09:41,0,A-1,\"Mug \"\"Blue\"\"\",1,12.5\n101,2024-01-05 09:44,0,A-2,Cap,1,9\n\
                103,2024-01-06 09:44,17,A-2,Cap,1,9\n";
    let (taken, source) = read("", text);
    assert_eq!(
        (taken.pairs(), source.left_out["no customer"]),
        (vec![("17", "A-2")], 2)
    );
    let text = "Order Number,Order Status,Order Date,Email (Billing),SKU,Item #,Item Name,Quantity (- Refund),Item Cost\n\
                501,Completed,2024-03-01 14:05,Ana@example.com,85123A,1,White heart,2,2.55\n\
                501,Completed,2024-03-01 14:05,ana@example.com,71053,2,Lantern,1,3.39\n\
                502,Cancelled,2024-03-02 09:00,ben@example.com,84406B,1,Mug,0,3.39\n\
                503,Refunded,2024-03-02 09:00,ben@example.com,84029G,1,Hot bottle,-1,3.39\n\
                504,Pending payment,2024-03-02 09:00,ben@example.com,84029G,1,Hot bottle,1,3.39\n";
    let (taken, source) = read("format = \"woocommerce\"", text);
    assert_eq!(
        taken.pairs(),
        [("ana@example.com", "85123A"), ("ana@example.com", "71053")]
    );
    for reason in ["order cancelled", "order refunded", "order pending payment"] {
        assert_eq!(source.left_out[reason], 1, "{reason}");
    }
    // What counts is the owner's to say.
    assert_eq!(
        read("not_bought = []", text)
            .1
            .left_out
            .keys()
            .collect::<Vec<_>>(),
        ["no pieces (quantity 0)", "order pending payment"]
    );
}

#[test]
fn square_magento_and_amazon_are_told_by_their_headers() {
    let square = "Date,Time,Time Zone,Category,Item,Qty,SKU,Gross Sales,Transaction ID,Event Type,Customer ID\n\
                  2024-01-05,09:30:15,Central Time,Cups,Mug,2.0,M-1,$12.00,T1,Payment,C1\n\
                  2024-01-06,09:30:15,Central Time,Cups,Mug,-1.0,M-1,-$6.00,T2,Refund,C1\n\
                  2024-01-06,10:00:00,Central Time,Cups,Mug,1.0,M-1,$6.00,T3,Payment,\n";
    let (taken, source) = read("time_zone = \"America/Chicago\"", square);
    let c1 = |time, pieces| ("C1".to_owned(), "M-1".to_owned(), time, pieces);
    assert_eq!(taken.0, [c1(1_704_468_615, 2.0), c1(1_704_555_015, -1.0)]);
    assert!(source.left_out["no customer"] == 1 && told(&source).contains("square"));
    let magento = "increment_id,created_at,status,customer_email,sku,name,qty_ordered,qty_refunded,price\n\
                   7,2024-01-05 09:30:15,complete,Eva@example.com,S1,Shirt,3.0000,1.0000,19.0000\n\
                   7,2024-01-05 09:30:15,complete,eva@example.com,S2,Socks,1.0000,1.0000,5.0000\n\
                   8,2024-01-05 09:30:15,closed,eva@example.com,S3,Hat,1.0000,0.0000,5.0000\n";
    let (taken, source) = read("", magento);
    assert_eq!(
        (taken.pairs(), taken.0[0].3),
        (vec![("eva@example.com", "S1")], 2.0)
    );
    assert_eq!(
        (
            source.left_out["no pieces (quantity 0)"],
            source.left_out["order closed"]
        ),
        (1, 1)
    );
    let amazon = "order-id\torder-item-id\tpurchase-date\tbuyer-email\tsku\tproduct-name\tquantity-purchased\n\
                  1\t11\t2024-01-05T09:30:15+00:00\tX1@marketplace.amazon.com\tB-1\tA 5\" pan\t1\n";
    let (taken, source) = read("", amazon);
    assert_eq!(taken.pairs(), [("x1@marketplace.amazon.com", "B-1")]);
    assert!(
        told(&source).contains("amazon") && told(&source).contains("delimiter: tab"),
        "{}",
        told(&source)
    );
    let nameless = "amazon-order-id\torder-item-id\tpurchase-date\torder-status\tsku\tquantity\n";
    let error = try_read("", nameless.as_bytes())
        .err()
        .map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("no column \"buyer-email\"")));
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
fn nobody_is_no_customer_and_who_that_is_the_owner_says() {
    let ids = ["0", "nan", "NULL", "Guest", "-", "", " ", "N/A", "ann", "00"];
    let lines: String = ids.iter().map(|id| format!("{id},tea,1700000000\n")).collect();
    let text = format!("user_id,item_id,timestamp\n{lines}");
    let (taken, source) = read("", &text);
    assert_eq!(taken.pairs(), [("ann", "tea"), ("00", "tea")]);
    assert_eq!(source.left_out["no customer"], 8);
    let (taken, source) = read("nobody = [\"ANN\", \"n*\"]", &text);
    assert_eq!((taken.0.len(), source.left_out["no customer"]), (5, 5));
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

    /// In a layout whose lines depend on others of their order, no customer's lines depend on another's.
    #[test]
    fn without_one_customers_orders_every_other_customers_rows_are_what_they_were(
        lines in proptest::collection::vec((0..4u8, 0..3u8, 0..4usize, "[\"a, ]{0,4}"), 0..40),
        left_out in 0..4u8,
    ) {
        let rows_of = |without: Option<u8>| {
            let kept = lines.iter().filter(|(user, ..)| Some(*user) != without);
            let rows = kept.map(|(user, order, status, notes)| {
                let status = ["", "paid", "refunded", "voided"][*status];
                shopify(&format!("#{user}{order}"), &format!("u{user}"), status, "x", "sku", &format!("{notes},,"))
            });
            let taken = try_read("", (SHOPIFY.to_owned() + &rows.collect::<String>()).as_bytes()).expect("a table").0;
            taken.0.into_iter().filter(|row| row.0 != format!("u{left_out}")).collect::<Vec<_>>()
        };
        prop_assert_eq!(rows_of(None), rows_of(Some(left_out)));
    }
}

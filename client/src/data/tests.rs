use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use souk_common::dataset::History;
use tempfile::TempDir;

use super::*;

fn shop(files: &[(&str, &[u8])]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    dir
}

fn read(files: &[(&str, &[u8])]) -> Result<ShopData, DataError> {
    read_with(&old(""), files)
}

/// Settings under which times of the first days of 1970 are good.
fn old(settings: &str) -> ShopDataConfig {
    toml::from_str(&format!("earliest = \"1970-01-01\"\n{settings}")).expect("a table")
}

/// The end of November 2026.
const NOW: Timestamp = Timestamp(1_796_000_000_000);

fn read_with(config: &ShopDataConfig, files: &[(&str, &[u8])]) -> Result<ShopData, DataError> {
    read_shop(config, shop(files).path(), None, NOW)
}

fn reasons(data: &ShopData) -> Vec<(u64, &str)> {
    data.report
        .bad
        .iter()
        .map(|bad| (bad.line, bad.reason.as_str()))
        .collect()
}

const GOOD: &[u8] = b"user_id,item_id,timestamp\nann,tea,300\nbob,milk,100\nann,jam,200\nann,tea,100\n";

#[test]
fn orders_become_histories_in_time_order_with_repeats_merged() {
    let data = read(&[("orders.csv", GOOD)]).expect("good");
    assert_eq!(data.dataset.users, ["ann", "bob"]);
    let ids: Vec<&str> = data
        .catalogue
        .items()
        .iter()
        .map(|item| item.id.as_str())
        .collect();
    assert_eq!(ids, ["jam", "milk", "tea"]);
    assert_eq!(
        data.dataset.histories[0].items,
        [2, 0],
        "tea was first bought at 100"
    );
    assert_eq!(data.dataset.histories[0].times, [100, 200]);
    let report = &data.report;
    assert_eq!(
        (
            report.rows,
            report.users,
            report.items,
            report.pairs,
            report.duplicates
        ),
        (4, 2, 3, 3, 1)
    );
    assert_eq!((report.short_users, report.bad_lines), (2, 0));
    assert_eq!(report.first.as_deref(), Some("1970-01-01T00:01:40Z"));
    assert!(report.is_clean());
}

#[test]
fn of_items_of_one_time_the_files_first_counts_as_latest() {
    let text = b"user_id,item_id,timestamp\na,z,5\na,b,5\na,y,5\na,b,4\n";
    let data = read(&[("orders.csv", text)]).expect("good");
    // Catalogue b, y, z; b was first bought at 4.
    assert_eq!(data.dataset.histories[0].items, [0, 1, 2]);
}

#[test]
fn gzip_marks_line_ends_and_quotes_make_no_difference() {
    let plain = read(&[("orders.csv", GOOD)]).expect("good").dataset;
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    zip.write_all(GOOD).expect("memory");
    let zipped = zip.finish().expect("memory");
    let text = String::from_utf8_lossy(GOOD);
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let quoted = text.replace("tea", "\"tea\"").replace("user_id", "\"user_id\"");
    let open_end = text.trim_end().replace('\n', "\n\n");
    for form in [
        &zipped[..],
        marked.as_bytes(),
        quoted.as_bytes(),
        open_end.as_bytes(),
    ] {
        let data = read(&[("orders.csv", form)]).expect("good");
        assert_eq!(data.dataset.users, plain.users);
        assert_eq!(data.dataset.histories, plain.histories);
        assert_eq!(data.report.bad, []);
    }
    let cut = read(&[("orders.csv", &zipped[..zipped.len() - 12])]);
    assert!(
        matches!(cut, Err(DataError::Table(TableError::Read { .. }))),
        "{cut:?}"
    );
}

#[test]
fn every_bad_line_is_named_and_the_rest_is_read() {
    let mut text = b"user_id,item_id,timestamp,price,quantity,rating\nann,tea,300,1.5,1,4\n".to_vec();
    text.extend_from_slice(
        b"ann,jam,300,NaN,1,\nann,jam,300,-1,1,\n,jam,300,1,1,\nann,,300,1,1,\nann,jam,soon,1,1,\nann,jam,300\n\
          ann,jam,-1,1,1,\nann,jam,300,1,many,\nann,jam,300,1,1,inf\n\"ann,jam,300,1,1,\nann,\"jam\"x,300,1,1,\n",
    );
    text.extend_from_slice(b"ann,\xff,300,1,1,\nbob,jam,300,,-2,\nbob,tea,400,,,\n");
    let data = read(&[("orders.csv", &text)]).expect("some are good");
    let found = reasons(&data);
    for ((line, reason), (wanted, word)) in found.iter().zip([
        (6, "item id is empty"),
        (7, "\"soon\" is no time"),
        (8, "3 fields where the header has 6"),
        (9, "before 1970"),
        (10, "quantity \"many\" is not a number"),
        (12, "never closed"),
        (13, "after a closing quote"),
    ]) {
        assert!(*line == wanted && reason.contains(word), "{line}: {reason}");
    }
    let source = &data.report.sources[0];
    assert_eq!((found.len(), source.bad_rows()), (7, 7));
    assert_eq!((source.left_out["no customer"], source.left_out_rows()), (1, 1));
    // Of prices and ratings that make no sense, the row stays.
    assert_eq!((source.missing["price"], source.missing["rating"]), (2, 1));
    assert_eq!(
        source.guessed,
        ["encoding: 1 lines are not UTF-8 and were read as Windows-1252"]
    );
    assert_eq!((data.report.returns, data.report.rows, source.taken), (1, 15, 7));
    let items: Vec<&str> = data
        .catalogue
        .items()
        .iter()
        .map(|item| item.id.as_str())
        .collect();
    assert_eq!(items, ["jam", "tea", "\u{ff}"]);
    assert!(!data.report.is_clean());
}

#[test]
fn quoted_fields_may_hold_commas_and_quotes_and_those_of_items_line_ends() {
    let items = b"item_id,title,category,brand,price\na,\"Tea, \"\"best\"\"\nloose\",drinks,,2.5\nb,Jam,spreads,Hill,\n";
    let orders = b"user_id,item_id,timestamp\nx,b,10\nx,a,20\n";
    let data = read(&[("orders.csv", orders), ("items.csv", items)]).expect("good");
    assert_eq!(data.catalogue.items()[0].title, "Tea, \"best\"\nloose");
    let text = data.report.to_text();
    let told = "1 items with line breaks inside quotes, the first on lines 2 to 3";
    assert!(text.contains(told), "{text}");
    assert_eq!(data.catalogue.items()[0].price, Some(2.5));
    assert_eq!(data.catalogue.items()[1].price, None);
    assert_eq!(data.dataset.histories[0].items, [1, 0]);
}

#[test]
fn a_quote_that_never_closes_costs_its_own_line_only() {
    let mut text = String::from("user_id,item_id,timestamp\n\"ann,tea,5\n");
    for at in 0..100 {
        text += &format!("u{at},tea,5\n");
    }
    let data = read(&[("orders.csv", text.as_bytes())]).expect("good");
    assert_eq!((data.report.users, data.report.bad_lines), (100, 1));
    assert_eq!(data.report.bad[0].line, 2);
}

#[test]
fn an_odd_quote_in_a_column_that_nobody_uses_costs_no_row_and_swallows_none() {
    let mut text = String::from("user_id,item_id,timestamp,note\n");
    for at in 0..20 {
        let note = match at {
            3 => "\"Heavy duty pan".to_owned(),
            8 => "pan 8\"".to_owned(),
            at => format!("pan {at}"),
        };
        text += &format!("u{at},i{at},17000000{at:02},{note}\n");
    }
    let data = read(&[("orders.csv", text.as_bytes())]).expect("good");
    assert_eq!(
        (data.report.rows, data.report.users, data.report.bad_lines),
        (20, 20, 0)
    );
    assert_eq!(
        data.report.sources[0].missing["what follows an unclosed quote"],
        1
    );
}

#[test]
fn a_line_break_inside_quotes_costs_a_row_only_if_what_follows_is_needed() {
    let text = b"user_id,item_id,timestamp,note\nann,tea,5,\"Tea,\nloose\"\nbob,tea,6,x\nbob,jam\n";
    let data = read(&[("orders.csv", text)]).expect("the first and bob's are good");
    assert_eq!(
        reasons(&data).iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [5]
    );
    let source = &data.report.sources[0];
    assert_eq!((source.rows, source.taken, source.left_out_rows()), (4, 2, 1));
    assert_eq!(
        source.left_out["the rest of a row whose quotes hold a line break"],
        1
    );

    let text = b"note,user_id,item_id,timestamp\n\"Tea,\nloose\",ann,tea,5\nx,bob,tea,6\nbob,jam\n";
    let data = read(&[("orders.csv", text)]).expect("bob's is good");
    let found = reasons(&data);
    assert_eq!(
        found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [2, 5],
        "what follows the line break is a row of itself"
    );
    assert!(found[0].1.contains("never closed on this line"), "{found:?}");
    assert!(!found[1].1.contains("perhaps"), "{found:?}");
    let header = read(&[(
        "orders.csv",
        b"user_id,item_id,timestamp,\"ti\ntle\"\nann,tea,5,x\n",
    )]);
    let header = header.expect_err("no header").to_string();
    assert!(header.contains("never closed on this line"), "{header}");
}

/// A line of one of four customers: fields good or bad, with quotes and separators anywhere; now and then no customer at all.
fn any_line() -> impl Strategy<Value = (u8, String)> {
    let filling = "[\"\"\", a\r\u{85}\u{2028}-]{0,6}";
    let line = (0..4u8, 0..6u8, 0..9u32, filling, filling, 0..4u8);
    line.prop_map(|(user, item, time, before, after, form)| {
        let text = match form {
            0 => format!("u{user},i{item},{time},{before}{after}"),
            1 => format!("\"u{user}\",i{item},{time},\"{before}{after}\""),
            2 => format!("u{user},i{item}{before},{time}{after},x"),
            _ => format!("{before}u{user}{after},i{item},{time},x"),
        };
        (user, text)
    })
}

/// What counts of each customer who is not `left_out`, over a catalogue of its own, and what the report says.
fn rows_of(lines: &[(u8, String)], left_out: Option<u8>) -> (BTreeMap<String, History>, DataReport, usize) {
    let kept = lines.iter().filter(|(user, _)| Some(*user) != left_out);
    let kept: Vec<&str> = kept.map(|(_, text)| text.as_str()).collect();
    let text = format!("user_id,item_id,timestamp,title\nx,i0,1,x\n{}\n", kept.join("\n"));
    let catalogue = (0..6).map(|item| Item::bare(format!("i{item}"))).collect();
    let catalogue = Catalogue::new(catalogue).expect("six items");
    let dir = shop(&[("orders.csv", text.as_bytes())]);
    let data = read_shop(&old(""), dir.path(), Some(&catalogue), NOW).expect("x is always there");
    let users = data.dataset.users.into_iter().zip(data.dataset.histories);
    (users.collect(), data.report, kept.len() + 1)
}

proptest! {
    #[test]
    fn without_one_customers_lines_every_other_customers_rows_are_what_they_were(
        lines in proptest::collection::vec(any_line(), 0..40),
        left_out in 0..4u8,
    ) {
        let (mut with, report, count) = rows_of(&lines, None);
        prop_assert_eq!(report.rows, count as u64);
        let good = report.pairs as u64 + report.duplicates + report.rows_not_in_catalogue;
        let source = &report.sources[0];
        prop_assert_eq!(source.taken, good);
        prop_assert_eq!(report.rows, source.taken + source.left_out_rows() + source.bad_rows());
        let (without, _, _) = rows_of(&lines, Some(left_out));
        // Whatever the quotes make of a name, its customer's number is in it.
        with.retain(|name, _| !name.contains(&format!("u{left_out}")));
        prop_assert_eq!(with, without);
    }
}

#[test]
fn columns_can_be_mapped_and_missing_ones_name_the_remedy() {
    let text = b"who;what;when;kind\nann;tea;2026-01-02;buy\nann;jam;2026-01-03 10:00:00;view\n";
    let config: ShopDataConfig = toml::from_str(
        "orders = \"o.csv\"\nevents = [\"buy\"]\n\
         columns = { user = \"who\", item = \"what\", timestamp = \"when\", event = \"kind\" }",
    )
    .expect("a table");
    let data = read_with(&config, &[("o.csv", text)]).expect("good");
    assert_eq!(
        (
            data.report.pairs,
            data.report.sources[0].left_out["event \"view\""]
        ),
        (1, 1)
    );

    let message = read(&[("orders.csv", b"user,item_id,timestamp\na,b,1\n")])
        .expect_err("no user_id")
        .to_string();
    for part in ["orders.csv", "\"user_id\"", "columns.user", "user, item_id"] {
        assert!(message.contains(part), "{message}");
    }
    let mut wrong = old("");
    wrong.columns.price = Some("cost".into());
    let message = read_with(&wrong, &[("orders.csv", GOOD)])
        .expect_err("no cost")
        .to_string();
    assert!(
        message.contains("columns.price") && message.contains("\"cost\""),
        "{message}"
    );
    assert!(toml::from_str::<ShopDataConfig>("colums = 1").is_err());
    assert!(toml::from_str::<ShopDataConfig>("[columns]\nusr = \"a\"").is_err());
}

#[test]
fn files_that_are_no_use_are_errors() {
    assert!(matches!(
        read(&[]),
        Err(DataError::Table(TableError::Read { .. }))
    ));
    assert!(matches!(
        read(&[("orders.csv", b"")]),
        Err(DataError::Table(TableError::Empty { .. }))
    ));
    assert!(matches!(
        read(&[("orders.csv", b"\n \n")]),
        Err(DataError::Table(TableError::Empty { .. }))
    ));
    let head_only = read(&[("orders.csv", b"user_id,item_id,timestamp\n")]);
    assert!(matches!(head_only, Err(DataError::NoOrder { rows: 0, .. })));
    let all_bad = read(&[("orders.csv", b"user_id,item_id,timestamp\na,b,never\n")]).expect_err("bad");
    assert!(all_bad.to_string().contains("orders.csv:2"), "{all_bad}");
    let twice = read(&[("orders.csv", b"user_id,user_id,item_id,timestamp\n")]);
    assert!(matches!(
        twice,
        Err(DataError::Table(TableError::Twice { count: 2, .. }))
    ));
}

#[test]
fn items_the_catalogue_does_not_have_are_left_out_and_told() {
    let items = b"item_id,title\ntea,Tea\n";
    let data = read(&[("orders.csv", GOOD), ("items.csv", items)]).expect("tea is known");
    let report = &data.report;
    assert_eq!(
        (report.rows_not_in_catalogue, report.items_not_in_catalogue),
        (2, 2)
    );
    assert_eq!(report.examples_not_in_catalogue, ["jam", "milk"]);
    assert_eq!(data.dataset.users, ["ann"], "bob has nothing left");
    assert!(report.to_text().contains("jam, milk"));
    let none = read(&[("orders.csv", GOOD), ("items.csv", b"item_id\nrice\n")]);
    assert!(matches!(none, Err(DataError::NoOrder { unknown: 4, .. })));
}

#[test]
fn a_user_with_one_purchase_is_kept_and_counted_short() {
    let data = read(&[("orders.csv", b"user_id,item_id,timestamp\na,b,1\n")]).expect("good");
    assert_eq!((data.dataset.len(), data.report.short_users), (1, 1));
}

#[test]
fn recbole_files_are_read() {
    let config: ShopDataConfig = toml::from_str(
        "earliest = \"1970-01-01\"\nformat = \"recbole\"\norders = [\"m.inter\"]\nitems = \"m.item\"\nusers = \"m.user\"\n\
         item_columns = { title = \"movie_title\", category = \"class\" }",
    )
    .expect("a table");
    let data = read_with(
        &config,
        &[
            ("m.inter", b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t3\t881250949\n7\t2\t9\t5\n"),
            ("m.item", b"item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\t\"Odd\tDrama\n2\tTwo, the\tWar\n"),
            ("m.user", b"user_id:token\tage:token\n7\t24\n"),
        ],
    )
    .expect("good");
    assert_eq!(
        data.catalogue.items()[0].title,
        "\"Odd",
        "a quote is a letter there"
    );
    assert_eq!(data.dataset.histories[0].items, [1, 0]);
    assert_eq!(data.report.profiles, Some(1));
}

#[test]
fn products_can_be_grouped_by_a_column_of_the_items_file() {
    let items = b"item_id,type,category\na,tea,drinks\nb,tea,drinks\nc,jam,spreads\nd,,\n";
    let orders = b"user_id,item_id,timestamp\nx,a,1\nx,b,2\nx,c,3\nx,d,4\n";
    let config = old("item_level = \"type\"");
    let data = read_with(&config, &[("orders.csv", orders), ("items.csv", items)]).expect("good");
    assert_eq!(data.catalogue.len(), 2);
    assert_eq!(data.dataset.histories[0].items, [0, 1]);
    assert_eq!(data.report.rows_not_in_catalogue, 1);
    assert!(matches!(
        read_with(&config, &[("orders.csv", orders)]),
        Err(DataError::NoItemsFile)
    ));
}

#[test]
fn long_lists_of_bad_lines_end_in_a_count() {
    let text = format!("user_id,item_id,timestamp\na,b,1\n{}", "a,b\n".repeat(80));
    let data = read(&[("orders.csv", text.as_bytes())]).expect("one is good");
    assert_eq!(
        (data.report.bad_lines, data.report.bad.len()),
        (80, report::MAX_LISTED)
    );
    assert!(data.report.to_text().ends_with("  and 30 more\n"));
    let json = serde_json::to_value(&data.report).expect("JSON");
    assert_eq!(json["bad_lines"], 80);
}

#[test]
fn catalogues_report_their_bad_lines() {
    let dir = shop(&[("items.csv", b"item_id,price\na,1\na,2\n,3\nb,NaN\nc,\n")]);
    let path = dir.path().join("items.csv");
    let (catalogue, report) =
        read_catalogue(&path, &ItemColumns::default(), None, None).expect("three are good");
    assert_eq!((catalogue.len(), report.bad_lines), (3, 2));
    assert_eq!(report.sources[0].missing["price"], 1);
}

#[test]
fn tags_and_numbers_of_items_are_read() {
    let dir = shop(&[(
        "items.csv",
        b"item_id,tags,year\na,drama| war |,1995\nb,,\nc,war,late\n",
    )]);
    let path = dir.path().join("items.csv");
    let columns: ItemColumns = toml::from_str("numbers = [\"year\"]").expect("a table");
    let (catalogue, report) = read_catalogue(&path, &columns, None, None).expect("good");
    assert_eq!((catalogue.len(), report.bad_lines), (3, 0));
    assert_eq!(report.sources[0].missing["year"], 1);
    let [a, b, _] = catalogue.items() else {
        panic!("three items")
    };
    assert_eq!(
        (&a.tags[..], a.numbers["year"]),
        (&["drama".to_owned(), "war".to_owned()][..], 1995.0)
    );
    assert!(b.tags.is_empty() && b.numbers.is_empty());
}

#[test]
fn what_was_wholly_returned_was_not_bought() {
    let text = b"user_id,item_id,timestamp,quantity\na,x,10,1\na,x,20,-1\na,y,30,2\na,y,40,-1\na,z,50,0.3\na,z,60,-.1\na,z,61,-.2\n\
        a,z,70,-5\nb,x,80,-1\nb,x,90,1\nb,w,95,-1\nc,w,99,\nc,w,98,\n";
    let data = read(&[("orders.csv", text)]).expect("good");
    let report = &data.report;
    assert_eq!(data.dataset.users, ["a", "c"]);
    assert_eq!(data.dataset.histories[0].times, [30]);
    assert_eq!(data.dataset.histories[1].times, [98]);
    assert_eq!((report.rows, report.returns, report.pairs), (13, 7, 2));
    assert_eq!((report.returned_pairs, report.duplicates), (3, 1));
    assert!(
        report.to_text().contains("7; 3 pairs wholly returned"),
        "{}",
        report.to_text()
    );
}

#[test]
fn the_largest_customers_are_shown_and_twins_warned_of() {
    let mut text = String::from("user_id,item_id,timestamp\n");
    for at in 0..60 {
        text += &format!("u{at:02},tea,{at}\ncounter,i{at},{at}\n");
    }
    text += "17850,tea,1\n17850.0,tea,1\n7.0,tea,1\n";
    let report = read(&[("orders.csv", text.as_bytes())]).expect("good").report;
    assert_eq!(report.largest[0], ("counter".to_owned(), 60));
    assert_eq!(report.largest.len(), report::MAX_EXAMPLES);
    let shown = report.to_text();
    for part in [
        "largest     counter 60, ",
        "\"counter\" has 60 of 123 orders",
        "1 customers stand there twice, such as \"17850\" and \"17850.0\"",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let few = read(&[("orders.csv", GOOD)]).expect("good").report;
    assert_eq!((few.largest[0].1, few.warnings.len()), (3, 0));
}

#[test]
fn ids_with_blanks_around_them_are_the_catalogues() {
    let items = b"item_id,title,category,brand,price\n\" a\",A,x,b,1\nb ,B,x,b,1\n";
    let orders = b"user_id,item_id,timestamp\nu1,\" a\",1700000000\nu1,b ,1700000001\n";
    let data = read(&[("orders.csv", orders), ("items.csv", items)]).expect("good");
    assert_eq!((data.report.rows_not_in_catalogue, data.report.pairs), (0, 2));
}

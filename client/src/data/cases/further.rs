//! Further inputs of the kinds that were found wrong once: other ways in which the same happens.

use super::*;

const HEADER: &str = "user_id,item_id,timestamp\n";

#[test]
fn odd_quotes_that_pair_up_over_lines_swallow_none() {
    // Two fields that open and never close, five lines apart: read with line breaks inside quotes, they would be one field.
    let line = |at: u32, title: &str| format!("u{at},i{at},17000000{at:02},{title}\n");
    for odd in ["\"", "\"12\" skillet", "\"\"\"", "skillet, 12\""] {
        let title = |at: u32| {
            if at == 4 || at == 9 {
                odd.to_owned()
            } else {
                format!("pan {at}")
            }
        };
        let lines: String = (0..20).map(|at| line(at, &title(at))).collect();
        let (taken, source) = read("", &format!("user_id,item_id,timestamp,title\n{lines}"));
        assert_eq!(source.rows, 20, "{odd}");
        assert_eq!(taken.0.len() as u64 + source.bad_rows(), 20, "{odd}");
        assert!(source.bad_rows() <= 2, "{odd}: {source:?}");
    }
    // In what is needed, the line itself is lost, and reported.
    let text = format!("{HEADER}u1,\"12,1700000000\nu2,i2,1700000000\nu3,\"9,1700000000\nu4,i4,1700000000\n");
    let (taken, source) = read("", &text);
    assert_eq!(
        (taken.pairs(), source.bad_rows()),
        (vec![("u2", "i2"), ("u4", "i4")], 2)
    );
}

#[test]
fn times_that_are_cut_or_glued_are_read_as_what_they_say_or_refused_by_name() {
    let reasons = |times: &[&str]| {
        let lines: String = times.iter().map(|time| format!("u,i,{time}\n")).collect();
        let (taken, report) = try_read("", format!("{HEADER}{lines}").as_bytes()).expect("a table");
        (
            taken.times(),
            report
                .bad
                .iter()
                .map(|bad| bad.reason.clone())
                .collect::<Vec<_>>(),
        )
    };
    // Months, years, times of day and stamps of a spreadsheet's: none is a moment.
    let strange = [
        "202401",
        "2024",
        "2024-01",
        "10:22",
        "1.70E+09",
        "1;70E+09",
        "00:00.0",
        "24.01.05",
        "17000000000000000000",
    ];
    let (times, told) = reasons(&strange);
    assert_eq!(times, [0; 0]);
    assert_eq!(told.len(), strange.len());
    for (reason, value) in told.iter().zip(strange) {
        assert!(reason.contains(&format!("{value:?}")), "{reason}");
    }
    // One moment, with day and time glued, and with the letters of databases.
    for same in [
        "20240105102233",
        "2024-01-05T10:22:33",
        "2024-01-05 10:22:33.000000",
        "2024-01-05 10:22:33+00",
        "2024-01-05 10:22:33 +0000",
    ] {
        assert_eq!(reasons(&[same]).0, [1_704_450_153], "{same}");
    }
}

#[test]
fn shopify_exports_that_were_sorted_or_put_together_lose_no_line_uncounted() {
    let header = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem sku\n";
    let order = "#1,a@x.org,paid,2024-01-05,1,Mug,M\n#1,a@x.org,,2024-01-05,1,Cap,C\n";
    // Sorted upside down, the line with the status comes last: what stands before it can't be known.
    let upside_down: Vec<&str> = order.lines().rev().collect();
    let (taken, source) = read("", &format!("{header}{}\n", upside_down.join("\n")));
    assert_eq!((taken.pairs(), source.bad_rows()), (vec![("a@x.org", "M")], 1));
    // Two exports in one file: the second header is a bad line, and the orders of both are read.
    let second = order.replace("#1", "#2").replace("paid", "voided");
    let (taken, source) = read("", &format!("{header}{order}{header}{second}"));
    assert_eq!(taken.pairs(), [("a@x.org", "M"), ("a@x.org", "C")]);
    assert_eq!((source.bad_rows(), source.left_out["order voided"]), (1, 2));
}

#[test]
fn woocommerce_in_german_and_refunds_as_orders_of_their_own() {
    let header =
        "Order Number,Order Status,Order Date,Customer User ID,SKU,Item Name,Quantity (- Refund),Item Cost\n";
    let german = "1,Abgeschlossen,2024-01-05 09:41,7,A,Tasse,1,3\n2,Storniert,2024-01-05 09:41,7,B,Tasse,1,3\n\
                  3,Erstattet,2024-01-05 09:41,7,C,Tasse,1,3\n4,Abgeschlossen,2024-01-05 09:41,0,C,Tasse,1,3\n\
                  5,Abgeschlossen,2024-01-05 09:41,Gast,C,Tasse,1,3\n";
    let (taken, source) = read("", &format!("{header}{german}"));
    assert_eq!(
        (taken.pairs(), source.left_out["no customer"]),
        (vec![("7", "A")], 2)
    );
    let refunds = "1,Completed,2024-01-05 09:41,7,A,Cup,2,3\n9,Completed,2024-01-06 09:41,7,A,Cup,-2,3\n\
                   2,Completed,2024-01-05 09:41,8,A,Cup,2,3\n10,Completed,2024-01-06 09:41,8,A,Cup,-1,3\n";
    let dataset = histories(&format!("{header}{refunds}"));
    assert_eq!(dataset.users, ["8"], "7 brought all back, 8 one of two");
}

#[test]
fn events_of_other_shops_and_times_with_fractions_are_told_apart() {
    let text = "event_time,event_type,product_id,user_id\n2019-10-01 00:00:00.250 UTC,Purchase,1,9\n\
                2019-10-01 00:00:00+00:00,remove_from_cart,1,9\n2019-10-01T00:00:00Z,wishlist,1,9\n2019-10-01 UTC,,1,9\n";
    let (taken, source) = read("", text);
    assert_eq!(
        (taken.pairs(), taken.times()),
        (vec![("9", "1")], vec![1_569_888_000])
    );
    for event in ["remove_from_cart", "wishlist", ""] {
        assert_eq!(source.left_out[&format!("event {event:?}")], 1);
    }
}

#[test]
fn a_day_above_twelve_does_not_decide_for_other_lines() {
    for (times, format, wanted) in [
        (["13/1/2000", "11/1/2000"], "%d/%m/%Y", [947_721_600, 947_548_800]),
        (
            ["01-13-2000", "01-11-2000"],
            "%m-%d-%Y",
            [947_721_600, 947_548_800],
        ),
        (["13.01.00", "11.01.00"], "%d.%m.%y", [947_721_600, 947_548_800]),
    ] {
        let text = format!("{HEADER}u,a,{}\nu,b,{}\n", times[0], times[1]);
        let (taken, source) = read("", &text);
        assert!(
            !taken.times().contains(&wanted[1]) && source.bad_rows() >= 1,
            "{times:?}: {source:?}"
        );
        let (taken, _) = read(&format!("time_format = {format:?}"), &text);
        assert_eq!(taken.times(), wanted);
    }
}

#[test]
fn prices_and_ratings_of_any_kind_cost_no_row() {
    let text = "user_id;item_id;timestamp;price;rating\nu1;a;1700000000;1.234,56 €;★★★★☆\nu2;a;1700000000;EUR 12,50;4,5\n\
                u3;a;1700000000;free;4/5\nu4;a;1700000000;#N/A;-\n";
    let (taken, source) = read("", text);
    assert_eq!((taken.0.len(), source.bad_rows()), (4, 0), "{source:?}");
    assert!(source.missing["rating"] >= 2, "{source:?}");
    // Pieces decide whether something was bought: of what may be a thousand or one, the row is refused by name.
    let text = "user_id,item_id,timestamp,quantity,price\nu1,a,1700000000,2.0,12.5\nu2,a,1700000000,\"1,000\",1\nu3,a,1700000000,+1,\n";
    let (taken, source) = read("", text);
    assert_eq!(taken.pairs(), [("u1", "a"), ("u3", "a")]);
    assert_eq!(source.bad["quantity is no number"], 1);
}

#[test]
fn headers_with_quotes_blanks_and_empty_ends_are_the_same_header() {
    let rows = [("u1", "i1"), ("u2", "i2")];
    for (text, settings) in [
        (
            "\u{feff}\"user_id\";\"item_id\";\"timestamp\"\r\nu1;i1;1700000000\r\nu2;i2;1700000000\r\n",
            "",
        ),
        (
            "sep=\t\nuser_id\titem_id\ttimestamp\nu1\ti1\t1700000000\nu2\ti2\t1700000000",
            "",
        ),
        (
            " user_id | item_id | timestamp |\nu1|i1|1700000000|\nu2|i2|1700000000|\n",
            "",
        ),
        (
            "SEP=;\r\nUser_ID;Item_ID;TimeStamp\r\nu1;i1;1700000000\r\nu2;i2;1700000000\r\n",
            "",
        ),
        (
            "timestamp,item_id,user_id,x,x,x\n1700000000,i1,u1,,,\n1700000000,i2,u2,,,\n",
            "",
        ),
    ] {
        assert_eq!(read(settings, text).0.pairs(), rows, "{text:?}");
    }
}

#[test]
fn nobody_is_no_customer_in_the_words_of_other_systems() {
    let ids = [
        "(not set)",
        "Gast",
        "invité",
        "Invitado",
        "游客",
        "N.A.",
        "None",
        "<null>",
        "00000000-0000-0000-0000-000000000000",
        "Walk-In",
    ];
    let lines: String = ids.iter().map(|id| format!("{id},tea,1700000000\n")).collect();
    let (taken, source) = read(
        "",
        &format!("{HEADER}{lines}ann,tea,1700000000\nGastón,tea,1700000000\n"),
    );
    assert_eq!(taken.pairs(), [("ann", "tea"), ("Gastón", "tea")]);
    assert_eq!(source.left_out["no customer"], ids.len() as u64);
}

#[test]
fn addresses_with_blanks_and_tags_are_whose_they_are() {
    let text = format!(
        "{HEADER}\" Anna@Example.COM \",a,1700000000\nanna@example.com,b,1700000000\nanna+shop@example.com,c,1700000000\n\
         ANNA@EXAMPLE.COM\u{a0},d,1700000000\nanna@localhost,e,1700000000\nAnna@localhost,f,1700000000\n"
    );
    let users: Vec<String> = read("", &text).0.0.into_iter().map(|row| row.0).collect();
    assert_eq!(
        users,
        [
            "anna@example.com",
            "anna@example.com",
            "anna+shop@example.com",
            "anna@example.com",
            "anna@localhost",
            "Anna@localhost"
        ]
    );
}

/// The histories of a file.
fn histories(text: &str) -> Dataset {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("orders.csv"), text).expect("written");
    read_shop(&ShopDataConfig::default(), dir.path(), None, NOW)
        .expect("a shop")
        .dataset
}

#[test]
fn a_return_nets_wherever_its_line_stands() {
    let text = "user_id,item_id,timestamp,quantity\na,x,1700000009,-1\na,x,1700000001,1\na,y,1700000000,1\n\
                b,x,1700000000,3\nb,x,1700000001,-1\nb,x,1700000002,-1\nc,x,1700000000,1\nc,x,1700000001,-1\nc,x,1700000002,1\n";
    let data = histories(text);
    assert_eq!(data.users, ["a", "b", "c"]);
    assert_eq!(
        data.histories
            .iter()
            .map(|history| history.items.len())
            .collect::<Vec<_>>(),
        [1, 1, 1]
    );
    let text = "user_id,item_id,timestamp,event\na,x,1700000000,purchase\na,x,1700000001,refund\na,y,1700000000,purchase\n";
    assert_eq!(histories(text).histories[0].items.len(), 1);
}

#[test]
fn blanks_that_can_not_be_seen_around_ids_are_no_part_of_them() {
    for blank in ["\t", "\u{a0}", "\u{2003}", "\u{3000}"] {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("written");
        write("items.csv", format!("item_id,title\n{blank}a{blank},A\nb,B\n"));
        write(
            "orders.csv",
            format!("{HEADER}u,a,1700000000\nu,{blank}b{blank},1700000001\n"),
        );
        let shop = read_shop(&ShopDataConfig::default(), dir.path(), None, NOW).expect("a shop");
        assert_eq!(
            (shop.report.pairs, shop.report.rows_not_in_catalogue),
            (2, 0),
            "{blank:?}"
        );
    }
}

#[test]
fn of_one_days_lines_the_first_is_the_latest_for_each_customer_and_within_each_day() {
    // Days in two spellings and out of order; then two customers whose lines alternate.
    let text = format!("{HEADER}u,c,2024-01-02\nu,a,20240101\nu,b,2024-01-01\nu,d,2024-01-02\n");
    let data = histories(&text);
    assert_eq!(data.histories[0].items, [1, 0, 3, 2]);
    let text = format!(
        "{HEADER}u,a,2024-01-01\nv,c,2024-01-01\nu,b,2024-01-01\nv,b,2024-01-01\nu,c,2024-01-01\nv,a,2024-01-01\n"
    );
    let data = histories(&text);
    assert_eq!(
        (&data.histories[0].items[..], &data.histories[1].items[..]),
        (&[2, 1, 0][..], &[0, 1, 2][..])
    );
}

/// So many bytes of one letter, made as they are read.
struct Letters {
    before: &'static [u8],
    left: u64,
    after: &'static [u8],
}

impl std::io::Read for Letters {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        for part in [&mut self.before, &mut self.after] {
            if !part.is_empty() {
                return part.read(into);
            }
            let many = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
            if many > 0 {
                into[..many].fill(b'x');
                self.left -= many as u64;
                return Ok(many);
            }
        }
        Ok(0)
    }
}

#[test]
fn a_line_of_three_gigabytes_is_one_bad_line_and_is_not_held() {
    let source = Letters {
        before: b"user_id,item_id,timestamp\nu,a,1700000000\nu,",
        left: 3 << 30,
        after: b",1700000000\nu,b,1700000001\n",
    };
    let config = ShopDataConfig::default();
    let mut rows = TextTable::new(
        Path::new("orders.csv"),
        Box::new(std::io::BufReader::new(source)),
        text_of_orders(&config),
    )
    .expect("a table");
    let (mut row, mut read, mut longest) = (Row::default(), Vec::new(), 0);
    while rows.next_row(&mut row).expect("readable") {
        longest = longest.max(row.fields().map(str::len).sum::<usize>());
        read.push((row.line, row.fault.as_ref().map(|fault| fault.kind())));
    }
    assert_eq!(read, [(2, None), (3, Some("line too long")), (4, None)]);
    assert!(longest <= 2 << 20, "{longest} bytes of it were kept");
}

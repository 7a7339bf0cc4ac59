//! Statuses of orders: what they are called, what counts, and what of that is told.

use super::*;

const HEADER: &str = "user_id,item_id,timestamp,order_id,status\n";

/// A line for each status, of a customer each.
fn orders(statuses: &[&str]) -> String {
    let line = |(at, status): (usize, &&str)| format!("u{at},i{at},1700000000,{at},{status}\n");
    HEADER.to_owned() + &statuses.iter().enumerate().map(line).collect::<String>()
}

fn warnings(settings: &str, text: &str) -> Vec<String> {
    try_read(settings, text.as_bytes()).expect("a table").1.warnings
}

#[test]
fn every_status_is_listed_with_its_lines_and_whether_they_counted() {
    let text = orders(&[
        "Completed",
        "completed",
        "On hold",
        "refunded",
        "holded",
        "",
        "on hold",
    ]);
    let (taken, source) = read("", &text);
    assert_eq!(taken.0.len(), 6);
    let count = |lines, bought, known| StatusCount { lines, bought, known };
    let found: Vec<(&str, StatusCount)> = source
        .statuses
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!(
        found,
        [
            ("completed", count(2, true, true)),
            ("holded", count(1, true, false)),
            ("on hold", count(2, true, false)),
            ("refunded", count(1, false, true)),
        ]
    );
    let (_, report) = try_read("", text.as_bytes()).expect("a table");
    let shown = report.to_text();
    let listed = "completed 2 (bought), holded 1 (bought), on hold 2 (bought), refunded 1 (not bought)";
    assert!(shown.contains(listed), "{shown}");
    assert_eq!(report.warnings.len(), 2);
    for (warning, status) in report
        .warnings
        .iter()
        .zip(["2 lines of orders.csv have the status \"on hold\"", "\"holded\""])
    {
        assert!(
            warning.contains(status) && warning.contains("not_bought under [data]"),
            "{warning}"
        );
        assert!(shown.contains(warning.as_str()), "{shown}");
    }
    // What the owner has named is no longer in doubt.
    let named = "not_bought = [\"On hold\", \"holded\", \"refunded\"]";
    assert_eq!(warnings(named, &text), [""; 0]);
    assert_eq!(read(named, &text).0.0.len(), 3);
}

#[test]
fn what_is_surely_bought_is_not_warned_of_and_what_may_not_be_is() {
    let good = [
        "paid",
        "COMPLETED",
        "complete",
        "processing",
        "Fulfilled",
        "shipped",
        "delivered",
        "Partially_Shipped",
        "Shipped - Delivered to Buyer",
        "bezahlt",
        "Versendet",
        "payée",
        "Expédié",
        "pagado",
        "Entregado",
        "已完成",
        "交易成功",
    ];
    assert_eq!(warnings("", &orders(&good)), [""; 0]);
    let doubtful = [
        "holded",
        "On hold",
        "partially refunded",
        "partially_refunded",
        "pending",
        "authorized",
        "teilweise erstattet",
        "42",
        "部分退款",
    ];
    let (taken, _) = read("", &orders(&doubtful));
    assert_eq!(taken.0.len(), doubtful.len(), "they count");
    let told = warnings("", &orders(&doubtful));
    assert_eq!(told.len(), doubtful.len());
    for (told, status) in told.iter().zip(doubtful) {
        assert!(told.contains(&format!("{:?}", status.to_lowercase())), "{told}");
    }
}

#[test]
fn cancelled_and_refunded_are_known_in_the_languages_of_shops() {
    let words = [
        "storniert",
        "Storniert",
        "erstattet",
        "RÜCKERSTATTET",
        "annulé",
        "Annulée",
        "remboursé",
        "REMBOURSÉE",
        "cancelado",
        "Anulada",
        "reembolsado",
        "devuelto",
        "已取消",
        "已退款",
        "交易关闭",
        "Cancelled",
        "refunded",
        "voided",
    ];
    let (taken, source) = read("", &orders(&words));
    assert_eq!((taken.0.len(), source.left_out_rows()), (0, words.len() as u64));
    assert_eq!(warnings("", &orders(&words)), [""; 0]);
}

#[test]
fn a_column_of_free_text_is_listed_within_bounds_and_each_line_is_counted() {
    let texts: Vec<String> = (0..400)
        .map(|at| format!("{at} {}", "note ".repeat(40)))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (taken, source) = read("not_bought = [\"1*\"]", &orders(&texts));
    let left = (0..400)
        .filter(|at: &u32| at.to_string().starts_with('1'))
        .count();
    assert_eq!(taken.0.len(), 400 - left);
    assert!(source.statuses.len() <= 52, "{}", source.statuses.len());
    assert!(source.statuses.keys().all(|name| name.chars().count() < 90));
    let told = warnings("not_bought = [\"1*\"]", &orders(&texts));
    assert_eq!(told.len(), 21);
    assert!(
        told[20].contains("more statuses of orders.csv") && told[20].contains("status = \"\""),
        "{told:?}"
    );
    let of = |bought| {
        let counts = source
            .statuses
            .values()
            .filter(move |count| count.bought == bought);
        counts.map(|count| count.lines).sum::<u64>()
    };
    assert_eq!((of(true), of(false)), (400 - left as u64, left as u64));
}

#[test]
fn a_status_on_an_orders_first_line_is_counted_for_all_its_lines() {
    let text = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem sku,Cancelled at\n\
                #1,a@x.org,pending,2024-01-05,1,Mug,M,\n#1,a@x.org,,2024-01-05,1,Cap,C,\n\
                #2,a@x.org,paid,2024-01-05,1,Mug,M,2024-01-06\n#2,a@x.org,,2024-01-05,1,Cap,C,\n";
    let (taken, source) = read("", text);
    assert_eq!(taken.0.len(), 2);
    let count = |lines, bought, known| StatusCount { lines, bought, known };
    assert_eq!(source.statuses["pending"], count(2, true, false));
    assert_eq!(source.statuses["cancelled"], count(2, false, true));
    assert_eq!(source.left_out["order cancelled"], 2);
}

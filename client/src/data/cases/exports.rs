//! What shop systems export.

use super::*;

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
fn woocommerce_statuses_as_its_tables_have_them_are_the_same() {
    let text = "Order Number,Order Status,Order Date,Email (Billing),SKU,Item #,Item Name,Quantity (- Refund),Item Cost\n\
                1,wc-completed,2024-03-01 14:05,ana@example.com,A,1,Mug,1,2\n\
                2,wc-cancelled,2024-03-02 09:00,ben@example.com,B,1,Mug,1,2\n\
                3,wc-refunded,2024-03-02 09:00,ben@example.com,C,1,Mug,1,2\n\
                4,wc-failed,2024-03-02 09:00,ben@example.com,D,1,Mug,1,2\n";
    let (taken, source) = read("", text);
    assert_eq!(taken.pairs(), [("ana@example.com", "A")]);
    assert_eq!(source.left_out.values().sum::<u64>(), 3, "{:?}", source.left_out);
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

proptest! {
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

#[test]
fn a_shop_without_article_numbers_is_told_to_go_by_titles() {
    let order = |order: &str, name: &str| shopify(order, "anna@example.com", "paid", name, "", ",,");
    let text = [SHOPIFY.to_owned(), order("#1001", "Heart"), order("#1002", "Mug")].concat();
    let (_, report) = try_read("", text.as_bytes()).unwrap();
    assert_eq!(report.sources[0].bad["empty id"], 2);
    let told = "set item = \"Lineitem name\" under [data.columns]";
    assert!(report.bad[0].reason.contains(told), "{:?}", report.bad);
    let (taken, _) = read("[columns]\nitem = \"Lineitem name\"", &text);
    let bought = [("anna@example.com", "Heart"), ("anna@example.com", "Mug")];
    assert_eq!(taken.pairs(), bought);
}

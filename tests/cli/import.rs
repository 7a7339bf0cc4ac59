//! `souk-client import`, `forget`, `items` and `leave --erase`: what they print, where, and what they end with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use souk_tests::federation::{Federation, bad, good, plan};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const KEPT: &str = "all interactions are kept, whatever their age (keep_days under [data] in shop.toml says for how many days)\n";

/// A shop's folder without a federation, and the owner who stands in the folder around it.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new(orders: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("shop")).expect("a folder");
        let shop = Self(dir);
        shop.write("shop/shop.toml", "");
        shop.write("shop/orders.csv", orders);
        shop
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    fn client(&self, args: &[&str]) -> Output {
        Command::new(SOUK)
            .arg("client")
            .args(args)
            .args(["--dir", "shop"])
            .current_dir(self.0.path())
            .output()
            .expect("the program starts")
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.client(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// How many rows each source of the store has taken, by its name.
    fn taken(&self) -> Vec<(String, u64)> {
        let manifest = fs::read(self.0.path().join("shop/interactions/manifest.json")).expect("a store");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let sources = manifest["sources"].as_array().expect("sources").iter();
        let taken = |source: &Value| source["report"]["sources"][0]["taken"].as_u64();
        sources
            .map(|source| {
                (
                    source["name"].as_str().expect("a name").to_owned(),
                    taken(source).unwrap_or(0),
                )
            })
            .collect()
    }
}

/// Orders of one customer, so many good lines and so many bad ones.
fn orders(good: usize, bad: usize) -> String {
    let good = (0..good).map(|at| format!("ann,i{at},1700000000\n"));
    let bad = (0..bad).map(|_| "ann,tea,yesterday\n".to_owned());
    format!(
        "user_id,item_id,timestamp\n{}",
        good.chain(bad).collect::<String>()
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn import_reads_what_is_new_and_refuses_what_is_too_bad_in_one_place() {
    let shop = Shop::new(&orders(30, 0));
    let said = good(&shop.client(&["import"]));
    assert_eq!(
        said,
        format!("orders.csv was imported: 30 rows, 30 taken, 0 left out, 0 bad\n{KEPT}")
    );
    let said = good(&shop.client(&["import"]));
    assert_eq!(
        said,
        format!(
            "nothing new\norders.csv is as imported before: 30 rows, 30 taken, 0 left out, 0 bad\n{KEPT}"
        )
    );
    // One line in forty is bad: it is said, and the rest taken.
    shop.write("shop/orders.csv", &orders(39, 1));
    let said = good(&shop.client(&["import"]));
    assert!(
        said.contains("bad: 1 no time") && said.contains("orders.csv:41: timestamp \"yesterday\""),
        "{said}"
    );
    assert!(
        said.ends_with(&format!(
            "orders.csv was imported: 40 rows, 39 taken, 0 left out, 1 bad\n{KEPT}"
        )),
        "{said}"
    );
    // One in four is too many: the reason stands on stderr, once, and nowhere else.
    shop.write("shop/orders.csv", &orders(30, 10));
    let output = shop.client(&["import"]);
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complained.contains("orders.csv was not imported: 10 of 40 lines are bad"),
        "{complained}"
    );
    assert!(
        complained.contains("Above 5 % a source is refused whole")
            && complained.contains("what was imported before is used")
    );
    assert_eq!(
        complained.matches("not imported").count() + said.matches("not imported").count(),
        1,
        "{said}{complained}"
    );
    assert!(said.contains("orders.csv:32: timestamp \"yesterday\""), "{said}");
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 39)]);
    let told = shop.json(&["import"]);
    assert_eq!(
        (&told["ok"], &told["sources"][0]["state"]),
        (&false.into(), &"refused".into())
    );
    // Mended.
    shop.write("shop/orders.csv", &orders(40, 0));
    let told = shop.json(&["import"]);
    assert_eq!(
        (&told["ok"], &told["sources"][0]["state"]),
        (&true.into(), &"imported".into())
    );
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 40)]);
    // What is no setting, and what is not there.
    assert_eq!(bad(&shop.client(&["import", "--afresh", "more.csv"])).0, 64);
    let (code, complained) = bad(&shop.client(&["import", "more.csv"]));
    assert!(
        code == 1 && complained.contains("more.csv can't be read"),
        "{code} {complained}"
    );
}

#[test]
fn a_file_that_was_given_is_forgotten_by_the_name_it_has_where_the_owner_stands() {
    let shop = Shop::new(&orders(3, 0));
    let more = shop.write("more.csv", &orders(5, 0).replace("ann", "bob"));
    good(&shop.client(&["import"]));
    good(&shop.client(&["import", "more.csv"]));
    assert_eq!(shop.taken().len(), 2);
    let (code, complained) = bad(&shop.client(&["import", "--forget", "les.csv"]));
    assert!(
        code == 64 && complained.contains("it has: orders.csv, ") && complained.contains("more.csv"),
        "{code} {complained}"
    );
    let said = good(&shop.client(&["import", "--forget", "more.csv"]));
    assert!(said.ends_with("more.csv is no longer in the store\n"), "{said}");
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 3)]);
    // Also when it is gone, and by its whole name.
    for name in ["./more.csv", more.to_str().expect("plain")] {
        let more = shop.write("more.csv", &orders(5, 0).replace("ann", "bob"));
        good(&shop.client(&["import", "more.csv"]));
        fs::remove_file(more).expect("it was there");
        good(&shop.client(&["import", "--forget", name]));
        assert_eq!(shop.taken(), [("orders.csv".to_owned(), 3)]);
    }
}

#[test]
fn a_customer_is_forgotten_after_a_yes_and_let_in_again_and_one_whom_nobody_knows_is_refused() {
    let bob = orders(2, 0)
        .replace("ann", "Bob@Example.com")
        .split_off("user_id,item_id,timestamp\n".len());
    let shop = Shop::new(&(orders(3, 0) + &bob));
    good(&shop.client(&["import"]));
    let (code, complained) = bad(&shop.client(&["forget", "cy", "--yes"]));
    assert!(
        code == 1 && complained.contains("--anyway") && complained.contains("\"cy\""),
        "{code} {complained}"
    );
    // Nobody is there to be asked: it is shown what there is, and nothing is done.
    let (code, complained) = bad(&shop.client(&["forget", "bob@example.com"]));
    assert!(
        code == 64 && complained.contains("2 interactions of orders.csv"),
        "{code} {complained}"
    );
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 5)]);
    let said = good(&shop.client(&["forget", "BOB@example.com", "--yes"]));
    assert!(
        said.starts_with("bob@example.com is forgotten: 2 interactions"),
        "{said}"
    );
    assert!(said.contains("What stays:") && said.contains("Backups"), "{said}");
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 3)]);
    let told = shop.json(&["import", "--afresh"]);
    let report = &told["sources"][0]["report"]["sources"][0];
    assert_eq!(
        (&report["rows"], &report["taken"]),
        (&5.into(), &3.into()),
        "{told}"
    );
    assert_eq!(report["left_out"]["forgotten (souk-client forget)"], 2);
    let told = shop.json(&["forget", "bob@example.com", "--undo"]);
    assert_eq!(told["readmitted"], true);
    good(&shop.client(&["import"]));
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 5)]);
    assert_eq!(bad(&shop.client(&["forget", "bob@example.com", "--undo"])).0, 1);
    // What is too old is left out, and it is said for how long things are kept.
    shop.write("shop/shop.toml", "[data]\nkeep_days = 30\n");
    let output = shop.client(&["import"]);
    assert!(
        text(&output.stdout).contains("5 interactions of orders.csv are older than keep_days"),
        "{output:?}"
    );
    assert_eq!(shop.taken(), [("orders.csv".to_owned(), 0)]);
    shop.write("shop/shop.toml", "[data]\nkeep_days = 0\n");
    let (code, complained) = bad(&shop.client(&["import"]));
    assert!(
        code == 64 && complained.contains("keep_days is 0"),
        "{code} {complained}"
    );
}

#[test]
fn items_that_the_catalogue_lacks_are_listed_and_leaving_may_erase_the_store() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 5);
    let (code, said) = bad(&federation.client("north", &["items", "--unmatched"]));
    assert!(
        code == 2 && said.contains("it comes with the first model"),
        "{code} {said}"
    );
    good(&federation.client("north", &["run", "--exit-when-finished"]));
    let said = good(&federation.client("north", &["items", "--unmatched"]));
    assert_eq!(said, "Everything that was sold is in the catalogue.\n");
    let more = folder.join("more.csv");
    let lines = "u1,tea-9,1700000000\nu2,tea-9,1700000000\nu1,jam-9,1700000000\n";
    fs::write(&more, format!("user_id,item_id,timestamp\n{lines}")).expect("a file");
    good(&federation.client("north", &["import", more.to_str().expect("plain")]));
    let listed = federation.client("north", &["items", "--unmatched", "-n", "1"]);
    let said = text(&listed.stdout);
    assert_eq!(listed.status.code(), Some(1));
    assert!(
        said.starts_with("2 items of 3 order lines are not in the federation's catalogue"),
        "{said}"
    );
    assert!(
        said.contains("tea-9 sold 2 times") && !said.contains("jam-9"),
        "{said}"
    );
    assert_eq!(
        bad(&federation.client("north", &["leave", "--erase", "--keep"])).0,
        64
    );
    let store = |folder: &Path| folder.join("interactions").exists();
    assert!(store(&folder));
    let said = good(&federation.client("north", &["leave", "--erase"]));
    assert!(
        said.contains("You have left the federation.")
            && said.contains("files were written over and removed"),
        "{said}"
    );
    assert!(!store(&folder) && more.exists(), "the owner's own files stay");
    // Again: there is nothing left, and that is no error.
    let said = good(&federation.client("north", &["leave", "--erase"]));
    assert!(said.contains("0 files were written over"), "{said}");
}

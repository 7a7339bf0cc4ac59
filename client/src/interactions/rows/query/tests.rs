//! Queries on SQLite, and, where `.ci/databases` has started them, on PostgreSQL and MariaDB.

use std::path::Path;
use std::time::Duration;

use souk_common::clock::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::data::ShopDataConfig;
use crate::folder::Folder;
use crate::interactions::import::import;
use crate::interactions::outcome::{ImportOutcome, ImportState};
use crate::interactions::read::read_store;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const QUERY: &str =
    "SELECT customer AS user_id, sku AS item_id, bought AS timestamp, pieces AS quantity, id FROM orders;";

struct Shop {
    dir: TempDir,
    config: ShopDataConfig,
}

impl Shop {
    fn asking(url: &str, query: &str, watermark: Option<&str>, password: bool) -> Self {
        let watermark = watermark.map_or(String::new(), |column| format!("watermark = {column:?}\n"));
        let password = if password {
            "password_env = 'SOUK_DATABASE_PASSWORD'\n"
        } else {
            ""
        };
        let text = format!(
            "[[source]]\nkind = 'query'\nname = 'web'\nurl = '{url}'\nquery = {query:?}\n{watermark}{password}"
        );
        Self {
            dir: tempfile::tempdir().unwrap(),
            config: toml::from_str(&text).unwrap(),
        }
    }

    fn import(&self) -> ImportOutcome {
        import(&Folder::new(self.dir.path()), &self.config, &[], false, NOW).unwrap()
    }

    fn state(&self) -> ImportState {
        let outcome = self.import();
        assert_eq!(outcome.sources.len(), 1);
        outcome.sources[0].state
    }

    fn trouble(&self) -> String {
        self.import().troubles().next().unwrap()
    }

    fn pairs(&self) -> usize {
        let read = read_store(&Folder::new(self.dir.path()), &self.config, None).unwrap();
        read.shop.report.pairs
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

fn execute<C>(url: &str, statements: &[&str])
where
    C: Connection,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    block_on(async {
        let mut connection = C::connect(url).await.unwrap();
        for statement in statements {
            let sql = sqlx::raw_sql(AssertSqlSafe((*statement).to_owned()));
            (&mut connection).execute(sql).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// What every database has to do, over a table `orders` that `run` fills.
fn is_imported_from_a_watermark_on(url: &str, password: bool, run: impl Fn(&[&str])) {
    let shop = Shop::asking(url, QUERY, Some("id"), password);
    run(&[
        "INSERT INTO orders VALUES (9, 'ann', 'tea', '2024-01-05 10:22:33', 1, 2.5)",
        "INSERT INTO orders VALUES (10, 'bob', 'jam', '2024-01-05 10:22:34', NULL, NULL)",
        "INSERT INTO orders VALUES (11, NULL, 'jam', '2024-01-05 10:22:34', 1, NULL)",
    ]);
    let first = shop.import();
    assert_eq!(
        first.sources[0].state,
        ImportState::Imported,
        "{:?}",
        first.lines()
    );
    let report = &first.sources[0].report;
    assert_eq!(
        (
            report.rows,
            report.sources[0].left_out["no customer"],
            report.bad_lines
        ),
        (3, 1, 0)
    );
    assert_eq!(shop.pairs(), 2, "of no quantity, one");
    // Of ids 9, 10 and 100 the largest is 100: not the last as a text.
    run(&["INSERT INTO orders VALUES (100, 'cy', 'tea', '2024-02-01 00:00:00', 1, 1)"]);
    assert_eq!(shop.state(), ImportState::Imported);
    assert_eq!(shop.pairs(), 3);
    // The line of the watermark itself is read again, and no line counts twice.
    for _ in 0..2 {
        assert_eq!(shop.state(), ImportState::Unchanged);
        assert_eq!(shop.pairs(), 3);
    }
    run(&["INSERT INTO orders VALUES (101, 'ann', 'tea', '2024-02-02 00:00:00', -1, 1)"]);
    shop.import();
    assert_eq!(shop.pairs(), 2, "it came back");
    let missing = Shop::asking(
        url,
        "SELECT customer, sku AS item_id, bought AS timestamp FROM orders",
        None,
        password,
    );
    let told = missing.trouble();
    assert!(
        told.contains("user_id") && told.contains("it has: customer, item_id, timestamp"),
        "{told}"
    );
    let told = Shop::asking(url, QUERY, Some("seq"), password).trouble();
    assert!(
        told.contains("no column \"seq\"") && told.contains("user_id, item_id, timestamp, quantity, id"),
        "{told}"
    );
    let told = Shop::asking(url, "DELETE FROM orders", None, password).trouble();
    assert!(told.contains("web was not imported"), "{told}");
    let told = Shop::asking(url, "SELECT absent FROM nowhere", None, password).trouble();
    assert!(told.contains("nowhere"), "{told}");
    assert_eq!(shop.pairs(), 2, "all orders are still there");
}

const TABLE: &str = "CREATE TABLE orders (id BIGINT, customer VARCHAR(99), sku VARCHAR(99), bought TIMESTAMP NULL, pieces \
                     DECIMAL(9, 2), price DECIMAL(9, 2))";

fn sqlite(dir: &Path, statements: &[&str]) -> String {
    let url = format!("sqlite://{}", dir.join("shop.db").display());
    execute::<SqliteConnection>(&format!("{url}?mode=rwc"), statements);
    url
}

#[test]
fn a_query_on_sqlite_is_imported_from_its_watermark_on_and_nulls_are_missing_values() {
    let dir = tempfile::tempdir().unwrap();
    let url = sqlite(dir.path(), &[TABLE]);
    is_imported_from_a_watermark_on(&url, false, |statements| {
        sqlite(dir.path(), statements);
    });
}

#[test]
fn a_query_without_watermark_is_asked_whole_and_one_that_is_gone_keeps_what_was_imported() {
    let dir = tempfile::tempdir().unwrap();
    let insert = "INSERT INTO orders VALUES (1, 'ann', 'tea', 1704450153, 1, 1)";
    let url = sqlite(dir.path(), &[TABLE, insert]);
    let shop = Shop::asking(&url, QUERY, None, false);
    assert_eq!(
        [shop.state(), shop.state()],
        [ImportState::Imported, ImportState::Unchanged]
    );
    sqlite(
        dir.path(),
        &[
            "DELETE FROM orders",
            "INSERT INTO orders VALUES (2, 'bob', 'jam', 1704450153, 1, 1)",
        ],
    );
    assert_eq!(shop.state(), ImportState::Imported);
    assert_eq!(shop.pairs(), 1, "what was deleted there is gone here");
    std::fs::remove_file(dir.path().join("shop.db")).unwrap();
    assert_eq!(shop.state(), ImportState::Failed);
    assert_eq!(shop.pairs(), 1);
}

#[test]
fn a_query_that_fails_in_the_middle_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let insert = "INSERT INTO orders VALUES (1, 'ann', 'tea', 1704450153, 1, 1)";
    let url = sqlite(dir.path(), &[TABLE, insert]);
    let shop = Shop::asking(&url, QUERY, None, false);
    assert_eq!(shop.state(), ImportState::Imported);
    // At its 5,000th row the database has no answer: no number is the absolute value of the smallest.
    let dying = "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n LIMIT 9000) SELECT 'u' || at AS user_id, 'tea' AS \
                 item_id, CASE WHEN at = 5000 THEN abs(-9223372036854775807 - 1) ELSE 1704468153 END AS timestamp FROM n";
    let shop = Shop {
        config: Shop::asking(&url, dying, None, false).config,
        ..shop
    };
    let outcome = shop.import();
    assert_eq!(outcome.sources[0].state, ImportState::Failed);
    let told: Vec<String> = outcome.troubles().collect();
    assert!(
        told[0].contains("web was not imported") && told[0].contains("what was imported before is used"),
        "{told:?}"
    );
    assert_eq!(shop.pairs(), 1, "what was imported before is there");
}

#[test]
fn an_order_whose_status_changes_behind_the_watermark_stands_as_the_last_answer_says() {
    let dir = tempfile::tempdir().unwrap();
    let table = "CREATE TABLE orders (number BIGINT, status VARCHAR(99), customer VARCHAR(99), bought BIGINT, changed BIGINT)";
    let url = sqlite(dir.path(), &[table]);
    let run = |statement: &str| {
        sqlite(dir.path(), &[statement]);
    };
    let query = "SELECT number AS order_id, status, customer AS user_id, 'tea' AS item_id, bought AS timestamp, changed FROM orders";
    let shop = Shop::asking(&url, query, Some("changed"), false);
    run("INSERT INTO orders VALUES (1, 'paid', 'ann', 1704450153, 10), (2, 'paid', 'bob', 1704450153, 11)");
    shop.import();
    assert_eq!(shop.pairs(), 2);
    for (change, pairs) in [(12, 1), (14, 2), (16, 1)] {
        let status = if pairs == 1 { "refunded" } else { "paid" };
        run(&format!(
            "UPDATE orders SET status = '{status}', changed = {change} WHERE number = 1"
        ));
        // The clock stands still: answers follow one another all the same.
        assert!(shop.import().is_good());
        assert_eq!(shop.pairs(), pairs, "{status} at {change}");
        shop.import();
        assert_eq!(shop.pairs(), pairs, "and asked again");
    }
}

#[test]
fn a_password_is_written_as_a_url_has_it_and_a_watermark_as_a_text_that_ends_where_it_ends() {
    let url = with_password("postgres://reader@host:5432/shop", Some("a:b/c@ü"));
    assert_eq!(url, "postgres://reader:a%3Ab%2Fc%40%C3%BC@host:5432/shop");
    assert_eq!(POSTGRES.literal("12"), "'12'");
    assert_eq!(SQLITE.literal("-12.5"), "-12.5");
    assert_eq!(MYSQL.literal("a'; \\"), "'a''; \\\\'");
    assert_eq!(SQLITE.literal("1.2.3"), "'1.2.3'");
    assert_eq!(MYSQL.quoted("a`b"), "`a``b`");
}

/// The variable's URL with the password in it, for the test's own statements.
fn server(variable: &str) -> (String, String) {
    let url = std::env::var(variable).expect(".ci/databases sets it");
    let password = std::env::var("SOUK_DATABASE_PASSWORD").expect(".ci/databases sets it");
    let own = with_password(&url, Some(&password));
    (url, own)
}

#[test]
#[ignore = "needs the servers that .ci/databases starts"]
fn databases_postgresql_is_imported_and_a_connection_that_ends_in_the_middle_changes_nothing() {
    let (url, own) = server("SOUK_POSTGRES");
    let run = |statements: &[&str]| execute::<PgConnection>(&own, statements);
    run(&["DROP TABLE IF EXISTS orders", TABLE]);
    is_imported_from_a_watermark_on(&url, true, run);
    // A moment with its zone is read in UTC, whatever the session's.
    let zoned =
        "SELECT 'ann' AS user_id, 'tea' AS item_id, TIMESTAMPTZ '2024-01-05 10:22:33.5-05' AS timestamp";
    let shop = Shop::asking(&url, zoned, None, true);
    assert_eq!(shop.state(), ImportState::Imported, "{:?}", shop.import().lines());
    let read = read_store(&Folder::new(shop.dir.path()), &shop.config, None)
        .unwrap()
        .shop;
    assert_eq!(read.dataset.histories[0].times, [1_704_468_153]);
    // The server ends the session at its 5,000th row.
    let dying = "SELECT 'u' || n AS user_id, 'tea' AS item_id, CASE WHEN n = 5000 THEN \
                 pg_terminate_backend(pg_backend_pid())::text ELSE '1704468153' END AS timestamp FROM generate_series(1, 9000) n";
    let shop = Shop {
        config: Shop::asking(&url, dying, None, true).config,
        ..shop
    };
    assert_eq!(shop.state(), ImportState::Failed);
    assert_eq!(shop.pairs(), 1, "what was imported before is there");
    let wrong = Shop::asking(&url.replace("souk@", "nobody@"), QUERY, None, true).trouble();
    let password = std::env::var("SOUK_DATABASE_PASSWORD").unwrap();
    assert!(
        wrong.contains("authentication failed") && !wrong.contains(&password),
        "{wrong}"
    );
}

#[test]
#[ignore = "needs the servers that .ci/databases starts"]
fn databases_mariadb_is_imported_and_a_connection_that_ends_in_the_middle_changes_nothing() {
    let (url, own) = server("SOUK_MARIADB");
    let run = |statements: &[&str]| execute::<MySqlConnection>(&own, statements);
    run(&["DROP TABLE IF EXISTS orders", TABLE]);
    is_imported_from_a_watermark_on(&url, true, run);
    let shop = Shop::asking(&url, QUERY, None, true);
    assert_eq!(shop.state(), ImportState::Imported);
    let pairs = shop.pairs();
    // Rows that come slowly, until somebody ends the session.
    let slow = "SELECT CONCAT('u', seq) AS user_id, 'tea' AS item_id, 1704468153 + SLEEP(0.01) AS timestamp FROM seq_1_to_100000";
    let shop = Shop {
        config: Shop::asking(&url, slow, None, true).config,
        ..shop
    };
    let killer = thread::spawn(move || {
        let find = "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE info LIKE '%seq_1_to_100000%' AND id <> \
                    CONNECTION_ID()";
        block_on(async {
            let mut connection = MySqlConnection::connect(&own).await.unwrap();
            for _ in 0..600 {
                let found = (&mut connection)
                    .fetch_optional(sqlx::raw_sql(find))
                    .await
                    .unwrap();
                if let Some(row) = found {
                    let kill = format!("KILL {}", row.try_get_unchecked::<String, _>(0).unwrap());
                    (&mut connection)
                        .execute(sqlx::raw_sql(AssertSqlSafe(kill)))
                        .await
                        .unwrap();
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            false
        })
    });
    assert_eq!(shop.state(), ImportState::Failed);
    assert!(killer.join().unwrap());
    assert_eq!(shop.pairs(), pairs, "what was imported before is there");
}

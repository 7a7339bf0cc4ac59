//! Queries on PostgreSQL, MySQL or MariaDB, and SQLite: in a transaction that only reads, row by row.
//!
//! The owner's query is asked inside one of this program's that has the database write every value as text, so that the values of
//! a table are read as those of a file are: `NULL` as an empty field, moments with their zone in UTC.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use futures_util::TryStreamExt;
use souk_common::table::{Row, RowSource, TableError};
use sqlx::{
    AssertSqlSafe, Column, ColumnIndex, Connection, Database, Decode, Executor, MySqlConnection,
    PgConnection, Row as _, SqlSafeStr, SqliteConnection, Statement, TypeInfo,
};

use crate::data::DataError;
use crate::data::sources::QueryConfig;
use crate::folder::Folder;

/// A query's rows as they arrive.
#[derive(Debug)]
pub(crate) struct QueryRows {
    name: String,
    header: Vec<String>,
    arriving: Receiver<Arrived>,
    batch: std::vec::IntoIter<Vec<Option<String>>>,
    rows: u64,
    watermark: Option<String>,
    ended: bool,
}

#[derive(Debug)]
enum Arrived {
    Header(Vec<String>, Option<String>),
    Batch(Vec<Vec<Option<String>>>),
    End,
    Failed(String),
}

impl QueryRows {
    /// Asks a query, of a source called `name`: from the watermark `since` on, if it has one.
    ///
    /// # Errors
    /// When there is no connection, or the query makes no sense.
    pub(crate) fn ask(
        name: &str,
        query: &QueryConfig,
        password: Option<&str>,
        since: Option<&str>,
    ) -> Result<Self, DataError> {
        let (send, arriving) = sync_channel(BATCHES_AHEAD);
        let asked = Asked {
            url: with_password(&query.url, password),
            query: query.query.trim().trim_end_matches(';').to_owned(),
            watermark: query.watermark.clone(),
            since: since.map(str::to_owned),
        };
        // Of its own: whoever imports may be on a thread of a runtime that must not be blocked.
        let spawned = thread::Builder::new()
            .name("query".to_owned())
            .spawn(move || asked.run(&send));
        spawned.map_err(|error| failed(name, &error.to_string()))?;
        match arriving.recv() {
            Ok(Arrived::Header(header, watermark)) => Ok(Self {
                name: name.to_owned(),
                header,
                arriving,
                batch: Vec::new().into_iter(),
                rows: 0,
                watermark,
                ended: false,
            }),
            Ok(Arrived::Failed(reason)) => Err(failed(name, &reason)),
            _ => Err(failed(name, "the query ended without a word")),
        }
    }

    /// The largest value of the watermark's column when the query was asked; none without one, or without rows.
    pub(crate) fn watermark(&self) -> Option<&str> {
        self.watermark.as_deref()
    }
}

impl RowSource for QueryRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self, row: &mut Row) -> Result<bool, TableError> {
        loop {
            if let Some(values) = self.batch.next() {
                self.rows += 1;
                row.start(self.rows);
                values
                    .iter()
                    .for_each(|value| row.push(value.as_deref().unwrap_or_default()));
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            match self.arriving.recv() {
                Ok(Arrived::Batch(batch)) => self.batch = batch.into_iter(),
                Ok(Arrived::End) => self.ended = true,
                Ok(Arrived::Failed(reason)) => return Err(self.broken(reason)),
                Ok(Arrived::Header(..)) | Err(_) => {
                    return Err(self.broken("it ended in the middle".to_owned()));
                }
            }
        }
    }
}

impl QueryRows {
    fn broken(&self, reason: String) -> TableError {
        TableError::Read {
            path: self.name.clone().into(),
            source: std::io::Error::other(reason),
        }
    }
}

/// The password that a source names, if it names one.
///
/// # Errors
/// When it is not there.
pub(crate) fn password(query: &QueryConfig, folder: &Folder) -> Result<Option<String>, DataError> {
    if let Some(variable) = &query.password_env {
        let value = std::env::var(variable);
        let missing = |_| {
            failed(
                variable,
                "password_env names it, and it is not set in the environment",
            )
        };
        return value.map(Some).map_err(missing);
    }
    let Some(file) = &query.password_file else {
        return Ok(None);
    };
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).map_err(|error| DataError::read(&path, error))?;
    Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
}

/// A password in a URL: what would end it there is written as `%` and two digits.
fn with_password(url: &str, password: Option<&str>) -> String {
    let (Some(password), Some((scheme, rest))) = (password, url.split_once("://")) else {
        return url.to_owned();
    };
    let written: String = password
        .bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    match rest.split_once('@') {
        Some((user, host)) => format!("{scheme}://{user}:{written}@{host}"),
        None => format!("{scheme}://:{written}@{rest}"),
    }
}

fn failed(name: &str, reason: &str) -> DataError {
    DataError::Database {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

struct Asked {
    url: String,
    query: String,
    watermark: Option<String>,
    since: Option<String>,
}

impl Asked {
    fn run(&self, out: &SyncSender<Arrived>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime
            .map_err(|error| error.to_string())
            .and_then(|runtime| runtime.block_on(self.answer(out)));
        // Whoever reads no further has gone.
        let _ = out.send(match ended {
            Ok(()) => Arrived::End,
            Err(reason) => Arrived::Failed(reason),
        });
    }

    async fn answer(&self, out: &SyncSender<Arrived>) -> Result<(), String> {
        match self.url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "postgres" | "postgresql" => {
                let mut connection = PgConnection::connect(&self.url).await.map_err(told)?;
                let begin = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"];
                self.stream(&mut connection, &begin, &POSTGRES, out).await
            }
            "mysql" | "mariadb" => {
                let mut connection = MySqlConnection::connect(&self.url).await.map_err(told)?;
                let begin = [
                    "SET SESSION time_zone = '+00:00'",
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
                ];
                self.stream(&mut connection, &begin, &MYSQL, out).await
            }
            "sqlite" => {
                let mode = if self.url.contains('?') {
                    "&mode=ro"
                } else {
                    "?mode=ro"
                };
                let mut connection = SqliteConnection::connect(&format!("{}{mode}", self.url))
                    .await
                    .map_err(told)?;
                self.stream(&mut connection, &["BEGIN"], &SQLITE, out).await
            }
            _ => Err("its url begins with none of postgres://, mysql:// and sqlite://".to_owned()),
        }
    }

    /// Runs the transaction.
    async fn stream<C>(
        &self,
        connection: &mut C,
        begin: &[&'static str],
        dialect: &Dialect,
        out: &SyncSender<Arrived>,
    ) -> Result<(), String>
    where
        C: Connection,
        for<'c> &'c mut C: Executor<'c, Database = C::Database>,
        usize: ColumnIndex<<C::Database as Database>::Row>,
        for<'r> Option<String>: Decode<'r, C::Database>,
    {
        for statement in begin {
            (&mut *connection)
                .execute(sqlx::raw_sql(*statement))
                .await
                .map_err(told)?;
        }
        let prepared = (&mut *connection)
            .prepare(AssertSqlSafe(self.query.clone()).into_sql_str())
            .await;
        let prepared = prepared.map_err(told)?;
        let columns: Vec<(String, String)> = prepared
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
            .collect();
        let header: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let watermark = match &self.watermark {
            None => None,
            Some(name) => {
                let found = columns.iter().find(|(column, _)| column == name).ok_or_else(|| {
                    format!(
                        "the query has no column {name:?} to be its watermark; it has: {}",
                        header.join(", ")
                    )
                })?;
                Some(found)
            }
        };
        let mut largest = None;
        if let Some((name, kind)) = watermark {
            let column = dialect.quoted(name);
            let text = dialect.as_text(&format!("MAX(q.{column})"), kind);
            let sql = format!("SELECT {text} FROM ({}) q", self.query);
            let row = (&mut *connection)
                .fetch_one(sqlx::raw_sql(AssertSqlSafe(sql)))
                .await
                .map_err(told)?;
            largest = row.try_get_unchecked::<Option<String>, _>(0).map_err(told)?;
        }
        let texts: Vec<String> = columns
            .iter()
            .map(|(name, kind)| dialect.as_text(&format!("q.{}", dialect.quoted(name)), kind))
            .collect();
        let mut sql = format!("SELECT {} FROM ({}) q", texts.join(", "), self.query);
        if let (Some((name, _)), Some(since)) = (watermark, &self.since) {
            let column = dialect.quoted(name);
            let since = dialect.literal(since);
            // What has no watermark may be new each time; what is known of it is not counted twice.
            sql += &format!(" WHERE q.{column} >= {since} OR q.{column} IS NULL");
        }
        if out.send(Arrived::Header(header, largest)).is_err() {
            return Ok(());
        }
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        let mut rows = (&mut *connection).fetch(sqlx::raw_sql(AssertSqlSafe(sql)));
        while let Some(row) = rows.try_next().await.map_err(told)? {
            let values = (0..columns.len()).map(|at| row.try_get_unchecked::<Option<String>, _>(at));
            batch.push(values.collect::<Result<_, _>>().map_err(told)?);
            if batch.len() == BATCH_ROWS && out.send(Arrived::Batch(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
        // Whoever reads no further has gone; that it is whole is said by the end that follows.
        let _ = out.send(Arrived::Batch(batch));
        Ok(())
    }
}

/// How a database writes what the others write in another way.
struct Dialect {
    quote: char,
    /// A value as text; `{}` is the value.
    text: &'static str,
    /// The same of a moment with a zone, by the type that has one.
    moment: (&'static str, &'static str),
    /// Whether a number between quotes is compared as a number.
    compares_quoted_numbers: bool,
    escapes_backslashes: bool,
}

const POSTGRES: Dialect = Dialect {
    quote: '"',
    text: "CAST({} AS text)",
    moment: (
        "TIMESTAMPTZ",
        "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    ),
    compares_quoted_numbers: true,
    escapes_backslashes: false,
};
const MYSQL: Dialect = Dialect {
    quote: '`',
    text: "CAST({} AS CHAR)",
    moment: ("TIMESTAMP", "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%fZ')"),
    compares_quoted_numbers: false,
    escapes_backslashes: true,
};
const SQLITE: Dialect = Dialect {
    quote: '"',
    text: "CAST({} AS TEXT)",
    moment: ("", ""),
    compares_quoted_numbers: false,
    escapes_backslashes: false,
};

impl Dialect {
    fn quoted(&self, name: &str) -> String {
        let quote = self.quote;
        format!(
            "{quote}{}{quote}",
            name.replace(quote, &format!("{quote}{quote}"))
        )
    }

    fn as_text(&self, value: &str, kind: &str) -> String {
        let form = if kind == self.moment.0 {
            self.moment.1
        } else {
            self.text
        };
        form.replace("{}", value)
    }

    /// A watermark as it is written in a query: it is the database's own, and is not trusted all the same.
    fn literal(&self, value: &str) -> String {
        let digits = value.strip_prefix('-').unwrap_or(value);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && digits.matches('.').count() <= 1;
        if is_number && !self.compares_quoted_numbers {
            return value.to_owned();
        }
        let value = value.replace('\'', "''");
        match self.escapes_backslashes {
            true => format!("'{}'", value.replace('\\', "\\\\")),
            false => format!("'{value}'"),
        }
    }
}

/// What the database says; of what it was asked with, nothing.
fn told(error: sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        error => error.to_string(),
    }
}

const BATCH_ROWS: usize = 1024;
const BATCHES_AHEAD: usize = 4;

#[cfg(test)]
mod tests;

//! What data sets say of people beside their purchases: gender and age of MovieLens 100K, households of The Complete Journey.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use souk_common::table::{Row, RowSource, Style, TextOptions, TextTable};

use crate::data::known::{Known, find, required};

/// One yes-or-no attribute of each customer, where it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attribute {
    /// What it says, for people.
    pub(crate) name: String,
    /// One a user of the data set.
    pub(crate) of: Vec<Option<bool>>,
}

/// What the set in `dir` says of the users of `known`; empty where it says nothing of anybody.
///
/// # Errors
/// When the file is there and can't be read, or lacks a column.
pub(crate) fn read(dir: &Path, known: &Known) -> anyhow::Result<Vec<Attribute>> {
    let places: HashMap<&str, usize> = known.dataset.users.iter().map(String::as_str).zip(0..).collect();
    for (file, style, user, questions) in FILES {
        let Some(path) = find(dir, file) else { continue };
        let options = TextOptions {
            style: Some(*style),
            ..TextOptions::default()
        };
        let mut table = TextTable::open(&path, options).with_context(|| path.display().to_string())?;
        let user = required(&table, user)?;
        let columns: Vec<usize> = questions
            .iter()
            .map(|question| required(&table, question.column))
            .collect::<anyhow::Result<_>>()?;
        let mut found: Vec<Attribute> = questions
            .iter()
            .map(|question| Attribute {
                name: question.name.to_owned(),
                of: vec![None; known.dataset.len()],
            })
            .collect();
        let mut row = Row::default();
        while table.next_row(&mut row)? {
            let Some(place) = places.get(row.get(user)).filter(|_| row.fault.is_none()) else {
                continue;
            };
            for ((question, column), attribute) in questions.iter().zip(&columns).zip(&mut found) {
                attribute.of[*place] = (question.answer)(row.get(*column));
            }
        }
        return Ok(found);
    }
    Ok(Vec::new())
}

struct Question {
    name: &'static str,
    column: &'static str,
    /// None where the value says nothing.
    answer: fn(&str) -> Option<bool>,
}

/// Files, how they are written, the user's column, and what is asked.
const FILES: &[(&str, Style, &str, &[Question])] = &[
    (
        "ml-100k.user",
        Style::Recbole,
        "user_id",
        &[
            Question {
                name: "gender",
                column: "gender",
                answer: |value| match value {
                    "F" => Some(true),
                    "M" => Some(false),
                    _ => None,
                },
            },
            Question {
                name: "older than 30",
                column: "age",
                answer: |value| value.parse::<f64>().ok().map(|age| age > 30.0),
            },
        ],
    ),
    (
        "demographics.csv",
        Style::Quoted,
        "household_id",
        &[
            Question {
                name: "a household with children",
                column: "kids_count",
                answer: |value| (!value.is_empty()).then_some(value != "0"),
            },
            Question {
                name: "a household headed by somebody of 45 or older",
                column: "age",
                answer: |value| {
                    let from: String = value.chars().take_while(char::is_ascii_digit).collect();
                    from.parse::<u32>().ok().map(|age| age >= 45)
                },
            },
            Question {
                name: "a married couple",
                column: "marital_status",
                answer: |value| (!value.is_empty()).then_some(value == "Married"),
            },
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::known;
    use super::*;

    #[test]
    fn what_a_file_says_of_people_is_found_by_their_ids_and_what_it_does_not_say_is_not_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(4, 2);
        assert_eq!(read(dir.path(), &known).unwrap(), []);
        let text =
            "user_id:token\tage:token\tgender:token\nu002\t31\tF\nu000\t30\tM\nsomebody\t5\tM\nu001\tx\t\n";
        fs::write(dir.path().join("ml-100k.user"), text).unwrap();
        let found = read(dir.path(), &known).unwrap();
        assert_eq!(found[0].of, [Some(false), None, Some(true), None]);
        assert_eq!(found[1].of, [Some(false), None, Some(true), None]);
        fs::write(
            dir.path().join("ml-100k.user"),
            "user_id:token\tage:token\nu002\t31\n",
        )
        .unwrap();
        let error = read(dir.path(), &known).unwrap_err().to_string();
        assert!(
            error.contains("ml-100k.user") && error.contains("gender"),
            "{error}"
        );
    }
}

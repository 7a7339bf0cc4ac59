//! What was found, for people and for machines.

use std::fmt::Write;

use serde::Serialize;

use super::algebra::Agreement;
use super::judge::{Attack, Tally};
use super::rules::{Kind, Rules};

/// All rows, and whether they are as they should be.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Nothing found under the rules in force, and every planted set of rules found broken, each where it has to be.
    pub(super) ok: bool,
    pub(super) seed: u64,
    /// Attempts that were followed, over all rows and sets of rules.
    pub(super) cases: u64,
    /// Random attempts in which elimination was held against the components.
    pub(super) algebra_cases: u64,
    /// Those in which they disagree.
    pub(super) algebra_wrong: u64,
    pub(super) rows: Vec<Row>,
}

/// One kind of attempts.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) attempts: String,
    pub(super) found: Vec<Cell>,
}

/// One kind of attempts under one set of rules.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) rules: &'static str,
    pub(super) kind: Kind,
    /// Whether these attempts have to break it.
    pub(super) must_fall: bool,
    pub(super) ok: bool,
    pub(super) cases: u64,
    /// In so many the coordinator could compute a sum at all.
    pub(super) computable: u64,
    /// The first one found; after it, these rules are not tried further.
    pub(super) attack: Option<Attack>,
}

impl Row {
    /// `must_fall`: names of the rules that these attempts have to break.
    pub(super) fn new(attempts: String, tallies: Vec<(Rules, Tally)>, must_fall: &[&str]) -> Self {
        let cell = |(rules, tally): (Rules, Tally)| {
            let must_fall = must_fall.contains(&rules.name);
            Cell {
                rules: rules.name,
                kind: rules.kind,
                must_fall,
                ok: tally.is_as_expected(rules.kind, must_fall),
                cases: tally.cases,
                computable: tally.computable,
                attack: tally.attack,
            }
        };
        Self {
            attempts,
            found: tallies.into_iter().map(cell).collect(),
        }
    }
}

impl Report {
    /// Where the first attack was found; none if none was.
    pub(super) fn first_attack(&self) -> Option<String> {
        self.rows
            .iter()
            .find(|row| row.found.iter().any(|cell| cell.attack.is_some()))
            .map(|row| row.attempts.clone())
    }

    pub(super) fn new(seed: u64, algebra: Agreement, rows: Vec<Row>) -> Self {
        let mut report = Self {
            ok: false,
            seed,
            cases: rows
                .iter()
                .flat_map(|row| &row.found)
                .map(|cell| cell.cases)
                .sum(),
            algebra_cases: algebra.cases,
            algebra_wrong: algebra.wrong,
            rows,
        };
        report.ok = report.wrong().is_empty();
        report
    }

    /// What is not as it should be, a line each.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (row, cell) in self.cells().filter(|(_, cell)| !cell.ok) {
            wrong.push(match &cell.attack {
                Some(attack) => format!(
                    "rules {} are broken by {}: {}",
                    cell.rules,
                    row.attempts,
                    attack.to_text()
                ),
                None => format!(
                    "rules {} must fall to {}, and did not: this adversary does not see what it has to",
                    cell.rules, row.attempts
                ),
            });
        }
        for (rules, kind) in self.rules() {
            let cells = self.cells().filter(|(_, cell)| cell.rules == rules);
            let (mut found, mut computable) = (false, false);
            cells.for_each(|(_, cell)| {
                found |= cell.attack.is_some();
                computable |= cell.computable > 0;
            });
            if kind == Kind::Planted && !found {
                wrong.push(format!(
                    "rules {rules} were planted as broken, and nothing was found"
                ));
            }
            if kind == Kind::Held && !computable {
                wrong.push(format!(
                    "under rules {rules} no sum was ever computed, so nothing was tried"
                ));
            }
        }
        if self.algebra_wrong > 0 {
            wrong.push(format!(
                "elimination disagrees with the components in {} of {} attempts",
                self.algebra_wrong, self.algebra_cases
            ));
        }
        wrong
    }

    fn cells(&self) -> impl Iterator<Item = (&Row, &Cell)> {
        self.rows
            .iter()
            .flat_map(|row| row.found.iter().map(move |cell| (row, cell)))
    }

    fn rules(&self) -> Vec<(&'static str, Kind)> {
        let first = self.rows.first();
        first.map_or_else(Vec::new, |row| {
            row.found.iter().map(|cell| (cell.rules, cell.kind)).collect()
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{:<WIDTH$}", "attempts");
        for (rules, _) in self.rules() {
            let _ = write!(text, " {rules:>10}");
        }
        text += "\n";
        for row in &self.rows {
            let _ = write!(text, "{:<WIDTH$}", row.attempts);
            for cell in &row.found {
                let found = match &cell.attack {
                    Some(attack) => format!("{} of {}", attack.learned_shops, attack.noise_shares),
                    None => "none".to_owned(),
                };
                let mark = if cell.ok { "" } else { "!" };
                let _ = write!(text, " {:>10}", format!("{mark}{found}"));
            }
            text += "\n";
        }
        let _ = write!(text, "{:<WIDTH$}", "attempts followed");
        let mut computable = format!("{:<WIDTH$}", "with a sum that can be computed");
        for (rules, _) in self.rules() {
            let cells = || {
                self.cells()
                    .map(|(_, cell)| cell)
                    .filter(|cell| cell.rules == rules)
            };
            let _ = write!(text, " {:>10}", cells().map(|cell| cell.cases).sum::<u64>());
            let _ = write!(
                computable,
                " {:>10}",
                cells().map(|cell| cell.computable).sum::<u64>()
            );
        }
        text = format!("{text}\n{computable}\n\n");
        text += "\"5 of 6\": the sum of 5 shops' updates is computed, where the noise of 6 is charged for. \"none\": nothing found.\n";
        text += "In small complete graphs rule 3 asks for nothing (A is 1): those attempts are not followed again with it.\n";
        for (rules, _) in self.rules() {
            let mut attacks = self.cells().filter(|(_, cell)| cell.rules == rules);
            if let Some((row, attack)) =
                attacks.find_map(|(row, cell)| cell.attack.as_ref().map(|attack| (row, attack)))
            {
                let _ = writeln!(
                    text,
                    "  rules {rules}, first by {}: {}",
                    row.attempts,
                    attack.to_text()
                );
            }
        }
        let _ = writeln!(
            text,
            "seed {}; elimination agrees with the components in {} of {} attempts",
            self.seed,
            self.algebra_cases - self.algebra_wrong,
            self.algebra_cases
        );
        match self.wrong().as_slice() {
            [] if self.rules().iter().any(|(_, kind)| *kind == Kind::Held) => {
                text += "the rules in force hold, and every planted set of rules was found broken\n";
            }
            [] => text += "every planted set of rules was found broken\n",
            wrong => wrong.iter().for_each(|wrong| {
                let _ = writeln!(text, "WRONG: {wrong}");
            }),
        }
        text
    }
}

/// Of the first column.
const WIDTH: usize = 44;

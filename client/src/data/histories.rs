//! Interactions, from one source or several, into histories.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use souk_common::dataset::{Dataset, History};

use crate::data::interaction::{Interaction, Kind, Sink};
use crate::data::report::{DataReport, MAX_EXAMPLES};

/// Gathers purchases and returns: 32 bytes each, and each distinct id once.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) users: Ids,
    pub(crate) items: Ids,
    lines: Vec<Line>,
    pieces: u32,
}

/// A purchase, or, of a quantity with the sign bit set, a return.
#[derive(Clone, Copy, Debug)]
struct Line {
    user: u32,
    item: u32,
    time: i64,
    quantity: f32,
    price: u32,
    sequence: u32,
    piece: u32,
}

impl Line {
    fn new(row: &Interaction<'_>, user: u32, item: u32, sequence: u32, piece: u32) -> Option<Self> {
        let quantity = match row.kind {
            Kind::Purchase => row.quantity,
            Kind::Return => -row.quantity,
            Kind::View | Kind::Cart => return None,
        };
        Some(Self {
            user,
            item,
            time: row.time,
            quantity,
            price: row.price.map_or(u32::MAX, f32::to_bits),
            sequence,
            piece,
        })
    }

    fn is_return(self) -> bool {
        self.quantity.is_sign_negative()
    }

    /// What two exports say alike of one line.
    fn said(self) -> (u32, u32, i64, u32, u32) {
        (self.user, self.item, self.time, self.quantity.to_bits(), self.price)
    }
}

/// Numbers for ids.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Ids {
    pub(crate) fn number(&mut self, id: &str) -> u32 {
        if let Some(known) = self.numbers.get(id) {
            return *known;
        }
        let new = self.names.len() as u32;
        self.numbers.insert(id.into(), new);
        self.names.push(id.into());
        new
    }

    /// In the order of their numbers.
    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names
    }
}

impl Gathered {
    /// What follows is from another export, which may say again what earlier ones said: a line that several say counts as
    /// often as in the one that says it most often.
    pub(crate) fn begin_piece(&mut self) {
        self.pieces += 1;
    }

    /// Takes an interaction of numbered ids; views and carts make no history.
    pub(crate) fn add(&mut self, user: u32, item: u32, row: &Interaction<'_>) {
        let sequence = self.lines.len() as u32;
        self.lines.extend(Line::new(row, user, item, sequence, self.pieces));
    }

    /// The ids of all items that were bought or returned, sorted.
    pub(crate) fn item_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.items.names.iter().map(|id| id.to_string()).collect();
        ids.sort_unstable();
        ids
    }

    /// Purchases of each item, by its number.
    pub(crate) fn sold(&self) -> Vec<u64> {
        let mut sold = vec![0; self.items.names.len()];
        for line in self.lines.iter().filter(|line| !line.is_return()) {
            sold[line.item as usize] += 1;
        }
        sold
    }

    /// The histories over a catalogue's rows, of which `row` says that of an item; users sorted by id. What has no row is
    /// left out and reported.
    ///
    /// A pair that is repeated keeps its first time: a history is of discoveries, and what is held out last was new to
    /// the user then. What came back in full is no discovery. Of items of one time, the one that the source has first counts
    /// as the latest (as if rows were ranked by falling time), which is what the reference figures of The Complete Journey
    /// do with a basket.
    pub(crate) fn finish(
        mut self,
        row: impl Fn(&str) -> Option<u32>,
        catalogue_items: usize,
        report: &mut DataReport,
    ) -> Dataset {
        self.keep_the_most_often_said();
        let rows: Vec<Option<u32>> = self.items.names.iter().map(|id| row(id)).collect();
        self.report_unknown(&rows, report);
        report.catalogue_items = catalogue_items;
        let (users, mut lines) = (self.users, self.lines);
        lines.retain_mut(|line| match rows[line.item as usize] {
            Some(row) => {
                line.item = row;
                true
            }
            None => false,
        });
        let bought = lines.iter().filter(|line| !line.is_return());
        report.note_span(bought.clone().fold(None, |span, line| {
            let (first, last) = span.unwrap_or((line.time, line.time));
            Some((first.min(line.time), last.max(line.time)))
        }));
        let all = bought.count();
        lines.sort_unstable_by_key(|line| (line.user, line.item, line.is_return(), line.sequence));
        let pairs = lines.chunk_by(|a, b| (a.user, a.item) == (b.user, b.item));
        let bought: Vec<Option<Line>> = pairs.filter(|pair| !pair[0].is_return()).map(discovery).collect();
        report.duplicates = (all - bought.len()) as u64;
        let mut kept: Vec<Line> = bought.iter().copied().flatten().collect();
        report.pairs = kept.len();
        report.returned_pairs = bought.len() - kept.len();
        kept.sort_unstable_by_key(|line| (line.user, line.time, Reverse(line.sequence)));
        let mut distinct: Vec<u32> = kept.iter().map(|line| line.item).collect();
        distinct.sort_unstable();
        distinct.dedup();
        report.items = distinct.len();
        let mut histories: Vec<(String, History)> = kept
            .chunk_by(|a, b| a.user == b.user)
            .map(|lines| {
                let history = History {
                    items: lines.iter().map(|line| line.item).collect(),
                    times: lines.iter().map(|line| line.time).collect(),
                };
                (users.names[lines[0].user as usize].to_string(), history)
            })
            .collect();
        histories.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        report.users = histories.len();
        report.short_users = histories.iter().filter(|(_, history)| history.len() < 3).count();
        let (users, histories) = histories.into_iter().unzip();
        Dataset { users, histories }
    }

    fn keep_the_most_often_said(&mut self) {
        if self.lines.first().map(|line| line.piece) == self.lines.last().map(|line| line.piece) {
            return;
        }
        let lines = &mut self.lines;
        lines.sort_unstable_by_key(|line| (line.said(), line.piece, line.sequence));
        let mut kept = Vec::with_capacity(lines.len());
        for alike in lines.chunk_by(|a, b| a.said() == b.said()) {
            let pieces = alike.chunk_by(|a, b| a.piece == b.piece);
            // Of pieces that say it as often, the first.
            let most = pieces.reduce(|most, piece| if piece.len() > most.len() { piece } else { most });
            kept.extend_from_slice(most.unwrap_or_default());
        }
        kept.sort_unstable_by_key(|line| line.sequence);
        self.lines = kept;
    }

    fn report_unknown(&self, rows: &[Option<u32>], report: &mut DataReport) {
        let unknown = self.items.names.iter().zip(rows).filter(|(_, row)| row.is_none());
        let mut unknown: Vec<&str> = unknown.map(|(id, _)| &**id).collect();
        unknown.sort_unstable();
        report.items_not_in_catalogue = unknown.len();
        report.examples_not_in_catalogue = unknown.into_iter().take(MAX_EXAMPLES).map(str::to_owned).collect();
        let sold = self.sold();
        let unknown = sold.iter().zip(rows).filter(|(_, row)| row.is_none());
        report.rows_not_in_catalogue = unknown.map(|(sold, _)| sold).sum();
    }
}

impl Sink for Gathered {
    fn take(&mut self, interaction: &Interaction<'_>) -> io::Result<()> {
        let (user, item) = (self.users.number(interaction.user), self.items.number(interaction.item));
        self.add(user, item, interaction);
        Ok(())
    }
}

/// The first purchase of a pair's lines, purchases first, at the earliest time of any; none if as much came back.
fn discovery(pair: &[Line]) -> Option<Line> {
    let purchases = pair.partition_point(|line| !line.is_return());
    let (bought, returned) = pair.split_at(purchases);
    let pieces = |lines: &[Line]| lines.iter().map(|line| f64::from(line.quantity.abs())).sum::<f64>();
    if !returned.is_empty() && pieces(bought) <= pieces(returned) {
        return None;
    }
    let time = bought.iter().map(|line| line.time).min()?;
    Some(Line { time, ..bought[0] })
}

//! What leaves the store without its sources being read again: a customer who is forgotten, and whatever is older than what is kept.
//!
//! New segments are written beside the old ones, and the manifest, which is replaced whole, names these or those: a crash leaves
//! either. The old ones are written over and removed afterwards.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use souk_common::ids::Digest;
use souk_common::storage::disk::{Disk, destroy};

use super::InteractionsError;
use super::manifest::{ImportedSource, StoreManifest, store_folder};
use super::segment::{SegmentVisitor, SegmentWriter, StoredRow, read_segment, segment_path};
use crate::data::DataReport;
use crate::data::interaction::{Interaction, Kind, OrderKey, Sink};
use crate::data::reading::{FORGOTTEN, OLD};
use crate::folder::Folder;

/// What is to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaving<'a> {
    /// All of a customer, named as compared.
    Customer(&'a str),
    /// What was before, in seconds since 1970. Lines of orders that were not bought have no time here and stay until their source is
    /// read again.
    Before(i64),
}

/// What of it the store has.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    segments: HashMap<Digest, Piece>,
    /// Of a customer: their orders.
    orders: HashSet<OrderKey>,
}

/// What a segment has of it.
#[derive(Debug, Default)]
struct Piece {
    rows: u64,
    returns: u64,
    not_bought: Vec<OrderKey>,
}

impl Survey {
    /// Reads every segment.
    ///
    /// # Errors
    /// When one is damaged.
    pub(crate) fn of(
        folder: &Folder,
        manifest: &StoreManifest,
        leaving: Leaving<'_>,
    ) -> Result<Self, InteractionsError> {
        let (store, mut survey) = (store_folder(folder), Self::default());
        for source in &manifest.sources {
            for digest in &source.segments {
                let path = segment_path(&store, digest);
                let mut surveyor = Surveyor {
                    leaving,
                    is_theirs: Vec::new(),
                    piece: Piece::default(),
                    orders: &mut survey.orders,
                };
                read_segment(folder.disk(), &path, digest, &mut surveyor)
                    .map_err(|error| InteractionsError::of_segment(&path, &source.name, error))?;
                let piece = surveyor.piece;
                survey.segments.insert(*digest, piece);
            }
        }
        Ok(survey)
    }

    /// How many interactions it is in each source that has any, by the source's name.
    pub(crate) fn by_source(&self, manifest: &StoreManifest) -> Vec<(String, u64)> {
        let rows = |source: &ImportedSource| self.pieces(source).map(|piece| piece.rows).sum::<u64>();
        let counted = manifest
            .sources
            .iter()
            .map(|source| (source.name.clone(), rows(source)));
        counted.filter(|(_, rows)| *rows > 0).collect()
    }

    /// Lines of orders that were not bought, of which nobody can tell here whose they are; by the source's name.
    pub(crate) fn of_nobody_known(&self, manifest: &StoreManifest) -> Vec<(String, u64)> {
        let of = |source: &ImportedSource| {
            let lines = self.pieces(source).flat_map(|piece| &piece.not_bought);
            lines.filter(|order| !self.orders.contains(*order)).count() as u64
        };
        let counted = manifest
            .sources
            .iter()
            .map(|source| (source.name.clone(), of(source)));
        counted.filter(|(_, lines)| *lines > 0).collect()
    }

    fn pieces<'s>(&'s self, source: &'s ImportedSource) -> impl Iterator<Item = &'s Piece> {
        source
            .segments
            .iter()
            .filter_map(|digest| self.segments.get(digest))
    }

    fn touches(&self, piece: &Piece) -> bool {
        piece.rows > 0 || piece.not_bought.iter().any(|order| self.orders.contains(order))
    }
}

/// Writes the segments anew that have something of it, and makes these the store's, which the caller holds. Durable when this returns.
/// Whether there were any.
///
/// # Errors
/// When a segment is damaged, or of the disk: the store is as it was then, or already as it is to be.
pub(crate) fn rewrite(
    folder: &Folder,
    manifest: &mut StoreManifest,
    survey: &Survey,
    leaving: Leaving<'_>,
) -> Result<bool, InteractionsError> {
    let (store, disk) = (store_folder(folder), folder.disk());
    let mut written: HashMap<Digest, Option<Digest>> = HashMap::new();
    for source in &manifest.sources {
        for digest in &source.segments {
            let touched = survey
                .segments
                .get(digest)
                .is_some_and(|piece| survey.touches(piece));
            if touched && !written.contains_key(digest) {
                let new = rewritten(disk, &store, digest, leaving, &survey.orders).map_err(|error| {
                    InteractionsError::of_segment(&segment_path(&store, digest), &source.name, error)
                })?;
                written.insert(*digest, new);
            }
        }
    }
    if written.is_empty() {
        return Ok(false);
    }
    disk.sync_folder(&store)
        .map_err(|source| InteractionsError::Disk {
            path: store.clone(),
            source,
        })?;
    for source in &mut manifest.sources {
        let of = |count: fn(&Piece) -> u64| survey.pieces(source).map(count).sum::<u64>();
        let (rows, returns) = (of(|piece| piece.rows), of(|piece| piece.returns));
        leave_out(&mut source.report, leaving, rows, returns);
        replace(source, &written);
    }
    manifest.store(folder)?;
    let named: HashSet<&Digest> = manifest
        .sources
        .iter()
        .flat_map(|source| &source.segments)
        .collect();
    for digest in written.keys().filter(|digest| !named.contains(digest)) {
        let path = segment_path(&store, digest);
        match destroy(disk, &path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(InteractionsError::Disk { path, source });
            }
            _ => {}
        }
    }
    Ok(true)
}

/// The segment without it; none if nothing is left.
fn rewritten(
    disk: &dyn Disk,
    store: &Path,
    digest: &Digest,
    leaving: Leaving<'_>,
    orders: &HashSet<OrderKey>,
) -> io::Result<Option<Digest>> {
    let aside = store.join("segment.new");
    let mut rewriter = Rewriter {
        writer: SegmentWriter::begin(disk, &aside)?,
        leaving,
        orders,
        users: Vec::new(),
        items: Vec::new(),
        written: Ok(()),
    };
    read_segment(disk, &segment_path(store, digest), digest, &mut rewriter)?;
    rewriter.written?;
    match rewriter.writer.is_empty() {
        false => rewriter.writer.finish(disk).map(Some),
        true => {
            drop(rewriter.writer);
            disk.remove(&aside)?;
            Ok(None)
        }
    }
}

/// Puts segments in the places of those that they were made of.
fn replace(source: &mut ImportedSource, written: &HashMap<Digest, Option<Digest>>) {
    let asked = std::mem::take(&mut source.asked);
    for (at, digest) in std::mem::take(&mut source.segments).into_iter().enumerate() {
        if let Some(digest) = written.get(&digest).copied().unwrap_or(Some(digest)) {
            source.segments.push(digest);
            source.asked.extend(asked.get(at));
        }
    }
}

/// Counts rows that were taken as left out, and lets no complaint quote a customer who is forgotten.
fn leave_out(report: &mut DataReport, leaving: Leaving<'_>, rows: u64, returns: u64) {
    report.returns = report.returns.saturating_sub(returns);
    let mut left = rows;
    for source in &mut report.sources {
        let of_this = left.min(source.taken);
        if of_this > 0 {
            source.taken -= of_this;
            *source.left_out.entry(reason_of(leaving).to_owned()).or_default() += of_this;
            left -= of_this;
        }
        if let Leaving::Before(first) = leaving {
            source.span = source
                .span
                .filter(|(_, last)| *last >= first)
                .map(|(oldest, last)| (oldest.max(first), last));
        }
    }
}

/// Lets no complaint about a line quote a customer.
pub(crate) fn unquote(manifest: &mut StoreManifest, customer: &str) {
    let quoted = format!("{customer:?}");
    let unquoted = |text: &mut String| {
        if text.contains(&quoted) {
            *text = text.replace(&quoted, "(of a forgotten customer)");
        }
    };
    for source in &mut manifest.sources {
        source
            .report
            .bad
            .iter_mut()
            .for_each(|bad| unquoted(&mut bad.reason));
        if let Some(refused) = &mut source.refused {
            unquoted(&mut refused.reason);
            let bad = refused.report.bad.iter_mut();
            bad.for_each(|bad| unquoted(&mut bad.reason));
        }
    }
}

fn reason_of(leaving: Leaving<'_>) -> &'static str {
    match leaving {
        Leaving::Customer(_) => FORGOTTEN,
        Leaving::Before(_) => OLD,
    }
}

struct Surveyor<'a> {
    leaving: Leaving<'a>,
    is_theirs: Vec<bool>,
    piece: Piece,
    orders: &'a mut HashSet<OrderKey>,
}

impl SegmentVisitor for Surveyor<'_> {
    fn user(&mut self, id: &str) {
        self.is_theirs
            .push(matches!(self.leaving, Leaving::Customer(customer) if customer == id));
    }

    fn item(&mut self, _: &str) {}

    fn row(&mut self, row: StoredRow) {
        let is_theirs = self.is_theirs[row.user as usize];
        let leaves = match self.leaving {
            Leaving::Customer(_) => is_theirs,
            Leaving::Before(first) => row.time < first,
        };
        self.piece.rows += u64::from(leaves);
        self.piece.returns += u64::from(leaves && row.kind == Kind::Return);
        self.orders.extend(row.order.filter(|_| is_theirs));
    }

    fn not_bought(&mut self, order: OrderKey, _: &str) {
        self.piece.not_bought.push(order);
    }
}

struct Rewriter<'a> {
    writer: SegmentWriter,
    leaving: Leaving<'a>,
    orders: &'a HashSet<OrderKey>,
    users: Vec<String>,
    items: Vec<String>,
    written: io::Result<()>,
}

impl SegmentVisitor for Rewriter<'_> {
    fn user(&mut self, id: &str) {
        self.users.push(id.to_owned());
    }

    fn item(&mut self, id: &str) {
        self.items.push(id.to_owned());
    }

    fn row(&mut self, row: StoredRow) {
        let user = &self.users[row.user as usize];
        let leaves = match self.leaving {
            Leaving::Customer(customer) => customer == user,
            Leaving::Before(first) => row.time < first,
        };
        if !leaves && self.written.is_ok() {
            self.written = self.writer.take(&Interaction {
                user,
                item: &self.items[row.item as usize],
                time: row.time,
                kind: row.kind,
                quantity: row.quantity,
                price: row.price,
                order: row.order,
            });
        }
    }

    fn not_bought(&mut self, order: OrderKey, item: &str) {
        if !self.orders.contains(&order) && self.written.is_ok() {
            self.written = self.writer.take_not_bought(order, item);
        }
    }
}

//! The store as histories over a catalogue.

use std::collections::HashMap;

use souk_common::catalogue::Catalogue;
use souk_common::ids::Digest;

use super::InteractionsError;
use super::manifest::{StoreManifest, store_folder};
use super::segment::{SegmentVisitor, StoredRow, read_segment, segment_path};
use crate::data::interaction::{Interaction, OrderKey};
use crate::data::{DataError, DataReport, Orders, OwnFiles, ShopData, ShopDataConfig};
use crate::folder::Folder;

/// Why there are no histories.
#[derive(Debug, thiserror::Error)]
pub enum HistoriesError {
    /// The store is of no use.
    #[error(transparent)]
    Store(#[from] InteractionsError),
    /// A file beside it is of no use, or no interaction is left.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nothing was good enough to be imported yet.
    #[error("nothing was imported yet: {reasons}")]
    Nothing {
        /// Why, by source.
        reasons: String,
    },
}

impl HistoriesError {
    /// Whether the shop has no customer to train on, rather than that nobody knows: it takes part with noise alone then.
    pub fn is_of_no_customers(&self) -> bool {
        matches!(self, Self::Nothing { .. } | Self::Data(DataError::NoOrder { .. }))
    }
}

/// What was read from the store, and of which contents.
#[derive(Debug)]
pub struct StoredShop {
    /// Histories, catalogue, report.
    pub shop: ShopData,
    /// [`StoreManifest::contents`].
    pub contents: Digest,
    /// The federation's ids by the shop's own numbers, where they differ.
    pub own_names: HashMap<String, String>,
}

/// Reads the store of the shop in `folder`, as it is; [`super::import`] brings it up to date. `catalogue` is that of the
/// federation; without one, it is the items file, or else the items that were bought.
///
/// A line that overlapping sources (or overlapping pieces of one query) have in common counts as often as in the one that has
/// it most often; an order that the newest of them has as cancelled or refunded counts for nothing, where orders have numbers.
///
/// # Errors
/// When a segment is damaged, or nothing in the store is of an item in the catalogue.
pub fn read_store(
    folder: &Folder,
    config: &ShopDataConfig,
    catalogue: Option<&Catalogue>,
) -> Result<StoredShop, HistoriesError> {
    let mut report = DataReport::default();
    let own = OwnFiles::read(config, folder.path(), catalogue, &mut report)?;
    let (orders, contents) = stored_orders(folder, &own, &mut report)?;
    let own_names = catalogue.map_or_else(HashMap::new, |catalogue| own.federation_ids(catalogue));
    let shop = own.over_catalogue(config, folder.path(), catalogue, orders, report)?;
    Ok(StoredShop {
        shop,
        contents,
        own_names,
    })
}

/// What is in the store, and what the shop says of its items.
pub(super) fn read_orders(
    folder: &Folder,
    config: &ShopDataConfig,
    catalogue: Option<&Catalogue>,
    report: &mut DataReport,
) -> Result<(Orders, OwnFiles), HistoriesError> {
    let own = OwnFiles::read(config, folder.path(), catalogue, report)?;
    let (mut orders, _) = stored_orders(folder, &own, report)?;
    report.taken_back = orders.settle();
    Ok((orders, own))
}

fn stored_orders(
    folder: &Folder,
    own: &OwnFiles,
    report: &mut DataReport,
) -> Result<(Orders, Digest), InteractionsError> {
    let mut manifest = StoreManifest::load(folder)?;
    let orders = loop {
        match gather(folder, &manifest, own.levels.as_ref()) {
            Ok(orders) => break orders,
            // An import may have put others in the place of these segments since the manifest was read.
            Err(error) => {
                let now = StoreManifest::load(folder)?;
                if now.contents() == manifest.contents() {
                    return Err(error);
                }
                manifest = now;
            }
        }
    };
    manifest
        .sources
        .iter()
        .for_each(|source| report.add(&source.report));
    Ok((orders, manifest.contents()))
}

fn gather(
    folder: &Folder,
    manifest: &StoreManifest,
    levels: Option<&HashMap<String, String>>,
) -> Result<Orders, InteractionsError> {
    let mut orders = Orders::default();
    let has_several = manifest
        .sources
        .iter()
        .map(|source| source.segments.len())
        .sum::<usize>()
        > 1;
    for source in &manifest.sources {
        for (digest, as_of) in source.aged_segments() {
            if has_several {
                orders.begin_piece(as_of);
            }
            let path = segment_path(&store_folder(folder), digest);
            let mut piece = Piece {
                orders: &mut orders,
                levels,
                users: Vec::new(),
                items: Vec::new(),
            };
            let read = read_segment(folder.disk(), &path, digest, &mut piece);
            read.map_err(|error| InteractionsError::of_segment(&path, &source.name, error))?;
        }
    }
    Ok(orders)
}

/// A segment on its way in: the numbers that its ids have among those of all.
struct Piece<'a> {
    orders: &'a mut Orders,
    levels: Option<&'a HashMap<String, String>>,
    users: Vec<u32>,
    items: Vec<u32>,
}

impl<'a> Piece<'a> {
    /// The item's id, or the group in its place.
    fn named<'i>(&self, id: &'i str) -> &'i str
    where
        'a: 'i,
    {
        let group = self.levels.and_then(|levels| levels.get(id));
        group.filter(|group| !group.is_empty()).map_or(id, String::as_str)
    }
}

impl SegmentVisitor for Piece<'_> {
    fn user(&mut self, id: &str) {
        self.users.push(self.orders.user(id));
    }

    fn item(&mut self, id: &str) {
        let item = self.orders.item(self.named(id));
        self.items.push(item);
    }

    fn row(&mut self, row: StoredRow) {
        let (user, item) = (self.users[row.user as usize], self.items[row.item as usize]);
        let interaction = Interaction {
            user: "",
            item: "",
            time: row.time,
            kind: row.kind,
            quantity: row.quantity,
            price: row.price,
            order: row.order,
        };
        self.orders.add(user, item, &interaction);
    }

    fn not_bought(&mut self, order: OrderKey, item: &str) {
        self.orders.add_not_bought(order, self.named(item));
    }
}

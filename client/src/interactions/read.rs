//! The store as histories over a catalogue.

use std::io;

use souk_common::catalogue::Catalogue;
use souk_common::ids::Digest;

use super::ImportError;
use super::manifest::{StoreManifest, store_folder};
use super::segment::{SegmentVisitor, StoredRow, read_segment, segment_path};
use crate::data::histories::Gathered;
use crate::data::interaction::Interaction;
use crate::data::{DataError, DataReport, ShopData, ShopDataConfig, over_catalogue};
use crate::folder::Folder;

/// Why there are no histories.
#[derive(Debug, thiserror::Error)]
pub enum HistoriesError {
    /// The store is of no use.
    #[error(transparent)]
    Store(#[from] ImportError),
    /// A file beside it is of no use, or no interaction is left.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// What was read from the store, and of which contents.
#[derive(Debug)]
pub struct StoredShop {
    /// Histories, catalogue, report.
    pub shop: ShopData,
    /// [`StoreManifest::contents`].
    pub contents: Digest,
}

/// Reads the store of the shop in `folder`, as it is; [`super::import`] brings it up to date. `catalogue` is that of the
/// federation; without one, it is the items file, or else the items that were bought.
///
/// A line that overlapping sources (or overlapping pieces of one query) have in common counts as often as in the one that has
/// it most often.
///
/// # Errors
/// When a segment is damaged, or nothing in the store is of an item in the catalogue.
pub fn read_store(
    folder: &Folder,
    config: &ShopDataConfig,
    catalogue: Option<&Catalogue>,
) -> Result<StoredShop, HistoriesError> {
    let mut manifest = StoreManifest::load(folder)?;
    let gathered = loop {
        match gather(folder, &manifest) {
            Ok(gathered) => break gathered,
            // An import may have put others in the place of these segments since the manifest was read.
            Err(error) => {
                let now = StoreManifest::load(folder)?;
                if now.contents() == manifest.contents() {
                    return Err(error.into());
                }
                manifest = now;
            }
        }
    };
    let mut report = DataReport::default();
    for source in &manifest.sources {
        report.add(&source.report);
    }
    let shop = over_catalogue(config, folder.path(), catalogue, gathered, report)?;
    Ok(StoredShop {
        shop,
        contents: manifest.contents(),
    })
}

fn gather(folder: &Folder, manifest: &StoreManifest) -> Result<Gathered, ImportError> {
    let mut gathered = Gathered::default();
    for source in &manifest.sources {
        for digest in &source.segments {
            gathered.begin_piece();
            let path = segment_path(&store_folder(folder), digest);
            let mut piece = Piece {
                gathered: &mut gathered,
                users: Vec::new(),
                items: Vec::new(),
            };
            let read = read_segment(folder.disk(), &path, digest, &mut piece);
            read.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::NotFound => ImportError::Segment {
                    path: path.clone(),
                    name: source.name.clone(),
                    source: error,
                },
                _ => ImportError::Disk {
                    path: path.clone(),
                    source: error,
                },
            })?;
        }
    }
    Ok(gathered)
}

/// A segment on its way in: the numbers that its ids have among those of all.
struct Piece<'a> {
    gathered: &'a mut Gathered,
    users: Vec<u32>,
    items: Vec<u32>,
}

impl SegmentVisitor for Piece<'_> {
    fn user(&mut self, id: &str) {
        self.users.push(self.gathered.users.number(id));
    }

    fn item(&mut self, id: &str) {
        self.items.push(self.gathered.items.number(id));
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
        };
        self.gathered.add(user, item, &interaction);
    }
}

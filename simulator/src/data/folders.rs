//! Shops in folders, as `souk-sim split` writes them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use souk_client::data::{DataReport, ItemColumns, ShopDataConfig, SourceReport, read_catalogue, read_shop};
use souk_common::catalogue::Catalogue;
use souk_common::clock::{Clock, SystemClock};
use souk_common::dataset::Dataset;
use souk_common::ids::ShopName;
use souk_common::terminal::tell;

/// Everybody's customers, shop by shop; the catalogue; which customers are whose.
pub(crate) type ShopFolders = (Dataset, Catalogue, Vec<(ShopName, Range<usize>)>);

/// The shops in the folders of `dir`, over the catalogue beside them: their customers, shop by shop.
///
/// # Errors
/// When there is no such folder, or a file can't be read.
pub(crate) fn read_folders(dir: &Path) -> anyhow::Result<ShopFolders> {
    let items = dir.join("items.csv");
    let (catalogue, _) = read_catalogue(&items, &ItemColumns::default(), None, None)
        .with_context(|| format!("reading {}", items.display()))?;
    let folders = shop_folders(dir)?;
    ensure!(
        !folders.is_empty(),
        "{} has no folder with an orders.csv: make some with `souk-sim split`",
        dir.display()
    );
    let (mut dataset, mut shops) = (Dataset::default(), Vec::new());
    for folder in folders {
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let read = read_shop(
            &ShopDataConfig::default(),
            &folder,
            Some(&catalogue),
            SystemClock.now(),
        )
        .with_context(|| format!("reading {}", folder.display()))?;
        tell_left_out(&read.report);
        let first = dataset.len();
        dataset.users.extend(read.dataset.users);
        dataset.histories.extend(read.dataset.histories);
        shops.push((name.parse()?, first..dataset.len()));
    }
    Ok((dataset, catalogue, shops))
}

/// Tells of each file of which not every row was taken.
pub(super) fn tell_left_out(report: &DataReport) {
    let is_partly_taken = |source: &&SourceReport| source.taken < source.rows;
    for source in report.sources.iter().filter(is_partly_taken) {
        tell(&source.summary());
    }
}

/// Folders of shops in `dir`, by name.
///
/// # Errors
/// When `dir` can't be read.
pub(crate) fn shop_folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("reading {}", dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("orders.csv").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

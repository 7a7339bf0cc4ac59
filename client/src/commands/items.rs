//! `items`: what the shop sells that is not found in the catalogue.

use serde::Serialize;
use souk_common::terminal::printable;

use super::{Place, show};
use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::interactions::unmatched::{Unmatched, unmatched};
use crate::recommend::cache::catalogue_in_use;

#[derive(Debug, clap::Args)]
pub(super) struct Items {
    #[command(flatten)]
    place: Place,
    /// List what is not in the catalogue; the default, and all there is.
    #[arg(long)]
    unmatched: bool,
    /// How many, those that were sold most often first.
    #[arg(short = 'n', long, default_value_t = 20)]
    most: usize,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    unmatched: usize,
    rows: u64,
    items: Vec<Unmatched>,
}

pub(super) fn run(args: Items) -> anyhow::Result<bool> {
    let folder: Folder = args.place.folder()?;
    let config = ShopConfig::load(&folder)?;
    let Some(catalogue) = catalogue_in_use(&folder)? else {
        anyhow::bail!(
            "the federation's catalogue is not known yet: it comes with the first model, while `run` is up"
        );
    };
    let all = unmatched(&folder, &config, &catalogue, args.most)?;
    let listed = Listed {
        unmatched: all.items,
        rows: all.rows,
        items: all.listed,
    };
    show(args.json, &listed, text)?;
    Ok(listed.unmatched == 0)
}

fn text(listed: &Listed) -> String {
    if listed.unmatched == 0 {
        return "Everything that was sold is in the catalogue.".to_owned();
    }
    let mut lines = vec![format!(
        "{} items of {} order lines are not in the federation's catalogue and stay out of its rounds. Where one is there under \
         another id, put a line \"item_id,federation_id\" into item_map.csv.",
        listed.unmatched, listed.rows
    )];
    for item in &listed.items {
        lines.push(format!(
            "{} sold {} times  {:?}",
            item.item_id, item.sold, item.title
        ));
        let near = item.nearest.iter();
        lines.extend(near.map(|near| format!("    perhaps {}  {:?}", near.federation_id, near.title)));
    }
    lines
        .iter()
        .map(|line| printable(line).to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

pub(super) const HELP: &str = "An item is found by its id, by item_map.csv, by its barcode (a column gtin in items.csv, or the \
    id itself), or by an alias in the catalogue. Exit code 1 when items are missing.\n\nExample:\n  souk-client items --unmatched -n 50 --dir shop";

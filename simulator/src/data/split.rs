//! `souk-sim split`: a data set cut into shops' own folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::dataset::{Dataset, History};
use souk_common::date::date;
use souk_common::terminal::{say, tell};

use crate::data::cut::By;
pub use crate::data::known::{Cut, Known, load_known};
use crate::data::synthetic;

/// Cut a data set into shops: a folder each with orders.csv and users.csv, and items.csv, the catalogue, beside them.
///
/// Known data sets (deploy/get-data.sh fetches them) are recognised by their files: MovieLens 100K, Online Retail, The
/// Complete Journey. Any folder with orders.csv can be cut by user-hash.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim split --synthetic --shops 5 --out my-shops\n  \
                        souk-sim split --data data/uci-online-retail --by country --shops 8 --core 5 --out my-shops"
)]
pub struct SplitArgs {
    /// The data set's folder.
    #[arg(long, conflicts_with = "synthetic", required_unless_present = "synthetic")]
    data: Option<PathBuf>,
    /// Make up a year of retail instead.
    #[arg(long)]
    synthetic: bool,
    /// What makes a shop; by default what suits the set.
    #[arg(long)]
    by: Option<By>,
    /// How many shops.
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    shops: usize,
    /// Where to; must not exist or be empty.
    #[arg(long)]
    out: PathBuf,
    /// Leave out shops with fewer users than this.
    #[arg(long, default_value_t = 1)]
    min_users: usize,
    /// Keep users and items with at least this many distinct pairs, again and again; by default what suits the set.
    #[arg(long)]
    core: Option<usize>,
    /// Seed of the made-up market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command; true when shops were written.
///
/// # Errors
/// When the data can't be read or recognised, or the shops can't be written.
pub fn run(args: &SplitArgs) -> anyhow::Result<bool> {
    if fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new folder", args.out.display());
    }
    let parts = match &args.data {
        Some(data) => from_set(args, data)?,
        None => from_market(args)?,
    };
    let mut written = 0;
    for shop in &parts.shops {
        if shop.users.len() < args.min_users {
            tell(&format!("{}: {} users, left out", shop.name, shop.users.len()));
            continue;
        }
        write_shop(&args.out.join(&shop.name), &parts, shop)?;
        say(&format!("{}: {} users", shop.name, shop.users.len()))?;
        written += 1;
    }
    if written == 0 {
        bail!(
            "no shop has {} users: lower --min-users or --shops",
            args.min_users
        );
    }
    write_items(&args.out.join("items.csv"), &parts.catalogue)?;
    Ok(true)
}

/// A set and the shops that it is cut into.
struct Parts {
    dataset: Dataset,
    catalogue: Catalogue,
    /// One a user: what made the shop.
    groups: Vec<String>,
    shops: Vec<Shop>,
}

struct Shop {
    name: String,
    users: Vec<usize>,
}

fn from_set(args: &SplitArgs, data: &Path) -> anyhow::Result<Parts> {
    let known = load_known(data, args.core, args.by, Some(args.shops))?;
    let mut shops: Vec<Shop> = (0..known.shops)
        .map(|number| Shop {
            name: format!("shop-{}", number + 1),
            users: Vec::new(),
        })
        .collect();
    for (user, shop) in known.shop_of.iter().enumerate() {
        shops[*shop].users.push(user);
    }
    Ok(Parts {
        dataset: known.dataset,
        catalogue: known.catalogue,
        groups: known.groups,
        shops,
    })
}

fn from_market(args: &SplitArgs) -> anyhow::Result<Parts> {
    // Other numbers of shops share the same 20,000 users evenly.
    let sizes: Vec<usize> = if args.shops == synthetic::SHOP_USERS.len() {
        synthetic::SHOP_USERS.to_vec()
    } else {
        let all: usize = synthetic::SHOP_USERS.iter().sum();
        (0..args.shops)
            .map(|shop| all * (shop + 1) / args.shops - all * shop / args.shops)
            .collect()
    };
    let market = synthetic::generate_sized(args.seed, &sizes)?;
    let groups = market
        .shops
        .iter()
        .flat_map(|(name, users)| users.clone().map(move |_| name.clone()))
        .collect();
    let shops = market
        .shops
        .iter()
        .map(|(name, users)| Shop {
            name: name.clone(),
            users: users.clone().collect(),
        })
        .collect();
    Ok(Parts {
        dataset: market.dataset,
        catalogue: market.catalogue,
        groups,
        shops,
    })
}

fn write_shop(folder: &Path, parts: &Parts, shop: &Shop) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let users = shop.users.iter().map(|user| &parts.dataset.users[*user]);
    let groups = shop.users.iter().map(|user| &parts.groups[*user]);
    let rows = users
        .clone()
        .zip(groups)
        .map(|(user, group)| [user.clone(), group.clone()]);
    write_csv(&folder.join("users.csv"), ["user_id", "region"], rows)?;
    let histories = shop.users.iter().map(|user| &parts.dataset.histories[*user]);
    write_orders(&folder.join("orders.csv"), &parts.catalogue, users.zip(histories))
}

/// Writes users' histories as `souk-client` reads them.
///
/// # Errors
/// When the file can't be written.
pub fn write_orders<'a>(
    path: &Path,
    catalogue: &Catalogue,
    users: impl Iterator<Item = (&'a String, &'a History)>,
) -> anyhow::Result<()> {
    let items = catalogue.items();
    let rows = users.flat_map(|(user, history)| {
        // Of one time, a file's first line is the latest: written so, what is read is what was written.
        let visits = history.times.chunk_by(|a, b| a == b).scan(0, |end, visit| {
            *end += visit.len();
            Some((*end - visit.len()..*end).rev())
        });
        visits.flatten().map(move |at| {
            let item = &items[history.items[at] as usize];
            [user.clone(), item.id.clone(), history.times[at].to_string()]
        })
    });
    write_csv(path, ["user_id", "item_id", "timestamp"], rows)
}

/// Writes a catalogue as `souk-client` and `souk-coordinator catalogue import` read it; with columns `published` and `tags` and one for
/// each kind of number where items have any.
///
/// # Errors
/// When the file can't be written.
pub fn write_items(path: &Path, catalogue: &Catalogue) -> anyhow::Result<()> {
    let items = catalogue.items();
    let tagged = items.iter().any(|item| !item.tags.is_empty());
    let numbers: BTreeSet<&String> = items.iter().flat_map(|item| item.numbers.keys()).collect();
    let dated = items.iter().any(|item| item.published.is_some());
    let mut header = vec!["item_id", "title", "category", "brand", "price"];
    header.extend(dated.then_some("published"));
    header.extend(tagged.then_some("tags"));
    header.extend(numbers.iter().map(|name| name.as_str()));
    let text = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let rows = items.iter().map(|item| {
        let mut row = vec![
            item.id.clone(),
            item.title.clone(),
            item.category.clone(),
            item.brand.clone(),
            text(item.price),
        ];
        row.extend(dated.then(|| {
            let time = |time| date(Timestamp::from_secs(time));
            item.published.map_or_else(String::new, time)
        }));
        row.extend(tagged.then(|| item.tags.join("|")));
        row.extend(numbers.iter().map(|name| text(item.numbers.get(*name).copied())));
        row
    });
    write_csv(path, header, rows)
}

fn write_csv<'h, R: IntoIterator<Item = String>>(
    path: &Path,
    header: impl IntoIterator<Item = &'h str>,
    rows: impl Iterator<Item = R>,
) -> anyhow::Result<()> {
    let mut file = csv::Writer::from_path(path).with_context(|| format!("creating {}", path.display()))?;
    file.write_record(header)
        .with_context(|| format!("writing {}", path.display()))?;
    for row in rows {
        file.write_record(row)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    file.flush()
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use souk_client::data::{ShopDataConfig, read_catalogue, read_shop};

    use super::*;
    use crate::data::known::{ItemLevel, load_level};

    /// The end of November 2026.
    const NOW: Timestamp = Timestamp(1_796_000_000_000);

    fn args(data: Option<&Path>, shops: usize, out: &Path) -> SplitArgs {
        SplitArgs {
            data: data.map(Path::to_owned),
            synthetic: data.is_none(),
            by: None,
            shops,
            out: out.to_owned(),
            min_users: 1,
            core: None,
            seed: 1,
        }
    }

    #[test]
    fn shops_that_are_written_are_read_back_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("made");
        let mut text = String::from("user_id\titem_id\trating\ttimestamp\n");
        let mut people = String::from("user_id\tzip_code\n");
        // 0 is nobody's number.
        for user in 1..=40 {
            people += &format!("{user}\t{}0000\n", user % 4);
            for at in 0..5 {
                text += &format!("{user}\t{}\t3\t{}\n", (user + at) % 9, 1_700_000_000 + at);
            }
        }
        fs::write(data.join("ml-100k.inter"), text).expect("written");
        fs::write(data.join("ml-100k.user"), people).expect("written");
        let items = (0..9)
            .map(|item| format!("{item}\tFilm, \"{item}\"\t{}\tDrama Romance\n", 1990 + item))
            .collect::<String>();
        fs::write(
            data.join("ml-100k.item"),
            format!("item_id\tmovie_title\trelease_year\tclass\n{items}"),
        )
        .expect("written");
        let out = dir.path().join("out");
        assert!(run(&args(Some(&data), 4, &out)).expect("split"));
        let (catalogue, report) = read_catalogue(
            &out.join("items.csv"),
            &Default::default(),
            Default::default(),
            Default::default(),
        )
        .expect("items");
        assert_eq!((catalogue.len(), report.bad_lines), (9, 0));
        let third = &catalogue.items()[3];
        assert_eq!(
            (
                third.title.as_str(),
                third.category.as_str(),
                third.brand.as_str()
            ),
            ("Film, \"3\"", "Drama", "1990s")
        );
        let mut users = 0;
        for shop in 1..=4 {
            let folder = out.join(format!("shop-{shop}"));
            let shop = read_shop(&ShopDataConfig::default(), &folder, Some(&catalogue), NOW).expect("a shop");
            assert!(shop.report.is_clean());
            assert_eq!((shop.report.pairs, shop.report.profiles), (50, Some(10)));
            let zip: Vec<u32> = shop
                .dataset
                .users
                .iter()
                .map(|user| user.parse::<u32>().expect("a number") % 4)
                .collect();
            assert!(zip.iter().all(|digit| *digit == zip[0]), "one zip digit a shop");
            users += shop.dataset.len();
        }
        assert_eq!(users, 40);
        let again = run(&args(Some(&data), 4, &out)).expect_err("not empty");
        assert!(again.to_string().contains("not empty"));
    }

    #[test]
    fn folders_that_are_no_data_set_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = run(&args(Some(dir.path()), 2, &dir.path().join("out"))).expect_err("nothing there");
        assert!(error.to_string().contains("no data set"), "{error}");
    }

    #[test]
    fn product_types_are_items_and_their_tags_come_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("made");
        let products = "product_id,manufacturer_id,department,brand,product_category,product_type\n\
                        1,9,GROCERY,National,TEA,GREEN TEA\n2,8,GROCERY,Private,COFFEE,BEANS\n\
                        3,7,SEASONAL,National,HOT DRINKS,GREEN TEA\n4,7,GROCERY,National,,\n";
        fs::write(data.join("products.csv"), products).expect("written");
        let mut text = String::from("household_id,store_id,basket_id,product_id,quantity,sales_value,ts\n");
        for user in 0..6 {
            for product in 1..5 {
                text += &format!("{user},1,1,{product},1,2.0,{}\n", 1_700_000_000 + product);
            }
        }
        fs::write(data.join("transactions.csv"), text).expect("written");
        let types = load_level(&data, (ItemLevel::Types, None), Some(1), None, Some(2)).expect("a set");
        let items = types.catalogue.items();
        assert_eq!((items.len(), items[0].id.as_str()), (2, "GREEN TEA"));
        let tags = [
            "department GROCERY",
            "department SEASONAL",
            "product_category HOT DRINKS",
            "product_category TEA",
        ];
        assert_eq!(items[0].tags, tags);
        assert!(
            types
                .dataset
                .histories
                .iter()
                .all(|history| history.items.len() == 2)
        );
        let products = load_known(&data, Some(1), None, Some(2)).expect("a set");
        assert_eq!(
            products.catalogue.items()[2].tags,
            ["department SEASONAL", "manufacturer_id 7"]
        );
        let path = dir.path().join("items.csv");
        write_items(&path, &types.catalogue).expect("written");
        let (again, _) = read_catalogue(&path, &Default::default(), Default::default(), None).expect("read");
        assert_eq!(again.digest(), types.catalogue.digest());
    }

    #[test]
    fn the_split_of_a_split_is_the_same() {
        let item = |user: usize, step: usize| (user * 5 + step * 7) % 30;
        let line =
            |user: usize, step: usize, time: String| format!("u{user:02},i{},{time}\n", item(user, step));
        let all = || (0..20).flat_map(|user| (0..8).map(move |step| (user, step)));
        // Two days; one moment, customers by turns; and what was bought again later, in the middle of a day's lines.
        let days = all().map(|(user, step)| line(user, step, format!("2024-02-0{}", 1 + step / 4)));
        is_the_same_twice(&days.collect::<String>());
        let turns = (0..8).flat_map(|step| (0..20).map(move |user| (user, step)));
        let moment = turns.map(|(user, step)| line(user, step, "1706745600".to_owned()));
        is_the_same_twice(&moment.collect::<String>());
        let again = all().map(|(user, step)| {
            let bought = line(user, step, format!("2024-02-0{}", 1 + step / 4));
            bought + &line(user, step / 2, "2024-02-02".to_owned())
        });
        is_the_same_twice(&again.collect::<String>());
    }

    fn is_the_same_twice(lines: &str) {
        let dir = tempfile::tempdir().expect("a folder");
        let first = dir.path().join("data");
        fs::create_dir(&first).expect("a folder");
        let orders = format!("user_id,item_id,timestamp\n{lines}");
        fs::write(first.join("orders.csv"), orders).expect("written");
        let (once, twice) = (dir.path().join("once"), dir.path().join("twice"));
        assert!(run(&args(Some(&first), 1, &once)).expect("split"));
        fs::copy(once.join("items.csv"), once.join("shop-1/items.csv")).expect("copied");
        assert!(run(&args(Some(&once.join("shop-1")), 1, &twice)).expect("split"));
        let orders = |folder: &Path| fs::read_to_string(folder.join("shop-1/orders.csv")).expect("read");
        assert_eq!(orders(&once), orders(&twice));
        let held_out = |folder: &Path| {
            let known = load_known(folder, None, None, None).expect("a set");
            let items = known.catalogue.items();
            let latest = known
                .dataset
                .histories
                .iter()
                .map(|history| history.items[history.len() - 1]);
            latest
                .map(|item| items[item as usize].id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(held_out(&first), held_out(&once.join("shop-1")));
    }
}

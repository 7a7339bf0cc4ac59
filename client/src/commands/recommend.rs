//! `recommend` and `plot`: for one customer or for all, with a picture if one is wanted.

use std::path::{Path, PathBuf};

use anyhow::Context;
use souk_common::clock::{Clock, SystemClock};
use souk_common::storage::write_whole;
use souk_common::terminal::tell;

use super::{Place, ask, render, say, show, strange};
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::recommend::picture::Picture;
use crate::recommend::{RecommendOptions, Recommendations};

#[derive(Debug, clap::Args)]
pub(super) struct Recommend {
    /// The user's id, as in the orders.
    #[arg(required_unless_present_any = ["all", "basket", "anonymous"], conflicts_with = "all")]
    user: Option<String>,
    /// An item of this visit, by its id; again for each, earliest first. Without a user, for somebody unknown.
    #[arg(long, value_name = "ITEM", conflicts_with = "all")]
    basket: Vec<String>,
    /// For somebody of whom nothing is known.
    #[arg(long, conflicts_with_all = ["user", "basket", "all"])]
    anonymous: bool,
    #[command(flatten)]
    place: Place,
    /// How many items.
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    k: u32,
    /// Also items that the user bought already.
    #[arg(long)]
    include_bought: bool,
    /// Say why.
    #[arg(long, conflicts_with = "all")]
    explain: bool,
    /// For every user, into --out.
    #[arg(long, requires = "out")]
    all: bool,
    /// CSV file: user_id,rank,item_id,score,title
    #[arg(long, requires = "all", value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw all scores as a scatter plot (SVG) beside the list.
    #[arg(long, conflicts_with = "all", value_name = "FILE")]
    picture: Option<PathBuf>,
    /// The ads of the catalogue instead, each with how likely it is clicked: where the federation learns that (task = "ads").
    #[arg(long, conflicts_with_all = ["basket", "all", "include_bought", "picture"])]
    ads: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Plot {
    /// The user's id, as in the orders.
    user: String,
    #[command(flatten)]
    place: Place,
    /// SVG file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many items to mark.
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    k: u32,
}

pub(super) fn recommend(args: Recommend) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    let wishes = RecommendOptions {
        k: args.k as usize,
        include_bought: args.include_bought,
        explain: args.explain,
    };
    if args.ads {
        let question = Question::Ads {
            user: args.user,
            k: wishes.k,
            explain: wishes.explain,
        };
        let Answer::Ads(mut list) = ask(&folder, question)? else {
            return Err(strange());
        };
        list.serving = list.serving.aged(SystemClock.now());
        show(args.json, &list, render::ads)?;
        return Ok(true);
    }
    if args.all {
        return recommend_all(&folder, wishes, &args.out.unwrap_or_default(), args.json);
    }
    let whom = (args.user, args.basket);
    let (list, picture) = ask_for_list(&folder, whom, wishes, args.picture.is_some())?;
    if let Some(out) = args.picture {
        draw(picture, &out)?;
    }
    show(args.json, &list, render::list)?;
    Ok(true)
}

pub(super) fn plot(args: Plot) -> anyhow::Result<bool> {
    let wishes = RecommendOptions {
        k: args.k as usize,
        include_bought: false,
        explain: false,
    };
    let (_, picture) = ask_for_list(&args.place.folder()?, (Some(args.user), Vec::new()), wishes, true)?;
    draw(picture, &args.out)
}

fn recommend_all(folder: &Folder, wishes: RecommendOptions, out: &Path, json: bool) -> anyhow::Result<bool> {
    let Answer::RecommendedAll { lists } = ask(folder, Question::RecommendAll(wishes))? else {
        return Err(strange());
    };
    let bytes = render::csv(&lists)?;
    write_whole(out, &bytes, false).with_context(|| format!("can't write {}", out.display()))?;
    for trouble in lists.iter().flat_map(|list| &list.rules_trouble) {
        tell(trouble);
    }
    let rows: usize = lists.iter().map(|list| list.items.len()).sum();
    let made = lists.first().map(|list| {
        let serving = list.serving.clone().aged(SystemClock.now());
        (list.served_by, serving)
    });
    let (served_by, serving) = made.clone().unzip();
    let said = serde_json::json!({
        "users": lists.len(), "rows": rows, "file": out, "served_by": served_by, "serving": serving,
    });
    say(&match json {
        true => said.to_string(),
        false => format!(
            "{rows} recommendations for {} users in {}{}",
            lists.len(),
            out.display(),
            made.map_or(String::new(), |(by, serving)| format!(
                ", made {}",
                serving.words(by)
            ))
        ),
    })?;
    Ok(true)
}

fn ask_for_list(
    folder: &Folder,
    (user, basket): (Option<String>, Vec<String>),
    wishes: RecommendOptions,
    picture: bool,
) -> anyhow::Result<(Recommendations, Option<Picture>)> {
    match ask(
        folder,
        Question::Recommend {
            user,
            basket,
            wishes,
            picture,
        },
    )? {
        Answer::Recommended { mut list, picture } => {
            list.serving = list.serving.aged(SystemClock.now());
            Ok((list, picture))
        }
        _ => Err(strange()),
    }
}

fn draw(picture: Option<Picture>, out: &Path) -> anyhow::Result<bool> {
    let svg = picture.context("the answer has no picture")?.to_svg()?;
    write_whole(out, svg.as_bytes(), false).with_context(|| format!("can't write {}", out.display()))?;
    tell(&format!("the picture is in {}", out.display()));
    Ok(true)
}

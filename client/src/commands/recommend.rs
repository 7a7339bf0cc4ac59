//! `souk-client recommend`: for one customer or for all, with a picture if one is wanted.

use std::path::Path;

use anyhow::Context;
use souk_common::terminal::tell;

use super::{ask, render, say, strange};
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::recommend::picture::Picture;
use crate::recommend::{RecommendOptions, Recommendations};
use souk_common::storage::write_whole;

pub(crate) fn recommend(
    folder: &Folder,
    user: String,
    wishes: RecommendOptions,
    picture_out: Option<&Path>,
    json: bool,
) -> anyhow::Result<bool> {
    let (list, picture) = ask_for_list(folder, user, wishes, picture_out.is_some())?;
    if let Some(out) = picture_out {
        draw(picture, out)?;
    }
    say(&if json {
        serde_json::to_string(&list)?
    } else {
        render::list(&list)
    })?;
    Ok(true)
}

pub(crate) fn recommend_all(
    folder: &Folder,
    wishes: RecommendOptions,
    out: &Path,
    json: bool,
) -> anyhow::Result<bool> {
    let Answer::RecommendedAll { lists } = ask(folder, Question::RecommendAll(wishes))? else {
        return Err(strange());
    };
    let bytes = render::csv(&lists)?;
    write_whole(out, &bytes, false).with_context(|| format!("can't write {}", out.display()))?;
    let rows: usize = lists.iter().map(|list| list.items.len()).sum();
    let said = serde_json::json!({ "users": lists.len(), "rows": rows, "file": out });
    say(&match json {
        true => said.to_string(),
        false => format!(
            "{rows} recommendations for {} users in {}",
            lists.len(),
            out.display()
        ),
    })?;
    Ok(true)
}

pub(crate) type ListAndPicture = (Recommendations, Option<Picture>);

pub(crate) fn ask_for_list(
    folder: &Folder,
    user: String,
    wishes: RecommendOptions,
    picture: bool,
) -> anyhow::Result<ListAndPicture> {
    match ask(
        folder,
        Question::Recommend {
            user,
            wishes,
            picture,
        },
    )? {
        Answer::Recommended { list, picture } => Ok((list, picture)),
        _ => Err(strange()),
    }
}

pub(crate) fn draw(picture: Option<Picture>, out: &Path) -> anyhow::Result<bool> {
    let svg = picture.context("the answer has no picture")?.to_svg()?;
    write_whole(out, svg.as_bytes(), false).with_context(|| format!("can't write {}", out.display()))?;
    tell(&format!("the picture is in {}", out.display()));
    Ok(true)
}

//! `leave`: ends the membership, and the store of interactions if the owner wants that.

use std::io::IsTerminal;

use souk_common::terminal::tell;

use super::{Place, ask, say, strange};
use crate::config::ShopConfig;
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::interactions::erase::erase;
use crate::membership::Membership;

#[derive(Debug, clap::Args)]
pub(super) struct Leave {
    #[command(flatten)]
    place: Place,
    /// Destroy the store of interactions afterwards, without asking; also when the shop has left before.
    #[arg(long, conflicts_with = "keep")]
    erase: bool,
    /// Keep the store of interactions, without asking.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(args: Leave) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    ShopConfig::load(&folder)?;
    let has_left = Membership::load(&folder)?.left_at.is_some();
    if !(has_left && args.erase) {
        let Answer::Left { kept } = ask(&folder, Question::Leave)? else {
            return Err(strange());
        };
        say(&format!(
            "You have left the federation. What the coordinator keeps: {kept}"
        ))?;
    }
    let erases = match (args.erase, args.keep) {
        (true, _) => true,
        (_, true) => false,
        _ => std::io::stdin().is_terminal() && owner_wants_to_erase()?,
    };
    let dir = folder.path().display().to_string();
    say(&match erases {
        true => erased(&folder)?,
        false => format!(
            "The store of interactions in {dir} is kept: your lists go on. `souk-client leave --erase --dir {dir}` destroys it."
        ),
    })?;
    Ok(true)
}

fn owner_wants_to_erase() -> anyhow::Result<bool> {
    tell(
        "Destroy the store of interactions (what was imported of your customers' orders; your own files stay)? Type yes to do \
         so:",
    );
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == "yes")
}

fn erased(folder: &Folder) -> anyhow::Result<String> {
    let files = erase(folder)?;
    Ok(format!(
        "The store of interactions is destroyed: {files} files were written over and removed. Your own files stay, and any \
         backups. Customers' vectors that training left behind are in {}.",
        folder.store().display()
    ))
}

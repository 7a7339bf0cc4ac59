//! `leave`: ends the membership, and the store of interactions if the owner wants that.

use std::io::IsTerminal;

use anyhow::ensure;
use souk_common::terminal::tell;

use super::{Place, ask, say, strange};
use crate::config::ShopConfig;
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::interactions::erase::erase;
use crate::membership::Membership;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Leave {
    #[command(flatten)]
    place: Place,
    /// Destroy the store of interactions and customers' vectors afterwards, without asking; also when the shop has left before.
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
    let vectors = match without_vectors(folder) {
        Ok(()) => "So are customers' vectors that training left behind.".to_owned(),
        Err(error) => format!(
            "Customers' vectors that training left behind are still in {}: {error:#}. The same command again removes them.",
            folder.store().display()
        ),
    };
    Ok(format!(
        "The store of interactions is destroyed: {files} files were written over and removed. {vectors} Your own files stay, and any backups."
    ))
}

/// Takes all customers' vectors out of the shop's database; opened again, it is written anew.
fn without_vectors(folder: &Folder) -> anyhow::Result<()> {
    if folder.store().is_file() {
        Store::open_patiently(folder)?.keep_vectors_of(|_| false)?;
        ensure!(
            !Store::open_patiently(folder)?.has_remains()?,
            "another program has it open"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use souk_common::ids::Digest;

    use super::*;
    use crate::store::vector_name;

    #[test]
    fn what_is_erased_leaves_no_customers_vector_in_any_byte() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path());
        let name = vector_name(&Digest::of(b"plan"), "anna@example.com");
        let store = Store::open(&folder).expect("a store");
        store
            .store_vectors([(name.as_str(), vec![7; 256])])
            .expect("stored");
        assert!(erased(&folder).expect("said").contains("are still in"));
        drop(store);
        assert!(
            erased(&folder)
                .expect("said")
                .contains("So are customers' vectors")
        );
        let bytes = std::fs::read(folder.store()).expect("the database");
        assert!(!bytes.windows(4).any(|bytes| bytes == b"anna"));
    }
}

//! `backup`: a copy of the federation that can be put in its place.

use std::path::PathBuf;

use serde::Serialize;
use souk_common::date::date;

use super::{At, ask, home_at, other_version, show, table};
use crate::backup::{self, Copied};
use crate::control::{Answer, Question};
use crate::error::{Failure, failed};

#[derive(Serialize)]
struct BackedUp {
    backup: PathBuf,
    copied: Copied,
}

pub(super) fn run(folder: PathBuf, at: &At) -> Result<(), Failure> {
    let Answer::Snapshot(about) = ask(at, &Question::Snapshot)? else {
        return Err(other_version());
    };
    let copied = backup::copy(&home_at(&at.dir)?, &folder, about).map_err(failed)?;
    let done = BackedUp {
        backup: folder,
        copied,
    };
    show(at, &done, || {
        let copied = &done.copied;
        table::facts(&[
            ("backup", done.backup.display().to_string()),
            ("made", date(copied.about.made_at)),
            ("record", format!("{} entries", copied.about.log.length)),
            ("files", copied.files.to_string()),
            ("copied", table::size(copied.bytes_copied)),
        ])
    })
}

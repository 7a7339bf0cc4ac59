//! `init`: makes a federation.

use std::path::PathBuf;

use souk_common::clock::{Clock, SystemClock};

use super::{close, say};
use crate::error::Failure;
use crate::folder::FederationFolder;

#[derive(clap::Args)]
pub(super) struct Init {
    /// The folder.
    folder: PathBuf,
    /// The federation's name.
    #[arg(long, default_value = "souk")]
    name: String,
    /// host:port for join codes.
    #[arg(long, default_value = "127.0.0.1:4433")]
    address: String,
    /// Where `serve` listens; every address of this machine, at the port of `--address`, if absent.
    #[arg(long)]
    listen: Option<String>,
}

pub(super) fn run(init: &Init) -> Result<(), Failure> {
    let home = FederationFolder::new(&init.folder);
    close(&home, false)?;
    let port = init.address.rsplit_once(':').map_or("4433", |(_, port)| port);
    let listen = init.listen.clone().unwrap_or_else(|| format!("[::]:{port}"));
    home.init(SystemClock.now(), &init.name, &init.address, &listen)?;
    say(&format!(
        "a federation called {} is in {}",
        init.name,
        init.folder.display()
    ));
    Ok(())
}

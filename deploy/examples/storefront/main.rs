//! A made-up web shop whose pages have Souk's lists in them, put in by its own server: `cargo storefront`.
//!
//! It makes up a shop's data in a temporary folder, starts `souk-client run --http` there as a process of its own, and serves the
//! pages. Ctrl-C ends everything, and nothing is left behind.

mod store;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use souk_common::terminal::{say, tell};

use store::souk::Program;

/// Serve a made-up web shop with Souk's lists in its pages, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "storefront")]
struct Args {
    /// Where to serve it.
    #[arg(long, default_value = "127.0.0.1:4490")]
    listen: SocketAddr,
    /// Buy something as a customer would, say how soon lists have changed, and end with 1 if anything is not as it must be.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    // This program again, as the shop's.
    if args.next_if(|first| first == AS_CLIENT).is_some() {
        if args.peek().is_some_and(|command| command == "run") {
            end_with_the_parent();
        }
        return souk_client::run_cli(args);
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("storefront: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let program = Program {
        path: std::env::current_exe()?,
        first: AS_CLIENT.to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if args.check {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            say(&store::check::check(&program, any).await?)?;
            return Ok(());
        }
        say("making up a shop and its lists ...")?;
        let running = store::Running::start(&program, args.listen, A_LIST_IN_TIME).await?;
        say(&format!(
            "The web shop is at http://{}/ : choose a customer, buy something, and see the lists change.\n\
             Its lists come from {}. Ctrl-C ends both.",
            running.address, running.souk.address
        ))?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped?,
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// A parent that is gone, however it went, closes this program's standard input.
fn end_with_the_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// What visitors wait for a list at most.
const A_LIST_IN_TIME: Duration = Duration::from_millis(300);
const AS_CLIENT: &str = "--as-client";

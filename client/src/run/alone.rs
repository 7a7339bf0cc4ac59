//! `run` in a folder that is no member of a federation: the HTTP API and the owner's page, by this shop's own customers alone.
//! Somebody who joins meanwhile is told so, and takes part from then on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::clock::{Clock, SystemClock};
use souk_common::control::ControlSocket;
use souk_common::telemetry::ServiceManager;
use tokio::sync::mpsc::unbounded_channel;

use super::control::serve_control;
use super::no_federation::NothingSpent;
use super::output::Owner;
use super::refit::Refit;
use super::web::Web;
use super::{Input, StopRules};
use crate::config::ShopConfig;
use crate::control::{Answer, Service};
use crate::error::{EXIT_USAGE, UsageError};
use crate::folder::Folder;
use crate::recommend::service::ListService;
use crate::store::Store;

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    Stopped,
    Joined,
}

/// Serves until `stop` is done, or the shop has joined.
///
/// # Errors
/// When nothing is to be served, the folder is in use, or the address can't be had.
pub(super) async fn serve(
    folder: &Folder,
    ends: StopRules,
    http: Option<SocketAddr>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let config = ShopConfig::load(folder)?;
    let address = address(folder, &config, ends, http)?;
    let dir = folder.path().display();
    let owner = Owner::new();
    let manager = ServiceManager::from_environment();
    let tell = |line: &str| {
        manager.status(line);
        owner.tell(line);
    };
    // It locks the folder; before a join nothing stands in it.
    let store = Arc::new(Store::open_patiently(folder)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lists = Arc::new(ListService::beside_rounds(folder.clone(), None));
    let service = Arc::new(Service::new(
        folder.clone(),
        Arc::clone(&store),
        Arc::new(NothingSpent),
        Arc::clone(&clock),
        Arc::clone(&lists),
    ));
    let control = ControlSocket::bind(&folder.control()).context("can't listen on control.sock")?;
    let (inputs_in, mut inputs) = unbounded_channel();
    let control = tokio::spawn(serve_control(control, Arc::clone(&service), inputs_in.clone()));
    tell(&format!(
        "no federation: lists are by this shop's own customers alone; `souk-client join CODE --dir {dir}` makes it a member, and \
         everything stays"
    ));
    let web = Web::serve(folder, &config, address, &lists, &clock, &service)?;
    tell(&web.told(folder));
    let refit = Refit::start(folder, &lists, inputs_in, Some(Arc::clone(&web.api)))?;
    manager.ready();
    let mut signs_of_life = manager.signs_of_life();
    tokio::pin!(stop);
    let ended = loop {
        tokio::select! {
            Some(input) = inputs.recv() => match input {
                Input::Tell(line) => tell(&line),
                Input::Leave(answer) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(Answer::Failed {
                        exit_code: EXIT_USAGE,
                        reason: format!("{dir} is no member of a federation: there is nothing to leave"),
                    });
                }
                // Nothing else is said without a coordinator.
                _ => {}
            },
            () = tokio::time::sleep(LOOK_FOR_MEMBERSHIP), if !folder.membership().is_file() => {}
            () = std::future::ready(()), if folder.membership().is_file() => break Ended::Joined,
            () = signs_of_life.due() => manager.alive(),
            () = &mut stop => break Ended::Stopped,
        }
    };
    control.abort();
    let _ = control.await;
    if ended == Ended::Joined {
        tell("this shop has joined a federation: it takes part from here on");
        drop((web, refit, service, lists));
        // What is being fitted or answered ends first: the folder is one program's.
        tokio::select! {
            () = released(&store) => {}
            () = &mut stop => return Ok(Ended::Stopped),
        }
    }
    owner.part();
    Ok(ended)
}

/// Where to serve.
fn address(
    folder: &Folder,
    config: &ShopConfig,
    ends: StopRules,
    http: Option<SocketAddr>,
) -> anyhow::Result<SocketAddr> {
    let dir = folder.path().display();
    ensure!(
        !folder.key().exists(),
        "the join of {dir} was not finished: give `souk-client join` the same code again; or remove key.der there, if this shop is \
         to go on without a federation"
    );
    http.or(config.http.listen)
        .filter(|_| !ends.when_finished)
        .ok_or_else(|| {
            UsageError(format!(
            "{dir} is no member of a federation, so there is no round to take part in: `souk-client join CODE --dir {dir}` makes it \
             one, and `souk-client run --http --dir {dir}` serves lists by its own customers alone"
        ))
            .into()
        })
}

/// Done when nothing else holds it.
async fn released(store: &Arc<Store>) {
    while Arc::strong_count(store) > 1 {
        tokio::time::sleep(UNTIL_ENDED).await;
    }
}

const UNTIL_ENDED: Duration = Duration::from_millis(50);
const LOOK_FOR_MEMBERSHIP: Duration = Duration::from_secs(2);

//! Questions: over the control socket while `run` is up, from the store while it is not.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::control::ControlSocket;
use souk_common::stack::StackStage;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::no_federation::{NothingSpent, is_alone};
use super::{Driver, Input};
use crate::config::ShopConfig;
use crate::control::socket::PATIENCE;
use crate::control::{Answer, Question, Service, answer_customer, answer_lists};
use crate::erasure::CustomerHoldings;
use crate::error::{EXIT_ERROR, EXIT_USAGE, exit_code};
use crate::folder::Folder;
use crate::link::Link;
use crate::membership::Membership;
use crate::page::session::NOT_SERVED;
use crate::recommend::service::ListService;
use crate::store::Store;
use crate::training::Attempts;

/// Answers a question while no `run` is up.
///
/// # Errors
/// When the store is in use or damaged.
pub fn answer_alone(folder: &Folder, question: Question) -> anyhow::Result<Answer> {
    if question == Question::PageLink {
        // Only the program that serves the page can take what a link has in it.
        anyhow::bail!(
            "souk-client does not run in {}, and {NOT_SERVED}",
            folder.path().display()
        );
    }
    if question == Question::CheckData {
        return crate::control::check_data(folder);
    }
    if let Question::Customer(question) = &question {
        let has_store = folder.store().is_file();
        let store = has_store.then(|| Store::open(folder)).transpose()?;
        let holdings = CustomerHoldings {
            folder,
            store: store.as_ref(),
            holder: None,
            now: SystemClock.now(),
        };
        let mut answer = answer_customer(holdings, question);
        drop(store);
        if let Answer::Forgotten(report) = &mut answer
            && report.remains_until_restart
        {
            // Opened again, it is written anew; if another program is quicker, by that one.
            let again = Store::open(folder).and_then(|store| store.has_remains());
            report.remains_until_restart = again.unwrap_or(true);
        }
        return Ok(answer);
    }
    let is_of_lists = matches!(
        question,
        Question::Recommend { .. }
            | Question::Ads { .. }
            | Question::RecommendAll(_)
            | Question::Gain
            | Question::Serving
            | Question::Rules { .. }
    );
    if is_of_lists && !folder.membership().is_file() {
        // Lists need no coordinator.
        return Ok(answer_lists(&lists_at_once(folder, None), question));
    }
    if is_alone(folder) && question != Question::Leave {
        let store = Arc::new(Store::open(folder)?);
        let lists = Arc::new(lists_at_once(folder, None));
        let clock = Arc::new(SystemClock);
        let service = Service::new(folder.clone(), store, Arc::new(NothingSpent), clock, lists);
        return Ok(service.answer(question));
    }
    let membership = Membership::load(folder)?;
    let store = Arc::new(Store::open(folder)?);
    if question == Question::Leave {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let route = ShopConfig::load(folder)?.route_or(&membership.address);
        let kept = runtime.block_on(async {
            let link = Link::dial(folder, &membership, &route).await?;
            leave(&link, folder, &membership, SystemClock.now()).await
        })?;
        store.erase_masking()?;
        return Ok(Answer::Left { kept });
    }
    let workshop = Arc::new(Attempts::open(
        folder,
        &membership,
        Arc::clone(&store),
        SystemClock.now(),
    )?);
    let lists = Arc::new(lists_at_once(folder, Some(Arc::clone(&store))));
    let service = Service::new(folder.clone(), store, workshop, Arc::new(SystemClock), lists);
    Ok(service.answer(question))
}

/// Lists for somebody who waits for them: at a terminal, how far the stack is.
fn lists_at_once(folder: &Folder, store: Option<Arc<Store>>) -> ListService {
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    ListService::new(folder.clone(), store, move |stage| {
        if let Some(bar) = &bar {
            bar.set_message(stage_words(stage));
            bar.tick();
        }
    })
}

fn stage_words(stage: StackStage) -> &'static str {
    match stage {
        StackStage::Channels => "fitting to your customers: what they buy",
        StackStage::Tails => "fitting to your customers: what they bought next",
        StackStage::Weights => "fitting to your customers: weights",
        StackStage::Gate => "fitting to your customers: whether other shops help",
    }
}

pub(crate) async fn serve_control(
    control: ControlSocket,
    service: Arc<Service>,
    inputs: UnboundedSender<Input>,
) {
    control
        .serve(PATIENCE, move |question| {
            let question = match question {
                Ok(question) => question,
                Err(reason) => {
                    return Answer::Failed {
                        exit_code: EXIT_USAGE,
                        reason,
                    };
                }
            };
            if question != Question::Leave {
                return service.answer(question);
            }
            let (answer_in, answer) = oneshot::channel();
            let asked = inputs.send(Input::Leave(answer_in)).is_ok();
            let gone = || Answer::Failed {
                exit_code: EXIT_ERROR,
                reason: "souk-client is stopping: try again".to_owned(),
            };
            if asked {
                answer.blocking_recv().unwrap_or_else(|_| gone())
            } else {
                gone()
            }
        })
        .await;
}

impl Driver {
    /// Ends the membership over the connection that there is.
    pub(super) fn leave(&self, answer: oneshot::Sender<Answer>) {
        let Some(courier) = &self.courier else {
            let reason = "there is no connection to the coordinator now: try again later".to_owned();
            let _ = answer.send(Answer::Failed {
                exit_code: EXIT_ERROR,
                reason,
            });
            return;
        };
        let (link, folder) = (Arc::clone(&courier.link), self.folder.clone());
        let (membership, inputs) = (self.standing.membership().clone(), self.inputs_in.clone());
        let now = self.platform.clock.now();
        tokio::spawn(async move {
            match leave(&link, &folder, &membership, now).await {
                Ok(kept) => {
                    let _ = answer.send(Answer::Left { kept });
                    // The answer travels over the control socket before the program ends.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let _ = inputs.send(Input::Left);
                }
                Err(error) => {
                    let _ = answer.send(Answer::Failed {
                        exit_code: exit_code(&error),
                        reason: format!("{error:#}"),
                    });
                }
            }
        });
    }
}

/// Ends the membership and notes it in the folder.
async fn leave(
    link: &Link,
    folder: &Folder,
    membership: &Membership,
    now: Timestamp,
) -> anyhow::Result<String> {
    let kept = link.leave().await?;
    Membership {
        left_at: Some(now),
        ..membership.clone()
    }
    .store(folder)?;
    Ok(kept)
}

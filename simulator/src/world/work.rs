//! What shops work on: kept as a word until it is due, then done for several shops at once.
//!
//! An update takes as much memory as a model, or twice. Ten thousand shops that begin at the same time would hold ten thousand
//! of them; here a few shops' updates are made shortly before the first of them is due, on all threads, and the others wait. Which
//! shops' are made together depends on virtual time alone, so one seed makes one run on any number of threads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use souk_client::training::UnreleasedUpdate;
use souk_common::clock::Timestamp;
use souk_common::rng::Stream as Seeded;
use souk_common::round::statements::Announcement;

use super::Out;
use super::shop::{InMemory, RoundTerms, Shop};

/// What a shop does for an announced attempt.
pub(super) struct Task {
    pub(super) announcement: Announcement,
    pub(super) terms: Arc<RoundTerms>,
    /// What it was announced on.
    pub(super) out: Out,
}

/// When a task is due, and which of those that are due together.
pub(super) type TaskKey = (Timestamp, u64);

type Update = UnreleasedUpdate<Seeded>;

/// Tasks that wait, and updates that are made before they are due.
#[derive(Default)]
pub(super) struct Tasks {
    waiting: BTreeMap<TaskKey, (usize, Task)>,
    made: HashMap<TaskKey, (Announcement, anyhow::Result<Update>)>,
    given: u64,
}

impl Tasks {
    /// Gives `shop` something to do until `due`.
    pub(super) fn give(&mut self, due: Timestamp, shop: usize, task: Task) -> TaskKey {
        let key = (due, self.given);
        self.given += 1;
        self.waiting.insert(key, (shop, task));
        key
    }

    /// The update that is due now, with the announcement that it is for.
    pub(super) fn due(
        &mut self,
        key: TaskKey,
        shops: &mut [Shop],
    ) -> Option<(Announcement, anyhow::Result<Update>)> {
        if !self.made.contains_key(&key) {
            self.make(shops);
        }
        self.made.remove(&key)
    }

    /// Makes the updates that are due next. A shop has one draw after another: a second one of the same shop waits for the
    /// next time, and so does what comes after it.
    fn make(&mut self, shops: &mut [Shop]) {
        let at_once = self.waiting.first_key_value().map_or(1, |(_, (_, task))| {
            (AT_ONCE_BYTES / (8 * task.terms.coordinates).max(1)).clamp(1, AT_ONCE)
        });
        let mut busy = BTreeSet::new();
        let mut next: HashMap<usize, (TaskKey, Task)> = HashMap::new();
        while next.len() < at_once
            && let Some(first) = self.waiting.first_entry()
            && busy.insert(first.get().0)
        {
            let (key, (shop, task)) = first.remove_entry();
            next.insert(shop, (key, task));
        }
        let mut work: Vec<(TaskKey, Task, &mut InMemory)> = shops
            .iter_mut()
            .enumerate()
            .filter_map(|(at, shop)| {
                let (key, task) = next.remove(&at)?;
                Some((key, task, shop.agent.holdings()))
            })
            .collect();
        let made = work.par_iter_mut().map(|(key, task, shop)| {
            let update = shop.draw(&task.out, &task.terms, &task.announcement);
            (*key, (task.announcement.clone(), update))
        });
        self.made.extend(made.collect::<Vec<_>>());
    }
}

/// No more updates than these are made together.
const AT_ONCE: usize = 64;
/// Nor more than fit here, as sums of eight bytes a coordinate.
const AT_ONCE_BYTES: usize = 128 << 20;

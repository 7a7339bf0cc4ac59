//! A federation of real processes: started, joined, and run to its end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::ensure;
use souk_common::clock::Stopwatch;
use souk_common::ids::ShopName;

use crate::processes::folders::{ANY_PORT, COORDINATOR, Folders, wait_until_listening};
use crate::processes::{Line, Process, next_line};

/// A coordinator and its shops.
pub(crate) struct Federation {
    pub(crate) folders: Folders,
    coordinator: Process,
    running: Vec<Process>,
    lines: Receiver<Line>,
    lines_in: Sender<Line>,
    page: Option<PageShop>,
}

/// A shop that serves its owner's page; with one, all programs stay up after the last round.
#[derive(Clone, Debug)]
pub(crate) struct PageShop {
    pub(crate) shop: ShopName,
    pub(crate) address: SocketAddr,
}

impl Federation {
    /// Makes a federation in `dir`, starts its coordinator, and lets every shop join with a one-time code.
    pub(crate) fn start(dir: &Path, shops: &[ShopName], page: Option<PageShop>) -> anyhow::Result<Self> {
        let folders = Folders::make(dir, shops)?;
        let (lines_in, lines) = channel();
        let mut coordinator = folders.serve(ANY_PORT, ends(page.is_some()), &lines_in)?;
        wait_until_listening(&mut coordinator, &lines)?;
        folders.join_all()?;
        Ok(Self {
            folders,
            coordinator,
            running: Vec::new(),
            lines,
            lines_in,
            page,
        })
    }

    /// Runs every shop as a process until the coordinator has published all `rounds`; `on_round` sees each round's line, and
    /// `on_page` the line with which a page begins to be served.
    pub(crate) fn run(
        &mut self,
        rounds: u64,
        most: Duration,
        mut on_round: impl FnMut(u64, &str),
        mut on_page: impl FnMut(&Folders, &ShopName) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let address = self.page.as_ref().map(|page| page.address.to_string());
        for shop in self.folders.shops() {
            let mut flags = ends(self.page.is_some()).to_vec();
            if let (Some(page), Some(address)) = (&self.page, &address)
                && page.shop == *shop
            {
                flags.extend(["--http", address]);
            }
            let process = self.folders.run(shop, &flags, &self.lines_in)?;
            self.running.push(process);
        }
        let watch = Stopwatch::start();
        loop {
            if let Some(line) = next_line(&self.lines, POLL) {
                if line.process == COORDINATOR
                    && let Some(round) = round_of(&line.text)
                {
                    on_round(round, &line.text);
                    if self.page.is_some() && round == rounds {
                        return Ok(());
                    }
                }
                if let Some(page) = &self.page
                    && line.process == page.shop.as_str()
                    && line.text.contains(SERVES)
                {
                    on_page(&self.folders, &page.shop)?;
                }
                continue;
            }
            for process in &mut self.running {
                process.check()?;
            }
            if self.coordinator.check()? {
                break;
            }
            ensure!(
                watch.secs() < most.as_secs_f64(),
                "the federation did not finish within {most:?}"
            );
        }
        self.running
            .iter_mut()
            .try_for_each(|process| process.wait(SHUTDOWN))
    }

    /// Process ids: the coordinator's, then the shops' in order.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        std::iter::once(self.coordinator.id())
            .chain(self.running.iter().map(Process::id))
            .collect()
    }
}

fn ends(stays_up: bool) -> &'static [&'static str] {
    match stays_up {
        true => &[],
        false => &["--exit-when-finished"],
    }
}

/// `2026-11-29T12:00:00Z round 3/60 published...` -> 3: all but a coordinator's first line begin with the time.
fn round_of(line: &str) -> Option<u64> {
    let (_, said) = line.split_once(' ')?;
    said.strip_prefix("round ")?
        .split(['/', ' '])
        .next()?
        .parse()
        .ok()
}

/// In the line with which `run` says that it answers.
const SERVES: &str = "serves the HTTP API at ";
const POLL: Duration = Duration::from_millis(100);
const SHUTDOWN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_a_round_have_a_round() {
        assert_eq!(
            round_of("2026-11-29T12:00:00Z round 3/60 published: 5 of 5 shops"),
            Some(3)
        );
        assert_eq!(round_of("listening on 127.0.0.1:1"), None);
        assert_eq!(round_of("2026-11-29T12:00:00Z round x/60"), None);
    }
}

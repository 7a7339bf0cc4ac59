//! Is everything in order? What is not, and what to do, within some ten seconds whatever hangs.
//!
//! | module | what |
//! |---|---|
//! | [`network`] | the coordinator: its name, whether it answers, its clock, the other shops' keys |
//! | [`reach`] | why it does not answer, as far as that can be told from here |
//! | [`shop`] | what needs no coordinator: the folder, data, plan, lists, rules, services |
//!
//! What the owner's page says as well is judged in [`crate::health`].

mod network;
mod reach;
mod shop;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde::Serialize;
use souk_common::clock::{Clock, SystemClock, Timestamp};

use super::{Shown, say};
use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::health::{Finding, HealthLevel};
use crate::membership::Membership;
use crate::run::is_alone;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// What.
    name: &'static str,
    /// How bad it is.
    level: HealthLevel,
    /// Whether it works; with a warning it does.
    ok: bool,
    /// What was found, or what to do.
    detail: String,
}

impl Check {
    fn new(name: &'static str, found: impl Into<Finding>) -> Self {
        let found = found.into();
        Self {
            name,
            level: found.level,
            ok: found.level < HealthLevel::Bad,
            detail: found.text,
        }
    }
}

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let checks = examine(&args.place.folder()?)?;
    let ok = checks.iter().all(|check| check.ok);
    say(&match args.json {
        true => serde_json::json!({ "ok": ok, "checks": checks }).to_string(),
        false => table(&checks),
    })?;
    Ok(ok)
}

/// What the doctor found, for people.
fn table(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let level = match check.level {
            HealthLevel::Good => "good",
            HealthLevel::Warning => "WARN",
            HealthLevel::Bad => "BAD ",
        };
        format!("{level}  {:<12} {}", check.name, check.detail)
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Looks at everything that a shop's program needs.
///
/// # Errors
/// When the folder is no member's at all.
fn examine(folder: &Folder) -> anyhow::Result<Vec<Check>> {
    let config = ShopConfig::load(folder)?;
    let membership = match is_alone(folder) {
        true => None,
        false => Some(Membership::load(folder)?),
    };
    let joined = membership.is_some();
    let now = SystemClock.now();
    let shop = (folder.clone(), config, membership);
    let asked = {
        let shop = shop.clone();
        Looking::begin(network::NAMES, move |out| network::look(&shop, now, out))?
    };
    let own = {
        let shop = shop.clone();
        Looking::begin(if joined { shop::OWN } else { shop::OWN_ALONE }, move |out| {
            shop::look_at_folder(&shop, now, out)
        })?
    };
    let data = {
        let shop = shop.clone();
        Looking::begin(shop::DATA, move |out| shop::look_at_data(&shop, now, out))?
    };
    let lists = Looking::begin(shop::LISTS, move |out| shop::look_at_lists(&shop, now, out))?;
    // Without a federation nobody is asked, and no round comes.
    let groups = [(joined, asked), (true, own), (true, data), (joined, lists)];
    Ok(groups
        .into_iter()
        .filter_map(|(wanted, group)| wanted.then_some(group))
        .flat_map(|group| group.since(now, PATIENCE))
        .collect())
}

/// Checks under way on a thread of their own, which may hang.
struct Looking {
    names: &'static [&'static str],
    found: Receiver<Check>,
}

impl Looking {
    /// Begins: `look` is to send a check of each name, in their order.
    fn begin(
        names: &'static [&'static str],
        look: impl FnOnce(&Sender<Check>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (out, found) = channel();
        std::thread::Builder::new()
            .name("doctor".to_owned())
            .spawn(move || look(&out))?;
        Ok(Self { names, found })
    }

    /// What is found within `patience`; of what was not, that it is not known.
    fn since(self, begun: Timestamp, patience: Duration) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        let rest = || patience.saturating_sub(SystemClock.now().since(begun));
        while let Ok(check) = self.found.recv_timeout(rest()) {
            checks.push(check);
        }
        let missing = self
            .names
            .iter()
            .filter(|name| !checks.iter().any(|check| check.name == **name));
        let unknown: Vec<Check> = missing
            .map(|name| {
                let text = format!(
                    "not known: looking took longer than {patience:?}. Something hangs, is very large, or waits for what stands \
                     above; run the doctor again when nothing else is at work"
                );
                Check::new(name, Finding::warning(text))
            })
            .collect();
        checks.extend(unknown);
        checks
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_not_known_and_hides_nothing_that_is() {
        let (ends, ended) = channel::<()>();
        let (told, quick_is_told) = channel();
        let looking = Looking::begin(&["quick", "hangs", "after"], move |out| {
            out.send(Check::new("quick", Finding::good("all is well")))
                .unwrap();
            told.send(()).unwrap();
            // Until the test is over.
            let _ = ended.recv();
        })
        .unwrap();
        quick_is_told.recv().unwrap();
        let patience = Duration::from_millis(100);
        let checks = looking.since(SystemClock.now(), patience);
        drop(ends);
        let told: Vec<_> = checks
            .iter()
            .map(|check| (check.name, check.level, check.ok))
            .collect();
        use HealthLevel::{Good, Warning};
        assert_eq!(
            told,
            [
                ("quick", Good, true),
                ("hangs", Warning, true),
                ("after", Warning, true)
            ]
        );
        assert!(
            checks[1].detail.contains("longer than 100ms"),
            "{}",
            checks[1].detail
        );
    }

    #[test]
    fn a_look_that_panics_says_what_it_had_found() {
        let looking = Looking::begin(&["one", "two"], |out| {
            out.send(Check::new("one", Finding::bad("broken"))).unwrap();
            panic!("a fault of this program, as this test wants it");
        });
        let checks = looking.unwrap().since(SystemClock.now(), PATIENCE);
        assert_eq!((checks[0].ok, checks[1].name), (false, "two"));
    }

    #[test]
    fn people_and_programs_read_the_three_levels() {
        let checks = [
            Check::new("name", Finding::good("a")),
            Check::new("disk", Finding::warning("b")),
            Check::new("data", Finding::bad("c")),
        ];
        assert_eq!(
            table(&checks),
            "good  name         a\nWARN  disk         b\nBAD   data         c"
        );
        let json = serde_json::to_value(&checks).unwrap();
        assert_eq!(
            json[1],
            serde_json::json!({"name": "disk", "level": "warning", "ok": true, "detail": "b"})
        );
        assert_eq!(json[2]["ok"], false);
    }
}

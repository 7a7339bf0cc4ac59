//! How the code is laid out: one order of rooms in `common`, no circles between folders, one meaning for each public name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{root, sources};

/// The rooms of `common`, each of which imports from rooms before it only.
const ORDER: [&str; 37] = [
    "ids",
    "hex",
    "chain",
    "clock",
    "date",
    "rng",
    "format",
    "config",
    "limits",
    "params",
    "task",
    "terminal",
    "telemetry",
    "storage",
    "table",
    "catalogue",
    "features",
    "dataset",
    "numeric",
    "model",
    "eval",
    "channels",
    "stack",
    "accountant",
    "update",
    "release",
    "training",
    "transfer",
    "crypto",
    "secagg",
    "plan",
    "learned",
    "privacy",
    "round",
    "wire",
    "transport",
    "control",
];

/// Circles that are meant, each inside one folder, by its first file.
const CIRCLES: [(&str, &str); 3] = [
    (
        "client/src/participate/events.rs",
        "the machine, its masks and the events of both are one thing in three files",
    ),
    ("coordinator/src/round/attempt.rs", "likewise on the other side"),
    (
        "coordinator/src/membership/enrolment.rs",
        "enrolments take members from the registry, which shows their module to others",
    ),
];

/// Names that mean the same thing on both sides.
const SHARED_NAMES: [&str; 7] = [
    "Answer",
    "Effect",
    "Event",
    "Machine",
    "Question",
    "Store",
    "StoreError",
];

/// A module: the program's folder, then names.
type Module = Vec<String>;

struct House {
    files: BTreeMap<Module, PathBuf>,
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

impl House {
    /// Reads what the files outside tests import, from `crate::` and `super::` paths.
    fn read() -> Self {
        let texts: Vec<(Module, PathBuf, String)> = sources()
            .into_iter()
            .filter_map(|(path, text)| Some((module_of(&path)?, path, production(&text))))
            .collect();
        let files: BTreeMap<Module, PathBuf> = texts
            .iter()
            .map(|(module, path, _)| (module.clone(), path.clone()))
            .collect();
        let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, _, text) in &texts {
            let found = imports.entry(module.clone()).or_default();
            for named in paths_in(module, text) {
                let target = (1..=named.len()).rev().map(|len| &named[..len]);
                if let Some(target) = target.into_iter().find(|start| files.contains_key(*start))
                    && target != module.as_slice()
                {
                    found.insert(target.to_vec());
                }
            }
        }
        Self { files, imports }
    }

    /// All that can be reached from a module.
    fn reach(&self, from: &Module) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.imports[from].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module.clone()) {
                next.extend(&self.imports[module]);
            }
        }
        reached
    }

    /// Files that import each other in a loop, sorted.
    fn circles(&self) -> BTreeSet<Vec<Module>> {
        let reach: BTreeMap<&Module, BTreeSet<Module>> = self
            .files
            .keys()
            .map(|module| (module, self.reach(module)))
            .collect();
        let in_circles = reach
            .iter()
            .filter(|(module, reached)| reached.contains(**module));
        in_circles
            .map(|(module, reached)| {
                let back = |other: &&Module| reach[*other].contains(*module);
                reached.iter().filter(back).cloned().collect()
            })
            .collect()
    }

    /// The folder that a module is the head of, or stands in.
    fn folder(&self, module: &Module) -> Module {
        let heads = self
            .files
            .keys()
            .any(|other| other.len() > module.len() && other.starts_with(module));
        match heads {
            true => module.clone(),
            false => module[..module.len() - 1].to_vec(),
        }
    }

    fn name(&self, module: &Module) -> String {
        let path = self.files[module].strip_prefix(root()).expect("under the root");
        path.display().to_string()
    }
}

fn module_of(path: &Path) -> Option<Module> {
    let path = path.strip_prefix(root()).ok()?.with_extension("");
    let mut parts: Module = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.first()? == "tests" || parts.get(1)? != "src" || parts.iter().any(|part| part == "tests") {
        return None;
    }
    parts.remove(1);
    match parts.last()?.as_str() {
        "main" => return None,
        "mod" | "lib" => drop(parts.pop()),
        _ => {}
    }
    Some(parts)
}

/// Without comments and without its tests.
fn production(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .expect("a first part");
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// Every `crate::...` and `super::...` of `module`, groups taken apart.
fn paths_in(module: &Module, text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let end = text[at..]
                .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
                .map_or(text.len(), |len| at + len);
            let mut base = match start {
                "crate::" => module[..1].to_vec(),
                _ => module.clone(),
            };
            for part in text[at..end].split("::").filter(|part| !part.is_empty()) {
                match part {
                    "crate" => {}
                    "super" => drop(base.pop()),
                    part => base.push(part.to_owned()),
                }
            }
            let group = text[end..]
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            match group {
                Some(group) if text[at..end].ends_with("::") => found.extend(group.split(',').map(|item| {
                    let mut path = base.clone();
                    path.extend(item.trim().split("::").map(str::to_owned));
                    path
                })),
                _ => found.push(base),
            }
        }
    }
    found
}

#[test]
fn nothing_in_common_imports_upward() {
    let house = House::read();
    let floor = |module: &Module| {
        ORDER
            .iter()
            .position(|room| module.get(1).is_some_and(|part| part == room))
    };
    let mut rooms = BTreeSet::new();
    for (module, imports) in house
        .imports
        .iter()
        .filter(|(module, _)| module[0] == "common" && module.len() > 1)
    {
        let here =
            floor(module).unwrap_or_else(|| panic!("{} stands in no room of the order", house.name(module)));
        rooms.insert(here);
        for import in imports.iter().filter(|import| import.len() > 1) {
            let there = floor(import).expect("a room");
            assert!(
                there <= here,
                "{} imports {}, which is above it: {:?} comes before {:?}",
                house.name(module),
                house.name(import),
                ORDER[here],
                ORDER[there]
            );
        }
    }
    assert_eq!(rooms.len(), ORDER.len(), "every room of the order is there");
}

#[test]
fn files_of_different_folders_make_no_circle_and_few_inside_one_do() {
    let house = House::read();
    let circles = house.circles();
    for circle in &circles {
        let folders: BTreeSet<Module> = circle.iter().map(|module| house.folder(module)).collect();
        let names: Vec<String> = circle.iter().map(|module| house.name(module)).collect();
        assert_eq!(folders.len(), 1, "a circle through folders: {names:?}");
        assert!(
            names
                .iter()
                .any(|name| CIRCLES.iter().any(|(known, _)| known == name)),
            "a circle that nobody explains: {names:?}"
        );
    }
    assert_eq!(circles.len(), CIRCLES.len(), "{circles:?}");
}

#[test]
fn no_two_public_types_of_one_name_mean_different_things() {
    let mut named: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, text) in sources() {
        if module_of(&path).is_none() {
            continue;
        }
        for line in production(&text).lines() {
            let mut words = line.split_whitespace();
            if words.next() == Some("pub")
                && words
                    .next()
                    .is_some_and(|kind| ["struct", "enum", "trait", "type"].contains(&kind))
                && let Some(name) = words.next()
            {
                let name = name.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
                let name = name.into_iter().next().expect("a first part").to_owned();
                named.entry(name).or_default().insert(path.clone());
            }
        }
    }
    assert!(named.len() > 300, "{}", named.len());
    let twice = named
        .iter()
        .filter(|(name, paths)| paths.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    assert_eq!(twice.collect::<Vec<_>>(), Vec::new());
}

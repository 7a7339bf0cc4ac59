//! The documents name only tests and files that there are, and their commands do what they say.

mod house;
mod operations;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Rust files of the workspace, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["common", "coordinator", "client", "simulator", "tests"]
        .iter()
        .map(|folder| root().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// `a::b::name`, all of small letters: a test, by the convention of these documents.
fn is_test(quoted: &&str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    quoted.matches("::").count() >= 2 && quoted.split("::").all(plain)
}

#[test]
fn every_test_that_the_privacy_page_names_is_there_in_the_module_it_names() {
    let page = fs::read_to_string(root().join("docs/privacy.md")).expect("the page");
    let sources = sources();
    let named: Vec<&str> = quoted(&page).into_iter().filter(is_test).collect();
    assert!(named.len() > 30, "{} names", named.len());
    for name in named {
        let mut parts: Vec<&str> = name.split("::").collect();
        let test = parts.pop().expect("a name");
        // tests and proofs are modules inside, or beside, the file of the module they belong to.
        let module = parts
            .iter()
            .rfind(|part| !["tests", "proofs"].contains(*part))
            .expect("a module");
        let wanted = format!("fn {test}(");
        let holds = sources.iter().any(|(path, text)| {
            let belongs = path.components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                part == *module
                    || part
                        .strip_suffix(".rs")
                        .is_some_and(|stem| stem.starts_with(module))
            });
            belongs && text.split("#[test]").skip(1).any(|after| after.contains(&wanted))
                || belongs && text.contains("proptest!") && text.contains(&wanted)
        });
        assert!(holds, "docs/privacy.md names {name}, and there is no such test");
    }
}

#[test]
fn the_page_of_formats_has_every_message() {
    let page = fs::read_to_string(root().join("docs/formats.md")).expect("the page");
    let messages = fs::read_to_string(root().join("common/src/wire/messages.rs")).expect("the source");
    for kind in ["Request", "Reply", "Push"] {
        let (_, body) = messages
            .split_once(&format!("pub enum {kind} {{\n"))
            .expect("the declaration");
        let (body, _) = body.split_once("\n}").expect("its end");
        // Variants stand one level in, fields deeper.
        let variants = body
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
        let mut count = 0;
        for (number, line) in variants.enumerate() {
            let end = line.find(|letter: char| !letter.is_ascii_alphanumeric());
            let name = &line[..end.unwrap_or(line.len())];
            let row = format!("| {number} | {name} |");
            assert!(page.contains(&row), "docs/formats.md has no row of {kind} {name}");
            count += 1;
        }
        assert!(count >= 8, "{kind}: {count}");
    }
}

#[test]
fn the_page_of_plans_has_every_key() {
    let common = |file: &str| format!("common/src/{file}");
    let plan = [
        "Plan",
        "PrivacyPlan",
        "MaskingPlan",
        "MetricsPlan",
        "CohortPlan",
        "ShopTerms",
    ];
    let count = keys_on_page(
        "docs/plans.md",
        &[
            (common("plan/mod.rs"), &plan),
            (
                common("model/config.rs"),
                &[
                    "ModelConfig",
                    "GeneratorConfig",
                    "IalsConfig",
                    "SgdConfig",
                    "GeneratorTraining",
                ],
            ),
            (common("release/schedule.rs"), &["ReleaseShare"]),
            (common("training/phases.rs"), &["TrainingPhase"]),
        ],
    );
    assert!(count > 40, "{count}");
}

#[test]
fn the_page_of_data_has_every_key() {
    let config = "client/src/data/config.rs".to_owned();
    let columns = "client/src/data/columns.rs".to_owned();
    let sources = "client/src/data/sources.rs".to_owned();
    let files: [(String, &[&str]); 3] = [
        (config, &["ShopDataConfig"]),
        (columns, &["OrderColumns", "ItemColumns"]),
        (sources, &["QueryConfig"]),
    ];
    let count = keys_on_page("docs/data.md", &files);
    assert!(count > 30, "{count}");
}

#[test]
fn the_page_of_data_says_of_every_file_of_a_shops_folder_what_it_holds_of_a_customer() {
    let folder = fs::read_to_string(root().join("client/src/folder.rs")).expect("the source");
    let page = fs::read_to_string(root().join("docs/data.md")).expect("the page");
    let (_, section) = page
        .split_once("\n## What is kept, and who is forgotten\n")
        .expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let first = |line: &'static str| move |text: &str| text.strip_prefix(line).map(str::to_owned);
    let names = |cell: String| -> Vec<String> {
        let cell = cell.split(" | ").next().unwrap_or_default().to_owned();
        quoted(&cell).into_iter().map(str::to_owned).collect()
    };
    let files: Vec<String> = folder
        .lines()
        .filter_map(first("//! | "))
        .flat_map(names)
        .collect();
    let told: Vec<String> = section.lines().filter_map(first("| ")).flat_map(names).collect();
    assert!(files.len() > 20, "{files:?}");
    for file in &files {
        assert!(
            told.contains(file),
            "docs/data.md does not say what {file} holds of a customer"
        );
    }
}

#[test]
fn the_page_of_the_api_has_every_key() {
    let config = "client/src/http/config.rs".to_owned();
    let count = keys_on_page("docs/api.md", &[(config, &["HttpConfig"])]);
    assert!(count > 5, "{count}");
}

#[test]
fn the_page_of_the_api_has_every_key_of_rules_and_every_kind_of_list() {
    let file = "client/src/rules/file.rs".to_owned();
    let structs = ["RulesFile", "PinnedItem", "FilterRule", "BoostRule"];
    let feed = "client/src/rules/feed/source.rs".to_owned();
    let count = keys_on_page("docs/api.md", &[(file, &structs), (feed, &["FeedSource"])]);
    assert!(count > 15, "{count}");
    let page = fs::read_to_string(root().join("docs/api.md")).expect("the page");
    for kind in souk_client::rules::file::ListKind::ALL {
        assert!(
            page.contains(&format!("`\"{}\"`", kind.name())),
            "{}",
            kind.name()
        );
    }
    let (_, section) = page.split_once("\n## Rules\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let examples = section
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut understood = 0;
    for example in examples {
        let rules = souk_client::rules::file::ListRules::parse(example, Some(&BTreeSet::new()));
        assert!(rules.is_ok(), "{example}: {}", rules.unwrap_err());
        understood += 1;
    }
    assert_eq!(understood, 2);
}

/// How many keys the structs of these files have, each of which must stand in code on the page.
fn keys_on_page(page: &str, files: &[(String, &[&str])]) -> usize {
    let text = fs::read_to_string(root().join(page)).expect("the page");
    let mut count = 0;
    for (file, structs) in files {
        let source = fs::read_to_string(root().join(file)).expect("the source");
        for name in *structs {
            let (_, body) = source.split_once(&format!("pub struct {name} {{\n")).expect(name);
            let (body, _) = body.split_once("\n}").expect("its end");
            let fields = body.lines().filter_map(|line| line.strip_prefix("    pub "));
            for key in fields
                .filter_map(|line| line.split_once(':'))
                .map(|(key, _)| key.trim_start_matches("r#"))
            {
                let forms = ["`", "`[", "`[["].map(|open| format!("{open}{key}"));
                let is_there = forms.iter().any(|form| {
                    let ends =
                        |after: &str| !after.starts_with(|next: char| next == '_' || next.is_alphanumeric());
                    text.match_indices(form.as_str())
                        .any(|(at, _)| ends(&text[at + form.len()..]))
                });
                assert!(is_there, "{page} has no line for {key} of {name}");
                count += 1;
            }
        }
    }
    count
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/adr", "docs/research"] {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        pages.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
        );
    }
    let mut followed = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let there = page.parent().expect("a folder").join(target);
            assert!(there.exists(), "{}: {link} leads nowhere", page.display());
            followed += 1;
        }
    }
    assert!(followed > 3, "{followed}");
}

#[test]
fn the_command_that_builds_releases_is_the_same_wherever_it_stands() {
    let command = souk_client::data::RELEASE_BUILD;
    for page in [
        "README.md",
        "docs/data.md",
        "docs/operations.md",
        "deploy/systemd/souk-client@.service",
        "deploy/systemd/souk-coordinator.service",
    ] {
        let text = fs::read_to_string(root().join(page)).expect("the page");
        assert!(text.contains(command), "{page} does not say `{command}`");
    }
    let error = souk_client::data::DataError::NotBuilt {
        name: "orders.parquet".to_owned(),
        what: "a Parquet file",
    };
    assert!(error.to_string().contains(&format!("`{command}`")), "{error}");
    // Every feature that a source can take is in the one that the command names.
    let manifest = fs::read_to_string(root().join("client/Cargo.toml")).expect("the manifest");
    let (_, features) = manifest.split_once("[features]\n").expect("features");
    let features: Vec<(&str, &str)> = features
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .collect();
    let (_, full) = features.iter().find(|(name, _)| *name == "full").expect("full");
    for (name, _) in features.iter().filter(|(name, _)| *name != "full") {
        assert!(full.contains(&format!("\"{name}\"")), "{name} is not in full");
    }
}

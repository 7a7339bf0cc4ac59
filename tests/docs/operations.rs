//! `docs/operations.md` at its word: its commands are run as they stand there, against real programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use souk_client::ledger::read_ledger;
use souk_tests::federation::{good, plan, text, until};

use super::{root, sources};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn page() -> String {
    fs::read_to_string(root().join("docs/operations.md")).expect("the page")
}

/// The commands of the block with this name.
fn block(name: &str) -> String {
    let page = page();
    let marked = format!("```sh {name}\n");
    let (_, rest) = page
        .split_once(&marked)
        .unwrap_or_else(|| panic!("no block {name:?}"));
    rest.split_once("```").expect("an end").0.to_owned()
}

/// A folder with a federation, and the programs by the names that the page uses.
struct Desk {
    dir: tempfile::TempDir,
    running: Vec<Child>,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let desk = Self {
            dir,
            running: Vec::new(),
        };
        let programs = desk.path("programs");
        fs::create_dir(&programs).expect("a folder");
        for (name, word) in [
            ("souk-coordinator", "coordinator"),
            ("souk-client", "client"),
            ("souk-sim", "sim"),
        ] {
            let file = programs.join(name);
            fs::write(&file, format!("#!/bin/sh\nexec '{SOUK}' {word} \"$@\"\n")).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        fs::write(desk.path("plan.toml"), plan(1, 1, &["north"])).expect("a file");
        let item = |item: usize| format!("i{item},Thing {item},c{},b,1\n", item % 4);
        let items: String = (0..20).map(item).collect();
        fs::write(
            desk.path("items.csv"),
            format!("item_id,title,category,brand,price\n{items}"),
        )
        .expect("a file");
        let order = |user: usize| {
            format!(
                "u{user},i{},1700000000\nu{user},i{},1700086400\n",
                user % 20,
                user * 3 % 20
            )
        };
        let orders: String = (0..30).map(order).collect();
        fs::write(
            desk.path("orders.csv"),
            format!("user_id,item_id,timestamp\n{orders}"),
        )
        .expect("a file");
        desk.run("souk-coordinator init federation --name test --address 127.0.0.1:0 --listen 127.0.0.1:0");
        desk.run("souk-coordinator catalogue import items.csv --dir federation");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        let programs = format!(
            "{}:{}",
            text(&self.path("programs")),
            std::env::var("PATH").unwrap_or_default()
        );
        bash.args(["-euc", script])
            .current_dir(self.dir.path())
            .env("PATH", programs)
            .stdin(Stdio::null());
        bash
    }

    fn try_run(&self, script: &str) -> Output {
        self.bash(script).output().expect("bash")
    }

    fn run(&self, script: &str) -> String {
        good(&self.try_run(script))
    }

    /// Starts `serve` as the page says; what it says before and after it listens.
    fn serve(&mut self) -> Vec<String> {
        // The test's port is fixed once it is known, as a real one is.
        let script = format!("exec {}", block("serve"));
        let log = fs::File::create(self.path("serve.log")).expect("a file");
        let mut serve = self
            .bash(&script)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("bash");
        let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines();
        let first = lines.next().expect("a line").expect("text");
        let address = first
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{first}"))
            .to_owned();
        self.running.push(serve);
        let mut config = fs::read_to_string(self.path("federation/coordinator.toml")).expect("a file");
        config = config.replace("\"127.0.0.1:0\"", &format!("{address:?}"));
        fs::write(self.path("federation/coordinator.toml"), config).expect("a file");
        let said = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(said.0.send(line)))
        });
        let soon = std::time::Duration::from_secs(3);
        let mut all = vec![first];
        while let Ok(line) = said.1.recv_timeout(soon) {
            all.push(line);
        }
        all
    }

    /// Stops what was started last.
    fn stop(&mut self) {
        let mut last = self.running.pop().expect("a program");
        let sent = Command::new("kill")
            .args(["-TERM", &last.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
        until("it stops", || last.try_wait().expect("a child").is_some());
    }

    /// Starts the shop's `run`.
    fn start_shop(&mut self) {
        let log = fs::File::create(self.path("run.log")).expect("a file");
        let run = self
            .bash("exec souk-client run --dir north")
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn();
        self.running.push(run.expect("bash"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("run.log")).unwrap_or_default()
    }

    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{command} --json"))).expect("JSON")
    }

    fn join(&self) {
        self.run("souk-client join \"$(souk-coordinator invite north --dir federation)\" --data orders.csv --dir north");
    }

    /// Lets the shop take part in all rounds of the plan.
    fn take_part(&self) {
        self.run("souk-client run --exit-when-finished --dir north");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spends(ledger: &Path) -> usize {
    read_ledger(ledger).expect("a chain").spends().count()
}

#[test]
fn a_federation_and_a_shop_are_backed_up_and_restored_by_the_page() {
    let mut desk = Desk::new();
    desk.serve();
    desk.join();
    desk.take_part();
    // While `serve` is up, and again over the earlier one.
    desk.run(&block("backup"));
    desk.run(&block("backup-shop"));
    desk.run(&block("backup"));
    let hash = desk.json("souk-coordinator status --dir federation")["model_hash"].clone();
    // The disk dies; nothing was announced since.
    desk.stop();
    desk.run(&block("restore"));
    let said = desk.serve();
    assert!(
        said.iter().any(|line| line.contains("put back from a backup")),
        "{said:?}"
    );
    assert_eq!(
        desk.json("souk-coordinator status --dir federation")["model_hash"],
        hash
    );
    desk.start_shop();
    until("the shop is there", || desk.log().contains("the run is complete"));
    desk.stop();
    // A run of two more rounds, then the backup of before: shops decline, and join again by the page.
    desk.stop();
    fs::write(desk.path("plan.toml"), plan(2, 1, &["north"])).expect("a file");
    desk.serve();
    desk.take_part();
    let ledger = desk.path("north/ledger.jsonl");
    assert_eq!(spends(&ledger), 3);
    desk.stop();
    desk.run(&block("restore").replace("federation.broken", "federation.broken2"));
    desk.serve();
    desk.start_shop();
    until("it declines", || {
        desk.log().contains("does not extend what was seen before")
    });
    let status = desk.json("souk-coordinator status --dir federation");
    assert_eq!(status["shops"][0]["code"], "record_forked", "{status}");
    desk.stop();
    desk.run(&block("again-operator"));
    desk.run(&block("again-shop"));
    assert_eq!(spends(&ledger), 3, "what was spent stays spent");
    desk.start_shop();
    desk.run(&block("resume"));
    until("it takes part again", || {
        desk.log().contains("the run is complete")
    });
    desk.stop();
    // The shop's disk dies, too.
    let before = spends(&ledger);
    assert!(before >= 4);
    desk.run(&block("restore-shop"));
    assert!(spends(&ledger) > before, "counted too high rather than too low");
    desk.start_shop();
    until("it takes part again", || {
        desk.log().contains("the run is complete")
    });
}

#[test]
fn the_authority_is_rotated_and_a_shop_revoked_by_the_page() {
    let mut desk = Desk::new();
    desk.serve();
    desk.join();
    desk.start_shop();
    until("the shop is there", || desk.log().contains("the run is complete"));
    let old = fs::read(desk.path("federation/ca.key")).expect("a key");
    desk.run(&block("rotate"));
    until("the shop renews by itself", || {
        let status = desk.json("souk-coordinator ca status --dir federation");
        status["dependents"].as_array().is_some_and(Vec::is_empty)
    });
    desk.run(&block("retire"));
    until("the shop drops the old one", || {
        desk.log().contains("trusted no more")
    });
    for folder in ["federation", "backups/federation"] {
        let keys = fs::read_dir(desk.path(folder)).expect("a folder").flatten();
        let keys: Vec<_> = keys
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "key"))
            .collect();
        assert_eq!(
            keys.len(),
            2,
            "{folder}: the new authority's and the one that signs"
        );
        assert!(keys.iter().all(|key| fs::read(key.path()).expect("a key") != old));
    }
    assert_eq!(desk.json("souk-client doctor --dir north")["ok"], true);
    let said = desk.run(&block("revoke"));
    let row = said.lines().find(|line| line.trim_start().starts_with("north  "));
    assert!(row.is_some_and(|row| row.contains("revoked")), "{said}");
    let mut shop = desk.running.pop().expect("the shop");
    let mut code = None;
    until("the shop stops", || {
        code = shop.try_wait().expect("a child");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(1));
    assert!(desk.log().contains("is no member any more"), "{}", desk.log());
}

#[test]
fn every_message_that_the_page_explains_is_one_that_a_program_says() {
    let joined = |text: &str| {
        let mut joined = String::new();
        for line in text.lines() {
            match line.strip_suffix('\\') {
                Some(begun) => joined.push_str(begun),
                None => joined.push_str(line),
            }
        }
        joined.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let programs = sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with(root().join("tests")));
    let programs: Vec<String> = programs.map(|(_, text)| joined(&text)).collect();
    let page = page();
    let (_, table) = page.split_once("## What messages mean").expect("the table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in rows {
        let message = row.split('`').nth(1).expect("a message");
        let said = programs.iter().any(|text| text.contains(message));
        assert!(said, "no program says {message:?}");
    }
}

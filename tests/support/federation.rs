//! A small federation of real processes in a temporary folder; everything ends with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use souk_client::folder::Folder;
use souk_client::membership::Membership;
use souk_common::clock::Stopwatch;
use souk_common::secagg::records::fingerprint;
use tempfile::TempDir;

/// A coordinator with its folder, and the shops' folders.
pub struct Federation {
    dir: TempDir,
    souk: PathBuf,
    serve: Option<Child>,
    /// Where the last `serve` listened.
    address: String,
    /// What both programs find in their environment.
    environment: Vec<(String, String)>,
}

/// A process that ends with its handle.
pub struct Running(Child);

impl Federation {
    /// Starts a coordinator for `plan`. `souk` is the multicall program; `flags` go to `serve`.
    pub fn start(souk: &str, plan: &str, flags: &[&str]) -> Self {
        let mut federation = Self::prepare(souk, plan);
        federation.serve(flags);
        federation
    }

    /// Makes a federation with a catalogue and a plan; its coordinator does not run.
    pub fn prepare(souk: &str, plan: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let souk = PathBuf::from(souk);
        fs::write(dir.path().join("plan.toml"), plan).expect("a file");
        fs::write(dir.path().join("items.csv"), items()).expect("a file");
        let (home, items) = (dir.path().join("coordinator"), dir.path().join("items.csv"));
        let said = |args: &[&str]| good(&run(&souk, "coordinator", args));
        said(&["init", text(&home), "--name", "test", "--address", "127.0.0.1:0"]);
        said(&["catalogue", "import", text(&items), "--dir", text(&home)]);
        Self {
            dir,
            souk,
            serve: None,
            address: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
        }
    }

    /// Sets values of `[limits]`, before the coordinator starts.
    pub fn limit(&self, values: &[(&str, u64)]) {
        let path = self.home().join("coordinator.toml");
        let text = fs::read_to_string(&path).expect("the configuration");
        let lines: String = values
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        fs::write(&path, text.replace("[limits]", &format!("[limits]\n{lines}"))).expect("a file");
    }

    /// Lets programs that are started from now on find a variable in their environment.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the coordinator: on a free port at first, later where it was before.
    pub fn serve(&mut self, flags: &[&str]) {
        let log = fs::File::create(self.dir.path().join("serve.log")).expect("a file");
        let mut serve = Command::new(&self.souk)
            .args(["coordinator", "serve", "--dir", text(&self.home())])
            .args(["--plan", text(&self.plan()), "--listen", &self.address])
            .args(flags)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the coordinator starts");
        let mut lines = BufReader::new(serve.stdout.take().expect("piped"));
        self.serve = Some(serve);
        let mut first = String::new();
        lines.read_line(&mut first).expect("a line");
        let address = first.trim().strip_prefix("listening on ");
        self.address = address
            .unwrap_or_else(|| panic!("{first}{}", self.complaints()))
            .to_owned();
        // Keeps the pipe open and empty.
        std::thread::spawn(move || lines.lines().for_each(drop));
    }

    /// Where the coordinator listens.
    pub fn address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    /// The coordinator's folder.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("coordinator")
    }

    /// The plan's file.
    pub fn plan(&self) -> PathBuf {
        self.dir.path().join("plan.toml")
    }

    /// What the last `serve` wrote to standard error.
    pub fn complaints(&self) -> String {
        fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default()
    }

    /// Runs a command of the coordinator.
    pub fn coordinator(&self, args: &[&str]) -> Output {
        run(
            &self.souk,
            "coordinator",
            &[args, &["--dir", text(&self.home())]].concat(),
        )
    }

    /// The same, as JSON.
    pub fn coordinator_json(&self, args: &[&str]) -> Value {
        let said = good(&self.coordinator(&[args, &["--json"]].concat()));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// A one-time code.
    pub fn invite(&self, shop: &str) -> String {
        let said = self.coordinator_json(&["invite", shop]);
        said["code"].as_str().expect("a code").to_owned()
    }

    /// Where a shop's folder is, or would be.
    pub fn shop(&self, shop: &str) -> PathBuf {
        self.dir.path().join("shops").join(shop)
    }

    /// Lets a shop with `users` customers join.
    pub fn join(&self, shop: &str, users: usize) -> PathBuf {
        let data = self.dir.path().join("data").join(shop);
        fs::create_dir_all(&data).expect("a folder");
        fs::write(data.join("orders.csv"), orders(shop, users)).expect("a file");
        let code = self.invite(shop);
        let folder = self.shop(shop);
        good(&run(
            &self.souk,
            "client",
            &["join", &code, "--dir", text(&folder), "--data", text(&data)],
        ));
        folder
    }

    /// Runs a command of a shop's program in its folder.
    pub fn client(&self, shop: &str, args: &[&str]) -> Output {
        run(
            &self.souk,
            "client",
            &[args, &["--dir", text(&self.shop(shop))]].concat(),
        )
    }

    /// The same, as JSON.
    pub fn client_json(&self, shop: &str, args: &[&str]) -> Value {
        let said = good(&self.client(shop, &[args, &["--json"]].concat()));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// What the owner of a shop reads to others: `NAME=FINGERPRINT`, of the key in its own folder.
    pub fn read_aloud(&self, shop: &str) -> String {
        let folder = Folder::new(self.shop(shop));
        let membership = Membership::load(&folder).expect("a member");
        let key = membership.signing_identity(&folder).expect("a key").public();
        format!("{shop}={}", fingerprint(&key))
    }

    /// Lets each of these shops confirm the keys of all others.
    pub fn trust_each_other(&self, shops: &[&str]) {
        let read: Vec<String> = shops.iter().map(|shop| self.read_aloud(shop)).collect();
        for shop in shops {
            let others = shops.iter().zip(&read).filter(|(other, _)| *other != shop);
            let flags: Vec<&str> = others.flat_map(|(_, read)| ["--trust", read.as_str()]).collect();
            good(&self.client(shop, &[&["shops"], flags.as_slice()].concat()));
        }
    }

    /// Makes a shop dial another address than the one in its join code.
    pub fn dial_through(&self, shop: &str, address: SocketAddr) {
        let path = self.shop(shop).join("shop.toml");
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, format!("{text}\n[network]\ncoordinator = \"{address}\"\n")).expect("a file");
    }

    /// Makes a shop dial another address, over TCP only.
    pub fn dial_over_tcp(&self, shop: &str, address: SocketAddr) {
        self.dial_through(shop, address);
        let path = self.shop(shop).join("shop.toml");
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, format!("{text}transport = \"tcp\"\n")).expect("a file");
    }

    /// Starts a shop's `run`; what it prints goes to `run.log` in its folder.
    pub fn start_client(&self, shop: &str, flags: &[&str]) -> Running {
        let folder = self.shop(shop);
        let log = fs::File::create(folder.join("run.log")).expect("a file");
        let child = Command::new(&self.souk)
            .args(["client", "run", "--dir", text(&folder)])
            .args(flags)
            .envs(self.environment.iter().cloned())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the shop starts");
        Running(child)
    }

    /// What a shop's `run` has printed so far.
    pub fn log(&self, shop: &str) -> String {
        fs::read_to_string(self.shop(shop).join("run.log")).unwrap_or_default()
    }

    /// Waits until the coordinator has ended by itself; whether it was a good end.
    pub fn wait_for_coordinator(&mut self) -> bool {
        let mut serve = Running(self.serve.take().expect("it was started"));
        serve.wait()
    }

    /// Stops the coordinator by SIGTERM; whether it was a good end.
    pub fn stop_coordinator(&mut self) -> bool {
        let mut serve = Running(self.serve.take().expect("it was started"));
        serve.stop("-TERM")
    }

    /// Starts a shop's `run` in another folder than its own, a copy; what it prints goes to `run.log` there.
    pub fn start_copy(&self, folder: &Path) -> Running {
        let log = fs::File::create(folder.join("run.log")).expect("a file");
        let child = Command::new(&self.souk)
            .args(["client", "run", "--dir", text(folder)])
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the shop starts");
        Running(child)
    }

    /// Asks the coordinator to stop, and does not wait for it.
    pub fn begin_to_stop_coordinator(&mut self) -> Running {
        let serve = Running(self.serve.take().expect("it was started"));
        serve.signal("-TERM");
        serve
    }

    /// Stops the coordinator at once, as a power cut would.
    pub fn kill_coordinator(&mut self) {
        drop(self.serve.take().map(Running));
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.kill_coordinator();
    }
}

impl Running {
    /// Waits for its end; whether it was a good one.
    pub fn wait(&mut self) -> bool {
        self.exit_code() == Some(0)
    }

    /// Waits for its end; its exit code, none if a signal ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut ended = None;
        until("the process ends", || {
            ended = self.0.try_wait().expect("a child");
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }

    /// Its exit code (none: a signal) if it has ended.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.0.try_wait().expect("a child");
        status.map(|status| status.code())
    }

    /// Sends SIGINT or SIGTERM, then waits; whether it was a good end.
    pub fn stop(&mut self, signal: &str) -> bool {
        self.signal(signal);
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something holds, for at most two minutes.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while !holds() {
        assert!(watch.secs() < 120.0, "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Runs a program to its end.
pub fn run(souk: &Path, program: &str, args: &[&str]) -> Output {
    Command::new(souk)
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// What a command said that must have succeeded.
pub fn good(output: &Output) -> String {
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    said.into_owned()
}

/// Exit code and complaint of a command that must have failed.
pub fn bad(output: &Output) -> (i32, String) {
    assert!(
        !output.status.success(),
        "it succeeded: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A plan of `rounds` rounds for these shops, all of which must take part.
pub fn plan(rounds: u64, quorum: usize, shops: &[&str]) -> String {
    let shops: String = shops
        .iter()
        .map(|shop| format!("[[shops]]\nname = \"{shop}\"\ndeclared_users = 100\n"))
        .collect();
    format!(
        "name = \"test\"\nrounds = {rounds}\n[model]\nkind = \"mf\"\ngmf_dim = 4\nfeatures = [\"category\"]\n\
         [train]\nsolver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n\
         [privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 0.5\n\
         [cohort]\nquorum = {quorum}\ndeadline = \"50s\"\n\
         [server]\noptimiser = \"adam\"\nlearning_rate = 0.05\n{shops}"
    )
}

/// A plan as [`plan`], under masks with distributed noise: sums of at least `min_shops`, of which one may collude.
pub fn masked_plan(rounds: u64, min_shops: usize, shops: &[&str]) -> String {
    plan(rounds, min_shops, shops)
        .replace("sampling_rate", "placement = \"distributed\"\nsampling_rate")
        .replace(
            "[server]",
            &format!("[masking]\nmin_shops = {min_shops}\ncolluding = 1\nstep = \"20s\"\n[server]"),
        )
}

/// A plan as [`plan`], of a model whose updates take more than a megabyte.
pub fn large_plan(rounds: u64, quorum: usize, shops: &[&str]) -> String {
    plan(rounds, quorum, shops)
        .replace(
            "kind = \"mf\"",
            "kind = \"neumf\"\nmlp_dim = 8\ntower = [512, 512]",
        )
        .replace("solver = \"ials\"\nalpha = 0.1\nlambda = 1.0", "solver = \"sgd\"")
}

/// 40 items in 4 categories.
fn items() -> String {
    let line = |item: usize| format!("i{item},Thing {item},c{},b{},{}\n", item % 4, item % 3, 1 + item);
    let lines: String = (0..40).map(line).collect();
    format!("item_id,title,category,brand,price\n{lines}")
}

/// Customers that buy mostly within one category.
pub fn orders(shop: &str, users: usize) -> String {
    let mut text = String::from("user_id,item_id,timestamp\n");
    for user in 0..users {
        for step in 0..6 {
            let item = (user % 4 + 4 * ((user * 7 + step * 3) % 10)) % 40;
            text.push_str(&format!(
                "{shop}-{user},i{item},{}\n",
                1_700_000_000 + 86_400 * step
            ));
        }
    }
    text
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

//! Both programs under a service manager: they say when they are ready, that they live, and that they stop; and they stop
//! within seconds, whatever they are at.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use souk_common::clock::Stopwatch;
use souk_tests::federation::{Federation, Running, large_plan, plan, until};
use souk_tests::relay::Relay;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
/// Bytes on the line when about half of a large update has left; handshake and probes of the path take 60,000.
const HALF: u64 = 500_000;

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    /// Listens at a name that no file has.
    fn listen(name: &str) -> Self {
        let name = format!("souk-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("a time");
        Self { socket, name }
    }

    /// Puts programs that are started from now on under this manager.
    fn manage(&self, federation: &mut Federation) {
        federation.set_environment("NOTIFY_SOCKET", &format!("@{}", self.name));
        federation.set_environment("WATCHDOG_USEC", "400000");
    }

    /// Waits for a word that begins so; those before it are forgotten.
    fn hears(&self, word: &str) {
        let mut datagram = [0; 2000];
        let watch = Stopwatch::start();
        while watch.secs() < 60.0 {
            let got = self.socket.recv(&mut datagram);
            let got = got.unwrap_or_else(|error| panic!("{word} was not said: {error}"));
            if datagram[..got].starts_with(word.as_bytes()) {
                return;
            }
        }
        panic!("{word} was not said within a minute");
    }
}

/// Sends SIGTERM; it must stop well, and soon.
fn stops_soon(program: &mut Running, log: impl Fn() -> String) {
    let watch = Stopwatch::start();
    assert!(program.stop("-TERM"), "{}", log());
    // Even on a loaded machine; what is under test would take 50 seconds or for ever.
    assert!(watch.secs() < 20.0, "{:.1} s", watch.secs());
}

#[test]
fn programs_say_when_they_are_ready_that_they_live_and_that_they_stop() {
    let (of_coordinator, of_shop) = (Manager::listen("coordinator"), Manager::listen("shop"));
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    of_coordinator.manage(&mut federation);
    federation.serve(&[]);
    of_coordinator.hears("STATUS=listening on 127.0.0.1:");
    of_coordinator.hears("READY=1");
    federation.join("north", 20);
    of_shop.manage(&mut federation);
    let mut north = federation.start_client("north", &[]);
    of_shop.hears("STATUS=takes part");
    of_shop.hears("READY=1");
    for manager in [&of_coordinator, &of_shop] {
        // More than one: the loops go on.
        (0..3).for_each(|_| manager.hears("WATCHDOG=1"));
    }
    stops_soon(&mut north, || federation.log("north"));
    of_shop.hears("STOPPING=1");
    let mut serve = federation.begin_to_stop_coordinator();
    assert!(serve.wait(), "{}", federation.complaints());
    of_coordinator.hears("STOPPING=1");
}

#[test]
fn a_program_that_hangs_gives_no_sign_of_life() {
    let manager = Manager::listen("hang");
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    federation.join("north", 20);
    manager.manage(&mut federation);
    // Its first dial can't be made: the loop goes round without a coordinator, too.
    federation.kill_coordinator();
    let mut north = federation.start_client("north", &[]);
    (0..3).for_each(|_| manager.hears("WATCHDOG=1"));
    north.signal("-STOP");
    let quick = Some(Duration::from_millis(1500));
    manager.socket.set_read_timeout(quick).expect("a time");
    let mut datagram = [0; 2000];
    // What was on its way is heard; then nothing.
    while manager.socket.recv(&mut datagram).is_ok() {}
    manager
        .socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time");
    north.signal("-CONT");
    manager.hears("WATCHDOG=1");
    stops_soon(&mut north, || federation.log("north"));
}

#[test]
fn a_shop_stops_at_once_in_the_middle_of_training_and_nothing_is_charged() {
    // A ridge regression of 1,000 unknowns for every customer: minutes.
    let slow = plan(1, 1, &["north"]).replace("gmf_dim = 4", "gmf_dim = 1000");
    let federation = Federation::start(SOUK, &slow, &[]);
    federation.join("north", 1000);
    let mut north = federation.start_client("north", &[]);
    until("it trains", || {
        federation.log("north").contains("accepted, training")
    });
    std::thread::sleep(Duration::from_millis(500));
    stops_soon(&mut north, || federation.log("north"));
    assert_eq!(federation.client_json("north", &["budget"])["rounds_charged"], 0);
}

#[test]
fn both_stop_at_once_in_the_middle_of_an_upload_which_goes_on_after_the_restart() {
    let mut federation = Federation::start(SOUK, &large_plan(1, 1, &["north"]), &[]);
    federation.join("north", 10);
    let relay = Relay::start(federation.address(), 0, 1);
    federation.dial_through("north", relay.address());
    relay.cut_after(HALF);
    let mut north = federation.start_client("north", &[]);
    until("it is in the middle of its upload", || relay.is_cut());
    stops_soon(&mut north, || federation.log("north"));
    let watch = Stopwatch::start();
    assert!(federation.stop_coordinator(), "{}", federation.complaints());
    assert!(watch.secs() < 20.0, "{:.1} s", watch.secs());
    let sent = federation.client_json("north", &["sent"]);
    relay.cut(false);
    federation.serve(&[]);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    let now = federation.client_json("north", &["sent"]);
    assert_eq!(
        now["uploads"][0]["digest"], sent["uploads"][0]["digest"],
        "the same bytes"
    );
    assert_eq!(federation.client_json("north", &["budget"])["rounds_charged"], 1);
}

/// `systemd-analyze verify`, where there is one.
#[test]
fn the_units_are_understood_by_systemd() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/systemd");
    for (unit, program) in [
        ("souk-coordinator.service", "souk-coordinator"),
        ("souk-client@.service", "souk-client"),
    ] {
        let text = std::fs::read_to_string(format!("{units}/{unit}")).expect("a unit");
        for words in [
            "Type=notify",
            "WatchdogSec=",
            "Restart=always",
            "NoNewPrivileges=yes",
        ] {
            assert!(text.contains(words), "{unit}: {words}");
        }
        // A program that is here.
        let installed = format!("/usr/local/bin/{program} ");
        assert!(text.contains(&installed), "{unit}");
        let text = text.replace(&installed, &format!("{SOUK} "));
        let path = folder.path().join(unit.replace('@', "@north"));
        std::fs::write(&path, text).expect("a file");
        let verify = Command::new("systemd-analyze").arg("verify").arg(&path).output();
        match verify {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => panic!("{error}"),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(
                    output.status.success() && !said.contains(unit.trim_end_matches(".service")),
                    "{said}"
                );
            }
        }
    }
}

//! Texts of peers, files and catalogues can't command the terminal or the log that shows them.

use std::fs;
use std::process::Output;

use souk_common::clock::{Clock, SystemClock};
use souk_common::crypto::join_code::JoinCode;
use souk_common::crypto::pki::Authority;
use souk_common::transport::{Identity, ResetKey, read_frame, server_endpoint, write_frame};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use souk_tests::federation::{Federation, bad, good, plan, run, text, until};
use souk_tests::hostile::{HostilePeer, identity_of, in_time};
use zeroize::Zeroizing;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
/// Renames a window, clears a screen (C1), turns letters round, hides, and begins a line of its own.
const BAD: &str = "x\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{200b}\r\nGOOD y";
/// The same on one line of a file.
const BAD_CELL: &str = "x\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{200b}y";

fn must_be_harmless(text: &str) {
    let obeyed = |letter: char| {
        letter != '\n'
            && (letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'))
    };
    assert!(!text.chars().any(obeyed), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("GOOD")), "{text:?}");
}

/// Both streams of a program, which are harmless.
fn shown(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let shown = streams.concat();
    must_be_harmless(&shown);
    shown
}

#[test]
fn a_catalogues_title_reaches_no_terminal_as_it_is_and_json_still_says_it() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let items = federation.plan().with_file_name("items.csv");
    let all = fs::read_to_string(&items).expect("a file");
    let mut lines = all.lines().map(|line| {
        line.replace("Thing", "\"Thing")
            .replace(",c", &format!("{BAD}\",c"))
    });
    let head = lines.next().expect("a header").replace('"', "").replace(BAD, "");
    let text_of = format!("{head}\n{}\n", lines.collect::<Vec<_>>().join("\n"));
    fs::write(&items, text_of).expect("a file");
    shown(&federation.coordinator(&["catalogue", "import", text(&items)]));
    federation.serve(&[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    let list = federation.client("north", &["recommend", "north-1"]);
    good(&list);
    let said = shown(&list);
    assert!(said.contains("x\\u001b]0;owned\\u0007\\u009b2J\\u202e"), "{said}");
    let json = shown(&federation.client("north", &["recommend", "north-1", "--json"]));
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let title = value["items"][0]["title"].as_str().expect("a title");
    assert!(title.contains("\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}"), "{title:?}");
}

#[test]
fn a_cell_of_the_orders_and_a_customers_id_reach_no_terminal_as_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let orders = format!(
        "user_id,item_id,timestamp,{BAD_CELL}\n{BAD_CELL},i1,{BAD_CELL},x\na,{BAD_CELL},1700000000,x\nb,i1,1700000000,x\n"
    );
    let (folder, file) = (text(dir.path()), "o\u{9b}\u{1b}.csv");
    fs::write(dir.path().join(file), &orders).expect("a file");
    let config = "[data]\nmax_bad = 0.5\norders = \"o\\u009b\\u001b.csv\"\n";
    fs::write(dir.path().join("shop.toml"), config).expect("a file");
    fs::write(dir.path().join("items.csv"), "item_id\ni1\n").expect("a file");
    let check = |flags: &[&str]| {
        run(
            SOUK.as_ref(),
            "client",
            &[&["check-data", "--dir", folder], flags].concat(),
        )
    };
    let said = shown(&check(&[]));
    assert!(said.contains("o\\u009b\\u001b.csv:2"), "{said}");
    let json = shown(&check(&["--json"]));
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["examples_not_in_catalogue"][0], BAD_CELL);
    // In an error: the columns that there are, and the name of the file.
    fs::write(dir.path().join(file), orders.replace("user_id", "who")).expect("a file");
    let refused = shown(&check(&[]));
    assert!(refused.contains("it has: who"), "{refused}");
    // In what somebody typed, or a script did.
    for args in [
        &["recommend", BAD_CELL, "--dir", folder][..],
        &["nonsense\u{1b}[2J\u{9b}"],
    ] {
        shown(&run(SOUK.as_ref(), "client", args));
        shown(&run(SOUK.as_ref(), "coordinator", args));
        shown(&run(SOUK.as_ref(), "sim", args));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_a_shops_software_commands_neither_the_operators_terminal_nor_the_log() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north", "south"]));
    federation.set_environment("SOUK_LOG", "trace");
    federation.serve(&[]);
    let folder = federation.join("north", 5);
    let (identity, ca) = identity_of(&folder);
    let peer = HostilePeer::dial(federation.address(), ca, Some(&identity))
        .await
        .expect("let in");
    let (mut send, _pushes) = in_time(peer.connection.open_bi()).await.expect("a stream");
    let subscribe = Request::Subscribe {
        software: BAD.to_owned(),
        process_id: 0,
    };
    in_time(send.write_all(&to_bytes(&subscribe).expect("a frame")))
        .await
        .expect("sent");
    let shops = || federation.coordinator(&["shops"]);
    until("the name is there", || good(&shops()).contains("owned"));
    assert!(shown(&shops()).contains("\\u001b]0;owned\\u0007\\u009b2J\\u202e"));
    shown(&federation.coordinator(&["shops", "--json"]));
    shown(&federation.coordinator(&["status"]));
    must_be_harmless(&federation.complaints());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_detail_of_a_coordinators_refusal_does_not_command_the_shops_terminal() {
    let authority = Authority::create("hostile", SystemClock.now()).expect("an authority");
    let certificate = authority.certificate().to_vec();
    let (leaf, key) = authority
        .issue_coordinator(SystemClock.now())
        .expect("a certificate");
    let chain = vec![leaf, certificate.clone()];
    let resets = ResetKey::derive(b"hostile");
    let endpoint = server_endpoint(
        ([127, 0, 0, 1], 0).into(),
        Identity { chain, key },
        &certificate,
        resets,
    );
    let endpoint = endpoint.expect("a socket");
    let address = endpoint.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let _: Option<Request> = read_frame(&mut receive).await.unwrap_or_default();
                let refusal = Reply::Error {
                    code: ErrorCode::JoinRefused,
                    detail: BAD.to_owned(),
                };
                let _ = write_frame(&mut send, &refusal).await;
                let _ = send.finish();
            }
        }
    });
    let code = JoinCode {
        address: address.to_string(),
        ca: authority.fingerprint(),
        secret: Zeroizing::new([7; 16]),
    };
    let dir = tempfile::tempdir().expect("a folder");
    let shop = dir.path().join("shop");
    let args = ["join", &code.to_string(), "--dir", text(&shop)].map(str::to_owned);
    let joining = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(SOUK.as_ref(), "client", &args)
    });
    let refused = in_time(joining).await.expect("it ends");
    let (code, said) = bad(&refused);
    assert!(code == 1 && said.contains("x\\u001b]0;owned"), "{said}");
    shown(&refused);
}

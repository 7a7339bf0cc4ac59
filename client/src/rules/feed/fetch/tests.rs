mod tls;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;
use souk_common::clock::ManualClock;

use super::super::Feeds;
use super::*;
use crate::events::full_disk::FullDisk;

const NOON: Timestamp = Timestamp(1_795_867_200_000);

/// A server on this machine that answers whatever `answer` writes, and notes the heads of requests.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let Some(first) = head.first().cloned() else {
                    return;
                };
                noted.lock().unwrap().push(head.join("\n").to_lowercase());
                answer(&first, &mut stream);
            }
        });
        Self {
            address,
            heads,
            thread: Some(thread),
        }
    }

    /// One that says the same to everybody.
    fn saying(answer: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::start(move |_, stream| drop(stream.write_all(answer.as_ref())))
    }

    fn source(&self, path: &str) -> FeedSource {
        FeedSource {
            url: Some(format!("http://{}{path}", self.address)),
            every: Some("6h".to_owned()),
            ..FeedSource::default()
        }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An empty head is its end.
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn ok(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn items(range: std::ops::Range<u32>) -> String {
    range.fold("id,availability\n".to_owned(), |text, id| {
        text + &format!("i{id},in_stock\n")
    })
}

struct Shop {
    dir: tempfile::TempDir,
    clock: ManualClock,
}

impl Shop {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(NOON),
        }
    }

    fn folder(&self) -> Folder {
        Folder::new(self.dir.path())
    }

    /// What fetches of it went like, this one included, and what was taken of it.
    fn fetch(&self, source: &FeedSource, limits: FetchLimits) -> (FetchState, Option<usize>, Vec<String>) {
        fetch_due(&self.folder(), std::slice::from_ref(source), &self.clock, limits);
        let feeds = Feeds::new(self.folder());
        let (kept, _) = feeds.look(std::slice::from_ref(source), self.clock.now());
        let state = FetchState::load(&self.folder(), source);
        (state, kept.first().map(|feed| feed.offers.len()), feeds.told())
    }
}

fn patient() -> FetchLimits {
    FetchLimits::default()
}

#[test]
fn a_feed_is_fetched_at_its_schedule_and_asked_for_only_if_it_has_changed() {
    let server = Server::start(|_, stream| {
        let _ = stream.write_all(&ok(
            "etag: \"one\"\r\nlast-modified: Fri, 27 Nov 2026 10:00:00 GMT\r\n",
            items(0..5),
        ));
    });
    let (shop, source) = (Shop::new(), server.source("/feed.csv?key=secret"));
    let never = FetchState::default().told(&source, NOON).unwrap();
    assert!(
        never.contains("never fetched") && !never.contains("secret"),
        "{never}"
    );
    let (state, taken, told) = shop.fetch(&source, patient());
    assert_eq!((state.fetched_at, taken, told), (Some(NOON), Some(5), vec![]));
    let written = state.written.unwrap();
    assert!(
        written < NOON && date(written).starts_with("2026-11-27T10:00"),
        "{}",
        date(written)
    );
    let heads = server.heads();
    assert!(
        heads[0].starts_with("get /feed.csv?key=secret") && !heads[0].contains("if-none-match"),
        "{heads:?}"
    );
    // Not before it is due.
    shop.clock.advance(Duration::from_secs(6 * 3600 - 1));
    shop.fetch(&source, patient());
    assert!(server.heads().is_empty());
    shop.clock.advance(Duration::from_secs(1));
    shop.fetch(&source, patient());
    let heads = server.heads();
    assert!(
        heads[0].contains("if-none-match: \"one\"")
            && heads[0].contains("if-modified-since: fri, 27 nov 2026"),
        "{heads:?}"
    );
    // What is gone is fetched whole.
    fs::remove_file(source.fetched_files(&shop.folder()).fetched).unwrap();
    shop.clock.advance(Duration::from_secs(6 * 3600));
    shop.fetch(&source, patient());
    assert!(!server.heads()[0].contains("if-none-match"));
    // A clock that was put back is no reason to wait for years.
    shop.clock.set(NOON - Duration::from_secs(86_400 * 400));
    shop.fetch(&source, patient());
    assert_eq!(server.heads().len(), 1);
}

#[test]
fn what_is_as_it_was_stays_and_counts_as_fetched() {
    let server = Server::start(|_, stream| {
        let _ = stream.write_all(&ok("etag: \"one\"\r\n", items(0..5)));
    });
    let (shop, mut source) = (Shop::new(), server.source("/"));
    shop.fetch(&source, patient());
    drop(server);
    let same = Server::saying("HTTP/1.1 304 Not Modified\r\nconnection: close\r\netag: \"one\"\r\n\r\n");
    // The same feed for the program is the same address: what is known of it moves to the other server's.
    let moved = same.source("/");
    let (old, new) = (
        source.fetched_files(&shop.folder()),
        moved.fetched_files(&shop.folder()),
    );
    for (from, to) in [(old.fetched, new.fetched), (old.state, new.state)] {
        fs::rename(from, to).unwrap();
    }
    source = moved;
    let mut state = FetchState::load(&shop.folder(), &source);
    let file = fs::metadata(source.fetched_files(&shop.folder()).fetched).unwrap();
    state.file = Some(FileStamp::of(&file));
    fs::write(
        source.fetched_files(&shop.folder()).state,
        serde_json::to_vec(&state).unwrap(),
    )
    .unwrap();
    shop.clock.advance(Duration::from_secs(6 * 3600));
    let (state, taken, told) = shop.fetch(&source, patient());
    assert!(same.heads()[0].contains("if-none-match: \"one\""));
    assert_eq!(
        (state.fetched_at, state.written),
        (Some(shop.clock.now()), Some(NOON))
    );
    assert_eq!((taken, told), (Some(5), vec![]));
    // Without anything that it could be like, the same answer is a failure.
    fs::remove_file(source.fetched_files(&shop.folder()).fetched).unwrap();
    shop.clock.advance(Duration::from_secs(6 * 3600));
    let (state, ..) = shop.fetch(&source, patient());
    assert!(state.trouble.unwrap().contains("304"));
}

/// Fetches a good feed, then what `bad` answers: nothing changes but what is told.
fn fails(bad: impl Fn(&str, &mut TcpStream) + Send + 'static, limits: FetchLimits, said: &str) {
    let is_good = Arc::new(Mutex::new(true));
    let now_good = Arc::clone(&is_good);
    let server = Server::start(move |first, stream| match *now_good.lock().unwrap() {
        true => drop(stream.write_all(&ok("", items(0..5)))),
        false => bad(first, stream),
    });
    let (shop, source) = (Shop::new(), server.source("/feed"));
    assert_eq!(shop.fetch(&source, patient()).1, Some(5));
    *is_good.lock().unwrap() = false;
    shop.clock.advance(Duration::from_secs(6 * 3600));
    let failed_at = shop.clock.now();
    let (state, taken, told) = shop.fetch(&source, limits);
    let trouble = state.trouble.clone().unwrap_or_default();
    assert!(trouble.contains(said), "{said}: {trouble}");
    assert_eq!(
        (state.failures, state.failing_since, state.fetched_at),
        (1, Some(failed_at), Some(NOON))
    );
    assert_eq!(taken, Some(5), "{said}");
    assert!(
        told[0].contains("stays in force") && told[0].contains("tried again by itself") && told.len() == 1,
        "{told:?}"
    );
    let files = source.fetched_files(&shop.folder());
    assert!(!files.part.exists() && files.fetched.exists());
    // It is tried again after a minute, and all is well.
    *is_good.lock().unwrap() = true;
    shop.clock.advance(Duration::from_secs(59));
    assert!(shop.fetch(&source, patient()).0.trouble.is_some());
    shop.clock.advance(Duration::from_secs(1));
    let (state, _, told) = shop.fetch(&source, patient());
    assert_eq!(
        (state.failures, state.failing_since, state.trouble, told),
        (0, None, None, vec![])
    );
}

#[test]
fn a_feed_that_is_not_there_is_kept_as_it_was() {
    for (status, said) in [
        ("404 Not Found", "has the feed moved?"),
        ("403 Forbidden", "lack a key"),
        ("500 Internal Server Error", "500"),
        ("206 Partial Content", "206"),
        ("204 No Content", "204"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        fails(
            move |_, stream| drop(stream.write_all(answer.as_bytes())),
            patient(),
            said,
        );
    }
    fails(|_, _| (), patient(), "can't be reached");
    fails(
        |_, stream| drop(stream.write_all(b"nonsense\r\n\r\n")),
        patient(),
        "can't be reached",
    );
}

#[test]
fn half_a_feed_is_none() {
    let cut = |headers: &str| {
        let body = items(0..50);
        let whole = ok(headers, &body);
        whole[..whole.len() - 20].to_vec()
    };
    let answer = cut("");
    fails(
        move |_, stream| drop(stream.write_all(&answer)),
        patient(),
        "broke off in the middle",
    );
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n10\r\nid,availability\n\r\n";
    fails(
        move |_, stream| drop(stream.write_all(chunked.as_bytes())),
        patient(),
        "broke off in the middle",
    );
}

#[test]
fn an_endless_feed_ends_at_its_bound_also_if_it_is_small_on_the_way() {
    let limits = FetchLimits {
        bytes: 100_000,
        ..patient()
    };
    let endless = |_: &str, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nid\n");
        while stream.write_all(&[b'a'; 1000]).is_ok() {}
    };
    fails(endless, limits, "more than 100000 bytes");
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b'a'; 10_000_000]).unwrap();
    let bomb = ok("content-encoding: gzip\r\n", bomb.finish().unwrap());
    assert!(bomb.len() < 50_000);
    fails(
        move |_, stream| drop(stream.write_all(&bomb)),
        limits,
        "more than 100000 bytes",
    );
}

#[test]
fn a_server_that_says_nothing_more_is_waited_for_as_long_as_was_said() {
    let hurried = FetchLimits {
        silence: Duration::from_millis(150),
        ..patient()
    };
    // Until the other end hangs up.
    let wait = |stream: &mut TcpStream| drop(std::io::copy(stream, &mut std::io::sink()));
    fails(move |_, stream| wait(stream), hurried, "says nothing for 150ms");
    fails(
        move |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nid\n");
            wait(stream);
        },
        hurried,
        // On a busy machine it may be the head that does not come.
        "for 150ms",
    );
    // A byte now and then is no way to stay for ever.
    let short = FetchLimits {
        total: Duration::from_millis(300),
        ..patient()
    };
    fails(
        |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nid\n");
            stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            while stream.write_all(b"a\n").is_ok() {
                // Nothing comes: this is the pause.
                let _ = stream.read(&mut [0]);
            }
        },
        short,
        "longer than 300ms",
    );
}

#[test]
fn redirects_are_followed_but_not_everywhere() {
    let redirect = |location: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: {location}\r\n\r\n"
        )
    };
    for (location, said) in [
        ("file:///etc/passwd", "302"),
        ("ftp://a.example/feed", "ftp: is not read"),
        ("http://a.example/feed?key=1", "http://a.example/feed?..."),
        ("/feed", "more than 5 times"),
    ] {
        let answer = redirect(location);
        fails(
            move |_, stream| drop(stream.write_all(answer.as_bytes())),
            patient(),
            said,
        );
    }
    fails(
        |_, stream| drop(stream.write_all(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n")),
        patient(),
        "names no other",
    );
    let there = redirect("/there?x=1");
    let server = Server::start(move |first, stream| {
        let answer = match first.contains("/there?x=1") {
            true => ok("content-encoding: identity\r\n", items(0..3)),
            false => there.clone().into_bytes(),
        };
        let _ = stream.write_all(&answer);
    });
    let (_, taken, told) = Shop::new().fetch(&server.source("/here"), patient());
    assert_eq!((taken, told), (Some(3), vec![]));
}

#[test]
fn compressed_feeds_are_read_and_a_feed_with_half_its_items_gone_is_kept_as_it_was() {
    let body = Arc::new(Mutex::new(items(0..10)));
    let served = Arc::clone(&body);
    let server = Server::start(move |_, stream| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(served.lock().unwrap().as_bytes()).unwrap();
        let _ = stream.write_all(&ok("content-encoding: gzip\r\n", gzip.finish().unwrap()));
    });
    let (shop, source) = (Shop::new(), server.source("/"));
    assert_eq!(shop.fetch(&source, patient()).1, Some(10));
    for (text, taken, said) in [
        (items(0..4), 10, Some("only 4 of the 10 items")),
        ("<html>Log in</html>".to_owned(), 10, Some("can't be used")),
        (items(0..8), 8, None),
    ] {
        *body.lock().unwrap() = text;
        shop.clock.advance(Duration::from_secs(6 * 3600));
        let (state, offers, told) = shop.fetch(&source, patient());
        assert_eq!((state.trouble, offers), (None, Some(taken)));
        assert_eq!(
            told.first().map(|told| told.contains(said.unwrap_or_default())),
            said.map(|_| true),
            "{told:?}"
        );
    }
}

#[test]
fn tries_wait_longer_each_time_and_never_longer_than_the_schedule() {
    let failed = |failures| FetchState {
        tried_at: Some(NOON),
        failures,
        ..FetchState::default()
    };
    let every = Duration::from_secs(6 * 3600);
    let pauses: Vec<u64> = [0, 1, 2, 3, 8, 9, 10, u32::MAX]
        .map(|failures| failed(failures).due_at(every).unwrap().since(NOON).as_secs() / 60)
        .into();
    assert_eq!(pauses, [360, 1, 2, 4, 128, 256, 360, 360]);
    assert_eq!(FetchState::default().due_at(every), None);
}

#[test]
fn the_owner_is_told_that_nobody_fetches_and_what_no_rule_names_is_removed() {
    let server = Server::saying(ok("", items(0..3)));
    let (shop, source) = (Shop::new(), server.source("/"));
    let (state, ..) = shop.fetch(&source, patient());
    assert_eq!(state.told(&source, NOON + Duration::from_secs(86_400)), None);
    let told = state.told(&source, NOON + Duration::from_secs(86_401)).unwrap();
    assert!(
        told.contains("last fetched on 2026-11-28") && told.contains("every 6h"),
        "{told}"
    );
    let files = source.fetched_files(&shop.folder());
    fs::write(files.fetched.with_extension("json"), "{}").unwrap();
    fetch_due(&shop.folder(), &[], &shop.clock, patient());
    assert!(!files.fetched.exists() && !files.state.exists());
    assert!(
        files.fetched.with_extension("json").exists(),
        "what it said may be needed again"
    );
}

#[test]
fn a_state_that_is_damaged_is_that_of_a_feed_that_was_never_fetched() {
    let (shop, server) = (Shop::new(), Server::saying(ok("", items(0..3))));
    let source = server.source("/");
    let files = source.fetched_files(&shop.folder());
    fs::create_dir_all(shop.folder().feeds()).unwrap();
    for bytes in ["", "[]", "{\"format\": 2}", "{\"failures\": -1}"] {
        fs::write(&files.state, bytes).unwrap();
        assert_eq!(
            FetchState::load(&shop.folder(), &source),
            FetchState::default(),
            "{bytes}"
        );
    }
}

#[test]
fn a_full_disk_keeps_what_came_before() {
    let server = Server::start(|_, stream| drop(stream.write_all(&ok("", items(0..500)))));
    let shop = Shop::new();
    let disk = FullDisk::with_room(0);
    let folder = Folder::on(disk.clone(), shop.dir.path());
    let source = server.source("/");
    let sources = std::slice::from_ref(&source);
    disk.make_room();
    fetch_due(&folder, sources, &shop.clock, patient());
    assert_eq!(
        Feeds::new(folder.clone()).look(sources, NOON).0[0].offers.len(),
        500
    );
    let full = Folder::on(FullDisk::with_room(700), shop.dir.path());
    shop.clock.advance(Duration::from_secs(6 * 3600));
    let state = fetch(&full, &source, &source.address().unwrap(), &shop.clock, patient());
    assert!(state.trouble.unwrap().contains("is the disk full?"));
    let files = source.fetched_files(&folder);
    assert!(files.fetched.exists() && !files.part.exists());
    let feeds = Feeds::new(folder);
    assert_eq!(feeds.look(sources, shop.clock.now()).0[0].offers.len(), 500);
}

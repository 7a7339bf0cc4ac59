//! The programs over bad lines: rounds are completed, uploads go on where they broke off, and nobody waits for a slow line.

#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod ready;
#[cfg(test)]
mod tcp;
#[cfg(test)]
mod year;

use std::time::Duration;

use souk_client::run::StopRules;
use souk_client::store::Store;

use super::federation::{Federation, Running, Setting};
use super::*;

const START: Timestamp = Timestamp(1_800_000_000_000);

/// An ordinary line.
const LINE: Conditions = Conditions {
    latency: Duration::from_millis(20),
    jitter: Duration::ZERO,
    loss: 0.0,
    burst: 1.0,
    doubled: 0.0,
    overtaken: 0.0,
    damaged: 0.0,
    mtu_bytes: 1452,
    bytes_per_sec: Some(2e6),
    queue: Duration::from_millis(500),
};

/// Of a whole run, in virtual time: a run that hangs fails.
const LONGEST: Duration = Duration::from_secs(1800);

fn setting(shops: usize, rounds: u64) -> Setting {
    Setting {
        shops,
        users: 10,
        items: 1000,
        columns: 16,
        rounds,
        quorum: shops,
        deadline: Duration::from_secs(300),
        upload_after: None,
    }
}

/// What a run came to.
#[derive(Debug)]
struct Seen {
    took: Duration,
    published: Vec<String>,
}

/// Runs a federation to its end over such lines.
async fn run_over(conditions: Conditions, seed: u64, setting: &Setting) -> Seen {
    let net = Net::new(seed, START);
    let federation = Federation::new(&net, setting).unwrap();
    for shop in &federation.shops {
        shop.host.set_conditions(conditions);
    }
    let mut serving = federation.serve();
    let mut running: Vec<_> = federation.shops.iter().map(|shop| federation.run(shop)).collect();
    let ended = tokio::time::timeout(LONGEST, serving.wait()).await;
    let said: Vec<_> = running.iter().map(Running::said).collect();
    ended
        .unwrap_or_else(|_| panic!("not done: {:?}\n{said:?}", serving.said()))
        .unwrap();
    // Over a very bad line, one may wait for a last word of a coordinator that is gone.
    for shop in &mut running {
        shop.stop().await.unwrap();
    }
    Seen {
        took: net.now().since(START),
        published: lines(&serving, "published")
            .into_iter()
            .map(|(_, line)| line)
            .collect(),
    }
}

/// What it said that has these words.
fn lines<E>(running: &Running<E>, words: &str) -> Vec<(Timestamp, String)> {
    let mut said = running.said();
    said.retain(|(_, line)| line.contains(words));
    said
}

fn completed(conditions: Conditions) -> Seen {
    let setting = setting(3, 2);
    let seen = virtually(run_over(conditions, 1, &setting)).unwrap();
    assert_eq!(seen.published.len(), 2, "{seen:?}");
    let all = |line: &String| line.contains("3 of 3 shops, attempt 1");
    assert!(seen.published.iter().all(all), "{seen:?}");
    seen
}

#[test]
fn a_perfect_line_takes_no_time_but_its_own() {
    let seen = completed(LINE);
    // Two rounds of a 64 kB model and update at 2 MB/s, 40 ms there and back; the shops' last words.
    assert!(seen.took < Duration::from_secs(3), "{seen:?}");
}

#[test]
fn rounds_are_completed_while_one_in_a_hundred_or_in_twenty_is_lost() {
    for loss in [0.01, 0.05] {
        completed(Conditions { loss, ..LINE });
    }
}

#[test]
fn rounds_are_completed_while_a_fifth_is_lost_in_bursts() {
    let seen = completed(Conditions {
        loss: 0.2,
        burst: 5.0,
        ..LINE
    });
    assert!(seen.took > Duration::from_secs(2), "nothing was lost: {seen:?}");
}

#[test]
fn rounds_are_completed_while_datagrams_are_doubled_overtaken_and_damaged() {
    for line in [
        Conditions { doubled: 0.2, ..LINE },
        Conditions {
            overtaken: 0.2,
            ..LINE
        },
        Conditions {
            damaged: 0.05,
            ..LINE
        },
    ] {
        completed(line);
    }
}

#[test]
fn rounds_are_completed_over_the_shortest_datagrams_that_the_internet_owes() {
    completed(Conditions {
        mtu_bytes: 1232,
        ..LINE
    });
}

/// Cuts a shop's line when three quarters of its update are on their way; the update's length, how many of its bytes the shop
/// noted as sent, and how many went over its line in all.
async fn cut_in_the_middle(span: Duration) -> (u64, u64, u64) {
    let net = Net::new(3, START);
    let setting = Setting {
        items: 4000,
        ..setting(2, 1)
    };
    let federation = Federation::new(&net, &setting).unwrap();
    let host = &federation.shops[0].host;
    host.set_conditions(LINE);
    federation.shops[1].host.set_conditions(LINE);
    let mut serving = federation.serve();
    let mut other = federation.run(&federation.shops[1]);
    let mut shop = federation.run(&federation.shops[0]);
    while lines(&shop, "accepted, training").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // From here on it sends its update, at such a rate that the cut falls into it.
    host.set_conditions(Conditions {
        bytes_per_sec: Some(50_000.0),
        ..LINE
    });
    let (update, before) = (4 * (4000 * 16 + 1_u64), host.counts().sent_bytes);
    while host.counts().sent_bytes < before + update * 3 / 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(lines(&shop, "received").is_empty(), "too late");
    host.cut(span);
    shop.wait().await.unwrap();
    other.wait().await.unwrap();
    serving.wait().await.unwrap();
    assert!(
        lines(&serving, "2 of 2 shops, attempt 1").len() == 1,
        "{:?}",
        serving.said()
    );
    let lost = lines(&shop, "no connection").len();
    assert_eq!(lost > 0, span > Duration::from_secs(30), "{:?}", shop.said());
    assert!(net.now().since(START) > span);
    let sent = host.counts().sent_bytes - before;
    let uploads = Store::open(&federation.shops[0].folder)
        .unwrap()
        .uploads()
        .unwrap();
    assert_eq!((uploads.len(), uploads[0].header.len_bytes), (1, update));
    (update, uploads[0].bytes_sent, sent)
}

#[test]
fn an_upload_goes_on_where_a_cut_broke_it_off() {
    let cut = |secs| virtually(cut_in_the_middle(Duration::from_secs(secs))).unwrap();
    // Within the idle timeout the connection lives on.
    let (update, noted, sent) = cut(20);
    assert_eq!(noted, update);
    assert!(sent < 2 * update, "{sent} bytes for an update of {update}");
    // Beyond it a new one takes over, with what the coordinator does not have.
    let (update, noted, sent) = cut(60);
    assert!(noted > update && noted < update * 7 / 4, "{noted} of {update}");
    assert!(sent < 2 * update, "{sent} bytes for an update of {update}");
}

#[test]
fn a_slow_line_delays_nobody_elses_update_and_no_round_beyond_its_deadline() {
    let deadline = Duration::from_secs(30);
    let setting = Setting {
        items: 4000,
        quorum: 4,
        deadline,
        ..setting(5, 3)
    };
    virtually(async {
        let net = Net::new(4, START);
        let federation = Federation::new(&net, &setting).unwrap();
        for shop in &federation.shops {
            shop.host.set_conditions(LINE);
        }
        // Model and update are 256 kB: a minute at least for a round.
        federation.shops[0].host.set_conditions(Conditions {
            bytes_per_sec: Some(20_000.0),
            ..LINE
        });
        let mut serving = federation.serve();
        let mut running: Vec<_> = federation.shops.iter().map(|shop| federation.run(shop)).collect();
        for shop in &mut running[1..] {
            shop.wait().await.unwrap();
            let (accepted, received) = (lines(shop, "accepted"), lines(shop, "received"));
            assert_eq!((accepted.len(), received.len()), (3, 3), "{:?}", shop.said());
            for (began, done) in accepted.iter().zip(&received) {
                let took = done.0.since(began.0);
                assert!(took < Duration::from_secs(3), "{took:?}: {}", done.1);
            }
        }
        let published = lines(&serving, "published");
        assert_eq!(published.len(), 3, "{:?}", serving.said());
        let most = START + 3 * (deadline + Duration::from_secs(1));
        assert!(published[2].0 < most, "{published:?}");
        running[0].stop().await.unwrap();
        serving.stop().await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_shop_gives_up_when_it_was_alone_for_as_long_as_its_owner_bears_and_not_before() {
    const BORNE: Duration = Duration::from_secs(3600);
    let took = virtually(async {
        let net = Net::new(5, START);
        let federation = Federation::new(&net, &setting(1, 1)).unwrap();
        let ends = StopRules {
            when_finished: false,
            after_alone: Some(BORNE),
        };
        let mut shop = federation.run_until(&federation.shops[0], ends);
        tokio::time::sleep(BORNE * 9 / 10).await;
        federation.serve().wait().await.unwrap();
        let ended = net.now();
        let error = shop.wait().await.unwrap_err().to_string();
        assert!(
            error.contains("--give-up-after") && error.contains("1h"),
            "{error}"
        );
        assert!(!lines(&shop, "received").is_empty(), "{:?}", shop.said());
        net.now().since(ended)
    })
    .unwrap();
    // It may hear of the end before we do.
    let about = BORNE - Duration::from_secs(1)..BORNE + LONGEST / 10;
    assert!(about.contains(&took), "{took:?}");
}

#[test]
fn a_coordinator_that_is_told_to_stop_waits_for_no_slow_line() {
    let took = virtually(async {
        let net = Net::new(6, START);
        let federation = Federation::new(&net, &setting(2, 1)).unwrap();
        let mut serving = federation.serve();
        let mut shop = federation.run(&federation.shops[0]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Both ends learn that an answer takes a quarter of a minute.
        federation.shops[0].host.set_conditions(Conditions {
            latency: Duration::from_secs(7),
            ..LINE
        });
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(lines(&shop, "no connection").is_empty(), "{:?}", shop.said());
        let told = net.now();
        serving.stop().await.unwrap();
        let took = net.now().since(told);
        shop.stop().await.unwrap();
        took
    })
    .unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// How long after its announcement each shop's update left, in whole seconds, and after a cut line in between.
#[test]
fn every_shops_update_leaves_at_the_plans_offset_also_when_its_line_was_cut_while_it_waited() {
    let after = Duration::from_secs(90);
    let setting = Setting {
        upload_after: Some(after),
        ..setting(3, 1)
    };
    let waited = virtually(async {
        let net = Net::new(6, START);
        let federation = Federation::new(&net, &setting).unwrap();
        for shop in &federation.shops {
            shop.host.set_conditions(LINE);
        }
        let mut serving = federation.serve();
        let mut running: Vec<_> = federation.shops.iter().map(|shop| federation.run(shop)).collect();
        while running
            .iter()
            .any(|shop| lines(shop, "accepted, training").is_empty())
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let accepted = net.now();
        // Long enough for a new connection, and over before the update is due.
        federation.shops[0].host.cut(Duration::from_secs(50));
        serving.wait().await.unwrap();
        for shop in &mut running {
            shop.stop().await.unwrap();
        }
        assert!(
            !lines(&running[0], "no connection").is_empty(),
            "{:?}",
            running[0].said()
        );
        let sent = |shop: &super::federation::VirtualShop| {
            let uploads = Store::open(&shop.folder).unwrap().uploads().unwrap();
            assert_eq!((uploads.len(), uploads[0].late_by()), (1, None));
            uploads[0].first_sent_at.unwrap().since(accepted)
        };
        federation.shops.iter().map(sent).collect::<Vec<_>>()
    })
    .unwrap();
    for wait in waited {
        // The announcement came a little before the last of them had accepted.
        assert!(
            wait + Duration::from_secs(2) >= after && wait < after + Duration::from_secs(1),
            "{wait:?}"
        );
    }
}

use super::*;
use std::fs;

const NOON: Timestamp = Timestamp(1_795_867_200_000);

fn text(ids: std::ops::Range<u32>) -> String {
    ids.fold("id,availability\n".to_owned(), |text, id| {
        text + &format!("i{id},in_stock\n")
    })
}

fn source() -> FeedSource {
    FeedSource {
        path: Some("feed.csv".into()),
        ..FeedSource::default()
    }
}

#[test]
fn a_feed_with_half_its_items_gone_is_kept_as_it_was_and_warned_of_also_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let write = |text: String| fs::write(dir.path().join("feed.csv"), text).unwrap();
    let mut feeds = Feeds::new(folder.clone());
    let look = |feeds: &Feeds| {
        feeds
            .look(&[source()], NOON)
            .0
            .first()
            .map(|feed| (feed.offers.len(), feed.gone.len()))
    };
    assert_eq!(look(&feeds), None);
    assert!(feeds.told()[0].contains("can't be used") && feeds.told()[0].contains("nothing is known"));
    write(text(0..10));
    assert_eq!(look(&feeds), Some((10, 0)));
    assert!(feeds.told().is_empty());
    for again in [false, true] {
        if again {
            feeds = Feeds::new(folder.clone());
        }
        write(text(0..5));
        assert_eq!(look(&feeds), Some((10, 0)));
        assert!(
            feeds.told()[0].contains("only 5 of the 10 items"),
            "{:?}",
            feeds.told()
        );
        write("nonsense".to_owned());
        assert_eq!(look(&feeds), Some((10, 0)));
        assert!(feeds.told()[0].contains("stays in force"), "{:?}", feeds.told());
    }
    write(text(0..6));
    assert_eq!(look(&feeds), Some((6, 4)));
    let words = feeds.words();
    assert!(
        words[0].starts_with("feed.csv, as it was read last, of 20")
            && words[0].ends_with(": 6 items, and 4 that are in it no more"),
        "{words:?}"
    );
    write(text(0..8));
    assert_eq!(
        look(&Feeds::new(folder.clone())),
        Some((8, 2)),
        "what came back is not gone, also after a start"
    );
    // The owner says that it is right.
    write(text(20..22));
    assert_eq!(look(&Feeds::new(folder.clone())), Some((8, 2)));
    fs::remove_dir_all(folder.feeds()).unwrap();
    assert_eq!(look(&Feeds::new(folder)), Some((2, 0)));
}

#[test]
fn the_digest_changes_with_what_a_feed_says() {
    let dir = tempfile::tempdir().unwrap();
    let feeds = Feeds::new(Folder::new(dir.path()));
    fs::write(dir.path().join("feed.csv"), text(0..3)).unwrap();
    let (_, before) = feeds.look(&[source()], NOON);
    assert_eq!(feeds.look(&[source()], NOON).1, before);
    fs::write(
        dir.path().join("feed.csv"),
        "id,availability\ni0,out_of_stock\ni1,in_stock\n",
    )
    .unwrap();
    assert_ne!(feeds.look(&[source()], NOON).1, before);
    assert!(feeds.look(&[], NOON).0.is_empty() && feeds.in_force().is_empty());
}

//! What pages say of a shop, and how they are told of changes.

use super::*;

#[test]
fn what_others_wrote_is_escaped() {
    let shop = Shop::ready();
    let text = shop.show("/customer?user=u0");
    assert!(
        text.contains("Thing &lt;b&gt;") && !text.contains("<b>"),
        "{text}"
    );
    let text = shop.show("/customer?user=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22");
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"),
        "{text}"
    );
    assert!(!text.contains("alert(1)</script>"), "{text}");
}

#[test]
fn a_customer_is_shown_with_items_reasons_and_scores_and_a_stranger_with_what_sells() {
    let shop = Shop::ready();
    let text = shop.show("/customer?user=u0");
    for part in [
        "id=\"recommended\"",
        "id=\"scores\" role=\"img\"",
        "<title id=\"scores-title\">",
        "item-00",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("id=\"unknown\""), "{text}");
    assert!(
        text.contains("bought by customers who bought") || text.contains("like Thing"),
        "{text}"
    );
    let text = shop.show("/customer?user=nobody");
    assert!(
        text.contains("id=\"unknown\"") && text.contains("Nothing is known of nobody"),
        "{text}"
    );
    assert!(
        text.contains("id=\"recommended\"") && !text.contains("id=\"no-lists\""),
        "{text}"
    );
    let text = shop.show("/customer");
    assert!(
        text.contains("id=\"look-up\"") && !text.contains("id=\"list\""),
        "{text}"
    );
}

#[test]
fn the_page_speaks_chinese_when_it_is_asked_to() {
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let mut request = get(&session, path);
        request.headers_mut().insert(
            header::ACCEPT_LANGUAGE,
            "zh-CN,zh;q=0.9,en;q=0.8".parse().unwrap(),
        );
        let (status, _, text) = shop.text(request);
        assert!(
            status == StatusCode::OK && text.contains("<html lang=\"zh-Hans\">"),
            "{path}"
        );
        assert!(text.contains("今日") && text.contains("离开本店的内容"), "{path}");
        for word in [
            "Your lists",
            "customers",
            "Nothing is",
            "Spent",
            "Sign out",
            "Look up",
        ] {
            assert!(!text.contains(word), "{path} has {word:?}");
        }
    }
    let (_, headers, text) = shop.text(get(&session, "/?lang=zh"));
    assert!(text.contains("<html lang=\"zh-Hans\">"), "{text}");
    let chosen = cookie(&headers);
    let (_, _, text) = shop.text(get(&format!("{session}; {chosen}"), "/privacy"));
    assert!(
        text.contains("<html lang=\"zh-Hans\">"),
        "what was chosen stays: {text}"
    );
}

#[test]
fn an_update_that_left_can_be_had_byte_for_byte() {
    let shop = Shop::ready();
    let session = shop.session();
    let path = format!("/left/{}", Digest::of(UPDATE));
    assert!(
        shop.text(get(&session, "/left"))
            .2
            .contains(&format!("href=\"{path}\""))
    );
    let (status, headers, bytes) = shop.ask(get(&session, &path));
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, UPDATE));
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    for other in [Digest::ZERO.to_string(), "..%2F..%2Fkey.der".to_owned()] {
        let status = shop.ask(get(&session, &format!("/left/{other}"))).0;
        assert!(status.is_client_error(), "{other}: {status}");
    }
    // What is in the outbox and has not left is nobody's.
    let path = shop.folder.update(&Digest::of(b"not sent"));
    fs::write(path, b"not sent").unwrap();
    let path = format!("/left/{}", Digest::of(b"not sent"));
    assert_eq!(shop.ask(get(&session, &path)).0, StatusCode::NOT_FOUND);
}

#[test]
fn before_the_first_look_the_page_says_so_and_without_data_it_says_why() {
    let shop = Shop::open();
    let text = shop.show("/");
    assert!(text.contains("has just started"), "{text}");
    let shop = Shop::with(|folder| fs::remove_file(folder.path().join("orders.csv")).unwrap());
    assert!(shop.api.renew().is_err());
    let text = shop.show("/");
    assert!(
        text.contains("id=\"worry-no-lists\"") && text.contains("orders.csv"),
        "{text}"
    );
    assert!(shop.show("/customer?user=u0").contains("id=\"no-lists\""));
}

#[test]
fn items_that_the_catalogue_lacks_are_read_by_the_thread_that_renews() {
    let shop = Shop::with(|folder| {
        let of = |item: usize| Item {
            title: format!("Thing {item}"),
            ..Item::bare(format!("item-{item:02}"))
        };
        let catalogue = Catalogue::new((1..16).map(of).collect()).unwrap();
        fs::write(folder.catalogue(), catalogue.to_bytes()).unwrap();
    });
    shop.api.renew().unwrap();
    let text = shop.show("/unmatched");
    assert!(
        text.contains("id=\"unmatched\"") && text.contains("<code>item-00</code>"),
        "{text}"
    );
    assert!(
        text.contains("Items: 1. Order lines") && text.contains("Thing &lt;b&gt;0"),
        "{text}"
    );
}

#[test]
fn pages_are_told_when_something_changes_and_not_before() {
    let shop = Shop::ready();
    let first = *shop.page.changes.borrow();
    shop.api.renew().unwrap();
    assert_eq!(*shop.page.changes.borrow(), first, "nothing is new");
    let declined = Note::Declined(pending().key, DeclineCode::Paused);
    shop.page.hear(&declined, Noon.now());
    let retry_at = Noon.now();
    shop.page.connected(None);
    shop.page.hear(&Note::Disconnected { retry_at }, Noon.now());
    assert_eq!(*shop.page.changes.borrow(), first + 1, "connections come and go");
    assert_eq!(shop.page.connection().offline_since, Some(Noon.now()));
    let text = shop.show("/rounds");
    assert!(
        text.contains("Round 3, attempt 1: declined, you have paused"),
        "{text}"
    );
    let log = LogHead {
        length: 1,
        head: Digest::ZERO,
    };
    shop.page.hear(&Note::Forked(log), Noon.now());
    assert!(shop.show("/").contains("id=\"worry-forked\""));
}

#[test]
fn streams_of_changes_are_bounded_and_their_places_come_free() {
    let shop = Shop::open();
    let session = shop.session();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let app = shop.api.app(&shop.config, LOOPBACK);
        let open = async || {
            app.clone()
                .oneshot(get(&session, "/events-stream"))
                .await
                .unwrap()
        };
        let mut streams = Vec::new();
        for _ in 0..crate::page::live::MOST_STREAMS {
            let answer = open().await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
            streams.push(answer);
        }
        assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let mut body = streams.pop().unwrap().into_body();
        let mut next = async || {
            let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
            let frame = tokio::time::timeout(Duration::from_secs(60), frame)
                .await
                .unwrap();
            String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
        };
        let number = *shop.page.changes.borrow();
        assert_eq!(next().await, format!("data: {number}\n\n"));
        shop.page.hear(&Note::Ready(pending().key), Noon.now());
        assert_eq!(next().await, format!("data: {}\n\n", number + 1));
        drop(body);
        assert_eq!(open().await.status(), StatusCode::OK, "one has ended");
    });
}

#[test]
fn a_shop_without_a_federation_is_told_so_where_there_is_nothing_else_to_show() {
    let shop = Shop::with(|folder| fs::remove_file(folder.membership()).unwrap());
    shop.api.renew().unwrap();
    for place in Place::ALL {
        let text = shop.show(place.path());
        let is_told = place.needs_federation() || place == Place::Today;
        assert_eq!(
            text.contains("id=\"no-federation\""),
            is_told,
            "{place:?}: {text}"
        );
    }
    let today = shop.show("/?lang=zh");
    assert!(
        today.contains("尚未加入任何联盟") && !today.contains("worry-offline"),
        "{today}"
    );
    let member = Shop::ready();
    assert!(
        Place::ALL
            .iter()
            .all(|place| !member.show(place.path()).contains("no-federation"))
    );
}

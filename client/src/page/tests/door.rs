//! Who gets in, by what, and what the policy of every answer allows.

use super::*;

#[test]
fn every_page_answers_with_a_session_and_sends_others_to_the_door() {
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let (status, headers, text) = shop.text(get(&session, path));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        assert!(
            text.starts_with("<!DOCTYPE html><html lang=\"en\">"),
            "{path}: {text}"
        );
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        for part in [
            "<header>",
            "<main id=\"main\"",
            "<footer>",
            "<nav id=\"menu\"",
            "href=\"#main\"",
            "<title>",
        ] {
            assert!(text.contains(part), "{path} lacks {part}");
        }
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for rule in [
            "default-src 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "style-src 'sha256-",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        for other in ["", "souk_session=guessed", "souk_session="] {
            let (status, headers, text) = shop.text(get(other, path));
            assert_eq!((status, text.as_str()), (StatusCode::SEE_OTHER, ""), "{path}");
            assert_eq!(headers[header::LOCATION], "/signin", "{path}");
        }
    }
    for path in ["/events-stream", &format!("/left/{}", Digest::of(UPDATE))] {
        assert_eq!(shop.text(get("", path)).0, StatusCode::SEE_OTHER, "{path}");
    }
}

#[test]
fn nothing_on_a_page_comes_from_elsewhere_or_needs_a_style_or_script_that_the_policy_refuses() {
    use base64_of_hash as hash;
    let shop = Shop::ready();
    let session = shop.session();
    for path in paths() {
        let (_, headers, text) = shop.text(get(&session, path));
        for bad in [
            "http://",
            "https://",
            " style=",
            "javascript:",
            " onclick",
            "<img",
            "<iframe",
        ] {
            // What an SVG calls its namespace is fetched by nobody.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(bad), "{path} has {bad}");
        }
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            for block in text.split(open).skip(1) {
                let content = block.split(close).next().unwrap();
                assert!(policy.contains(&hash(content)), "{path}: {open}");
            }
        }
    }
}

fn base64_of_hash(text: &str) -> String {
    use sha2::Digest as _;
    data_encoding::BASE64.encode(&sha2::Sha256::digest(text.as_bytes()))
}

#[test]
fn a_link_signs_in_once_and_its_cookie_is_for_this_page_only() {
    let shop = Shop::open();
    let Answer::PageLink { link } = shop.service.answer(Question::PageLink) else {
        panic!("the page is served");
    };
    let path = link.strip_prefix(OWN).unwrap();
    let (_, headers, _) = shop.text(get("", path));
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "plain HTTP on this machine: {set}");
    assert!(
        crate::page::door::session_cookie("x", true)
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
    let (status, headers, text) = shop.text(get("", path));
    assert!(
        status == StatusCode::FORBIDDEN && !headers.contains_key(header::SET_COOKIE),
        "{text}"
    );
    assert!(
        text.contains("id=\"trouble\"") && text.contains("has been used"),
        "{text}"
    );
}

#[test]
fn a_link_names_the_service_as_a_browser_finds_it() {
    let plain = HttpConfig::default();
    let secret = HttpConfig {
        tls_cert: Some("cert.pem".into()),
        hosts: vec!["souk.shop.example".to_owned()],
        ..HttpConfig::default()
    };
    let nameless = HttpConfig {
        hosts: Vec::new(),
        ..secret.clone()
    };
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 443));
    for (config, address, url) in [
        (&plain, LOOPBACK, OWN),
        (&secret, LOOPBACK, "https://souk.shop.example:4480"),
        (&nameless, LOOPBACK, "https://127.0.0.1:4480"),
        (&nameless, everywhere, "https://localhost:443"),
    ] {
        assert_eq!(config.url(address), url);
    }
}

#[test]
fn the_shops_token_signs_in_and_another_does_not() {
    let shop = Shop::open();
    let (status, _, text) = shop.text(get("", "/signin"));
    assert_eq!(status, StatusCode::OK);
    let ours = form_token(&text);
    let token = fs::read_to_string(shop.folder.http().join("token")).unwrap();
    let form = |form_token: &str, token: &str| format!("form_token={form_token}&token={token}");
    let (status, headers, _) = shop.text(post("", "/signin", OWN, &form(&ours, &token)));
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(shop.text(get(&cookie(&headers), "/")).0, StatusCode::OK);
    for (form_token, token, said) in [
        (ours.as_str(), "wrong", "not the shop"),
        ("wrong", &token, "did not come from"),
    ] {
        let (status, headers, text) = shop.text(post("", "/signin", OWN, &form(form_token, token)));
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(
            text.contains(said) && !headers.contains_key(header::SET_COOKIE),
            "{text}"
        );
    }
}

#[test]
fn forms_of_other_sites_are_refused() {
    let shop = Shop::open();
    let session = shop.session();
    let token = form_token(&shop.text(get(&session, "/")).2);
    let form = format!("form_token={token}");
    // The third is a page that may ask the API.
    for origin in [
        "",
        "null",
        "https://www.shop.example",
        "https://evil.example",
        "http://127.0.0.1:4481",
    ] {
        let (status, _, said) = shop.text(post(&session, "/signout", origin, &form));
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}: {said}");
    }
    assert_eq!(
        shop.text(post(&session, "/signout", OWN, "form_token=guessed")).0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(shop.text(get(&session, "/")).0, StatusCode::OK, "still signed in");
    let (status, headers, _) = shop.text(post(&session, "/signout", OWN, &form));
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(
        headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(
        shop.text(get(&session, "/")).0,
        StatusCode::SEE_OTHER,
        "signed out"
    );
}

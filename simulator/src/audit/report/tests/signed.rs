//! A changed byte is found, wherever it is, and told by its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rand::RngExt;
use souk_common::rng::stream;

use super::super::sign::{FIRST, LAST, THEN};
use super::super::verify::{CheckedReport, verify, verify_bytes};
use super::super::write::{self, build_digest, signed};
use super::*;

fn files(report: &Report) -> (String, String) {
    signed(report, &key()).unwrap()
}

/// None if the change went unnoticed; else what was said.
fn said(bytes: &[u8]) -> Option<String> {
    match verify_bytes(bytes, None) {
        Ok(CheckedReport { ok: true, .. }) => None,
        Ok(checked) => Some(checked.wrong.join("; ")),
        Err(error) => Some(format!("{error:#}")),
    }
}

#[test]
fn both_files_are_as_they_were_signed_and_by_whom() {
    let (html, json) = files(&report());
    for (text, kind) in [(&html, "html"), (&json, "json")] {
        let believed = verify_bytes(text.as_bytes(), None).unwrap();
        assert!(believed.ok && !believed.key_was_given, "{believed:?}");
        assert_eq!(
            (believed.kind, believed.plan.as_deref()),
            (kind, Some("two releases"))
        );
        let asked = verify_bytes(text.as_bytes(), Some(key().public())).unwrap();
        assert!(asked.ok && asked.key_was_given, "{asked:?}");
        let other = verify_bytes(text.as_bytes(), Some(SigningKey::from_bytes(&[8; 32]).public())).unwrap();
        assert!(!other.ok && other.wrong[0].contains("and not by"), "{other:?}");
    }
    assert!(
        html.contains(&json),
        "the signed text stands in the page byte for byte"
    );
}

#[test]
fn every_changed_byte_of_a_small_json_report_is_red_and_says_where() {
    let report = Report::new(&subject(&private_plan()), AuditFindings::default(), provenance()).unwrap();
    let (_, json) = files(&report);
    let mut bytes = json.clone().into_bytes();
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        let said = said(&bytes).unwrap_or_else(|| panic!("byte {at} of {} went unnoticed", json.len()));
        assert!(said.contains("byte") || said.contains("`"), "byte {at}: {said}");
        bytes[at] ^= 1;
    }
    assert_eq!(said(&bytes), None, "and put back it is right again");
}

#[test]
fn changed_missing_and_added_bytes_of_the_page_are_red_and_say_where() {
    let (html, _) = files(&report());
    let mut rng = stream(5, "report bytes");
    for _ in 0..300 {
        let at = rng.random_range(0..html.len());
        let mut bytes = html.clone().into_bytes();
        match rng.random_range(0..3) {
            0 => bytes[at] ^= 1 << rng.random_range(0..7),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, b' '),
        }
        if bytes == html.as_bytes() {
            continue;
        }
        let said = said(&bytes).unwrap_or_else(|| panic!("byte {at} went unnoticed"));
        assert!(said.contains("byte") || said.contains("`"), "byte {at}: {said}");
    }
    for changed in [
        format!("{html} "),
        format!(" {html}"),
        html[..html.len() - 1].to_owned(),
    ] {
        assert!(said(changed.as_bytes()).is_some());
    }
}

#[test]
fn a_change_is_told_by_the_reports_key_or_by_what_stands_on_the_page() {
    let (html, json) = files(&report());
    let told = |from: &str, to: &str, text: &str| {
        assert!(text.contains(from), "{from}");
        said(text.replacen(from, to, 1).as_bytes()).unwrap()
    };
    let in_json = told("\"lower\":3.0", "\"lower\":2.0", &json);
    assert!(in_json.contains("`findings` of the report (bytes "), "{in_json}");
    let on_page = told(" in order, ", " in ardor, ", &html);
    assert!(
        on_page.contains("in ardor") && on_page.contains("in order"),
        "{on_page}"
    );
    // In the page and in the JSON alike: the page can be made again from it, and was not signed.
    let both = said(html.replace("two releases", "two relaeses").as_bytes()).unwrap();
    assert!(both.contains("`plan`") && both.contains("`subject`"), "{both}");
}

#[test]
fn somebody_else_can_not_change_a_report_and_sign_it_under_the_same_key() {
    let (_, json) = signed(&report(), &SigningKey::from_bytes(&[9; 32])).unwrap();
    let (ours, theirs) = (
        souk_common::hex::text(&key().public()),
        souk_common::hex::text(&SigningKey::from_bytes(&[9; 32]).public()),
    );
    let said = said(json.replace(&theirs, &ours).as_bytes()).unwrap();
    assert!(said.contains("the signature"), "{said}");
}

#[test]
fn a_page_that_says_something_else_is_red_by_the_same_build_and_noted_by_another() {
    let mut own = provenance();
    own.build = build_digest().unwrap();
    for (provenance, ok) in [(own, false), (provenance(), true)] {
        let mut report = Report::new(&subject(&private_plan()), findings(), provenance).unwrap();
        let honest = report.front.verdict.clone();
        // Signed by who has the key, with another page than the report makes.
        report.front.verdict = "All is well.".into();
        let page = super::super::html::Page::of(&report, &souk_common::hex::text(&key().public()));
        report.front.verdict = honest;
        let digest = super::super::sign::page_digest(&page.before, &page.after);
        let text =
            super::super::sign::text(&super::super::sign::lines(&report).unwrap(), digest, &key()).unwrap();
        let checked = verify_bytes(page.with(&text).as_bytes(), None).unwrap();
        assert_eq!(checked.ok, ok, "{checked:?}");
        assert_eq!(
            (checked.wrong.len(), checked.notes.len()),
            if ok { (0, 1) } else { (1, 0) }
        );
    }
}

#[test]
fn a_newer_format_and_what_is_no_report_are_told_apart() {
    let (html, json) = files(&report());
    let newer = json.replacen("\"format\":1", "\"format\":2", 1);
    let error = format!("{:#}", verify_bytes(newer.as_bytes(), None).unwrap_err());
    assert!(
        error.contains("format 2 and this program reads format 1"),
        "{error}"
    );
    let error = format!(
        "{:#}",
        verify_bytes(html.replacen("\"format\":1", "\"format\":9", 1).as_bytes(), None).unwrap_err()
    );
    assert!(error.contains("format 9"), "{error}");
    for text in [
        "",
        "{}",
        "[1,2]",
        "<!DOCTYPE html><p>hello",
        "customer,item\n1,2\n",
        FIRST,
        &format!("{FIRST}{THEN}{LAST}"),
        "\u{0}",
    ] {
        let error = format!("{:#}", verify_bytes(text.as_bytes(), None).unwrap_err());
        assert!(
            error.contains("no report") || error.contains("damaged"),
            "{text:?}: {error}"
        );
    }
    assert!(verify_bytes(&[0xff, 0xfe], None).is_err());
    let dir = tempfile::tempdir().unwrap();
    let error = format!("{:#}", verify(&dir.path().join("none.html"), None).unwrap_err());
    assert!(error.contains("none.html"), "{error}");
}

#[test]
fn three_files_are_written_and_two_of_them_verify() {
    let dir = tempfile::tempdir().unwrap();
    let files = write::write(&report(), &key(), &dir.path().join("audit.v1")).unwrap();
    assert!(files.html.ends_with("audit.v1.html"), "{files:?}");
    for path in [&files.html, &files.json] {
        assert!(
            verify(path, Some(key().public())).unwrap().ok,
            "{}",
            path.display()
        );
    }
    let entry: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&files.registry).unwrap()).unwrap();
    assert_eq!(entry["name"], "two releases");
    assert!((entry["privacy_loss"]["epsilon"].as_f64().unwrap() - 8.0).abs() < 1e-4);
    assert_eq!(entry["privacy_loss"]["delta"], 1e-5);
    assert_eq!(entry["model"]["name"], "local to each shop");
}

#[test]
fn a_key_is_made_once_for_its_owner_only_and_what_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.key");
    let made = write::key(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(write::key(&path).unwrap().public(), made.public());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = write::key(&path).err().unwrap().to_string();
    assert!(error.contains("chmod 600") && error.contains("0644"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "short").unwrap();
    let error = write::key(&path).err().unwrap().to_string();
    assert!(error.contains("5 bytes and not 32"), "{error}");
}

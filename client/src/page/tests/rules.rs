//! Rules and experiments on the page.

use super::super::facts::Facts;
use super::super::views::experiment;
use super::super::words::Language;
use super::*;
use crate::experiment::report::{ArmReport, Difference, ExperimentReport};

impl Shop {
    /// Sends the form with `text` as if by a button, after the page was loaded; `more` has further fields.
    fn send_rules(&self, session: &str, wish: &str, text: &str, more: &str) -> (StatusCode, String) {
        let page = self.text(get(session, "/rules")).2;
        self.send_rules_of(&page, session, wish, text, more)
    }

    fn send_rules_of(
        &self,
        page: &str,
        session: &str,
        wish: &str,
        text: &str,
        more: &str,
    ) -> (StatusCode, String) {
        let (_, was) = page
            .split_once("name=\"was\" value=\"")
            .expect("the file's digest");
        let was = was.split('"').next().unwrap();
        let token = form_token(page);
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("form_token={token}&was={was}&text={text}&do={wish}{more}");
        let (status, _, text) = self.text(post(session, "/rules", OWN, &form));
        (status, text)
    }

    fn rules_file(&self) -> String {
        fs::read_to_string(self.folder.rules()).unwrap_or_default()
    }
}

/// Items of the customer's list.
fn listed(shop: &Shop, user: &str) -> Vec<String> {
    let list = shop.api.look_up(user).expect("there are lists").list;
    list.items.into_iter().map(|item| item.item_id).collect()
}

#[test]
fn a_preview_shows_what_a_text_would_do_and_changes_nothing() {
    let shop = Shop::ready();
    let session = shop.session();
    let text = "never = [\"item-00\"]\r\n[[filter]]\r\nkeep = 'category == \"c0\"'\r\n";
    let (status, page) = shop.send_rules(&session, "preview", text, "&user=u1");
    assert_eq!(status, StatusCode::OK, "{page}");
    for part in [
        "id=\"before-after\"",
        "Of 16 items 9 could not be recommended.",
        "The list of u1",
        "id=\"left-out\"",
        "this is not true of it, or not known: <code>category == &quot;c0&quot;</code>",
        "value=\"u1\"",
        "never = [&quot;item-00&quot;]\n[[filter]]",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!shop.folder.rules().exists());
    let (_, page) = shop.send_rules(&session, "preview", text, "&user=%3Cnobody%3E");
    assert!(
        page.contains("Nothing is known of &lt;nobody&gt;") && page.contains("somebody unknown"),
        "{page}"
    );
}

#[test]
fn saved_rules_are_in_force_in_the_next_list_and_the_earlier_text_is_kept() {
    let shop = Shop::ready();
    let session = shop.session();
    let best = listed(&shop, "nobody")[0].clone();
    let first = format!("never = [\"{best}\"]\n");
    let (status, page) = shop.send_rules(&session, "save", &first, "");
    assert_eq!((status, page.as_str()), (StatusCode::SEE_OTHER, ""));
    assert_eq!(shop.rules_file(), first);
    assert!(!listed(&shop, "nobody").contains(&best), "at once");
    let page = shop.show("/rules?saved=yes");
    assert!(
        page.contains("id=\"saved\"") && page.contains(&format!("<code>{best}</code>")),
        "{page}"
    );
    shop.send_rules(&session, "save", "at_most_of_a_brand = 3", "");
    assert_eq!(fs::read_to_string(shop.folder.previous_rules()).unwrap(), first);
    assert!(shop.show("/rules").contains("At most 3 items of a brand."));
    assert!(listed(&shop, "nobody").contains(&best));
}

#[test]
fn a_text_that_makes_no_sense_is_not_saved_and_the_error_stands_at_its_field() {
    let shop = Shop::ready();
    let session = shop.session();
    for (text, said) in [
        ("never = []\nnevr = []", "line 2, column 1: unknown field `nevr`"),
        (
            "[[filter]]\nkeep = 'price <'",
            "line 2: keep = &quot;price &lt;&quot;, column 8: expected",
        ),
        ("[[filter]]\nkeep = 'prise < 5'", "did you mean `price`"),
    ] {
        for wish in ["preview", "save"] {
            let (status, page) = shop.send_rules(&session, wish, text, "");
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
            assert!(page.contains(said), "{said}: {page}");
            assert!(
                page.contains("aria-describedby=\"rules-help rules-trouble\" aria-invalid=\"true\""),
                "{page}"
            );
            assert!(page.contains("id=\"rules-trouble\" role=\"alert\""), "{page}");
        }
    }
    assert!(!shop.folder.rules().exists());
}

#[test]
fn rules_that_hide_everything_are_saved_only_by_somebody_who_says_so() {
    let shop = Shop::ready();
    let session = shop.session();
    let text = "[[filter]]\nkeep = 'price < 5'\nwhere = \"similar\"";
    let (status, page) = shop.send_rules(&session, "save", text, "");
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.contains("would leave nothing in similar items") && page.contains("name=\"anyway\""),
        "{page}"
    );
    assert!(!shop.folder.rules().exists());
    let (status, _) = shop.send_rules(&session, "save", text, "&anyway=yes");
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(shop.rules_file(), text);
}

#[test]
fn a_file_that_was_changed_since_the_page_was_loaded_is_not_overwritten() {
    let shop = Shop::ready();
    let session = shop.session();
    let page = shop.text(get(&session, "/rules")).2;
    fs::write(shop.folder.rules(), "never = ['item-01']").unwrap();
    let (status, page) = shop.send_rules_of(&page, &session, "save", "never = ['item-02']", "");
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        page.contains("was changed since") && page.contains("never = ['item-02']"),
        "{page}"
    );
    assert_eq!(shop.rules_file(), "never = ['item-01']");
}

#[test]
fn only_the_pages_own_form_saves_rules() {
    let shop = Shop::ready();
    let session = shop.session();
    let page = shop.text(get(&session, "/rules")).2;
    let none = Digest::of(b"");
    for (cookie, origin, token) in [
        (session.as_str(), "https://evil.example", form_token(&page)),
        (&session, "https://www.shop.example", form_token(&page)),
        (&session, OWN, "guessed".to_owned()),
    ] {
        let form = format!("form_token={token}&was={none}&text=never%20%3D%20%5B%5D&do=save");
        let (status, _, said) = shop.text(post(cookie, "/rules", origin, &form));
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}: {said}");
    }
    let form = format!("form_token=x&was={none}&text=&do=save");
    assert_eq!(
        shop.text(post("", "/rules", OWN, &form)).0,
        StatusCode::SEE_OTHER,
        "to the door"
    );
    assert!(!shop.folder.rules().exists());
}

#[test]
fn a_broken_file_is_shown_with_the_last_good_rules_and_is_mended_on_the_page() {
    let shop = Shop::ready();
    let session = shop.session();
    shop.send_rules(&session, "save", "never = ['item-03']", "");
    fs::write(shop.folder.rules(), "never = ['item-03'").unwrap();
    shop.api.renew().unwrap();
    let page = shop.show("/rules");
    assert!(
        page.contains("id=\"last-good\"") && page.contains("<code>item-03</code>"),
        "{page}"
    );
    assert!(
        page.contains("id=\"told\"") && page.contains("rules.toml: line 1"),
        "{page}"
    );
    assert!(shop.show("/").contains("id=\"worry-rules\""));
    let (status, _) = shop.send_rules(&session, "save", "never = ['item-04']", "");
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(!shop.show("/rules").contains("id=\"last-good\""));
    // More than a form takes, and no text.
    fs::write(shop.folder.rules(), format!("# {}", "x".repeat(300_000))).unwrap();
    let page = shop.show("/rules");
    assert!(
        page.contains("262,144 bytes") && !page.contains("<textarea"),
        "{page}"
    );
    fs::write(shop.folder.rules(), b"never = ['\xff']").unwrap();
    let page = shop.show("/rules");
    assert!(
        page.contains("not UTF-8") && !page.contains("<textarea"),
        "{page}"
    );
}

#[test]
fn a_feeds_state_is_shown_with_what_is_wrong() {
    let shop = Shop::ready();
    let feed = shop.folder.path().join("feed.csv");
    fs::write(&feed, "id,availability\nitem-00,in_stock\nitem-01,out_of_stock\n").unwrap();
    let text = "[[feed]]\npath = 'feed.csv'\n[[feed]]\npath = 'missing.csv'";
    shop.send_rules(&shop.session(), "save", text, "");
    let page = shop.show("/rules");
    for part in [
        "with 2 items, 1 of them in stock; 0 that were",
        "missing.csv",
        "Nothing could be read of it yet",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

fn experiment_of(report: Option<ExperimentReport>, language: Language) -> String {
    let facts = Facts {
        experiment: report.map(Ok),
        ..super::views::good()
    };
    experiment::view(language, &facts, Noon.now()).into_string()
}

#[test]
fn an_experiment_is_a_sentence_a_picture_and_a_table_beside_the_figures_by_past_orders() {
    let none = experiment_of(None, Language::English);
    assert!(
        none.contains("id=\"no-experiment\"") && none.contains("[experiment]") && none.contains("59.3"),
        "{none}"
    );
    let arm = |arm: &str, customers, bought| ArmReport {
        arm: arm.into(),
        customers,
        bought,
        share: (customers > 0).then(|| bought as f64 / customers as f64),
        low: 0.1,
        high: 0.2,
    };
    let against = |arm: &str, low: f64, high: f64| Difference {
        arm: arm.into(),
        less: "bestsellers".into(),
        difference: (low + high) / 2.0,
        low: Some(low),
        high: Some(high),
        words: String::new(),
    };
    let report = ExperimentReport {
        name: "autumn".into(),
        days: 14,
        since: Some(Noon.now().0 / 1000 - 9 * 86_400),
        arms: vec![
            arm("bestsellers", 1000, 150),
            arm("alone", 1000, 151),
            arm("together", 8000, 1600),
        ],
        differences: vec![against("alone", -0.03, 0.032), against("together", 0.01, 0.09)],
        notes: vec!["the days of <3> customers are not over yet".into()],
    };
    let text = experiment_of(Some(report.clone()), Language::English);
    for part in [
        "autumn has run for 9 days, since 2026-11-19.",
        "no difference is certain yet",
        "Lists with all shops sell to more customers than lists of bestsellers. The difference is +5.0 of 100 customers, from +1.0 to +9.0",
        "id=\"differences\" role=\"img\"",
        "<title id=\"differences-title\">Between lists",
        "8,000",
        "20.0 %",
        "10.0–20.0 %",
        "&lt;3&gt;",
        "id=\"offline\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let chinese = experiment_of(Some(report.clone()), Language::Chinese);
    assert!(
        chinese.contains("“包含所有店铺”列表的购买顾客多于“畅销商品”列表"),
        "{chinese}"
    );
    let begun = ExperimentReport {
        since: None,
        arms: vec![arm("alone", 0, 0), arm("together", 0, 0)],
        differences: Vec::new(),
        ..report
    };
    let text = experiment_of(Some(begun), Language::English);
    assert!(
        text.contains("no customer has seen a list yet") && !text.contains("id=\"differences\""),
        "{text}"
    );
}

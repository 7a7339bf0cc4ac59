use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::recommend::Customer;
use crate::recommend::reasons::Through;
use crate::stack::ServedBy;

mod trained;

/// A shop that is no member: two tastes, 8 items each, 30 customers of 5 items, one of whom has a single one.
fn shop(dir: &std::path::Path) -> Folder {
    fs::write(dir.join("shop.toml"), "[data]\nearliest = \"1970-01-01\"\n").unwrap();
    fs::write(dir.join("orders.csv"), orders(30)).unwrap();
    Folder::new(dir)
}

fn orders(customers: usize) -> String {
    let mut text = "user_id,item_id,timestamp\nonce,item-00,5\n".to_owned();
    for user in 0..customers {
        for at in 0..5 {
            let item = (user % 2) * 8 + (user / 2 + 3 * at) % 8;
            text.push_str(&format!("u{user},item-{item:02},{}\n", 10 + at));
        }
    }
    text
}

fn service(folder: &Folder) -> (ListService, Arc<AtomicUsize>) {
    let fits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fits);
    let service = ListService::new(folder.clone(), None, move |stage| {
        if stage == StackStage::Weights {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (service, fits)
}

const WISHES: RecommendOptions = RecommendOptions {
    k: 3,
    include_bought: false,
    explain: true,
};

fn asked<'a>(user: Option<&'a str>, basket: &'a [String]) -> Asked<'a> {
    Asked { user, basket }
}

#[test]
fn a_shop_without_a_coordinator_has_lists_and_fits_them_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shop(dir.path());
    let (lists, fits) = service(&folder);
    let (list, picture) = lists.recommend(asked(Some("u0"), &[]), &WISHES, true).unwrap();
    assert!(
        list.personal && list.own_catalogue && list.served_by == ServedBy::Alone,
        "{list:?}"
    );
    assert_eq!((list.history, list.items.len()), (5, 3));
    assert!(
        list.items.iter().all(|item| item.item_id.as_str() < "item-08"),
        "{list:?}"
    );
    assert!(list.items.iter().all(|item| !item.reasons.is_empty()));
    assert_eq!(picture.unwrap().scores.len(), 16);
    assert_eq!(lists.recommend_all(&WISHES).unwrap().len(), 31);
    let gain = lists.gain().unwrap();
    assert!(
        gain.customers == 30 && gain.alone > 0.0 && gain.together.is_none(),
        "{gain:?}"
    );
    assert!(gain.why.contains("nothing was released"), "{gain:?}");
    assert_eq!(fits.load(Ordering::Relaxed), 1);
    assert!(lists.refresh().unwrap().is_none(), "nothing has changed");
    // A restart reads the weights; a file that was written again with the same orders changes nothing.
    fs::write(dir.path().join("orders.csv"), orders(30)).unwrap();
    let (again, fits) = service(&folder);
    assert_eq!(
        again.recommend(asked(Some("u0"), &[]), &WISHES, false).unwrap().0,
        list
    );
    assert_eq!(fits.load(Ordering::Relaxed), 0);
    // Other orders fit anew, and a file that is none of ours, or says what can't be, is replaced.
    fs::write(dir.path().join("orders.csv"), orders(31)).unwrap();
    let (other, fits) = service(&folder);
    assert!(other.refresh().unwrap().is_some());
    assert_eq!(fits.load(Ordering::Relaxed), 1);
    let whole = fs::read_to_string(folder.stack()).unwrap();
    let (weight, _) = whole.split_once("]]").unwrap();
    let weight = weight.rsplit(',').next().unwrap();
    for bad in [
        "{",
        "[]",
        &whole.replace(weight, "null"),
        &whole.replace(weight, "1e39"),
        &whole.replace("\"popularity\"", "\"p\""),
    ] {
        fs::write(folder.stack(), bad).unwrap();
        let (mended, fits) = service(&folder);
        assert!(mended.refresh().unwrap().is_some());
        assert_eq!(fits.load(Ordering::Relaxed), 1, "{bad}");
        assert_eq!(fs::read_to_string(folder.stack()).unwrap(), whole);
    }
}

#[test]
fn baskets_and_strangers_get_lists_and_unknown_items_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (lists, _) = service(&shop(dir.path()));
    let basket = ["item-09".to_owned(), "item-12".to_owned()];
    let (list, _) = lists.recommend(asked(None, &basket), &WISHES, false).unwrap();
    assert!(list.personal && list.user_id.is_empty() && list.history == 2);
    assert!(
        list.items.iter().all(|item| item.item_id.as_str() >= "item-08"),
        "{list:?}"
    );
    assert!(list.items.iter().all(|item| !basket.contains(&item.item_id)));
    let (list, _) = lists.recommend(asked(None, &[]), &WISHES, false).unwrap();
    assert!(!list.personal && list.items.len() == 3);
    let reasons: Vec<String> = list
        .items
        .iter()
        .flat_map(|item| &item.reasons)
        .map(|reason| reason.clause())
        .collect();
    assert!(
        reasons
            .iter()
            .all(|reason| reason.starts_with("it is a bestseller in this shop (")),
        "{reasons:?}"
    );
    // What is in the basket counts most, whoever has it.
    let (list, _) = lists
        .recommend(asked(Some("u0"), &basket[..1]), &WISHES, false)
        .unwrap();
    assert_eq!((list.user_id.as_str(), list.history), ("u0", 6));
    let said = |user, basket: &[String]| {
        let refused = lists.recommend(asked(user, basket), &WISHES, false);
        refused.unwrap_err().to_string()
    };
    let said_of_item = said(None, &["item-9".to_owned()]);
    assert!(
        said_of_item.contains("no item \"item-9\"") && said_of_item.contains("\"item-09\""),
        "{said_of_item}"
    );
    assert!(said(Some("u99"), &[]).contains("near it"));
}

#[test]
fn orders_that_can_teach_little_still_make_lists_and_say_what_can_not_be_measured() {
    for (orders, customers) in [
        ("user_id,item_id,timestamp\na,x,1\n", 0),
        ("user_id,item_id,timestamp\na,x,1\nb,y,1\nc,x,1\n", 0),
        ("user_id,item_id,timestamp\na,x,1\na,y,2\n", 1),
        // Every latest item is one that nobody else has.
        (
            "user_id,item_id,timestamp\na,x,1\na,p,2\nb,x,1\nb,q,2\nc,x,1\nc,r,2\n",
            3,
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("shop.toml"),
            "[data]\nearliest = \"1970-01-01\"\n",
        )
        .unwrap();
        fs::write(dir.path().join("orders.csv"), orders).unwrap();
        let (lists, _) = service(&Folder::new(dir.path()));
        let gain = lists.gain().unwrap();
        assert_eq!(gain.customers, customers);
        let words = gain.words();
        assert!(
            words.contains("nothing to measure") == (customers == 0) && !words.contains("NaN"),
            "{words}"
        );
        for list in lists.recommend_all(&WISHES).unwrap() {
            assert!(list.items.iter().all(|item| item.score.is_finite()));
        }
        assert!(
            !lists
                .recommend(asked(None, &[]), &WISHES, false)
                .unwrap()
                .0
                .items
                .is_empty()
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let said = service(&Folder::new(dir.path()))
        .0
        .gain()
        .unwrap_err()
        .to_string();
    assert!(said.contains("shop.toml"), "{said}");
}

#[test]
fn lists_are_of_today_and_say_what_is_new_or_bought_these_days() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("shop.toml"), "[data]\n").unwrap();
    // 2024-01-01, and a purchase every four days: customers buy what came out last.
    let (day, start) = (86_400, 1_704_067_200_i64);
    let mut orders = "user_id,item_id,timestamp\n".to_owned();
    for user in 0..60_i64 {
        for at in 0..4 {
            let when = user + 4 * at;
            let item = (when / 4 + user % 3 / 2) % 20;
            orders += &format!("u{user},item-{item:02},{}\n", start + day * when);
        }
    }
    fs::write(dir.path().join("orders.csv"), orders).unwrap();
    let mut items = "item_id,published\n".to_owned();
    for item in 0..20_i64 {
        items += &format!("item-{item:02},{}\n", start + day * 4 * item);
    }
    fs::write(dir.path().join("items.csv"), items).unwrap();
    let folder = Folder::new(dir.path());
    let (lists, fits) = service(&folder);
    let at = |days: i64| Timestamp::from_secs(start + days * day + 3600);
    let shelf = lists.renew_shelf(at(70)).unwrap();
    let list = |shelf: &Shelf| shelf.lists.recommend(Customer::of(0), &WISHES);
    let first = list(&shelf);
    let ways: Vec<_> = first
        .items
        .iter()
        .flat_map(|item| &item.reasons)
        .filter_map(|why| why.channel)
        .collect();
    assert!(
        ways.iter()
            .any(|way| [Through::New, Through::BoughtLately].contains(way)),
        "{first:?}"
    );
    // The same shelf all day; another one tomorrow, by the same weights, and what was bought long ago counts less.
    assert!(Arc::ptr_eq(&shelf, &lists.renew_shelf(at(70)).unwrap()));
    let next = lists.renew_shelf(at(71)).unwrap();
    assert!(next.version != shelf.version && !Arc::ptr_eq(&shelf, &next));
    let later = list(&lists.renew_shelf(at(900)).unwrap());
    assert_ne!(
        later.items.iter().map(|item| item.score).collect::<Vec<_>>(),
        first.items.iter().map(|item| item.score).collect::<Vec<_>>()
    );
    assert_eq!(fits.load(Ordering::Relaxed), 1);
    // A restart reads the weights.
    let (again, fits) = service(&folder);
    let same = list(&again.renew_shelf(at(70)).unwrap());
    assert_eq!((same, fits.load(Ordering::Relaxed)), (first, 0));
}

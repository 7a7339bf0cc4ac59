//! A product feed read: XML (RSS or Atom), JSON, or a table of text, with the attributes of Google's product data specification.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use souk_common::clock::Timestamp;
use souk_common::table::{Row, RowSource, TextOptions, TextTable, number};

/// What a feed says of one item.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct FeedOffer {
    /// Whether it can be had now.
    pub available: bool,
    /// What it costs now, if that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// What it shares with its variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What was read of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offers {
    /// By the feed's ids.
    pub by_id: BTreeMap<String, FeedOffer>,
    /// What was left out or not understood, in words.
    pub doubts: Vec<String>,
}

/// Attributes of one item, as text.
type Attributes = BTreeMap<&'static str, String>;

/// Reads a feed. `currency` is that of its prices; by default all must be in one. Sales count if they are on at `now`.
///
/// # Errors
/// When it can't be read, is of no known form, has no items, or prices in several currencies.
pub fn read_offers(path: &Path, currency: Option<&str>, now: Timestamp) -> anyhow::Result<Offers> {
    let size = std::fs::metadata(path)?.len();
    ensure!(
        size <= MOST_BYTES,
        "it has {size} bytes, at most {MOST_BYTES} are read"
    );
    let bytes = std::fs::read(path)?;
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let items = match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => bail!("it is empty"),
        Some(b'<') => of_xml(std::str::from_utf8(start).context("it is not UTF-8: save it so")?)?,
        Some(b'{' | b'[') => of_json(start)?,
        Some(_) => of_table(path)?,
    };
    offers(&items, currency, now)
}

fn offers(items: &[Attributes], currency: Option<&str>, now: Timestamp) -> anyhow::Result<Offers> {
    let (mut offers, mut currencies) = (Offers::default(), BTreeSet::new());
    let (mut nameless, mut repeated, mut no_availability) = (0, 0, 0);
    let (mut bad_prices, mut foreign) = (0, 0);
    for item in items {
        let Some(id) = item.get("id").map(|id| id.trim()).filter(|id| !id.is_empty()) else {
            nameless += 1;
            continue;
        };
        let availability = item
            .get("availability")
            .map(|text| text.trim().to_lowercase().replace([' ', '-'], "_"));
        let availability =
            availability.map(|text| text.rsplit('/').next().unwrap_or_default().replace('_', ""));
        let available = match availability.as_deref() {
            Some("instock" | "limitedavailability" | "onlineonly") => true,
            // What can't be sent today can't be bought today.
            Some("outofstock" | "preorder" | "backorder" | "soldout" | "discontinued") => false,
            _ => {
                no_availability += 1;
                true
            }
        };
        let sale = item
            .get("sale_price")
            .filter(|_| is_on(item.get("sale_price_effective_date"), now));
        let price = match sale.or_else(|| item.get("price")).map(|text| money(text)) {
            None => None,
            Some(None) => {
                bad_prices += 1;
                None
            }
            Some(Some((amount, of))) => {
                let is_foreign =
                    currency.is_some_and(|wanted| !of.is_empty() && !of.eq_ignore_ascii_case(wanted));
                foreign += usize::from(is_foreign);
                if !of.is_empty() && !is_foreign {
                    currencies.insert(of);
                }
                (!is_foreign).then_some(amount)
            }
        };
        let group = item.get("item_group_id").map(|group| group.trim().to_owned());
        let offer = FeedOffer {
            available,
            price,
            group: group.filter(|group| !group.is_empty()),
        };
        if offers.by_id.insert(id.to_owned(), offer).is_some() {
            repeated += 1;
        }
    }
    ensure!(
        currencies.len() <= 1,
        "it has prices in {}: say which counts with `currency`",
        currencies.into_iter().collect::<Vec<_>>().join(" and ")
    );
    ensure!(!offers.by_id.is_empty(), "it has no item with an id");
    for (count, said) in [
        (nameless, "items without an id are left out"),
        (repeated, "items stand there more than once: the last counts"),
        (
            no_availability,
            "items have no availability that is known: they are taken to be in stock",
        ),
        (
            bad_prices,
            "prices are not understood: those items keep the price that they had",
        ),
        (
            foreign,
            "prices are in another currency: those items keep the price that they had",
        ),
    ] {
        if count > 0 {
            offers.doubts.push(format!("{count} {said}"));
        }
    }
    Ok(offers)
}

/// `2026-11-24T11:07:31+0100/2026-11-30T23:07:31+0100`; without it a sale is on.
fn is_on(period: Option<&String>, now: Timestamp) -> bool {
    let time = |text: &str| {
        let formats = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"];
        let text = text.trim().replace('Z', "+0000");
        formats
            .iter()
            .find_map(|format| jiff::Timestamp::strptime(format, &text).ok())
            .or_else(|| text.parse().ok())
            .map(|time: jiff::Timestamp| time.as_millisecond())
    };
    let Some(period) = period.filter(|period| !period.trim().is_empty()) else {
        return true;
    };
    // A period that is not understood is no reason to name the lower price.
    let Some((Some(from), Some(until))) = period
        .split_once('/')
        .map(|(from, until)| (time(from), time(until)))
    else {
        return false;
    };
    (from..=until).contains(&now.0)
}

/// `12.50 EUR`, `EUR 12,50`, `12.5`: the amount and the currency, if there is one.
fn money(text: &str) -> Option<(f64, String)> {
    let is_letter = |char: &char| char.is_ascii_alphabetic();
    let currency: String = text.chars().filter(is_letter).collect::<String>().to_uppercase();
    let amount: String = text.chars().filter(|char| !is_letter(char)).collect();
    let amount = number::parse(amount.trim(), false).filter(|amount| *amount >= 0.0)?;
    (currency.is_empty() || currency.len() == 3).then_some((amount, currency))
}

/// The attribute that a name means: `g:item_group_id`, `item group id`, `itemGroupId`.
fn attribute(name: &str) -> Option<&'static str> {
    let name = name.rsplit(':').next().unwrap_or_default();
    let bare: String = name.chars().filter(|char| char.is_alphanumeric()).collect();
    match bare.to_lowercase().as_str() {
        "id" | "offerid" => Some("id"),
        "availability" => Some("availability"),
        "price" => Some("price"),
        "saleprice" => Some("sale_price"),
        "salepriceeffectivedate" => Some("sale_price_effective_date"),
        "itemgroupid" => Some("item_group_id"),
        _ => None,
    }
}

fn of_xml(text: &str) -> anyhow::Result<Vec<Attributes>> {
    let mut reader = Reader::from_str(text);
    let (mut items, mut item): (Vec<Attributes>, Option<Attributes>) = (Vec::new(), None);
    // Elements within an item, and the attribute that is being read.
    let (mut depth, mut value): (usize, Option<(&'static str, String)>) = (0, None);
    loop {
        let place = reader.buffer_position();
        let event = reader
            .read_event()
            .with_context(|| format!("it is no XML behind byte {place}"))?;
        match event {
            Event::Start(start) if item.is_none() => {
                if matches!(start.local_name().as_ref(), "item" | "entry") {
                    (item, depth) = (Some(Attributes::new()), 0);
                }
            }
            Event::Start(start) => {
                depth += 1;
                // Shipping and others have prices of their own, one deeper.
                if depth == 1 {
                    value = attribute(start.local_name().as_ref()).map(|name| (name, String::new()));
                }
            }
            Event::Text(piece) => {
                if let Some((_, text)) = value.as_mut().filter(|_| depth == 1) {
                    text.push_str(&piece.xml10_content());
                }
            }
            Event::CData(piece) => {
                if let Some((_, text)) = value.as_mut().filter(|_| depth == 1) {
                    text.push_str(&piece.xml10_content());
                }
            }
            Event::GeneralRef(named) => {
                if let Some((_, text)) = value.as_mut().filter(|_| depth == 1) {
                    let char = named.resolve_char_ref().ok().flatten().or(match named.as_ref() {
                        "amp" => Some('&'),
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        _ => None,
                    });
                    text.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
            Event::End(_) if depth > 0 => {
                depth -= 1;
                if depth == 0
                    && let (Some(item), Some((name, text))) = (&mut item, value.take())
                {
                    item.insert(name, text);
                }
            }
            Event::End(_) => items.extend(item.take()),
            Event::Eof => {
                ensure!(item.is_none(), "it ends in the middle of an item");
                break;
            }
            _ => {}
        }
    }
    Ok(items)
}

fn of_json(bytes: &[u8]) -> anyhow::Result<Vec<Attributes>> {
    let value: Value = serde_json::from_slice(bytes).context("it is no JSON")?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => {
            let named = ["items", "products", "resources", "entries"]
                .into_iter()
                .find_map(|name| object.remove(name));
            match named {
                Some(Value::Array(list)) => list,
                _ => bail!(
                    "it is JSON without a list of items: a list, or a list under \"items\" or \"products\""
                ),
            }
        }
        _ => bail!("it is JSON without a list of items"),
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(money) => {
            let part = |name| {
                money
                    .get(name)
                    .map(|part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            };
            Some(format!("{} {}", part("value")?, part("currency")?))
        }
        _ => None,
    };
    let attributes = list.iter().map(|item| {
        let fields = item.as_object().into_iter().flatten();
        fields
            .filter_map(|(name, value)| Some((attribute(name)?, text(value)?)))
            .collect()
    });
    Ok(attributes.collect())
}

fn of_table(path: &Path) -> anyhow::Result<Vec<Attributes>> {
    let options = TextOptions {
        spans: true,
        ..TextOptions::default()
    };
    let mut table = TextTable::open(path, options)?;
    let columns: Vec<Option<&'static str>> = table.header().iter().map(|name| attribute(name)).collect();
    ensure!(
        columns.contains(&Some("id")),
        "it has no column `id`, and is no XML or JSON"
    );
    let (mut items, mut row) = (Vec::new(), Row::default());
    while table.next_row(&mut row)? {
        let fields = row.fields().zip(&columns);
        let attributes: Attributes = fields
            .filter_map(|(field, name)| Some(((*name)?, field.to_owned())))
            .filter(|(_, field)| !field.is_empty())
            .collect();
        items.push(attributes);
    }
    Ok(items)
}

/// Of a feed that are read.
pub(super) const MOST_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    const XML: &str = r#"<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title><link>x</link>
<item><g:id>a&amp;1</g:id><title>Tea</title><g:availability>in_stock</g:availability><g:price>12.50 EUR</g:price>
<g:shipping><g:price>4.90 EUR</g:price></g:shipping><g:item_group_id>g1</g:item_group_id></item>
<item><g:id><![CDATA[b]]></g:id><g:availability>out of stock</g:availability><g:price>20 EUR</g:price>
<g:sale_price>15.00 EUR</g:sale_price><g:sale_price_effective_date>2026-11-24T11:00:00+0100/2026-11-30T23:00:00+0100</g:sale_price_effective_date></item>
<item><g:id>c</g:id><g:availability>preorder</g:availability><g:price>20 EUR</g:price><g:sale_price>1 EUR</g:sale_price>
<g:sale_price_effective_date>2026-01-01T00:00+0100/2026-01-02T00:00+0100</g:sale_price_effective_date></item>
</channel></rss>"#;
    const CSV: &str = "id\ttitle\tavailability\tprice\tsale price\titem group id\na&1\tTea\tin_stock\t12.50 EUR\t\tg1\nb\tPot\tout_of_stock\t20 EUR\t15.00 EUR\t\nc\tCup\tpreorder\t20 EUR\t\t\n";
    const JSON: &str = r#"{"products": [
        {"offerId": "a&1", "availability": "in stock", "price": {"value": "12.50", "currency": "EUR"}, "itemGroupId": "g1"},
        {"id": "b", "availability": "https://schema.org/OutOfStock", "price": "20 EUR", "sale_price": "15.00 EUR"},
        {"id": "c", "availability": "preorder", "price": "EUR 20"}]}"#;

    fn read(text: impl AsRef<[u8]>, currency: Option<&str>) -> anyhow::Result<Offers> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed");
        fs::write(&path, text).unwrap();
        read_offers(&path, currency, NOON)
    }

    #[test]
    fn xml_json_and_tables_say_the_same() {
        let offer = |available, price, group: Option<&str>| FeedOffer {
            available,
            price: Some(price),
            group: group.map(str::to_owned),
        };
        let expected: BTreeMap<String, FeedOffer> = [
            ("a&1".to_owned(), offer(true, 12.5, Some("g1"))),
            ("b".to_owned(), offer(false, 15.0, None)),
            ("c".to_owned(), offer(false, 20.0, None)),
        ]
        .into();
        for text in [XML, CSV, JSON] {
            let offers = read(text, None).unwrap();
            assert_eq!(
                (offers.by_id, offers.doubts),
                (expected.clone(), vec![]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_counted_and_what_is_no_feed_is_refused() {
        let text = "id,availability,price\na,perhaps,1 EUR\nb,in_stock,dear\n,in_stock,1\na,in_stock,2 EUR\n";
        let offers = read(text, None).unwrap();
        assert_eq!(offers.by_id["a"].price, Some(2.0));
        for said in [
            "1 items without an id",
            "more than once",
            "no availability",
            "1 prices are not understood",
        ] {
            assert!(
                offers.doubts.iter().any(|doubt| doubt.contains(said)),
                "{said}: {:?}",
                offers.doubts
            );
        }
        let two = "id,price\na,1 EUR\nb,2 USD\n";
        assert!(format!("{:#}", read(two, None).unwrap_err()).contains("EUR and USD"));
        let offers = read(two, Some("eur")).unwrap();
        assert_eq!(
            (offers.by_id["a"].price, offers.by_id["b"].price),
            (Some(1.0), None)
        );
        for (text, said) in [
            ("", "it is empty"),
            ("name,price\na,1\n", "no column `id`"),
            ("<rss><channel></channel></rss>", "no item with an id"),
            ("<rss><item><id>a</id>", "middle of an item"),
            ("<rss><item><id>a</idd></item></rss>", "no XML behind byte"),
            ("{\"a\": 1}", "without a list of items"),
            ("[{\"id\":", "it is no JSON"),
        ] {
            let error = format!("{:#}", read(text, None).expect_err(text));
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_feed_or_refused(
            start in "|<rss><item>|\\[|id,price\n",
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let _ = read([start.as_bytes(), &bytes].concat(), None);
        }
    }
}

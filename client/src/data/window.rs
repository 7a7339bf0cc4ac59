//! For how long interactions are kept.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Instant};
use souk_common::clock::Timestamp;

use crate::data::config::ShopDataConfig;

/// For how long interactions are kept, in words.
pub(crate) fn kept_words(config: &ShopDataConfig) -> String {
    match config.keep_days {
        None => "all interactions are kept, whatever their age (keep_days under [data] in shop.toml says for how many days)".to_owned(),
        Some(days) => format!("interactions of the last {} days are kept (keep_days); your own files are never touched", days.get()),
    }
}

/// The first second, since 1970, of what is kept at `now`: `keep_days` days before the one that it is in the shop's zone begins. None:
/// all is kept. A zone that makes no sense keeps all, and is told by whoever reads a time in it.
pub(crate) fn kept_since(config: &ShopDataConfig, now: Timestamp) -> Option<i64> {
    let days = config.keep_days?;
    let zone = match config.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).ok()?,
    };
    let today = zone.to_datetime(Instant::from_millisecond(now.0).ok()?).date();
    let first = today.checked_sub(Span::new().days(i64::from(days.get()))).ok()?;
    Some(zone.to_timestamp(first.into()).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::keep_days::KeepDays;

    fn parse(text: &str) -> Result<ShopDataConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn first_kept(text: &str, now: &str) -> Option<String> {
        let now = now.parse::<Instant>().unwrap().as_millisecond();
        let first = kept_since(&parse(text).unwrap(), Timestamp(now))?;
        Some(Instant::from_second(first).unwrap().to_string())
    }

    #[test]
    fn days_are_the_shops_days_also_where_clocks_were_put_back_between() {
        let now = "2026-11-28T23:30:00Z";
        let kept = |text: &str| first_kept(text, now);
        assert_eq!(kept("").as_deref(), None);
        assert_eq!(kept("keep_days = 1").as_deref(), Some("2026-11-27T00:00:00Z"));
        let vienna = "time_zone = 'Europe/Vienna'\nkeep_days = ";
        // It is the 29th there, and 35 days before was summer.
        assert_eq!(
            kept(&format!("{vienna}1")).as_deref(),
            Some("2026-11-27T23:00:00Z")
        );
        assert_eq!(
            kept(&format!("{vienna}36")).as_deref(),
            Some("2026-10-23T22:00:00Z")
        );
        assert_eq!(kept("time_zone = 'Nowhere/At All'\nkeep_days = 1"), None);
    }

    #[test]
    fn less_than_a_day_is_refused_and_settings_without_it_are_as_before() {
        for (text, said) in [
            ("keep_days = 0", "keep_days is 0"),
            ("keep_days = -3", "keep_days is -3"),
            ("keep_days = 36526", "from 1 to 36525"),
            ("keep_days = 4294967296", "keep_days is 4294967296"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let text = toml::to_string(&parse("keep_days = 730").unwrap()).unwrap();
        assert_eq!(parse(&text).unwrap().keep_days.map(KeepDays::get), Some(730));
        assert!(
            !toml::to_string(&ShopDataConfig::default())
                .unwrap()
                .contains("keep_days")
        );
    }
}

use super::*;

/// 2026-11-28 12:00 UTC.
const NOW: Timestamp = Timestamp(1_795_867_200_000);

fn times(settings: &str) -> Times {
    let config: ShopDataConfig = toml::from_str(settings).expect("settings");
    Times::new(&config, NOW).expect("that say something")
}

fn refusal(settings: &str, text: &str) -> String {
    let fault = times(settings).parse(text).expect_err(text);
    format!("{}: {}", fault.kind, fault.reason)
}

#[test]
fn every_way_to_write_one_moment_agrees() {
    for text in [
        "1483815324",
        "1483815324.7",
        "1483815324,7",
        "1483815324000",
        "1483815324123.0",
        "20170107185524",
        "2017-01-07T18:55:24Z",
        "2017-01-07T18:55:24.250Z",
        "2017-01-07T19:55:24+01:00",
        "2017-01-07 13:55:24 -0500",
        "2017-01-07 13:55:24-05",
        "2017-01-07 13:55:24 -05:00",
        "2017-01-07 18:55:24",
        "2017-01-07 18:55:24 UTC",
        "2017-01-07 18:55:24 GMT",
        "2017-01-07T18:55:24",
        "2017/01/07 18:55:24",
        "2017-01-07T19:55:24+01:00[Europe/Berlin]",
    ] {
        assert_eq!(times("").parse(text), Ok(1_483_815_324), "{text}");
    }
    for text in [
        "2017-01-07",
        "20170107",
        "2017/01/07",
        "2017-01-07 00:00",
        "42742",
    ] {
        assert_eq!(times("").parse(text), Ok(1_483_747_200), "{text}");
    }
    assert_eq!(show(1_483_747_200), "2017-01-07T00:00:00Z");
}

#[test]
fn compact_dates_and_excels_days_are_told_by_their_size_and_said() {
    let mut times = times("");
    // 15 January 2024.
    assert_eq!(times.parse("20240115"), Ok(1_705_276_800));
    for (text, hour) in [("45306.25", 6), ("45306,50", 12), ("45306.75", 18)] {
        assert_eq!(times.parse(text), Ok(1_705_276_800 + hour * 3600), "{text}");
    }
    assert_eq!(times.parse("1705276800000"), Ok(1_705_276_800));
    let told = times.told().join("\n");
    for part in [
        "1 read as YYYYMMDD",
        "3 read as Excel's",
        "1 read as milliseconds",
        "4 without an offset, taken as UTC",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_is_before_1990_or_after_tomorrow_is_refused_by_name() {
    for (text, parts) in [
        ("", &["empty"][..]),
        ("0", &["day number", "1970-01-01"]),
        ("2", &["day number"]),
        ("17001", &["day number", "2016-07-19"]),
        ("-5", &["too early", "1969-12-31"]),
        ("631151999", &["too early", "before 1990-01-01", "earliest"]),
        ("1989-12-31", &["too early"]),
        ("19891231", &["too early"]),
        ("1796083200", &["future", "2026-12-01"]),
        ("2026-11-30", &["future"]),
        ("20261130", &["future"]),
        ("9999999999", &["future"]),
        ("1483815324000000", &["microseconds", "2017-01-07"]),
        ("NaN", &["no time"]),
        ("inf", &["no time"]),
        ("1e300", &["no time"]),
        ("yesterday", &["no time"]),
        ("2017-13-01", &["no time"]),
        ("20171301", &["too early"]),
        ("12:30", &["no time"]),
    ] {
        let told = refusal("", text);
        assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
    }
    assert_eq!(times("").parse("2026-11-29 23:59:59"), Ok(1_795_996_799));
    assert_eq!(times("").parse("1990-01-01"), Ok(631_152_000));
    let mut old = times("earliest = \"1970-01-01\"");
    assert_eq!(
        (old.parse("17001"), old.parse("1975-01-01")),
        (Ok(17001), Ok(157_766_400))
    );
}

#[test]
fn a_year_of_two_digits_where_four_are_set_is_told_what_to_set() {
    for (pattern, text, right) in [
        ("%d/%m/%Y", "05/01/24", "%d/%m/%y"),
        ("%d.%m.%Y %H:%M", "5.1.24 10:22", "%d.%m.%y %H:%M"),
    ] {
        let told = refusal(&format!("time_format = {pattern:?}"), text);
        assert!(told.contains(&format!("set time_format = {right:?}")), "{told}");
        assert!(times(&format!("time_format = {right:?}")).parse(text).is_ok());
    }
}

#[test]
fn day_or_month_first_is_refused_with_both_readings_until_it_is_set() {
    let told = refusal("", "11/1/2000");
    for part in [
        "11 January 2000 with time_format = \"%d/%m/%Y\"",
        "1 November 2000 with time_format = \"%m/%d/%Y\"",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = refusal("", "05.01.24 14:30");
    assert!(
        told.contains("5 January 2024 with time_format = \"%d.%m.%y %H:%M\""),
        "{told}"
    );
    // Even where only one is possible: the next line may say otherwise.
    let told = refusal("", "31/01/2024 09:00");
    assert!(
        told.contains("it can only be 31 January 2024")
            && !told.contains("%m/%d")
            && !told.contains("may be"),
        "{told}"
    );
    assert_eq!(
        times("time_format = \"%m/%d/%Y\"").parse("11/1/2000"),
        Ok(973_036_800)
    );
    let mut days = times("time_format = \"%d/%m/%Y %H:%M\"");
    assert_eq!(days.parse("05/01/2024 14:30"), Ok(1_704_465_000));
    // Year first can't be mistaken.
    assert_eq!(days.parse("2024-02-01 10:00"), Ok(1_706_781_600));
    let told = refusal("time_format = \"%d/%m/%Y %H:%M\"", "soon");
    assert!(told.contains("time_format"), "{told}");
    assert_eq!(
        times("time_format = \"%d %b %Y %I:%M %p %z\"").parse("05 Jan 2024 02:30 PM +0100"),
        Ok(1_704_461_400)
    );
    assert_eq!(
        times("time_format = \"microseconds\"").parse("1483815324000000"),
        Ok(1_483_815_324)
    );
    assert_eq!(
        times("time_format = \"excel\"").parse("45306.25"),
        Ok(1_705_298_400)
    );
}

#[test]
fn local_times_are_the_shops_own_and_clocks_that_jump_are_counted() {
    let mut berlin = times("time_zone = \"Europe/Berlin\"");
    assert_eq!(berlin.parse("2024-01-15 12:00"), Ok(1_705_316_400));
    assert_eq!(berlin.parse("2024-07-15 12:00"), Ok(1_721_037_600));
    assert_eq!(berlin.parse("2024-01-15 12:00 UTC"), Ok(1_705_320_000));
    assert_eq!(berlin.told(), Vec::<String>::new());
    // There was no 02:30 on 31 March; there were two on 27 October.
    assert_eq!(berlin.parse("2024-03-31 02:30"), Ok(1_711_848_600));
    assert_eq!(berlin.parse("2024-10-27 02:30"), Ok(1_729_989_000));
    let told = berlin.told().join("\n");
    assert!(
        told.contains("1 that Europe/Berlin's clocks passed over"),
        "{told}"
    );
    assert!(
        told.contains("1 that Europe/Berlin's clocks showed twice"),
        "{told}"
    );
}

#[test]
fn settings_that_say_nothing_are_refused() {
    for (setting, part) in [
        ("time_format = \"dd/mm/yyyy\"", "names no part of a time"),
        ("time_format = \"%!\"", "time_format"),
        ("time_zone = \"Berlin\"", "time_zone"),
        ("earliest = \"long ago\"", "1985-06-01"),
    ] {
        let config: ShopDataConfig = toml::from_str(setting).expect("a table");
        let Err(error) = Times::new(&config, NOW) else {
            panic!("{setting}")
        };
        assert!(error.to_string().contains(part), "{error}");
    }
}

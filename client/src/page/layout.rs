//! What all pages share: landmarks, the menu, languages; moments, ages and commands as they stand in text.

use jiff::Timestamp as Instant;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use souk_common::clock::Timestamp;
use souk_common::date::date;

use super::visitor::Visitor;
use super::words::{Language, Words, fill};

/// A page of the menu.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Today,
    Left,
    Privacy,
    Gain,
    Data,
    Rounds,
    Customer,
    Rules,
    Experiment,
    Unmatched,
    Keys,
}

impl Place {
    pub(super) const ALL: [Self; 11] = [
        Self::Today,
        Self::Left,
        Self::Privacy,
        Self::Gain,
        Self::Data,
        Self::Rounds,
        Self::Customer,
        Self::Rules,
        Self::Experiment,
        Self::Unmatched,
        Self::Keys,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Today => "/",
            Self::Left => "/left",
            Self::Privacy => "/privacy",
            Self::Gain => "/gain",
            Self::Data => "/data",
            Self::Rounds => "/rounds",
            Self::Customer => "/customer",
            Self::Rules => "/rules",
            Self::Experiment => "/experiment",
            Self::Unmatched => "/unmatched",
            Self::Keys => "/keys",
        }
    }

    /// Whether there is nothing to show of it without a federation.
    pub(super) fn needs_federation(self) -> bool {
        matches!(
            self,
            Self::Left | Self::Privacy | Self::Rounds | Self::Unmatched | Self::Keys
        )
    }

    pub(super) fn name(self, words: &Words) -> &'static str {
        match self {
            Self::Today => words.today,
            Self::Left => words.left,
            Self::Privacy => words.privacy,
            Self::Gain => words.gain,
            Self::Data => words.data,
            Self::Rounds => words.rounds,
            Self::Customer => words.customer,
            Self::Rules => words.rules,
            Self::Experiment => words.experiment,
            Self::Unmatched => words.unmatched,
            Self::Keys => words.keys,
        }
    }
}

/// A page of the menu, whole; `body` is what changes while it is looked at, and `as_of` the moment that it shows.
pub(super) fn page(
    visitor: &Visitor,
    shop: Option<&str>,
    place: Place,
    as_of: Option<Timestamp>,
    body: &Markup,
) -> Markup {
    let words = visitor.language.words();
    let reloads = place == Place::Today;
    let menu = html! {
        @if let Some(session) = &visitor.session {
            form id="signout" method="post" action="/signout" {
                input type="hidden" name="form_token" value=(session.form_token);
                button type="submit" { (words.sign_out) }
            }
        }
        nav id="menu" aria-label=(words.menu) {
            ul {
                @for other in Place::ALL {
                    li { a href=(other.path()) aria-current=[(other == place).then_some("page")] { (other.name(words)) } }
                }
            }
        }
    };
    let main = html! {
        h1 { (place.name(words)) }
        div id="live" {
            (body)
            @if let Some(at) = as_of { p id="as-of" class="dim" { (fill(words.as_of, &[("when", &minute(at))])) } }
        }
    };
    // A look-up stays as it was asked for, and so does what somebody types.
    let script =
        html! { @if !matches!(place, Place::Customer | Place::Rules) { script { (PreEscaped(SCRIPT)) } } };
    document(
        visitor.language,
        place.name(words),
        place.path(),
        shop,
        reloads,
        &menu,
        &main,
        &script,
    )
}

/// A page without a menu, for whoever has no session.
pub(super) fn outside(language: Language, title: &str, path: &str, main: &Markup) -> Markup {
    document(language, title, path, None, false, &html! {}, main, &html! {})
}

fn document(
    language: Language,
    title: &str,
    path: &str,
    shop: Option<&str>,
    reloads: bool,
    menu: &Markup,
    main: &Markup,
    script: &Markup,
) -> Markup {
    let words = language.words();
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if reloads { noscript { meta http-equiv="refresh" content="60"; } }
                title { (title) " · " (shop.unwrap_or(words.site)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { (words.skip) }
                header {
                    p { strong { (words.site) } @if let Some(shop) = shop { " · " (shop) } }
                    (menu)
                }
                main id="main" tabindex="-1" { (main) }
                footer {
                    nav class="languages" id="languages" aria-label=(words.languages) {
                        ul {
                            @for other in Language::ALL {
                                li {
                                    a href={ (path) "?lang=" (other.short()) } lang=(other.tag()) hreflang=(other.tag())
                                        aria-current=[(other == language).then_some("true")] { (other.own_name()) }
                                }
                            }
                        }
                    }
                    p { (words.footer) }
                }
                (script)
            }
        }
    }
}

/// A moment, to the minute.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(date(at)) { (minute(at)) } }
}

/// The same within a sentence.
pub(super) fn minute(at: Timestamp) -> String {
    Instant::from_millisecond(at.0).map_or_else(
        |_| at.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// The day of a time in seconds since 1970.
pub(super) fn day(secs: i64) -> String {
    Instant::from_second(secs).map_or_else(|_| secs.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// How old something is, in the largest unit of which there are two.
pub(super) fn age(words: &Words, since: Timestamp, now: Timestamp) -> String {
    let secs = now.since(since).as_secs();
    let (length, text) = match secs {
        secs if secs >= 2 * 86_400 => (86_400, words.age_days),
        secs if secs >= 2 * 3_600 => (3_600, words.age_hours),
        secs if secs >= 2 * 60 => (60, words.age_minutes),
        _ => return words.age_new.to_owned(),
    };
    fill(text, &[("count", &(secs / length))])
}

/// A number with its digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What the program reports, which is in English whatever the page's language.
pub(super) fn reported(language: Language, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() && language != Language::English { p class="dim" { (language.words().reason_in_english) } }
        ul lang="en" { @for line in lines { li { (line) } } }
    }
}

/// A command to type.
pub(super) fn command(line: &str) -> Markup {
    html! { pre tabindex="0" { code { (line) } } }
}

pub(super) const STYLE: &str = include_str!("style.css");
/// Puts in what is new when the server says that something is.
pub(super) const SCRIPT: &str = include_str!("live.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_numbers_and_moments_are_written_out() {
        let (english, chinese) = (Language::English.words(), Language::Chinese.words());
        let at = |secs| Timestamp::from_secs(secs);
        assert_eq!(age(english, at(0), at(119)), "published just now");
        assert_eq!(age(english, at(0), at(7_199)), "119 minutes old");
        assert_eq!(age(english, at(0), at(7_200)), "2 hours old");
        assert_eq!(age(chinese, at(0), at(9 * 86_400)), "已有 9 天");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
        assert_eq!(minute(at(0)), "1970-01-01 00:00 UTC");
        assert_eq!(day(86_400), "1970-01-02");
    }

    /// Relative luminance and contrast of WCAG 2.2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |colour: &str| {
            let digits: String = match colour.len() {
                4 => colour[1..].chars().flat_map(|digit| [digit, digit]).collect(),
                _ => colour[1..].to_owned(),
            };
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_has_a_contrast_of_at_least_4_5_in_light_and_dark() {
        let colour = |block: &str, name: &str| {
            let after = block
                .split(&format!("--{name}:"))
                .nth(1)
                .expect("the colour is there");
            after.split([';', '}']).next().expect("an end").to_owned()
        };
        let mut blocks = STYLE.split(":root{").skip(1);
        for block in [blocks.next().unwrap(), blocks.next().unwrap()] {
            for text in ["ink", "dim", "link", "good", "bad"] {
                for ground in ["paper", "card"] {
                    let got = contrast(&colour(block, text), &colour(block, ground));
                    assert!(got >= 4.5, "{text} on {ground}: {got}");
                }
            }
        }
        assert!((contrast("#fff", "#000000") - 21.0).abs() < 1e-9);
    }
}

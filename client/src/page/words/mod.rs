//! All texts of the page, a file a language. A text may have places for values, `{name}`, which [`fill`] fills.

mod en;
mod zh;

use std::fmt::Display;

/// A language of the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// What was asked for in the address, else chosen before, else what the browser likes best (RFC 9110, 12.5.4), else
    /// English.
    pub(super) fn wanted(asked: Option<&str>, before: Option<&str>, accepted: Option<&str>) -> Self {
        let named = asked
            .and_then(Self::named)
            .or_else(|| before.and_then(Self::named));
        named.unwrap_or_else(|| accepted.map_or(Self::English, Self::accepted))
    }

    fn named(tag: &str) -> Option<Self> {
        let main = tag.trim().split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| {
            language
                .tag()
                .split('-')
                .next()
                .is_some_and(|own| own.eq_ignore_ascii_case(main))
        })
    }

    fn accepted(header: &str) -> Self {
        let weighed = header.split(',').filter_map(|one| {
            let (tag, parameters) = one.split_once(';').unwrap_or((one, ""));
            let weight = match parameters.trim().strip_prefix("q=") {
                Some(weight) => weight.trim().parse::<f32>().ok()?,
                None => 1.0,
            };
            Some((Self::named(tag)?, weight)).filter(|(_, weight)| *weight > 0.0)
        });
        // Of equals the first.
        let best = weighed.reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.map_or(Self::English, |(language, _)| language)
    }

    /// As `lang` has it (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// As the address has it.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// In the language itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &en::WORDS,
            Self::Chinese => &zh::WORDS,
        }
    }
}

/// A text with its places filled; a place that nobody fills stays as it is, so that it is seen.
pub(super) fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(&value.to_string()),
            None => filled.push_str(&format!("{{{name}}}")),
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

macro_rules! texts {
    ($($name:ident)*) => {
        /// Every text of the page in one language.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        #[cfg(test)]
        impl Words {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

texts! {
    // Frame.
    site skip menu languages sign_out as_of footer starting no_federation reason_in_english
    age_days age_hours age_minutes age_new
    // Places.
    today left privacy gain data rounds customer rules experiment unmatched keys
    // Door.
    signin signin_lead signin_link signin_token signin_button signin_bad_token signin_bad_code foreign_form
    // Today.
    lists_fresh lists_missing by_alone by_together by_model learned nothing_learned untrained orders_until
    all_well one_worry worries more
    worry_data worry_stale worry_budget worry_unbounded worry_refusals worry_key worry_read worry_health worry_collapsed worry_old worry_offline worry_tcp worry_forked
    card_lists card_lists_text card_data_text card_privacy_text card_privacy_unbounded card_gain_text card_gain_none
    card_left_text card_left_none left_no_noise card_rounds_text card_rounds_none card_rounds_over card_unmatched_text
    card_unmatched_none card_keys_text card_keys_none own_catalogue
    // What left.
    left_lead left_none left_table left_when left_round left_bytes left_digest left_what left_masks left_state left_file
    left_masked left_bare left_release left_tower left_clicks left_model left_unknown left_more left_gone left_receipt left_refused left_waiting left_get left_total left_beside left_kept left_late
    // Privacy.
    privacy_gauge privacy_spent privacy_spent_period privacy_unbounded privacy_left privacy_exact privacy_means_1 privacy_means_2
    privacy_shared privacy_readers privacy_alone privacy_without_bound privacy_kinds privacy_kind privacy_count privacy_no_rounds
    kind_release kind_tower kind_model kind_clicks kind_unknown
    // Gain.
    gain_lead gain_none gain_nobody gain_alone gain_together gain_table gain_way gain_hits gain_error gain_difference gain_customers gain_used
    gain_not_used gain_why gain_switch gain_chart gain_chart_together
    // Data.
    data_lead data_none data_trouble data_doubt data_taken data_left_out data_bad data_rows data_count data_days data_missing data_guessed
    data_statuses data_warnings data_bad_lines data_line data_file data_reason data_more data_table data_bought data_not_bought
    state_kept state_refused state_failed state_gone data_more_help
    // Rounds.
    rounds_lead rounds_next rounds_none rounds_over rounds_take rounds_decline rounds_charged rounds_heard rounds_heard_none rounds_when rounds_what
    heard_accepted heard_declined heard_ready heard_received heard_rejected heard_slow heard_model heard_quorum heard_unmasked heard_forked
    // A customer.
    customer_lead customer_label customer_button customer_unknown customer_has customer_nothing customer_list customer_list_none customer_rank customer_item
    customer_score customer_why customer_made customer_picture customer_picture_none customer_not_personal no_lists
    why_region why_here why_new why_lately why_after why_together why_alike why_trained_item why_trained why_bought shared_category shared_brand
    shared_price why_shared
    // Items without a home.
    unmatched_lead unmatched_none unmatched_own unmatched_total unmatched_item unmatched_title unmatched_sold unmatched_near unmatched_how
    unmatched_table
    // Keys.
    keys_lead keys_own keys_none keys_others keys_shop keys_state keys_print keys_qr key_own key_confirmed key_open key_changed keys_how_1
    keys_how_2 keys_how_3
    // Rules.
    comma rules_lead rules_now rules_last_good rules_none_good rules_edit rules_no_edit rules_too_long rules_text rules_help rules_user rules_preview
    rules_save rules_saved rules_wrong rules_hide rules_anyway rules_changed rules_load worry_rules
    rule_keep rule_up rule_down rule_pin rule_until rule_never rule_brand rule_category rule_diversity rule_new_items rule_freshness rule_variants
    rule_variants_off rule_out_of_stock rule_in_cart rule_default rule_where list_recommendations list_similar list_bought_together list_popular
    list_trending list_new feeds feed_none feed_kept
    rules_would rules_filtered rules_list rules_list_of rules_list_anybody rules_before rules_after rules_was rules_is_new rules_left_out
    not_retired not_ad not_never not_hidden not_in_stock not_filter not_others effect_keep effect_boost effect_never effect_new_items effect_always effect_unknown
    // Experiment.
    experiment_lead experiment_none experiment_begin experiment_offline experiment_offline_means experiment_nobody experiment_runs
    experiment_counts experiment_table experiment_arm experiment_customers experiment_bought experiment_share experiment_interval
    experiment_intervals experiment_too_few experiment_more experiment_fewer experiment_open experiment_bounds experiment_picture
    arm_bestsellers arm_alone arm_together
    // Reasons between shop and coordinator.
    decline_budget decline_noise decline_no_noise decline_paused decline_plan decline_not_named decline_upload decline_forked decline_interrupted decline_failed decline_no_masks decline_few_shops decline_few_known decline_list decline_not_fetched decline_few_colluding decline_few_neighbours reject_not_open reject_length reject_digest reject_second reject_not_named reject_not_accepted reject_not_stored reject_not_signed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn places(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts
            .map(|part| part.split('}').next().expect("a first part"))
            .collect()
    }

    #[test]
    fn no_text_is_missing_and_both_languages_have_the_same_places_for_values() {
        let (english, chinese) = (Language::English.words().all(), Language::Chinese.words().all());
        assert!(english.len() > 150, "{}", english.len());
        for ((name, in_english), (_, in_chinese)) in english.into_iter().zip(chinese) {
            assert!(
                !in_english.trim().is_empty() && !in_chinese.trim().is_empty(),
                "{name}"
            );
            assert_eq!(places(in_english), places(in_chinese), "{name}");
            let is_chinese = |letter: char| ('\u{4e00}'..='\u{9fff}').contains(&letter);
            assert!(in_english.chars().all(|letter| !is_chinese(letter)), "{name}");
            let is_name = in_chinese == in_english && name == "site" || name == "comma";
            assert!(
                is_name || in_chinese.chars().any(is_chinese),
                "{name}: {in_chinese}"
            );
        }
    }

    #[test]
    fn every_text_of_the_struct_is_shown_somewhere() {
        let views = concat!(
            include_str!("../layout.rs"),
            include_str!("../chart.rs"),
            include_str!("../door.rs"),
            include_str!("../routes.rs"),
            include_str!("../views/mod.rs"),
            include_str!("../views/today.rs"),
            include_str!("../views/worries.rs"),
            include_str!("../views/codes.rs"),
            include_str!("../views/left.rs"),
            include_str!("../views/privacy.rs"),
            include_str!("../views/gain.rs"),
            include_str!("../views/data.rs"),
            include_str!("../views/rounds.rs"),
            include_str!("../views/customer.rs"),
            include_str!("../views/rules.rs"),
            include_str!("../views/experiment.rs"),
            include_str!("../rules_form.rs"),
            include_str!("../views/unmatched.rs"),
            include_str!("../views/keys.rs"),
            include_str!("../views/signin.rs"),
        );
        let names: BTreeSet<&str> = views
            .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .collect();
        let unused: Vec<&str> = Language::English
            .words()
            .all()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !names.contains(name))
            .collect();
        assert_eq!(unused, Vec::<&str>::new());
    }

    #[test]
    fn the_language_is_what_was_asked_for_or_what_the_browser_likes_best() {
        use Language::{Chinese, English};
        for (asked, before, accepted, wanted) in [
            (None, None, None, English),
            (Some("zh"), Some("en"), Some("en"), Chinese),
            (Some("zh-Hans"), None, None, Chinese),
            (Some("klingon"), Some("zh-Hans"), Some("en"), Chinese),
            (None, None, Some("zh-CN,zh;q=0.9,en;q=0.8"), Chinese),
            (None, None, Some("de,en;q=0.8,zh;q=0.5"), English),
            (None, None, Some("en;q=0.5, zh;q=0.9"), Chinese),
            (None, None, Some("zh;q=0, en;q=0.1"), English),
            (None, None, Some("*;q=x,,;"), English),
        ] {
            assert_eq!(
                Language::wanted(asked, before, accepted),
                wanted,
                "{asked:?} {before:?} {accepted:?}"
            );
        }
    }

    #[test]
    fn values_are_put_in_once_and_what_looks_like_a_place_in_them_stays() {
        let filled = fill("{a} of {b} {c} {", &[("a", &"{b}"), ("b", &7)]);
        assert_eq!(filled, "{b} of 7 {c} {");
    }
}

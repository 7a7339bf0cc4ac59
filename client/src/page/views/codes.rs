//! Reasons that this shop gives the coordinator, and the coordinator this shop, to the owner.

use souk_common::round::statements::{DeclineCode, RejectCode};

use super::super::words::Words;

/// Why this shop took no part.
pub(super) fn declined(words: &Words, code: DeclineCode) -> &'static str {
    match code {
        DeclineCode::OverBudget => words.decline_budget,
        DeclineCode::BelowNoiseMinimum => words.decline_noise,
        DeclineCode::PrivacyOff => words.decline_no_noise,
        DeclineCode::Paused => words.decline_paused,
        DeclineCode::PlanNotUnderstood => words.decline_plan,
        DeclineCode::NotInPlan => words.decline_not_named,
        DeclineCode::OverUploadLimit => words.decline_upload,
        DeclineCode::RecordForked => words.decline_forked,
        DeclineCode::Interrupted => words.decline_interrupted,
        DeclineCode::CouldNotCompute => words.decline_failed,
        DeclineCode::MaskingRequired => words.decline_no_masks,
        DeclineCode::BelowShopMinimum => words.decline_few_shops,
        DeclineCode::TooFewKnownShops => words.decline_few_known,
        DeclineCode::ListRefused => words.decline_list,
        DeclineCode::NotFetched => words.decline_not_fetched,
        DeclineCode::BelowColludingMinimum => words.decline_few_colluding,
        DeclineCode::BelowNeighbourMinimum => words.decline_few_neighbours,
    }
}

/// Why an update of this shop was refused.
pub(super) fn rejected(words: &Words, code: RejectCode) -> &'static str {
    match code {
        RejectCode::NotOpen => words.reject_not_open,
        RejectCode::WrongLength => words.reject_length,
        RejectCode::WrongDigest => words.reject_digest,
        RejectCode::SecondUpdate => words.reject_second,
        RejectCode::NotInvited => words.reject_not_named,
        RejectCode::NotAccepted => words.reject_not_accepted,
        RejectCode::StoreFailed => words.reject_not_stored,
        RejectCode::NotBound => words.reject_not_signed,
    }
}

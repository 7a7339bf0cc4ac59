//! An open attempt: who answered what, whose update is on its way, whose is counted.

use std::collections::BTreeMap;

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Decision, DeclineCode, RejectCode, UploadHeader};

use super::machine::{Machine, OpenAttempt};
use super::masking::MaskSteps;
use super::{Effect, ShopState};

/// One try at a round.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) deadline: Timestamp,
    pub(super) shops: Answers,
    /// Steps of a masked attempt.
    pub(super) masked: Option<MaskSteps>,
    /// Whether any shop may have begun it.
    was_accepted: bool,
}

/// How far each shop that has answered is, and how many are where: an attempt looks at these numbers after every word that it
/// hears, and may be of ten thousand shops.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    by_shop: BTreeMap<ShopName, Progress>,
    counted: usize,
    recording: usize,
    sitting_out: usize,
}

impl Answers {
    pub(super) fn get(&self, shop: &ShopName) -> Option<&Progress> {
        self.by_shop.get(shop)
    }

    pub(super) fn contains_key(&self, shop: &ShopName) -> bool {
        self.by_shop.contains_key(shop)
    }

    fn set(&mut self, shop: ShopName, progress: Progress) {
        let before = self.by_shop.insert(shop, progress);
        self.note(before, Some(progress));
    }

    fn remove(&mut self, shop: &ShopName) {
        let before = self.by_shop.remove(shop);
        self.note(before, None);
    }

    fn note(&mut self, before: Option<Progress>, after: Option<Progress>) {
        for (progress, comes) in [(after, true), (before, false)] {
            let number = match progress {
                Some(Progress::Counted(_)) => &mut self.counted,
                Some(Progress::Recording(_)) => &mut self.recording,
                Some(Progress::Declined(code)) if code.is_passing() => &mut self.sitting_out,
                _ => continue,
            };
            match comes {
                true => *number += 1,
                false => *number -= 1,
            }
        }
    }
}

impl FromIterator<(ShopName, Progress)> for Answers {
    fn from_iter<T: IntoIterator<Item = (ShopName, Progress)>>(all: T) -> Self {
        let mut answers = Self::default();
        all.into_iter()
            .for_each(|(shop, progress)| answers.set(shop, progress));
        answers
    }
}

/// How far a shop is in this attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    Accepted,
    Declined(DeclineCode),
    /// The update with this digest is on its way.
    Receiving(Digest),
    /// It has arrived and is being made durable.
    Recording(Digest),
    Counted(Digest),
}

impl Attempt {
    pub(super) fn new(id: AttemptId, deadline: Timestamp, masked: Option<MaskSteps>) -> Self {
        Self {
            id,
            deadline,
            shops: Answers::default(),
            masked,
            was_accepted: false,
        }
    }

    /// Whether vectors may have left their shops.
    pub(super) fn may_be_charged(&self) -> bool {
        self.masked.as_ref().is_none_or(MaskSteps::may_be_charged)
    }

    pub(super) fn resumed(id: AttemptId, open: OpenAttempt, least: impl Fn(usize) -> usize) -> Self {
        let counted = open.counted.into_iter();
        Self {
            id,
            deadline: open.deadline,
            shops: counted
                .map(|(shop, digest)| (shop, Progress::Counted(digest)))
                .collect(),
            masked: open
                .masked
                .map(|step| MaskSteps::resumed(step, open.deadline, least)),
            // Nobody remembers who had.
            was_accepted: true,
        }
    }

    /// A later answer replaces an earlier one, until an update is on its way.
    pub(super) fn answer(&mut self, shop: ShopName, answer: Decision) {
        let progress = match answer {
            Decision::Accept => Progress::Accepted,
            Decision::Decline(code) => Progress::Declined(code),
        };
        self.was_accepted |= answer == Decision::Accept;
        let takes_it_back = self.masked.is_some() && matches!(progress, Progress::Declined(_));
        let is_replaced = match self.shops.get(&shop) {
            None | Some(Progress::Accepted | Progress::Declined(_)) => true,
            Some(Progress::Counted(_)) => false,
            Some(_) => takes_it_back,
        };
        if is_replaced {
            self.shops.set(shop, progress);
        }
    }

    /// What was on its way did not arrive; the shop may try again.
    pub(super) fn fail(&mut self, shop: &ShopName) {
        if let Some(Progress::Receiving(_) | Progress::Recording(_)) = self.shops.get(shop) {
            self.shops.set(shop.clone(), Progress::Accepted);
        }
    }

    /// Nothing more is expected of the shop; what was counted stays counted.
    pub(super) fn forget(&mut self, shop: &ShopName) {
        if !self.has_counted(shop) {
            self.shops.remove(shop);
        }
    }

    /// Counts what was recorded; false if it was not being recorded.
    pub(super) fn count(&mut self, shop: &ShopName, upload: &UploadHeader) -> bool {
        let is_recorded = self.shops.get(shop) == Some(&Progress::Recording(upload.update));
        if is_recorded && upload.id == self.id {
            self.shops.set(shop.clone(), Progress::Counted(upload.update));
            return true;
        }
        false
    }

    pub(super) fn has_counted(&self, shop: &ShopName) -> bool {
        matches!(self.shops.get(shop), Some(Progress::Counted(_)))
    }

    pub(super) fn counted_len(&self) -> usize {
        self.shops.counted
    }

    /// Where the shop stands; none if it has not answered.
    pub(super) fn state_of(&self, shop: &ShopName) -> Option<ShopState> {
        self.shops.get(shop).map(|progress| match progress {
            Progress::Accepted | Progress::Receiving(_) | Progress::Recording(_) => ShopState::Accepted,
            Progress::Declined(code) => ShopState::Declined(*code),
            Progress::Counted(_) => ShopState::Counted,
        })
    }

    /// Whether the shop will send nothing for this attempt, whatever its owner does.
    fn sits_out(&self, shop: &ShopName) -> bool {
        matches!(self.shops.get(shop), Some(Progress::Declined(code)) if code.is_passing())
    }

    /// Whether the shop would decline another attempt, too.
    pub(super) fn declines_for_good(&self, shop: &ShopName) -> bool {
        matches!(self.shops.get(shop), Some(Progress::Declined(code)) if !code.is_passing())
    }

    /// Whether all who answered had spent this very attempt before it began.
    pub(super) fn was_spent_before(&self) -> bool {
        let interrupted = Progress::Declined(DeclineCode::Interrupted);
        let mut all = self.shops.by_shop.values();
        !self.was_accepted && !self.shops.by_shop.is_empty() && all.all(|said| *said == interrupted)
    }

    pub(super) fn counted_in_order(&self, order: &[ShopName]) -> Vec<(ShopName, Digest)> {
        let digest_of = |shop: &ShopName| match self.shops.get(shop) {
            Some(Progress::Counted(digest)) => Some((shop.clone(), *digest)),
            _ => None,
        };
        order.iter().filter_map(digest_of).collect()
    }

    /// Whether an update is being made durable at this moment.
    pub(super) fn is_recording(&self) -> bool {
        self.shops.recording > 0
    }

    /// Whether the attempt ends now, and if so, whether with a model; of one without masks.
    pub(super) fn is_over(&self, now: Timestamp, machine: &Machine) -> Option<bool> {
        if self.is_recording() {
            return None;
        }
        let enough = self.counted_len() >= machine.rules.quorum;
        if now >= self.deadline || self.is_hopeless(machine) {
            return Some(enough);
        }
        let awaited = |shop: &&ShopName| match self.shops.get(shop) {
            Some(Progress::Counted(_) | Progress::Declined(_)) => false,
            Some(_) => true,
            None => machine.connected.contains(shop),
        };
        (enough && !machine.rules.shops.iter().any(|shop| awaited(&shop))).then_some(true)
    }
}

impl Attempt {
    /// Whether there is no quorum to be had any more. Who sits this attempt out will be there for the next: it should begin at
    /// once. An owner who declined may think better of it until the deadline.
    fn is_hopeless(&self, machine: &Machine) -> bool {
        let quorum = machine.rules.quorum;
        // At least so many are counted or may yet be: the shops are looked at one by one only where this does not settle it.
        let at_least = machine
            .rules
            .shops
            .len()
            .saturating_sub(machine.left_out() + self.shops.sitting_out);
        if at_least >= quorum {
            return false;
        }
        let hopeful = machine
            .invited()
            .filter(|shop| !self.sits_out(shop) && !self.has_counted(shop));
        self.counted_len() + hopeful.count() < quorum
    }
}

impl Machine {
    /// What to do with an offer.
    pub(super) fn offer(&mut self, shop: ShopName, upload: UploadHeader) -> Effect {
        match self.judge(&shop, &upload) {
            Verdict::Reject(code) => Effect::Reject {
                shop,
                id: upload.id,
                code,
            },
            Verdict::Repeat => Effect::Receipt { shop, upload },
            Verdict::Take(attempt) => {
                attempt
                    .shops
                    .set(shop.clone(), Progress::Receiving(upload.update));
                Effect::Receive { shop, upload }
            }
        }
    }

    /// What to do with an update that arrived.
    pub(super) fn arrive(&mut self, shop: ShopName, upload: UploadHeader) -> Effect {
        match self.judge(&shop, &upload) {
            Verdict::Reject(code) => Effect::Reject {
                shop,
                id: upload.id,
                code,
            },
            Verdict::Repeat => Effect::Receipt { shop, upload },
            Verdict::Take(attempt) => {
                attempt
                    .shops
                    .set(shop.clone(), Progress::Recording(upload.update));
                Effect::Record { shop, upload }
            }
        }
    }

    fn judge(&mut self, shop: &ShopName, upload: &UploadHeader) -> Verdict<'_> {
        let (invited, update_bytes) = (self.is_invited(shop), self.rules.update_bytes_at(upload.id.round));
        let Some((attempt, open)) = self.latest().filter(|(attempt, _)| attempt.id == upload.id) else {
            return Verdict::Reject(if invited {
                RejectCode::NotOpen
            } else {
                RejectCode::NotInvited
            });
        };
        match attempt.shops.get(shop) {
            Some(Progress::Counted(digest)) if *digest == upload.update => return Verdict::Repeat,
            _ if !invited => return Verdict::Reject(RejectCode::NotInvited),
            Some(Progress::Counted(_)) => return Verdict::Reject(RejectCode::SecondUpdate),
            _ if !open => return Verdict::Reject(RejectCode::NotOpen),
            Some(Progress::Declined(_)) => return Verdict::Reject(RejectCode::NotAccepted),
            _ if attempt
                .masked
                .as_ref()
                .is_some_and(|masked| !masked.takes_updates()) =>
            {
                return Verdict::Reject(RejectCode::NotOpen);
            }
            _ if attempt
                .masked
                .as_ref()
                .is_some_and(|masked| !masked.concerns(shop)) =>
            {
                return Verdict::Reject(RejectCode::NotAccepted);
            }
            Some(Progress::Receiving(digest)) if *digest != upload.update => {
                return Verdict::Reject(RejectCode::SecondUpdate);
            }
            // The same bytes are being made durable at this moment: the shop asks again and gets its receipt.
            Some(Progress::Recording(_)) => return Verdict::Reject(RejectCode::StoreFailed),
            // Without an answer, the offer is the answer: a restarted coordinator has forgotten who accepted.
            Some(Progress::Receiving(_) | Progress::Accepted) | None => {}
        }
        if upload.len_bytes != update_bytes {
            return Verdict::Reject(RejectCode::WrongLength);
        }
        Verdict::Take(attempt)
    }
}

enum Verdict<'a> {
    Reject(RejectCode),
    Repeat,
    Take(&'a mut Attempt),
}

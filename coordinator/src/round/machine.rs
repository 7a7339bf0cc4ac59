//! The machine's state, and what moves it from phase to phase.

use std::collections::BTreeSet;

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::Decision;

use super::attempt::Attempt;
use super::heal::is_ready_word;
use super::masking::{MaskSteps, RestoredStep, Turn};
use super::pause::PauseReason;
use super::{Effect, Event, Rules, ShopState};

/// The coordinator's half of all rounds of one plan.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) rules: Rules,
    /// The shops of the rules, to be found by name.
    planned: BTreeSet<ShopName>,
    pub(super) connected: BTreeSet<ShopName>,
    pub(super) revoked: BTreeSet<ShopName>,
    /// Shops whose own signatures show that they lied.
    named: BTreeSet<ShopName>,
    /// Rounds published.
    pub(super) published: u64,
    /// Attempts at the next round that were opened.
    pub(super) opened: u32,
    /// Of those, the ones that count against the plan's limit.
    pub(super) tries: u32,
    pub(super) paused: Option<PauseReason>,
    pub(super) step: Step,
    /// The attempt that ended last, for who asks how it went.
    pub(super) ended: Option<Attempt>,
    /// Whom the attempts at this round lacked, when they were used up; whether one of them came back.
    pub(super) missing: BTreeSet<ShopName>,
    pub(super) has_returned: bool,
    /// How often the run went on by itself in this round.
    pub(super) heals: u32,
}

/// What is going on.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Idle,
    Collecting(Attempt),
    /// The id and the counted updates: what is told to shops that ask for it again.
    Publishing(Attempt),
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// For a quorum of shops to be connected.
    Waiting,
    /// An attempt is open.
    Collecting,
    /// A model is being made.
    Publishing,
    /// For the operator.
    Paused,
    /// All rounds are published.
    Finished,
}

/// What the store knows of a run that was begun before.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Rounds published.
    pub published: u64,
    /// Number of the last attempt at the next round; 0 before the first.
    pub attempt: u32,
    /// The attempt that was open, if its counted updates are all still there.
    pub open: Option<OpenAttempt>,
    /// Whether the operator had paused it.
    pub paused: bool,
    /// Shops that were revoked.
    pub revoked: Vec<ShopName>,
    /// Shops that are left out because they lied.
    pub named: Vec<ShopName>,
}

/// An attempt that was open when the coordinator stopped.
#[derive(Clone, Debug)]
pub struct OpenAttempt {
    /// When it ends.
    pub deadline: Timestamp,
    /// Counted updates.
    pub counted: Vec<(ShopName, Digest)>,
    /// Of a masked attempt, the last list that was fixed.
    pub masked: Option<RestoredStep>,
}

impl Machine {
    /// A run of `rules`, new or restored. Feed [`Event::Started`] first.
    pub fn new(rules: Rules, restored: Restored) -> Self {
        let id = AttemptId {
            round: restored.published + 1,
            attempt: restored.attempt,
        };
        let step = match restored.open {
            Some(open) if restored.attempt > 0 => {
                Step::Collecting(Attempt::resumed(id, open, |shops| rules.least_survivors(shops)))
            }
            _ => Step::Idle,
        };
        Self {
            planned: rules.shops.iter().cloned().collect(),
            rules,
            connected: BTreeSet::new(),
            revoked: restored.revoked.into_iter().collect(),
            named: restored.named.into_iter().collect(),
            published: restored.published,
            opened: restored.attempt,
            tries: restored.attempt,
            paused: restored.paused.then_some(PauseReason::Operator),
            step,
            ended: None,
            missing: BTreeSet::new(),
            has_returned: false,
            heals: 0,
        }
    }

    /// Another catalogue gives updates another length.
    pub fn set_update_bytes(&mut self, update_bytes: Vec<u64>) {
        self.rules.update_bytes = update_bytes;
    }

    /// Another run takes this one's place, with so many rounds published; shops are as they were.
    pub fn turn_to(&mut self, rules: Rules, published: u64) {
        let rules = Rules {
            rounds: published,
            ..rules
        };
        self.planned = rules.shops.iter().cloned().collect();
        (self.rules, self.published, self.step) = (rules, published, Step::Idle);
        (self.opened, self.tries, self.heals) = (0, 0, 0);
        (self.paused, self.ended) = (None, None);
    }

    /// Rounds published.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Where the run stands.
    pub fn phase(&self) -> Phase {
        match &self.step {
            Step::Collecting(_) => Phase::Collecting,
            Step::Publishing(_) => Phase::Publishing,
            Step::Idle if self.published >= self.rules.rounds => Phase::Finished,
            Step::Idle if self.paused.is_some() => Phase::Paused,
            Step::Idle => Phase::Waiting,
        }
    }

    /// Why no attempt begins, if so.
    pub fn paused(&self) -> Option<PauseReason> {
        self.paused
    }

    /// The open attempt and when it ends.
    pub fn open(&self) -> Option<(AttemptId, Timestamp)> {
        match &self.step {
            Step::Collecting(attempt) => Some((attempt.id, attempt.deadline)),
            _ => None,
        }
    }

    /// Where every shop of the plan stands.
    pub fn shop_states(&self) -> Vec<(ShopName, ShopState)> {
        let attempt = match &self.step {
            Step::Collecting(attempt) | Step::Publishing(attempt) => Some(attempt),
            Step::Idle => self.ended.as_ref(),
        };
        let state = |shop: &ShopName| {
            if self.named.contains(shop) {
                return ShopState::Named;
            }
            attempt.and_then(|attempt| attempt.state_of(shop)).unwrap_or(
                match self.connected.contains(shop) {
                    true => ShopState::Asked,
                    false => ShopState::Away,
                },
            )
        };
        let shops = self.rules.shops.iter();
        shops.map(|shop| (shop.clone(), state(shop))).collect()
    }

    /// Takes in an event and says what to do.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.heed_clock(now, &mut effects);
        match event {
            Event::Started => self.start(now, &mut effects),
            Event::Connected(shop) => self.connect(shop, &mut effects),
            Event::Disconnected(shop) => {
                self.connected.remove(&shop);
            }
            Event::Revoked(shop) => {
                self.connected.remove(&shop);
                if let Some(attempt) = self.attempt() {
                    attempt.forget(&shop);
                }
                self.revoked.insert(shop);
            }
            Event::Enrolled(shop) => {
                self.revoked.remove(&shop);
            }
            Event::Answered { shop, id, answer } if is_ready_word(id, answer) => {
                self.is_ready_again(shop, &mut effects)
            }
            Event::Answered { shop, id, answer } => {
                // A masked attempt is accepted with keys.
                if let Some(attempt) = self.open_as(id)
                    && (attempt.masked.is_none() || answer != Decision::Accept)
                {
                    attempt.answer(shop, answer);
                }
            }
            Event::Advertised { shop, id } => {
                if let Some(attempt) = self.open_as(id)
                    && attempt.masked.is_some()
                {
                    attempt.answer(shop, Decision::Accept);
                }
            }
            Event::Shared { shop, id } => {
                if let Some(masked) = self.masked(id) {
                    masked.share(shop);
                }
            }
            Event::Checked { shop, id } => {
                if let Some(masked) = self.masked(id) {
                    masked.check(shop);
                }
            }
            Event::SharersFixed { id, sharers } => {
                if let Some(masked) = self.masked(id) {
                    masked.fix_sharers(sharers);
                }
            }
            // Its update stays in an open attempt: masks can't be taken off a sum without it.
            Event::Named(shop) => {
                self.named.insert(shop);
            }
            Event::Readmitted(shop) => {
                self.named.remove(&shop);
            }
            Event::Confirmed { shop, id } => {
                if let Some(masked) = self.masked(id) {
                    masked.confirm(shop);
                }
            }
            Event::Revealed { shop, id, enough } => {
                if let Some(masked) = self.masked(id) {
                    masked.reveal(shop, enough);
                }
            }
            Event::NotUnmasked(id) => self.fail_to_unmask(id, &mut effects),
            Event::NotFinite(id) => self.refuse_model(id, &mut effects),
            Event::UploadOffered { shop, upload } => effects.push(self.offer(shop, upload)),
            Event::UploadArrived { shop, upload } => effects.push(self.arrive(shop, upload)),
            Event::Recorded { shop, upload } => {
                if let Some(attempt) = self.attempt()
                    && attempt.count(&shop, &upload)
                {
                    effects.push(Effect::Receipt { shop, upload });
                }
            }
            Event::UploadFailed { shop, id } => {
                if let Some(attempt) = self.open_as(id) {
                    attempt.fail(&shop);
                }
            }
            Event::Timer => {}
            Event::Published(id) => self.publish(id, &mut effects),
            Event::Pause => self.paused = Some(PauseReason::Operator),
            Event::Resume => {
                self.paused = None;
                (self.tries, self.heals) = (0, 0);
            }
        }
        self.settle(now, &mut effects);
        effects
    }

    /// Closes and opens attempts until nothing is left to do.
    fn settle(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Step::Collecting(attempt) = &self.step {
            let turn = match (&attempt.masked, attempt.is_over(now, self)) {
                (Some(_), _) => attempt.turn(now, self),
                (None, None) => Turn::Stay,
                (None, Some(true)) => Turn::Publish,
                (None, Some(false)) => Turn::End,
            };
            match turn {
                Turn::Stay => break,
                Turn::Go(step, said) => self.go(now, *step, said, effects),
                Turn::Publish => {
                    let attempt = attempt.clone();
                    effects.push(Effect::Publish {
                        id: attempt.id,
                        accepted: attempt.counted_in_order(&self.rules.shops),
                    });
                    self.step = Step::Publishing(attempt);
                }
                Turn::End => {
                    let attempt = attempt.clone();
                    self.abandon(&attempt, effects);
                }
            }
        }
        self.heal(effects);
        let quorum = self.rules.quorum;
        // Those who are present are among the connected.
        let may_begin = self.phase() == Phase::Waiting && self.connected.len() >= quorum;
        if may_begin && self.present().count() >= quorum {
            self.open_attempt(now, effects);
        }
    }

    /// No step lasts longer than the plan says, also when the clock was set back since it began.
    fn heed_clock(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let (deadline, masking) = (now + self.rules.deadline, self.rules.masking);
        let step = masking.map_or(deadline, |masking| deadline.max(now + masking.step));
        if let Step::Collecting(attempt) = &mut self.step {
            let ends = attempt.masked.as_mut().map(|masked| &mut masked.ends);
            let late = ends.as_ref().is_some_and(|ends| **ends > step);
            if !late && attempt.deadline <= deadline {
                return;
            }
            attempt.deadline = attempt.deadline.min(deadline);
            let ends = ends.map_or(attempt.deadline, |ends| {
                *ends = step.min(*ends);
                *ends
            });
            effects.push(Effect::SetTimer(ends));
        }
    }

    fn start(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let (step, phase) = (self.rules.masking.map(|masking| masking.step), self.phase());
        match (&mut self.step, phase) {
            (Step::Collecting(attempt), _) => {
                let ends = match &mut attempt.masked {
                    // Shops need time to come back: what they have to do now is short.
                    Some(masked) if !masked.takes_updates() => {
                        masked.ends = now + step.unwrap_or_default();
                        masked.ends
                    }
                    _ => attempt.deadline,
                };
                effects.push(Effect::SetTimer(ends));
            }
            (_, Phase::Finished) => effects.push(Effect::Finish),
            _ => {}
        }
    }

    /// Takes a masked attempt to its next step.
    fn go(
        &mut self,
        now: Timestamp,
        step: super::masking::Step,
        said: Vec<Effect>,
        effects: &mut Vec<Effect>,
    ) {
        let patience = self.rules.masking.map(|masking| masking.step).unwrap_or_default();
        let Some(attempt) = self.attempt() else {
            return;
        };
        let mut masked = MaskSteps {
            step,
            ends: now + patience,
        };
        if masked.takes_updates() {
            // Keys and shares may have taken long; training began with the keys.
            masked.ends = attempt.deadline.max(now + patience);
        }
        let ends = masked.ends;
        attempt.masked = Some(masked);
        effects.extend(said);
        effects.push(Effect::SetTimer(ends));
    }

    fn connect(&mut self, shop: ShopName, effects: &mut Vec<Effect>) {
        if let Step::Collecting(attempt) = &self.step
            && self.is_invited(&shop)
        {
            let (id, masked) = (attempt.id, attempt.masked.as_ref());
            if !attempt.has_counted(&shop) && masked.is_none_or(|masked| masked.concerns(&shop)) {
                let shops = vec![shop.clone()];
                effects.push(Effect::Announce { id, shops });
            }
            if masked.is_some_and(|masked| masked.concerns(&shop)) {
                let shop = shop.clone();
                effects.push(Effect::Repeat { id, shop });
            }
        }
        // One that is left out may be let back while it is connected.
        if self.planned.contains(&shop) && !self.revoked.contains(&shop) {
            self.note_return(&shop);
            self.connected.insert(shop);
        }
    }

    fn open_attempt(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let id = self.next_id();
        self.opened += 1;
        self.tries += 1;
        let deadline = now + self.rules.deadline;
        let shops = self.present().cloned().collect();
        let masked = self
            .rules
            .masking
            .map(|masking| MaskSteps::new(now, deadline, &masking));
        let ends = masked.as_ref().map_or(deadline, |masked| masked.ends);
        effects.extend([
            Effect::Open { id, deadline },
            Effect::SetTimer(ends),
            Effect::Announce { id, shops },
        ]);
        self.step = Step::Collecting(Attempt::new(id, deadline, masked));
    }

    /// Of the attempt that would be opened now.
    pub(super) fn next_id(&self) -> AttemptId {
        AttemptId {
            round: self.published + 1,
            attempt: self.opened + 1,
        }
    }

    /// The attempt that may still change: the open one.
    fn attempt(&mut self) -> Option<&mut Attempt> {
        match &mut self.step {
            Step::Collecting(attempt) => Some(attempt),
            _ => None,
        }
    }

    fn open_as(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.attempt().filter(|attempt| attempt.id == id)
    }

    fn masked(&mut self, id: AttemptId) -> Option<&mut MaskSteps> {
        self.open_as(id).and_then(|attempt| attempt.masked.as_mut())
    }

    /// What a masked attempt waits for, in a word.
    pub fn masked_step(&self) -> Option<&'static str> {
        match &self.step {
            Step::Collecting(attempt) => attempt.masked.as_ref().map(MaskSteps::word),
            _ => None,
        }
    }

    /// The attempt that receipts can be repeated for: open, or being published.
    pub(super) fn latest(&mut self) -> Option<(&mut Attempt, bool)> {
        match &mut self.step {
            Step::Collecting(attempt) => Some((attempt, true)),
            Step::Publishing(attempt) => Some((attempt, false)),
            Step::Idle => None,
        }
    }

    /// Whether the shop is in the plan, was not revoked, and is not left out.
    pub(super) fn is_invited(&self, shop: &ShopName) -> bool {
        self.planned.contains(shop) && !self.revoked.contains(shop) && !self.named.contains(shop)
    }

    /// No more shops than these are not invited.
    pub(super) fn left_out(&self) -> usize {
        self.revoked.len() + self.named.len()
    }

    pub(super) fn invited(&self) -> impl Iterator<Item = &ShopName> {
        let shops = self.rules.shops.iter();
        shops.filter(|shop| !self.revoked.contains(shop) && !self.named.contains(shop))
    }

    pub(super) fn present(&self) -> impl Iterator<Item = &ShopName> {
        self.invited().filter(|shop| self.connected.contains(shop))
    }
}

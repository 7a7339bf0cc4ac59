//! A coordinator that equivocates: it shows shops different models, plans, rosters and lists, takes in what they answer to
//! each, and passes on whatever helps it. The engine behind it hears one consistent story.
//!
//! It forges towards the engine only (the simulation has every key). What shops are shown is what shops have signed.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{AttemptId, Digest};
use souk_common::rng::{Stream, stream};
use souk_common::secagg::graph::neighbours;
use souk_common::secagg::records::{UploadBinding, sharers_digest, survivors_digest};
use souk_common::secagg::{Binding, Confirmation, Confirmed, MaskingParams, Roster};
use souk_common::wire::messages::{Push, Reply, Request};

use super::setup::Setup;

pub(crate) struct Liar {
    rng: Stream,
    terms: MaskingParams,
    identities: Vec<SigningKey>,
    words: SigningKey,
    other_plan: Digest,
    /// The model of round 0.
    first_model: Option<Digest>,
    announced: BTreeMap<(AttemptId, usize), Option<Change>>,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Lies told, by name.
    pub(crate) told: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy)]
enum Change {
    Model(Digest),
    Plan(Digest),
}

/// What is done to one attempt.
#[derive(Clone)]
enum Plot {
    Honest,
    /// These shops are shown a roster that lacks another one.
    Rosters(BTreeSet<u32>),
    /// One shop is shown an R2 without its neighbours.
    Isolate(u32),
    /// Two R2, each with shops that were shown the other.
    Groups([BTreeSet<u32>; 2]),
    /// Half of the shops are shown an R3 that lacks one.
    Survivors(BTreeSet<u32>, usize),
}

struct Attempt {
    roster: Roster,
    graph: Vec<Vec<u32>>,
    plot: Plot,
    /// As the engine fixed them.
    sharers: Vec<u32>,
    survivors: Vec<u32>,
    /// What each place was shown.
    shown: BTreeMap<u32, (Vec<u32>, Vec<u32>)>,
    /// What each place has signed.
    bindings: BTreeMap<u32, Binding>,
    confirmed: BTreeMap<u32, (Digest, Vec<u8>)>,
}

impl Liar {
    pub(crate) fn new(seed: u64, setup: &Setup) -> Option<Self> {
        Some(Self {
            rng: stream(seed, "liar"),
            terms: setup.plan.masking_params()?,
            identities: (0..setup.shops.len()).map(|shop| setup.identity(shop)).collect(),
            words: setup.signing_key(),
            other_plan: setup.other_plan().digest(),
            first_model: None,
            announced: BTreeMap::new(),
            attempts: BTreeMap::new(),
            told: BTreeMap::new(),
        })
    }

    fn tell(&mut self, lie: &'static str) {
        *self.told.entry(lie).or_default() += 1;
    }

    /// Changes what the shop is about to be shown.
    pub(crate) fn show(&mut self, shop: usize, name: &souk_common::ids::ShopName, push: &mut Push) {
        match push {
            Push::Welcome { manifest } if manifest.body.id.round == 0 => {
                self.first_model = Some(manifest.body.model);
            }
            Push::Announce(word) => {
                let (id, other_plan) = (word.body.id, self.other_plan);
                let old = self.first_model.filter(|model| *model != word.body.model);
                let (rng, mut lies) = (&mut self.rng, None);
                let change = *self.announced.entry((id, shop)).or_insert_with(|| {
                    let change = match (rng.random_ratio(1, 60), old) {
                        (false, _) => return None,
                        (true, Some(model)) if rng.random() => Change::Model(model),
                        (true, _) => Change::Plan(other_plan),
                    };
                    lies = Some(change);
                    lies
                });
                match lies {
                    Some(Change::Model(_)) => self.tell("lied about the model"),
                    Some(Change::Plan(_)) => self.tell("lied about the plan"),
                    None => {}
                }
                let mut body = word.body.clone();
                match change {
                    Some(Change::Model(model)) => body.model = model,
                    Some(Change::Plan(plan)) => body.plan = plan,
                    None => return,
                }
                *word = self.words.sign(body);
            }
            Push::Roster { id, roster } => self.show_roster(*id, name, roster),
            Push::Sharers { id, sharers } => {
                if let Some(attempt) = self.attempts.get_mut(id)
                    && let Some(place) = attempt.roster.position(name)
                {
                    attempt.sharers.clone_from(sharers);
                    *sharers = attempt.sharers_for(place, self.terms.min_shops);
                    attempt.shown.entry(place).or_default().0.clone_from(sharers);
                }
            }
            Push::Survivors {
                id,
                survivors,
                bindings,
            } => {
                if let Some(attempt) = self.attempts.get_mut(id)
                    && let Some(place) = attempt.roster.position(name)
                {
                    attempt.survivors.clone_from(survivors);
                    let list = attempt.survivors_for(place);
                    let signed = |place: &u32| Some((*place, *attempt.bindings.get(place)?));
                    (*survivors, *bindings) = list.iter().filter_map(signed).unzip();
                    attempt.shown.entry(place).or_default().1.clone_from(survivors);
                }
            }
            Push::Confirmed { id, confirmed } => {
                if let Some(attempt) = self.attempts.get(id)
                    && let Some(place) = attempt.roster.position(name)
                {
                    let list = attempt.confirmed.get(&place).map(|(list, _)| *list);
                    let same = attempt.confirmed.iter().filter(|(_, (of, _))| Some(*of) == list);
                    *confirmed = same
                        .map(|(shop, (_, signature))| Confirmed {
                            shop: *shop,
                            signature: signature.clone(),
                        })
                        .collect();
                }
            }
            _ => {}
        }
    }

    fn show_roster(&mut self, id: AttemptId, name: &souk_common::ids::ShopName, roster: &mut Roster) {
        if !self.attempts.contains_key(&id) {
            let attempt = self.plot(roster.clone());
            let lie = match attempt.plot {
                Plot::Honest => "told no lie",
                Plot::Rosters(_) => "lied about the roster",
                Plot::Isolate(_) => "lied about R2 to one shop",
                Plot::Groups(_) => "lied about R2 to two groups",
                Plot::Survivors(..) => "lied about R3",
            };
            self.tell(lie);
            self.attempts.insert(id, attempt);
        }
        let attempt = &self.attempts[&id];
        if let (Plot::Rosters(lied_to), Some(place)) = (&attempt.plot, attempt.roster.position(name))
            && lied_to.contains(&place)
        {
            let lacking = (place as usize + 1) % roster.len();
            roster.0.remove(lacking);
        }
    }

    fn plot(&mut self, roster: Roster) -> Attempt {
        let (rng, shops) = (&mut self.rng, roster.len());
        let mut places: Vec<u32> = (0..shops as u32).collect();
        places.shuffle(rng);
        let half: BTreeSet<u32> = places[..shops / 2].iter().copied().collect();
        let few: BTreeSet<u32> = places[..1 + shops / 6].iter().copied().collect();
        let plot = match rng.random_range(0..100) {
            0..40 => Plot::Honest,
            40..48 => Plot::Rosters(few),
            48..68 => places
                .choose(rng)
                .map_or(Plot::Honest, |place| Plot::Isolate(*place)),
            68..84 => {
                let mut list = |group: &[u32]| {
                    let others = places.iter().filter(|_| rng.random_ratio(1, 3)).copied();
                    group.iter().copied().chain(others.collect::<Vec<_>>()).collect()
                };
                Plot::Groups([list(&places[..shops / 2]), list(&places[shops / 2..])])
            }
            _ => Plot::Survivors(half, rng.random_range(0..shops)),
        };
        let graph = neighbours(&roster.digest(), shops, self.terms.degree(shops));
        Attempt {
            graph,
            roster,
            plot,
            sharers: Vec::new(),
            survivors: Vec::new(),
            shown: BTreeMap::new(),
            bindings: BTreeMap::new(),
            confirmed: BTreeMap::new(),
        }
    }

    /// Takes in what a shop says, and changes it to what the engine expects; an answer if the engine must not hear it.
    pub(crate) fn hear(
        &mut self,
        shop: usize,
        name: &souk_common::ids::ShopName,
        request: &mut Request,
    ) -> Option<Reply> {
        match request {
            Request::SignedUpload {
                header,
                binding: Some(binding),
                ..
            } => {
                let attempt = self.attempts.get_mut(&header.id)?;
                let place = attempt.roster.position(name)?;
                attempt.bindings.insert(place, *binding);
                let body = UploadBinding {
                    id: header.id,
                    sharers: attempt.h2(),
                };
                *binding = Binding::sign(body, &self.identities[shop]);
            }
            Request::Confirm(word) => {
                let attempt = self.attempts.get_mut(&word.body.id)?;
                let place = attempt.roster.position(name)?;
                let signed = (word.body.survivors, word.signature.clone());
                attempt.confirmed.insert(place, signed);
                *word = self.identities[shop].sign(Confirmation {
                    id: word.body.id,
                    survivors: survivors_digest(&attempt.h2(), &attempt.survivors),
                });
            }
            Request::Reveal { id, .. } => {
                let attempt = self.attempts.get(id)?;
                let place = attempt.roster.position(name)?;
                let (sharers, survivors) = attempt.shown.get(&place)?;
                // Shares for other lists would make the engine name an honest shop.
                if (sharers, survivors) != (&attempt.sharers, &attempt.survivors) {
                    return Some(Reply::Done);
                }
            }
            _ => {}
        }
        None
    }
}

impl Attempt {
    /// Of the engine.
    fn h2(&self) -> Digest {
        sharers_digest(&self.roster.digest(), &self.sharers)
    }

    fn sharers_for(&self, place: u32, least: usize) -> Vec<u32> {
        let all = &self.sharers;
        match &self.plot {
            Plot::Isolate(victim) if *victim == place => {
                let near = &self.graph[place as usize];
                let mut list: Vec<u32> = all
                    .iter()
                    .copied()
                    .filter(|other| !near.contains(other))
                    .collect();
                // As few neighbours as it takes to have enough shops.
                let more = near.iter().filter(|other| all.contains(other));
                list.extend(more.take(least.saturating_sub(list.len())));
                list.sort_unstable();
                list
            }
            Plot::Groups(groups) => {
                let group = &groups[usize::from(!groups[0].contains(&place))];
                all.iter()
                    .copied()
                    .filter(|other| group.contains(other))
                    .collect()
            }
            _ => all.clone(),
        }
    }

    fn survivors_for(&self, place: u32) -> Vec<u32> {
        let within = self.shown.get(&place).map(|(sharers, _)| sharers.as_slice());
        let within = within.unwrap_or_default();
        let list = self
            .survivors
            .iter()
            .copied()
            .filter(|other| within.contains(other));
        match &self.plot {
            Plot::Survivors(half, lacking) if half.contains(&place) => list
                .filter(|other| *other as usize != *lacking || *other == place)
                .collect(),
            _ => list.collect(),
        }
    }
}

//! What a coordinator could compute of the updates that have left the shops, from the lists that they were shown and the
//! shares that they revealed: a combination of fewer honest shops' updates than the noise is accounted for is a leak.
//!
//! An upload is the update, the shop's own mask, and a mask with each neighbour in the R2 it was shown. The own mask is known
//! with T shares of its seed; a pair's mask with T shares of either mask key; a pair's mask that both uploads carry for one H2
//! cancels in their sum. So what can be computed is spanned by the sums over components of uploads that are bound by unknown
//! masks which cancel, if no other unknown mask is left in them.

use std::collections::{BTreeMap, BTreeSet};

use souk_common::ids::{AttemptId, ShopName};
use souk_common::secagg::graph::neighbours;
use souk_common::secagg::{MaskingParams, Roster};
use souk_common::wire::messages::{Push, Request};

/// All masked attempts of a federation.
pub(crate) struct Leaks {
    terms: MaskingParams,
    names: Vec<ShopName>,
    attempts: BTreeMap<AttemptId, Attempt>,
}

#[derive(Default)]
struct Attempt {
    /// R1 that most are shown: shares for another one open nowhere.
    roster: Option<Roster>,
    graph: Vec<Vec<u32>>,
    thresholds: BTreeMap<u32, usize>,
    /// R2 as each place was shown it.
    shown: BTreeMap<u32, Vec<u32>>,
    uploaded: BTreeSet<u32>,
    /// The R3 each place has confirmed.
    survivors: BTreeMap<u32, Vec<u32>>,
    /// By whose secret: who revealed a share of the seed, of the mask key.
    revealed: BTreeMap<u32, [BTreeSet<u32>; 2]>,
}

impl Leaks {
    pub(crate) fn new(terms: MaskingParams, names: &[ShopName]) -> Self {
        Self {
            terms,
            names: names.to_vec(),
            attempts: BTreeMap::new(),
        }
    }

    /// A shop is shown this.
    pub(crate) fn shown(&mut self, shop: usize, push: &Push) {
        let name = &self.names[shop];
        match push {
            Push::Roster { id, roster } => {
                let attempt = self.attempts.entry(*id).or_default();
                if attempt
                    .roster
                    .as_ref()
                    .is_none_or(|known| known.len() < roster.len())
                {
                    let degree = self.terms.degree(roster.len());
                    attempt.graph = neighbours(&roster.digest(), roster.len(), degree);
                    attempt.roster = Some(roster.clone());
                }
            }
            Push::Sharers { id, sharers } => {
                let attempt = self.attempts.entry(*id).or_default();
                if let Some(place) = attempt.place(name) {
                    attempt.shown.entry(place).or_insert_with(|| sharers.clone());
                }
            }
            Push::Survivors { id, survivors, .. } => {
                let attempt = self.attempts.entry(*id).or_default();
                if let Some(place) = attempt.place(name) {
                    attempt
                        .survivors
                        .entry(place)
                        .or_insert_with(|| survivors.clone());
                }
            }
            _ => {}
        }
    }

    /// A shop says this; the fewest shops whose sum is known, if these are too few.
    pub(crate) fn said(&mut self, shop: usize, request: &Request) -> Option<(AttemptId, usize)> {
        let name = self.names[shop].clone();
        let (id, attempt) = match request {
            Request::Share { id, .. } | Request::Reveal { id, .. } => (*id, self.attempts.get_mut(id)?),
            Request::SignedUpload { header, .. } => (header.id, self.attempts.get_mut(&header.id)?),
            _ => return None,
        };
        let place = attempt.place(&name)?;
        match request {
            Request::Share { shares, .. } => {
                attempt.thresholds.insert(place, shares.threshold.into());
                return None;
            }
            Request::SignedUpload { .. } => {
                attempt.uploaded.insert(place);
            }
            Request::Reveal { shares, .. } => {
                let list = attempt.survivors.get(&place).cloned().unwrap_or_default();
                for share in shares {
                    let kind = usize::from(list.binary_search(&share.of).is_err());
                    attempt.revealed.entry(share.of).or_default()[kind].insert(place);
                }
            }
            _ => return None,
        }
        let fewest = attempt.fewest()?;
        (fewest < self.terms.min_shops - self.terms.colluding).then_some((id, fewest))
    }
}

impl Attempt {
    fn place(&self, name: &ShopName) -> Option<u32> {
        self.roster.as_ref()?.position(name)
    }

    fn knows(&self, of: u32, kind: usize) -> bool {
        let revealed = self.revealed.get(&of).map_or(0, |both| both[kind].len());
        let threshold = self.thresholds.get(&of).copied().unwrap_or(usize::MAX);
        revealed >= threshold
    }

    /// The fewest uploads whose sum carries no unknown mask; none if there is no such sum.
    fn fewest(&self) -> Option<usize> {
        let mut component: BTreeMap<u32, u32> = self.uploaded.iter().map(|shop| (*shop, *shop)).collect();
        let mut hidden: BTreeSet<u32> = BTreeSet::new();
        let none = Vec::new();
        let list = |shop: u32| self.shown.get(&shop).unwrap_or(&none);
        for shop in self.uploaded.iter().copied() {
            if !self.knows(shop, 0) {
                hidden.insert(shop);
            }
            if self.knows(shop, 1) {
                continue;
            }
            let near = self.graph.get(shop as usize).unwrap_or(&none);
            for other in near.iter().copied().filter(|other| list(shop).contains(other)) {
                if self.knows(other, 1) {
                    continue;
                }
                let cancels = self.uploaded.contains(&other) && list(shop) == list(other);
                if !cancels {
                    hidden.insert(shop);
                } else if component[&shop] != component[&other] {
                    let (from, to) = (component[&other], component[&shop]);
                    component
                        .values_mut()
                        .filter(|of| **of == from)
                        .for_each(|of| *of = to);
                }
            }
        }
        let of: BTreeSet<u32> = component.values().copied().collect();
        let members = |of: &u32| {
            component
                .iter()
                .filter(|(_, part)| *part == of)
                .map(|(shop, _)| *shop)
                .collect()
        };
        let all = of.iter().map(members);
        let open = all.filter(|members: &Vec<u32>| members.iter().all(|shop| !hidden.contains(shop)));
        open.map(|members| members.len()).min()
    }
}

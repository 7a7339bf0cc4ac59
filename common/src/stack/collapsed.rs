//! Trained channels that give everybody the same list.

use crate::channels::Channels;
use crate::dataset::Dataset;
use crate::model::gan::Spread;

/// A channel that has collapsed, by the customers of this shop.
#[derive(Clone, Debug, PartialEq)]
pub struct Collapsed {
    /// Its name.
    pub channel: String,
    /// What shows it.
    pub spread: Spread,
}

impl Collapsed {
    /// Whether `channel` has collapsed; `spread` tells how different the lists of customers with some items are.
    pub fn of(
        channel: &str,
        spread: impl FnOnce(&[&[u32]]) -> Option<Spread>,
        train: &Dataset,
    ) -> Option<Self> {
        let histories: Vec<&[u32]> = train
            .histories
            .iter()
            .map(|history| history.items.as_slice())
            .collect();
        let spread = spread(&histories).filter(Spread::is_collapsed)?;
        Some(Self {
            channel: channel.to_owned(),
            spread,
        })
    }

    /// In words, with what to do.
    pub fn words(&self) -> String {
        let Spread { lists, items, bought } = self.spread;
        format!(
            "the generator of channel {:?} has collapsed: its ten likeliest items for {lists} customers are as various as {items:.0} items, what \
             they bought as {bought:.0}; so no list uses it. The operator can train it with a smaller learning_rate under [server], or more \
             likelihood and less reward under [train.generator]",
            self.channel
        )
    }
}

/// The channels that can be used, and those that have collapsed.
pub(super) fn apart(channels: &Channels, train: &Dataset) -> (Channels, Vec<Collapsed>) {
    let (mut used, mut collapsed) = (Channels::new(), Vec::new());
    for channel in channels {
        match Collapsed::of(channel.name(), |histories| channel.spread(histories), train) {
            Some(found) => collapsed.push(found),
            None => used.push(channel.clone()),
        }
    }
    (used, collapsed)
}

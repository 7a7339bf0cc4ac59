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
    let histories: Vec<&[u32]> = train
        .histories
        .iter()
        .map(|history| history.items.as_slice())
        .collect();
    let (mut used, mut collapsed) = (Channels::new(), Vec::new());
    for channel in channels {
        match channel.spread(&histories).filter(Spread::is_collapsed) {
            Some(spread) => collapsed.push(Collapsed {
                channel: channel.name().to_owned(),
                spread,
            }),
            None => used.push(channel.clone()),
        }
    }
    (used, collapsed)
}

//! `gain`: how well the shop's lists do, alone and with other shops.

use super::{Shown, ask, render, show, strange};
use crate::control::{Answer, Question};

pub(super) const HELP: &str = "Of each customer the latest purchase is hidden and ranked among 99 drawn items, by weights that \
were fitted to other customers; the figure is how many of 100 such purchases come among the first ten. Everything is \
measured here and stays here.

Whether what all shops released is used is `federated` under [recommend] in shop.toml: true, false, or \"gate\".

Example:
  souk-client gain --dir shop";

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let Answer::Gain(gain) = ask(&args.place.folder()?, Question::Gain)? else {
        return Err(strange());
    };
    show(args.json, &gain, render::gain)?;
    Ok(true)
}

//! What the difference of two published versions says of a customer who joined between them: everybody else cancels, and the noise of
//! both is left.

use super::ground::{Ground, guarantee};
use super::likelihood::compare;
use super::release_membership::{AREA, worlds};
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(ground: &Ground<'_>) -> anyhow::Result<Tried> {
    let effort = ground.subject.effort;
    let worlds = worlds(ground, effort.pick(20, 100));
    if worlds.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let mut measured = Measured::of(AREA);
    for protections in [Protections::Plan, Protections::NoNoise] {
        if protections != Protections::Plan && !ground.is_private() {
            continue;
        }
        // Later rounds are seen through other maps in the two versions: no difference can be taken of them.
        let scenes = [ground.scene(1, protections)?];
        let allowed = guarantee(&scenes).map(|allowed| allowed.area());
        // All shops' noise, in either version.
        let noisy = 2 * ground.plan().shops.len();
        let name = format!("versions {protections:?}");
        let trials = effort.pick(300, 3000);
        let scores = compare(&scenes, &worlds, (trials, noisy), (ground.subject.seed, &name))?;
        let note = "the first round of two runs; nobody else's records changed between them";
        measured
            .rows
            .push(ground.row(protections, scores.area(), (0.5, allowed), note));
    }
    Ok(Tried::Rows(vec![measured]))
}

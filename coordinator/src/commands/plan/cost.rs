//! What a plan will cost before anybody pays it.

use std::path::Path;

use humantime_serde::re::humantime::format_duration;
use serde_json::{Value, json};
use souk_common::accountant::calibrate::{self, CalibrationTarget};
use souk_common::accountant::gaussian::mu_of;
use souk_common::accountant::{RELATION, UNIT};
use souk_common::ids::Digest;
use souk_common::learned::Learner;
use souk_common::model::layout::{Layout, TensorSpec, Vocabulary};
use souk_common::params::{Epsilon, NoiseMultiplier, rounded_up};
use souk_common::plan::{MaskingPlan, Plan};
use souk_common::privacy::PlannedSpend;
use souk_common::release::schedule::{ReleaseShare, ScheduleError};
use souk_common::secagg::MaskingParams;
use souk_common::secagg::terms::DROPOUT;
use souk_common::terminal::tell;
use souk_common::update::Grid;

use super::aggregation::noise_factor;
use super::outlook::Outlook;
use super::phases::name_of;
use super::read;
use crate::error::{Failure, failed, usage};
use crate::folder::{FederationFolder, HomeError};

/// What else `plan check` was asked.
pub(super) struct CheckOptions {
    pub(super) target_epsilon: Option<Epsilon>,
    pub(super) bytes_per_sec: f64,
}

/// What a plan will cost.
pub(super) struct Cost {
    plan: Plan,
    digest: Digest,
    privacy: Option<PlannedSpend>,
    target: Option<Wanted>,
    size: Option<Size>,
    outlook: Outlook,
}

/// The noise that an epsilon takes.
struct Wanted {
    epsilon: Epsilon,
    noise_multiplier: NoiseMultiplier,
}

/// What depends on the catalogue.
struct Size {
    coordinates: usize,
    update_bytes: usize,
    grid: Grid,
    headroom: f64,
    /// Of a round, on one shop's line, training not counted.
    seconds: f64,
    tensors: Vec<Tensor>,
}

/// What the noise leaves of one tensor.
struct Tensor {
    name: String,
    coordinates: usize,
    /// Length of the sum over noise, if every update were clipped, all pointed one way, and within this tensor alone.
    /// Absent without noise.
    most_signal_to_noise: Option<f64>,
}

/// Looks at a plan, and at the catalogue in `home` if there is one.
pub(super) fn check(file: &Path, home: &FederationFolder, wishes: &CheckOptions) -> Result<Cost, Failure> {
    let plan = read(file)?;
    let refuse = |error: &dyn std::fmt::Display| usage(format!("{}: {error}", file.display()));
    let outlook = |learner: Option<&Learner>| Outlook::of(&plan, learner).map_err(|error| refuse(&error));
    let (size, outlook) = match home.catalogue() {
        Ok(catalogue) => {
            let learner = Learner::new(&plan, &catalogue);
            // Releases differ in length: the longest is what counts.
            let phases = 1..=learner.update_bytes().len() as u64;
            let longest = phases
                .max_by_key(|round| learner.coordinates(*round))
                .unwrap_or(1);
            let of_round = plan
                .for_first_attempt_at(longest)
                .map_err(|error| refuse(&error))?;
            let coordinates = learner.coordinates(longest);
            let grid = of_round.grid(coordinates).map_err(|error| refuse(&error))?;
            let headroom = of_round.headroom_on(&grid);
            let update_bytes = plan.update_bytes(coordinates) as usize;
            let bytes = update_bytes + coordinates * MODEL_BYTES;
            let size = Size {
                coordinates,
                update_bytes,
                grid,
                headroom,
                seconds: bytes as f64 / wishes.bytes_per_sec,
                tensors: match plan.is_of_releases() {
                    true => of_releases(&plan, &learner).map_err(|error| refuse(&error))?,
                    false => tensors(&plan, &Layout::new(&plan.model, &Vocabulary::from(&catalogue))),
                },
            };
            (Some(size), outlook(Some(&learner))?)
        }
        Err(HomeError::NoCatalogue) => {
            tell(&format!(
                "no catalogue in {}: sizes are not known yet",
                home.path().display()
            ));
            (None, outlook(None)?)
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(Cost {
        digest: plan.digest(),
        privacy: PlannedSpend::of(&plan),
        target: wishes
            .target_epsilon
            .map(|epsilon| wanted(&plan, epsilon))
            .transpose()?,
        size,
        outlook,
        plan,
    })
}

fn wanted(plan: &Plan, epsilon: Epsilon) -> Result<Wanted, Failure> {
    let target = CalibrationTarget::new(epsilon, plan.privacy.delta);
    if plan.is_of_releases() {
        let noise = mu_of(epsilon, plan.privacy.delta).recip() * (1.0 + 1e-12);
        let noise_multiplier = NoiseMultiplier::new(noise).map_err(usage)?;
        return Ok(Wanted {
            epsilon,
            noise_multiplier,
        });
    }
    let both =
        calibrate::noise_multiplier(plan.privacy.sampling_rate, plan.rounds, &target).map_err(usage)?;
    let noise_multiplier = match plan.metrics.map(|metrics| metrics.noise_multiplier.get()) {
        None => both,
        Some(counts) if counts > both.get() => {
            // From (z^-2 + z_e^-2)^-1/2 back to z.
            let update = both.get() * counts / ((counts - both.get()) * (counts + both.get())).sqrt();
            NoiseMultiplier::new(update * (1.0 + 8.0 * f64::EPSILON)).map_err(usage)?
        }
        Some(counts) => {
            return Err(usage(format!(
                "epsilon {epsilon} takes noise {both} on update and quality counts together, and metrics.noise_multiplier \
                 is {counts}: raise it well above that, or leave [metrics] out"
            )));
        }
    };
    Ok(Wanted {
        epsilon,
        noise_multiplier,
    })
}

/// Each release, and each phase of training, as a tensor of its own, under its own noise.
fn of_releases(plan: &Plan, learner: &Learner) -> Result<Vec<Tensor>, ScheduleError> {
    let users: f64 = plan.shops.iter().map(|terms| terms.declared_users as f64).sum();
    let factor = noise_factor(plan);
    let most_signal = |coordinates: usize, noise: f64| users / (noise * factor * (coordinates as f64).sqrt());
    let of = |(round, release): (u64, &ReleaseShare)| {
        let of_round = plan.for_first_attempt_at(round)?;
        let coordinates = learner.coordinates(round);
        let kind = name_of(Some(release.kind));
        let noise = of_round.privacy.noise_multiplier.map(NoiseMultiplier::get);
        Ok(Tensor {
            name: match noise {
                Some(noise) => format!("release {round}, {kind} (share {}, z {noise:.3})", release.share),
                None => format!("release {round}, {kind}"),
            },
            coordinates,
            most_signal_to_noise: noise.map(|noise| most_signal(coordinates, noise)),
        })
    };
    let releases = (1..).zip(&plan.release).map(of);
    let mut first = plan.release.len() as u64 + 1;
    let training = plan.training.iter().map(|phase| {
        let (round, kind) = (first, format!("{:?}", phase.kind).to_lowercase());
        first += phase.rounds;
        let of_round = plan.for_first_attempt_at(round)?;
        let noise = of_round.privacy.noise_multiplier.map(NoiseMultiplier::get);
        let coordinates = learner.coordinates(round);
        Ok(Tensor {
            name: match noise {
                Some(noise) => format!(
                    "rounds {round} to {}, {kind} (share {} together, z {noise:.3})",
                    first - 1,
                    phase.share
                ),
                None => format!("rounds {round} to {}, {kind}", first - 1),
            },
            coordinates,
            most_signal_to_noise: noise.map(|noise| most_signal(coordinates, noise)),
        })
    });
    releases.chain(training).collect()
}

fn tensors(plan: &Plan, layout: &Layout) -> Vec<Tensor> {
    let drawn: f64 = plan
        .shops
        .iter()
        .map(|terms| terms.weight.get() * terms.declared_users as f64 * plan.privacy.sampling_rate.get())
        .sum();
    let factor = noise_factor(plan);
    let of = |block: &TensorSpec| Tensor {
        name: block.name.clone(),
        coordinates: block.range().len(),
        most_signal_to_noise: plan
            .privacy
            .noise_multiplier
            .map(|z| drawn / (z.get() * factor * (block.range().len() as f64).sqrt())),
    };
    layout.blocks().iter().map(of).collect()
}

impl Size {
    fn model_bytes(&self) -> usize {
        self.coordinates * MODEL_BYTES
    }
}

impl Cost {
    fn masking(&self) -> Option<(&MaskingPlan, MaskingParams)> {
        self.plan.masking.as_ref().zip(self.plan.masking_params())
    }

    /// When updates leave, and what is to be said about that.
    fn timing(&self) -> Vec<String> {
        let plan = &self.plan;
        let Some((after, latest)) = plan.cohort.upload_after.zip(plan.latest_upload()) else {
            return vec![
                "warning: without cohort.upload_after an update leaves as soon as it is ready, and the time tells something of \
                 who was drawn: set it to longer than the slowest shop trains"
                    .to_owned(),
            ];
        };
        let from = match plan.masking {
            Some(_) => "after R2 of its attempt",
            None => "after the announcement",
        };
        let mut lines = vec![format!(
            "every update leaves {} {from}, at the latest {} of {} into the attempt; a shop that trains longer is told",
            format_duration(after),
            format_duration(latest),
            format_duration(plan.cohort.deadline)
        )];
        if let Some(size) = &self.size
            && latest.as_secs_f64() + size.seconds > plan.cohort.deadline.as_secs_f64()
        {
            lines.push(format!(
                "warning: an update that leaves then takes {:.1} s and comes after the deadline: lower cohort.upload_after or \
                 raise cohort.deadline",
                size.seconds
            ));
        }
        lines
    }

    /// Of the plan as a whole.
    pub(super) fn warnings(&self) -> Vec<String> {
        let timing = self
            .timing()
            .into_iter()
            .filter(|line| line.starts_with("warning: "));
        timing.chain(self.outlook.warnings.iter().cloned()).collect()
    }

    /// Why the plan had better not be begun.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.outlook.refusal.as_deref()
    }

    fn bytes_per_round(&self, size: &Size) -> usize {
        self.plan.shops.len() * (size.update_bytes + size.model_bytes())
    }

    /// As one object; keys that are not known are absent.
    pub(super) fn json(&self) -> Value {
        let mut said = json!({
            "plan": self.digest,
            "rounds": self.plan.rounds,
            "shops": self.plan.shops.len(),
            "headroom": self.plan.headroom(),
            "upload_after_seconds": self.plan.cohort.upload_after.map(|after| after.as_secs_f64()),
            "latest_upload_seconds": self.plan.latest_upload().map(|latest| latest.as_secs_f64()),
            "epsilon_per_shop": self.privacy.as_ref().map(|privacy| json!({
                "epsilon": privacy.epsilon.map(Epsilon::get),
                "epsilon_without_sampling": privacy.without_sampling.map(Epsilon::get),
                "delta": privacy.delta.get(),
                "unit": UNIT,
                "relation": RELATION,
                "accountant": "pld",
                "noise_multiplier": privacy.noise_multiplier.get(),
                "epsilon_readers": privacy.others.as_ref().map(|others| others.readers.map(Epsilon::get)),
                "epsilon_if_alone": privacy.others.as_ref().map(|others| others.alone.map(Epsilon::get)),
            })),
        });
        if let Some((masking, terms)) = self.masking() {
            let shops = self.plan.shops.len();
            said["masking"] = json!({
                "min_shops": masking.min_shops,
                "colluding": masking.colluding,
                "neighbours": terms.degree(shops),
                "share_threshold": terms.threshold(shops, 0),
                "failure_probability_at_10_percent_dropout": terms.failure_probability(shops, DROPOUT),
            });
        }
        if let Some(target) = &self.target {
            said["target"] = json!({
                "epsilon": target.epsilon.get(),
                "noise_multiplier": target.noise_multiplier.get(),
            });
        }
        if let Some(size) = &self.size {
            said["coordinates"] = json!(size.coordinates);
            said["bytes_per_update"] = json!(size.update_bytes);
            said["bytes_per_round"] = json!(self.bytes_per_round(size));
            said["modulus_bits"] = json!(size.grid.bits.bits());
            said["modulus_headroom"] = json!(size.headroom);
            said["grid_units_per_clip_norm"] = json!(size.grid.clip_units());
            said["noise_stddev_in_grid_units"] = json!(size.grid.noise_stddev);
            said["transfer_seconds_per_round"] = json!(size.seconds);
            let tensor = |tensor: &Tensor| {
                json!({
                    "name": tensor.name,
                    "coordinates": tensor.coordinates,
                    "most_signal_to_noise": tensor.most_signal_to_noise,
                })
            };
            said["tensors"] = size.tensors.iter().map(tensor).collect();
        }
        self.outlook.json(&mut said);
        said["warnings"] = json!(self.warnings());
        said
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let plan = &self.plan;
        let mut lines = vec![format!(
            "plan {} ({}): {} rounds, {} shops, quorum {}",
            plan.name,
            self.digest.short(),
            plan.rounds,
            plan.shops.len(),
            plan.cohort.quorum
        )];
        lines.push(match &self.privacy {
            Some(privacy) => {
                match plan.is_of_releases() {
                    true => format!(
                        "a shop in all releases spends epsilon {} at delta {}, also if attempts fail (unit: {UNIT}; relation: \
                         {RELATION}; Gaussian mechanism, closed form: nothing is sampled)",
                        words(privacy.epsilon),
                        privacy.delta
                    ),
                    false => format!(
                    "a shop in all rounds spends epsilon {} at delta {} (unit: {UNIT}; relation: {RELATION}; accountant: \
                     pld);\nif sampling were not secret: epsilon {}",
                    words(privacy.epsilon),
                    privacy.delta,
                    words(privacy.without_sampling)
                    ),
                }
            }
            None => "privacy is off: no epsilon bounds it".to_owned(),
        });
        if let Some(privacy) = &self.privacy
            && let Some(others) = &privacy.others
        {
            lines.push(format!(
                "that holds against the coordinator with {} of the shops; against readers of the models: epsilon {}; if every \
                 other shop were invented: epsilon {}",
                plan.masking.as_ref().map_or(0, |masking| masking.colluding),
                words(others.readers),
                words(others.alone)
            ));
        }
        if let (Some(privacy), Some(metrics)) = (&self.privacy, plan.metrics) {
            lines.push(format!(
                "quality counts at noise {} are in it: together z = {:.4}",
                metrics.noise_multiplier, privacy.noise_multiplier
            ));
        }
        if let Some((masking, terms)) = self.masking() {
            let degree = terms.degree(plan.shops.len());
            lines.push(format!(
                "masked: sums of at least {} shops, masks with {degree} others, {} shares rebuild what a shop leaves behind; \
                 with one shop in ten dropping out an attempt fails for want of shares at most {:.1e} of the time",
                masking.min_shops,
                terms.threshold(plan.shops.len(), 0),
                terms.failure_probability(plan.shops.len(), DROPOUT)
            ));
        }
        lines.extend(self.timing());
        if let Some(target) = &self.target {
            lines.push(format!(
                "epsilon {} at this delta takes noise_multiplier = {}",
                target.epsilon,
                rounded_up(target.noise_multiplier.get(), 6)
            ));
        }
        if let Some(size) = &self.size {
            lines.push(format!(
                "{} coordinates: {} bytes an update, {} bytes a round to and from all shops",
                size.coordinates,
                size.update_bytes,
                self.bytes_per_round(size)
            ));
            lines.push(format!(
                "modulus 2^{}: the largest sum of {} times the declared users fits {:.1} times; clip norm {} grid units, noise {} of them",
                size.grid.bits.bits(),
                plan.headroom(),
                size.headroom,
                size.grid.clip_units(),
                size.grid.noise_stddev
            ));
            lines.push(format!(
                "model and update take {:.1} s a round on one shop's line; training comes on top",
                size.seconds
            ));
            for tensor in &size.tensors {
                lines.push(match tensor.most_signal_to_noise {
                    Some(ratio) => format!(
                        "{}: {} coordinates, signal to noise of a round's sum at most {ratio:.3}",
                        tensor.name, tensor.coordinates
                    ),
                    None => format!("{}: {} coordinates", tensor.name, tensor.coordinates),
                });
            }
        }
        lines.extend(self.outlook.lines());
        lines.extend(self.outlook.warnings.iter().cloned());
        lines.join("\n")
    }
}

fn words(epsilon: Option<Epsilon>) -> String {
    epsilon.map_or("unbounded".to_owned(), |epsilon| rounded_up(epsilon.get(), 3))
}

/// Of a coordinate in a model file.
const MODEL_BYTES: usize = 4;

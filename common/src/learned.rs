//! What a plan's rounds publish: a model, or what its releases say so far. One file each, which the manifest names.

use std::io::{self, Write};

use crate::catalogue::Catalogue;
use crate::model::file::{self, ModelFileError, ModelMeta};
use crate::model::init::initial_parameters;
use crate::model::layout::{Layout, Vocabulary};
use crate::plan::Plan;

/// What was published last, in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned {
    /// The parameters of a model, in its layout.
    Model(Vec<f32>),
}

/// How a plan over a catalogue learns: shapes, files, and what it begins with.
#[derive(Clone, Debug)]
pub struct Learner {
    plan: Plan,
    layout: Layout,
}

impl Learner {
    /// Of `plan` over `catalogue`.
    pub fn new(plan: &Plan, catalogue: &Catalogue) -> Self {
        Self {
            layout: Layout::new(&plan.model, &Vocabulary::from(catalogue)),
            plan: plan.clone(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan as it is for the round that follows on `learned`.
    pub fn round_plan(&self, _learned: &Learned, _round: u64) -> Plan {
        self.plan.clone()
    }

    /// Coordinates of what `round`, from 1, sums before its counts.
    pub fn coordinates(&self, _round: u64) -> usize {
        self.layout.len()
    }

    /// Length of an update in bytes, by round; the last is that of all rounds that follow.
    pub fn update_bytes(&self) -> Vec<u64> {
        vec![self.plan.update_bytes(self.layout.len())]
    }

    /// What a run begins with.
    pub fn initial(&self) -> Learned {
        let plan = &self.plan;
        Learned::Model(initial_parameters(
            &plan.model,
            &plan.train,
            &self.layout,
            plan.seed,
        ))
    }

    /// Writes the file of `learned`, a piece at a time.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write, learned: &Learned, meta: &ModelMeta) -> io::Result<()> {
        match learned {
            Learned::Model(params) => file::write(out, params, &self.layout, meta),
        }
    }

    /// The file of `learned`.
    pub fn encode(&self, learned: &Learned, meta: &ModelMeta) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, learned, meta)
            .expect("a vector takes all bytes");
        bytes
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When it is no such file of this plan, or has numbers that are not finite.
    pub fn decode(&self, bytes: &[u8]) -> Result<Learned, LearnedError> {
        Ok(Learned::Model(file::decode(bytes, &self.layout)?.0))
    }

    /// Refuses what has numbers that are not finite.
    ///
    /// # Errors
    /// With the first one's tensor and index.
    pub fn finite(&self, learned: &Learned) -> Result<(), LearnedError> {
        match learned {
            Learned::Model(params) => Ok(file::finite(params, &self.layout)?),
        }
    }
}

/// Why bytes, or numbers, are nothing that a plan's rounds publish.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// No model of the plan.
    #[error(transparent)]
    Model(#[from] ModelFileError),
}

//! A channel under another name.

use std::sync::Arc;

use super::{Channel, Group, Recency};

/// The same scores, called something else, so that two of a kind can stand in one stack.
pub struct Renamed {
    name: String,
    inner: Arc<dyn Channel>,
}

impl Renamed {
    /// `inner`, called `name`.
    pub fn new(name: String, inner: Arc<dyn Channel>) -> Self {
        Self { name, inner }
    }
}

impl Channel for Renamed {
    fn name(&self) -> &str {
        &self.name
    }

    fn group(&self) -> Group {
        self.inner.group()
    }

    fn is_federated(&self) -> bool {
        self.inner.is_federated()
    }

    fn decay(&self) -> Option<f32> {
        self.inner.decay()
    }

    fn is_linear(&self) -> bool {
        self.inner.is_linear()
    }

    fn attributed(&self, history: &[u32], wanted: &[u32]) -> Option<Vec<Vec<(u32, f32)>>> {
        self.inner.attributed(history, wanted)
    }

    fn goes_by_the_clock(&self) -> bool {
        self.inner.goes_by_the_clock()
    }

    fn as_of(&self, time: i64) -> Option<Arc<dyn Channel>> {
        let inner = self.inner.as_of(time)?;
        Some(Arc::new(Self::new(self.name.clone(), inner)))
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        self.inner.score(of, out);
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

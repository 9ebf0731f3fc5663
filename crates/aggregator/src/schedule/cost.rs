//! What a question costs, in requests that the platform's limit counts: learned from what it did cost.

/// How much of what was learned before counts at each new reading.
const MEMORY: f64 = 0.9;
/// Until something is known: a list of runs and a branch.
const UNKNOWN: f64 = 2.0;
/// A listing's page.
pub(super) const PAGE: f64 = 1.0;
/// What is free (answered 304) still takes its turn.
const LEAST: f64 = 0.05;

/// The costs of one source.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// Requests, and projects that they were for, both fading.
    requests: f64,
    projects: f64,
    /// Requests since the last reading ended.
    pending: f64,
}

impl Costs {
    pub(super) const fn spent(&mut self, requests: f64) {
        self.pending += requests;
    }

    /// Something ended whose cost is known: that was not for a reading.
    pub(super) const fn known(&mut self, cost: f64) {
        self.pending = (self.pending - cost).max(0.0);
    }

    /// A reading failed, which says nothing of what one takes.
    pub(super) const fn failed(&mut self) {
        self.pending = 0.0;
    }

    /// A reading of so many projects ended. What was spent since the last one was for it, as far as anybody can tell.
    pub(super) fn read(&mut self, projects: usize) {
        self.requests = self.requests * MEMORY + std::mem::take(&mut self.pending);
        self.projects = self.projects * MEMORY + count(projects);
    }

    /// Requests that one project takes.
    pub(super) fn per_project(&self) -> f64 {
        if self.projects > 0.0 { (self.requests / self.projects).max(LEAST) } else { UNKNOWN }
    }

    /// Requests that reading so many projects takes.
    pub(super) fn reading(&self, projects: usize) -> f64 {
        self.per_project() * count(projects)
    }

    /// Requests that it takes where all of them have changed: what was free of late is not then.
    pub(super) fn at_worst(&self, projects: usize) -> f64 {
        self.per_project().max(UNKNOWN) * count(projects)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of projects")]
const fn count(projects: usize) -> f64 {
    projects as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_learned() {
        let mut costs = Costs::default();
        assert!((costs.reading(10) - 20.0).abs() < 1e-9);
        for _ in 0..50 {
            costs.spent(30.0);
            costs.read(10);
        }
        assert!((costs.per_project() - 3.0).abs() < 1e-9);
        for _ in 0..100 {
            costs.read(10);
        }
        assert!(costs.per_project() < 0.1, "unchanged: nearly free");
        assert!((costs.at_worst(10) - 20.0).abs() < 1e-9, "until all of it changes");
        costs.spent(1.0);
        costs.failed();
        costs.read(10);
        assert!(costs.per_project() < 0.1, "what failed teaches nothing");
    }
}

//! What a question costs, in requests that the platform's limit counts: learned from what it did cost.

/// How much of what was learned before counts at each new reading.
const MEMORY: f64 = 0.9;
/// Until something is known: a list of runs and a branch.
const UNKNOWN: f64 = 2.0;
/// A listing's page.
pub(super) const PAGE: Price = Price::exactly(1.0);
/// A project that took more than so many had others' requests counted with it.
const MOST: f64 = 4.0;
/// What is free (answered 304) still takes its turn.
const LEAST: f64 = 0.05;

/// What a piece of work takes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Price {
    /// Mostly.
    pub(super) expected: f64,
    /// Where everything has changed, and what was free of late is not.
    pub(super) at_worst: f64,
}

impl Price {
    pub(super) const fn exactly(requests: f64) -> Self {
        Self { expected: requests, at_worst: requests }
    }
}

/// The costs of one source.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// Requests, and projects that they were for, both fading.
    requests: f64,
    projects: f64,
    /// The most that one project took. It does not fade: one that failed takes twice what its neighbours do, and comes seldom.
    most: f64,
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
        let requests = std::mem::take(&mut self.pending);
        self.most = self.most.max(requests / count(projects).max(1.0));
        self.requests = self.requests * MEMORY + requests;
        self.projects = self.projects * MEMORY + count(projects);
    }

    /// Requests that one project takes.
    pub(super) fn per_project(&self) -> f64 {
        if self.projects > 0.0 { (self.requests / self.projects).max(LEAST) } else { UNKNOWN }
    }

    /// What reading so many projects takes.
    pub(super) fn reading(&self, projects: usize) -> Price {
        let each = self.per_project();
        let at_worst = each.max(self.most.clamp(UNKNOWN, MOST));
        Price { expected: each * count(projects), at_worst: at_worst * count(projects) }
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
        assert_eq!(costs.reading(10), Price::exactly(20.0));
        for _ in 0..50 {
            costs.spent(30.0);
            costs.read(10);
        }
        assert!((costs.per_project() - 3.0).abs() < 1e-9);
        for _ in 0..100 {
            costs.read(10);
        }
        assert!(costs.per_project() < 0.1, "unchanged: nearly free");
        assert!((costs.reading(10).at_worst - 30.0).abs() < 1e-9, "until all of it changes");
        costs.spent(35.0);
        costs.read(10);
        assert!((costs.reading(10).at_worst - 35.0).abs() < 1e-9);
        for _ in 0..200 {
            costs.read(10);
        }
        costs.spent(1.0);
        costs.failed();
        costs.read(10);
        assert!(costs.per_project() < 0.1, "what failed teaches nothing");
    }
}

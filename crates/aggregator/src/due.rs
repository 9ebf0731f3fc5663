//! Every source's schedule behind its lock: where those who make something due (webhooks, people who look) meet the one who
//! asks the platform ([`crate::refresh`]), and where [`Explain`](crate::service) and `/sources` look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use domain::{Clock, ProjectKey, SourceName};
use tokio::sync::Notify;

use crate::schedule::{Explanation, Figures, Hook, Plan, Scheduler};

/// One source's schedule.
#[derive(Debug)]
pub struct Schedule {
    scheduler: Mutex<Scheduler>,
    nudge: Notify,
}

impl Schedule {
    /// One that begins now.
    #[must_use]
    pub fn new(plan: Plan, clock: &dyn Clock) -> Self {
        Self { scheduler: Mutex::new(Scheduler::new(plan, clock.now())), nudge: Notify::new() }
    }

    /// Looks at it, or changes it. For computations only, never across an await.
    pub fn with<R>(&self, f: impl FnOnce(&mut Scheduler) -> R) -> R {
        f(&mut self.scheduler.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until somebody makes something due.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

/// All sources' schedules.
#[derive(Debug)]
pub struct Schedules {
    clock: Arc<dyn Clock>,
    sources: RwLock<BTreeMap<SourceName, Arc<Schedule>>>,
}

impl Schedules {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, sources: RwLock::default() }
    }

    /// Begins a source's, in place of one that it may have had.
    pub fn begin(&self, source: &SourceName, plan: Plan) -> Arc<Schedule> {
        let schedule = Arc::new(Schedule::new(plan, self.clock.as_ref()));
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.insert(source.clone(), Arc::clone(&schedule));
        schedule
    }

    /// Ends a source's.
    pub fn end(&self, source: &SourceName) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).remove(source);
    }

    /// Whose there are.
    #[must_use]
    pub fn names(&self) -> Vec<SourceName> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn of(&self, source: &SourceName) -> Option<Arc<Schedule>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    /// A webhook told of this project. Of no effect where nobody reads its source.
    pub fn woken(&self, project: &ProjectKey, hook: Hook) {
        if let Some(schedule) = self.of(&project.source) {
            let now = self.clock.now();
            schedule.with(|s| s.woken(&project.id, hook, now));
            schedule.nudge.notify_one();
        }
    }

    /// Somebody looks at this project.
    pub fn looked_at(&self, project: &ProjectKey) {
        if let Some(schedule) = self.of(&project.source) {
            schedule.with(|s| s.looked_at(&project.id, self.clock.now()));
            schedule.nudge.notify_one();
        }
    }

    /// Whether all projects of a source are known: its listing came to its end since the start.
    #[must_use]
    pub fn is_listed(&self, source: &SourceName) -> bool {
        self.of(source).is_some_and(|s| s.with(|s| s.standing().listed))
    }

    /// Why a project is asked when it is.
    #[must_use]
    pub fn explain(&self, project: &ProjectKey) -> Option<Explanation> {
        self.of(&project.source)?.with(|s| s.explain(&project.id, self.clock.now()))
    }

    /// What a source's schedule comes to now.
    #[must_use]
    pub fn figures(&self, source: &SourceName) -> Option<Figures> {
        Some(self.of(source)?.with(|s| s.figures(self.clock.now())))
    }
}

//! The platform-neutral truth: a seeded world of projects that moves with time.
//!
//! Everything follows from [`WorldConfig`] and the times that [`World::advance_to`] is given: the same seed tells the
//! same story, whatever the size of the steps. A project's past is made when somebody first looks at it, so that
//! 10,000 projects cost nothing until they are read.
//!
//! Faces (`crate::gitlab`, `crate::github`) translate this into wire formats; tests compare a dashboard with it.

mod build;
mod control;
mod deployments;
mod history;
mod logs;
mod model;
mod motion;
mod names;
mod plan;

use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha8Rng;

pub use control::ControlError;
pub use deployments::Deployment;
pub(crate) use deployments::PRODUCTION;
pub use logs::{LineKind, LogLine};
pub use model::{
    Branch, Commit, FaceId, Failure, FailureKind, History, Issue, Job, JobPlan, MergeRequest, PastAttempt,
    PersonId, Pipeline, Project, ProjectId, RunStatus, Shape, Stage, Style, Trigger, Visibility, Workflow,
    WorkflowTrigger,
};
pub use names::{PEOPLE, Person};
pub(crate) use plan::JOBS_PER_RUN;

/// Pipelines get the ids `number * ID_STRIDE + project`, which makes them unique and lets them rise with time.
/// Hence the most projects a world can have.
pub(crate) const ID_STRIDE: u64 = 1 << 16;
/// A project keeps at most so many pipelines; then the oldest thousand go.
pub(crate) const MAX_RUNS_PER_PROJECT: usize = 5_000;
/// A project has at most so many branches: a new one makes the oldest feature branch go.
pub(crate) const MAX_BRANCHES: usize = 16;

/// How fast the world moves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Mean time between two events (a push, a nightly run, a retry) in the whole world; none: nothing begins by itself,
    /// what runs goes on.
    pub event_every: Option<SignedDuration>,
    /// Median run times in seconds, shortest and longest, past runs as well as new ones, so that what a dashboard
    /// expects of a run is what it does; none: 1 to 50 minutes.
    pub run_seconds: Option<(u32, u32)>,
}

impl Pace {
    /// Nothing begins by itself: for tests.
    pub const STILL: Self = Self { event_every: None, run_seconds: None };
    /// Something to watch: with 60 projects a change every couple of seconds, runs take half a minute to some minutes.
    pub const DEMO: Self =
        Self { event_every: Some(SignedDuration::from_secs(9)), run_seconds: Some((30, 240)) };
    /// As in a real company: a push every few minutes, runs as long as they always were.
    pub const NATURAL: Self = Self { event_every: Some(SignedDuration::from_secs(300)), run_seconds: None };
}

impl Pace {
    /// A natural median at this pace: a long pipeline stays longer than a short one.
    fn run_time(self, natural_seconds: u32) -> u32 {
        let Some((low, high)) = self.run_seconds else { return natural_seconds };
        let place = ((f64::from(natural_seconds) / 60.0).ln() / 50.0_f64.ln()).clamp(0.0, 1.0);
        low + (f64::from(high.saturating_sub(low)) * place) as u32
    }
}

/// What a world is made from.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// The same seed gives the same world.
    pub seed: u64,
    /// How many projects in all, dealt to the faces in turn; at most 65,535.
    pub projects: usize,
    /// The world's first moment; its past lies before.
    pub start: Timestamp,
    /// Who shows the projects.
    pub faces: Vec<(FaceId, Style)>,
    /// How fast it moves.
    pub pace: Pace,
    /// So many projects are red at the start, instead of the usual few.
    pub broken: Option<usize>,
    /// So many pipelines run at the start, instead of about one project in nine.
    pub running: Option<usize>,
    /// Of the lively projects, the share in which nothing has happened for 2 to 60 days, and to which nobody pushes by
    /// themselves; 0 to 1.
    pub asleep: f64,
}

/// Projects and time. See the module.
pub struct World {
    pub(crate) config: WorldConfig,
    now: Timestamp,
    projects: Vec<Project>,
    by_path: HashMap<(FaceId, String), ProjectId>,
    by_native: HashMap<(FaceId, u64), ProjectId>,
    lively: Vec<ProjectId>,
    queue: BinaryHeap<motion::Event>,
    next_order: u64,
    rng: ChaCha8Rng,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("projects", &self.projects.len())
            .field("queue", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// The world's present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Every project that still exists, in order of its making.
    pub fn projects(&self) -> impl Iterator<Item = &Project> {
        self.projects.iter().filter(|project| !project.deleted)
    }

    /// The projects of one face.
    pub fn projects_of(&self, face: FaceId) -> impl Iterator<Item = &Project> {
        self.projects().filter(move |project| project.face == face)
    }

    /// A project by its id; none once it is deleted.
    #[must_use]
    pub fn get(&self, id: ProjectId) -> Option<&Project> {
        self.projects.get(id.index()).filter(|project| !project.deleted)
    }

    /// A project by face and present full path; letters compare without case, as on the platforms.
    #[must_use]
    pub fn find(&self, face: FaceId, full_path: &str) -> Option<&Project> {
        self.by_path.get(&(face, full_path.to_lowercase())).and_then(|id| self.get(*id))
    }

    /// A project that once had this full path.
    #[must_use]
    pub fn find_former(&self, face: FaceId, full_path: &str) -> Option<&Project> {
        self.projects_of(face)
            .find(|p| p.former_paths.iter().any(|former| former.eq_ignore_ascii_case(full_path)))
    }

    /// A project by face and the platform's own id.
    #[must_use]
    pub fn find_native(&self, face: FaceId, native_id: u64) -> Option<&Project> {
        self.by_native.get(&(face, native_id)).and_then(|id| self.get(*id))
    }
}

/// The world behind a lock, shared by faces, tests and the driver.
#[derive(Debug, Clone)]
pub struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    /// Shares `world`.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// Runs `work` on the world, alone. Do not call it from within `work`.
    pub fn with<R>(&self, work: impl FnOnce(&mut World) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

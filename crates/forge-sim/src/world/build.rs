//! Makes a world: who is who, before anything has moved.

use std::cell::OnceCell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::model::{FaceId, FailureKind, Project, ProjectId, Shape, Style, Trigger, Visibility};
use super::names::{GROUPS, NOUNS, PEOPLE, PROJECTS, UNICODE_DESCRIPTION, UNICODE_NAMES};
use super::plan::{failure, later, mix, rng, workflows};
use super::{ID_STRIDE, World, WorldConfig};

/// First id that a platform gives; the same on all of them.
const FIRST_NATIVE_ID: u64 = 1_001;
/// Ids have gaps.
const NATIVE_STEP: u64 = 7;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Shortest and longest median run time of a project, in seconds.
const MEDIAN_SECONDS: (f64, f64) = (60.0, 3_000.0);
/// So many projects at most have a pipeline running at the start.
const MAX_RUNNING_AT_START: usize = 64;

/// Of its own, so that what it decides leaves the rest of a world as it is.
fn rng_of_sleep(seed: u64) -> impl Rng {
    rng(seed, 8)
}

impl World {
    /// Makes the world of `config`, at its start time.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let count = config.projects.min(ID_STRIDE as usize - 1);
        let mut world = Self {
            now: config.start,
            projects: Vec::with_capacity(count),
            by_path: HashMap::with_capacity(count),
            by_native: HashMap::with_capacity(count),
            lively: Vec::new(),
            queue: BinaryHeap::new(),
            next_order: 0,
            rng: rng(config.seed, 2),
            config,
        };
        for index in 0..count {
            let project = world.make(index);
            world.index(&project);
            let awake = project.pushed_at > later(world.config.start, -DAY_MS) || world.config.asleep <= 0.0;
            if project.shape.is_lively() && !project.workflows.is_empty() && awake {
                world.lively.push(project.id);
            }
            world.projects.push(project);
        }
        world.begin();
        world
    }

    pub(super) fn index(&mut self, project: &Project) {
        self.by_path.insert((project.face, project.full_path().to_lowercase()), project.id);
        self.by_native.insert((project.face, project.native_id), project.id);
    }

    fn identity(&self, index: usize, rng: &mut impl Rng) -> (String, String, Shape) {
        let (namespace, path, mut shape) = match PROJECTS.get(index) {
            Some((namespace, path, shape)) => ((*namespace).to_owned(), (*path).to_owned(), *shape),
            None => {
                let group = GROUPS.choose(rng).copied().unwrap_or("team");
                let noun = NOUNS.choose(rng).copied().unwrap_or("app");
                let shape = match rng.random_range(0..1000) {
                    0..25 => Shape::Broken { minutes: rng.random_range(5..900) },
                    25..40 => Shape::Warning,
                    40..45 => Shape::Waiting,
                    45..55 => Shape::CanceledNewest,
                    55..65 => Shape::NoRuns,
                    65..85 => Shape::NoCi,
                    85..90 => Shape::CiDisabled,
                    90..100 => Shape::Empty,
                    100..120 => Shape::Archived,
                    120..150 => Shape::Quiet,
                    _ => Shape::Green,
                };
                (group.to_owned(), format!("{noun}-{index}"), shape)
            }
        };
        if let Some(broken) = self.config.broken {
            shape = match shape {
                Shape::Broken { .. } if index >= broken => Shape::Green,
                Shape::Broken { minutes } => Shape::Broken { minutes },
                _ if index < broken => Shape::Broken { minutes: 7 + (index as u32 * 53) % 1_700 },
                other => other,
            };
        }
        (namespace, path, shape)
    }

    fn make(&self, index: usize) -> Project {
        let faces = self.config.faces.len().max(1);
        let native_id = FIRST_NATIVE_ID + (index / faces) as u64 * NATIVE_STEP;
        self.make_for(index, index % faces, native_id, None)
    }

    /// A project for a place that the builder did not deal, with a story of its own.
    pub(super) fn make_late(&self, face: usize) -> Project {
        let index = self.projects.len();
        self.make_for(index, face, FIRST_NATIVE_ID + index as u64 * NATIVE_STEP, Some(Shape::Green))
    }

    fn make_for(&self, index: usize, face: usize, native_id: u64, shape: Option<Shape>) -> Project {
        let config = &self.config;
        let seed = mix(config.seed, 10_000 + index as u64);
        let mut rng = rng(seed, 0);
        let (face, style) = config.faces.get(face).copied().unwrap_or((FaceId("none"), Style::Stages));
        let (mut namespace, path, dealt) = self.identity(index, &mut rng);
        let shape = shape.unwrap_or(dealt);
        if style == Style::Workflows {
            // Owners there have no parts.
            namespace = namespace.replace('/', "-");
        }
        let (low, high) = MEDIAN_SECONDS;
        let median = (low * (high / low).powf(rng.random_range(0.05..0.95))) as u32;
        let gap_seconds = (1_200.0 * 144.0_f64.powf(rng.random::<f64>())) as i64;
        let median_of = |factor: f64| ((f64::from(median) * factor) as u32).max(20);
        let mut flows = workflows(&mut rng, style, shape, median, native_id * 10, median_of);
        for flow in &mut flows {
            flow.median_seconds = self.config.pace.run_time(flow.median_seconds);
        }
        if matches!(shape, Shape::NoCi | Shape::Empty) {
            flows.clear();
        }
        let asleep = shape.is_lively() && rng_of_sleep(seed).random::<f64>() < config.asleep;
        let age = match shape {
            _ if asleep => rng_of_sleep(mix(seed, 1)).random_range(2..60) * DAY_MS,
            Shape::Quiet => 200 * DAY_MS,
            Shape::Archived => 420 * DAY_MS,
            Shape::NoRuns | Shape::NoCi | Shape::CiDisabled => 12 * DAY_MS,
            _ => (gap_seconds * 1_000).min(20 * 3_600_000) * rng.random_range(10..90) / 100,
        };
        let pushed_at = later(config.start, -age - 60_000);
        let red = match shape {
            Shape::Broken { .. } => flows.first().map(|w| {
                let kind = match index {
                    0 => Some(FailureKind::Script),
                    1 => Some(FailureKind::Timeout),
                    8 => Some(FailureKind::RunnerSystem),
                    _ => None,
                };
                failure(&mut rng, w, kind)
            }),
            _ => None,
        };
        let unicode = UNICODE_NAMES.iter().find(|(known, _)| *known == path);
        let visibility = match (rng.random_range(0..10), style) {
            (0..4, _) => Visibility::Public,
            (4, Style::Stages) => Visibility::Internal,
            _ => Visibility::Private,
        };
        let description = match rng.random_range(0..4) {
            _ if unicode.is_some() => Some(UNICODE_DESCRIPTION.to_owned()),
            0 => None,
            _ => Some(format!("The {} of {namespace}", path.replace(['-', '_'], " "))),
        };
        let default_branch = match shape {
            Shape::Empty => None,
            _ if index % 13 == 8 => Some("master"),
            _ if path == "ios-app" => Some("develop"),
            _ => Some("main"),
        };
        Project {
            id: ProjectId(index as u32),
            face,
            native_id,
            name: match unicode {
                Some((_, name)) if style == Style::Stages => (*name).to_owned(),
                _ => path.clone(),
            },
            description,
            visibility,
            member: true,
            personal: PEOPLE.iter().any(|person| person.login == namespace),
            default_branch: default_branch.map(Arc::from),
            archived: shape == Shape::Archived,
            shape,
            workflows: flows,
            failure_rate: rng.random_range(0.01..0.12),
            created_at: later(pushed_at, -DAY_MS * rng.random_range(300..2_000)),
            updated_at: pushed_at,
            pushed_at,
            former_paths: Vec::new(),
            deleted: false,
            seed,
            red,
            gap_seconds,
            start: config.start,
            history: OnceCell::new(),
            namespace,
            path,
        }
    }

    /// Lets some pipelines run already, among them the fix of the first broken project.
    fn begin(&mut self) {
        let wanted = self.config.running.unwrap_or(self.lively.len() / 9).min(MAX_RUNNING_AT_START);
        let candidates: Vec<ProjectId> = self.lively.clone();
        if candidates.is_empty() {
            return;
        }
        for k in 0..wanted {
            let id = candidates[k * candidates.len() / wanted.max(1)];
            // What starts first has already run for a while, if the pace makes runs long.
            let fixes = k == 0;
            let Some(branch) = self.get(id).and_then(|p| p.default_branch.clone()) else { continue };
            let author = self.random_person();
            let title = self.random_title(fixes);
            let sha = self.add_commit(id, &branch, author, title, self.now);
            if let Some(sha) = sha {
                let outcome = fixes.then_some(true);
                self.create_run(id, 0, &branch, &sha, Trigger::Push, author, outcome);
            }
        }
        self.schedule_arrival();
    }
}

//! Made-up history of any size, the same for the same seed: for properties and benches.

use std::time::Duration;

use domain::{Job, JobId, Person, Pipeline, RunId, Status, Timestamp, WebUrl, Workflow};
use history::{Batch, ProjectNews, RunNews};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::{at, key};

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Projects.
    pub projects: u64,
    /// Days, from [`at`]`(0, 0)` on.
    pub days: i64,
    /// Runs in all.
    pub runs: u64,
    /// Jobs of each run.
    pub jobs: u64,
}

/// A branch that a sixth of all runs are on.
pub const OTHER: &str = "integration";

/// A branch that is seldom built: a few times in a million runs, months apart.
pub const FEW: &str = "feature/4242-something";

const LANES: [(&str, &str, u64); 3] = [("1", "CI", 420), ("2", "Deploy", 150), ("3", "Nightly", 3_000)];
const JOBS: [&str; 6] = ["build", "unit-tests", "lint", "integration", "package", "docs"];
const PEOPLE: [&str; 12] =
    ["Ada", "Bob", "Cem", "Dora", "Emil", "Fay", "Gus", "Hana", "Ida", "Jon", "Kim", "Lea"];

/// The projects.
#[must_use]
pub fn projects(size: Size) -> Vec<ProjectNews> {
    (0..size.projects)
        .map(|n| {
            let mut project = domain::Project::named(
                key(&n.to_string()),
                domain::PlatformId::new("gitlab"),
                format!("group-{}/project-{n}", n % 9),
            );
            project.default_branch = Some("main".into());
            ProjectNews::There(Box::new(project))
        })
        .collect()
}

/// The final state of every attempt, oldest first.
#[derive(Debug)]
pub struct Runs {
    size: Size,
    random: StdRng,
    next: u64,
    retry: Option<RunNews>,
}

impl Runs {
    /// All of them.
    #[must_use]
    pub fn new(size: Size, seed: u64) -> Self {
        Self { size, random: StdRng::seed_from_u64(seed), next: 0, retry: None }
    }

    fn make(&mut self, n: u64) -> RunNews {
        let random = &mut self.random;
        let span = self.size.days * 86_400;
        let runs = i64::try_from(self.size.runs).unwrap().max(1);
        let begins = |n: u64| span * i64::try_from(n).unwrap() / runs;
        let begun = begins(n);
        let project = random.random_range(0..self.size.projects);
        let (lane, name, typical) = LANES[[0, 0, 0, 0, 1, 2][random.random_range(0..6)]];
        let main = random.random_bool(0.5);
        let change = n / 4 + project * 1_000_000;
        let branch = match (main, change % 3) {
            (true, _) => "main".to_owned(),
            (false, 0) => OTHER.to_owned(),
            (false, _) => format!("feature/{}-something", change % 100_000),
        };
        let status = match random.random_range(0..100) {
            0..78 => Status::Success,
            78..80 => Status::Warning,
            80..93 => Status::Failed,
            93..98 => Status::Canceled,
            _ => Status::Skipped,
        };
        let queued = random.random_range(1..90);
        let took = typical / 2 + random.random_range(0..typical);
        let id = 7_000_000_000 + n * 3;
        let (created, started) = (at(0, begun), at(0, begun + queued));
        let finished = at(0, begun + queued + i64::try_from(took).unwrap());
        let author = PEOPLE.choose(random).unwrap();
        let failed = status == Status::Failed;
        let pipeline = Pipeline {
            number: Some(n / self.size.projects + 1),
            attempt: Some(1),
            workflow: Workflow { lane: lane.into(), name: Some(name.into()) },
            branch: Some(branch),
            sha: Some(sha(change)),
            event: Some(if lane == "3" { "schedule" } else { "push" }.into()),
            author: Some(Person { login: Some(author.to_lowercase()), ..Person::named(*author) }),
            message: Some(format!(
                "{} the thing number {}",
                if n.is_multiple_of(97) { "Revert" } else { "Improve" },
                change % 7_919
            )),
            created_at: Some(created),
            started_at: Some(started),
            finished_at: Some(finished),
            updated_at: Some(finished),
            duration: Some(Duration::from_secs(took)),
            queued: Some(Duration::from_secs(queued.unsigned_abs())),
            url: WebUrl::parse(&format!("https://forge.example/group/project-{project}/-/pipelines/{id}")),
            failure: failed.then(|| "unit-tests: script failure".to_owned()),
            ..Pipeline::new(RunId::from(id), status, status.as_str())
        };
        let jobs =
            (0..self.size.jobs).map(|j| self.job(&pipeline, id * 8 + j, j, failed && j == 1)).collect();
        RunNews {
            jobs: (self.size.jobs > 0).then_some(jobs),
            // A minute before the first run that there may be on it.
            committed_at: main.then(|| at(0, begins(n / 4 * 4) - 60)),
            ..RunNews::of(key(&project.to_string()), pipeline)
        }
    }

    fn job(&mut self, run: &Pipeline, id: u64, n: u64, failed: bool) -> Job {
        let status = if failed { Status::Failed } else { Status::Success };
        let begun = run.started_at.unwrap_or_default();
        let took = Duration::from_secs(self.random.random_range(5..300));
        let later = |by: Duration| begun.saturating_add(jiff::SignedDuration::try_from(by).unwrap()).unwrap();
        Job {
            stage: Some("test".into()),
            failure_reason: failed.then(|| format!("exit code {}", self.random.random_range(1..5))),
            created_at: run.created_at,
            started_at: Some(begun),
            finished_at: Some(later(took)),
            duration: Some(took),
            queued: Some(Duration::from_secs(self.random.random_range(0..60))),
            url: run.url.as_ref().and_then(|u| WebUrl::parse(&format!("{u}/jobs/{id}"))),
            ..Job::new(
                JobId::from(id),
                JOBS[usize::try_from(n).unwrap() % JOBS.len()],
                status,
                status.as_str(),
            )
        }
    }
}

/// A commit's id that looks like one.
fn sha(of: u64) -> String {
    let mut random = StdRng::seed_from_u64(of);
    format!("{:016x}{:016x}{:08x}", random.random::<u64>(), random.random::<u64>(), random.random::<u32>())
}

impl Iterator for Runs {
    type Item = RunNews;

    fn next(&mut self) -> Option<RunNews> {
        if let Some(retry) = self.retry.take() {
            return Some(retry);
        }
        if self.next == self.size.runs {
            return None;
        }
        let news = self.make(self.next);
        self.next += 1;
        if news.pipeline.status == Status::Failed && self.random.random_bool(0.3) {
            let again = &news.pipeline;
            let later = |t: Option<Timestamp>| {
                t.and_then(|t| t.checked_add(jiff::SignedDuration::from_mins(30)).ok())
            };
            let status = if self.random.random_bool(0.6) { Status::Success } else { Status::Failed };
            let green = |j: &Job| match status {
                Status::Success => {
                    Job { status, native_status: status.as_str().into(), failure_reason: None, ..j.clone() }
                }
                _ => j.clone(),
            };
            let pipeline = Pipeline {
                attempt: Some(2),
                started_at: later(again.started_at),
                finished_at: later(again.finished_at),
                updated_at: later(again.updated_at),
                failure: again.failure.clone().filter(|_| status == Status::Failed),
                queued: None,
                status,
                native_status: status.as_str().into(),
                ..again.clone()
            };
            let jobs = news.jobs.as_ref().map(|jobs| jobs.iter().map(green).collect());
            self.retry = Some(RunNews { pipeline, jobs, ..news.clone() });
        }
        Some(news)
    }
}

/// How each attempt came to its state: queued, running, ended.
#[must_use]
pub fn reports(last: &RunNews) -> Vec<RunNews> {
    let end = &last.pipeline;
    let before =
        |by: i64| end.started_at.and_then(|t| t.checked_sub(jiff::SignedDuration::from_secs(by)).ok());
    let bare = Pipeline { finished_at: None, duration: None, failure: None, ..end.clone() };
    let state = |status: Status, updated_at: Option<Timestamp>, started_at: Option<Timestamp>| RunNews {
        jobs: None,
        pipeline: Pipeline {
            status,
            native_status: status.as_str().into(),
            updated_at,
            started_at,
            queued: None,
            ..bare.clone()
        },
        ..last.clone()
    };
    vec![
        state(Status::Queued, before(1), None),
        state(Status::Running, end.started_at, end.started_at),
        last.clone(),
    ]
}

/// Everything in a few large batches, in any order, with some of it twice.
#[must_use]
pub fn shuffled(size: Size, seed: u64) -> Vec<Batch> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut all: Vec<RunNews> = Runs::new(size, seed).flat_map(|last| reports(&last)).collect();
    let doubled: Vec<RunNews> = all.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
    all.extend(doubled);
    all.shuffle(&mut random);
    let mut batches = Vec::new();
    while !all.is_empty() {
        let mut batch = Batch::at(at(size.days, 0));
        batch.runs = all.split_off(all.len() - random.random_range(1..=all.len().min(40)));
        batches.push(batch);
    }
    batches
}

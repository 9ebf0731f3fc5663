//! Runs told in few words.

use std::time::Duration;

use domain::{NativeId, Pipeline, ProjectKey, RunId, SourceName, Status, Timestamp, Workflow};
use history::{Batch, History, RunNews};

/// Monday, midnight UTC: where stories begin.
const BEGINNING: i64 = 1_750_032_000;

/// A moment: day and second of it.
#[must_use]
pub fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_second(BEGINNING + day * 86_400 + second).unwrap()
}

/// A project's key in the source `forge`.
#[must_use]
pub fn key(id: &str) -> ProjectKey {
    ProjectKey::new(SourceName::new("forge").unwrap(), NativeId::new(id))
}

/// A completed run of `main` in lane `ci` that took ten seconds after waiting two.
#[must_use]
pub fn run(id: u64, status: Status, day: i64, second: i64) -> Pipeline {
    Pipeline {
        workflow: Workflow { lane: "ci".into(), name: Some("CI".into()) },
        branch: Some("main".into()),
        // The beginning differs, as it does in life.
        sha: Some(format!("{:08x}{id:032x}", (id + 1).wrapping_mul(2_654_435_761) & 0xffff_ffff)),
        created_at: Some(at(day, second)),
        started_at: Some(at(day, second + 2)),
        finished_at: Some(at(day, second + 12)),
        updated_at: Some(at(day, second + 12)),
        duration: Some(Duration::from_secs(10)),
        ..Pipeline::new(RunId::from(id), status, status.as_str())
    }
}

/// News of some projects.
#[derive(Debug)]
pub struct Story(Batch);

impl Story {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let mut batch = Batch::at(at(0, 0));
        batch.sources.insert(SourceName::new("forge").unwrap(), "gitlab".into());
        Self(batch)
    }

    /// A run of a project.
    #[must_use]
    pub fn run(self, project: &str, pipeline: Pipeline) -> Self {
        self.news(RunNews::of(key(project), pipeline))
    }

    /// The same with all that goes with it.
    #[must_use]
    pub fn news(mut self, news: RunNews) -> Self {
        self.0.runs.push(news);
        self
    }

    /// A project that describes itself; its default branch is `main`.
    #[must_use]
    pub fn project(mut self, id: &str) -> Self {
        let mut project =
            domain::Project::named(key(id), domain::PlatformId::new("gitlab"), format!("group/{id}"));
        project.default_branch = Some("main".into());
        self.0.projects.push(history::ProjectNews::There(Box::new(project)));
        self
    }

    /// What it says.
    #[must_use]
    pub fn batch(self) -> Batch {
        self.0
    }

    /// Writes it down.
    pub async fn told(self, history: &dyn History) {
        history.ingest(self.0).await.unwrap();
    }
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

//! The details as they are kept outside of the process, a shelf for each source. A name says whose and what:
//! `["pipeline","123","456"]`. Logs are not kept.

use std::sync::Arc;

use cache::{Entry, Loaded, Values};
use connector::{PipelineDetail, Pipelines};
use domain::{Branch, Job, NativeId, Pipeline, Problem, ProjectKey, RunId, SourceName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Details, RunKey, RunsKey, weight};
use crate::mirror::form::{pack, unpack};

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Pipeline(String, String),
    Runs(String, usize),
    Branches(String),
}

impl Name {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One run with its jobs.
#[derive(Serialize, Deserialize)]
struct Detail {
    pipeline: Pipeline,
    jobs: Vec<Job>,
    problems: Vec<Problem>,
}

/// The newest runs of a project.
#[derive(Serialize, Deserialize)]
struct Runs {
    items: Vec<Pipeline>,
    total: Option<u64>,
    problems: Vec<Problem>,
}

/// The details of a source.
struct OfSource {
    details: Details,
    source: SourceName,
}

impl OfSource {
    fn key(&self, id: &str) -> ProjectKey {
        ProjectKey::new(self.source.clone(), NativeId::new(id))
    }
}

fn of_use<K, V>(found: Option<(Entry<V>, K)>) -> Option<(Timestamp, Arc<V>)> {
    found.map(|(entry, _)| (entry.fetched_at, entry.value))
}

impl Values for OfSource {
    fn names(&self) -> Vec<String> {
        let all = domain::Patterns::default();
        let Details { pipelines, runs, branches, .. } = &self.details;
        let mine = |project: &ProjectKey| project.source == self.source;
        let pipelines = pipelines.keys(&all).into_iter().filter(|RunKey(p, _)| mine(p));
        let runs = runs.keys(&all).into_iter().filter(|RunsKey(p, _)| mine(p));
        let branches = branches.keys(&all).into_iter().filter(|p| mine(p));
        (pipelines.map(|key| name_of_run(&key)))
            .chain(runs.map(|key| name_of_runs(&key)))
            .chain(branches.map(|key| name_of_branches(&key)))
            .collect()
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let Details { pipelines, runs, branches, .. } = &self.details;
        match serde_json::from_str(name).ok()? {
            Name::Pipeline(id, run) => {
                let (at, value) = of_use(pipelines.get(&RunKey(self.key(&id), RunId::new(run))))?;
                let PipelineDetail { pipeline, jobs, problems } = (*value).clone();
                pack(&(at, Detail { pipeline, jobs, problems }))
            }
            Name::Runs(id, newest) => {
                let (at, value) = of_use(runs.get(&RunsKey(self.key(&id), newest)))?;
                let Pipelines { items, total, problems } = (*value).clone();
                pack(&(at, Runs { items, total, problems }))
            }
            Name::Branches(id) => {
                let (at, value) = of_use(branches.get(&self.key(&id)))?;
                pack(&(at, &*value))
            }
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let restored = || {
            let Details { pipelines, runs, branches, .. } = &self.details;
            Some(match serde_json::from_str(name).ok()? {
                Name::Pipeline(id, run) => {
                    let (at, Detail { pipeline, jobs, problems }) = unpack(bytes)?;
                    let value = PipelineDetail { pipeline, jobs, problems };
                    let loaded = Loaded { bytes: weight::of_run(&value), value, fresh_for: None };
                    let key = RunKey(self.key(&id), RunId::new(run));
                    pipelines.restore(key, pipelines.entry_of(loaded, at))
                }
                Name::Runs(id, newest) => {
                    let (at, Runs { items, total, problems }) = unpack(bytes)?;
                    let value = Pipelines { items, total, problems };
                    let loaded = Loaded { bytes: weight::of_runs(&value), value, fresh_for: None };
                    runs.restore(RunsKey(self.key(&id), newest), runs.entry_of(loaded, at))
                }
                Name::Branches(id) => {
                    let (at, value): (Timestamp, Vec<Branch>) = unpack(bytes)?;
                    let loaded = Loaded { bytes: weight::of_branches(&value), value, fresh_for: None };
                    branches.restore(self.key(&id), branches.entry_of(loaded, at))
                }
            })
        };
        restored().unwrap_or(false)
    }
}

fn name_of_run(RunKey(project, run): &RunKey) -> String {
    Name::Pipeline(project.id.to_string(), run.to_string()).text()
}

fn name_of_runs(RunsKey(project, newest): &RunsKey) -> String {
    Name::Runs(project.id.to_string(), *newest).text()
}

fn name_of_branches(project: &ProjectKey) -> String {
    Name::Branches(project.id.to_string()).text()
}

/// Hears of names of a source whose values changed.
pub(crate) type Heard = Arc<dyn Fn(&SourceName, String) + Send + Sync>;

impl Details {
    /// Those of a source.
    pub(crate) fn values_of(&self, source: SourceName) -> Arc<dyn Values> {
        Arc::new(OfSource { details: self.clone(), source })
    }

    /// Tells this one of changes from now on.
    pub(crate) fn listen(&self, heard: Heard) {
        let tell = Arc::clone(&heard);
        self.pipelines.listen(Box::new(move |key| tell(&key.0.source, name_of_run(key))));
        let tell = Arc::clone(&heard);
        self.runs.listen(Box::new(move |key| tell(&key.0.source, name_of_runs(key))));
        self.branches.listen(Box::new(move |key| heard(&key.source, name_of_branches(key))));
    }
}

//! Rows into domain types and back. Numbers of texts are resolved from what [`Names`] holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{
    Branch, Completeness, Deployment, Job, JobId, NativeId, Person, Pipeline, PlatformId, Project,
    ProjectKey, RunId, SourceName, Status, Timestamp, Visibility, WebUrl, Workflow,
};

use crate::calendar::DAY_MS;
use crate::merge::{Attempt, Attempts, is_first};
use crate::store::{
    DeploymentRow, JobKind, JobRow, PersonRow, ProjectRow, RunRow, SnapshotRow, flags, marks,
};
use crate::text::{
    commit_key, fill_template, id_of, key_of, run_key, sha_of_bytes, sha_to_bytes, template_of, text_of,
};
use crate::{Day, Error, Result};

/// What numbers stand for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    pub(crate) words: HashMap<i32, Arc<str>>,
    pub(crate) people: HashMap<i32, Arc<PersonRow>>,
    pub(crate) kinds: HashMap<i32, JobKind>,
}

/// Numbers for what rows hold.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) words: HashMap<Arc<str>, i32>,
    pub(crate) people: HashMap<PersonRow, i32>,
    pub(crate) kinds: HashMap<JobKind, i32>,
}

pub(crate) fn status_number(status: Status) -> i16 {
    Status::ALL.iter().position(|s| *s == status).and_then(|n| i16::try_from(n).ok()).unwrap_or_default()
}

pub(crate) fn status_of(number: i16) -> Status {
    usize::try_from(number).ok().and_then(|n| Status::ALL.get(n)).copied().unwrap_or(Status::Unknown)
}

pub(crate) fn moment(ms: Option<i64>) -> Option<Timestamp> {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

pub(crate) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

fn span(ms: Option<i32>) -> Option<Duration> {
    ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

fn span_ms(d: Option<Duration>) -> Option<i32> {
    d.map(|d| i32::try_from(d.as_millis()).unwrap_or(i32::MAX))
}

pub(crate) fn person_row(person: &Person) -> PersonRow {
    let url = person.avatar_url.as_ref().map(|u| u.as_str().to_owned());
    (person.name.clone(), person.login.clone().unwrap_or_default(), url.unwrap_or_default())
}

impl Names {
    pub(crate) fn word(&self, id: i32) -> Result<Option<&str>> {
        match id {
            0 => Ok(None),
            _ => match self.words.get(&id) {
                Some(text) => Ok(Some(text)),
                None => Err(Error::garbage(format!("text number {id} is missing in the database"))),
            },
        }
    }

    fn text(&self, id: i32) -> Result<Option<String>> {
        Ok(self.word(id)?.map(str::to_owned))
    }

    fn person(&self, id: i32) -> Result<Option<Person>> {
        if id == 0 {
            return Ok(None);
        }
        let Some(row) = self.people.get(&id) else {
            return Err(Error::garbage(format!("person number {id} is missing in the database")));
        };
        let (name, login, url) = row.as_ref();
        Ok(Some(Person {
            name: name.clone(),
            login: Some(login.clone()).filter(|l| !l.is_empty()),
            avatar_url: WebUrl::parse(url),
        }))
    }

    pub(crate) fn pipeline(&self, row: &RunRow) -> Result<Pipeline> {
        let id = id_of(row.run, row.run_text.as_deref());
        let number = row.number.and_then(|n| u64::try_from(n).ok());
        let url = self.word(row.url)?.map(|t| fill_template(t, &id, number, None));
        Ok(Pipeline {
            number,
            attempt: (row.flags & flags::COUNTED != 0).then(|| u32::try_from(row.attempt).unwrap_or(1)),
            workflow: Workflow {
                lane: self.text(row.lane)?.unwrap_or_default(),
                name: self.text(row.workflow)?,
            },
            branch: self.text(row.branch)?,
            sha: row.sha.as_deref().map(sha_of_bytes),
            event: self.text(row.event)?,
            author: self.person(row.author)?,
            message: row.message.clone(),
            created_at: moment(row.created_at),
            started_at: moment(row.started_at),
            finished_at: moment(row.finished_at),
            updated_at: moment(row.updated_at),
            duration: span(row.duration),
            queued: span(row.queued),
            expected: span(row.expected),
            url: url.and_then(|u| WebUrl::parse(&u)),
            failure: self.text(row.failure)?,
            completeness: if row.flags & flags::FULL != 0 { Completeness::Full } else { Completeness::Row },
            ..Pipeline::new(RunId::new(id), status_of(row.status), self.text(row.native)?.unwrap_or_default())
        })
    }

    pub(crate) fn jobs(&self, row: &RunRow) -> Result<Option<BTreeMap<i64, Job>>> {
        let Some(jobs) = row.jobs.as_ref().filter(|_| row.flags & flags::JOBS != 0) else { return Ok(None) };
        let run = id_of(row.run, row.run_text.as_deref());
        let number = row.number.and_then(|n| u64::try_from(n).ok());
        let base = i64::from(row.day) * DAY_MS;
        let mut all = BTreeMap::new();
        for job in jobs {
            let kind = self.kinds.get(&job.kind).ok_or_else(|| {
                Error::garbage(format!("kind of job number {} is missing in the database", job.kind))
            })?;
            let id = id_of(job.job, job.job_text.as_deref());
            let url = self.word(kind.url)?.map(|t| fill_template(t, &run, number, Some(&id)));
            let mut last = base;
            let [created_at, started_at, finished_at] =
                [job.created, job.started, job.finished].map(|tenths: Option<i32>| {
                    last += i64::from(tenths?) * 100;
                    moment(Some(last))
                });
            let read = Job {
                stage: self.text(kind.stage)?,
                allow_failure: kind.allow_failure,
                failure_reason: self.text(job.reason)?,
                created_at,
                started_at,
                finished_at,
                duration: span(job.duration),
                queued: span(job.queued),
                url: url.and_then(|u| WebUrl::parse(&u)),
                ..Job::new(
                    JobId::new(&id),
                    self.text(kind.name)?.unwrap_or_default(),
                    status_of(kind.status),
                    self.text(kind.native)?.unwrap_or_default(),
                )
            };
            all.insert(job.job, read);
        }
        Ok(Some(all))
    }

    pub(crate) fn attempt(&self, row: &RunRow) -> Result<Attempt> {
        Ok(Attempt {
            pipeline: self.pipeline(row)?,
            counted: row.flags & flags::COUNTED != 0,
            day: Day(row.day),
            committed_at: moment(row.committed_at),
            jobs: self.jobs(row)?,
        })
    }

    pub(crate) fn branch(&self, row: &SnapshotRow) -> Result<Branch> {
        Ok(Branch {
            default: row.default,
            protected: row.protected,
            sha: row.sha.as_deref().map(sha_of_bytes),
            author: self.person(row.author)?,
            message: row.message.clone(),
            committed_at: moment(row.committed_at),
            url: self.word(row.url)?.and_then(WebUrl::parse),
            ..Branch::named(self.text(row.branch)?.unwrap_or_default())
        })
    }
}

/// The texts that rows will hold, before there are numbers for them. Each once, however many rows have it.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) words: HashSet<String>,
    pub(crate) people: HashSet<PersonRow>,
}

impl Texts {
    /// Adds those of an attempt.
    pub(crate) fn of(&mut self, attempt: &Attempt) {
        let p = &attempt.pipeline;
        self.word(&p.native_status);
        self.word(&p.workflow.lane);
        for text in [&p.event, &p.branch, &p.workflow.name].into_iter().flatten() {
            self.word(text);
        }
        self.reason(p.failure.as_deref());
        if let Some((job, reason)) = attempt.of_job() {
            self.word(job);
            self.reason(reason);
        }
        if let Some(url) = &p.url {
            self.word(&template_of(url.as_str(), p.id.as_str(), p.number, None));
        }
        self.person(p.author.as_ref());
        for job in attempt.jobs() {
            self.word(&job.name);
            self.word(&job.native_status);
            self.word(job.stage.as_deref().unwrap_or_default());
            self.reason(job.failure_reason.as_deref());
            self.word(job_template(job, p).as_deref().unwrap_or_default());
        }
    }

    /// Adds those of a branch's head.
    pub(crate) fn of_head(&mut self, branch: &Branch) {
        self.word(&branch.name);
        self.word(branch.url.as_ref().map_or("", WebUrl::as_str));
        self.person(branch.author.as_ref());
    }

    /// Adds those of a deployment.
    pub(crate) fn of_deployment(&mut self, deployment: &Deployment) {
        self.word(&deployment.environment);
        self.word(&deployment.native_status);
        self.word(deployment.branch.as_deref().unwrap_or_default());
    }

    /// The empty text needs no number.
    fn word(&mut self, text: &str) {
        if !text.is_empty() && !self.words.contains(text) {
            self.words.insert(text.to_owned());
        }
    }

    /// As it is, and as it is grouped.
    fn reason(&mut self, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.word(reason);
            self.word(&crate::normalise_reason(reason));
        }
    }

    fn person(&mut self, person: Option<&Person>) {
        self.people.extend(person.map(person_row));
    }
}

fn job_template(job: &Job, run: &Pipeline) -> Option<String> {
    job.url.as_ref().map(|u| template_of(u.as_str(), run.id.as_str(), run.number, Some(job.id.as_str())))
}

impl Numbers {
    pub(crate) fn word(&self, text: &str) -> i32 {
        if text.is_empty() { 0 } else { self.words.get(text).copied().unwrap_or_default() }
    }

    fn maybe(&self, text: Option<&str>) -> i32 {
        text.map_or(0, |t| self.word(t))
    }

    /// A deployment as a row. Everything in it has a number already.
    pub(crate) fn deployment(&self, project: i32, d: &Deployment, seen_at: Timestamp) -> DeploymentRow {
        let told = if d.production.is_some() { marks::TOLD } else { 0 };
        let production = if d.is_production() { marks::PRODUCTION } else { 0 };
        let key = key_of(&d.id);
        let run = d.run.as_ref().map(|run| (run_key(run), run.as_str()));
        let created_at = d.created_at.or(d.updated_at).or(d.finished_at).unwrap_or(seen_at);
        DeploymentRow {
            project,
            deployment: key,
            deployment_text: text_of(&d.id, key),
            flags: told | production | if d.created_at.is_some() { marks::BEGAN } else { 0 },
            status: status_number(d.status),
            environment: self.word(&d.environment),
            branch: self.maybe(d.branch.as_deref()),
            native: self.word(&d.native_status),
            run: run.map(|(key, _)| key),
            run_text: run.and_then(|(key, id)| text_of(id, key)),
            created_at: created_at.as_millisecond(),
            finished_at: millis(d.finished_at),
            updated_at: d.updated_at.max(d.finished_at).unwrap_or(created_at).as_millisecond(),
            sha: d.sha.as_deref().map(sha_to_bytes),
            url: d.url.as_ref().map(|u| u.as_str().to_owned()),
        }
    }

    /// The number of a reason's normalised text.
    pub(crate) fn reason(&self, reason: Option<&str>) -> i32 {
        reason.map_or(0, |r| self.word(&crate::normalise_reason(r)))
    }

    pub(crate) fn kind(&self, job: &Job, run: &Pipeline) -> JobKind {
        JobKind {
            name: self.word(&job.name),
            stage: self.maybe(job.stage.as_deref()),
            native: self.word(&job.native_status),
            url: self.maybe(job_template(job, run).as_deref()),
            status: status_number(job.status),
            allow_failure: job.allow_failure,
        }
    }

    /// An attempt as a row. Everything in it has a number already.
    pub(crate) fn row(&self, project: i32, number: i16, attempt: &Attempt, of: &Attempts) -> RunRow {
        let p = &attempt.pipeline;
        let run = run_key(&p.id);
        let bit = |on: bool, bit: i16| if on { bit } else { 0 };
        let base = i64::from(attempt.day.0) * DAY_MS;
        let times = |job: &Job| {
            let mut last = base;
            [job.created_at, job.started_at, job.finished_at].map(|at| {
                let tenths = (at?.as_millisecond() - last).div_euclid(100);
                last += tenths * 100;
                Some(i32::try_from(tenths).unwrap_or(i32::MAX))
            })
        };
        let jobs = attempt.jobs.as_ref().map(|jobs| {
            jobs.iter()
                .map(|(key, job)| (key, job, times(job)))
                .map(|(key, job, [created, started, finished])| JobRow {
                    job: *key,
                    job_text: text_of(job.id.as_str(), *key),
                    kind: self.kinds.get(&self.kind(job, p)).copied().unwrap_or_default(),
                    reason: self.maybe(job.failure_reason.as_deref()),
                    created,
                    started,
                    finished,
                    duration: span_ms(job.duration),
                    queued: span_ms(job.queued),
                })
                .collect()
        });
        RunRow {
            id: 0,
            project,
            run,
            run_text: text_of(p.id.as_str(), run),
            attempt: number,
            day: attempt.day.0,
            flags: bit(attempt.counted, flags::COUNTED)
                | bit(p.completeness == Completeness::Full, flags::FULL)
                | bit(of.last_key_value().is_some_and(|(n, _)| *n > number), flags::SUPERSEDED)
                | bit(attempt.jobs.is_some(), flags::JOBS)
                | bit(!is_first(number, of), flags::FURTHER),
            status: status_number(p.status),
            native: self.word(&p.native_status),
            event: self.maybe(p.event.as_deref()),
            branch: self.maybe(p.branch.as_deref()),
            lane: self.word(&p.workflow.lane),
            workflow: self.maybe(p.workflow.name.as_deref()),
            author: p
                .author
                .as_ref()
                .and_then(|a| self.people.get(&person_row(a)))
                .copied()
                .unwrap_or_default(),
            url: self.maybe(
                p.url.as_ref().map(|u| template_of(u.as_str(), p.id.as_str(), p.number, None)).as_deref(),
            ),
            failure: self.maybe(p.failure.as_deref()),
            commit: p.sha.as_deref().map_or(0, commit_key),
            sha: p.sha.as_deref().map(sha_to_bytes),
            number: p.number.and_then(|n| i64::try_from(n).ok()),
            message: p.message.clone(),
            created_at: millis(p.created_at),
            started_at: millis(p.started_at),
            finished_at: millis(p.finished_at),
            updated_at: millis(p.updated_at),
            committed_at: millis(attempt.committed_at),
            duration: span_ms(p.duration),
            queued: span_ms(p.queued),
            expected: span_ms(p.expected),
            jobs,
        }
    }
}

pub(crate) fn project_key(source: &SourceName, row: &ProjectRow) -> ProjectKey {
    ProjectKey::new(source.clone(), NativeId::new(&row.native_id))
}

pub(crate) fn project(source: &SourceName, platform: PlatformId, row: &ProjectRow) -> Project {
    Project {
        description: row.description.clone(),
        visibility: row.visibility.as_deref().and_then(Visibility::from_word),
        avatar_url: row.avatar_url.as_deref().and_then(WebUrl::parse),
        url: row.url.as_deref().and_then(WebUrl::parse),
        default_branch: row.default_branch.clone(),
        archived: row.archived,
        ci_disabled: row.ci_disabled,
        last_activity_at: moment(row.last_activity_at),
        ..Project::named(project_key(source, row), platform, row.name.clone())
    }
}

/// What a project says of itself, over what was known.
pub(crate) fn describe(row: &mut ProjectRow, project: Project) {
    let project = project.bounded();
    let text = |u: Option<WebUrl>| u.map(|u| u.as_str().to_owned());
    row.name = project.name;
    row.description = project.description;
    row.visibility = project.visibility.map(|v| v.as_str().to_owned());
    row.avatar_url = text(project.avatar_url);
    row.url = text(project.url);
    row.default_branch = project.default_branch;
    row.archived = project.archived;
    row.ci_disabled = project.ci_disabled;
    row.last_activity_at = millis(project.last_activity_at);
    row.described = true;
    row.gone_at = None;
}

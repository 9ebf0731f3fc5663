//! `/projects/{source}/{id}/pipelines/{pipeline}`: why it failed first, then its jobs in time, then a log.

use std::time::Duration;

use api::{duration_back, timestamp_back, v1};
use askama::Template;
use jiff::Timestamp;

use super::banner::Banner;
use super::headline::Favicon;
use super::log::{self, Line};
use super::parts::{
    Activity, Commit, Icon, When, project_href, run_href, split_name, status_label, status_word, web_link,
};
use super::project::run_number;
use super::shell::Shell;
use super::{Ctx, ListQuery, format, job_to_show};
use crate::charts::axis;

#[derive(Template)]
#[template(path = "pipeline.html")]
struct Page<'a> {
    shell: Shell<'a>,
    banners: Vec<Banner>,
    key: v1::ProjectKey,
    source_href: String,
    project_href: String,
    group: Option<String>,
    name: String,
    number: String,
    status: Icon,
    title: String,
    word: String,
    workflow: Option<String>,
    branch: Option<(String, String)>,
    commit: Commit,
    created: Option<When>,
    duration: Option<String>,
    queued: Option<String>,
    median: Option<String>,
    activity: Option<Activity>,
    outside: Option<String>,
    failure: Option<Failure>,
    problems: Vec<String>,
    stages: Vec<Stage>,
    ticks: Vec<Tick>,
    jobs_loading: bool,
    no_jobs: bool,
    fetched: Option<When>,
    facts: Vec<Fact>,
    log: Option<Log>,
}

/// What stands on top of a red run.
#[derive(Debug)]
struct Failure {
    text: String,
    /// What the log says about it.
    lines: Vec<FailureLine>,
    /// Other jobs that failed.
    also: Vec<(String, String)>,
}

#[derive(Debug)]
struct FailureLine {
    number: usize,
    text: String,
}

#[derive(Debug)]
struct Stage {
    name: String,
    jobs: Vec<JobLine>,
}

#[derive(Debug)]
struct JobLine {
    dom_id: String,
    status: Icon,
    name: String,
    href: String,
    selected: bool,
    bar: Option<Bar>,
    /// `2 m 55 s`, or a word when it did not run.
    took: String,
    running_for: Option<When>,
    reason: Option<String>,
    allowed: bool,
}

/// A job in time, in percent of the whole.
#[derive(Debug)]
struct Bar {
    class: &'static str,
    /// It waited from here.
    waited: f64,
    x: f64,
    width: f64,
    title: String,
}

#[derive(Debug)]
struct Tick {
    x: f64,
    label: String,
    last: bool,
}

#[derive(Debug)]
enum Fact {
    Text(&'static str, String),
    When(&'static str, When),
}

#[derive(Debug)]
struct Log {
    job: String,
    job_status: Icon,
    lines: Vec<Line>,
    left_out: usize,
    truncated: bool,
    note: Option<String>,
    loading: bool,
    first_hot: Option<usize>,
    outside: Option<String>,
    fetched: Option<When>,
}

/// Steps over zero that the axis of time has at most.
const TICKS: u64 = 6;
/// Lines of the log that the box on top repeats.
const CAUSES: usize = 3;
/// The most of such a line, in characters.
const MAX_CAUSE: usize = 300;

struct Clocked<'a> {
    ctx: &'a Ctx<'a>,
    zero: Timestamp,
    /// Seconds that the axis spans.
    span: u64,
}

macro_rules! at {
    // at!(job.started_at) => Option<Timestamp> of the wire's optional timestamp.
    ($field:expr) => {
        $field.as_ref().and_then(timestamp_back)
    };
}

macro_rules! span {
    // span!(job.duration) => Option<Duration> of the wire's optional duration.
    ($field:expr) => {
        $field.as_ref().and_then(duration_back)
    };
}

pub(super) fn render(
    ctx: &Ctx<'_>,
    answer: &v1::GetPipelineResponse,
    selected: Option<&str>,
    log: Option<&v1::GetJobLogResponse>,
) -> Result<String, askama::Error> {
    let run = answer.pipeline.clone().unwrap_or_default();
    let project = answer.project.clone().unwrap_or_default();
    let key = project.key.clone().or_else(|| run.project.clone()).unwrap_or_default();
    let source = answer.source.as_ref();
    let word = source.and_then(|s| s.words.as_ref()).map_or("pipeline", |w| w.pipeline.as_str());
    let (group, name) = split_name(&project.name);
    let number = run_number(&run);
    let commit = Commit::of_run(ctx, &run);
    let title = commit.title.clone().unwrap_or_else(|| format!("{} {number}", capital(word)));
    let shown = selected.or_else(|| job_to_show(answer)).filter(|_| log.is_some() || selected.is_some());
    let job = shown.and_then(|id| answer.jobs.iter().find(|job| job.id == id));
    let log = job.map(|job| Log::new(ctx, job, log));
    let active = matches!(run.status(), v1::Status::Running | v1::Status::Queued);
    let favicon = match run.status() {
        v1::Status::Failed => Favicon::Red,
        v1::Status::Warning => Favicon::Amber,
        v1::Status::Success => Favicon::Green,
        _ => Favicon::Grey,
    };
    let mut shell = Shell::new(ctx, format!("{number} {} · {name}", status_label(run.status())), favicon);
    let log_moves = log.as_ref().is_some_and(|log| log.loading)
        || job.is_some_and(|job| matches!(job.status(), v1::Status::Running | v1::Status::Queued));
    shell.loading = answer.loading || log_moves;
    let clocked = Clocked::new(ctx, &run, &answer.jobs);
    let href = run_href(ctx, &key, &run.id);
    let here = project_href(ctx, &key);
    let page = Page {
        banners: source.and_then(|s| Banner::of(ctx, s)).into_iter().collect(),
        source_href: format!(
            "{}/{}",
            ctx.base_path,
            ListQuery { sources: vec![key.source.clone()], ..ListQuery::default() }.to_url()
        ),
        group: group.map(str::to_owned),
        name: name.to_owned(),
        status: Icon::status(run.status()),
        word: capital(word),
        workflow: run.workflow.clone().filter(|w| !w.is_empty()),
        branch: run.branch.clone().filter(|b| !b.is_empty()).map(|branch| {
            let query = ListQuery { branch: Some(branch.clone()), ..ListQuery::default() };
            (format!("{here}{}", query.to_url()), branch)
        }),
        commit: if commit.title.is_some() { commit.untitled() } else { commit },
        created: at!(run.created_at).or(at!(run.started_at)).map(|at| When::clock(at, ctx.now)),
        duration: span!(run.duration).filter(|_| !active).map(format::duration),
        queued: span!(run.queued).map(format::duration),
        median: span!(answer.median_green).map(format::duration),
        activity: active.then(|| Activity::of_run(ctx, &run, word)),
        outside: web_link(run.url.as_deref()),
        failure: Failure::new(&run, &answer.jobs, job, log.as_ref(), &href),
        problems: answer.problems.iter().map(|p| p.text.clone()).collect(),
        ticks: clocked.as_ref().map(Clocked::ticks).unwrap_or_default(),
        stages: stages(clocked.as_ref(), ctx, &answer.jobs, shown, &href),
        jobs_loading: answer.loading && answer.jobs.is_empty(),
        no_jobs: !answer.loading && answer.jobs.is_empty(),
        fetched: at!(answer.fetched_at).map(|at| When::clock(at, ctx.now)),
        facts: facts(ctx, &run, answer),
        project_href: here,
        number,
        title,
        log,
        key,
        shell,
    };
    page.render()
}

/// `Pipeline` of `pipeline`.
fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn facts(ctx: &Ctx<'_>, run: &v1::Pipeline, answer: &v1::GetPipelineResponse) -> Vec<Fact> {
    let text = |label, text: Option<String>| text.filter(|t| !t.is_empty()).map(|t| Fact::Text(label, t));
    let when = |label, at: Option<Timestamp>| at.map(|at| Fact::When(label, When::clock(at, ctx.now)));
    let ended = !matches!(run.status(), v1::Status::Running | v1::Status::Queued);
    let compared =
        span!(run.duration).filter(|_| ended).zip(span!(answer.median_green)).and_then(|(took, median)| {
            let (more, by) = if took > median {
                ("longer", took.saturating_sub(median))
            } else {
                ("shorter", median.saturating_sub(took))
            };
            (by >= Duration::from_secs(1)).then(|| format!("{} {more}", format::duration(by)))
        });
    let author = run.author.as_ref().filter(|_| ctx.show_people).map(|a| a.name.clone());
    [
        text("Status", Some(status_words(run))),
        text("Workflow", run.workflow.clone()),
        text("Event", run.event.clone()),
        text("Attempt", run.attempt.filter(|a| *a > 1).map(|a| a.to_string())),
        text("Branch", run.branch.clone()),
        text("Commit", run.sha.clone()),
        text("Author", author),
        when("Created", at!(run.created_at)),
        when("Started", at!(run.started_at)),
        when("Ended", at!(run.finished_at).filter(|_| ended)),
        text("Queue", span!(run.queued).map(format::duration)),
        text("Duration", span!(run.duration).filter(|_| ended).map(format::duration)),
        text("Median, green", span!(answer.median_green).map(format::duration)),
        text("Against the median", compared),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Our word, and the platform's own where it says something else.
fn status_words(run: &v1::Pipeline) -> String {
    let ours = status_label(run.status());
    let theirs = run.native_status.replace('_', " ");
    if theirs.is_empty()
        || theirs.eq_ignore_ascii_case(ours)
        || theirs.eq_ignore_ascii_case(status_word(run.status()))
    {
        ours.to_owned()
    } else {
        format!("{ours} (“{theirs}”)")
    }
}

impl Failure {
    fn new(
        run: &v1::Pipeline,
        jobs: &[v1::Job],
        shown: Option<&v1::Job>,
        log: Option<&Log>,
        href: &str,
    ) -> Option<Self> {
        if run.status() != v1::Status::Failed {
            return None;
        }
        let failed: Vec<&v1::Job> =
            jobs.iter().filter(|j| j.status() == v1::Status::Failed && !j.allow_failure).collect();
        let said = run.failure.clone().filter(|f| !f.is_empty());
        let text = said.unwrap_or_else(|| match failed.first() {
            Some(job) => match job.failure_reason.as_deref().filter(|r| !r.is_empty()) {
                Some(reason) => format!("{} failed: {}", job.name, reason.replace('_', " ")),
                None => format!("{} failed", job.name),
            },
            None => "This run failed".into(),
        });
        let of_failed = shown.is_some_and(|job| job.status() == v1::Status::Failed);
        let lines = log.filter(|_| of_failed).map(|log| log::causes(&log.lines, CAUSES)).unwrap_or_default();
        Some(Self {
            lines: lines
                .iter()
                .map(|line| FailureLine {
                    number: line.number,
                    text: domain::text::line(&line.plain(), MAX_CAUSE),
                })
                .collect(),
            also: failed
                .iter()
                .filter(|job| !text.contains(&job.name) && shown.is_none_or(|s| s.id != job.id))
                .map(|job| (job_href(href, &job.id), job.name.clone()))
                .collect(),
            text,
        })
    }
}

fn job_href(run: &str, job: &str) -> String {
    format!("{run}?job={}#log", domain::encode_segment(job))
}

impl<'a> Clocked<'a> {
    /// From the first thing that started to the last that ended; nothing when no job has times.
    fn new(ctx: &'a Ctx<'a>, run: &v1::Pipeline, jobs: &[v1::Job]) -> Option<Self> {
        let starts = jobs.iter().filter_map(|job| at!(job.started_at));
        let zero = starts.chain(at!(run.started_at)).min()?;
        let ends = jobs.iter().filter_map(|job| {
            let started = at!(job.started_at)?;
            let ran = span!(job.duration).and_then(|d| started.checked_add(d).ok());
            match job.status() {
                v1::Status::Running => Some(ctx.now),
                _ => at!(job.finished_at).or(ran),
            }
        });
        let longest = ends.map(|end| format::since(zero, end)).max()?;
        let span = axis::steps(longest, TICKS).last().copied().unwrap_or(1);
        Some(Self { ctx, zero, span })
    }

    fn ticks(&self) -> Vec<Tick> {
        let steps = axis::steps(Duration::from_secs(self.span), TICKS);
        let last = steps.len() - 1;
        steps
            .iter()
            .enumerate()
            .map(|(i, s)| Tick {
                x: axis::percent(Duration::from_secs(*s), self.span),
                label: axis::label(*s),
                last: i == last,
            })
            .collect()
    }

    fn bar(&self, job: &v1::Job) -> Option<Bar> {
        let started = at!(job.started_at)?;
        let end = match job.status() {
            v1::Status::Running => self.ctx.now,
            _ => at!(job.finished_at).or_else(|| started.checked_add(span!(job.duration)?).ok())?,
        };
        let from = |at: Timestamp| axis::percent(format::since(self.zero, at), self.span);
        let x = from(started);
        let width = (from(end) - x).max(0.4);
        // A platform creates all jobs at once: it is its time in the queue that a job waited, where that is known.
        let queue = span!(job.queued);
        let waited = queue.and_then(|q| started.checked_sub(q).ok()).map_or(x, from).min(x);
        let queued = span!(job.queued)
            .map(|q| format!(" after {} in the queue", format::duration(q)))
            .unwrap_or_default();
        Some(Bar {
            class: bar_class(job),
            waited,
            x,
            width: (width * 100.0).round() / 100.0,
            title: format!(
                "{} for {}{queued}",
                status_label(job.status()),
                format::duration(format::since(started, end))
            ),
        })
    }
}

fn bar_class(job: &v1::Job) -> &'static str {
    match job.status() {
        v1::Status::Failed if job.allow_failure => "warning",
        other => status_word(other),
    }
}

/// Jobs by stage, both in the order in which they come.
fn stages(
    clocked: Option<&Clocked<'_>>,
    ctx: &Ctx<'_>,
    jobs: &[v1::Job],
    shown: Option<&str>,
    href: &str,
) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for job in jobs {
        let name = job.stage.clone().unwrap_or_default();
        let line = JobLine::new(clocked, ctx, job, shown, href);
        match stages.iter_mut().find(|stage| stage.name == name) {
            Some(stage) => stage.jobs.push(line),
            None => stages.push(Stage { name, jobs: vec![line] }),
        }
    }
    stages
}

impl JobLine {
    fn new(
        clocked: Option<&Clocked<'_>>,
        ctx: &Ctx<'_>,
        job: &v1::Job,
        shown: Option<&str>,
        href: &str,
    ) -> Self {
        let allowed = job.allow_failure && job.status() == v1::Status::Failed;
        let running = job.status() == v1::Status::Running;
        Self {
            dom_id: format!("job-{}", domain::encode_segment(&job.id)),
            status: if allowed {
                Icon::saying("warning", "failed, allowed to")
            } else {
                Icon::status(job.status())
            },
            name: job.name.clone(),
            href: job_href(href, &job.id),
            selected: shown == Some(job.id.as_str()),
            bar: clocked.and_then(|c| c.bar(job)),
            took: span!(job.duration)
                .filter(|d| !d.is_zero() || at!(job.started_at).is_some())
                .map_or_else(|| status_label(job.status()).to_owned(), format::duration),
            running_for: at!(job.started_at).filter(|_| running).map(|at| When::lasting(at, ctx.now)),
            reason: job.failure_reason.as_ref().map(|r| r.replace('_', " ")).filter(|r| !r.is_empty()),
            allowed,
        }
    }
}

impl Log {
    fn new(ctx: &Ctx<'_>, job: &v1::Job, answer: Option<&v1::GetJobLogResponse>) -> Self {
        let nothing = v1::GetJobLogResponse { loading: true, ..Default::default() };
        let answer = answer.unwrap_or(&nothing);
        let (lines, left_out) = log::parse(&answer.text);
        let failed = job.status() == v1::Status::Failed;
        Self {
            job: job.name.clone(),
            job_status: Icon::status(job.status()),
            first_hot: lines.iter().find(|l| l.hot && failed).map(|l| l.number),
            lines,
            left_out,
            truncated: answer.truncated,
            note: answer.note.clone().filter(|n| !n.is_empty()),
            loading: answer.loading,
            outside: web_link(job.url.as_deref()),
            fetched: at!(answer.fetched_at).map(|at| When::clock(at, ctx.now)),
        }
    }
}

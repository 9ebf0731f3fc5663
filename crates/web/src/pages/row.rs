//! A line of the overview.

use api::{duration_back, timestamp_back, v1};
use askama::Template;
use askama::filters::HtmlSafe;
use domain::encode_segment;

use super::parts::{Activity, Commit, Icon, Known, Strip, When, project_href, run_href, split_name};
use super::{Ctx, format};

/// What the source's platform calls a run, where the source is known.
const RUN: &str = "pipeline";

/// One row, ready to be written.
#[derive(Debug, Template)]
#[template(path = "parts/row.html")]
pub(super) struct Row {
    /// Stands for this row in every version of the page, so that the browser knows it again.
    dom_id: String,
    href: String,
    pub(super) shape: Icon,
    platform: Icon,
    full_name: String,
    group: Option<String>,
    name: String,
    pub(super) branch: Option<String>,
    /// Why it is as it is, in plain words.
    pub(super) why: String,
    pub(super) why_href: Option<String>,
    pub(super) more: SecondLine,
    pub(super) activity: Option<Activity>,
    pub(super) strip: Option<Strip>,
    pub(super) median: Known,
    pub(super) green: Known,
    /// Of how many runs the share is.
    pub(super) green_of: u32,
    pub(super) changed: Option<When>,
    /// A part could not be read: what, in words.
    partial: Option<String>,
    pub(super) stale: bool,
    loading: bool,
    broken: bool,
    folded: Option<&'static str>,
    /// The rows that are broken for the same reason, where they are grouped.
    cause: Option<v1::CauseGroup>,
}

impl HtmlSafe for Row {}
impl HtmlSafe for SecondLine {}

/// Under the reason: since when, whose commit.
#[derive(Debug, Template)]
#[template(path = "parts/more.html")]
pub(super) struct SecondLine {
    more: More,
}

/// What the second line says.
#[derive(Debug)]
enum More {
    Nothing,
    /// Since when it is broken, and whose commit began it.
    Broken {
        since: Option<When>,
        at_least: bool,
        commit: Commit,
    },
    /// The commit, and a remark.
    Commit {
        commit: Commit,
        note: &'static str,
    },
    /// Waits for a person.
    Waiting {
        commit: Commit,
        since: Option<When>,
    },
    LastCommit(When),
    Note(&'static str),
    /// Nobody knows how it is now.
    NotKnown(Option<When>),
}

impl Row {
    /// Reads a row of the wire; `source` is the one that it names.
    pub(super) fn new(ctx: &Ctx<'_>, row: &v1::Row, source: Option<&v1::Source>) -> Self {
        let project = row.project.clone().unwrap_or_default();
        let key = project.key.clone().unwrap_or_default();
        let branch = row.branch.as_ref();
        let state = branch.and_then(|b| b.state.clone()).unwrap_or_default();
        let word = source.and_then(|s| s.words.as_ref()).map_or(RUN, |w| w.pipeline.as_str());
        let stale = is_stale(row, source);
        let face = Face::of(ctx, row, &state, &project, &key, stale);
        let (group, name) = split_name(&project.name);
        let problem = row.problem.as_ref();
        Self {
            dom_id: format!(
                "r-{}:{}@{}",
                encode_segment(&key.source),
                encode_segment(&key.id),
                encode_segment(branch.map_or("", |b| &b.name))
            ),
            href: project_href(ctx, &key),
            shape: face.shape,
            platform: Icon::platform(source),
            group: group.map(str::to_owned),
            name: name.to_owned(),
            branch: branch.map(|b| b.name.clone()).filter(|b| !b.is_empty()),
            why: face.why,
            why_href: face.why_href,
            more: SecondLine { more: face.more },
            activity: Activity::of(ctx, &state, word).filter(|_| !stale),
            strip: Strip::new(ctx, &key, &state.strip, Strip::RUNS),
            median: Known::or(
                state.median_duration.as_ref().and_then(duration_back).map(format::duration),
                "no green run with a known duration yet",
            ),
            green: Known::or(state.share_green.map(format::percent), "no run has completed yet"),
            green_of: state.share_of,
            changed: state
                .last_change_at
                .as_ref()
                .or(project.last_activity_at.as_ref())
                .and_then(timestamp_back)
                .map(|at| When::ago(at, ctx.now)),
            partial: problem.filter(|p| p.kind == "partial").map(|p| p.text.clone()),
            stale,
            loading: row.loading,
            broken: is_broken(row) && !stale,
            folded: match row.folded.as_deref() {
                None => None,
                Some("archived") => Some("archived"),
                Some("no_ci") => Some("no CI"),
                Some(_) => Some("quiet"),
            },
            full_name: project.name,
            cause: row.cause.clone(),
        }
    }

    pub(super) const fn cause(&self) -> Option<&v1::CauseGroup> {
        self.cause.as_ref()
    }

    pub(super) const fn broken(&self) -> bool {
        self.broken
    }

    pub(super) const fn loading(&self) -> bool {
        self.loading
    }

    pub(super) fn dom_id(&self) -> &str {
        &self.dom_id
    }

    pub(super) const fn stale(&self) -> bool {
        self.stale
    }
}

/// Whether what the row says dates from before its source fell silent.
pub(super) fn is_stale(row: &v1::Row, source: Option<&v1::Source>) -> bool {
    row.as_of.is_some() || (source.is_some_and(|s| s.state() == v1::SourceState::Down) && !row.loading)
}

fn is_broken(row: &v1::Row) -> bool {
    let state = row.branch.as_ref().and_then(|b| b.state.as_ref());
    state.is_some_and(|s| s.outcome() == v1::Outcome::Failed)
}

/// The shape of a row and its two lines of words.
struct Face {
    shape: Icon,
    why: String,
    why_href: Option<String>,
    more: More,
}

impl Face {
    fn of(
        ctx: &Ctx<'_>,
        row: &v1::Row,
        state: &v1::BranchState,
        project: &v1::Project,
        key: &v1::ProjectKey,
        stale: bool,
    ) -> Self {
        let said = |shape, why: String, more| Self { shape, why, why_href: None, more };
        if stale {
            let seen = row.as_of.as_ref().and_then(timestamp_back).map(|at| When::clock(at, ctx.now));
            let why = match state.outcome() {
                v1::Outcome::Unspecified | v1::Outcome::Unknown => "not known",
                v1::Outcome::Failed => "failed when last seen",
                v1::Outcome::Warning => "passed with warnings when last seen",
                v1::Outcome::Success => "green when last seen",
                v1::Outcome::Canceled => "canceled when last seen",
                v1::Outcome::Skipped => "skipped when last seen",
            };
            return said(Icon::saying("unknown", "not known now"), why.into(), More::NotKnown(seen));
        }
        if row.loading {
            return said(Icon::saying("unknown", "being read"), "reading …".into(), More::Nothing);
        }
        let committed = || {
            let at = row.branch.as_ref().and_then(|b| b.committed_at.as_ref());
            let at = at.or(project.last_activity_at.as_ref()).and_then(timestamp_back);
            at.map_or(More::Nothing, |at| More::LastCommit(When::ago(at, ctx.now)))
        };
        // A reason in place of data speaks for the row; what only spoils a part of it is a remark.
        if let Some(problem) = row.problem.as_ref().filter(|p| p.kind != "partial") {
            let shape = if state.outcome() == v1::Outcome::Unspecified {
                Icon::saying("unknown", "no data")
            } else {
                Icon::outcome(state.outcome())
            };
            return said(shape, problem.text.clone(), committed());
        }
        match state.outcome() {
            v1::Outcome::Failed => Self::failed(ctx, state, key),
            v1::Outcome::Warning => Self::warned(ctx, state, key),
            _ if state.waiting.is_some() => Self::waiting(ctx, state, key),
            v1::Outcome::Unspecified if state.activity() == v1::Activity::Unspecified => {
                said(Icon::outcome(state.outcome()), "no run on this branch yet".into(), committed())
            }
            outcome => Self::calm(ctx, row, state, key, outcome),
        }
    }

    fn failed(ctx: &Ctx<'_>, state: &v1::BranchState, key: &v1::ProjectKey) -> Self {
        let since = state.broken_since.as_ref();
        let deciding = state.deciding.as_ref().or_else(|| since.and_then(|s| s.run.as_ref()));
        let began = since.and_then(|s| s.at.as_ref()).and_then(timestamp_back);
        Self {
            shape: Icon::outcome(v1::Outcome::Failed),
            why: failure(deciding),
            why_href: deciding.map(|run| run_href(ctx, key, &run.id)),
            more: More::Broken {
                since: began.map(|at| When::lasting(at, ctx.now)),
                at_least: since.is_some_and(|s| s.at_least),
                commit: since
                    .and_then(|s| s.run.as_ref())
                    .map(|run| Commit::of_run(ctx, run))
                    .unwrap_or_default(),
            },
        }
    }

    fn warned(ctx: &Ctx<'_>, state: &v1::BranchState, key: &v1::ProjectKey) -> Self {
        let run = state.deciding.as_ref();
        let what = run.and_then(|r| r.failure.as_deref()).filter(|f| !f.is_empty());
        Self {
            shape: Icon::outcome(v1::Outcome::Warning),
            why: what.map_or_else(|| "passed with warnings".into(), |f| format!("passed with warnings: {f}")),
            why_href: run.map(|run| run_href(ctx, key, &run.id)),
            more: commit_line(run.map(|run| Commit::of_run(ctx, run)).unwrap_or_default(), ""),
        }
    }

    fn waiting(ctx: &Ctx<'_>, state: &v1::BranchState, key: &v1::ProjectKey) -> Self {
        let run = state.waiting.clone().unwrap_or_default();
        let label = if state.outcome() == v1::Outcome::Success {
            "waits for a person; green before"
        } else {
            "waits for a person"
        };
        let workflow = run.workflow.as_deref().filter(|w| !w.is_empty());
        let since = run.updated_at.as_ref().or(run.created_at.as_ref()).and_then(timestamp_back);
        Self {
            shape: Icon::saying("manual", label),
            why: workflow
                .map_or_else(|| "waiting for approval".into(), |w| format!("waiting for approval: {w}")),
            why_href: Some(run_href(ctx, key, &run.id)),
            more: More::Waiting {
                commit: Commit::of_run(ctx, &run).untitled(),
                since: since.map(|at| When::lasting(at, ctx.now)),
            },
        }
    }

    /// Green, or nothing that anybody has to act on.
    fn calm(
        ctx: &Ctx<'_>,
        row: &v1::Row,
        state: &v1::BranchState,
        key: &v1::ProjectKey,
        outcome: v1::Outcome,
    ) -> Self {
        let newest = state.pipelines.first();
        let head = row.branch.as_ref().map(|b| Commit::of_branch(ctx, b)).unwrap_or_default();
        let commit = match newest {
            Some(run) if head.is_empty() || head.title.is_none() => Commit::of_run(ctx, run),
            _ => head,
        };
        let shape = Icon::outcome(outcome);
        let href = newest.map(|run| run_href(ctx, key, &run.id));
        let green = outcome == v1::Outcome::Success;
        let superseded = newest.map(v1::Pipeline::status).and_then(|status| match status {
            v1::Status::Canceled => Some("newest run canceled"),
            v1::Status::Skipped => Some("newest run skipped"),
            _ => None,
        });
        if let Some(why) = superseded {
            let note = if green { "green before, so still green" } else { "" };
            let more = commit_line(commit.untitled(), note);
            return Self { shape, why: why.into(), why_href: href, more };
        }
        if outcome == v1::Outcome::Unknown {
            let word = state.deciding.as_ref().or(newest).map_or("", |run| run.native_status.as_str());
            let why = if word.is_empty() {
                "its state is not known".to_owned()
            } else {
                format!("the platform says “{word}”, which we do not know")
            };
            return Self { shape, why, why_href: href, more: commit_line(commit.untitled(), "") };
        }
        let title = commit.title.clone();
        let rest = commit.untitled();
        match title {
            Some(title) => Self { shape, why: title, why_href: href, more: commit_line(rest, "") },
            None => {
                let why = newest.and_then(|r| r.workflow.clone()).unwrap_or_else(|| {
                    if green { "green".into() } else { "nothing has completed yet".into() }
                });
                Self { shape, why, why_href: href, more: commit_line(rest, "") }
            }
        }
    }
}

fn commit_line(commit: Commit, note: &'static str) -> More {
    match (commit.is_empty(), note) {
        (true, "") => More::Nothing,
        (true, note) => More::Note(note),
        (false, note) => More::Commit { commit, note },
    }
}

/// What failed, in plain words: as the run says, else the name of its workflow.
pub(super) fn failure(run: Option<&v1::Pipeline>) -> String {
    let text = |t: Option<&String>| t.filter(|t| !t.is_empty()).cloned();
    run.and_then(|r| text(r.failure.as_ref()))
        .or_else(|| run.and_then(|r| text(r.workflow.as_ref())).map(|w| format!("{w} failed")))
        .unwrap_or_else(|| "failed".into())
}

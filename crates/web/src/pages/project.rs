//! `/projects/{source}/{id}`: one project, its history, its runs, its branches.

use api::{duration_back, timestamp_back, v1};
use askama::Template;

use super::asked::Asked;
use super::banner::Banner;
use super::headline::Favicon;
use super::insights::Figures;
use super::item::Item;
use super::overview::{Menu, MenuItem, Paging};
use super::parts::{
    Commit, Href, Icon, Strip, When, project_href, run_href, run_title, split_name, status_label, summary,
    web_link,
};
use super::row::{Row, is_stale};
use super::shell::Shell;
use super::{Ctx, ListQuery, OfProject, format};
use crate::charts::axis;

#[derive(Template)]
#[template(path = "project.html")]
struct Page<'a> {
    shell: Shell<'a>,
    banners: Vec<Banner>,
    key: v1::ProjectKey,
    source_href: String,
    group: Option<String>,
    name: String,
    description: Option<String>,
    outside: Option<String>,
    archived: bool,
    visibility: Option<String>,
    row: Row,
    reasons: Vec<Why>,
    asked: Option<Asked>,
    history: Option<History>,
    figures: Option<Figures>,
    filters: Vec<MenuItem>,
    branch_menu: Option<Menu>,
    runs: Vec<Run>,
    total: String,
    narrowed: bool,
    paging: Option<Paging>,
    here: String,
    merge_requests: Option<MergeRequests>,
    branches: Vec<BranchLine>,
    branches_total: u32,
    branches_loading: bool,
    runs_loading: bool,
    /// Why older runs than the board holds are not all there.
    runs_problem: Option<String>,
    problems: Vec<String>,
}

/// A run that decided the colour, or had no say.
#[derive(Debug)]
struct Why {
    shape: Icon,
    run: Href,
    workflow: Option<String>,
    text: String,
}

/// The last touched open merge requests.
#[derive(Debug)]
struct MergeRequests {
    /// In the platform's word.
    title: String,
    total: u32,
    items: Vec<Item>,
    loading: bool,
    /// All of them.
    href: String,
}

impl MergeRequests {
    /// Nothing where the platform has none, or the project has none and never may.
    fn new(
        ctx: &Ctx<'_>,
        project: &v1::Project,
        source: Option<&v1::Source>,
        answer: &v1::ListMergeRequestsResponse,
    ) -> Option<Self> {
        if answer.merge_requests.is_empty() && !answer.loading {
            return None;
        }
        let word = source.and_then(|s| s.words.as_ref()).map(|w| w.merge_request.as_str());
        let query = ListQuery {
            q: project.name.clone(),
            sources: project.key.iter().map(|k| k.source.clone()).collect(),
            ..ListQuery::default()
        };
        Some(Self {
            title: format!("Open {}s", word.filter(|w| !w.is_empty()).unwrap_or("merge request")),
            total: answer.total,
            items: answer.merge_requests.iter().map(|m| Item::of_merge_request(ctx, m, source)).collect(),
            loading: answer.loading && answer.merge_requests.is_empty(),
            href: format!("{}/merge-requests{}", ctx.base_path, query.to_url()),
        })
    }
}

/// A line of the table of runs.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) dom_id: String,
    pub(super) status: Icon,
    /// Shown where the platform has a word of its own for it.
    pub(super) word: &'static str,
    pub(super) href: String,
    pub(super) number: String,
    pub(super) workflow: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) title: String,
    pub(super) failure: Option<String>,
    pub(super) commit: Commit,
    pub(super) branch: Option<Href>,
    pub(super) began: Option<When>,
    pub(super) duration: Option<String>,
    pub(super) running_for: Option<When>,
    pub(super) queued: Option<String>,
}

#[derive(Debug)]
struct BranchLine {
    row: Row,
    name: String,
    href: String,
    default: bool,
    protected: bool,
    strip: Option<Strip>,
}

/// The last runs of the branch as a chart of their durations.
#[derive(Debug)]
struct History {
    bars: Vec<HistoryBar>,
    lines: Vec<AxisLine>,
    median: Option<AxisLine>,
    from: Option<When>,
    to: Option<When>,
    summary: String,
}

#[derive(Debug)]
struct HistoryBar {
    href: String,
    title: String,
    class: &'static str,
    failed: bool,
    x: f64,
    y: f64,
    height: f64,
}

#[derive(Debug)]
struct AxisLine {
    y: f64,
    label: String,
}

/// Height of the chart's plot, and where it begins.
const PLOT: f64 = 104.0;
const PLOT_TOP: f64 = 8.0;
/// Lines over zero.
const PLOT_LINES: u64 = 4;
/// How wide a slot of the chart is, in percent.
const SLOT: f64 = 100.0 / Strip::RUNS as f64;
/// Branches that the menu offers; the others are in the list beside.
const BRANCHES_IN_MENU: usize = 30;

impl History {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run, places of a chart")]
    fn new(ctx: &Ctx<'_>, key: &v1::ProjectKey, state: &v1::BranchState) -> Option<Self> {
        let runs = &state.strip[state.strip.len().saturating_sub(Strip::RUNS)..];
        let durations: Vec<_> = runs.iter().map(|r| r.duration.as_ref().and_then(duration_back)).collect();
        let longest = durations.iter().flatten().max()?;
        let steps = axis::steps(*longest, PLOT_LINES);
        let top = steps.last().copied().unwrap_or(1).max(1);
        let y_of =
            |seconds: f64| (PLOT_TOP + PLOT - seconds / top as f64 * PLOT).mul_add(10.0, 0.0).round() / 10.0;
        let first = Strip::RUNS - runs.len();
        let bars = runs.iter().zip(&durations).enumerate().map(|(i, (run, duration))| {
            let y = y_of(duration.map_or(0.0, |d| d.as_secs_f64())).min(PLOT_TOP + PLOT - 2.0);
            HistoryBar {
                href: run_href(ctx, key, &run.id),
                title: run_title(run),
                class: super::parts::status_word(run.status()),
                failed: run.status() == v1::Status::Failed,
                x: ((first + i) as f64 * SLOT * 100.0).round() / 100.0,
                y,
                height: PLOT_TOP + PLOT - y,
            }
        });
        let at = |run: Option<&v1::StripRun>| {
            run.and_then(|r| r.at.as_ref()).and_then(timestamp_back).map(|at| When::clock(at, ctx.now))
        };
        let median = state.median_duration.as_ref().and_then(duration_back);
        Some(Self {
            bars: bars.collect(),
            lines: steps.iter().map(|s| AxisLine { y: y_of(*s as f64), label: axis::label(*s) }).collect(),
            median: median.map(|m| AxisLine { y: y_of(m.as_secs_f64()), label: format::duration(m) }),
            from: at(runs.first()),
            to: at(runs.last()),
            summary: summary(runs),
        })
    }
}

pub(super) fn render(ctx: &Ctx<'_>, query: &ListQuery, shown: &OfProject) -> Result<String, askama::Error> {
    let OfProject { project: answer, branches, pipelines, merge_requests, schedule, stats } = shown;
    let line = answer.row.clone().unwrap_or_default();
    let project = line.project.clone().unwrap_or_default();
    let key = project.key.clone().or_else(|| answer.key.clone()).unwrap_or_default();
    let source = answer.source.as_ref();
    let state = line.branch.as_ref().and_then(|b| b.state.clone()).unwrap_or_default();
    let stale = is_stale(&line, source);
    let here = project_href(ctx, &key);
    let (group, name) = split_name(&project.name);
    let favicon = match state.outcome() {
        _ if stale => Favicon::Grey,
        v1::Outcome::Failed => Favicon::Red,
        v1::Outcome::Warning => Favicon::Amber,
        v1::Outcome::Success => Favicon::Green,
        _ => Favicon::Grey,
    };
    let news = match state.outcome() {
        _ if stale => "not known now",
        v1::Outcome::Failed => "broken",
        v1::Outcome::Warning => "with warnings",
        v1::Outcome::Success => "green",
        _ => "",
    };
    let title = if news.is_empty() { name.to_owned() } else { format!("{name} {news}") };
    let mut shell = Shell::new(ctx, title, favicon);
    let reading = merge_requests.as_ref().is_some_and(|m| m.loading);
    shell.loading = line.loading || branches.loading || pipelines.loading || reading;
    let word = source.and_then(|s| s.words.as_ref()).map_or("pipeline", |w| w.pipeline.as_str());
    let page = Page {
        banners: source.and_then(|s| Banner::of(ctx, s)).into_iter().collect(),
        source_href: format!(
            "{}/{}",
            ctx.base_path,
            ListQuery { sources: vec![key.source.clone()], ..ListQuery::default() }.to_url()
        ),
        group: group.map(str::to_owned),
        name: name.to_owned(),
        description: project.description.clone().filter(|d| !d.trim().is_empty()),
        outside: web_link(project.url.as_deref()),
        archived: project.archived,
        visibility: project.visibility.clone(),
        row: Row::new(ctx, &line, source),
        reasons: state.reasons.iter().map(|r| Why::new(ctx, &key, r, word)).collect(),
        asked: schedule.as_ref().map(|schedule| Asked::new(ctx, schedule)),
        history: History::new(ctx, &key, &state),
        figures: stats.as_ref().and_then(|stats| Figures::new(ctx, &key, stats)),
        filters: filters(query, &here),
        branch_menu: branch_menu(query, branches, &here),
        runs: pipelines.pipelines.iter().map(|run| Run::new(ctx, query, &key, &here, run)).collect(),
        total: format::number(pipelines.total),
        narrowed: query.narrows(),
        paging: Paging::new(query, pipelines.total, pipelines.page, pipelines.per_page),
        merge_requests: merge_requests
            .as_ref()
            .and_then(|answer| MergeRequests::new(ctx, &project, source, answer)),
        branches: branches
            .branches
            .iter()
            .map(|branch| BranchLine::new(ctx, query, &project, &line, source, branch, &here))
            .collect(),
        branches_total: branches.total,
        runs_loading: pipelines.loading,
        runs_problem: pipelines.problems.first().map(|p| p.text.clone()),
        branches_loading: branches.loading && branches.branches.is_empty(),
        problems: branches.problems.iter().map(|p| p.text.clone()).collect(),
        here,
        key,
        shell,
    };
    page.render()
}

const FILTERS: &[(&str, &str)] = &[
    ("", "All"),
    ("failed", "Failed"),
    ("running", "Running"),
    ("success", "Green"),
    ("warning", "Warning"),
    ("canceled", "Canceled"),
];

fn filters(query: &ListQuery, here: &str) -> Vec<MenuItem> {
    let chosen = |word: &str| match query.statuses.as_slice() {
        [] => word.is_empty(),
        [one] => one == word,
        _ => false,
    };
    FILTERS
        .iter()
        .map(|(word, text)| MenuItem {
            text: (*text).to_owned(),
            href: format!(
                "{here}{}",
                query.with(
                    |q| q.statuses = if word.is_empty() { Vec::new() } else { vec![(*word).to_owned()] }
                )
            ),
            on: chosen(word),
        })
        .collect()
}

fn branch_menu(query: &ListQuery, branches: &v1::ListBranchesResponse, here: &str) -> Option<Menu> {
    if branches.branches.len() < 2 && query.branch.is_none() {
        return None;
    }
    let mut items = vec![MenuItem {
        text: "all".into(),
        href: format!("{here}{}", query.with(|q| q.branch = None)),
        on: query.branch.is_none(),
    }];
    items.extend(branches.branches.iter().take(BRANCHES_IN_MENU).map(|branch| MenuItem {
        text: branch.name.clone(),
        href: branch_href(query, here, &branch.name),
        on: query.branch.as_deref() == Some(branch.name.as_str()),
    }));
    let chosen = query.branch.clone().unwrap_or_else(|| "all".into());
    Some(Menu { id: "menu-branch", label: "Branch", chosen, items })
}

fn branch_href(query: &ListQuery, here: &str, name: &str) -> String {
    format!("{here}{}", query.with(|q| q.branch = Some(name.to_owned())))
}

impl Why {
    fn new(ctx: &Ctx<'_>, key: &v1::ProjectKey, reason: &v1::Reason, word: &str) -> Self {
        let text = if reason.left_out.is_empty() {
            "decided".to_owned()
        } else if reason.left_out_text.is_empty() {
            format!("had no say ({})", reason.left_out)
        } else {
            format!("had no say: {}", reason.left_out_text)
        };
        Self {
            shape: Icon::outcome(reason.outcome()),
            run: Href {
                href: Some(run_href(ctx, key, &reason.run_id)),
                text: reason.number.map_or_else(|| format!("{word} {}", reason.run_id), |n| format!("#{n}")),
                outside: false,
            },
            workflow: reason.workflow.clone().filter(|w| !w.is_empty()),
            text,
        }
    }
}

/// A run's name for people: its number, else its id.
pub(super) fn run_number(run: &v1::Pipeline) -> String {
    run.number.map_or_else(|| run.id.clone(), |n| format!("#{n}"))
}

impl Run {
    pub(super) fn new(
        ctx: &Ctx<'_>,
        query: &ListQuery,
        key: &v1::ProjectKey,
        here: &str,
        run: &v1::Pipeline,
    ) -> Self {
        let instant = |at: &Option<_>| at.as_ref().and_then(timestamp_back);
        let span = |d: &Option<_>| d.as_ref().and_then(duration_back);
        let commit = Commit::of_run(ctx, run);
        let running = run.status() == v1::Status::Running;
        let began = instant(&run.started_at).or_else(|| instant(&run.created_at));
        Self {
            dom_id: format!("run-{}", domain::encode_segment(&run.id)),
            status: Icon::status(run.status()),
            word: status_label(run.status()),
            href: run_href(ctx, key, &run.id),
            number: run_number(run),
            workflow: run.workflow.clone().filter(|w| !w.is_empty()),
            attempt: run.attempt.filter(|a| *a > 1),
            title: commit.title.clone().unwrap_or_default(),
            failure: run.failure.clone().filter(|f| !f.is_empty()),
            commit: commit.untitled(),
            branch: run.branch.clone().filter(|b| !b.is_empty()).map(|branch| Href {
                href: Some(branch_href(query, here, &branch)),
                text: branch,
                outside: false,
            }),
            began: began.map(|at| When::ago(at, ctx.now)),
            duration: span(&run.duration).map(format::duration).filter(|_| !running),
            running_for: began.filter(|_| running).map(|at| When::lasting(at, ctx.now)),
            queued: span(&run.queued).map(format::duration),
        }
    }
}

impl BranchLine {
    fn new(
        ctx: &Ctx<'_>,
        query: &ListQuery,
        project: &v1::Project,
        line: &v1::Row,
        source: Option<&v1::Source>,
        branch: &v1::Branch,
        here: &str,
    ) -> Self {
        let row = v1::Row {
            project: Some(v1::Project { last_activity_at: None, ..project.clone() }),
            branch: Some(branch.clone()),
            as_of: line.as_of,
            ..Default::default()
        };
        let key = project.key.clone().unwrap_or_default();
        let strip = branch.state.as_ref().and_then(|s| Strip::new(ctx, &key, &s.strip, Strip::FEW));
        Self {
            row: Row::new(ctx, &row, source),
            name: branch.name.clone(),
            href: format!("{}#runs", branch_href(query, here, &branch.name)),
            default: branch.default,
            protected: branch.protected == Some(true),
            strip,
        }
    }
}

//! `/insights/runs`: the runs behind a figure, newest first.

use api::v1;
use askama::Template;

use super::headline::{day, span};
use super::{BehindQuery, href};
use crate::pages::headline::Favicon;
use crate::pages::overview::Paging;
use crate::pages::parts::project_href;
use crate::pages::project::Run;
use crate::pages::shell::{At, Shell};
use crate::pages::{Ctx, ListQuery, format};

#[derive(Template)]
#[template(path = "insights-runs.html")]
struct Page<'a> {
    shell: Shell<'a>,
    /// Back to the figures.
    insights: String,
    title: String,
    about: Vec<(&'static str, String)>,
    csv: String,
    runs: Vec<Line>,
    here: String,
    paging: Option<Paging>,
}

struct Line {
    project: String,
    project_href: String,
    run: Run,
}

pub(in crate::pages) fn render(
    ctx: &Ctx<'_>,
    query: &BehindQuery,
    answer: &v1::ListRunsBehindResponse,
) -> Result<String, askama::Error> {
    let line = |behind: &v1::RunBehind| {
        let run = behind.run.clone().unwrap_or_default();
        let key = run.project.clone().unwrap_or_default();
        let of_project = project_href(ctx, &key);
        Line {
            project: behind.project_name.clone(),
            run: Run::new(ctx, &ListQuery::default(), &key, &of_project, &run),
            project_href: of_project,
        }
    };
    let title = title(query);
    let page = Page {
        shell: Shell::new(ctx, title.clone(), Favicon::Grey).on(At::Insights),
        insights: href(ctx, &query.scope),
        about: about(query, answer),
        csv: format!("{}/api/v1/stats/runs{}", ctx.base_path, with_format(query)),
        runs: answer.runs.iter().map(line).collect(),
        here: format!("{}/insights/runs", ctx.base_path),
        paging: paging(query, answer),
        title,
    };
    page.render()
}

fn with_format(query: &BehindQuery) -> String {
    let url = query.to_url();
    format!("{url}{}format=csv", if url.is_empty() { '?' } else { '&' })
}

/// `Failed runs of Tue 24 Nov`.
fn title(query: &BehindQuery) -> String {
    let kind = match query.statuses.as_slice() {
        [] if query.job.is_some() || query.reason.is_some() => "Runs that failed so",
        [] => "Runs",
        [one] if one == "failed" => "Red runs",
        [one, two] if one == "success" && two == "warning" => "Green runs",
        _ => "Runs of some kinds",
    };
    match (&query.day, query.hour) {
        (Some(of), _) => format!("{kind} of {}", day(of)),
        (None, Some(hour)) => format!("{kind} of {}", hour_of_week(hour)),
        (None, None) => kind.to_owned(),
    }
}

/// `Mondays, 09:00 to 10:00 UTC`.
fn hour_of_week(hour: u32) -> String {
    const DAYS: [&str; 7] =
        ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];
    let (on, at) = (DAYS[(hour / 24 % 7) as usize], hour % 24);
    format!("{on}, {at:02}:00 to {:02}:00 UTC", (at + 1) % 24)
}

/// What narrows them, in words.
fn about(query: &BehindQuery, answer: &v1::ListRunsBehindResponse) -> Vec<(&'static str, String)> {
    let mut about = vec![("Window", format!("{}, UTC", span(answer.window.as_ref())))];
    let scope = &query.scope;
    let name = answer.runs.first().map(|r| r.project_name.clone()).filter(|n| !n.is_empty());
    let texts = [
        ("Project", scope.project.as_ref().map(|p| name.unwrap_or_else(|| p.to_string()))),
        ("Source", (!scope.sources.is_empty()).then(|| scope.sources.join(", "))),
        ("Platform", (!scope.platforms.is_empty()).then(|| scope.platforms.join(", "))),
        ("Branch", scope.branch.clone()),
        ("Workflow", query.lane.as_ref().map(|lane| workflow(lane, answer))),
        ("Job", query.ran_job.clone()),
        ("Failed job", query.job.clone()),
        ("Reason", query.reason.clone().or_else(|| query.no_reason.then(|| "none is told".to_owned()))),
    ];
    about.extend(texts.into_iter().filter_map(|(what, text)| Some((what, text?))));
    about
}

/// Its name, which the runs have; its id says little.
fn workflow(lane: &str, answer: &v1::ListRunsBehindResponse) -> String {
    let runs = answer.runs.iter().filter_map(|r| r.run.as_ref());
    runs.filter_map(|r| r.workflow.clone()).next().unwrap_or_else(|| lane.to_owned())
}

fn paging(query: &BehindQuery, answer: &v1::ListRunsBehindResponse) -> Option<Paging> {
    let page = answer.page.max(1);
    if page == 1 && !answer.more {
        return None;
    }
    let to = |page: u32| BehindQuery { page, ..query.clone() }.to_url();
    let first = u64::from(page - 1) * u64::from(answer.per_page) + 1;
    let last = first + answer.runs.len() as u64;
    Some(Paging {
        text: if answer.runs.is_empty() {
            format!("nothing on page {}", format::number(page))
        } else {
            format!("{}–{}", format::number(first), format::number(last - 1))
        },
        prev: (page > 1).then(|| to(page - 1)),
        next: answer.more.then(|| to(page + 1)),
        sizes: Vec::new(),
    })
}

//! What stands below the charts: why things fail, what is red, what is flaky, what stands out, what is delivered.

use api::{duration_back, timestamp_back, v1};
use domain::ProjectKey;

use super::headline::{day, share};
use super::{BehindQuery, OfInsights, StatsQuery, csv_href, href, runs_href};
use crate::charts::{Heat, Hour, Words};
use crate::definitions::{self as say, Definition};
use crate::pages::parts::{Commit, When, project_href, run_href};
use crate::pages::{Ctx, format};

/// Red lanes that are named; the others are in the table for other programs.
pub(super) const BROKEN_SHOWN: usize = 10;

fn count(n: u64, one: &str, many: &str) -> String {
    format::count(u32::try_from(n).unwrap_or(u32::MAX), one, many)
}

fn took(d: Option<&prost_types::Duration>) -> Option<String> {
    d.and_then(duration_back).map(format::duration)
}

/// What people call the project, as far as an answer names it.
pub(super) fn project_name(shown: &OfInsights, project: &ProjectKey) -> String {
    let is = |key: Option<&v1::ProjectKey>| {
        key.is_some_and(|k| k.source == project.source.as_str() && k.id == project.id.as_str())
    };
    let ranked = shown.busiest.ranked.iter().chain(&shown.slowest.ranked);
    let named =
        ranked.filter(|r| is(r.project.as_ref())).map(|r| r.project_name.clone()).find(|n| !n.is_empty());
    named.unwrap_or_else(|| project.to_string())
}

pub(super) fn heat(ctx: &Ctx<'_>, query: &StatsQuery, answer: &v1::GetHeatResponse) -> Option<Heat> {
    let mut week: [Hour; 168] = std::array::from_fn(|_| Hour::default());
    for hour in &answer.hours {
        let Some(cell) = week.get_mut(hour.hour as usize) else { continue };
        let behind = BehindQuery { hour: Some(hour.hour), ..BehindQuery::of(query) };
        *cell = Hour { runs: hour.runs, failed: hour.failed, href: runs_href(ctx, &behind) };
    }
    let (runs, failed) =
        answer.hours.iter().fold((0, 0), |(runs, failed), h| (runs + h.runs, failed + h.failed));
    let worst = answer.hours.iter().max_by_key(|h| h.failed).filter(|h| h.failed > 0);
    const DAYS: [&str; 7] =
        ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];
    let most = worst.map_or_else(String::new, |h| {
        let (on, from) = (DAYS[(h.hour / 24 % 7) as usize], h.hour % 24);
        format!(" Most on {on} from {from:02}:00: {} of {} red.", h.failed, h.runs)
    });
    let words = Words {
        id: "c-heat",
        title: "When it fails, by weekday and hour (UTC)".to_owned(),
        desc: format!("{} of {} runs are red.{most}", format::number(failed), format::number(runs)),
    };
    (runs > 0).then(|| Heat::new(words, &week))
}

/// Failures of one kind.
#[derive(Debug)]
pub(super) struct FailureLine {
    pub(super) times: String,
    pub(super) href: String,
    pub(super) reason: String,
    pub(super) told: bool,
    pub(super) job: Option<String>,
    pub(super) projects: String,
    /// Where most.
    pub(super) most: Vec<(String, String, String)>,
    pub(super) more: usize,
}

/// Projects that are named with a failure.
const MOST_SHOWN: usize = 3;

impl FailureLine {
    pub(super) fn new(ctx: &Ctx<'_>, query: &StatsQuery, g: &v1::FailureGroup) -> Self {
        let behind = BehindQuery::of_failures(query, g);
        let most = g.most.iter().take(MOST_SHOWN).map(|m| {
            let key = m.project.clone().unwrap_or_default();
            (project_href(ctx, &key), m.project_name.clone(), format::number(m.count))
        });
        Self {
            times: format::number(g.failures),
            href: runs_href(ctx, &behind),
            told: g.reason.is_some(),
            reason: g.reason.clone().unwrap_or_else(|| "no reason is told".to_owned()),
            job: g.job.clone(),
            projects: count(g.projects, "project", "projects"),
            most: most.collect(),
            more: usize::try_from(g.projects).unwrap_or(usize::MAX).saturating_sub(MOST_SHOWN),
        }
    }
}

/// A branch of which a workflow is red.
#[derive(Debug)]
pub(super) struct BrokenLine {
    pub(super) href: String,
    pub(super) project: String,
    pub(super) branch: String,
    pub(super) workflow: Option<String>,
    pub(super) since: Option<When>,
    pub(super) at_least: bool,
    pub(super) red: String,
    pub(super) first: Option<(String, Commit)>,
    /// The newest green run, with its commit.
    pub(super) green: Option<(String, String)>,
}

impl BrokenLine {
    pub(super) fn new(ctx: &Ctx<'_>, b: &v1::BrokenLane) -> Self {
        let key = b.project.clone().unwrap_or_default();
        let since = b.since.as_ref().and_then(timestamp_back);
        let short =
            |sha: &Option<String>| sha.as_ref().map_or_else(String::new, |s| s.chars().take(7).collect());
        Self {
            href: project_href(ctx, &key),
            project: b.project_name.clone(),
            branch: b.branch.clone(),
            workflow: b.workflow.clone().filter(|w| !w.is_empty()),
            since: since.map(|at| When::lasting(at, ctx.now)),
            at_least: b.at_least,
            red: count(b.red, "red run", "red runs"),
            first: b.first.as_ref().map(|c| {
                let author = c.author.as_ref();
                (
                    run_href(ctx, &key, &c.run_id),
                    Commit::new(ctx, c.sha.as_deref(), author, c.message.as_deref()),
                )
            }),
            green: b.green.as_ref().map(|c| {
                let sha = short(&c.sha);
                (run_href(ctx, &key, &c.run_id), if sha.is_empty() { c.run_id.clone() } else { sha })
            }),
        }
    }
}

/// Something that is red and green on one commit.
#[derive(Debug)]
pub(super) struct FlakyLine {
    pub(super) lost: String,
    pub(super) name: String,
    pub(super) is_job: bool,
    pub(super) project: String,
    pub(super) project_href: String,
    pub(super) state: &'static str,
    pub(super) how_often: String,
    pub(super) last: String,
    pub(super) runs: Vec<(String, String)>,
}

/// Runs that are named with what is flaky.
const FLAKY_RUNS: usize = 4;

impl FlakyLine {
    pub(super) fn new(ctx: &Ctx<'_>, f: &v1::FlakyItem) -> Self {
        let key = f.project.clone().unwrap_or_default();
        let workflow = f.workflow.clone().filter(|w| !w.is_empty());
        Self {
            lost: took(f.wasted.as_ref()).unwrap_or_default(),
            name: f.job.clone().or(workflow).unwrap_or_else(|| "the whole run".to_owned()),
            is_job: f.job.is_some(),
            project: f.project_name.clone(),
            project_href: project_href(ctx, &key),
            state: match f.state.as_str() {
                "broken" => "nearly only red",
                "cleared" => "quiet since",
                _ => "flaky",
            },
            how_often: format!(
                "on {}, of {}",
                count(f.commits, "commit", "commits"),
                count(f.verdicts, "verdict", "verdicts")
            ),
            last: day(&f.last_day),
            runs: f
                .run_ids
                .iter()
                .zip(f.run_numbers.iter().map(|&n| Some(n)).chain(std::iter::repeat(None)))
                .take(FLAKY_RUNS)
                .map(|(id, number)| (run_href(ctx, &key, id), run_name(id, number)))
                .collect(),
        }
    }
}

/// What people call a run: its number; else its id, and some platforms' ids are long.
fn run_name(id: &str, number: Option<u64>) -> String {
    const SHOWN: usize = 12;
    if let Some(number) = number.filter(|&n| n > 0) {
        return format!("#{number}");
    }
    if id.chars().count() <= SHOWN {
        return id.to_owned();
    }
    format!("{}…", id.chars().take(SHOWN).collect::<String>())
}

/// A ranking.
#[derive(Debug)]
pub(super) struct Rank {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) note: String,
    pub(super) csv: String,
    /// What the places are of.
    pub(super) of: &'static str,
    pub(super) lines: Vec<RankLine>,
    /// Why there is none.
    pub(super) none: String,
}

/// A place in it.
#[derive(Debug)]
pub(super) struct RankLine {
    pub(super) name: String,
    pub(super) href: String,
    /// The project, of a workflow or job.
    pub(super) project: Option<(String, String)>,
    pub(super) runs: String,
    pub(super) runs_href: String,
    pub(super) green: String,
    pub(super) median: String,
    pub(super) p95: String,
}

pub(super) fn ranks(ctx: &Ctx<'_>, query: &StatsQuery, shown: &OfInsights) -> Vec<Rank> {
    let rank = |id, title, note: &str, of: &'static str, by: &str, answer: &v1::RankStatsResponse| {
        Rank {
        id,
        title,
        note: format!("{note}, of at least {}", count(answer.min_runs, "run", "runs")),
        csv: csv_href(ctx, query, "rankings", &[("of", of), ("by", by), ("limit", "100")]),
        of: match of {
            "projects" => "Project",
            "workflows" => "Workflow",
            "jobs" => "Job",
            _ => "Platform",
        },
        lines: answer.ranked.iter().map(|r| RankLine::new(ctx, query, of, r)).collect(),
        none: match by {
            "failing" => "Nothing with enough runs was red.".to_owned(),
            _ if of == "jobs" => {
                "No job has enough runs yet. The jobs of red runs come by themselves, those of green ones where the \
                 platform tells them with the run, or once somebody has looked."
                    .to_owned()
            }
            _ => format!("Nothing has {} yet.", count(answer.min_runs, "run", "runs")),
        },
    }
    };
    let mut ranks = vec![
        rank("slowest", "Slowest workflows", "by median duration", "workflows", "slowest", &shown.slowest),
        rank("slowest-jobs", "Slowest jobs", "by median duration", "jobs", "slowest", &shown.slowest_jobs),
    ];
    if query.project.is_none() {
        ranks.push(rank("busiest", "Most active projects", "by runs", "projects", "busiest", &shown.busiest));
        ranks.push(rank(
            "failing",
            "Most often red",
            "by share of red",
            "projects",
            "failing",
            &shown.failing,
        ));
    }
    if shown.platforms.ranked.len() > 1 {
        ranks.push(rank(
            "platforms",
            "Across platforms",
            "by runs",
            "platforms",
            "busiest",
            &shown.platforms,
        ));
    }
    ranks
}

impl RankLine {
    fn new(ctx: &Ctx<'_>, query: &StatsQuery, of: &str, r: &v1::RankedStats) -> Self {
        let figures = r.figures.unwrap_or_default();
        let duration = figures.duration.unwrap_or_default();
        let mut behind = BehindQuery::of(query);
        let key = r.project.as_ref().and_then(|k| ProjectKey::try_from(k).ok());
        behind.scope.project = key.clone().or(behind.scope.project);
        let name = r.name.clone().filter(|n| !n.is_empty());
        // Where its own insights are.
        let mut of_it = StatsQuery { project: key.or_else(|| query.project.clone()), ..query.clone() };
        match of {
            "workflows" => behind.lane.clone_from(&r.lane),
            "jobs" => behind.ran_job.clone_from(&r.name),
            "platforms" => {
                of_it.platforms = name.iter().cloned().collect();
                behind.scope.platforms.clone_from(&of_it.platforms);
            }
            _ => {}
        }
        let whole = matches!(of, "projects" | "platforms");
        let of_project = || r.project.as_ref().map(|k| (project_href(ctx, k), r.project_name.clone()));
        Self {
            name: match of {
                "projects" => r.project_name.clone(),
                _ => name.unwrap_or_else(|| "unnamed".to_owned()),
            },
            href: if whole { href(ctx, &of_it) } else { runs_href(ctx, &behind) },
            project: if whole { None } else { of_project() },
            runs: format::number(figures.runs),
            runs_href: runs_href(ctx, &behind),
            green: figures.success_rate.map_or_else(|| "–".to_owned(), share),
            median: took(duration.p50.as_ref()).unwrap_or_else(|| "–".to_owned()),
            p95: took(duration.p95.as_ref()).unwrap_or_else(|| "–".to_owned()),
        }
    }
}

/// A figure of delivery.
#[derive(Debug)]
pub(super) struct DeliveryLine {
    pub(super) is: Definition,
    /// Or why there is none.
    pub(super) figure: Result<String, &'static str>,
    pub(super) of: String,
    /// The runs that it came from, as far as they are named.
    pub(super) runs: Vec<(String, String)>,
    pub(super) more: u64,
}

/// Runs that are named with a figure.
const RUNS_SHOWN: usize = 8;

impl DeliveryLine {
    /// A figure of `total` runs, of which an answer names some.
    fn new(
        ctx: &Ctx<'_>,
        is: Definition,
        figure: Result<String, &'static str>,
        of: String,
        (runs, total): (&[v1::RunRef], u64),
    ) -> Self {
        // A project is named with the first of its runs that follow each other.
        let mut before = None;
        let name = |run: &v1::RunRef| {
            let key = run.project.clone().unwrap_or_default();
            let called = run_name(&run.run_id, run.number);
            let is_same = before.replace(key.clone()).is_some_and(|before| before == key);
            let text = if is_same { called } else { format!("{} {called}", run.project_name) };
            (run_href(ctx, &key, &run.run_id), text)
        };
        let runs: Vec<_> = runs.iter().take(RUNS_SHOWN).map(name).collect();
        let more = if runs.is_empty() { 0 } else { total.saturating_sub(runs.len() as u64) };
        Self { is, figure, of, runs, more }
    }
}

/// From what it is known what was deployed, where anything was.
fn told_by(d: &v1::GetDeliveryResponse) -> String {
    let projects = |n: u64| count(n, "project", "projects");
    match (d.marked_projects, d.named_projects) {
        (0, 0) => String::new(),
        (marked, 0) => format!("; as the platform marks them in {}", projects(marked)),
        (0, named) => format!("; as filters.deployments names them in {}", projects(named)),
        (marked, named) => format!(
            "; as the platform marks them in {}, and filters.deployments names them in {}",
            projects(marked),
            projects(named)
        ),
    }
}

pub(super) fn delivery(ctx: &Ctx<'_>, d: &v1::GetDeliveryResponse) -> Vec<DeliveryLine> {
    let median = |m: Option<v1::MedianOf>| {
        let m = m.unwrap_or_default();
        (took(m.median.as_ref()).ok_or("none in this window"), m.count)
    };
    let mut lines = Vec::new();
    if !d.rule.is_empty() || d.marked_projects > 0 {
        let deployments = count(d.deployments, "deployment", "deployments");
        lines.push(DeliveryLine::new(
            ctx,
            say::DEPLOYMENTS,
            Ok(format!("{:.1} a day", d.mean_per_day)),
            format!(
                "{deployments}, {} of them green; {} on the median day{}",
                format::number(d.successful),
                format::number(d.median_day),
                told_by(d)
            ),
            (&d.deployed, d.deployments),
        ));
        lines.push(DeliveryLine::new(
            ctx,
            say::CHANGE_FAILURE,
            d.change_failure_rate.map(share).ok_or("nothing was deployed"),
            format!("{} of {deployments}", format::number(d.failed_total)),
            (&d.failed, d.failed_total),
        ));
        let (restore, times) = median(d.time_to_restore);
        let of = count(times, "failed deployment", "failed deployments");
        lines.push(DeliveryLine::new(ctx, say::RESTORE, restore, of, (&d.restored, times)));
    }
    let (green, times) = median(d.time_to_green);
    let of = count(times, "red stretch", "red stretches");
    lines.push(DeliveryLine::new(ctx, say::TO_GREEN, green, of, (&d.turned_green, times)));
    let (lead, times) = median(d.lead_time);
    let (lead, of) = (lead.map_err(|_| "no commit's time is known"), count(times, "green run", "green runs"));
    lines.push(DeliveryLine::new(ctx, say::LEAD, lead, of, (&d.led, times)));
    lines
}

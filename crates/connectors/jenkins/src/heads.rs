//! The state of projects. What the listing told goes on the board as it is; a request is made for builds that are new, for
//! why a build is red, and for whether one that runs waits for somebody. A project that has not moved costs none.

use std::collections::BTreeMap;

use connector::{Error, Heads, HeadsAsk, Result};
use domain::{Branch, Completeness, Pipeline, Problem, ProblemKind, Project, ProjectKey, Status};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::convert;
use crate::plan::{self, Want};
use crate::source::Jenkins;
use crate::wire::{Build, Kind};
use crate::{base, tree};

/// How many projects are read at once. The client bounds the requests themselves.
const PROJECTS_AT_ONCE: usize = 6;
/// With more branches than this to ask for, all are asked for at once, unless that takes more requests.
const MAX_SINGLE: usize = 3;
/// How many branches' builds one request tells.
const BRANCHES_PER_REQUEST: usize = 50;
/// The most such requests of one project: branches beyond have their last builds and no older ones.
const MAX_BRANCH_REQUESTS: usize = 6;
/// How many builds of each branch such a request tells.
const PER_BRANCH: usize = 10;
/// How many red or waiting builds of a project are looked at more closely at a time.
const MAX_CLOSER: usize = 4;

/// Reads many projects.
pub(crate) fn stream(jenkins: &Jenkins, asks: Vec<HeadsAsk>) -> BoxStream<'_, (ProjectKey, Result<Heads>)> {
    let one = |ask: HeadsAsk| async move {
        let heads = read(jenkins, &ask).await;
        (ask.project.key.clone(), heads)
    };
    let all: Vec<_> = asks.into_iter().map(one).collect();
    futures::stream::iter(all).buffer_unordered(PROJECTS_AT_ONCE).boxed()
}

/// Builds that were asked for.
#[derive(Default)]
struct Asked {
    runs: Vec<Pipeline>,
    /// The oldest build that each job still has.
    oldest: BTreeMap<Option<String>, u64>,
    problems: Vec<Problem>,
}

async fn read(jenkins: &Jenkins, ask: &HeadsAsk) -> Result<Heads> {
    let project = &*ask.project;
    // Whether to look at what runs: at first sight, and when it is this project that is asked about.
    let (told, closely) = match &ask.told {
        Some(told) => (told.clone(), ask.known.is_empty()),
        None => state(jenkins, project).await?,
    };
    let mut heads = Heads { problems: told.problems, ..Heads::default() };
    let shown: Vec<&str> = project.default_branch.iter().chain(&ask.branches).map(String::as_str).collect();
    let now = jenkins.clock.now();
    let looks = |run: &Pipeline| closely || plan::is_to_be_looked_at(run, ask.known_at, now);
    let wants = plan::wants(&told.pipelines, &ask.known, looks);
    let branches = plan::jobs(&told.pipelines);
    let asked = match all_wanted(jenkins, project, &wants, branches, &shown).await {
        Ok(asked) => asked,
        Err(e) if e.concerns_source() || ask.known.is_empty() => return Err(e),
        Err(e) => {
            heads.problems.push(e.to_partial("new builds"));
            Asked::default()
        }
    };
    heads.problems.extend(asked.problems);
    heads.pipelines = plan::merge(&told.pipelines, asked.runs, &ask.known, &asked.oldest, &shown);
    look_closer(jenkins, ask, closely, &mut heads).await?;
    heads.default_branch = default_branch(jenkins, project, &heads.pipelines);
    if heads.pipelines.is_empty() {
        heads.problems.push(Problem::new(ProblemKind::NoCi, "no build has run yet"));
    }
    Ok(heads)
}

/// The present state, when no listing told it; and whether its builds are pipelines, which may wait for somebody.
async fn state(jenkins: &Jenkins, project: &Project) -> Result<(Heads, bool)> {
    let id = project.key.id.as_str();
    let item = jenkins.item(id, &tree::item(0, 1, tree::Newest::Whole)).await?;
    let item = match item.kind() {
        Kind::Multibranch => jenkins.with_all_branches(id, item).await?,
        Kind::Job => item,
        Kind::Folder | Kind::Other => return Err(Error::NotFound(format!("{id} is no job"))),
    };
    Ok((jenkins.told(project, &item), item.has_stages()))
}

async fn all_wanted(
    jenkins: &Jenkins,
    project: &Project,
    wants: &[Want],
    branches: usize,
    shown: &[&str],
) -> Result<Asked> {
    let mut asked = Asked::default();
    if wants.len() <= MAX_SINGLE.max(branches.div_ceil(BRANCHES_PER_REQUEST)) {
        for want in wants {
            wanted(jenkins, project, want, &mut asked).await?;
        }
        return Ok(asked);
    }
    // A few builds of all branches at once, and more of those that were built most.
    let children: BTreeMap<Option<&str>, usize> =
        wants.iter().map(|w| (w.child.as_deref(), w.count)).collect();
    let count = wants.iter().map(|w| w.count).max().unwrap_or(PER_BRANCH).min(PER_BRANCH);
    let mut full: Vec<(String, usize)> = Vec::new();
    for page in 0..MAX_BRANCH_REQUESTS {
        let tree = tree::builds_of_branches(page * BRANCHES_PER_REQUEST, BRANCHES_PER_REQUEST, count);
        let jobs = jenkins.item(project.key.id.as_str(), &tree).await?.jobs.unwrap_or_default();
        let is_last = jobs.items.len() + jobs.broken < BRANCHES_PER_REQUEST;
        for job in jobs.items {
            let Some((name, wanted)) = job.name.as_deref().and_then(|n| Some((n, *children.get(&Some(n))?)))
            else {
                continue;
            };
            asked.problems.extend(job.builds.problem("builds"));
            take(jenkins, project, Some(name), &job.builds.items, &mut asked);
            oldest(Some(name), job.first_build.as_ref(), &mut asked);
            let came = job.builds.items.len() + job.builds.broken;
            if came >= count && wanted > count {
                full.push((name.to_owned(), came));
            }
        }
        if is_last {
            break;
        }
    }
    for child in plan::cut_short(&asked.runs, &full, shown) {
        let count = children.get(&Some(child)).copied().unwrap_or(count);
        wanted(jenkins, project, &Want { child: Some(child.to_owned()), count }, &mut asked).await?;
    }
    Ok(asked)
}

async fn wanted(jenkins: &Jenkins, project: &Project, want: &Want, asked: &mut Asked) -> Result<()> {
    let id = project.key.id.as_str();
    let job = want.child.as_deref().map_or_else(|| id.to_owned(), |child| base::join(id, child));
    let item = match jenkins.item(&job, &tree::builds(want.count)).await {
        // The branch went while we were reading.
        Err(Error::NotFound(_)) if want.child.is_some() => return Ok(()),
        answer => answer?,
    };
    asked.problems.extend(item.builds.problem("builds"));
    take(jenkins, project, want.child.as_deref(), &item.builds.items, asked);
    oldest(want.child.as_deref(), item.first_build.as_ref(), asked);
    Ok(())
}

fn take(jenkins: &Jenkins, project: &Project, child: Option<&str>, builds: &[Build], asked: &mut Asked) {
    let of = jenkins.of(project, child);
    asked.runs.extend(builds.iter().filter_map(|b| convert::build(b, &of)));
}

fn oldest(child: Option<&str>, first: Option<&Build>, asked: &mut Asked) {
    if let Some(number) = first.and_then(|b| b.number) {
        asked.oldest.insert(child.map(str::to_owned), number);
    }
}

/// Looks at builds of the shown branches more closely: why the newest red one is red, and whether one waits for input.
///
/// # Errors
/// What concerns the source. Anything else only leaves the reason out.
async fn look_closer(jenkins: &Jenkins, ask: &HeadsAsk, closely: bool, heads: &mut Heads) -> Result<()> {
    let shown = |run: &Pipeline| {
        run.branch.is_none()
            || run.branch == ask.project.default_branch
            || run.branch.as_ref().is_some_and(|b| ask.branches.contains(b))
    };
    let now = jenkins.clock.now();
    let mut lanes: Vec<Option<String>> = Vec::new();
    let mut chosen: Vec<usize> = Vec::new();
    for (index, run) in heads.pipelines.iter().enumerate().filter(|(_, run)| shown(run)) {
        let waits = match run.status {
            Status::Manual => closely || plan::is_to_be_looked_at(run, ask.known_at, now),
            Status::Running => closely,
            _ => false,
        };
        let decides = run.status.is_verdict() && !lanes.contains(&run.branch);
        if decides {
            lanes.push(run.branch.clone());
        }
        let unexplained = run.status == Status::Failed && run.completeness == Completeness::Row;
        if waits || (decides && unexplained) {
            chosen.push(index);
        }
    }
    chosen.truncate(MAX_CLOSER);
    for index in chosen {
        let run = heads.pipelines[index].clone();
        let answer = if run.status == Status::Failed {
            jenkins.read_build(&ask.project, &run.id).await.map(|detail| {
                if detail.problems.is_empty() {
                    heads.jobs.tell(&run.id, detail.jobs);
                }
                Some(detail.pipeline)
            })
        } else {
            jenkins.waiting(&ask.project, &run).await
        };
        match answer {
            Ok(Some(better)) => heads.pipelines[index] = better.filled_from(&run),
            Ok(None) => {}
            Err(e) if e.concerns_source() => return Err(e),
            Err(error) => {
                tracing::debug!(source = %jenkins.name, run = %run.id, %error, "not looked at more closely");
            }
        }
    }
    Ok(())
}

/// The default branch, with the commit of its newest build that says one.
fn default_branch(jenkins: &Jenkins, project: &Project, runs: &[Pipeline]) -> Option<Branch> {
    let name = project.default_branch.as_ref()?;
    let mut branch = Branch::named(name.clone());
    branch.default = true;
    let of_branch = || runs.iter().filter(|run| run.branch.as_ref() == Some(name));
    let child = of_branch().find_map(|run| base::parse_run(&run.id)?.0);
    branch.url = child.and_then(|child| {
        convert::page(&jenkins.root, &base::page(&base::join(project.key.id.as_str(), child)))
    });
    // What waits may be for a newer commit, which nobody tells yet: then none is told rather than an old one.
    match of_branch().next().filter(|run| run.status == Status::Queued) {
        None => Some(
            of_branch()
                .find(|run| run.sha.is_some())
                .map_or(branch.clone(), |run| convert::with_commit(branch, run)),
        ),
        Some(_) => Some(branch),
    }
}

//! The state of a project in few requests: its default branch by name (only when it may have moved), its newest
//! pipelines on all refs in one conditional request, and what the list leaves out (`enrich.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use connector::graphql::{Answer, Extras};
use connector::{Connector, Error, Extent, Heads, HeadsAsk, JobsOfRuns, Result};
use domain::{Branch, Completeness, Pipeline, Problem, ProblemKind, Project, ProjectKey, stats::STRIP_RUNS};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::batch::{self, Told};
use crate::paging::{Listed, PER_PAGE, PER_PAGE_TEXT};
use crate::source::{GitLab, broken_rows};
use crate::{convert, enrich, wire};

/// The most branches that are asked for one by one, because their runs are older than the newest page.
const MAX_BRANCHES_ASKED: usize = 20;
/// How many of those at once.
const BRANCHES_AT_ONCE: usize = 4;

/// How many projects are asked about at once. The client bounds the requests themselves.
const PROJECTS_AT_ONCE: usize = 8;

/// The stream that [`Connector::branch_heads`] wants.
pub(crate) fn branch_heads<'a>(
    gitlab: &'a GitLab,
    asks: Vec<HeadsAsk>,
) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
    let (mut many, mut each): (Vec<_>, Vec<_>) = asks.into_iter().partition(batch::fits);
    if !gitlab.batch.is_there() || many.len() < batch::WORTH_A_QUESTION {
        each.append(&mut many);
    }
    // Those that were read last share a window, and those of which nothing is known.
    many.sort_by_key(|ask| std::cmp::Reverse(ask.known_at));
    let told = gitlab
        .batch
        .ask_all(many, |asks| batch::question(asks, gitlab.batch.is_plain()))
        .flat_map(|(asks, answer): (Vec<_>, Option<Answer<Told>>)| stream::iter(Told::dealt(asks, answer)));
    let read = stream::iter(each)
        .map(move |ask| {
            Box::pin(async move {
                let heads = read(gitlab, &ask).await;
                (ask.project.key.clone(), heads)
            })
        })
        .buffer_unordered(PROJECTS_AT_ONCE);
    let extras = Arc::new(Extras::default());
    let judged = told
        .map(move |(ask, row)| {
            let extras = Arc::clone(&extras);
            Box::pin(async move {
                let heads = judged(gitlab, &ask, row, &extras).await;
                (ask.project.key.clone(), heads)
            })
        })
        .buffer_unordered(PROJECTS_AT_ONCE);
    read.chain(judged).boxed()
}

/// What a question about many told of one of them.
async fn judged(gitlab: &GitLab, ask: &HeadsAsk, row: Option<batch::Row>, extras: &Extras) -> Result<Heads> {
    let Some(row) = row else { return Ok(Heads { extent: Extent::Moved, ..Heads::default() }) };
    let batch::Verdict { mut pipelines, head, activity, unaccounted, unexplained, mut more } =
        batch::judge(ask, &row);
    let mut jobs = JobsOfRuns::default();
    if !more && extras.take(unexplained.len()) {
        enrich::explain(gitlab, ask, &unexplained, &mut pipelines, &mut jobs).await;
    }
    // What could not be asked for now is read with the whole.
    more |= unexplained.iter().any(|i| pipelines[*i].completeness != Completeness::Full);
    let mut heads = Heads {
        extent: if more { Extent::Moved } else { Extent::News },
        last_activity_at: activity,
        default_branch: head,
        pipelines,
        jobs,
        ..Heads::default()
    };
    // Of what is to be read as a whole the branch is read then, and of what nothing is known as well.
    if unaccounted && !more && ask.known_at.is_some() {
        match read_default(gitlab, &batch::informed(ask, &row)).await {
            Ok(head) => heads.default_branch = head,
            Err(e) if e.concerns_source() => return Err(e),
            // It is asked for again, since the activity stays new.
            Err(_) => heads.last_activity_at = None,
        }
    }
    Ok(heads)
}

/// Reads one project.
///
/// # Errors
/// When its pipelines cannot be listed. Whatever else fails is a problem beside the rest.
pub(crate) async fn read(gitlab: &GitLab, ask: &HeadsAsk) -> Result<Heads> {
    let project = &*ask.project;
    let (head, listed) = if project.ci_disabled {
        // GitLab answers 403, so the answer is known.
        (read_default(gitlab, ask).await, None)
    } else {
        let (head, listed) =
            futures::join!(read_default(gitlab, ask), gitlab.newest(project, None, PER_PAGE_TEXT));
        (head, Some(listed))
    };
    let mut heads = Heads::default();
    match head {
        Ok(head) => heads.default_branch = head,
        Err(e) if e.concerns_source() => return Err(e),
        Err(e) => heads.problems.push(e.to_partial("default branch")),
    }
    let listed = match listed {
        Some(Ok(listed)) => listed,
        Some(Err(e)) if !is_switched_off(gitlab, project, &e).await => return Err(e),
        None | Some(Err(_)) => {
            heads.problems.push(Problem::new(ProblemKind::NoCi, "CI is switched off for this project"));
            return Ok(heads);
        }
    };
    heads.problems.extend(broken_rows("pipelines", &listed));
    heads.total_runs = listed.total;
    let mut runs: Vec<Pipeline> = listed.items.iter().map(convert::pipeline).collect();

    let shown = shown_branches(ask);
    let (older, problems) = older_runs(gitlab, ask, &shown, &listed, &runs).await;
    heads.problems.extend(problems);
    runs.extend(older);
    let mut seen = HashSet::new();
    runs.retain(|run| seen.insert(run.id.clone()));
    runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));

    if let Some(head) = reread_head(gitlab, ask, heads.default_branch.as_ref(), &runs).await {
        heads.default_branch = Some(head);
    }
    match (&project.default_branch, runs.is_empty()) {
        (None, true) => heads.problems.push(Problem::new(ProblemKind::Empty, "the repository is empty")),
        (Some(_), true) => heads.problems.push(Problem::new(ProblemKind::NoCi, "no pipeline has run yet")),
        (None, false) => {
            let text = "default branch: GitLab does not tell it to this token";
            heads.problems.push(Problem::new(ProblemKind::Partial, text));
        }
        (Some(_), false) => {}
    }
    let head = heads.default_branch.as_ref();
    let problems = enrich::enrich(gitlab, ask, head, &shown, &mut runs, &mut heads.jobs).await;
    heads.problems.extend(problems);
    heads.pipelines = runs;
    Ok(heads)
}

/// The default branch: as known when the project has not moved since, else by name, never searched in a list.
async fn read_default(gitlab: &GitLab, ask: &HeadsAsk) -> Result<Option<Branch>> {
    let Some(name) = &ask.project.default_branch else { return Ok(None) };
    match &ask.known_head {
        Some((head, at)) if head.name == *name && at.is_some() && *at == ask.project.last_activity_at => {
            Ok(Some(head.clone()))
        }
        _ => gitlab.branch(&ask.project, name).await.map(Some),
    }
}

/// The default branch anew, when it was taken as known and a pipeline that is new to us ran for another commit: GitLab
/// moves `last_activity_at` once an hour only.
async fn reread_head(
    gitlab: &GitLab,
    ask: &HeadsAsk,
    head: Option<&Branch>,
    runs: &[Pipeline],
) -> Option<Branch> {
    let head = head?;
    let (known, at) = ask.known_head.as_ref()?;
    if known != head || *at != ask.project.last_activity_at {
        return None;
    }
    let newest = runs.iter().find(|run| run.branch.as_deref() == Some(&*head.name))?;
    let is_new = ask.known.iter().all(|known| known.id != newest.id);
    if !is_new || newest.sha == head.sha {
        return None;
    }
    // What cannot be read now stays as it is known.
    gitlab.branch(&ask.project, &head.name).await.ok()
}

/// Whether the pipelines are refused because the project has CI switched off. Guests and anonymous readers are not
/// told by the listing, so it is asked again.
async fn is_switched_off(gitlab: &GitLab, project: &Project, error: &Error) -> bool {
    if !matches!(error, Error::Forbidden(_)) {
        return false;
    }
    gitlab.project(project.key.id.as_str()).await.is_ok_and(|project| project.ci_disabled)
}

/// The branches that have to have their runs: the default branch and those asked for.
fn shown_branches(ask: &HeadsAsk) -> Vec<&str> {
    let mut shown: Vec<&str> = Vec::new();
    for name in
        ask.project.default_branch.as_deref().into_iter().chain(ask.branches.iter().map(String::as_str))
    {
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    shown.truncate(MAX_BRANCHES_ASKED);
    shown
}

/// Runs of the shown branches that the newest page does not reach: all of a branch that has none on it, and at first
/// sight as many as a strip shows.
async fn older_runs(
    gitlab: &GitLab,
    ask: &HeadsAsk,
    shown: &[&str],
    listed: &Listed<wire::Pipeline>,
    runs: &[Pipeline],
) -> (Vec<Pipeline>, Vec<Problem>) {
    if listed.next.is_none() && listed.len() < PER_PAGE {
        return (Vec::new(), Vec::new());
    }
    let limit = STRIP_RUNS.to_string();
    let limit = limit.as_str();
    let lacking = shown.iter().copied().filter(|name| {
        let is_of = |run: &Pipeline| run.branch.as_deref() == Some(*name);
        let there = runs.iter().filter(|run| is_of(run)).count();
        let first_sight = !ask.known.iter().any(|run| is_of(run));
        there == 0 || (first_sight && there < STRIP_RUNS)
    });
    let asked: Vec<_> = lacking
        .map(|name| async move { (name, gitlab.newest(&ask.project, Some(name), limit).await) })
        .collect();
    let answers: Vec<_> = stream::iter(asked).buffered(BRANCHES_AT_ONCE).collect().await;
    let (mut older, mut problems) = (Vec::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Ok(listed) => {
                problems.extend(broken_rows("pipelines", &listed));
                older.extend(listed.items.iter().map(convert::pipeline));
            }
            Err(e) => problems.push(e.to_partial(&format!("pipelines of {name}"))),
        }
    }
    (older, problems)
}

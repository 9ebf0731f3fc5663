//! What GitLab's list of pipelines leaves out – author, message, times of work, warnings, what failed – added within
//! bounds and only for what has moved.
//!
//! 1. What was read before stands as long as the list's row says the same.
//! 2. Where there is GraphQL, one question tells of the default branch's strip.
//! 3. One page of the project's newest jobs tells of many pipelines at once.
//! 4. One page of the default branch's commits tells authors and messages of the others.
//! 5. Single pipelines: first those that decide a colour (only there "passed with warnings" is told for sure), then
//!    those going on, then the rest of the strips, at most [`DETAILS_PER_REFRESH`] in one refresh, so that a new
//!    project converges over a few.
//!
//! A pipeline whose details are refused or gone counts as read in full, since asking again gives the same until it
//! moves. How many there are is seen from the runs themselves ([`is_bare`]), so that the row keeps saying so without
//! anybody having to remember it.

use std::collections::{BTreeSet, HashMap, HashSet};

use connector::{Error, HeadsAsk, JobsOfRuns};
use domain::{Branch, Completeness, Person, Pipeline, Problem, ProblemKind, Status, stats::STRIP_RUNS};
use futures::{StreamExt, stream};

use crate::batch::{self, second};
use crate::details::is_final;
use crate::paging::{PER_PAGE, PER_PAGE_TEXT, list};
use crate::source::GitLab;
use crate::{convert, jobs, wire};

/// The most pipelines of a project that are asked for one by one in one refresh.
pub(crate) const DETAILS_PER_REFRESH: usize = 8;
/// The most failed pipelines that are asked for their failed jobs in one refresh.
pub(crate) const FAILURES_PER_REFRESH: usize = 4;
/// How many of either at once.
const DETAILS_AT_ONCE: usize = 4;
/// From so many pipelines on, a page that tells of all of them is cheaper than each by itself.
const WORTH_A_PAGE: usize = 2;

/// Adds to the runs, which come newest first, what is known and what can be asked for. `shown`: the branches whose
/// colour and strip are shown. `told`: where the jobs of runs go that were read for it.
pub(crate) async fn enrich(
    gitlab: &GitLab,
    ask: &HeadsAsk,
    head: Option<&Branch>,
    shown: &[&str],
    runs: &mut [Pipeline],
    told: &mut JobsOfRuns,
) -> Vec<Problem> {
    let known: HashMap<_, _> = ask.known.iter().map(|run| (&run.id, run)).collect();
    for run in runs.iter_mut() {
        if let Some(known) = known.get(&run.id) {
            if is_same(run, known) {
                run.updated_at = known.updated_at;
            }
            *run = run.clone().filled_from(known);
        }
    }
    let mut problems = Vec::new();
    let strips = strips(shown, runs);
    let unread =
        |runs: &[Pipeline]| strips.iter().filter(|i| runs[**i].completeness != Completeness::Full).count();

    let deciding = deciding(shown, runs);
    if unread(runs) >= WORTH_A_PAGE {
        from_strip(gitlab, ask, &deciding, runs).await;
    }
    let mut by_jobs = HashSet::new();
    if unread(runs) >= WORTH_A_PAGE {
        match from_jobs(gitlab, ask, runs, told).await {
            Ok(read) => by_jobs = read,
            Err(e) if is_final(&e) => {
                tracing::debug!(project = %ask.project.key, error = %e, "no list of jobs")
            }
            Err(e) => problems.push(e.to_partial("recent jobs")),
        }
    }
    let lacks_commit = strips.iter().filter(|i| {
        runs[**i].message.is_none()
            && runs[**i].completeness != Completeness::Full
            && head.is_none_or(|h| h.sha != runs[**i].sha)
    });
    let commits = if lacks_commit.count() >= WORTH_A_PAGE { commits(gitlab, ask).await } else { Vec::new() };
    tell_commits(head, &commits, runs);

    let wanted = wanted(&deciding, &strips, &by_jobs, runs);
    for i in &wanted {
        // Until the answer is there, also for one that its jobs told all but its trigger jobs of.
        runs[*i].completeness = Completeness::Row;
    }
    let asked: Vec<_> = wanted
        .into_iter()
        .map(|i| {
            let id = runs[i].id.clone();
            async move { (i, gitlab.detail(&ask.project, &id).await) }
        })
        .collect();
    let mut answers = stream::iter(asked).buffered(DETAILS_AT_ONCE);
    let mut read = Vec::new();
    while let Some((i, answer)) = answers.next().await {
        match answer {
            Ok(detail) => read.push((i, Some(detail))),
            Err(e) if is_final(&e) => read.push((i, None)),
            Err(e) => {
                // The next one would fail alike; the next refresh goes on from here.
                problems.push(e.to_partial("pipeline details"));
                break;
            }
        }
    }
    drop(answers);
    let mut unexplained = Vec::new();
    for (i, detail) in read {
        match detail {
            Some(detail) => {
                take_over(&mut runs[i], &detail);
                let red = runs[i].status == Status::Failed && runs[i].failure.is_none();
                if red && deciding.contains(&i) {
                    unexplained.push(i);
                }
            }
            None => runs[i].completeness = Completeness::Full,
        }
    }
    unexplained.truncate(FAILURES_PER_REFRESH);
    explain(gitlab, ask, &unexplained, runs, told).await;

    problems.extend(bare(&strips, runs));
    problems
}

/// The runs of the shown branches' strips.
fn strips(shown: &[&str], runs: &[Pipeline]) -> Vec<usize> {
    let of = |name: &str| {
        let of_branch = runs.iter().enumerate().filter(|(_, run)| run.branch.as_deref() == Some(name));
        of_branch.map(|(i, _)| i).take(STRIP_RUNS).collect::<Vec<_>>()
    };
    shown.iter().flat_map(|name| of(name)).collect()
}

/// The newest completed run of each lane of each shown branch.
fn deciding(shown: &[&str], runs: &[Pipeline]) -> BTreeSet<usize> {
    let mut seen = HashSet::new();
    let verdicts = runs.iter().enumerate().filter(|(_, run)| run.status.is_verdict());
    verdicts
        .filter(|(_, run)| {
            let branch = run.branch.as_deref().unwrap_or_default();
            shown.contains(&branch) && seen.insert((branch, run.workflow.lane.as_str()))
        })
        .map(|(i, _)| i)
        .collect()
}

/// Which runs to ask for one by one, most wanted first.
fn wanted(
    deciding: &BTreeSet<usize>,
    strips: &[usize],
    by_jobs: &HashSet<usize>,
    runs: &[Pipeline],
) -> Vec<usize> {
    let unread = |i: usize| runs[i].completeness != Completeness::Full;
    // Trigger jobs are not among a project's jobs, and one that failed though it may makes a warning.
    let unsure = |i: usize| unread(i) || (by_jobs.contains(&i) && runs[i].status == Status::Success);
    let active = (0..runs.len()).filter(|i| runs[*i].status.is_active() && unread(*i));
    let mut seen = HashSet::new();
    (deciding.iter().copied().filter(|i| unsure(*i)))
        .chain(active)
        .chain(strips.iter().copied().filter(|i| unread(*i)))
        .filter(|i| seen.insert(*i))
        .take(DETAILS_PER_REFRESH)
        .collect()
}

/// Reads one page of the project's newest jobs, and enriches the runs that it tells of. Which of them are known in full
/// by it.
async fn from_jobs(
    gitlab: &GitLab,
    ask: &HeadsAsk,
    runs: &mut [Pipeline],
    told: &mut JobsOfRuns,
) -> Result<HashSet<usize>, Error> {
    let url =
        gitlab.client.url(&["projects", ask.project.key.id.as_str(), "jobs"], &[("per_page", PER_PAGE_TEXT)]);
    let listed = list::<wire::Job>(&gitlab.client, "GET /projects/:id/jobs", url).await?;
    let is_all = listed.next.is_none() && listed.len() < PER_PAGE;
    // Ids only grow: whatever was made after the oldest job here is here too. That job may be an old pipeline's newest
    // try, so it is its time that counts, not its pipeline.
    let since = listed.items.iter().min_by_key(|job| job.id).and_then(|job| job.created_at);
    let mut of_run: HashMap<String, Vec<&wire::Job>> = HashMap::new();
    for job in &listed.items {
        if let Some(pipeline) = &job.pipeline {
            of_run.entry(pipeline.id.to_string()).or_default().push(job);
        }
    }
    let mut read = HashSet::new();
    for (i, run) in runs.iter_mut().enumerate().filter(|(_, run)| run.completeness != Completeness::Full) {
        let Some(jobs) = of_run.get(run.id.as_str()) else { continue };
        let all_here = listed.broken == 0
            && (is_all || matches!((since, run.created_at), (Some(since), Some(made)) if since < made));
        if !all_here {
            jobs::tell_commit(run, &jobs::newest_tries(jobs.iter().copied()));
        } else if jobs::enrich(run, jobs) {
            run.completeness = Completeness::Full;
            read.insert(i);
            if run.status.is_terminal() {
                told.tell(&run.id, jobs::in_order(&jobs::newest_tries(jobs.iter().copied())));
            }
        }
    }
    Ok(read)
}

/// Whether both tell of the same state, one of them perhaps by GraphQL.
fn is_same(a: &Pipeline, b: &Pipeline) -> bool {
    a.native_status == b.native_status && second(a.updated_at) == second(b.updated_at)
}

/// Reads the strip of the default branch with one question where there is GraphQL: it tells all that a pipeline's details do. What
/// decides a colour and did not simply pass is read by itself all the same, for what failed.
async fn from_strip(gitlab: &GitLab, ask: &HeadsAsk, deciding: &BTreeSet<usize>, runs: &mut [Pipeline]) {
    if !gitlab.batch.is_there() || gitlab.batch.is_plain() || !batch::is_numbered(ask) {
        return;
    }
    let asked = gitlab.batch.ask_all(vec![ask.clone()], batch::strip);
    let dealt = |(asks, answer): (Vec<_>, _)| stream::iter(batch::Told::dealt(asks, answer));
    let rows: Vec<_> = asked.flat_map(dealt).collect().await;
    let told = rows.into_iter().filter_map(|(_, row)| row).flat_map(|row| row.pipelines(&ask.project));
    let told: HashMap<_, _> = told.map(|run| (run.id.clone(), run)).collect();
    for (i, run) in runs.iter_mut().enumerate().filter(|(_, run)| run.completeness != Completeness::Full) {
        let Some(told) = told.get(&run.id).filter(|told| is_same(told, run)) else { continue };
        let is_all = told.completeness == Completeness::Full || !deciding.contains(&i);
        let completeness = if is_all { Completeness::Full } else { Completeness::Row };
        *run = Pipeline { updated_at: run.updated_at, completeness, ..told.clone() }.filled_from(run);
    }
}

/// The newest commits of the default branch; none when they cannot be read, as they only add.
async fn commits(gitlab: &GitLab, ask: &HeadsAsk) -> Vec<wire::Commit> {
    let Some(branch) = &ask.project.default_branch else { return Vec::new() };
    let segments = ["projects", ask.project.key.id.as_str(), "repository", "commits"];
    let url = gitlab.client.url(&segments, &[("ref_name", branch), ("per_page", PER_PAGE_TEXT)]);
    match list(&gitlab.client, "GET /projects/:id/repository/commits", url).await {
        Ok(listed) => listed.items,
        Err(e) => {
            tracing::debug!(project = %ask.project.key, error = %e, "no list of commits");
            Vec::new()
        }
    }
}

/// Gives runs without a message that of their commit, as far as anything tells it.
fn tell_commits(head: Option<&Branch>, commits: &[wire::Commit], runs: &mut [Pipeline]) {
    let mut told: HashMap<String, (Option<Person>, String)> = HashMap::new();
    if let Some((sha, message)) = head.and_then(|head| head.sha.clone().zip(head.message.clone())) {
        told.insert(sha, (head.and_then(|head| head.author.clone()), message));
    }
    for commit in commits {
        if let Some((sha, message)) = commit.id.clone().zip(convert::commit_message(commit)) {
            told.entry(sha).or_insert_with(|| (convert::commit_author(commit, None), message));
        }
    }
    // What jobs told last, since it names the account as well.
    for run in runs.iter() {
        if let Some((sha, message)) = run.sha.clone().zip(run.message.clone()) {
            told.insert(sha, (run.author.clone(), message));
        }
    }
    for run in runs.iter_mut().filter(|run| run.message.is_none()) {
        if let Some((author, message)) = run.sha.as_ref().and_then(|sha| told.get(sha)) {
            run.message = Some(message.clone());
            run.author = author.clone().or(run.author.take());
        }
    }
}

/// Puts what GitLab tells in full in the place of a row. The details know who started the pipeline; who wrote the
/// commit, where that is known, stays.
fn take_over(run: &mut Pipeline, detail: &wire::Pipeline) {
    let mut full = convert::full(detail);
    if full.id != run.id {
        // An answer to another question: the row stands as it is.
        return;
    }
    full.author = run.author.take().or(full.author);
    let unmoved = full.native_status == run.native_status && full.updated_at == run.updated_at;
    // Servers before 12.x have no `detailed_status`.
    if unmoved && full.status == Status::Success && detail.detailed_status.is_none() {
        full.status = run.status;
    }
    let told = std::mem::replace(run, full);
    *run = run.clone().filled_from(&told);
}

/// Asks what failed in runs of which all else is known.
pub(crate) async fn explain(
    gitlab: &GitLab,
    ask: &HeadsAsk,
    unexplained: &[usize],
    runs: &mut [Pipeline],
    told: &mut JobsOfRuns,
) {
    let asked: Vec<_> = unexplained
        .iter()
        .map(|&i| {
            let id = runs[i].id.clone();
            async move { (i, gitlab.telling_jobs(&ask.project, &id).await) }
        })
        .collect();
    let answers: Vec<_> = stream::iter(asked).buffered(DETAILS_AT_ONCE).collect().await;
    for (i, answer) in answers {
        match answer {
            Ok((read, complete)) => {
                let tries = jobs::newest_tries(&read);
                if complete {
                    told.tell(&runs[i].id, jobs::in_order(&tries));
                }
                jobs::tell_commit(&mut runs[i], &tries);
                runs[i].failure = jobs::failure(&tries);
                runs[i].completeness = Completeness::Full;
            }
            Err(e) if is_final(&e) => runs[i].completeness = Completeness::Full,
            Err(e) => tracing::debug!(project = %ask.project.key, error = %e, "failed jobs are not known"),
        }
    }
}

/// Whether nothing but its row is known of a run although its details were asked for.
fn is_bare(run: &Pipeline) -> bool {
    let silent = run.started_at.is_none()
        && run.finished_at.is_none()
        && run.duration.is_none()
        && run.queued.is_none()
        && run.failure.is_none();
    let must_tell = run.status.is_verdict() || (run.status == Status::Running && run.author.is_none());
    run.completeness == Completeness::Full && silent && must_tell
}

/// One reason for all runs whose details are not there.
fn bare(strips: &[usize], runs: &[Pipeline]) -> Option<Problem> {
    let count = (0..runs.len())
        .filter(|i| runs[*i].status.is_active() || strips.contains(i))
        .filter(|i| is_bare(&runs[*i]))
        .count();
    let text = match count {
        0 => return None,
        1 => "details of 1 pipeline: not found".to_owned(),
        _ => format!("details of {count} pipelines: not found"),
    };
    Some(Problem::new(ProblemKind::Partial, text))
}

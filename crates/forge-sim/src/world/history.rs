//! A project's past, made from its seed when somebody first looks.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ID_STRIDE;
use super::model::{
    Branch, Commit, Failure, History, Issue, MergeRequest, PastAttempt, PersonId, Pipeline, Project,
    RunStatus, Shape, Trigger, WorkflowTrigger,
};
use super::names::{FEATURE_BRANCHES, FIX_TITLES, ISSUE_TITLES, LABELS, PEOPLE, TITLES};
use super::plan::{failure, later, log_normal, rng};

/// Default-branch pushes of a project's past; the platforms' pages have to be turned for more than 20 or 30.
const MAIN_PUSHES: std::ops::Range<usize> = 44..64;
const NIGHTS: i64 = 14;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A run of the past before it has a number.
struct Draft {
    at: Timestamp,
    workflow: usize,
    branch: Arc<str>,
    sha: Arc<str>,
    trigger: Trigger,
    actor: PersonId,
    status: RunStatus,
    warnings: bool,
    failure: Option<Failure>,
    seconds: f64,
    retried: bool,
}

pub(crate) fn sha(rng: &mut impl Rng) -> Arc<str> {
    let mut text = String::with_capacity(40);
    for _ in 0..5 {
        text.push_str(&format!("{:08x}", rng.random::<u32>()));
    }
    Arc::from(text)
}

pub(crate) fn person(rng: &mut impl Rng) -> PersonId {
    PersonId(rng.random_range(0..PEOPLE.len() as u16))
}

pub(crate) fn title(rng: &mut impl Rng, fixes: bool) -> Arc<str> {
    let titles = if fixes { FIX_TITLES } else { TITLES };
    Arc::from(*titles.choose(rng).unwrap_or(&"Update"))
}

/// The whole past of `project`, up to its start time.
pub(crate) fn generate(project: &Project) -> History {
    let mut rng = rng(project.seed, 1);
    let mut history = History::default();
    let Some(main) = project.default_branch.clone() else { return history };
    let mut drafts: Vec<Draft> = Vec::new();
    pushes_to_main(project, &main, &mut rng, &mut history, &mut drafts);
    feature_branches(project, &main, &mut rng, &mut history, &mut drafts);
    after_and_nightly(project, &main, &mut rng, &history, &mut drafts);
    issues(project, &mut rng, &mut history);
    if matches!(project.shape, Shape::NoRuns | Shape::NoCi) {
        drafts.clear();
    }
    drafts.sort_by_key(|draft| draft.at);
    let mut counts: HashMap<usize, u32> = HashMap::new();
    for (at, draft) in drafts.into_iter().enumerate() {
        let count = counts.entry(draft.workflow).or_default();
        *count += 1;
        history.runs.push(settle(project, at as u32 + 1, *count, draft, &mut rng));
    }
    history
}

fn commit(
    history: &mut History,
    rng: &mut ChaCha8Rng,
    parent: Option<Arc<str>>,
    at: Timestamp,
    title: Arc<str>,
    author: PersonId,
) -> Arc<str> {
    let sha = sha(rng);
    history.commits.insert(sha.clone(), Commit { sha: sha.clone(), parent, title, author, at });
    sha
}

/// When the pushes to the default branch came, oldest first.
fn push_times(project: &Project, rng: &mut ChaCha8Rng, count: usize) -> Vec<Timestamp> {
    let longest = project.workflows.iter().map(|w| i64::from(w.median_seconds)).max().unwrap_or(60) * 3_000;
    let mut at = project.pushed_at.min(later(project.start, -longest - 120_000));
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(at);
        let gap = project.gap_seconds as f64 * 1000.0 * rng.random_range(0.3..1.7);
        at = later(at, -(gap as i64));
    }
    times.reverse();
    times
}

fn pushes_to_main(
    project: &Project,
    main: &Arc<str>,
    rng: &mut ChaCha8Rng,
    history: &mut History,
    drafts: &mut Vec<Draft>,
) {
    let count = rng.random_range(MAIN_PUSHES);
    let mut times = push_times(project, rng, count);
    let median = project.workflows.first().map_or(60.0, |w| f64::from(w.median_seconds));
    let mut red_tail = 0;
    if let Shape::Broken { minutes } = project.shape {
        // The breaking run ended `minutes` ago; more red ones follow it.
        red_tail = 1 + (minutes as usize / 60).min(3);
        let broke = later(project.start, -i64::from(minutes) * 60_000 - (median * 1_000.0) as i64);
        let last = later(project.start, -((median * 3_000.0) as i64) - 120_000).max(later(broke, 1_000));
        let span = last.as_millisecond() - broke.as_millisecond();
        let first = times.len() - red_tail;
        let shift = times[first - 1].as_millisecond() - (broke.as_millisecond() - project.gap_seconds * 700);
        for time in &mut times[..first] {
            *time = later(*time, -shift.max(0));
        }
        for (k, time) in times[first..].iter_mut().enumerate() {
            *time = later(broke, span * k as i64 / red_tail as i64);
        }
    }
    let mut red: Option<Failure> = None;
    let mut parent = None;
    let last = times.len() - 1;
    for (k, at) in times.iter().copied().enumerate() {
        let tail = k + red_tail > last;
        let was_red = red.is_some();
        if tail && red_tail > 0 {
            red = project.red.clone();
        } else if k + red_tail == last || k + 3 > last {
            red = None; // green before it broke, and green at the end
        } else if was_red {
            if rng.random_bool(0.6) {
                red = None;
            }
        } else if rng.random_bool(project.failure_rate) {
            red = project.workflows.first().map(|w| failure(rng, w, None));
        }
        let author = person(rng);
        let text = title(rng, was_red && red.is_none());
        let sha = commit(history, rng, parent.clone(), at, text, author);
        parent = Some(sha.clone());
        let mut status = if red.is_some() { RunStatus::Failed } else { RunStatus::Success };
        let mut warnings = false;
        if k == last {
            match project.shape {
                Shape::Warning => warnings = true,
                Shape::Waiting => status = RunStatus::Manual,
                Shape::CanceledNewest => status = RunStatus::Canceled,
                _ => {}
            }
        } else if red.is_none() && k + 2 < last {
            match rng.random_range(0..100) {
                0..2 => status = RunStatus::Canceled,
                2 => status = RunStatus::Skipped,
                3..6 => warnings = true,
                _ => {}
            }
        }
        let retried =
            status == RunStatus::Success && k + 1 < last && (k == last - 4 || rng.random_bool(0.04));
        if !project.workflows.is_empty() {
            drafts.push(Draft {
                at: later(at, rng.random_range(800..4_000)),
                workflow: 0,
                branch: main.clone(),
                sha,
                trigger: Trigger::Push,
                actor: author,
                status,
                warnings,
                failure: red.clone(),
                seconds: log_normal(rng, median, 0.22) * if red.is_some() { 0.8 } else { 1.0 },
                retried,
            });
        }
    }
    history.branches.push(Branch {
        name: main.clone(),
        head: parent.unwrap_or_else(|| sha(rng)),
        protected: true,
    });
}

fn feature_branches(
    project: &Project,
    main: &Arc<str>,
    rng: &mut ChaCha8Rng,
    history: &mut History,
    drafts: &mut Vec<Draft>,
) {
    let head = history.branches[0].head.clone();
    let newest = history.commits.get(&head).map_or(project.pushed_at, |c| c.at);
    let median = project.workflows.first().map_or(60.0, |w| f64::from(w.median_seconds));
    let first = rng.random_range(0..FEATURE_BRANCHES.len());
    let mut names: Vec<&str> = (0..rng.random_range(2..6))
        .map(|k| FEATURE_BRANCHES[(first + k * 3) % FEATURE_BRANCHES.len()])
        .collect();
    names.dedup();
    names.push("release/4.2");
    for (k, name) in names.iter().enumerate() {
        let name: Arc<str> = Arc::from(*name);
        let author = person(rng);
        let mut parent = head.clone();
        let pushes = rng.random_range(1..4);
        let is_release = name.starts_with("release/");
        let number = history.merge_requests.len() as u32 + 1;
        let mut created = None;
        let mut last_at = newest;
        for push in 0..pushes {
            let back = project.gap_seconds * 1000 * (pushes - push) / 3 + (k as i64 + 1) * 97_000;
            let at = later(newest, -back);
            created.get_or_insert(at);
            last_at = at;
            let text = title(rng, push > 0);
            parent = commit(history, rng, Some(parent), at, text, author);
            let red = rng.random_bool(0.2) && push + 1 == pushes;
            let Some(workflow) = project.workflows.first() else { continue };
            let trigger = if is_release || rng.random_bool(0.4) {
                Trigger::Push
            } else {
                Trigger::MergeRequest(number)
            };
            drafts.push(Draft {
                at: later(at, 1_500),
                workflow: 0,
                branch: name.clone(),
                sha: parent.clone(),
                trigger,
                actor: author,
                status: if red { RunStatus::Failed } else { RunStatus::Success },
                warnings: false,
                failure: red.then(|| failure(rng, workflow, None)),
                seconds: log_normal(rng, median, 0.22),
                retried: false,
            });
        }
        if !is_release {
            let title = history.commits.get(&parent).map_or_else(|| name.clone(), |c| c.title.clone());
            history.merge_requests.push(MergeRequest {
                number,
                title,
                source_branch: name.clone(),
                target_branch: main.clone(),
                sha: parent.clone(),
                author,
                reviewers: (0..rng.random_range(0..3)).map(|_| person(rng)).collect(),
                draft: rng.random_bool(0.2),
                open: true,
                labels: LABELS.choose(rng).copied().into_iter().collect(),
                created_at: created.unwrap_or(last_at),
                updated_at: last_at,
            });
        }
        history.branches.push(Branch { name, head: parent, protected: is_release });
    }
}

/// Deployments after green pushes, and nightly runs.
fn after_and_nightly(
    project: &Project,
    main: &Arc<str>,
    rng: &mut ChaCha8Rng,
    history: &History,
    drafts: &mut Vec<Draft>,
) {
    for (index, workflow) in project.workflows.iter().enumerate() {
        let median = f64::from(workflow.median_seconds);
        match workflow.on {
            WorkflowTrigger::Push => {}
            WorkflowTrigger::AfterPush => {
                let after: Vec<Draft> = drafts
                    .iter()
                    .filter(|d| d.workflow == 0 && d.branch == *main && d.status == RunStatus::Success)
                    .map(|d| Draft {
                        at: later(d.at, (d.seconds * 1_000.0) as i64 + 20_000),
                        workflow: index,
                        branch: d.branch.clone(),
                        sha: d.sha.clone(),
                        trigger: Trigger::Workflow,
                        actor: d.actor,
                        status: RunStatus::Success,
                        warnings: false,
                        failure: None,
                        seconds: log_normal(rng, median, 0.15).min(d.seconds),
                        retried: false,
                    })
                    .filter(|d| later(d.at, (d.seconds * 1_000.0) as i64 + 20_000) < project.start)
                    .collect();
                drafts.extend(after);
            }
            WorkflowTrigger::Schedule => {
                let until = project.pushed_at.min(later(project.start, -(median * 3_000.0) as i64 - 60_000));
                for night in (1..=NIGHTS).rev() {
                    let day = until.as_millisecond() / DAY_MS - night + 1;
                    let Ok(at) = Timestamp::from_millisecond(day * DAY_MS + 2 * 3_600_000 + 13_000) else {
                        continue;
                    };
                    if at > until {
                        continue;
                    }
                    // A night builds what the default branch holds then.
                    let sha = drafts
                        .iter()
                        .rfind(|d| {
                            d.workflow == 0 && d.trigger == Trigger::Push && d.branch == *main && d.at <= at
                        })
                        .map_or_else(|| history.branches[0].head.clone(), |d| d.sha.clone());
                    let red = night > 1 && rng.random_bool(0.06);
                    drafts.push(Draft {
                        at,
                        workflow: index,
                        branch: main.clone(),
                        sha,
                        trigger: Trigger::Schedule,
                        actor: PersonId(0),
                        status: if red { RunStatus::Failed } else { RunStatus::Success },
                        warnings: false,
                        failure: red.then(|| failure(rng, workflow, None)),
                        seconds: log_normal(rng, median, 0.2),
                        retried: false,
                    });
                }
            }
        }
    }
}

fn settle(
    project: &Project,
    number: u32,
    workflow_number: u32,
    draft: Draft,
    rng: &mut ChaCha8Rng,
) -> Pipeline {
    let created_at = draft.at;
    let mut attempt_at = created_at;
    let mut past_attempts = Vec::new();
    if draft.retried {
        let (begin, end) =
            (later(created_at, 6_000), later(created_at, (draft.seconds * 300.0) as i64 + 6_000));
        past_attempts.push(PastAttempt {
            number: 1,
            status: RunStatus::Failed,
            started_at: begin,
            finished_at: end,
        });
        attempt_at = later(end, 20_000);
    }
    let started = later(attempt_at, rng.random_range(2_000..15_000));
    let seconds = if draft.retried { draft.seconds * 0.6 } else { draft.seconds };
    let end = later(started, (seconds * 1_000.0) as i64).min(later(project.start, -1_000));
    let skipped = draft.status == RunStatus::Skipped;
    let waits = draft.status == RunStatus::Manual;
    let end = if skipped { created_at } else { end };
    Pipeline {
        id: u64::from(number) * ID_STRIDE + u64::from(project.id.0),
        number,
        workflow: draft.workflow,
        workflow_number,
        attempt: if draft.retried { 2 } else { 1 },
        branch: draft.branch,
        sha: draft.sha,
        trigger: draft.trigger,
        actor: draft.actor,
        status: draft.status,
        warnings: draft.warnings,
        failure: draft.failure,
        created_at,
        started_at: (!skipped).then_some(started),
        finished_at: (!waits).then_some(end),
        updated_at: end,
        attempt_at,
        past_attempts,
        jobs: std::cell::OnceCell::new(),
    }
}

fn issues(project: &Project, rng: &mut ChaCha8Rng, history: &mut History) {
    let first = history.merge_requests.len() as u32 + 1;
    for k in 0..rng.random_range(0..8) {
        let created_at = later(project.pushed_at, -rng.random_range(0..40 * DAY_MS));
        history.issues.push(Issue {
            number: first + k,
            title: Arc::from(ISSUE_TITLES[k as usize % ISSUE_TITLES.len()]),
            author: person(rng),
            assignees: (0..rng.random_range(0..2)).map(|_| person(rng)).collect(),
            open: rng.random_bool(0.7),
            labels: LABELS.choose(rng).copied().into_iter().collect(),
            created_at,
            updated_at: later(created_at, 3_600_000).min(project.start),
        });
    }
}

//! What the jobs of a pipeline tell of it: order, author, message, times of work, warnings, what failed.

use std::collections::BTreeMap;
use std::time::Duration;

use connector::wire::between;
use domain::{Job, Pipeline, Status, Timestamp};

use crate::{convert, status, wire};

/// The failed jobs that are named before the rest is only counted.
const NAMED_JOBS: usize = 2;

/// Of jobs that ran again only the newest try, in the order in which GitLab made them. Names are unique within a
/// pipeline.
pub(crate) fn newest_tries<'a>(jobs: impl IntoIterator<Item = &'a wire::Job>) -> Vec<&'a wire::Job> {
    let mut by_name: BTreeMap<String, &wire::Job> = BTreeMap::new();
    for job in jobs {
        let newest = by_name.entry(convert::job_name(job)).or_insert(job);
        if job.id > newest.id {
            *newest = job;
        }
    }
    let mut newest: Vec<_> = by_name.into_values().collect();
    newest.sort_unstable_by_key(|j| j.id);
    newest
}

/// Jobs as we have them, in the order of these rows.
pub(crate) fn in_order(rows: &[&wire::Job]) -> Vec<Job> {
    rows.iter().map(|row| convert::job(row)).collect()
}

/// The newest tries, those of earlier stages first. GitLab's API does not tell the order of stages, but it makes a
/// pipeline's jobs in that order; tries that were replaced count for it, because a new try has a new id.
pub(crate) fn in_stage_order(jobs: &[wire::Job]) -> Vec<&wire::Job> {
    let mut first_of_stage: BTreeMap<&str, u64> = BTreeMap::new();
    let mut first_of_name: BTreeMap<String, u64> = BTreeMap::new();
    for job in jobs {
        let stage = first_of_stage.entry(job.stage.as_deref().unwrap_or_default()).or_insert(job.id);
        *stage = job.id.min(*stage);
        let name = first_of_name.entry(convert::job_name(job)).or_insert(job.id);
        *name = job.id.min(*name);
    }
    let mut newest = newest_tries(jobs);
    newest.sort_by_cached_key(|job| {
        let stage = job.stage.as_deref().unwrap_or_default();
        let fixed = match stage {
            ".pre" => 0,
            ".post" => 2,
            _ => 1,
        };
        (fixed, first_of_stage.get(stage).copied(), first_of_name.get(&convert::job_name(job)).copied())
    });
    newest
}

/// Who wrote the commit and what it says, from any job that carries it.
pub(crate) fn tell_commit(run: &mut Pipeline, tries: &[&wire::Job]) {
    let Some((job, commit)) = tries.iter().rev().find_map(|j| Some((j, j.commit.as_ref()?))) else { return };
    let author = convert::commit_author(commit, job.user.as_ref());
    if author.is_some() {
        run.author = author;
    }
    let message = convert::commit_message(commit);
    if message.is_some() {
        run.message = message;
    }
}

/// What failed, in one line: `e2e: script failure`, `lint, e2e and 2 more failed`. Of a pipeline that passed: what was
/// allowed to.
pub(crate) fn failure(tries: &[&wire::Job]) -> Option<String> {
    let of = |wanted| tries.iter().copied().filter(|j| convert::job_status(j) == wanted).collect::<Vec<_>>();
    let mut failed = of(Status::Failed);
    if failed.is_empty() {
        failed = of(Status::Warning);
    }
    let name = |job: &&wire::Job| convert::job_name(job);
    match failed.as_slice() {
        [] => None,
        [one] => {
            let reason = convert::job_failure(one).unwrap_or_else(|| "failed".to_owned());
            Some(format!("{}: {reason}", name(one)))
        }
        [a, b] => Some(format!("{} and {} failed", name(a), name(b))),
        many => {
            let names: Vec<_> = many.iter().take(NAMED_JOBS).map(name).collect();
            Some(format!("{} and {} more failed", names.join(", "), many.len() - NAMED_JOBS))
        }
    }
}

/// The time that is covered by at least one period: how GitLab itself counts a pipeline's duration.
fn covered(mut periods: Vec<(Timestamp, Timestamp)>) -> Option<Duration> {
    periods.sort_unstable();
    let mut until = periods.first()?.0;
    let mut sum = Duration::ZERO;
    for (from, to) in periods {
        sum = sum.saturating_add(between(from.max(until), to));
        until = until.max(to);
    }
    Some(sum)
}

/// Adds to a run what all of its jobs tell. Whether that is all, and agrees with the run: a pipeline that moved between
/// two answers has jobs that are ahead of it, and those say nothing about the state that the run reports.
pub(crate) fn enrich(run: &mut Pipeline, jobs: &[&wire::Job]) -> bool {
    let tries = newest_tries(jobs.iter().copied());
    tell_commit(run, &tries);
    let told = jobs.iter().filter_map(|j| j.pipeline.as_ref()?.status.as_deref());
    if told.into_iter().any(|word| word != run.native_status) {
        return false;
    }
    let states = || tries.iter().map(|j| convert::job_status(j));
    let passed_but_failed = run.status.is_green() && states().any(|s| s == Status::Failed);
    if passed_but_failed || (run.status.is_terminal() && states().any(Status::is_active)) {
        return false;
    }
    if run.started_at.is_none() && run.status != Status::Queued {
        run.started_at = tries.iter().filter_map(|j| j.started_at).min();
    }
    if run.queued.is_none() {
        run.queued = run.created_at.zip(run.started_at).map(|(from, to)| between(from, to));
    }
    if !status::has_ended(run.status) {
        return true;
    }
    if run.finished_at.is_none() {
        run.finished_at = tries.iter().filter_map(|j| j.finished_at).max();
    }
    if run.finished_at.is_none() && run.status != Status::Skipped {
        return false;
    }
    if run.duration.is_none() {
        run.duration = covered(tries.iter().filter_map(|j| j.started_at.zip(j.finished_at)).collect());
    }
    if run.status == Status::Success && states().any(|s| s == Status::Warning) {
        run.status = Status::Warning;
    }
    if matches!(run.status, Status::Failed | Status::Warning) && run.failure.is_none() {
        run.failure = failure(&tries);
    }
    true
}

#[cfg(test)]
mod tests {
    use domain::RunId;
    use serde_json::{Value, json};

    use super::*;

    fn jobs(rows: Value) -> Vec<wire::Job> {
        serde_json::from_value(rows).unwrap()
    }

    fn run(word: &str) -> Pipeline {
        Pipeline::new(RunId::from(7), status::pipeline(word, None), word)
    }

    #[test]
    fn stages_keep_their_order_when_the_first_one_ran_again() {
        let all = jobs(json!([
            { "id": 9, "name": "build", "stage": "build" },
            { "id": 5, "name": "notify", "stage": ".post" },
            { "id": 4, "name": "deploy", "stage": "deploy" },
            { "id": 3, "name": "unit", "stage": "test" },
            { "id": 2, "name": "lint", "stage": "test" },
            { "id": 1, "name": "build", "stage": "build" },
            { "id": 6, "name": "prepare", "stage": ".pre" },
        ]));
        let order: Vec<_> = in_stage_order(&all).iter().map(|j| (j.id, convert::job_name(j))).collect();
        let expected = [(6, "prepare"), (9, "build"), (2, "lint"), (3, "unit"), (4, "deploy"), (5, "notify")];
        assert_eq!(order, expected.map(|(id, name)| (id, name.to_owned())));
    }

    #[test]
    fn what_failed_is_said_in_one_line() {
        let failed = |id: u64, name: &str, allowed: bool| json!({ "id": id, "name": name, "status": "failed", "failure_reason": "script_failure", "allow_failure": allowed });
        let said = |rows: Value| failure(&newest_tries(&jobs(rows)));
        assert_eq!(said(json!([{ "id": 1, "name": "a", "status": "success" }])), None);
        assert_eq!(said(json!([failed(1, "unit-tests", false)])).unwrap(), "unit-tests: script failure");
        assert_eq!(
            said(json!([failed(1, "unit-tests", false), failed(2, "audit", true)])).unwrap(),
            "unit-tests: script failure",
            "what may fail is not why it failed"
        );
        assert_eq!(said(json!([failed(1, "audit", true)])).unwrap(), "audit: script failure");
        assert_eq!(said(json!([failed(1, "a", false), failed(2, "b", false)])).unwrap(), "a and b failed");
        assert_eq!(
            said(json!([failed(1, "unit-tests", false), failed(2, "e2e", false), failed(3, "c", false)]))
                .unwrap(),
            "unit-tests, e2e and 1 more failed"
        );
        assert_eq!(said(json!([{ "id": 1, "name": "a", "status": "failed" }])).unwrap(), "a: failed");
        assert_eq!(
            said(json!([failed(1, "a", false), { "id": 2, "name": "a", "status": "success" }])),
            None,
            "a newer try counts"
        );
    }

    #[test]
    fn duration_is_the_time_that_something_worked() {
        let at = |s: &str| format!("2026-11-20T10:{s}Z");
        let all = jobs(json!([
            { "id": 1, "name": "a", "status": "success", "started_at": at("00:10"), "finished_at": at("01:00") },
            { "id": 2, "name": "b", "status": "success", "started_at": at("00:30"), "finished_at": at("02:00") },
            { "id": 3, "name": "c", "status": "success", "started_at": at("20:00"), "finished_at": at("20:05") },
            { "id": 4, "name": "d", "status": "success", "started_at": at("20:09"), "finished_at": at("20:08") },
            { "id": 5, "name": "e", "status": "skipped" },
        ]));
        let mut run = run("success");
        run.created_at = Some("2026-11-20T10:00:00Z".parse().unwrap());
        assert!(enrich(&mut run, &all.iter().collect::<Vec<_>>()));
        assert_eq!(run.duration, Some(Duration::from_secs(110 + 5)));
        assert_eq!(run.queued, Some(Duration::from_secs(10)));
        assert_eq!(run.finished_at, Some(at("20:08").parse().unwrap()));
        assert_eq!(run.status, Status::Success);
    }

    #[test]
    fn a_pipeline_that_runs_again_has_no_end() {
        let all = jobs(json!([
            { "id": 1, "name": "a", "status": "success", "started_at": "2026-11-20T10:00:00Z", "finished_at": "2026-11-20T10:01:00Z" },
            { "id": 3, "name": "b", "status": "running", "started_at": "2026-11-20T11:00:00Z" },
        ]));
        let mut run = run("running");
        assert!(enrich(&mut run, &all.iter().collect::<Vec<_>>()));
        assert_eq!((run.finished_at, run.duration, run.failure), (None, None, None));
        assert!(run.started_at.is_some());
    }

    #[test]
    fn jobs_that_are_ahead_of_their_pipeline_do_not_speak_for_it() {
        let ahead = jobs(
            json!([{ "id": 1, "name": "a", "status": "failed", "pipeline": { "id": 7, "status": "failed" } }]),
        );
        assert!(!enrich(&mut run("running"), &ahead.iter().collect::<Vec<_>>()));
        let again = jobs(json!([{ "id": 1, "name": "a", "status": "pending" }]));
        let mut failed = run("failed");
        assert!(!enrich(&mut failed, &again.iter().collect::<Vec<_>>()));
        assert_eq!(failed.failure, None);
    }
}

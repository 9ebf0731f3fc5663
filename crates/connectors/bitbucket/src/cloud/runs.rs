//! Pipelines of Cloud, their steps, and the steps' logs.

use std::borrow::Cow;
use std::collections::HashSet;

use config::LogAccess;
use connector::{Error, PipelineDetail, PipelineQuery, Pipelines, Result};
use domain::{Job, JobId, Log, Pipeline, Problem, ProblemKind, Project, RunId, Status, text};
use url::Url;

use super::{Cloud, Listed, convert, status, wire};

pub(super) const RUNS: &str = "GET /repositories/:workspace/:repo_slug/pipelines";
pub(super) const ONE: &str = "GET /repositories/:workspace/:repo_slug/pipelines/:uuid";
const STEPS: &str = "GET /repositories/:workspace/:repo_slug/pipelines/:uuid/steps";
const STEP: &str = "GET /repositories/:workspace/:repo_slug/pipelines/:uuid/steps/:uuid";
const LOG: &str = "GET /repositories/:workspace/:repo_slug/pipelines/:uuid/steps/:uuid/log";
/// The most pages of one list that are read in one question.
const MAX_PAGES: usize = 50;
/// Pages of one pipeline's steps: Cloud allows 100 steps.
const MAX_STEP_PAGES: usize = 3;
/// Runs of a branch among which its newest is looked for.
pub(super) const RUNS_OF_A_BRANCH: &str = "30";

/// Cloud gives uuids in braces and wants them so; people and links also have them bare. A build number stays.
pub(crate) fn braced(id: &str) -> Cow<'_, str> {
    if id.starts_with('{') || id.bytes().all(|b| b.is_ascii_digit()) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(format!("{{{id}}}"))
    }
}

impl Cloud {
    /// The first page of a repository's pipelines, newest first (left to itself Cloud gives the oldest first).
    pub(super) fn newest_runs(&self, project: &Project, branch: Option<&str>, pagelen: &str) -> Result<Url> {
        let fields = wire::of_list(&wire::PIPELINE);
        let mut query = vec![("sort", "-created_on"), ("pagelen", pagelen), ("fields", fields.as_str())];
        query.extend(branch.map(|b| ("target.branch", b)));
        self.below(project, &["pipelines"], &query)
    }

    pub(super) async fn runs(&self, url: Url) -> Result<Listed<wire::Pipeline>> {
        self.list(RUNS, url).await
    }

    /// Pipelines to the end of the list, to the limit, or to what was created before `since`.
    pub(crate) async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        let mut out = Pipelines::default();
        if query.limit == 0 {
            return Ok(out);
        }
        let pagelen = query.limit.min(100).to_string();
        let mut next = Some(self.newest_runs(project, query.branch.as_deref(), &pagelen)?);
        let mut seen = HashSet::new();
        let pages = query.max_pages(MAX_PAGES);
        for number in 0..=pages {
            let Some(url) = next else { break };
            if number == pages {
                let text = format!("pipelines: truncated after {pages} pages");
                out.problems.push(Problem::new(ProblemKind::Partial, text));
                break;
            }
            let listed = match self.runs(url).await {
                Ok(listed) => listed,
                Err(e) if number == 0 => return Err(e),
                Err(e) => {
                    out.problems.push(e.to_partial("older pipelines"));
                    break;
                }
            };
            if number == 0 {
                out.total = listed.size;
            }
            out.problems.extend(listed.values.problem("pipelines"));
            next = listed.next()?;
            let rows = listed.values.items.iter().map(|row| convert::run(project, row));
            let (before, mut too_old) = (seen.len(), false);
            for run in rows {
                // Pages shift while new pipelines come: a row may come twice.
                if !seen.insert(run.id.clone()) {
                    continue;
                }
                let is_old = matches!((query.since, run.created_at), (Some(since), Some(at)) if at < since);
                too_old |= is_old;
                let of_branch = query.branch.is_none() || run.branch == query.branch;
                if !is_old && of_branch && !query.is_beyond(&run) {
                    out.items.push(run);
                }
            }
            // A page that brings nothing new is the end, whatever it links to.
            if too_old || out.items.len() >= query.limit || seen.len() == before {
                break;
            }
        }
        out.items.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        out.items.truncate(query.limit);
        Ok(out)
    }

    pub(crate) async fn latest(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        let listed = self.runs(self.newest_runs(project, Some(branch), RUNS_OF_A_BRANCH)?).await?;
        let runs = listed.values.items.iter().map(|row| convert::run(project, row));
        Ok(runs.filter(|run| run.branch.as_deref() == Some(branch)).max_by_key(Pipeline::age_key))
    }

    /// The steps of a pipeline, and what of them is missing.
    pub(super) async fn steps(
        &self,
        project: &Project,
        run: &str,
    ) -> Result<(Vec<wire::Step>, Vec<Problem>)> {
        let fields = wire::of_list(&wire::STEP);
        let query = [("pagelen", super::PAGELEN), ("fields", fields.as_str())];
        let mut next = Some(self.below(project, &["pipelines", &braced(run), "steps"], &query)?);
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for number in 0..MAX_STEP_PAGES {
            let Some(url) = next.take() else { break };
            match self.list::<wire::Step>(STEPS, url).await {
                Ok(listed) => {
                    problems.extend(listed.values.problem("steps"));
                    next = listed.next()?;
                    all.extend(listed.values.items);
                }
                Err(e) if number == 0 => return Err(e),
                Err(e) => problems.push(e.to_partial("further steps")),
            }
        }
        if next.is_some() {
            problems.push(Problem::new(
                ProblemKind::Partial,
                format!("only the first {} steps were read", all.len()),
            ));
        }
        Ok((all, problems))
    }

    /// A pipeline with its steps.
    ///
    /// # Errors
    /// What asking for the pipeline gave. Steps that cannot be read are a problem.
    pub(crate) async fn detail(&self, project: &Project, id: &RunId) -> Result<PipelineDetail> {
        let fields = wire::of_one(&wire::PIPELINE);
        let url = self.below(project, &["pipelines", &braced(id.as_str())], &[("fields", &fields)])?;
        let run = async { self.get(ONE, url).await?.json::<wire::Pipeline>() };
        let (run, steps) = futures::join!(run, self.steps(project, id.as_str()));
        let mut pipeline = convert::run(project, &run?);
        let (jobs, problems) = match steps {
            Ok((rows, problems)) => {
                let number = pipeline.number;
                let step = |(at, row)| convert::step(project, number, at, row);
                let mut jobs: Vec<Job> = rows.iter().enumerate().map(step).collect();
                if problems.is_empty() {
                    convert::enrich(&mut pipeline, &mut jobs);
                }
                (jobs, problems)
            }
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => (Vec::new(), vec![e.to_partial("steps")]),
        };
        Ok(PipelineDetail { pipeline, jobs, problems })
    }

    /// The end of a step's log. Cloud answers 404 for one that is not written yet and for one that never will be: the step
    /// tells which.
    pub(crate) async fn log(
        &self,
        project: &Project,
        run: &RunId,
        job: &JobId,
        max_bytes: usize,
    ) -> Result<Log> {
        let note = |text: &str| Ok(Log { note: Some(text.to_owned()), ..Log::default() });
        if self.logs == LogAccess::None {
            return note("logs are switched off for this source (`logs: none`)");
        }
        let (run, job) = (braced(run.as_str()), braced(job.as_str()));
        let path = ["pipelines", &run, "steps", &job, "log"];
        let missing = match self.client.get_tail(LOG, self.below(project, &path, &[])?, max_bytes).await {
            Ok(tail) => return Ok(log_of(&tail.bytes, tail.truncated)),
            Err(e @ Error::NotFound(_)) => e,
            Err(e) => return Err(e),
        };
        let url = self.below(project, &path[..4], &[("fields", "uuid,state,trigger")])?;
        let row: wire::Step = match self.get(STEP, url).await {
            Ok(response) => response.json()?,
            Err(Error::NotFound(_)) => return Err(missing),
            Err(e) => return Err(e),
        };
        match status::of_step(&row).0 {
            Status::Queued | Status::Running | Status::Manual => note("no log yet"),
            Status::Skipped => note("no log: the step never ran"),
            _ => note("no log on the platform"),
        }
    }
}

/// A log's end: text as it is, cut at a line.
fn log_of(bytes: &[u8], truncated: bool) -> Log {
    let whole = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) if truncated && end + 1 < bytes.len() => &bytes[end + 1..],
        _ => bytes,
    };
    let read = String::from_utf8_lossy(whole);
    // What was written over stands as it was at its end.
    let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    let text = read.lines().map(last).collect::<Vec<_>>().join("\n");
    let note = text.trim().is_empty().then(|| "the log is empty".to_owned());
    Log { text: if note.is_some() { String::new() } else { text }, truncated, note }
}

/// Whether two commits are the same, of which either may be cut short: pull requests have the first 12 digits.
pub(super) fn same_commit(a: &str, b: &str) -> bool {
    /// Fewer digits may be those of several commits.
    const FEWEST: usize = 7;
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= FEWEST && long.starts_with(short)
}

/// A title that names a branch in a problem.
pub(super) fn shown(branch: &str) -> String {
    text::line(branch, text::MAX_TITLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_braced_once() {
        assert_eq!(braced("{a-b}"), "{a-b}");
        assert_eq!(braced("a-b"), "{a-b}");
        assert_eq!(braced("17"), "17");
    }

    #[test]
    fn logs_are_cut_at_a_line() {
        let log = log_of(b"half a li\n+ make\r\n10%\r50%\r100%\n\xff end\n", true);
        assert_eq!((log.text.as_str(), log.truncated), ("+ make\n100%\n\u{fffd} end", true));
        assert_eq!(log_of(b"one\ntwo", false).text, "one\ntwo");
        assert_eq!(log_of(b" \n", false).note.as_deref(), Some("the log is empty"));
        assert_eq!(log_of(b"endless", true).text, "endless");
    }

    #[test]
    fn commits_are_compared_by_what_is_known() {
        assert!(same_commit("bf0e8b7962c0", "bf0e8b7962c024026ad01ae09d3a11732e26c0d4"));
        assert!(!same_commit("bf0e8b7962c1", "bf0e8b7962c024026ad01ae09d3a11732e26c0d4"));
        assert!(!same_commit("bf0", "bf0e8b7962c0") && !same_commit("", "bf0e8b7962c0"));
    }
}

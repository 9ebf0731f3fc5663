//! The state of a repository of Cloud: its newest pipelines in one request, its default branch when it may have moved, and
//! why what is red is red.

use std::collections::{HashMap, HashSet};

use connector::{Error, Heads, HeadsAsk, Result};
use domain::{Branch, Completeness, Pipeline, Problem, ProblemKind, ProjectKey, RunId, Status};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::runs::{RUNS_OF_A_BRANCH, shown};
use super::{Cloud, PAGELEN, convert};

/// Repositories that are asked about at the same time.
const PROJECTS_AT_ONCE: usize = 8;
/// Failed pipelines of one repository whose steps are read in one refresh.
const DETAILS_PER_REFRESH: usize = 4;
/// Branches that are asked for by themselves, because their runs are older than the newest page.
const MAX_BRANCHES_ASKED: usize = 10;

impl Cloud {
    pub(crate) fn branch_heads(&self, asks: Vec<HeadsAsk>) -> BoxStream<'_, (ProjectKey, Result<Heads>)> {
        let one = move |ask: HeadsAsk| {
            Box::pin(async move {
                let heads = self.heads(&ask).await;
                (ask.project.key.clone(), heads)
            })
        };
        stream::iter(asks).map(one).buffer_unordered(PROJECTS_AT_ONCE).boxed()
    }

    async fn heads(&self, ask: &HeadsAsk) -> Result<Heads> {
        let project = &*ask.project;
        let mut out = Heads::default();
        let listed = match self.runs(self.newest_runs(project, None, PAGELEN)?).await {
            Ok(listed) => listed,
            // Pipelines are switched off, or the repository is not there.
            Err(Error::NotFound(why)) => return self.without_pipelines(ask, why).await,
            Err(e) => return Err(e),
        };
        if listed.values.items.is_empty() && listed.values.broken > 0 {
            let (broken, name) = (listed.values.broken, &project.name);
            return Err(Error::Garbage(format!(
                "Bitbucket Cloud: none of {broken} pipelines of {name} could be read"
            )));
        }
        out.total_runs = listed.size;
        out.problems.extend(listed.values.problem("pipelines"));
        let mut runs: Vec<Pipeline> =
            listed.values.items.iter().map(|row| convert::run(project, row)).collect();
        if listed.next.is_some() {
            self.older(ask, &mut runs, &mut out).await?;
        }
        let mut seen = HashSet::new();
        runs.retain(|run| seen.insert(run.id.clone()));
        let known: HashMap<&RunId, &Pipeline> = ask.known.iter().map(|k| (&k.id, &**k)).collect();
        for run in &mut runs {
            if let Some(known) = known.get(&run.id) {
                take_over(run, known);
            }
        }
        runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        self.head(ask, &runs, &mut out).await?;
        if let Some(head) = &out.default_branch {
            describe(&mut runs, head);
        }
        self.reasons(ask, &mut runs, &mut out).await;
        out.pipelines = runs;
        Ok(out)
    }

    async fn without_pipelines(&self, ask: &HeadsAsk, why: String) -> Result<Heads> {
        // A repository that a listing named a moment ago is there.
        if self.has_issues(&ask.project).is_none() {
            self.project(ask.project.key.id.as_str()).await.map_err(|e| match e {
                Error::NotFound(_) => Error::NotFound(why),
                e => e,
            })?;
        }
        let text = "Bitbucket Pipelines are switched off for this repository, or not for this token to see";
        let mut out = Heads { problems: vec![Problem::new(ProblemKind::NoCi, text)], ..Heads::default() };
        self.head(ask, &[], &mut out).await?;
        Ok(out)
    }

    /// Runs of the shown branches that the newest page does not reach. What is known of them still stands unless it was
    /// going on; a branch of which nothing is known is asked for at first sight only, since whatever ran later is new.
    async fn older(&self, ask: &HeadsAsk, runs: &mut Vec<Pipeline>, out: &mut Heads) -> Result<()> {
        let branches: HashSet<&str> =
            ask.project.default_branch.iter().chain(&ask.branches).map(String::as_str).collect();
        let mut asked = 0;
        for branch in branches {
            let is_of = |run: &Pipeline| run.branch.as_deref() == Some(branch);
            if runs.iter().any(is_of) {
                continue;
            }
            let known: Vec<&Pipeline> = ask.known.iter().map(|k| &**k).filter(|k| is_of(k)).collect();
            let moves = known.iter().any(|k| k.status.is_active());
            if (!known.is_empty() || !ask.known.is_empty()) && !moves {
                runs.extend(known.into_iter().cloned());
                continue;
            }
            if asked == MAX_BRANCHES_ASKED {
                let text = format!("pipelines of {}: not read, too many branches", shown(branch));
                out.problems.push(Problem::new(ProblemKind::Partial, text));
                continue;
            }
            asked += 1;
            match self.runs(self.newest_runs(&ask.project, Some(branch), RUNS_OF_A_BRANCH)?).await {
                Ok(listed) => {
                    let read = listed.values.items.iter().map(|row| convert::run(&ask.project, row));
                    runs.extend(read.filter(is_of));
                }
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) => out.problems.push(e.to_partial(&format!("pipelines of {}", shown(branch)))),
            }
        }
        Ok(())
    }

    /// The default branch by its name, when it may have moved since it was last read.
    async fn head(&self, ask: &HeadsAsk, runs: &[Pipeline], out: &mut Heads) -> Result<()> {
        let project = &*ask.project;
        let Some(name) = &project.default_branch else {
            out.problems.push(Problem::new(ProblemKind::Empty, "the repository is empty"));
            return Ok(());
        };
        if let Some((known, at)) = &ask.known_head
            && known.name == *name
            && *at == project.last_activity_at
            && !names_another_commit(ask, known, runs)
        {
            out.default_branch = Some(known.clone());
            return Ok(());
        }
        match self.branch(project, name).await {
            Ok(branch) => out.default_branch = Some(Branch { default: true, ..branch }),
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(e.to_partial(&format!("branch {}", shown(name)))),
        }
        Ok(())
    }

    /// Reads the steps of the failed pipelines that decide for a shown branch, once each.
    async fn reasons(&self, ask: &HeadsAsk, runs: &mut [Pipeline], out: &mut Heads) {
        let project = &*ask.project;
        let is_shown = |branch: &str| {
            project.default_branch.as_deref() == Some(branch) || ask.branches.iter().any(|b| b == branch)
        };
        let mut decided = HashSet::new();
        let mut left = DETAILS_PER_REFRESH;
        for run in runs {
            let Some(branch) = run.branch.clone().filter(|b| is_shown(b)) else { continue };
            let decides = run.status.is_verdict() && decided.insert((branch, run.workflow.lane.clone()));
            if !decides || run.status != Status::Failed || run.completeness == Completeness::Full || left == 0
            {
                continue;
            }
            left -= 1;
            match self.steps(project, run.id.as_str()).await {
                Ok((rows, missing)) => {
                    let step = |(at, row)| convert::step(project, run.number, at, row);
                    let mut steps = rows.iter().enumerate().map(step).collect::<Vec<_>>();
                    convert::enrich(run, &mut steps);
                    if missing.is_empty() {
                        out.jobs.tell(&run.id, steps);
                    }
                }
                // They are gone, or not for this token: that will not change.
                Err(Error::NotFound(_) | Error::Forbidden(_)) => run.completeness = Completeness::Full,
                Err(e) => {
                    out.problems.push(e.to_partial("steps of a failed pipeline"));
                    return;
                }
            }
        }
    }
}

/// What is known of a run's commit does not change; a run that has not moved since it was read in full keeps what its
/// steps told.
fn take_over(run: &mut Pipeline, known: &Pipeline) {
    if run.message.is_none() && known.message.is_some() {
        run.message.clone_from(&known.message);
        run.author = known.author.clone().or(run.author.take());
    }
    let unmoved = run.native_status == known.native_status
        && run.attempt == known.attempt
        && run.finished_at == known.finished_at;
    if !unmoved || known.completeness != Completeness::Full {
        return;
    }
    run.status = known.status;
    run.started_at = known.started_at;
    run.failure = known.failure.clone().or(run.failure.take());
    run.completeness = Completeness::Full;
}

/// Cloud's lists name a run's commit by its hash alone: what is known of the branch's newest commit is said of its runs.
fn describe(runs: &mut [Pipeline], head: &Branch) {
    for run in runs.iter_mut().filter(|run| run.sha.is_some() && run.sha == head.sha && run.message.is_none())
    {
        run.message.clone_from(&head.message);
        if head.author.is_some() {
            run.author.clone_from(&head.author);
        }
    }
}

/// Whether the newest run of the default branch is one that was not known, for another commit: pipelines do not move
/// `updated_on`, and a watched repository's is not read at each refresh.
fn names_another_commit(ask: &HeadsAsk, head: &Branch, runs: &[Pipeline]) -> bool {
    let newest = runs.iter().find(|run| {
        run.branch.as_deref() == Some(&*head.name)
            && run.sha.is_some()
            && run.event.as_deref() != Some("pull_request")
    });
    newest.is_some_and(|run| run.sha != head.sha && ask.known.iter().all(|known| known.id != run.id))
}

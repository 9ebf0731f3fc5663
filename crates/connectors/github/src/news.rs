//! What a question about many repositories tells of one of them, beside what is known.
//!
//! GraphQL has no list of a repository's runs, no attempts and no jobs, so a part is left to REST ([`Extent::Moved`]):
//!
//! | seen | then |
//! | --- | --- |
//! | nothing else than is known | nothing is asked |
//! | a new commit on a shown branch, a new run of it, a run in another state, a run that passed | told at once |
//! | a run that failed | told at once, its jobs are read by REST |
//! | a run that ended and was started over, or touched | read by REST |
//! | a push to another branch than those shown | read by REST, for a while: runs come a moment after it |
//! | a known run goes on on a commit that was not asked for | read by REST |
//! | more check suites than are asked for, and not the newest ones; a repository that it does not tell of | read by REST |
//!
//! What it cannot see: a run that nobody pushed for (started by hand or over again, for a fork's pull request) on what
//! is not the newest commit of a shown branch; whether a job that may fail did, in a run that passed; two pushes to two branches in
//! the same moment. That is found when the whole state is read, now and then ([`HeadsAsk::full`]), or when a webhook tells of
//! it.

use std::collections::{HashMap, HashSet};

use connector::wire::between;
use connector::{Extent, Heads, HeadsAsk};
use domain::{Branch, Completeness, Pipeline, RunId, Status, Timestamp, WebUrl, WhichWorkflows};
use jiff::SignedDuration;

use crate::batch::{Commit, Row, Run, Suite};
use crate::{convert, heads, status, wire};

/// How long after a push the runs that it starts may come into being.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(3);
/// A run that came into being so shortly before a push, by GitHub's own times, was started by it.
const STARTED_BY: SignedDuration = SignedDuration::from_secs(2);

/// What a repository's row comes to.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) heads: Heads,
    /// Those of its runs of which all is told but why they failed.
    pub(crate) unexplained: Vec<usize>,
}

/// What follows from a repository's row; from none, that it is to be read by REST.
pub(crate) fn of_row(ask: &HeadsAsk, row: Option<Row>, now: Timestamp) -> News {
    let Some(mut row) = row else {
        return News { heads: Heads { extent: Extent::Moved, ..Heads::default() }, ..News::default() };
    };
    let (pushed_at, open_merge_requests) = (row.pushed_at, row.pulls.as_ref().and_then(|pulls| pulls.total));
    let named = row.head.as_ref().and_then(|head| head.name.clone());
    let mut seen = Seen::new(ask);
    for (branch, commit) in row.commits(ask) {
        seen.commit(&commit);
        if let (Some(name), true) = (&named, branch == ask.project.default_branch.as_deref()) {
            seen.head(name, &commit, pushed_at);
        }
    }
    // Renamed; not to be seen; or no longer there. Of an empty repository REST names a branch that it does not have.
    seen.more |= match &named {
        Some(_) => named != ask.project.default_branch || seen.head_sha.is_none(),
        None => ask.known_head.is_some(),
    };
    seen.more |= seen.runs_elsewhere() || seen.is_settling(pushed_at, now);
    if seen.has_hole {
        seen.told.clear();
    }
    let nothing_known = ask.known_at.is_none() && ask.known.is_empty();
    seen.more |= nothing_known && seen.told.is_empty();
    let lacking = seen.lacks_reasons();
    // Of what was never read as a whole that is still to come.
    seen.more |= !lacking.is_empty() && ask.known_at.is_none();
    let mut unexplained = Vec::new();
    for run in lacking.into_iter().filter(|_| !seen.more) {
        let at = seen.told.iter().position(|told| told.id == run.id).unwrap_or(seen.told.len());
        if at == seen.told.len() {
            seen.told.push(run);
        }
        unexplained.push(at);
    }
    let pushed = pushed_at.filter(|at| Some(*at) > ask.project.last_activity_at);
    let heads = Heads {
        extent: if seen.more { Extent::Moved } else { Extent::News },
        last_activity_at: pushed,
        default_branch: seen.branch,
        pipelines: seen.told,
        open_merge_requests,
        ..Heads::default()
    };
    News { heads, unexplained }
}

struct Seen<'a> {
    ask: &'a HeadsAsk,
    known: HashMap<&'a RunId, &'a Pipeline>,
    ids: HashSet<RunId>,
    /// Runs that are new, or in another state.
    told: Vec<Pipeline>,
    head_sha: Option<String>,
    /// The default branch; `None`: what is known of it stands.
    branch: Option<Branch>,
    /// There is more than can be told.
    more: bool,
    /// … of one commit, so that what is told would leave a hole among its runs.
    has_hole: bool,
}

impl<'a> Seen<'a> {
    fn new(ask: &'a HeadsAsk) -> Self {
        let known = ask.known.iter().map(|run| (&run.id, &**run)).collect();
        Self {
            ask,
            known,
            ids: HashSet::new(),
            told: Vec::new(),
            head_sha: None,
            branch: None,
            more: false,
            has_hole: false,
        }
    }

    /// The runs of a commit.
    fn commit(&mut self, commit: &Commit) {
        let Some(suites) = &commit.suites else { return };
        for suite in suites.nodes.iter().flatten() {
            let Some(run) = &suite.run else { continue };
            let Some(number) = run.id() else {
                self.more = true;
                continue;
            };
            let id = RunId::from(number);
            if !self.ids.insert(id.clone()) {
                continue;
            }
            match self.known.get(&id) {
                Some(known) => match step(known, suite, run) {
                    Step::None => {}
                    Step::To(run) => self.told.push(*run),
                    Step::Unclear => self.more = true,
                },
                None if self.is_past(suite, number) => {}
                None => match new_run(commit, suite, run, number) {
                    Some(run) => self.told.push(run),
                    None => self.more = true,
                },
            }
        }
        // In which order they come is not said: what is not among the last has to be older than what is known.
        let all = suites.total.is_some_and(|total| total <= suites.nodes.len() as u64);
        let mut of_commit = self.ask.known.iter().filter(|run| run.sha == commit.oid);
        self.has_hole |= !all && of_commit.next().is_none_or(|newest| !self.ids.contains(&newest.id));
        self.more |= self.has_hole;
    }

    /// Whether a run is further back than what is known of its branch, and of no concern.
    fn is_past(&self, suite: &Suite, number: u64) -> bool {
        let branch = suite.branch.as_ref().and_then(|branch| branch.name.as_deref());
        let of_branch = self.ask.known.iter().filter(|run| run.branch.as_deref() == branch);
        let oldest = of_branch.filter_map(|run| run.id.as_str().parse::<u64>().ok()).min();
        oldest.is_some_and(|oldest| number < oldest)
    }

    /// The default branch's newest commit, in an answer that knows of pushes until then.
    fn head(&mut self, name: &str, commit: &Commit, pushed_at: Option<Timestamp>) {
        self.head_sha.clone_from(&commit.oid);
        let known = self.ask.known_head.as_ref().map(|(branch, _)| branch).filter(|known| known.name == name);
        if commit.oid.is_none() {
            return;
        }
        if let Some(known) = known.filter(|known| known.sha == commit.oid) {
            // Pushed was elsewhere: it is known as of then, and not read again. A copy that lags knows less.
            if pushed_at >= self.ask.project.last_activity_at {
                self.branch = Some(known.clone());
            }
            return;
        }
        let signature = signature(commit);
        let git = wire::GitCommit {
            message: commit.message.clone(),
            author: signature.clone(),
            committer: signature,
        };
        let row = wire::Branch {
            name: name.to_owned(),
            protected: known.and_then(|known| known.protected),
            commit: Some(wire::BranchCommit { sha: commit.oid.clone(), commit: Some(git), author: None }),
        };
        let mut branch = Branch { default: true, ..convert::branch(&self.ask.project, row) };
        if let (Some(person), Some(author)) = (&mut branch.author, &commit.author) {
            person.avatar_url = author.avatar_url.as_deref().and_then(WebUrl::parse);
        }
        self.branch = Some(branch);
    }

    /// Whether a known run goes on that no commit told of. One that waits for somebody on a fork's branch may wait for ever.
    fn runs_elsewhere(&self) -> bool {
        let shown = heads::shown(self.ask);
        let is_shown = |run: &Pipeline| run.branch.as_deref().is_some_and(|branch| shown.contains(branch));
        let goes_on =
            |run: &Pipeline| run.status.is_active() || (run.status == Status::Manual && is_shown(run));
        self.ask.known.iter().any(|run| goes_on(run) && !self.ids.contains(&run.id))
    }

    /// Whether a push was made a moment ago whose runs are not seen yet.
    fn is_settling(&self, pushed_at: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(at) = pushed_at.filter(|at| now.duration_since(*at) < SETTLES_WITHIN) else { return false };
        let since = at.saturating_sub(STARTED_BY).unwrap_or(at);
        let known = self.ask.known.iter().map(|run| &**run);
        !known.chain(&self.told).any(|run| run.created_at.is_some_and(|created| created >= since))
    }

    /// What decides for a shown branch and failed, of which it is still to be read why.
    fn lacks_reasons(&self) -> Vec<Pipeline> {
        let told: HashSet<&RunId> = self.told.iter().map(|run| &run.id).collect();
        let known = self.ask.known.iter().map(|run| &**run).filter(|run| !told.contains(&run.id));
        let mut runs: Vec<&Pipeline> = known.chain(&self.told).collect();
        runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        let workflows: Option<&WhichWorkflows> = self.ask.known_workflows.as_ref().map(|(which, _)| which);
        let shown = heads::shown(self.ask);
        heads::deciding(runs.into_iter(), &shown, workflows)
            .filter(|(_, run)| run.status == Status::Failed && run.completeness == Completeness::Row)
            .map(|(_, run)| run.clone())
            .collect()
    }
}

/// What became of a known run.
enum Step {
    None,
    To(Box<Pipeline>),
    /// REST tells.
    Unclear,
}

fn step(known: &Pipeline, suite: &Suite, run: &Run) -> Step {
    let (state, conclusion) = (lower(suite.status.as_deref()), lower(suite.conclusion.as_deref()));
    let native = status::native(state.as_deref(), conclusion.as_deref());
    if native == known.native_status && run.updated_at <= known.updated_at {
        return Step::None;
    }
    // What had ended was started over, or touched.
    if !known.status.is_active() {
        return Step::Unclear;
    }
    let status = status::status(state.as_deref(), conclusion.as_deref());
    // What waits for somebody's approval has not ended, though GitHub calls it completed.
    let ended = state.as_deref() == Some("completed") && status != Status::Manual;
    let finished_at = run.updated_at.filter(|_| ended);
    let span = known.started_at.or(known.created_at).zip(finished_at);
    Step::To(Box::new(Pipeline {
        status,
        native_status: native,
        updated_at: run.updated_at.max(known.updated_at),
        finished_at,
        duration: span.map(|(from, to)| between(from, to)),
        ..known.clone()
    }))
}

/// A run that was not known, in the form in which REST tells of it. `None`: of a fork, or of a branch that is gone.
fn new_run(commit: &Commit, suite: &Suite, run: &Run, id: u64) -> Option<Pipeline> {
    let branch = suite.branch.as_ref()?.name.clone()?;
    let here = Some(wire::RepositoryRef { id: Some(1), owner: None });
    Some(convert::run(&wire::Run {
        id,
        name: run.workflow.as_ref().and_then(|workflow| workflow.name.clone()),
        path: None,
        display_title: None,
        workflow_id: run.workflow.as_ref().and_then(|workflow| workflow.database_id),
        run_number: run.run_number,
        run_attempt: None,
        event: run.event.clone(),
        status: lower(suite.status.as_deref()),
        conclusion: lower(suite.conclusion.as_deref()),
        head_branch: Some(branch),
        head_sha: commit.oid.clone(),
        created_at: run.created_at,
        updated_at: run.updated_at,
        run_started_at: None,
        html_url: run.url.clone(),
        actor: None,
        triggering_actor: None,
        head_commit: Some(wire::HeadCommit { message: commit.message.clone(), author: signature(commit) }),
        repository: here.clone(),
        head_repository: here,
    }))
}

fn signature(commit: &Commit) -> Option<wire::Signature> {
    let name = commit.author.as_ref()?.name.clone();
    Some(wire::Signature { name, email: None, date: commit.committed_at })
}

fn lower(word: Option<&str>) -> Option<String> {
    word.map(str::to_ascii_lowercase)
}

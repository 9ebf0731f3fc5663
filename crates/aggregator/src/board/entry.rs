//! One project on the board.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use connector::{Extent, Heads, HeadsAsk};
use domain::{
    Branch, Pipeline, Problem, ProblemKind, Project, Rollup, RunId, Status, Timestamp, WhichWorkflows,
    roll_up, stats,
};
use jiff::SignedDuration;

use super::Rules;

/// How many runs of a project the board holds, whatever their branch.
pub const MAX_RUNS: usize = Heads::MAX_RUNS;
/// Beyond those, how many more of each shown branch, so that its strip is full.
const MAX_RUNS_OF_BRANCH: usize = stats::STRIP_RUNS;
/// A run that a webhook told of may be missing from the platform's list for so long: lists are made from copies that lag.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// Without any sign of life for this long, a project folds away.
pub const QUIET_AFTER: SignedDuration = SignedDuration::from_hours(180 * 24);

/// A branch that the overview shows, as computed from the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its two faces.
    pub rollup: Rollup,
    /// Its newest runs that count, newest first.
    pub runs: Vec<Arc<Pipeline>>,
    /// Median duration of the green ones.
    pub median: Option<Duration>,
    /// Share of green, 0 to 1, and of how many.
    pub share_green: Option<f64>,
    /// How many runs had a verdict.
    pub share_of: usize,
    /// When anything last happened to a run of it.
    pub last_change_at: Option<Timestamp>,
}

/// A project and what is known of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who it is.
    pub project: Arc<Project>,
    described_at: Timestamp,
    /// `None` until it was read for the first time.
    read_at: Option<Timestamp>,
    /// When the newest answer about its runs was asked for.
    asked_at: Option<Timestamp>,
    head: Option<(Branch, Option<Timestamp>)>,
    workflows: Option<(WhichWorkflows, Timestamp)>,
    runs: Vec<Arc<Pipeline>>,
    /// When webhooks told of runs that a list may not have yet.
    told: BTreeMap<RunId, Timestamp>,
    /// When its whole state was last asked for, and could be read.
    whole_at: Option<Timestamp>,
    total_runs: Option<u64>,
    problem: Option<Problem>,
    shown: Vec<Shown>,
}

impl Entry {
    pub(super) fn new(project: Project, problem: Option<Problem>, at: Timestamp) -> Self {
        Self {
            project: Arc::new(project),
            described_at: at,
            read_at: problem.as_ref().map(|_| at),
            asked_at: None,
            head: None,
            workflows: None,
            runs: Vec::new(),
            told: BTreeMap::new(),
            whole_at: None,
            total_runs: None,
            problem,
            shown: Vec::new(),
        }
    }

    /// When its whole state was last asked for, and could be read: since then there may be runs that nothing told of.
    #[must_use]
    pub const fn whole_at(&self) -> Option<Timestamp> {
        self.whole_at
    }

    /// When the listing last told of it, or a webhook that made the row.
    #[must_use]
    pub const fn described_at(&self) -> Timestamp {
        self.described_at
    }

    /// Whether it was never read.
    #[must_use]
    pub const fn is_loading(&self) -> bool {
        self.read_at.is_none()
    }

    /// When the answer that the row shows was asked for.
    #[must_use]
    pub const fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }

    /// Its runs, newest first.
    #[must_use]
    pub fn runs(&self) -> &[Arc<Pipeline>] {
        &self.runs
    }

    /// How many runs the platform has of it, as far as that is known; the board holds the newest of them. At least one
    /// more than these when it may have more and does not say how many.
    #[must_use]
    pub fn total_runs(&self) -> u64 {
        let held = self.runs.len() as u64;
        match self.total_runs {
            Some(total) => total.max(held),
            None if self.runs.len() >= MAX_RUNS || self.whole_at.is_none() => held + 1,
            None => held,
        }
    }

    /// Why it has no data, or not all.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// The branches that the overview shows, the default branch first.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// The default branch as last read.
    #[must_use]
    pub fn head(&self) -> Option<&Branch> {
        self.head.as_ref().map(|(branch, _)| branch)
    }

    /// The same, with the project's `last_activity_at` when it was read.
    pub(crate) const fn head_with_activity(&self) -> Option<&(Branch, Option<Timestamp>)> {
        self.head.as_ref()
    }

    /// Which workflows there were when last asked, and when that was.
    pub(crate) const fn workflows(&self) -> Option<&(WhichWorkflows, Timestamp)> {
        self.workflows.as_ref()
    }

    /// Whether a run of it is queued or running.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.runs.iter().any(|r| r.status.is_active())
    }

    /// The roll-up of any branch, shown or not.
    #[must_use]
    pub fn branch_state(&self, name: &str, rules: &Rules) -> Shown {
        self.show(name, rules)
    }

    /// The roll-up of a commit's runs; of a branch's where no commit is known.
    #[must_use]
    pub fn commit_state(&self, sha: Option<&str>, branch: &str, rules: &Rules) -> Shown {
        match sha {
            Some(sha) => {
                let of_commit =
                    self.runs.iter().filter(|r| r.sha.as_deref().is_some_and(|r| is_commit(r, sha)));
                self.sum_up(branch, of_commit.cloned().collect(), rules)
            }
            None => self.show(branch, rules),
        }
    }

    /// Why it folds away, if it does: `archived`, `no_ci` or `quiet`.
    #[must_use]
    pub fn folded(&self, now: Timestamp) -> Option<&'static str> {
        if self.project.archived {
            return Some("archived");
        }
        let no_ci = self.project.ci_disabled
            || matches!(&self.problem, Some(p) if matches!(p.kind, ProblemKind::NoCi | ProblemKind::Empty))
            || (!self.is_loading() && self.runs.is_empty() && self.readable());
        if no_ci {
            return Some("no_ci");
        }
        let newest = self.runs.iter().filter_map(|r| r.updated_at.or(r.began())).max();
        let last = newest.max(self.project.last_activity_at);
        let quiet = last.is_some_and(|last| now.duration_since(last) > QUIET_AFTER) && !self.is_active();
        quiet.then_some("quiet")
    }

    /// Whether what was read is the project's state, if perhaps not all of it.
    fn readable(&self) -> bool {
        self.problem
            .as_ref()
            .is_none_or(|p| matches!(p.kind, ProblemKind::Partial | ProblemKind::Empty | ProblemKind::NoCi))
    }

    pub(super) fn ask(&self, branches: Vec<String>) -> HeadsAsk {
        HeadsAsk {
            project: Arc::clone(&self.project),
            branches,
            known: self.runs.clone(),
            known_at: self.asked_at.and(self.read_at),
            known_head: self.head.clone(),
            known_workflows: self.workflows.clone(),
            counted_at: None,
            told: None,
            full: true,
        }
    }

    pub(super) fn describe(
        &mut self,
        project: Project,
        problem: Option<Problem>,
        rules: &Rules,
        asked_at: Timestamp,
    ) -> bool {
        if asked_at < self.described_at {
            return false;
        }
        self.described_at = asked_at;
        let mut changed = *self.project != project;
        if let Some(problem) = problem {
            changed |= self.problem.as_ref() != Some(&problem);
            self.problem = Some(problem);
            self.read_at = Some(asked_at);
        }
        if changed {
            self.project = Arc::new(project);
            self.compute(rules);
        }
        changed
    }

    pub(super) fn unreadable(&mut self, problem: Problem, asked_at: Timestamp) -> bool {
        if self.asked_at.is_some_and(|known| asked_at < known) {
            return false;
        }
        self.asked_at = Some(asked_at);
        let changed = self.problem.as_ref() != Some(&problem) || self.read_at.is_none();
        self.read_at.get_or_insert(asked_at);
        self.problem = Some(problem);
        changed
    }

    pub(super) fn observe(&mut self, heads: Heads, rules: &Rules, asked_at: Timestamp) -> bool {
        let before = (
            self.is_loading(),
            self.problem.clone(),
            self.head().cloned(),
            self.runs.clone(),
            self.shown.clone(),
        );
        let late = self.asked_at.is_some_and(|known| asked_at < known);
        let partial = heads.problems.iter().any(|p| p.kind == ProblemKind::Partial);
        let whole = heads.extent == Extent::Whole;
        if let Some(moved) = heads.last_activity_at
            && self.project.last_activity_at.is_none_or(|known| known < moved)
        {
            Arc::make_mut(&mut self.project).last_activity_at = Some(moved);
        }
        let moved = heads.extent == Extent::Moved;
        if let (true, None, Some((_, read_at))) = (moved, &heads.default_branch, &mut self.head) {
            // It may have moved, whatever the platform's time of its last activity says.
            *read_at = None;
        }
        let runs: Vec<_> = heads.pipelines.into_iter().map(Pipeline::bounded).collect();
        if !late && moved {
            // A part of what moved, and not an answer from which anything can be reckoned.
            if !runs.is_empty() {
                self.read_at.get_or_insert(asked_at);
            }
            if let Some(branch) = heads.default_branch {
                self.head = Some((branch.bounded(), self.project.last_activity_at));
            }
        } else if !late {
            self.asked_at = Some(asked_at);
            self.read_at = Some(asked_at);
            // News are what was read, and what else there was stands: a reason why it could not be read is over.
            let over = |p: &Problem| !is_of_content(p) || !runs.is_empty();
            if whole || self.problem.as_ref().is_some_and(over) || !heads.problems.is_empty() {
                self.problem = join(heads.problems);
            }
            if let Some(branch) = heads.default_branch {
                self.head = Some((branch.bounded(), self.project.last_activity_at));
            }
            if whole {
                self.whole_at = Some(asked_at);
                self.total_runs = heads.total_runs;
            }
            if let Some(workflows) = heads.workflows {
                self.workflows = Some((workflows, asked_at));
            }
            if !partial && whole {
                self.forget_deleted(&runs, asked_at);
            }
        }
        for run in runs {
            self.merge(run);
        }
        self.bound(rules);
        self.compute(rules);
        before
            != (
                self.is_loading(),
                self.problem.clone(),
                self.head().cloned(),
                self.runs.clone(),
                self.shown.clone(),
            )
    }

    pub(super) fn observe_run(&mut self, run: Pipeline, rules: &Rules) -> bool {
        let before = self.runs.clone();
        self.merge(run);
        if self.runs == before {
            return false;
        }
        self.bound(rules);
        self.compute(rules);
        true
    }

    /// A webhook's news: merges the runs, and makes a row of what nobody could find.
    pub(super) fn told(
        &mut self,
        project: Project,
        runs: Vec<Pipeline>,
        rules: &Rules,
        at: Timestamp,
    ) -> bool {
        let unfound = self.problem.as_ref().is_some_and(|p| p.kind == ProblemKind::NotFound);
        let before = (self.is_loading(), unfound, self.runs.clone());
        if unfound && self.runs.is_empty() {
            self.project = Arc::new(project);
            self.described_at = at;
            self.problem = None;
        }
        let unfound = self.problem.as_ref().is_some_and(|p| p.kind == ProblemKind::NotFound);
        if !runs.is_empty() {
            // There is something to show, whether or not the platform was ever asked.
            self.read_at.get_or_insert(at);
        }
        for run in runs.into_iter().take(MAX_RUNS) {
            self.told.insert(run.id.clone(), at);
            let overtaken = |known: &Arc<Pipeline>| known.id == run.id && run.is_overtaken_by(known);
            if !self.runs.iter().any(overtaken) {
                self.merge(run.bounded());
            }
        }
        while self.told.len() > MAX_RUNS {
            let oldest = self.told.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.map(|id| self.told.remove(&id));
        }
        self.bound(rules);
        if before == (self.is_loading(), unfound, self.runs.clone()) {
            return false;
        }
        self.compute(rules);
        true
    }

    /// What the newest page does not name although it reaches that far back is gone from the platform. What a webhook
    /// told after the page was asked for, or so shortly before that the page may not have it, is not.
    fn forget_deleted(&mut self, listed: &[Pipeline], asked_at: Timestamp) {
        self.told.retain(|_, told| asked_at.duration_since(*told) < LISTED_WITHIN);
        let there: HashSet<&RunId> = listed.iter().map(|r| &r.id).chain(self.told.keys()).collect();
        let mut began: Vec<_> = listed.iter().filter_map(Pipeline::began).collect();
        began.sort_unstable_by(|a, b| b.cmp(a));
        // Fewer than a page is all there is; else the newest page's worth has no holes.
        let since = if listed.len() < MAX_RUNS { None } else { began.get(MAX_RUNS - 1).copied() };
        self.runs.retain(|known| {
            there.contains(&known.id)
                || since.is_some_and(|since| known.began().is_none_or(|began| began <= since))
        });
    }

    fn merge(&mut self, run: Pipeline) {
        match self.runs.iter_mut().find(|known| known.id == run.id) {
            Some(known) if run.is_older_than(known) => {}
            Some(known) => *known = Arc::new(run.filled_from(known)),
            None => self.runs.push(Arc::new(run)),
        }
    }

    /// Newest first, and no more than is of use.
    fn bound(&mut self, rules: &Rules) {
        self.runs.sort_by_cached_key(|r| std::cmp::Reverse(r.age_key()));
        if self.runs.len() <= MAX_RUNS {
            return;
        }
        let shown = self.shown_names(rules);
        let mut of_branch: BTreeMap<&str, usize> = BTreeMap::new();
        let mut keep = Vec::with_capacity(self.runs.len());
        for (index, run) in self.runs.iter().enumerate() {
            let name = run.branch.as_deref().unwrap_or_default();
            let count = of_branch.entry(name).or_default();
            *count += 1;
            keep.push(index < MAX_RUNS || (*count <= MAX_RUNS_OF_BRANCH && shown.iter().any(|s| s == name)));
        }
        let mut keep = keep.into_iter();
        self.runs.retain(|_| keep.next().unwrap_or(false));
    }

    fn shown_names(&self, rules: &Rules) -> Vec<String> {
        let default = self.project.default_branch.as_deref().or_else(|| self.branchless());
        if rules.branches.is_empty() {
            return default.map(str::to_owned).into_iter().collect();
        }
        let mut names: Vec<String> = Vec::new();
        for name in default.into_iter().chain(self.runs.iter().filter_map(|r| r.branch.as_deref())) {
            if rules.branches.lets_in(name) && !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// A job of a platform without repositories has runs but no branch: they are shown as those of one without a name.
    fn branchless(&self) -> Option<&'static str> {
        self.runs.iter().any(|r| r.branch.is_none()).then_some("")
    }

    fn compute(&mut self, rules: &Rules) {
        self.shown = self.shown_names(rules).iter().map(|name| self.show(name, rules)).collect();
    }

    fn show(&self, name: &str, rules: &Rules) -> Shown {
        let of_branch = self.runs.iter().filter(|r| r.branch.as_deref().unwrap_or_default() == name);
        self.sum_up(name, of_branch.cloned().collect(), rules)
    }

    /// What these of its runs, newest first, come to.
    fn sum_up(&self, name: &str, runs: Vec<Arc<Pipeline>>, rules: &Rules) -> Shown {
        let all = WhichWorkflows::Unknown;
        let workflows = self.workflows.as_ref().map_or(&all, |(w, _)| w);
        let rollup = roll_up(runs.iter().map(AsRef::as_ref), &rules.narrowing, workflows);
        let counted: Vec<_> = runs
            .into_iter()
            .filter(|r| {
                rules.narrowing.workflows.lets_in(r.workflow.name.as_deref().unwrap_or_default())
                    && rules.narrowing.events.lets_in(r.event.as_deref().unwrap_or_default())
            })
            .collect();
        let last_change_at = counted.iter().filter_map(|r| changed_at(r)).max();
        let recent: Vec<_> = counted.into_iter().take(MAX_RUNS).collect();
        let strip = || recent.iter().take(stats::STRIP_RUNS).map(AsRef::as_ref);
        Shown {
            name: name.to_owned(),
            median: stats::median_duration(strip()),
            share_green: stats::share_green(strip()),
            share_of: strip().filter(|r| r.status.is_verdict()).count(),
            last_change_at,
            rollup,
            runs: recent,
        }
    }
}

/// Whether it tells of what the project holds, and not of an answer that did not come.
const fn is_of_content(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::NoCi | ProblemKind::Empty | ProblemKind::Partial)
}

/// How much of a hash names a commit: no platform shortens further.
const SHORTEST_SHA: usize = 7;

/// Whether both name one commit. Some platforms shorten the hash in one place and not in the other.
fn is_commit(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    short == long || (short.len() >= SHORTEST_SHA && long.starts_with(short))
}

/// When this run last did something worth telling. A platform touches a finished run later too (approval, log deletion):
/// that is no news.
fn changed_at(run: &Pipeline) -> Option<Timestamp> {
    match run.status {
        Status::Queued => run.began(),
        Status::Running => run.started_at.or(run.began()),
        _ => run.finished_at.or(run.updated_at).or(run.started_at).or(run.began()),
    }
}

/// Several reasons on one row: the gravest speaks, its kind is the row's; of the same kind all do.
fn join(mut problems: Vec<Problem>) -> Option<Problem> {
    let gravest = problems.iter().map(|p| p.kind).max()?;
    problems.retain(|p| p.kind == gravest);
    problems.dedup();
    Some(Problem::new(gravest, problems.iter().map(|p| p.text.as_str()).collect::<Vec<_>>().join("; ")))
}

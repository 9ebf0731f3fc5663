//! How the world's projects are jobs: folders by the names of their groups, and in them a multibranch job (its branches and
//! pull requests below it), a pipeline or a freestyle job. Which of them a project is depends on its id alone.

use std::collections::{BTreeMap, BTreeSet};

use super::FACE;
use crate::access::Caller;
use crate::http::encode;
use crate::world::{Pipeline, Project, RunStatus, Shape, Trigger, World};

/// Groups that are organization folders: all in them are multibranch jobs.
const ORGANIZATIONS: [&str; 3] = ["search", "security", "growth"];

/// What sort of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `hudson.model.FreeStyleProject`: runs of the default branch, no stages.
    Freestyle,
    /// `…workflow.job.WorkflowJob`: runs of the default branch, with stages and a parameter.
    Pipeline,
    /// `…WorkflowMultiBranchProject`: a child for every branch and open pull request.
    Multibranch,
}

/// How projects become jobs. The first segment of the path prefix under which Jenkins is asked chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As in a grown company: of every kind, by the project's id. Single jobs build the default branch.
    Mixed,
    /// `/all-multibranch`: each is a multibranch job.
    Multibranch,
    /// `/all-single`: each is a single pipeline that builds every branch.
    Single,
}

impl View {
    pub(super) fn of_prefix(prefix: &str) -> Self {
        match prefix.split('/').find(|part| !part.is_empty()) {
            Some("all-multibranch") => Self::Multibranch,
            Some("all-single") => Self::Single,
            _ => Self::Mixed,
        }
    }

    fn kind(self, project: &Project) -> Kind {
        match self {
            Self::Mixed => kind(project),
            Self::Multibranch => Kind::Multibranch,
            Self::Single => Kind::Pipeline,
        }
    }
}

/// What sort of job a project is shown as in the mixed view.
#[must_use]
pub fn kind(project: &Project) -> Kind {
    if ORGANIZATIONS.contains(&project.namespace.as_str()) {
        return Kind::Multibranch;
    }
    match project.native_id / 7 % 4 {
        0 | 2 => Kind::Multibranch,
        1 => Kind::Pipeline,
        // Only a pipeline can wait for somebody.
        _ if project.shape == Shape::Waiting => Kind::Pipeline,
        _ => Kind::Freestyle,
    }
}

/// A child of a multibranch job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its name as Jenkins keeps it: percent-encoded.
    pub name: String,
    /// The branch, or the pull request's number.
    pub of: ChildOf,
    /// What it was built from is gone: switched off until somebody cleans up.
    pub gone: bool,
}

/// What a child is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildOf {
    /// A branch of this name.
    Branch(String),
    /// A pull request of this number.
    PullRequest(u32),
}

/// Which child a run is of.
#[must_use]
pub fn child_of(run: &Pipeline) -> ChildOf {
    match run.trigger {
        Trigger::MergeRequest(number) => ChildOf::PullRequest(number),
        _ => ChildOf::Branch(run.branch.to_string()),
    }
}

impl ChildOf {
    /// The child's name as Jenkins keeps it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Branch(name) => encode(name),
            Self::PullRequest(number) => format!("PR-{number}"),
        }
    }
}

/// The children of a multibranch job in the order of their names: branches, open pull requests, and what has builds
/// although it is gone.
#[must_use]
pub fn children(project: &Project) -> Vec<Child> {
    let history = project.history();
    let branches = history.branches.iter().map(|b| ChildOf::Branch(b.name.to_string()));
    let open = history.merge_requests.iter().filter(|mr| mr.open).map(|mr| ChildOf::PullRequest(mr.number));
    let mut all: BTreeMap<String, Child> = BTreeMap::new();
    let of_runs = project.pipelines().iter().map(child_of).map(|of| (of, true));
    for (of, gone) in branches.chain(open).map(|of| (of, false)).chain(of_runs) {
        let name = of.name();
        all.entry(name.clone()).or_insert(Child { name, of, gone });
    }
    all.into_values().collect()
}

/// One job that has builds: a project, or a child of one.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) project: &'a Project,
    pub(super) child: Option<Child>,
    pub(super) kind: Kind,
    /// Whether it builds every branch.
    pub(super) all_branches: bool,
}

impl<'a> Job<'a> {
    /// `job/group/job/name/`.
    pub(super) fn path(&self) -> String {
        let child = self.child.as_ref().map(|c| format!("job/{}/", encode(&c.name))).unwrap_or_default();
        format!("{}{child}", folder_path(&self.project.full_path()))
    }

    pub(super) fn name(&self) -> &str {
        self.child.as_ref().map_or(&self.project.path, |c| &c.name)
    }

    pub(super) fn full_name(&self) -> String {
        let child = self.child.as_ref().map(|c| format!("/{}", c.name)).unwrap_or_default();
        format!("{}{child}", self.project.full_path())
    }

    pub(super) fn is_pipeline(&self) -> bool {
        self.kind != Kind::Freestyle
    }

    /// A pipeline of its own has a parameter.
    pub(super) fn is_parameterized(&self) -> bool {
        self.kind == Kind::Pipeline
    }

    pub(super) fn is_disabled(&self) -> bool {
        matches!(self.project.shape, Shape::CiDisabled | Shape::Archived)
            || self.child.as_ref().is_some_and(|child| child.gone)
    }

    fn owns(&self, run: &Pipeline) -> bool {
        match &self.child {
            Some(child) => child_of(run) == child.of,
            None if self.all_branches => true,
            None => {
                !matches!(run.trigger, Trigger::MergeRequest(_))
                    && Some(&run.branch) == self.project.default_branch.as_ref()
            }
        }
    }

    /// Its runs, newest first: what waits and what was built.
    pub(super) fn runs(&self) -> impl Iterator<Item = &'a Pipeline> + '_ {
        self.project.pipelines().iter().rev().filter(|run| self.owns(run))
    }

    /// What waits in the queue: no build yet, so newer than all builds.
    pub(super) fn queued(&self) -> Option<&'a Pipeline> {
        self.runs().next().filter(|run| waits(run))
    }

    /// Its builds, newest first.
    pub(super) fn builds(&self) -> impl Iterator<Item = &'a Pipeline> + '_ {
        let queued = self.queued().map(|run| run.id);
        self.runs().filter(move |run| Some(run.id) != queued)
    }

    pub(super) fn build(&self, number: u32) -> Option<&'a Pipeline> {
        self.builds().find(|run| run.number == number)
    }
}

fn waits(run: &Pipeline) -> bool {
    matches!(run.status, RunStatus::Created | RunStatus::Queued)
}

/// `job/a/job/b/` of `a/b`.
pub(super) fn folder_path(full_name: &str) -> String {
    full_name
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| format!("job/{}/", encode(part)))
        .collect()
}

/// What a full name is.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Folder(String),
    Multibranch(&'a Project),
    Job(Job<'a>),
}

/// The items of a folder (of the root: the empty name) that a caller sees, in the order of their names.
pub(super) fn items<'a>(world: &'a World, caller: &Caller, view: View, folder: &str) -> Vec<Found<'a>> {
    let mut folders = BTreeSet::new();
    let mut found: Vec<(String, Found<'a>)> = Vec::new();
    for project in world.projects_of(FACE).filter(|p| caller.sees(p)) {
        let full = project.full_path();
        let below = if folder.is_empty() {
            Some(full.as_str())
        } else {
            full.strip_prefix(folder).and_then(|r| r.strip_prefix('/'))
        };
        let Some(below) = below else { continue };
        match below.split_once('/') {
            None => found.push((below.to_owned(), of(view, project))),
            Some((name, _)) => drop(folders.insert(name.to_owned())),
        }
    }
    let join = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    found.extend(folders.into_iter().map(|name| (name.clone(), Found::Folder(join(&name)))));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, item)| item).collect()
}

fn of(view: View, project: &Project) -> Found<'_> {
    match view.kind(project) {
        Kind::Multibranch => Found::Multibranch(project),
        kind => Found::Job(Job { project, child: None, kind, all_branches: view == View::Single }),
    }
}

/// A child as a job.
pub(super) fn child(project: &Project, child: Child) -> Job<'_> {
    Job { project, child: Some(child), kind: Kind::Multibranch, all_branches: false }
}

/// What this full name is, if the caller sees it.
pub(super) fn find<'a>(world: &'a World, caller: &Caller, view: View, full_name: &str) -> Option<Found<'a>> {
    let seen = |path: &str| world.find(FACE, path).filter(|p| caller.sees(p) && p.full_path() == path);
    if let Some(project) = seen(full_name) {
        return Some(of(view, project));
    }
    if let Some((parent, name)) = full_name.rsplit_once('/')
        && let Some(project) = seen(parent).filter(|p| view.kind(p) == Kind::Multibranch)
    {
        let found = children(project).into_iter().find(|child| child.name == name)?;
        return Some(Found::Job(child(project, found)));
    }
    let inside = format!("{full_name}/");
    let is_folder = world.projects_of(FACE).any(|p| caller.sees(p) && p.full_path().starts_with(&inside));
    is_folder.then(|| Found::Folder(full_name.to_owned()))
}

/// The class of a folder.
pub(super) fn folder_class(full_name: &str) -> &'static str {
    if ORGANIZATIONS.contains(&full_name) {
        "jenkins.branch.OrganizationFolder"
    } else {
        "com.cloudbees.hudson.plugins.folder.Folder"
    }
}

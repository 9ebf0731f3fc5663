//! How the world's projects are jobs: folders by the names of their groups, and in them a multibranch job (its branches and
//! pull requests below it), a pipeline or a freestyle job. Which of them a project is depends on its id alone.

use std::collections::BTreeSet;

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

/// What sort of job a project is shown as.
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
}

/// What a child is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildOf {
    /// A branch of this name.
    Branch(String),
    /// A pull request of this number.
    PullRequest(u32),
}

/// The children of a multibranch job: branches and open pull requests, in the order of their names.
#[must_use]
pub fn children(project: &Project) -> Vec<Child> {
    if matches!(project.shape, Shape::NoCi) {
        return Vec::new();
    }
    let history = project.history();
    let branch =
        |b: &crate::world::Branch| Child { name: encode(&b.name), of: ChildOf::Branch(b.name.to_string()) };
    let open = history.merge_requests.iter().filter(|mr| mr.open);
    let mut children: Vec<Child> = history.branches.iter().map(branch).collect();
    children.extend(
        open.map(|mr| Child { name: format!("PR-{}", mr.number), of: ChildOf::PullRequest(mr.number) }),
    );
    children.sort_by(|a, b| a.name.cmp(&b.name));
    children
}

/// One job that has builds: a project, or a child of one.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) project: &'a Project,
    pub(super) child: Option<Child>,
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
        self.child.is_some() || kind(self.project) == Kind::Pipeline
    }

    fn owns(&self, run: &Pipeline) -> bool {
        let request = match run.trigger {
            Trigger::MergeRequest(number) => Some(number),
            _ => None,
        };
        match self.child.as_ref().map(|c| &c.of) {
            Some(ChildOf::PullRequest(number)) => request == Some(*number),
            Some(ChildOf::Branch(name)) => request.is_none() && *run.branch == **name,
            None => request.is_none() && Some(&run.branch) == self.project.default_branch.as_ref(),
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
pub(super) fn items<'a>(world: &'a World, caller: &Caller, folder: &str) -> Vec<Found<'a>> {
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
            None => found.push((below.to_owned(), of(project))),
            Some((name, _)) => drop(folders.insert(name.to_owned())),
        }
    }
    let join = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    found.extend(folders.into_iter().map(|name| (name.clone(), Found::Folder(join(&name)))));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, item)| item).collect()
}

fn of(project: &Project) -> Found<'_> {
    match kind(project) {
        Kind::Multibranch => Found::Multibranch(project),
        _ => Found::Job(Job { project, child: None }),
    }
}

/// What this full name is, if the caller sees it.
pub(super) fn find<'a>(world: &'a World, caller: &Caller, full_name: &str) -> Option<Found<'a>> {
    let seen = |path: &str| world.find(FACE, path).filter(|p| caller.sees(p) && p.full_path() == path);
    if let Some(project) = seen(full_name) {
        return Some(of(project));
    }
    if let Some((parent, name)) = full_name.rsplit_once('/')
        && let Some(project) = seen(parent).filter(|p| kind(p) == Kind::Multibranch)
    {
        let child = children(project).into_iter().find(|child| child.name == name)?;
        return Some(Found::Job(Job { project, child: Some(child) }));
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

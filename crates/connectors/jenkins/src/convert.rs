//! From Jenkins' objects to ours.

use std::time::Duration;

use domain::{
    Branch, Completeness, NativeId, Pipeline, Project, ProjectKey, SourceName, Status, Timestamp, WebUrl,
    Workflow,
};
use url::Url;

use crate::wire::{Build, Item, Kind};
use crate::{PLATFORM_ID, base, cause, status};

/// The job that builds are of.
#[derive(Debug, Clone)]
pub(crate) struct Of<'a> {
    /// Its project's id, which is the full name.
    pub(crate) project: &'a str,
    /// Which child of a multibranch job, as stored.
    pub(crate) child: Option<&'a str>,
    /// Jenkins' root, for links that it does not tell.
    pub(crate) root: &'a Url,
    /// The present.
    pub(crate) now: Timestamp,
}

impl Of<'_> {
    /// Its branch, where it has one.
    pub(crate) fn branch(&self) -> Option<String> {
        self.child.map(base::display)
    }

    fn link(&self, number: u64) -> Option<WebUrl> {
        let full =
            self.child.map_or_else(|| self.project.to_owned(), |child| base::join(self.project, child));
        page(self.root, &format!("{}{number}/", base::page(&full)))
    }
}

/// A page below Jenkins' root.
pub(crate) fn page(root: &Url, path: &str) -> Option<WebUrl> {
    WebUrl::parse(&format!("{}/{path}", root.as_str().trim_end_matches('/')))
}

/// The told link, else the one that it would have.
fn link(told: Option<&str>, made: impl FnOnce() -> Option<WebUrl>) -> Option<WebUrl> {
    told.and_then(WebUrl::parse).or_else(made)
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn after(at: Timestamp, time: Duration) -> Option<Timestamp> {
    at.checked_add(time).ok()
}

/// A build as a row: what the listing tells of it. `None` without a number.
pub(crate) fn row(build: &Build, of: &Of<'_>) -> Option<Pipeline> {
    let number = build.number?;
    let (status, word) = status::build(build, of.now);
    let running = status == Status::Running;
    // 0 while it runs, and after a crash.
    let duration = build.duration.filter(|d| *d > 0 && !running).map(millis);
    let finished_at = build.timestamp.zip(duration).and_then(|(at, d)| after(at, d));
    Some(Pipeline {
        number: Some(number),
        workflow: Workflow::default(),
        branch: of.branch(),
        created_at: build.timestamp,
        started_at: build.timestamp,
        finished_at: finished_at.or(build.timestamp.filter(|_| !running && status != Status::Unknown)),
        updated_at: finished_at.or(build.timestamp),
        duration,
        expected: build.estimated_duration.filter(|d| *d > 0 && running).map(millis),
        url: link(build.url.as_deref(), || of.link(number)),
        ..Pipeline::new(base::run_id(of.child, number), status, word)
    })
}

/// A build with all that was asked of it.
pub(crate) fn build(build: &Build, of: &Of<'_>) -> Option<Pipeline> {
    let mut run = row(build, of)?;
    let job = base::display(of.project.rsplit('/').next().unwrap_or(of.project));
    run.sha = cause::revision(build, &job, run.branch.as_deref());
    let change = cause::change(build, run.sha.as_deref());
    run.author = cause::author(build, change);
    // A title that somebody gave it; by itself it is called by its number.
    let title = build.display_name.clone().filter(|name| !name.starts_with('#'));
    run.message = change.and_then(|c| c.msg.clone()).or(title);
    run.event = cause::event(build, of.child.is_some_and(base::is_change_request));
    let queued = build.actions.items.iter().find_map(|a| a.queuing_duration_millis).map(millis);
    run.queued = queued;
    if let (Some(at), Some(queued)) = (build.timestamp, queued) {
        run.created_at = at.checked_sub(queued).ok().or(run.created_at);
    }
    if run.status.is_terminal() && run.status != Status::Failed {
        // Nothing more is to be learnt; a red one may have a reason.
        run.completeness = Completeness::Full;
    }
    Some(run)
}

/// What waits in the queue, under the number that it will have.
pub(crate) fn queued(item: &Item, of: &Of<'_>) -> Option<Pipeline> {
    let number = item.next_build_number.filter(|_| item.in_queue == Some(true))?;
    let last = item.newest().and_then(|b| b.number).unwrap_or(0);
    let since = item.queue_item.as_ref().and_then(|q| q.in_queue_since);
    (number > last).then(|| Pipeline {
        number: Some(number),
        branch: of.branch(),
        created_at: since,
        updated_at: since,
        url: item.url.as_deref().and_then(WebUrl::parse),
        ..Pipeline::new(base::run_id(of.child, number), Status::Queued, status::QUEUED)
    })
}

/// The runs that the state of one job tells: what waits, the newest ones, and the newest that has ended. The newest may be
/// told whole.
pub(crate) fn state(item: &Item, of: &Of<'_>) -> Vec<Pipeline> {
    let mut runs: Vec<Pipeline> = queued(item, of).into_iter().collect();
    let newest = item.newest().into_iter().chain(&item.builds.items);
    for build in newest.chain(&item.last_completed_build) {
        let known = |run: &Pipeline| run.number == build.number;
        if !runs.iter().any(known) {
            runs.extend(self::build(build, of));
        }
    }
    runs
}

/// A job as a project. `full_name` is its id.
pub(crate) fn project(source: &SourceName, root: &Url, full_name: &str, item: &Item) -> Project {
    let key = ProjectKey::new(source.clone(), NativeId::new(full_name));
    let name = full_name.split('/').map(base::display).collect::<Vec<_>>().join("/");
    let multibranch = item.kind() == Kind::Multibranch;
    Project {
        url: link(item.url.as_deref(), || page(root, &base::page(full_name))),
        default_branch: default_child(item)
            .filter(|_| multibranch)
            .and_then(|i| i.name.as_deref())
            .map(base::display),
        ci_disabled: item.is_disabled(),
        last_activity_at: last_activity(item),
        ..Project::named(key, PLATFORM_ID, name)
    }
}

/// When anything last happened: the start of its newest build, or that build's end.
fn last_activity(item: &Item) -> Option<Timestamp> {
    let own = item.newest().and_then(|b| {
        let at = b.timestamp?;
        after(at, millis(b.duration.unwrap_or(0))).or(Some(at))
    });
    item.jobs.iter().flat_map(|jobs| &jobs.items).filter_map(last_activity).max().max(own)
}

/// Names that default branches have, likeliest first, for sources that do not tell which is the primary one.
const USUAL: [&str; 4] = ["main", "master", "trunk", "develop"];

/// The default branch of a multibranch job: the primary one if that is told, else by its usual name, else the most
/// recently built one. A pull request is never it, and a branch that is gone only when there is no other.
pub(crate) fn default_child(item: &Item) -> Option<&Item> {
    let is_branch = |i: &&Item| i.name.as_deref().is_some_and(|n| !base::is_change_request(n));
    let all: Vec<&Item> = item.jobs.iter().flat_map(|jobs| &jobs.items).filter(is_branch).collect();
    let alive: Vec<&Item> = all.iter().copied().filter(|i| !i.is_disabled()).collect();
    likeliest(&alive).or_else(|| likeliest(&all))
}

fn likeliest<'a>(there: &[&'a Item]) -> Option<&'a Item> {
    let built = |i: &&Item| i.newest().and_then(|b| b.timestamp);
    let all = || there.iter().copied();
    all()
        .find(|i| i.is_primary())
        .or_else(|| USUAL.iter().find_map(|name| all().find(|i| i.name.as_deref() == Some(*name))))
        .or_else(|| all().filter(|i| built(i).is_some()).max_by_key(built))
        .or_else(|| all().next())
}

/// A child of a multibranch job as a branch.
pub(crate) fn branch(project: &Project, root: &Url, item: &Item, now: Timestamp) -> Option<Branch> {
    let name = item.name.as_deref()?;
    let of = Of { project: project.key.id.as_str(), child: Some(name), root, now };
    let newest = item.newest().and_then(|b| build(b, &of));
    let mut branch = Branch::named(base::display(name));
    branch.default = project.default_branch.as_deref() == Some(&*branch.name);
    branch.url = link(item.url.as_deref(), || page(root, &base::page(&base::join(of.project, name))));
    Some(match newest {
        Some(run) => with_commit(branch, &run),
        None => branch,
    })
}

/// A branch with the commit of a run. Jenkins knows no time of commits but of those that are new in a build.
pub(crate) fn with_commit(branch: Branch, run: &Pipeline) -> Branch {
    Branch { sha: run.sha.clone(), author: run.author.clone(), message: run.message.clone(), ..branch }
}

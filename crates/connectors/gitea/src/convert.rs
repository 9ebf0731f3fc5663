//! From Gitea's objects to ours.

use connector::wire::between;
use connector::{Issue, MergeRequest, MergeRequestState};
use domain::{
    Branch, Completeness, Job, JobId, NativeId, Person, Pipeline, Project, ProjectKey, RunId, SourceName,
    Status, Visibility, WebUrl, Workflow, encode_segment,
};

use crate::status::{self, Words};
use crate::{PLATFORM_ID, wire};

/// Stands for the owner of a fork that is gone, or not told.
const UNKNOWN_OWNER: &str = "unknown";
/// Titles that make a pull request a draft, in capitals, where the server does not say so itself.
const DRAFT_PREFIXES: [&str; 2] = ["WIP:", "[WIP]"];
/// The failed jobs that are named before the rest is only counted.
const NAMED_JOBS: usize = 2;

pub(crate) fn link(url: Option<&str>) -> Option<WebUrl> {
    url.and_then(WebUrl::parse)
}

pub(crate) fn text(text: Option<&str>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty()).map(str::to_owned)
}

/// A repository. Its key is the current full name.
pub(crate) fn project(source: &SourceName, row: &wire::Repository) -> Project {
    let key = ProjectKey::new(source.clone(), NativeId::new(&row.full_name));
    let avatar = link(row.avatar_url.as_deref());
    Project {
        visibility: match (row.private, row.internal) {
            (Some(true), _) => Some(Visibility::Private),
            (_, Some(true)) => Some(Visibility::Internal),
            (Some(false), _) => Some(Visibility::Public),
            (None, _) => None,
        },
        description: text(row.description.as_deref()),
        avatar_url: avatar.or_else(|| link(row.owner.as_ref().and_then(|o| o.avatar_url.as_deref()))),
        url: link(row.html_url.as_deref()),
        // Of an empty repository Gitea names the branch that it would get.
        default_branch: text(row.default_branch.as_deref()).filter(|_| row.empty != Some(true)),
        archived: row.archived.unwrap_or(false),
        // Without Actions there may be commit statuses.
        ci_disabled: false,
        last_activity_at: row.updated_at,
        ..Project::named(key, PLATFORM_ID, row.full_name.clone())
    }
}

/// An account, by the name that it shows.
pub(crate) fn account(account: &wire::Account) -> Option<Person> {
    let login = text(account.login.as_deref());
    let name = text(account.full_name.as_deref()).or_else(|| login.clone())?;
    Some(Person { name, login, avatar_url: link(account.avatar_url.as_deref()) })
}

/// Which words a run's object speaks: Forgejo's counts within its repository under another name, and has no conclusion.
const fn words_of(run: &wire::Run) -> Words {
    let forgejo = run.index_in_repo.is_some() || run.prettyref.is_some() || run.commit_sha.is_some();
    if forgejo && run.conclusion.is_none() { Words::Native } else { Words::Pair }
}

/// The workflow's file, and the ref it was read from.
fn file_and_ref(run: &wire::Run) -> (Option<&str>, Option<&str>) {
    match (run.workflow_id.as_deref(), run.path.as_deref()) {
        (Some(file), _) => (Some(file), None),
        (None, Some(path)) => match path.split_once('@') {
            Some((file, at)) => (Some(file), Some(at)),
            None => (Some(path), None),
        },
        (None, None) => (None, None),
    }
}

/// The lane of a workflow's file: its name, however it is written.
pub(crate) fn lane(file: Option<&str>) -> String {
    file.and_then(|f| f.rsplit('/').next()).unwrap_or_default().to_owned()
}

/// The branch, tag or pull request of a run. A fork's branch is `owner:branch`, so that its `main` never passes for ours;
/// a pull request of which the branch is not told is `#3`.
fn branch_of(run: &wire::Run) -> Option<String> {
    let of_pull = event(run).is_some_and(|e| e.starts_with("pull_request"));
    let at = file_and_ref(run).1;
    if of_pull {
        let pull = run.pull_requests.iter().flatten().next();
        if let Some(branch) = pull.and_then(|p| end_branch(p.head.as_ref()?, p.base.as_ref())) {
            return Some(branch);
        }
        if let Some(number) = at.and_then(|at| at.strip_prefix("refs/pull/")?.split('/').next()) {
            return Some(format!("#{number}"));
        }
    }
    let named =
        text(run.head_branch.as_deref()).or_else(|| text(run.prettyref.as_deref())).or_else(|| {
            let at = at?;
            let bare = ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| at.strip_prefix(prefix));
            text(Some(bare.unwrap_or(at)))
        })?;
    // A pull request's run at a branch of ours ran for the target, not for what is to come in.
    let plain = of_pull && !named.starts_with('#');
    Some(if plain { format!("{UNKNOWN_OWNER}:{named}") } else { named })
}

fn event(run: &wire::Run) -> Option<&str> {
    run.event.as_deref().or(run.trigger_event.as_deref())
}

/// The branch of a pull request's head, with its owner when it is a fork's.
fn end_branch(head: &wire::End, base: Option<&wire::End>) -> Option<String> {
    let branch = text(head.branch.as_deref());
    // Once the branch is gone the ref is `refs/pull/3/head`, but the label is still its name.
    let branch = branch.filter(|b| !b.starts_with("refs/")).or_else(|| text(head.label.as_deref()))?;
    let id = |end: &wire::End| end.repo.as_ref().and_then(|r| r.id).or(end.repo_id);
    let home = base.and_then(id);
    if home.is_none() || id(head) == home {
        return Some(branch);
    }
    let repo = head.repo.as_ref();
    let by_url = repo.and_then(|r| r.url.as_deref()?.split("/repos/").nth(1)?.split('/').next());
    let login = repo.and_then(|r| r.owner.as_ref()?.login.as_deref());
    Some(format!("{}:{branch}", login.or(by_url).unwrap_or(UNKNOWN_OWNER)))
}

/// A run. What only its jobs tell is added by [`explain`].
pub(crate) fn run(row: &wire::Run) -> Pipeline {
    let words = words_of(row);
    let mut status = status::status(words, row.status.as_deref(), row.conclusion.as_deref());
    if row.need_approval == Some(true) && status == Status::Queued {
        status = Status::Manual;
    }
    let started_at = row.started_at.or(row.started);
    let finished_at = row.completed_at.or(row.stopped).filter(|_| status::is_final(status));
    let created_at = row.created_at.or(row.created);
    let file = file_and_ref(row).0;
    Pipeline {
        number: row.run_number.or(row.index_in_repo),
        attempt: row.run_attempt.filter(|a| *a > 0).and_then(|a| u32::try_from(a).ok()),
        workflow: Workflow { lane: lane(file), name: None },
        branch: branch_of(row),
        sha: text(row.head_sha.as_deref()).or_else(|| text(row.commit_sha.as_deref())),
        event: text(event(row)),
        author: [&row.trigger_user, &row.actor].into_iter().flatten().find_map(account),
        message: text(row.display_title.as_deref()).or_else(|| text(row.title.as_deref())),
        created_at,
        started_at,
        finished_at,
        // Before Gitea told it, a run was last touched when it ended or began.
        updated_at: row.updated_at.or(row.updated).or(finished_at).or(started_at),
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        queued: created_at.zip(started_at).map(|(from, to)| between(from, to)),
        url: link(row.html_url.as_deref()),
        ..Pipeline::new(
            RunId::from(row.id),
            status,
            status::native(row.status.as_deref(), row.conclusion.as_deref()),
        )
    }
}

/// A job. A `waiting` job waits for others, unless its whole run waits for approval.
pub(crate) fn job(row: &wire::Job, words: Words, run: Status) -> Job {
    let mut status = status::status(words, row.status.as_deref(), row.conclusion.as_deref());
    if status == Status::Manual && run != Status::Manual {
        status = Status::Queued;
    }
    let started_at = row.started_at;
    let finished_at = row.completed_at.filter(|_| status::is_final(status));
    Job {
        failure_reason: reason(row, words, status),
        created_at: row.created_at,
        started_at,
        finished_at,
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        queued: row.created_at.zip(started_at).map(|(from, to)| between(from, to)),
        url: link(row.html_url.as_deref()),
        ..Job::new(
            JobId::from(row.id),
            row.name.clone().unwrap_or_else(|| format!("job {}", row.id)),
            status,
            status::native(row.status.as_deref(), row.conclusion.as_deref()),
        )
    }
}

/// Why a job failed: its first step that did.
fn reason(row: &wire::Job, words: Words, status: Status) -> Option<String> {
    if status != Status::Failed {
        return None;
    }
    let steps = row.steps.as_deref().unwrap_or_default();
    let failed = |step: &wire::Step| {
        status::status(words, step.status.as_deref(), step.conclusion.as_deref()) == Status::Failed
    };
    // Gitea 1.25 tells of each step how its job is.
    if steps.len() > 1 && steps.iter().all(failed) {
        return None;
    }
    let name = text(steps.iter().find(|s| failed(s))?.name.as_deref())?;
    Some(format!("step \"{name}\" failed"))
}

/// What failed of a whole, in one line: `e2e: step "cargo test" failed`, `lint, e2e and 2 more failed`.
pub(crate) fn explain(jobs: &[Job]) -> Option<String> {
    let failed: Vec<&Job> = jobs.iter().filter(|j| j.status == Status::Failed).collect();
    match failed.as_slice() {
        [] => None,
        [one] => Some(format!("{}: {}", one.name, one.failure_reason.as_deref().unwrap_or("failed"))),
        [a, b] => Some(format!("{} and {} failed", a.name, b.name)),
        [named @ .., _] => {
            let names: Vec<_> = named.iter().take(NAMED_JOBS).map(|j| j.name.as_str()).collect();
            Some(format!("{} and {} more failed", names.join(", "), failed.len() - NAMED_JOBS))
        }
    }
}

/// Adds to a run what its jobs tell. It is known in full after that.
pub(crate) fn enrich(run: &mut Pipeline, jobs: &[Job]) {
    run.completeness = Completeness::Full;
    // The jobs of a later attempt were made later than their run.
    if run.created_at.is_none() && run.attempt.is_none_or(|a| a == 1) {
        run.created_at = jobs.iter().filter_map(|j| j.created_at).min();
    }
    if run.status == Status::Failed {
        run.failure = explain(jobs).or(run.failure.take());
    }
}

/// A branch.
pub(crate) fn branch(project: &Project, row: &wire::Branch) -> Branch {
    let commit = row.commit.as_ref();
    let author = commit.and_then(|c| c.author.as_ref()).and_then(|a| {
        let login = text(a.username.as_deref());
        let name = text(a.name.as_deref()).or_else(|| login.clone())?;
        Some(Person { name, login, avatar_url: None })
    });
    let path: Vec<_> = row.name.split('/').map(encode_segment).collect();
    Branch {
        default: project.default_branch.as_deref() == Some(&*row.name),
        protected: row.protected,
        sha: commit.and_then(|c| text(c.id.as_deref())),
        author,
        message: commit.and_then(|c| text(c.message.as_deref())),
        committed_at: commit.and_then(|c| c.timestamp),
        url: project
            .url
            .as_ref()
            .and_then(|page| WebUrl::parse(&format!("{page}/src/branch/{}", path.join("/")))),
        ..Branch::named(row.name.clone())
    }
}

fn labels(labels: Option<Vec<wire::Label>>) -> Vec<String> {
    labels.unwrap_or_default().into_iter().filter_map(|l| l.name).collect()
}

fn people(accounts: Option<&Vec<wire::Account>>) -> Vec<Person> {
    accounts.into_iter().flatten().filter_map(account).collect()
}

/// A pull request. From a fork its branch is `owner:branch`.
pub(crate) fn pull(row: wire::Pull) -> MergeRequest {
    let title = row.title.unwrap_or_default();
    let beginning = title.trim_start().to_uppercase();
    let is_draft = DRAFT_PREFIXES.iter().any(|prefix| beginning.starts_with(prefix));
    MergeRequest {
        id: row.id.to_string(),
        number: row.number,
        draft: row.draft.unwrap_or(false) || is_draft,
        title,
        state: match (row.merged, row.state.as_deref()) {
            (Some(true), _) => MergeRequestState::Merged,
            (_, Some("closed")) => MergeRequestState::Closed,
            _ => MergeRequestState::Open,
        },
        author: row.user.as_ref().and_then(account),
        reviewers: people(row.requested_reviewers.as_ref()),
        labels: labels(row.labels),
        source_branch: row.head.as_ref().and_then(|h| end_branch(h, row.base.as_ref())).unwrap_or_default(),
        target_branch: row.base.and_then(|b| b.branch).unwrap_or_default(),
        sha: row.head.and_then(|h| text(h.sha.as_deref())),
        // The list does not tell.
        head_status: None,
        mergeable: row.mergeable,
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.html_url.as_deref()),
    }
}

/// An issue; `None` for a pull request among them.
pub(crate) fn issue(row: wire::Issue) -> Option<Issue> {
    row.pull_request.is_none().then(|| Issue {
        id: row.id.to_string(),
        number: row.number,
        title: row.title.unwrap_or_default(),
        open: row.state.as_deref() != Some("closed"),
        author: row.user.as_ref().and_then(account),
        assignees: people(row.assignees.as_ref()),
        labels: labels(row.labels),
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.html_url.as_deref()),
    })
}

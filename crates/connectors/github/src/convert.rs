//! From GitHub's objects to ours.

use connector::wire::between;
use connector::{Issue, MergeRequest, MergeRequestState};
use domain::{
    Branch, Completeness, Job, JobId, NativeId, Person, Pipeline, Project, ProjectKey, RunId, SourceName,
    Status, Visibility, WebUrl, Workflow, encode_segment,
};

use crate::{PLATFORM_ID, details, status, wire};

/// Where the repository's own workflow files are. A run whose workflow is elsewhere (`dynamic/…`, or an organization's
/// required workflow) is of none that the list of workflows has to name.
const OWN_WORKFLOWS: &str = ".github/workflows/";

fn link(url: Option<&str>) -> Option<WebUrl> {
    url.and_then(WebUrl::parse)
}

fn text(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

/// A repository. Its key is the current full name.
pub(crate) fn project(source: &SourceName, row: wire::Repository) -> Project {
    let key = ProjectKey::new(source.clone(), NativeId::new(&row.full_name));
    Project {
        visibility: row.visibility.as_deref().and_then(Visibility::from_word).or(match row.private {
            Some(true) => Some(Visibility::Private),
            Some(false) => Some(Visibility::Public),
            None => None,
        }),
        description: text(row.description),
        avatar_url: link(row.owner.as_ref().and_then(|o| o.avatar_url.as_deref())),
        url: link(row.html_url.as_deref()),
        default_branch: text(row.default_branch),
        archived: row.archived.unwrap_or(false),
        ci_disabled: row.disabled.unwrap_or(false),
        last_activity_at: row.pushed_at.or(row.updated_at),
        ..Project::named(key, PLATFORM_ID, row.full_name)
    }
}

/// An account, by the name that it shows.
pub(crate) fn account(account: &wire::Account) -> Option<Person> {
    let login = text(account.login.clone());
    let name = text(account.name.clone()).or_else(|| login.clone())?;
    Some(Person { name, login, avatar_url: link(account.avatar_url.as_deref()) })
}

/// Who wrote a commit: git's name, and the account where GitHub knows that it is theirs.
fn signed(signature: Option<&wire::Signature>, account_of_it: Option<&wire::Account>) -> Option<Person> {
    let known = account_of_it.and_then(account);
    let Some(name) = signature.and_then(|s| text(s.name.clone())) else { return known };
    let (login, avatar_url) = known.map_or((None, None), |k| (k.login, k.avatar_url));
    Some(Person { name, login, avatar_url })
}

/// Whether an account is the author that git names. A run tells who pushed and who wrote, not whether they are one.
fn same_person(author: &wire::Signature, login: &str) -> bool {
    let plain =
        |t: &str| t.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let wanted = plain(login);
    let mail = author.email.as_deref().unwrap_or_default();
    // `login@…`, and GitHub's own `12345+login@users.noreply.github.com`.
    let mailbox = mail.split('@').next().unwrap_or_default();
    let by_mail = [Some(mailbox), mailbox.split_once('+').map(|(_, l)| l)].into_iter().flatten().map(plain);
    let name = author.name.as_deref().unwrap_or_default();
    /// Shorter words stand in too many logins.
    const TELLING: usize = 4;
    let words = name.split_whitespace().map(plain).filter(|w| w.chars().count() >= TELLING);
    !wanted.is_empty()
        && (by_mail.into_iter().any(|m| m == wanted)
            || plain(name) == wanted
            || words.into_iter().any(|w| wanted.contains(&w)))
}

fn author(run: &wire::Run) -> Option<Person> {
    let actors = || [&run.actor, &run.triggering_actor].into_iter().flatten();
    let signature = run.head_commit.as_ref().and_then(|c| c.author.as_ref());
    match signature.filter(|s| s.name.as_deref().is_some_and(|n| !n.trim().is_empty())) {
        Some(s) => signed(Some(s), actors().find(|a| same_person(s, a.login.as_deref().unwrap_or_default()))),
        None => actors().find_map(account),
    }
}

/// The branch of a run: `owner:branch` for a fork's, so that a fork's `main` never passes for ours.
fn branch_of(run: &wire::Run) -> Option<String> {
    let branch = text(run.head_branch.clone())?;
    let home = run.repository.as_ref().and_then(|r| r.id);
    match &run.head_repository {
        Some(head) if head.id.is_some() && head.id == home => Some(branch),
        Some(head) if head.id.is_some() && home.is_some() => {
            let owner = head.owner.as_ref().and_then(|o| o.login.as_deref()).unwrap_or(UNKNOWN_OWNER);
            Some(format!("{owner}:{branch}"))
        }
        // The fork is gone. What was not a pull request cannot have come from one.
        _ if run.event.as_deref().is_some_and(|e| e.starts_with("pull_request")) => {
            Some(format!("{UNKNOWN_OWNER}:{branch}"))
        }
        _ => Some(branch),
    }
}

/// Stands for the owner of a fork that is gone.
const UNKNOWN_OWNER: &str = "unknown";

/// Whether this run's workflow is none of the repository's own files, so that the list of workflows may lack it.
pub(crate) fn is_foreign(run: &wire::Run) -> bool {
    run.path.as_deref().is_some_and(|p| !p.trim().is_empty() && !p.starts_with(OWN_WORKFLOWS))
}

/// The name of a workflow: its own, unless GitHub repeats the path because it could not read the file.
pub(crate) fn workflow_name(name: Option<&str>, path: Option<&str>) -> Option<String> {
    name.filter(|n| !n.trim().is_empty() && Some(*n) != path).map(str::to_owned)
}

/// The name of a workflow's file.
pub(crate) fn file_name(path: Option<&str>) -> Option<String> {
    let path = path?.split('@').next()?;
    path.rsplit('/').next().filter(|f| !f.is_empty()).map(str::to_owned)
}

/// A run as lists and details have it. What only its jobs tell is added by [`details::enrich`].
pub(crate) fn run(row: &wire::Run) -> Pipeline {
    let status = status::status(row.status.as_deref(), row.conclusion.as_deref());
    // What waits for somebody's approval has not ended, though GitHub calls it completed.
    let completed = row.status.as_deref() == Some("completed") && status != Status::Manual;
    let started_at = row.run_started_at.or(row.created_at);
    let finished_at = row.updated_at.filter(|_| completed);
    let startup_failure = row.conclusion.as_deref() == Some("startup_failure");
    let name = workflow_name(row.name.as_deref(), row.path.as_deref());
    let lane = match row.workflow_id {
        Some(id) => id.to_string(),
        None => row.path.clone().or_else(|| name.clone()).unwrap_or_default(),
    };
    Pipeline {
        number: row.run_number,
        attempt: row.run_attempt.and_then(|a| u32::try_from(a).ok()),
        workflow: Workflow { lane, name },
        branch: branch_of(row),
        sha: text(row.head_sha.clone()),
        event: text(row.event.clone()),
        author: author(row),
        message: row
            .head_commit
            .as_ref()
            .and_then(|c| text(c.message.clone()))
            .or_else(|| text(row.display_title.clone())),
        created_at: row.created_at,
        started_at,
        finished_at,
        updated_at: row.updated_at,
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        url: link(row.html_url.as_deref()),
        failure: startup_failure.then(|| details::STARTUP_FAILURE.to_owned()),
        // Such a run has no jobs that could tell more.
        completeness: if startup_failure { Completeness::Full } else { Completeness::Row },
        ..Pipeline::new(
            RunId::from(row.id),
            status,
            status::native(row.status.as_deref(), row.conclusion.as_deref()),
        )
    }
}

/// A job. `run_passed`: its run ended well, so that a failed job was one that may fail.
pub(crate) fn job(row: &wire::Job, run_passed: bool) -> Job {
    let status = status::status(row.status.as_deref(), row.conclusion.as_deref());
    let allowed = run_passed && status == Status::Failed;
    let completed = row.status.as_deref() == Some("completed");
    let ran = details::has_run(row);
    // A queued job has its creation in `started_at`.
    let started_at = row.started_at.filter(|_| ran);
    let finished_at = row.completed_at.filter(|_| completed);
    Job {
        allow_failure: allowed,
        failure_reason: details::reason(row),
        created_at: row.created_at,
        started_at,
        finished_at,
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        queued: row.created_at.zip(started_at).map(|(from, to)| between(from, to)),
        url: link(row.html_url.as_deref()),
        ..Job::new(
            JobId::from(row.id),
            row.name.clone().unwrap_or_else(|| format!("job {}", row.id)),
            if allowed { Status::Warning } else { status },
            status::native(row.status.as_deref(), row.conclusion.as_deref()),
        )
    }
}

/// A branch. The list lacks the commit's author, message and date; some old answers about one branch do as well.
pub(crate) fn branch(project: &Project, row: wire::Branch) -> Branch {
    let commit = row.commit;
    let git = commit.as_ref().and_then(|c| c.commit.as_ref());
    Branch {
        default: project.default_branch.as_deref() == Some(&*row.name),
        protected: row.protected,
        sha: commit.as_ref().and_then(|c| text(c.sha.clone())),
        author: signed(git.and_then(|g| g.author.as_ref()), commit.as_ref().and_then(|c| c.author.as_ref())),
        message: git.and_then(|g| text(g.message.clone())),
        committed_at: git.and_then(|g| {
            let date = |s: &Option<wire::Signature>| s.as_ref().and_then(|s| s.date);
            date(&g.committer).or_else(|| date(&g.author))
        }),
        url: branch_url(project, &row.name),
        ..Branch::named(row.name)
    }
}

/// A branch's page: GitHub's lists do not tell it.
fn branch_url(project: &Project, branch: &str) -> Option<WebUrl> {
    let path: Vec<_> = branch.split('/').map(encode_segment).collect();
    WebUrl::parse(&format!("{}/tree/{}", project.url.as_ref()?, path.join("/")))
}

fn labels(labels: Option<Vec<wire::Label>>) -> Vec<String> {
    let name = |l| match l {
        wire::Label::Full { name } => name,
        wire::Label::Name(name) => Some(name),
    };
    labels.unwrap_or_default().into_iter().filter_map(name).collect()
}

fn people(accounts: Option<Vec<wire::Account>>) -> Vec<Person> {
    accounts.unwrap_or_default().iter().filter_map(account).collect()
}

/// A pull request. From a fork its branch is `owner:branch`.
pub(crate) fn pull(row: wire::Pull) -> MergeRequest {
    let repo = |end: &Option<wire::End>| end.as_ref().and_then(|e| e.repo.as_ref()).and_then(|r| r.id);
    let (head_repo, base_repo) = (repo(&row.head), repo(&row.base));
    let target = row.base.as_ref().and_then(|e| e.branch.clone()).unwrap_or_default();
    let source = row.head.as_ref().map_or_else(String::new, |head| {
        let branch = head.branch.clone().unwrap_or_default();
        if base_repo.is_none() || head_repo == base_repo {
            branch
        } else if head_repo.is_none() {
            format!("{UNKNOWN_OWNER}:{branch}")
        } else {
            head.label.clone().unwrap_or(branch)
        }
    });
    MergeRequest {
        id: row.id.to_string(),
        number: row.number,
        title: row.title.unwrap_or_default(),
        state: match (row.merged_at, row.state.as_deref()) {
            (Some(_), _) => MergeRequestState::Merged,
            (None, Some("closed")) => MergeRequestState::Closed,
            (None, _) => MergeRequestState::Open,
        },
        draft: row.draft.unwrap_or(false),
        author: row.user.as_ref().and_then(account),
        reviewers: people(row.requested_reviewers),
        labels: labels(row.labels),
        source_branch: source,
        target_branch: target,
        sha: row.head.and_then(|h| text(h.sha)),
        // The list tells neither.
        head_status: None,
        mergeable: None,
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.html_url.as_deref()),
    }
}

/// An issue; `None` for a pull request, which GitHub lists among them.
pub(crate) fn issue(row: wire::Issue) -> Option<Issue> {
    row.pull_request.is_none().then(|| Issue {
        id: row.id.to_string(),
        number: row.number,
        title: row.title.unwrap_or_default(),
        open: row.state.as_deref() != Some("closed"),
        author: row.user.as_ref().and_then(account),
        assignees: people(row.assignees),
        labels: labels(row.labels),
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.html_url.as_deref()),
    })
}

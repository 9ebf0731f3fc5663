//! From GitLab's objects to ours.

use connector::wire::between;
use connector::{Issue, MergeRequest, MergeRequestState};
use domain::{
    Branch, Completeness, Deployment, Job, JobId, NativeId, Person, Pipeline, Project, ProjectKey, RunId,
    SourceName, Timestamp, Visibility, WebUrl, Workflow,
};

use crate::{PLATFORM_ID, status, wire};

/// Stands between name and source in a lane; neither can hold it.
const LANE_SEPARATOR: char = '\u{1F}';
/// The word of a pipeline or job that tells no status.
const NO_WORD: &str = "unknown";

fn link(url: Option<&str>) -> Option<WebUrl> {
    url.and_then(WebUrl::parse)
}

fn text(text: Option<&str>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty()).map(str::to_owned)
}

/// A user, by the name that they show.
pub(crate) fn user(user: &wire::User) -> Option<Person> {
    let login = text(user.username.as_deref());
    let name = text(user.name.as_deref()).or_else(|| login.clone())?;
    Some(Person { name, login, avatar_url: link(user.avatar_url.as_deref()) })
}

/// Who wrote a commit: git's name, with the account of who started the job when that is the same name.
pub(crate) fn commit_author(commit: &wire::Commit, starter: Option<&wire::User>) -> Option<Person> {
    let name = text(commit.author_name.as_deref())?;
    let account = starter.and_then(user).filter(|u| u.name.trim() == name.trim());
    Some(account.unwrap_or_else(|| Person::named(name)))
}

/// What a commit says.
pub(crate) fn commit_message(commit: &wire::Commit) -> Option<String> {
    text(commit.message.as_deref()).or_else(|| text(commit.title.as_deref()))
}

/// A project. Its key is the number: paths change.
pub(crate) fn project(source: &SourceName, row: &wire::Project) -> Project {
    let id = row.id.to_string();
    let name = text(row.path_with_namespace.as_deref())
        .or_else(|| text(row.name.as_deref()))
        .unwrap_or_else(|| id.clone());
    let off = row.builds_access_level.as_deref() == Some("disabled") || row.jobs_enabled == Some(false);
    Project {
        description: text(row.description.as_deref()),
        visibility: row.visibility.as_deref().and_then(Visibility::from_word),
        avatar_url: link(row.avatar_url.as_deref()),
        url: link(row.web_url.as_deref()),
        // An empty repository may name the branch that it would have.
        default_branch: text(row.default_branch.as_deref()).filter(|_| row.empty_repo != Some(true)),
        archived: row.archived.unwrap_or(false),
        ci_disabled: off,
        last_activity_at: row.last_activity_at,
        ..Project::named(ProjectKey::new(source.clone(), NativeId::new(id)), PLATFORM_ID, name)
    }
}

/// A branch.
pub(crate) fn branch(project: &Project, row: &wire::Branch) -> Branch {
    let commit = row.commit.as_ref();
    Branch {
        default: row.default.unwrap_or_else(|| project.default_branch.as_deref() == Some(row.name.as_str())),
        protected: row.protected,
        sha: commit.and_then(|c| text(c.id.as_deref())),
        author: commit.and_then(|c| commit_author(c, None)),
        message: commit.and_then(commit_message),
        committed_at: commit.and_then(|c| c.committed_date.or(c.created_at)),
        url: link(row.web_url.as_deref()),
        ..Branch::named(row.name.clone())
    }
}

/// A pipeline, as far as the object tells: a row of a list has no author, message, times of work, warnings or reason.
pub(crate) fn pipeline(row: &wire::Pipeline) -> Pipeline {
    let word = row.status.as_deref().unwrap_or(NO_WORD);
    let group = row.detailed_status.as_ref().and_then(|d| d.group.as_deref());
    let status = status::pipeline(word, group);
    let ended = status::has_ended(status);
    let name = text(row.name.as_deref());
    let source = text(row.source.as_deref());
    let lane = match &source {
        Some(source) => format!("{}{LANE_SEPARATOR}{source}", name.as_deref().unwrap_or_default()),
        // Before 13.x no list told the source: such pipelines supersede each other, as they did then.
        None => String::new(),
    };
    Pipeline {
        number: row.iid,
        workflow: Workflow { lane, name },
        branch: text(row.git_ref.as_deref()),
        sha: text(row.sha.as_deref()),
        event: source,
        author: row.user.as_ref().and_then(user),
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at.filter(|_| ended),
        updated_at: row.updated_at,
        duration: row.duration.filter(|_| ended),
        queued: row.queued_duration,
        url: link(row.web_url.as_deref()),
        failure: text(row.yaml_errors.as_deref()).map(|e| format!("configuration error: {e}")),
        ..Pipeline::new(RunId::from(row.id), status, word)
    }
}

/// The name of a job; GitLab has none without.
pub(crate) fn job_name(row: &wire::Job) -> String {
    text(row.name.as_deref()).unwrap_or_else(|| format!("job {}", row.id))
}

/// Whether a job's failure is allowed.
pub(crate) fn may_fail(row: &wire::Job) -> bool {
    row.allow_failure.unwrap_or(false)
}

/// A job's status.
pub(crate) fn job_status(row: &wire::Job) -> domain::Status {
    status::job(row.status.as_deref().unwrap_or(NO_WORD), may_fail(row))
}

/// Why a job failed. GitLab gives a reason even to jobs that passed.
pub(crate) fn job_failure(row: &wire::Job) -> Option<String> {
    row.failure_reason
        .as_deref()
        .filter(|_| row.status.as_deref() == Some("failed"))
        .and_then(status::failure_reason)
}

/// A job.
pub(crate) fn job(row: &wire::Job) -> Job {
    let status = job_status(row);
    let ended = status::has_ended(status);
    let finished_at = row.finished_at.filter(|_| ended);
    let worked = row.started_at.zip(finished_at).map(|(from, to)| between(from, to));
    let waited = row.created_at.zip(row.started_at).map(|(from, to)| between(from, to));
    Job {
        stage: text(row.stage.as_deref()),
        allow_failure: may_fail(row),
        failure_reason: job_failure(row),
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at,
        // Of a job at work both grow from answer to answer; the page counts by itself.
        duration: row.duration.or(worked).filter(|_| ended),
        queued: row.queued_duration.or(waited).filter(|_| ended || row.started_at.is_some()),
        url: link(row.web_url.as_deref()),
        ..Job::new(JobId::from(row.id), job_name(row), status, row.status.as_deref().unwrap_or(NO_WORD))
    }
}

fn people(users: Option<&Vec<wire::User>>) -> Vec<Person> {
    users.into_iter().flatten().filter_map(user).collect()
}

fn labels(labels: Option<&Vec<wire::Label>>) -> Vec<String> {
    let name = |label: &wire::Label| match label {
        wire::Label::Name(name) | wire::Label::Full { name } => name.clone(),
    };
    labels.into_iter().flatten().map(name).collect()
}

/// A merge request.
pub(crate) fn merge_request(row: &wire::MergeRequest) -> MergeRequest {
    MergeRequest {
        id: row.id.to_string(),
        number: row.iid,
        title: row.title.clone().unwrap_or_default(),
        state: match row.state.as_deref() {
            Some("merged") => MergeRequestState::Merged,
            Some("closed") => MergeRequestState::Closed,
            // `locked` is one that is being merged this moment.
            _ => MergeRequestState::Open,
        },
        draft: row.draft.or(row.work_in_progress).unwrap_or(false),
        author: row.author.as_ref().and_then(user),
        reviewers: people(row.reviewers.as_ref()),
        labels: labels(row.labels.as_ref()),
        source_branch: row.source_branch.clone().unwrap_or_default(),
        target_branch: row.target_branch.clone().unwrap_or_default(),
        sha: text(row.sha.as_deref()),
        // Lists do not carry the head pipeline.
        head_status: None,
        mergeable: match row.detailed_merge_status.as_deref() {
            None | Some("unchecked" | "checking" | "preparing" | "approvals_syncing") => None,
            Some(word) => Some(word == "mergeable"),
        },
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.web_url.as_deref()),
    }
}

/// An issue.
pub(crate) fn issue(row: &wire::Issue) -> Issue {
    Issue {
        id: row.id.to_string(),
        number: row.iid,
        title: row.title.clone().unwrap_or_default(),
        open: row.state.as_deref() != Some("closed"),
        author: row.author.as_ref().and_then(user),
        assignees: people(row.assignees.as_ref()),
        labels: labels(row.labels.as_ref()),
        created_at: row.created_at,
        updated_at: row.updated_at,
        url: link(row.web_url.as_deref()),
    }
}

/// Whether an environment of this tier is what people use.
pub(crate) fn is_production(tier: &str) -> bool {
    tier == "production"
}

/// A deployment; `None` without an environment, which every one has.
pub(crate) fn deployment(row: &wire::Deployment) -> Option<Deployment> {
    let environment = row.environment.as_ref()?;
    let word = row.status.as_deref().unwrap_or(NO_WORD);
    let status = status::deployment(word);
    let job = row.deployable.as_ref();
    let of_job = |at: fn(&wire::Job) -> Option<Timestamp>| job.and_then(at);
    let deployment = Deployment {
        production: environment.tier.as_deref().map(is_production),
        sha: text(row.sha.as_deref()),
        branch: text(row.git_ref.as_deref()),
        // The deployment itself is made with its pipeline, however long its job waits.
        created_at: of_job(|job| job.started_at).or(row.created_at),
        finished_at: of_job(|job| job.finished_at).or(row.updated_at).filter(|_| status::has_ended(status)),
        updated_at: row.updated_at,
        run: job.and_then(|job| job.pipeline.as_ref()).map(|run| RunId::from(run.id)),
        url: link(job.and_then(|job| job.web_url.as_deref())),
        ..Deployment::new(row.id.to_string(), text(environment.name.as_deref())?, status, word)
    };
    Some(deployment.bounded())
}

/// One pipeline in full.
pub(crate) fn full(row: &wire::Pipeline) -> Pipeline {
    Pipeline { completeness: Completeness::Full, ..pipeline(row) }
}

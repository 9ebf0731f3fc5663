//! From Cloud's JSON to the domain.

use std::time::Duration;

use connector::{Issue, MergeRequest, MergeRequestState};
use domain::{
    Branch, Completeness, Job, JobId, NativeId, Person, Pipeline, Project, ProjectKey, RunId, SourceName,
    Status, Visibility, WebUrl, Workflow, encode_segment,
};

use super::{status, wire};
use crate::PLATFORM_ID;

/// The pages for people.
const SITE: &str = "https://bitbucket.org";
/// The failed steps that are named before the rest is only counted.
const NAMED_STEPS: usize = 2;

fn link(link: Option<&wire::Link>) -> Option<WebUrl> {
    WebUrl::parse(link?.href.as_deref()?)
}

fn page(links: Option<&wire::Links>) -> Option<WebUrl> {
    link(links?.html.as_ref())
}

pub(crate) fn project(source: &SourceName, row: &wire::Repository) -> Project {
    let key = ProjectKey::new(source.clone(), NativeId::new(&row.full_name));
    Project {
        description: row.description.clone(),
        visibility: row.is_private.map(|p| if p { Visibility::Private } else { Visibility::Public }),
        avatar_url: link(row.links.as_ref().and_then(|l| l.avatar.as_ref())),
        url: page(row.links.as_ref()).or_else(|| WebUrl::parse(&format!("{SITE}/{}", row.full_name))),
        default_branch: row.mainbranch.as_ref().and_then(|b| b.name.clone()),
        last_activity_at: row.updated_on,
        ..Project::named(key, PLATFORM_ID, row.full_name.as_str())
    }
}

pub(crate) fn account(row: &wire::Account) -> Option<Person> {
    let name = row.display_name.clone().or_else(|| row.nickname.clone())?;
    Some(Person {
        login: row.nickname.clone(),
        avatar_url: link(row.links.as_ref().and_then(|l| l.avatar.as_ref())),
        ..Person::named(name)
    })
}

/// Who wrote a commit: the account, else the name before the address.
fn author(row: Option<&wire::Author>) -> Option<Person> {
    let row = row?;
    row.user.as_ref().and_then(account).or_else(|| {
        let raw = row.raw.as_deref()?;
        let name = raw.split_once('<').map_or(raw, |(name, _)| name).trim();
        (!name.is_empty()).then(|| Person::named(name))
    })
}

/// What a commit says, without the line break at its end.
fn message(row: &wire::Commit) -> Option<String> {
    row.message.as_deref().map(|m| m.trim_end().to_owned()).filter(|m| !m.is_empty())
}

pub(crate) fn branch(project: &Project, row: wire::Branch) -> Branch {
    let site = || project.url.as_ref().map(|url| format!("{url}/branch/{}", encode_segment(&row.name)));
    let target = row.target.as_ref();
    Branch {
        default: project.default_branch.as_deref() == Some(&*row.name),
        sha: target.and_then(|t| t.hash.clone()),
        author: author(target.and_then(|t| t.author.as_ref())),
        message: target.and_then(message),
        committed_at: target.and_then(|t| t.date),
        url: page(row.links.as_ref()).or_else(|| WebUrl::parse(&site()?)),
        ..Branch::named(row.name.clone())
    }
}

/// Which runs replace each other: those of the same part of the configuration. Runs from before there were selectors are
/// of the default one.
fn workflow(target: Option<&wire::Target>) -> Workflow {
    let selector = target.and_then(|t| t.selector.as_ref());
    let kind = selector.and_then(|s| s.r#type.as_deref()).unwrap_or("default").to_ascii_lowercase();
    match (kind.as_str(), selector.and_then(|s| s.pattern.as_deref())) {
        ("default", _) | (_, None) => Workflow { lane: kind.clone(), name: Some(kind) },
        ("custom", Some(name)) => Workflow { lane: format!("custom:{name}"), name: Some(name.to_owned()) },
        (_, Some(pattern)) => {
            Workflow { lane: format!("{kind}:{pattern}"), name: Some(format!("{kind}: {pattern}")) }
        }
    }
}

/// `push` of `pipeline_trigger_push` or `PUSH`; a pull request's pipeline is started by that.
fn event(row: &wire::Pipeline) -> Option<String> {
    if row.target.as_ref().and_then(|t| t.r#type.as_deref()) == Some("pipeline_pullrequest_target") {
        return Some("pull_request".into());
    }
    let trigger = row.trigger.as_ref()?;
    let of_type = trigger.r#type.as_deref().and_then(|t| t.strip_prefix("pipeline_trigger_"));
    of_type.or(trigger.name.as_deref()).map(str::to_ascii_lowercase)
}

/// The page of a run. The links in the answer lead to hosts inside of Atlassian.
fn run_url(project: &Project, number: Option<u64>) -> Option<WebUrl> {
    let site = project.url.as_ref().map_or_else(|| format!("{SITE}/{}", project.name), ToString::to_string);
    WebUrl::parse(&format!("{site}/pipelines/results/{}", number?))
}

/// Why a state is as it is, in Cloud's words.
fn reason(state: Option<&wire::State>) -> Option<String> {
    let error = state?.result.as_ref()?.error.as_ref()?;
    error.message.clone().or_else(|| error.key.clone())
}

pub(crate) fn run(project: &Project, row: &wire::Pipeline) -> Pipeline {
    let native = status::native(row.state.as_ref());
    let status = status::status(&native);
    let target = row.target.as_ref();
    let commit = target.and_then(|t| t.commit.as_ref());
    // Some that wait have a time of completion from an earlier try.
    let ended = status.is_terminal() || (status == Status::Unknown && row.completed_on.is_some());
    Pipeline {
        number: row.build_number,
        attempt: row.run_number.and_then(|n| u32::try_from(n).ok()),
        workflow: workflow(target),
        branch: target.and_then(|t| t.ref_name.clone().or_else(|| t.source.clone())),
        sha: commit.and_then(|c| c.hash.clone()),
        event: event(row),
        author: author(commit.and_then(|c| c.author.as_ref()))
            .or_else(|| row.creator.as_ref().and_then(account)),
        message: commit.and_then(message),
        created_at: row.created_on,
        finished_at: row.completed_on.filter(|_| ended),
        duration: row.duration_in_seconds.filter(|_| ended).map(Duration::from_secs),
        url: run_url(project, row.build_number),
        failure: reason(row.state.as_ref()),
        ..Pipeline::new(RunId::new(&row.uuid), status, native)
    }
}

pub(crate) fn step(project: &Project, number: Option<u64>, at: usize, row: &wire::Step) -> Job {
    let (status, native) = status::of_step(row);
    let name = row.name.clone().unwrap_or_else(|| format!("Step {}", at + 1));
    Job {
        // `ERROR` brings its reason along, `FAILED` is the script's.
        failure_reason: reason(row.state.as_ref())
            .or_else(|| (status == Status::Failed).then(|| "script failed".to_owned())),
        started_at: row.started_on,
        finished_at: row.completed_on.filter(|_| status.is_terminal() || status == Status::Unknown),
        duration: row.duration_in_seconds.filter(|_| status.is_terminal()).map(Duration::from_secs),
        url: run_url(project, number)
            .and_then(|url| WebUrl::parse(&format!("{url}/steps/{}", encode_segment(&row.uuid)))),
        ..Job::new(JobId::new(&row.uuid), name, status, native)
    }
}

/// What the steps tell beyond the run: when the first began, and which failed. Where a step failed and the run did not,
/// its failure is allowed (`on-fail: ignore`).
pub(crate) fn enrich(run: &mut Pipeline, steps: &mut [Job]) {
    run.started_at = steps.iter().filter_map(|s| s.started_at).min().or(run.started_at);
    if run.status == Status::Success {
        for step in steps.iter_mut().filter(|s| s.status == Status::Failed) {
            (step.status, step.allow_failure) = (Status::Warning, true);
            run.status = Status::Warning;
        }
    }
    let failed: Vec<&Job> =
        steps.iter().filter(|s| matches!(s.status, Status::Failed | Status::Warning)).collect();
    if matches!(run.status, Status::Failed | Status::Warning) && !failed.is_empty() {
        let why = |job: &Job| job.failure_reason.clone().unwrap_or_else(|| "failed".to_owned());
        let say = |job: &&Job| format!("{}: {}", job.name, why(job));
        let mut words: Vec<String> = failed.iter().take(NAMED_STEPS).map(say).collect();
        if failed.len() > NAMED_STEPS {
            words.push(format!("{} more", failed.len() - NAMED_STEPS));
        }
        run.failure = Some(words.join(", "));
    }
    run.completeness = Completeness::Full;
}

/// A pull request. From a fork its branch is `workspace:branch`.
pub(crate) fn pull(row: wire::Pull) -> MergeRequest {
    let of =
        |end: &Option<wire::End>| end.as_ref().and_then(|e| e.branch.as_ref()).and_then(|b| b.name.clone());
    let repository = |end: &Option<wire::End>| {
        end.as_ref().and_then(|e| e.repository.as_ref()).and_then(|r| r.full_name.clone())
    };
    let (from, into) = (repository(&row.source), repository(&row.destination));
    let branch = of(&row.source).unwrap_or_default();
    let source_branch = match (&from, &into) {
        (Some(from), Some(into)) if from != into => {
            format!("{}:{branch}", from.split('/').next().unwrap_or_default())
        }
        (None, Some(_)) => format!("unknown:{branch}"),
        _ => branch,
    };
    MergeRequest {
        id: row.id.to_string(),
        number: row.id,
        title: row.title.unwrap_or_default(),
        state: match row.state.as_deref() {
            Some("MERGED") => MergeRequestState::Merged,
            Some("DECLINED" | "SUPERSEDED") => MergeRequestState::Closed,
            _ => MergeRequestState::Open,
        },
        draft: row.draft.unwrap_or(false),
        author: row.author.as_ref().and_then(account),
        reviewers: row.reviewers.unwrap_or_default().iter().filter_map(account).collect(),
        labels: Vec::new(),
        source_branch,
        target_branch: of(&row.destination).unwrap_or_default(),
        sha: row.source.and_then(|e| e.commit).and_then(|c| c.hash),
        head_status: None,
        mergeable: None,
        created_at: row.created_on,
        updated_at: row.updated_on,
        url: page(row.links.as_ref()),
    }
}

pub(crate) fn issue(row: wire::Issue) -> Issue {
    Issue {
        id: row.id.to_string(),
        number: row.id,
        title: row.title.unwrap_or_default(),
        open: !matches!(
            row.state.as_deref(),
            Some("resolved" | "closed" | "duplicate" | "invalid" | "wontfix")
        ),
        author: row.reporter.as_ref().and_then(account),
        assignees: row.assignee.as_ref().and_then(account).into_iter().collect(),
        labels: row.kind.into_iter().collect(),
        created_at: row.created_on,
        updated_at: row.updated_on,
        url: page(row.links.as_ref()),
    }
}

//! From CircleCI's objects to ours.

use std::collections::BTreeMap;

use connector::wire::between;
use domain::{
    Branch, Completeness, Job, JobId, NativeId, Person, Pipeline, Project, ProjectKey, RunId, SourceName,
    Status, Timestamp, WebUrl, Workflow,
};
use jiff::SignedDuration;
use url::Url;

use crate::base::{self, Slug};
use crate::{PLATFORM_ID, status, wire};

/// A pipeline that has no workflow after this long will have none: all of them are for other branches.
const NONE_WILL_COME: SignedDuration = SignedDuration::from_mins(10);
/// The failed jobs that are named before the rest is only counted.
const NAMED_JOBS: usize = 2;

/// Stands for the name that a workflow's row lacks.
const NAMELESS: &str = "workflow";

fn text(text: Option<&String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty()).cloned()
}

/// A project. Its key is its slug, in the short form.
pub(crate) fn project(source: &SourceName, base: &Url, row: &wire::Project) -> Project {
    let parsed = Slug::parse(&row.slug);
    let slug = parsed.map_or_else(|| row.slug.clone(), |slug| slug.to_string());
    let key = ProjectKey::new(source.clone(), NativeId::new(&slug));
    let in_slug = parsed.map(|slug| format!("{}/{}", slug.org, slug.project));
    let name = match (text(row.organization_name.as_ref()), text(row.name.as_ref())) {
        (Some(organization), Some(name)) => format!("{organization}/{name}"),
        _ => in_slug.unwrap_or(slug),
    };
    Project {
        url: parsed.and_then(|slug| base::page(base, &slug, &[])),
        default_branch: row.vcs_info.as_ref().and_then(|vcs| text(vcs.default_branch.as_ref())),
        ..Project::named(key, PLATFORM_ID, name)
    }
}

/// The branch or tag that a pipeline ran for: `owner:branch` for a fork's, so that a fork's `main` never passes for ours.
fn branch(row: &wire::Pipeline) -> Option<String> {
    if let Some(vcs) = &row.vcs {
        let branch = text(vcs.branch.as_ref());
        let fork = match (&vcs.origin_repository_url, &vcs.target_repository_url) {
            (Some(origin), Some(target)) if origin != target => owner(origin),
            _ => None,
        };
        return match (branch, fork) {
            // CircleCI's own way to name one.
            (Some(branch), _) if branch.starts_with("pull/") => Some(branch),
            (Some(branch), Some(owner)) => Some(format!("{owner}:{branch}")),
            (Some(branch), None) => Some(branch),
            (None, _) => text(vcs.tag.as_ref()),
        };
    }
    let git = git(row)?;
    text(git.branch.as_ref()).or_else(|| text(git.tag.as_ref()))
}

fn git(row: &wire::Pipeline) -> Option<&wire::Git> {
    let parameters = row.trigger_parameters.as_ref()?;
    parameters.git.as_ref().or(parameters.gitlab.as_ref())
}

/// `acme` of `https://github.com/acme/web`.
fn owner(repository: &str) -> Option<String> {
    let path = repository.trim_end_matches('/').trim_end_matches(".git");
    let owner = path.rsplit('/').nth(1)?;
    let owner = owner.rsplit(':').next().unwrap_or(owner);
    (!owner.is_empty()).then(|| owner.to_owned())
}

fn author(row: &wire::Pipeline) -> Option<Person> {
    let commit = row.vcs.as_ref().and_then(|vcs| vcs.commit.as_ref());
    let written = commit.and_then(|c| text(c.author.as_ref()?.name.as_ref()));
    if let Some(name) = written.or_else(|| text(git(row)?.commit_author_name.as_ref())) {
        return Some(Person::named(name));
    }
    let actor = row.trigger.as_ref()?.actor.as_ref()?;
    let login = text(actor.login.as_ref())?;
    let avatar_url = actor.avatar_url.as_deref().and_then(WebUrl::parse);
    Some(Person { name: login.clone(), login: Some(login), avatar_url })
}

fn message(row: &wire::Pipeline) -> Option<String> {
    let Some(commit) = row.vcs.as_ref().and_then(|vcs| vcs.commit.as_ref()) else {
        return text(git(row)?.commit_message.as_ref());
    };
    let (subject, body) = (text(commit.subject.as_ref()), text(commit.body.as_ref()));
    match (subject, body) {
        (Some(subject), Some(body)) => Some(format!("{subject}\n\n{body}")),
        (subject, body) => subject.or(body),
    }
}

/// A pipeline as if it were a run: what its workflows have in common, and what stands in for them as long as there are
/// none. `now` tells whether any will come.
pub(crate) fn pipeline(base: &Url, slug: &str, row: &wire::Pipeline, now: Timestamp) -> Pipeline {
    let state = row.state.as_deref().unwrap_or_default();
    let settled = row.created_at.is_none_or(|at| now.duration_since(at) > NONE_WILL_COME);
    let status = status::pipeline(state, settled);
    let ended = status::has_ended(status);
    let errors = row.errors.as_ref().map(|errors| errors.items.as_slice()).unwrap_or_default();
    let said: Vec<_> = errors.iter().filter_map(|e| e.message.as_deref()).collect();
    let failure = match status {
        Status::Failed if said.is_empty() => Some("the pipeline could not be made".to_owned()),
        Status::Failed => Some(said.join("; ")),
        Status::Skipped => Some("no workflow is for this branch".to_owned()),
        _ => None,
    };
    let number = row.number.map(|n| n.to_string());
    Pipeline {
        number: row.number,
        branch: branch(row),
        sha: row
            .vcs
            .as_ref()
            .and_then(|vcs| text(vcs.revision.as_ref()))
            .or_else(|| text(git(row)?.checkout_sha.as_ref())),
        event: row.trigger.as_ref().and_then(|t| text(t.kind.as_ref())),
        author: author(row),
        message: message(row),
        created_at: row.created_at,
        finished_at: row.updated_at.or(row.created_at).filter(|_| ended),
        url: Slug::parse(slug).and_then(|slug| match number.as_deref() {
            Some(number) => base::page(base, &slug, &[number]),
            None => base::page(base, &slug, &[]),
        }),
        failure,
        completeness: Completeness::Full,
        ..Pipeline::new(RunId::new(&row.id), status, state)
    }
}

/// The runs of a pipeline: its workflows, or itself when it has none. A workflow that is started over is a new one of the
/// same name: the newest of each name is the run, and how many there were is its count of tries.
pub(crate) fn runs(base: &Url, slug: &str, of: &Pipeline, rows: &[wire::Workflow]) -> Vec<Pipeline> {
    if rows.is_empty() {
        return vec![of.clone()];
    }
    let mut runs: Vec<_> = rows.iter().map(|row| run(base, slug, of, row)).collect();
    runs.sort_by_cached_key(Pipeline::age_key);
    let mut newest: BTreeMap<String, Pipeline> = BTreeMap::new();
    for run in runs {
        let before = newest.get(&run.workflow.lane).and_then(|run| run.attempt).unwrap_or(0);
        newest.insert(run.workflow.lane.clone(), Pipeline { attempt: Some(before + 1), ..run });
    }
    newest.into_values().collect()
}

/// A workflow as a run of its pipeline.
pub(crate) fn run(base: &Url, slug: &str, of: &Pipeline, row: &wire::Workflow) -> Pipeline {
    let word = row.status.as_deref().unwrap_or_default();
    let status = status::workflow(word);
    let created_at = row.created_at.or(of.created_at);
    let finished_at = row.stopped_at.filter(|_| status::has_ended(status));
    let number = row.pipeline_number.or(of.number);
    // Every workflow has a name: by that it is told from a pipeline that stands for itself.
    let name = text(row.name.as_ref()).unwrap_or_else(|| NAMELESS.to_owned());
    let shown = number.map(|n| n.to_string());
    Pipeline {
        number,
        attempt: None,
        workflow: Workflow { lane: name.clone(), name: Some(name) },
        created_at,
        // CircleCI does not tell when the first job got its machine.
        started_at: created_at.filter(|_| status != Status::Skipped),
        finished_at,
        updated_at: finished_at,
        duration: row.created_at.zip(finished_at).map(|(from, to)| between(from, to)),
        url: Slug::parse(slug)
            .and_then(|slug| base::page(base, &slug, &[shown.as_deref()?, "workflows", &row.id])),
        failure: status::reason(word).filter(|_| status == Status::Failed).map(str::to_owned),
        // Only of what failed do its jobs tell more.
        completeness: if status == Status::Failed { Completeness::Row } else { Completeness::Full },
        id: RunId::new(&row.id),
        status,
        native_status: word.to_owned(),
        ..of.clone()
    }
}

/// What a run's jobs tell of its failure.
pub(crate) fn failure(jobs: &[wire::Job]) -> Option<String> {
    let failed: Vec<_> = jobs
        .iter()
        .filter(|j| status::job(j.status.as_deref().unwrap_or_default()) == Status::Failed)
        .collect();
    let name = |job: &wire::Job| job.name.clone().unwrap_or_else(|| "a job without a name".to_owned());
    if let [one] = failed.as_slice() {
        let reason = one.status.as_deref().and_then(status::reason);
        return Some(match reason {
            Some(reason) => format!("{}: {reason}", name(one)),
            None => format!("{} failed", name(one)),
        });
    }
    let named: Vec<_> = failed.iter().take(NAMED_JOBS).map(|job| name(job)).collect();
    match failed.len().saturating_sub(NAMED_JOBS) {
        _ if named.is_empty() => None,
        0 => Some(format!("{} failed", named.join(" and "))),
        more => Some(format!("{} and {more} more failed", named.join(", "))),
    }
}

/// The jobs of a workflow: those that others wait for first.
pub(crate) fn jobs(page: Option<&WebUrl>, rows: &[wire::Job]) -> Vec<Job> {
    let mut depths = vec![0_usize; rows.len()];
    // At most as many rounds as there are jobs; a circle ends with them.
    for _ in 0..rows.len() {
        let mut moved = false;
        for (at, row) in rows.iter().enumerate() {
            let waits_for = row.dependencies.iter().flatten();
            let below =
                waits_for.filter_map(|id| rows.iter().position(|r| &r.id == id)).map(|i| depths[i] + 1).max();
            let depth = below.unwrap_or(0).min(rows.len());
            moved |= depth != depths[at];
            depths[at] = depth;
        }
        if !moved {
            break;
        }
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| depths[*at]);
    order.into_iter().filter_map(|at| rows.get(at)).map(|row| job(page, row)).collect()
}

fn job(page: Option<&WebUrl>, row: &wire::Job) -> Job {
    let word = row.status.as_deref().unwrap_or_default();
    let status = status::job(word);
    let finished_at = row.stopped_at.filter(|_| status::has_ended(status));
    let approval = row.kind.as_deref() == Some("approval");
    // An approval begins when it is reached: to wait for somebody is no work.
    let duration = row.started_at.zip(finished_at).map(|(from, to)| between(from, to)).filter(|_| !approval);
    let number = row.job_number.map(|n| n.to_string());
    let id = number.as_deref().unwrap_or(&row.id);
    Job {
        failure_reason: status::reason(word).filter(|_| status == Status::Failed).map(str::to_owned),
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at,
        duration,
        queued: row.created_at.zip(row.started_at).map(|(from, to)| between(from, to)),
        url: page.zip(number.as_deref()).and_then(|(page, n)| WebUrl::parse(&format!("{page}/jobs/{n}"))),
        ..Job::new(JobId::new(id), row.name.clone().unwrap_or_else(|| format!("job {id}")), status, word)
    }
}

/// A branch, as the newest run on it tells.
pub(crate) fn head(name: &str, default: bool, newest: &Pipeline) -> Branch {
    Branch {
        default,
        sha: newest.sha.clone(),
        author: newest.author.clone(),
        message: newest.message.clone(),
        // When the run was made says nothing of its commit.
        committed_at: None,
        ..Branch::named(name)
    }
}

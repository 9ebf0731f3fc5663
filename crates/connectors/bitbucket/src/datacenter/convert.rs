//! From Data Center's JSON to the domain.

use std::time::Duration;

use connector::wire::between;
use connector::{MergeRequest, MergeRequestState};
use domain::{
    Branch, Completeness, NativeId, Person, Pipeline, Project, ProjectKey, RunId, SourceName, Status,
    Visibility, WebUrl, Workflow,
};
use url::Url;

use super::wire;
use crate::PLATFORM_ID;

/// The ending of the names under which branches tell of their newest commit: the plugin that does was renamed.
const LATEST_COMMIT: [&str; 2] = [":latest-commit-metadata", ":latest-changeset-metadata"];

/// Our status of Data Center's word.
pub(crate) fn status(word: &str) -> Status {
    match word {
        "SUCCESSFUL" => Status::Success,
        "FAILED" => Status::Failed,
        "INPROGRESS" => Status::Running,
        "CANCELLED" => Status::Canceled,
        _ => Status::Unknown,
    }
}

/// How a commit is as a whole.
pub(crate) fn worst(stats: wire::Stats) -> Option<Status> {
    [
        (stats.in_progress, Status::Running),
        (stats.failed, Status::Failed),
        (stats.cancelled, Status::Canceled),
        (stats.successful, Status::Success),
        (stats.unknown, Status::Unknown),
    ]
    .into_iter()
    .find_map(|(count, status)| (count > 0).then_some(status))
}

fn page(links: Option<&wire::Links>) -> Option<WebUrl> {
    links?.own.iter().find_map(|link| WebUrl::parse(link.href.as_deref()?))
}

pub(crate) fn full_name(row: &wire::Repository) -> String {
    format!("{}/{}", row.project.key, row.slug)
}

pub(crate) fn project(
    source: &SourceName,
    row: &wire::Repository,
    default_branch: Option<String>,
) -> Project {
    let name = full_name(row);
    let key = ProjectKey::new(source.clone(), NativeId::new(&name));
    // Its page ends in `/browse`, others of its pages do not.
    let url = page(row.links.as_ref());
    let short = url.as_ref().and_then(|url| WebUrl::parse(url.as_str().strip_suffix("/browse")?));
    Project {
        description: row.description.clone(),
        visibility: row.public.map(|public| if public { Visibility::Public } else { Visibility::Private }),
        url: short.or(url),
        default_branch,
        archived: row.archived.unwrap_or(false),
        ..Project::named(key, PLATFORM_ID, name)
    }
}

fn person(row: &wire::User) -> Option<Person> {
    let name = row.display_name.clone().or_else(|| row.name.clone())?;
    // In a commit the one name is no login.
    let login = row.display_name.as_ref().and(row.name.clone());
    Some(Person { login, ..Person::named(name) })
}

fn branch_url(project: &Project, name: &str) -> Option<WebUrl> {
    let mut url = Url::parse(&format!("{}/browse", project.url.as_ref()?)).ok()?;
    url.query_pairs_mut().append_pair("at", &format!("refs/heads/{name}"));
    WebUrl::parse(url.as_str())
}

/// A branch and its newest commit.
pub(crate) fn branch_at(project: &Project, name: &str, commit: Option<&wire::Commit>) -> Branch {
    Branch {
        default: project.default_branch.as_deref() == Some(name),
        sha: commit.and_then(|c| c.id.clone()),
        author: commit.and_then(|c| c.author.as_ref()).and_then(person),
        message: commit.and_then(|c| c.message.clone()),
        committed_at: commit.and_then(|c| c.committer_timestamp.or(c.author_timestamp)),
        url: branch_url(project, name),
        ..Branch::named(name)
    }
}

pub(crate) fn branch(project: &Project, row: &wire::Branch) -> Branch {
    let told =
        row.metadata.iter().flatten().find(|(name, _)| LATEST_COMMIT.iter().any(|end| name.ends_with(end)));
    let commit: Option<wire::Commit> = told.and_then(|(_, value)| serde_json::from_value(value.clone()).ok());
    let branch = branch_at(project, &row.display_id, commit.as_ref());
    Branch {
        default: branch.default || row.is_default == Some(true),
        sha: row.latest_commit.clone().or(branch.sha),
        ..branch
    }
}

/// The id of a build: Data Center has none, but on a commit its key is unique.
pub(crate) fn run_id(sha: &str, key: &str) -> RunId {
    RunId::new(format!("{sha}:{key}"))
}

/// A build as a run. `branch` is the one whose commit it is, for builds that name none.
pub(crate) fn run(sha: &str, branch: Option<&Branch>, row: &wire::Build) -> Pipeline {
    let native = row.state.clone().unwrap_or_default();
    let status = status(&native);
    let of_ref = row.git_ref.as_deref().map(|r| r.strip_prefix("refs/heads/").unwrap_or(r));
    let at = row.updated_date.or(row.date_added).or(row.created_date);
    let created_at = row.created_date.or(row.date_added);
    let ended = status.is_terminal();
    let head = branch.filter(|b| b.sha.as_deref() == Some(sha));
    Pipeline {
        number: row.build_number,
        workflow: Workflow {
            lane: row.key.clone(),
            name: Some(row.name.clone().unwrap_or_else(|| row.key.clone())),
        },
        branch: of_ref.map(str::to_owned).or_else(|| branch.map(|b| b.name.clone())),
        sha: Some(sha.to_owned()),
        author: head.and_then(|b| b.author.clone()),
        message: head.and_then(|b| b.message.clone()),
        created_at,
        started_at: created_at,
        finished_at: at.filter(|_| ended),
        updated_at: at,
        duration: row.duration.filter(|_| ended).map(Duration::from_millis),
        url: row.url.as_deref().and_then(WebUrl::parse),
        failure: row.description.clone().filter(|_| status == Status::Failed),
        completeness: Completeness::Full,
        ..Pipeline::new(run_id(sha, &row.key), status, native)
    }
}

/// The short form of a build has one time, that of its last word: when it began is known from the word before.
pub(crate) fn remember_beginning(run: &mut Pipeline, known: &Pipeline) {
    let (Some(began), Some(told)) = (known.created_at, run.created_at) else { return };
    if began > told {
        return;
    }
    run.created_at = Some(began);
    run.started_at = Some(began);
    let worked = run.finished_at.map(|end| between(began, end)).filter(|worked| !worked.is_zero());
    run.duration = run.duration.or(worked);
}

/// A pull request. From a fork its branch is `PROJECT:branch`.
pub(crate) fn pull(row: wire::Pull) -> MergeRequest {
    let name = |end: &Option<wire::Ref>| end.as_ref().and_then(|e| e.display_id.clone()).unwrap_or_default();
    let of = |end: &Option<wire::Ref>| {
        end.as_ref().and_then(|e| e.repository.as_ref()).map(|r| (r.project.key.clone(), r.slug.clone()))
    };
    let branch = name(&row.from_ref);
    let source_branch = match (of(&row.from_ref), of(&row.to_ref)) {
        (Some(from), Some(into)) if from != into => format!("{}:{branch}", from.0),
        _ => branch,
    };
    let people = |row: &wire::Participant| row.user.as_ref().and_then(person);
    let merges = row.properties.and_then(|p| p.merge_result).and_then(|m| m.outcome);
    MergeRequest {
        id: row.id.to_string(),
        number: row.id,
        title: row.title.unwrap_or_default(),
        state: match row.state.as_deref() {
            Some("MERGED") => MergeRequestState::Merged,
            Some("DECLINED") => MergeRequestState::Closed,
            _ => MergeRequestState::Open,
        },
        draft: row.draft.unwrap_or(false),
        author: row.author.as_ref().and_then(people),
        reviewers: row.reviewers.unwrap_or_default().iter().filter_map(people).collect(),
        labels: Vec::new(),
        source_branch,
        target_branch: name(&row.to_ref),
        sha: row.from_ref.and_then(|r| r.latest_commit),
        head_status: None,
        mergeable: match merges.as_deref() {
            Some("CLEAN") => Some(true),
            Some("CONFLICTED") => Some(false),
            _ => None,
        },
        created_at: row.created_date,
        updated_at: row.updated_date,
        url: page(row.links.as_ref()),
    }
}

/// The user of this login.
pub(crate) fn user(login: &str, row: Option<&wire::User>) -> Person {
    let name = row.and_then(|r| r.display_name.clone()).unwrap_or_else(|| login.to_owned());
    Person { login: Some(login.to_owned()), ..Person::named(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_status() {
        for (word, want) in [
            ("SUCCESSFUL", Status::Success),
            ("FAILED", Status::Failed),
            ("INPROGRESS", Status::Running),
            ("CANCELLED", Status::Canceled),
            ("UNKNOWN", Status::Unknown),
            ("BRAND_NEW", Status::Unknown),
            ("", Status::Unknown),
        ] {
            assert_eq!(status(word), want, "{word}");
        }
    }

    #[test]
    fn a_commit_is_as_its_worst_build() {
        let stats = |json: &str| worst(serde_json::from_str(json).unwrap());
        assert_eq!(stats("{}"), None);
        assert_eq!(stats(r#"{"successful":3,"failed":1,"inProgress":0}"#), Some(Status::Failed));
        assert_eq!(stats(r#"{"successful":3,"failed":1,"inProgress":"2"}"#), Some(Status::Running));
        assert_eq!(stats(r#"{"successful":1,"cancelled":1,"unknown":null}"#), Some(Status::Canceled));
    }
}

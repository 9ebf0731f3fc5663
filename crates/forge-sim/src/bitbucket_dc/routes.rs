//! Which URL gives what.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::json::{Json, word};
use super::{FACE, build_key, error, page};
use crate::access::Caller;
use crate::http::{Reply, Request};
use crate::world::{Pipeline, Project, World};

/// The longest page of most lists; `page.max.repositories` and others are higher.
const MAX: usize = 100;
const MAX_REPOSITORIES: usize = 1_000;
/// Commits that may be asked for at once.
const MAX_COMMITS: usize = 100;

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    /// The site with its context.
    pub(super) html: String,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
}

fn ok(template: &'static str, value: &Value) -> Reply {
    Reply::json(template, StatusCode::OK, value)
}

fn no_such(what: &str, exception: &str) -> Reply {
    error(
        StatusCode::NOT_FOUND,
        &format!("{what} does not exist."),
        &format!("com.atlassian.bitbucket.{exception}"),
    )
}

/// The newest run of each key on a commit: a later post replaces an earlier one.
fn builds<'p>(project: &'p Project, sha: &str) -> Vec<&'p Pipeline> {
    let mut newest: BTreeMap<String, &Pipeline> = BTreeMap::new();
    for run in project.pipelines().iter().filter(|run| *run.sha == *sha) {
        newest.insert(build_key(project, run), run);
    }
    let mut runs: Vec<_> = newest.into_values().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.updated_at));
    runs
}

fn stats(runs: &[&Pipeline]) -> Value {
    let count = |wanted: &str| runs.iter().filter(|run| word(run.status) == wanted).count();
    json!({
        "successful": count("SUCCESSFUL"), "inProgress": count("INPROGRESS"), "failed": count("FAILED"),
        "cancelled": count("CANCELLED"), "unknown": count("UNKNOWN"),
    })
}

impl Call<'_> {
    fn json(&self) -> Json<'_> {
        Json { html: &self.html }
    }

    pub(super) fn answer(&self, world: &World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let get = self.request.method == Method::GET;
        match parts.as_slice() {
            ["rest", "api", _, "application-properties"] if get => ok(
                "GET /api/latest/application-properties",
                &json!({ "version": "9.4.1", "buildNumber": "9004001", "buildDate": "1741000000000", "displayName": "Bitbucket" }),
            ),
            ["rest", "api", _, rest @ ..] if get => self.api(world, rest),
            ["rest", "build-status", _, "commits", "stats"] if self.request.method == Method::POST => {
                self.stats(world)
            }
            ["rest", "build-status", _, "commits", sha] if get => self.statuses(world, sha),
            ["plugins", "servlet", "applinks", "whoami"] if get => {
                let name = self.caller.person().map_or("", |id| id.person().login);
                Reply::text("GET /plugins/servlet/applinks/whoami", StatusCode::OK, "text/plain", name)
            }
            _ => Reply::text("(none)", StatusCode::NOT_FOUND, "text/html", "<html><title>404</title></html>"),
        }
    }

    fn visible<'w>(&self, world: &'w World) -> impl Iterator<Item = &'w Project> {
        world.projects_of(FACE).filter(|p| self.caller.sees(p))
    }

    fn api(&self, world: &World, rest: &[&str]) -> Reply {
        let json = self.json();
        match rest {
            ["repos"] => {
                let rows: Vec<_> = self.visible(world).filter(|p| p.member && self.wanted(p)).collect();
                page("GET /api/latest/repos", self.request, MAX_REPOSITORIES, &rows, |p| json.repository(p))
            }
            ["projects", key, "repos"] => {
                let of_key = |p: &&Project| p.namespace.eq_ignore_ascii_case(key);
                let rows: Vec<_> = self.visible(world).filter(of_key).filter(|p| self.wanted(p)).collect();
                if rows.is_empty() {
                    return no_such(&format!("Project {key}"), "project.NoSuchProjectException");
                }
                let template = "GET /api/latest/projects/{projectKey}/repos";
                page(template, self.request, MAX_REPOSITORIES, &rows, |p| json.repository(p))
            }
            ["users", slug] => {
                let found = crate::world::PEOPLE.iter().any(|person| person.login == *slug);
                if found {
                    ok("GET /api/latest/users/{userSlug}", &json.user(World::person(slug)))
                } else {
                    no_such(&format!("User {slug}"), "user.NoSuchUserException")
                }
            }
            ["projects", key, "repos", slug, rest @ ..] => {
                let path = format!("{key}/{slug}");
                let found = world.find(FACE, &path).or_else(|| world.find_former(FACE, &path));
                match found.filter(|p| self.caller.sees(p)) {
                    Some(project) => self.repository(project, rest),
                    None => no_such(&format!("Repository {path}"), "repository.NoSuchRepositoryException"),
                }
            }
            _ => error(StatusCode::NOT_FOUND, "null for uri", "com.sun.jersey.api.NotFoundException"),
        }
    }

    fn wanted(&self, project: &Project) -> bool {
        match self.request.param("archived").as_deref() {
            Some("ALL") => true,
            Some("ARCHIVED") => project.archived,
            _ => !project.archived,
        }
    }

    fn repository(&self, project: &Project, rest: &[&str]) -> Reply {
        let (json, request) = (self.json(), self.request);
        match rest {
            [] => {
                ok("GET /api/latest/projects/{projectKey}/repos/{repositorySlug}", &json.repository(project))
            }
            ["default-branch"] | ["branches", "default"] => {
                let template = "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/default-branch";
                match project.default_branch.as_deref() {
                    Some(name) => ok(template, &json.minimal(name)),
                    None => no_such("Default branch", "repository.NoDefaultBranchException"),
                }
            }
            ["branches"] => {
                let mut rows: Vec<_> = project.history().branches.iter().collect();
                if let Some(text) = request.param("filterText") {
                    rows.retain(|branch| branch.name.contains(&text));
                }
                if request.param("orderBy").as_deref() == Some("MODIFICATION") {
                    rows.sort_by_key(|branch| std::cmp::Reverse(project.commit(&branch.head).map(|c| c.at)));
                }
                let details = request.flag("details") == Some(true);
                let template = "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/branches";
                page(template, request, MAX, &rows, |branch| {
                    json.branch(project, branch, details, stats(&builds(project, &branch.head)))
                })
            }
            ["commits"] => {
                let until = request.param("until").unwrap_or_default();
                let name = until.strip_prefix("refs/heads/").unwrap_or(&until);
                let head = project.branch(name).map(|branch| &*branch.head);
                let Some(mut sha) = head.or_else(|| project.commit(name).map(|c| &*c.sha)) else {
                    return no_such(&format!("Commit '{until}'"), "commit.NoSuchCommitException");
                };
                let mut rows = Vec::new();
                while let Some(commit) = project.commit(sha) {
                    rows.push(commit);
                    match &commit.parent {
                        Some(parent) if rows.len() < MAX_REPOSITORIES => sha = parent,
                        _ => break,
                    }
                }
                let template = "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits";
                page(template, request, MAX, &rows, |commit| json.commit(commit))
            }
            ["commits", sha, "builds"] => {
                let key = request.param("key").unwrap_or_default();
                match builds(project, sha).into_iter().find(|run| build_key(project, run) == key) {
                    Some(run) => ok(
                        "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits/{commitId}/builds",
                        &json.build(project, run),
                    ),
                    None => no_such("Build status", "build.NoSuchBuildStatusException"),
                }
            }
            ["pull-requests"] => {
                let wanted = request.param("state").unwrap_or_else(|| "OPEN".to_owned());
                let fits = |open: bool| wanted == "ALL" || (if open { "OPEN" } else { "MERGED" }) == wanted;
                let mut rows: Vec<_> =
                    project.history().merge_requests.iter().filter(|mr| fits(mr.open)).collect();
                rows.sort_by_key(|mr| std::cmp::Reverse((mr.created_at, mr.number)));
                let template = "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests";
                page(template, request, MAX, &rows, |mr| json.pull(project, mr))
            }
            _ => error(StatusCode::NOT_FOUND, "null for uri", "com.sun.jersey.api.NotFoundException"),
        }
    }

    /// Builds are the instance's, not a repository's: whoever has the commit.
    fn statuses(&self, world: &World, sha: &str) -> Reply {
        let found: Vec<(&Project, &Pipeline)> = self
            .visible(world)
            .flat_map(|project| builds(project, sha).into_iter().map(move |run| (project, run)))
            .collect();
        let template = "GET /build-status/latest/commits/{commitId}";
        page(template, self.request, MAX, &found, |(project, run)| self.json().status(project, run))
    }

    fn stats(&self, world: &World) -> Reply {
        let wanted: Vec<String> = serde_json::from_slice(&self.request.body).unwrap_or_default();
        if wanted.is_empty() || wanted.len() > MAX_COMMITS {
            return error(
                StatusCode::BAD_REQUEST,
                "Between 1 and 100 commits are required",
                "ArgumentValidationException",
            );
        }
        let mut all = serde_json::Map::new();
        for project in self.visible(world) {
            for sha in &wanted {
                let runs = builds(project, sha);
                if !runs.is_empty() {
                    all.insert(sha.clone(), stats(&runs));
                }
            }
        }
        ok("POST /build-status/latest/commits/stats", &Value::Object(all))
    }
}

//! Which URL gives what.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::jobs::{Found, View, find};
use super::json::{Json, result};
use super::tree::Tree;
use super::{CRUMB, FACE, SESSION, forbidden, not_found, page, stages};
use crate::access::Caller;
use crate::http::{Reply, Request};
use crate::world::{ProjectId, RunStatus, Trigger, World};

/// What is told without `tree=`, as far as it is worth simulating.
const ROOT_TREE: &str = "mode,nodeDescription,url,useSecurity,jobs[name,url,color]";
const ITEM_TREE: &str = "name,displayName,fullName,description,url,color,buildable,inQueue,nextBuildNumber,property,\
                         jobs[name,url,color],builds[number,url],firstBuild[number,url],lastBuild[number,url],\
                         lastCompletedBuild[number,url],lastSuccessfulBuild[number,url]";
const BUILD_TREE: &str = "number,id,url,displayName,fullDisplayName,result,building,inProgress,timestamp,duration,\
                          estimatedDuration,queueId,description,keepLog,actions[*],changeSets[*],changeSet[*]";

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    /// `http://host/prefix`.
    pub(super) root: String,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) view: View,
}

fn ok(template: &'static str, value: &Value) -> Reply {
    Reply::json(template, StatusCode::OK, value).with("content-type", "application/json;charset=utf-8")
}

/// The full name that a path names, and what comes behind it.
fn job_path<'p>(parts: &'p [&'p str]) -> (String, &'p [&'p str]) {
    let mut names = Vec::new();
    let mut rest = parts;
    while let ["job", name, more @ ..] = rest {
        names.push(*name);
        rest = more;
    }
    (names.join("/"), rest)
}

impl Call<'_> {
    pub(super) fn answer(&self, world: &mut World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (&self.request.method, parts.as_slice()) {
            (&Method::GET, ["api", "json"]) => self.with_tree(ROOT_TREE, |tree| ok("GET /api/json", &self.json(world).root(tree))),
            (&Method::GET, ["me", "api", "json"]) => self.me(),
            (&Method::GET, ["whoAmI", "api", "json"]) => self.who(),
            (&Method::GET, ["crumbIssuer", "api", "json"]) => ok(
                "GET /crumbIssuer/api/json",
                &json!({ "_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": CRUMB, "crumbRequestField": "Jenkins-Crumb" }),
            )
            .with("set-cookie", format!("{SESSION}; Path=/; HttpOnly")),
            (&Method::POST, ["queue", "cancelItem"]) => self.cancel_item(world),
            (method, ["job", ..]) => {
                let (full_name, rest) = job_path(&parts);
                if method == Method::POST { self.post(world, &full_name, rest) } else { self.get(world, &full_name, rest) }
            }
            _ => not_found(),
        }
    }

    fn json<'w>(&'w self, world: &'w World) -> Json<'w> {
        Json { root: &self.root, world, caller: self.caller, view: self.view }
    }

    fn with_tree(&self, default: &str, make: impl FnOnce(&Tree) -> Reply) -> Reply {
        match Tree::parse(&self.request.param("tree").unwrap_or_else(|| default.to_owned())) {
            Ok(tree) => make(&tree),
            Err(why) => page(
                StatusCode::BAD_REQUEST,
                "Error 400",
                &format!("java.lang.IllegalArgumentException: {why}"),
            ),
        }
    }

    fn me(&self) -> Reply {
        let Some(person) = self.caller.person() else {
            return forbidden(self.caller, "hudson.model.Hudson.Read");
        };
        let person = person.person();
        let value = json!({ "_class": "hudson.model.User", "id": person.login, "fullName": person.name, "description": null });
        self.with_tree("id,fullName", |tree| ok("GET /me/api/json", &tree.prune(value)))
    }

    fn who(&self) -> Reply {
        let name = self.caller.person().map(|p| p.person().login);
        let value = json!({
            "_class": "hudson.security.WhoAmI", "name": name.unwrap_or("anonymous"), "anonymous": name.is_none(),
            "authenticated": true,
        });
        self.with_tree("name,anonymous,authenticated", |tree| ok("GET /whoAmI/api/json", &tree.prune(value)))
    }

    fn get(&self, world: &World, full_name: &str, rest: &[&str]) -> Reply {
        let Some(found) = find(world, self.caller, self.view, full_name) else { return not_found() };
        let json = self.json(world);
        if let ["api", "json"] = rest {
            return self.with_tree(ITEM_TREE, |tree| ok("GET /job/:job/api/json", &json.found(&found, tree)));
        }
        let (Found::Job(job), [number, rest @ ..]) = (&found, rest) else { return not_found() };
        let Some(run) = number.parse().ok().and_then(|number| job.build(number)) else { return not_found() };
        let now = self.request.now;
        match rest {
            ["api", "json"] => self.with_tree(BUILD_TREE, |tree| {
                ok("GET /job/:job/:build/api/json", &json.build(job, run, tree))
            }),
            ["wfapi", "describe"] if job.is_pipeline() => {
                ok("GET /job/:job/:build/wfapi/describe", &stages::describe(job, run, now))
            }
            ["consoleText"] => {
                let text = stages::console(job, run, now);
                Reply::text(
                    "GET /job/:job/:build/consoleText",
                    StatusCode::OK,
                    "text/plain;charset=utf-8",
                    text,
                )
            }
            ["logText", "progressiveText"] => {
                let text = stages::console(job, run, now).into_bytes();
                // A start behind the end begins anew.
                let start = self.request.param("start").and_then(|s| s.parse::<usize>().ok()).unwrap_or(0);
                let start = if start > text.len() { 0 } else { start };
                let size = text.len();
                let reply = Reply::text(
                    "GET /job/:job/:build/logText/progressiveText",
                    StatusCode::OK,
                    "text/plain;charset=utf-8",
                    text[start..].to_vec(),
                )
                .with("x-text-size", size.to_string());
                if result(run).is_none() { reply.with("x-more-data", "true") } else { reply }
            }
            _ => not_found(),
        }
    }

    fn post(&self, world: &mut World, full_name: &str, rest: &[&str]) -> Reply {
        let Some(Found::Job(job)) = find(world, self.caller, self.view, full_name) else {
            return not_found();
        };
        let may = self.caller.may_act();
        let (id, disabled) = (job.project.id, job.is_disabled());
        match rest {
            ["build" | "buildWithParameters"] if !may => forbidden(self.caller, "hudson.model.Item.Build"),
            ["build" | "buildWithParameters"] if disabled => {
                page(StatusCode::CONFLICT, "Error 409", &format!("{full_name} is not buildable"))
            }
            [how @ ("build" | "buildWithParameters")] => {
                let parameterized = job.is_parameterized();
                if parameterized != (*how == "buildWithParameters") {
                    let text = if parameterized { "Nothing is submitted" } else { "is not parameterized" };
                    return page(StatusCode::BAD_REQUEST, "Error 400", text);
                }
                let branch = job
                    .runs()
                    .next()
                    .map(|run| run.branch.clone())
                    .or_else(|| job.project.default_branch.clone());
                self.build(world, id, branch.as_deref().unwrap_or("main"))
            }
            [_, "stop"] if !may => forbidden(self.caller, "hudson.model.Item.Cancel"),
            [number, "stop"] => {
                let Some(run) = number.parse().ok().and_then(|number| job.build(number)) else {
                    return not_found();
                };
                let (run, page) = (run.id, format!("{}/{}{number}/", self.root, job.path()));
                // One that has ended stays as it is, and nothing says so.
                let _ = world.cancel(id, run);
                Reply::text("POST /job/:job/:build/stop", StatusCode::FOUND, "text/html", "")
                    .with("location", page)
            }
            _ => not_found(),
        }
    }

    fn build(&self, world: &mut World, id: ProjectId, branch: &str) -> Reply {
        match world.start(id, branch, 0, Trigger::Manual, true) {
            Ok(run) => Reply::text("POST /job/:job/build", StatusCode::CREATED, "text/html", "")
                .with("location", format!("{}/queue/item/{run}/", self.root)),
            Err(_) => page(StatusCode::CONFLICT, "Error 409", "is not buildable"),
        }
    }

    fn cancel_item(&self, world: &mut World) -> Reply {
        if !self.caller.may_act() {
            return forbidden(self.caller, "hudson.model.Item.Cancel");
        }
        let wanted = self.request.param("id").and_then(|id| id.parse::<u64>().ok());
        let waits = |status| matches!(status, RunStatus::Created | RunStatus::Queued);
        let found = wanted.and_then(|wanted| {
            let of_face = world.projects_of(FACE).filter(|p| self.caller.sees(p));
            of_face
                .filter_map(|p| Some((p.id, p.pipeline(wanted)?)))
                .find(|(_, run)| waits(run.status))
                .map(|(p, run)| (p, run.id))
        });
        if let Some((project, run)) = found {
            let _ = world.cancel(project, run);
        }
        Reply::text("POST /queue/cancelItem", StatusCode::NO_CONTENT, "text/html", "")
    }
}

//! Jenkins' objects. What is dear is made only when a tree asks for it; what is made is then cut to the tree.

use serde_json::{Map, Value, json};

use super::jobs::{Found, Job, View, child, children, folder_class, folder_path, items};
use super::tree::Tree;
use crate::access::Caller;
use crate::http::encode;
use crate::world::{Pipeline, Project, RunStatus, Shape, Trigger, World};

/// `builds` has no more; `allBuilds` has the rest.
const MAX_BUILDS: usize = 100;

/// Makes objects for one request.
pub(super) struct Json<'a> {
    /// Jenkins' root without a slash at its end.
    pub(super) root: &'a str,
    pub(super) world: &'a World,
    pub(super) caller: &'a Caller,
    pub(super) view: View,
}

/// `SUCCESS` and its like; `None` while it is built.
pub(super) fn result(run: &Pipeline) -> Option<&'static str> {
    match run.status {
        RunStatus::Success if run.warnings => Some("UNSTABLE"),
        RunStatus::Success => Some("SUCCESS"),
        RunStatus::Failed => Some("FAILURE"),
        RunStatus::Canceled => Some("ABORTED"),
        RunStatus::Skipped => Some("NOT_BUILT"),
        RunStatus::Created | RunStatus::Queued | RunStatus::Running | RunStatus::Manual => None,
    }
}

impl Json<'_> {
    /// Anything by a tree.
    pub(super) fn found(&self, found: &Found<'_>, tree: &Tree) -> Value {
        tree.prune(self.whole(found, tree))
    }

    /// The same before it is cut. Only the outermost object is cut, or ranges would count twice.
    fn whole(&self, found: &Found<'_>, tree: &Tree) -> Value {
        match found {
            Found::Folder(name) => self.folder(name, tree),
            Found::Multibranch(project) => self.multibranch(project, tree),
            Found::Job(job) => self.job(job, tree),
        }
    }

    /// A list of items, of which only those in the range are made.
    fn list(&self, name: &str, tree: &Tree, fields: &mut Map<String, Value>, all: &[Found<'_>]) {
        let Some((inner, range)) = tree.get(name) else { return };
        // The others are not made: the range leaves them out.
        let rows = all.iter().enumerate().map(|(at, item)| {
            if (range.from..range.to).contains(&at) { self.whole(item, inner) } else { Value::Null }
        });
        fields.insert(name.to_owned(), rows.collect());
    }

    pub(super) fn root(&self, tree: &Tree) -> Value {
        let mut fields = Map::new();
        fields.insert("_class".into(), json!("hudson.model.Hudson"));
        fields.insert("mode".into(), json!("NORMAL"));
        fields.insert("nodeDescription".into(), json!("the Jenkins controller's built-in node"));
        fields.insert("url".into(), json!(format!("{}/", self.root)));
        fields.insert("useSecurity".into(), json!(true));
        self.list("jobs", tree, &mut fields, &items(self.world, self.caller, self.view, ""));
        tree.prune(Value::Object(fields))
    }

    fn folder(&self, name: &str, tree: &Tree) -> Value {
        let mut fields = Map::new();
        let last = name.rsplit('/').next().unwrap_or(name);
        fields.insert("_class".into(), json!(folder_class(name)));
        fields.insert("name".into(), json!(last));
        fields.insert("displayName".into(), json!(last));
        fields.insert("fullName".into(), json!(name));
        fields.insert("url".into(), json!(format!("{}/{}", self.root, folder_path(name))));
        self.list("jobs", tree, &mut fields, &items(self.world, self.caller, self.view, name));
        Value::Object(fields)
    }

    fn multibranch(&self, project: &Project, tree: &Tree) -> Value {
        let mut fields = Map::new();
        let full = project.full_path();
        fields.insert(
            "_class".into(),
            json!("org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"),
        );
        fields.insert("name".into(), json!(project.path));
        fields.insert("displayName".into(), json!(project.name));
        fields.insert("fullName".into(), json!(full));
        fields.insert("description".into(), json!(project.description));
        fields.insert("url".into(), json!(format!("{}/{}", self.root, folder_path(&full))));
        if matches!(project.shape, Shape::CiDisabled | Shape::Archived) {
            fields.insert("disabled".into(), json!(true));
        }
        if tree.get("jobs").is_some() {
            let jobs: Vec<Found<'_>> =
                children(project).into_iter().map(|one| Found::Job(child(project, one))).collect();
            self.list("jobs", tree, &mut fields, &jobs);
        }
        Value::Object(fields)
    }

    fn job(&self, job: &Job<'_>, tree: &Tree) -> Value {
        let mut fields = Map::new();
        let project = job.project;
        let class = if job.is_pipeline() {
            "org.jenkinsci.plugins.workflow.job.WorkflowJob"
        } else {
            "hudson.model.FreeStyleProject"
        };
        let queued = job.queued();
        let disabled = job.is_disabled();
        let next = queued
            .map_or_else(|| project.pipelines().last().map_or(1, |run| run.number + 1), |run| run.number);
        fields.insert("_class".into(), json!(class));
        fields.insert("name".into(), json!(job.name()));
        fields.insert("displayName".into(), json!(super::decode(job.name())));
        fields.insert("fullName".into(), json!(job.full_name()));
        fields.insert("description".into(), json!(project.description));
        fields.insert("url".into(), json!(format!("{}/{}", self.root, job.path())));
        fields.insert("color".into(), json!(color(job, disabled)));
        fields.insert("disabled".into(), json!(disabled));
        fields.insert("buildable".into(), json!(!disabled));
        fields.insert("inQueue".into(), json!(queued.is_some()));
        fields.insert("nextBuildNumber".into(), json!(next));
        fields.insert("queueItem".into(), queued.map_or(Value::Null, |run| self.queue_item(job, run)));
        fields.insert("actions".into(), self.job_actions(job));
        fields.insert("property".into(), properties(job));
        type Permalink<'a> = fn(&Job<'a>) -> Option<&'a Pipeline>;
        let permalinks: [(&str, Permalink<'_>); 4] = [
            ("lastBuild", |job| job.builds().next()),
            ("lastCompletedBuild", |job| job.builds().find(|run| run.status.is_terminal())),
            ("lastSuccessfulBuild", |job| job.builds().find(|run| run.status == RunStatus::Success)),
            ("firstBuild", |job| job.builds().last()),
        ];
        for (name, run) in permalinks {
            if let Some((inner, _)) = tree.get(name) {
                let build = run(job).map_or(Value::Null, |run| self.whole_build(job, run, inner));
                fields.insert(name.into(), build);
            }
        }
        for (name, most) in [("builds", MAX_BUILDS), ("allBuilds", usize::MAX)] {
            let Some((inner, range)) = tree.get(name) else { continue };
            let rows = job.builds().take(most).enumerate().map(|(at, run)| {
                if (range.from..range.to).contains(&at) {
                    self.whole_build(job, run, inner)
                } else {
                    Value::Null
                }
            });
            fields.insert(name.into(), rows.collect());
        }
        Value::Object(fields)
    }

    /// Empty objects, as the real ones are, and the branch source's mark of the default branch.
    fn job_actions(&self, job: &Job<'_>) -> Value {
        let mut actions = vec![json!({}), json!({})];
        let default = job.project.default_branch.as_deref();
        if job.child.as_ref().is_some_and(|c| Some(super::decode(&c.name).as_str()) == default) {
            actions.push(json!({ "_class": "jenkins.scm.api.metadata.PrimaryInstanceMetadataAction" }));
        }
        actions.push(json!({ "_class": "com.cloudbees.plugins.credentials.ViewCredentialsAction" }));
        Value::Array(actions)
    }

    fn queue_item(&self, job: &Job<'_>, run: &Pipeline) -> Value {
        json!({
            "_class": "hudson.model.Queue$BuildableItem",
            "id": run.id, "blocked": false, "buildable": true, "stuck": false,
            "inQueueSince": run.created_at.as_millisecond(), "why": "Waiting for next available executor",
            "url": format!("queue/item/{}/", run.id),
            "task": { "name": job.name(), "url": format!("{}/{}", self.root, job.path()) },
        })
    }

    /// A build by a tree.
    pub(super) fn build(&self, job: &Job<'_>, run: &Pipeline, tree: &Tree) -> Value {
        tree.prune(self.whole_build(job, run, tree))
    }

    fn whole_build(&self, job: &Job<'_>, run: &Pipeline, tree: &Tree) -> Value {
        let number = run.number;
        let word = result(run);
        let began = run.started_at.unwrap_or(run.created_at);
        let ended = run.finished_at.filter(|_| word.is_some());
        let duration = ended.map_or(0, |at| (at.as_millisecond() - began.as_millisecond()).max(0));
        let estimate =
            job.project.workflows.get(run.workflow).map_or(-1, |w| i64::from(w.median_seconds) * 1_000);
        let class = if job.is_pipeline() {
            "org.jenkinsci.plugins.workflow.job.WorkflowRun"
        } else {
            "hudson.model.FreeStyleBuild"
        };
        let mut fields = json!({
            "_class": class, "number": number, "id": number.to_string(), "displayName": format!("#{number}"),
            "fullDisplayName": format!("{} #{number}", job.full_name().replace('/', " » ")),
            "url": format!("{}/{}{number}/", self.root, job.path()),
            "result": word, "building": word.is_none(), "inProgress": word.is_none(),
            "timestamp": began.as_millisecond(), "duration": duration, "estimatedDuration": estimate,
            "queueId": run.id, "description": null, "keepLog": false,
        });
        let Some(map) = fields.as_object_mut() else { return fields };
        if tree.get("actions").is_some() {
            map.insert("actions".into(), self.build_actions(job, run));
        }
        let (one, many) =
            if job.is_pipeline() { (None, Some("changeSets")) } else { (Some("changeSet"), None) };
        if let Some(name) = one.filter(|name| tree.get(name).is_some()) {
            map.insert(name.into(), change_set(job.project, run));
        }
        if let Some(name) = many.filter(|name| tree.get(name).is_some()) {
            map.insert(name.into(), json!([change_set(job.project, run)]));
        }
        fields
    }

    fn build_actions(&self, job: &Job<'_>, run: &Pipeline) -> Value {
        let project = job.project;
        let person = run.actor.person();
        let cause = match run.trigger {
            Trigger::Push | Trigger::Tag | Trigger::MergeRequest(_) if job.child.is_some() => {
                json!({ "_class": "jenkins.branch.BranchEventCause", "shortDescription": "Push event to branch" })
            }
            Trigger::Push | Trigger::Tag | Trigger::MergeRequest(_) => {
                json!({ "_class": "hudson.triggers.SCMTrigger$SCMTriggerCause", "shortDescription": "Started by an SCM change" })
            }
            Trigger::Schedule => {
                json!({ "_class": "hudson.triggers.TimerTrigger$TimerTriggerCause", "shortDescription": "Started by timer" })
            }
            Trigger::Manual => json!({
                "_class": "hudson.model.Cause$UserIdCause", "shortDescription": format!("Started by user {}", person.name),
                "userId": person.login, "userName": person.name,
            }),
            Trigger::Workflow => json!({
                "_class": "hudson.model.Cause$UpstreamCause", "shortDescription": "Started by upstream project",
                "upstreamProject": project.full_path(), "upstreamBuild": 1,
            }),
        };
        let built = |sha: &str, branch: &str, url: String| {
            json!({
                "_class": "hudson.plugins.git.util.BuildData",
                "lastBuiltRevision": { "SHA1": sha, "branch": [{ "SHA1": sha, "name": format!("refs/remotes/origin/{branch}") }] },
                "remoteUrls": [url], "scmName": "",
            })
        };
        let mut actions = vec![json!({ "_class": "hudson.model.CauseAction", "causes": [cause] }), json!({})];
        if job.is_pipeline() {
            actions.push(built(
                "1db0a1db0a1db0a1db0a1db0a1db0a1db0a1db0a",
                "main",
                "https://git.example.invalid/ci/shared-library.git".to_owned(),
            ));
        }
        let url =
            format!("https://git.example.invalid/{}.git", encode(&project.full_path()).replace("%2F", "/"));
        actions.push(built(&run.sha, &run.branch, url));
        if job.is_parameterized() {
            actions.push(json!({
                "_class": "hudson.model.ParametersAction",
                "parameters": [{ "_class": "hudson.model.StringParameterValue", "name": "TARGET", "value": "staging" }],
            }));
        }
        actions.push(json!({ "_class": "org.jenkinsci.plugins.displayurlapi.actions.RunDisplayAction" }));
        Value::Array(actions)
    }
}

fn change_set(project: &Project, run: &Pipeline) -> Value {
    let item = |commit: &crate::world::Commit| {
        let person = commit.author.person();
        json!({
            "_class": "hudson.plugins.git.GitChangeSet", "commitId": &*commit.sha, "id": &*commit.sha, "msg": &*commit.title,
            "comment": format!("{}\n", commit.title), "timestamp": commit.at.as_millisecond(),
            "author": { "absoluteUrl": null, "fullName": person.name }, "authorEmail": format!("{}@example.invalid", person.login),
        })
    };
    let items: Vec<Value> = project.commit(&run.sha).map(item).into_iter().collect();
    json!({ "_class": "hudson.plugins.git.GitChangeSetList", "kind": "git", "items": items })
}

fn properties(job: &Job<'_>) -> Value {
    let mut all = vec![json!({ "_class": "jenkins.model.BuildDiscarderProperty" })];
    if job.child.is_some() {
        all.push(
            json!({ "_class": "org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty", "branch": {} }),
        );
    } else if job.is_parameterized() {
        all.push(json!({
            "_class": "hudson.model.ParametersDefinitionProperty",
            "parameterDefinitions": [{
                "_class": "hudson.model.StringParameterDefinition", "name": "TARGET", "type": "StringParameterDefinition",
                "defaultParameterValue": { "_class": "hudson.model.StringParameterValue", "name": "TARGET", "value": "staging" },
            }],
        }));
    }
    Value::Array(all)
}

/// The ball: the newest completed build's colour, blinking while one is built.
fn color(job: &Job<'_>, disabled: bool) -> String {
    let last = job.builds().find(|run| run.status.is_terminal());
    let base = match last.and_then(result) {
        _ if disabled => "disabled",
        Some("SUCCESS") => "blue",
        Some("UNSTABLE") => "yellow",
        Some("FAILURE") => "red",
        Some("ABORTED") => "aborted",
        _ => "notbuilt",
    };
    let runs = job.builds().next().is_some_and(|run| !run.status.is_terminal());
    format!("{base}{}", if runs { "_anime" } else { "" })
}

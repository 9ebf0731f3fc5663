//! What started a build, and whose it is.

use domain::Person;

use crate::wire::{Action, Build, Cause, Change};

/// A cause of a pull request's build, whatever it was.
const PULL_REQUEST: &str = "pull_request";

/// The last part of a class's name, without `Cause` behind it.
fn simple(class: &str) -> &str {
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    name.strip_suffix("Cause").unwrap_or(name)
}

/// The event of one cause, in one of the words that other platforms use as well where there is one.
fn of_class(class: &str) -> String {
    match simple(class) {
        "UserId" | "User" | "Replay" | "Rebuild" | "RestartDeclarativePipeline" => "manual".to_owned(),
        "TimerTrigger" | "ParameterizedTimerTrigger" => "schedule".to_owned(),
        "SCMTrigger" | "BranchEvent" | "BranchIndexing" | "GitHubPush" | "GitLabPush" | "GitLabWebHook"
        | "BitBucketPush" | "BitbucketPush" | "GiteaPush" | "Commit" => "push".to_owned(),
        "GhprbCause" | "Ghprb" | "GitHubPR" | "GitHubPullRequest" | "StashCause" | "BitbucketPullRequest" => {
            PULL_REQUEST.to_owned()
        }
        "Upstream" | "BuildUpstream" => "upstream".to_owned(),
        "Remote" => "api".to_owned(),
        "Generic" => "webhook".to_owned(),
        // The class of another plugin: its own name says most.
        other => other.to_owned(),
    }
}

fn causes(row: &Build) -> impl Iterator<Item = &Cause> {
    row.actions.items.iter().flat_map(|action| &action.causes.items)
}

/// What started it. A build of a pull request says so unless a person or the clock did it; the first cause that is known
/// counts, since a replayed build has the causes of the first one behind its own.
pub(crate) fn event(row: &Build, of_change_request: bool) -> Option<String> {
    let event = causes(row).filter_map(|c| c.class.as_deref()).map(of_class).find(|e| !e.is_empty());
    match event.as_deref() {
        None | Some("push") if of_change_request => Some(PULL_REQUEST.to_owned()),
        _ => event,
    }
}

fn changes(row: &Build) -> impl Iterator<Item = &Change> {
    let sets = row.change_sets.items.iter().chain(&row.change_set);
    sets.flat_map(|set| &set.items.items)
}

/// The commit that a build is about: the one it checked out, else the newest that is new in it.
pub(crate) fn change<'a>(row: &'a Build, sha: Option<&str>) -> Option<&'a Change> {
    let own = sha.and_then(|sha| changes(row).find(|c| c.commit_id.as_deref() == Some(sha)));
    own.or_else(|| changes(row).max_by_key(|c| c.timestamp))
}

/// Who wrote the commit, else who started the build.
pub(crate) fn author(row: &Build, change: Option<&Change>) -> Option<Person> {
    let wrote = change.and_then(|c| c.author.as_ref()).and_then(|a| {
        let name = a.full_name.clone().or_else(|| a.id.clone())?;
        Some(Person { name, login: a.id.clone(), avatar_url: None })
    });
    wrote.or_else(|| {
        let cause = causes(row).find(|c| c.user_name.is_some() || c.user_id.is_some())?;
        let name = cause.user_name.clone().or_else(|| cause.user_id.clone())?;
        Some(Person { name, login: cause.user_id.clone(), avatar_url: None })
    })
}

/// The commit that was checked out. A build has one note for each checkout, shared libraries before the job's own: the
/// note counts that has a commit that is new in the build, then the one of the branch, then of the repository that is
/// called like the job, then the last.
pub(crate) fn revision(row: &Build, job: &str, branch: Option<&str>) -> Option<String> {
    let score = |action: &Action| -> Option<(u8, String)> {
        let revision = action.last_built_revision.as_ref()?;
        let sha = revision.sha1.clone()?;
        let is_new = changes(row).any(|c| c.commit_id.as_deref() == Some(&sha));
        let of_branch = branch.is_some_and(|branch| {
            revision
                .branch
                .items
                .iter()
                .filter_map(|b| b.name.as_deref())
                .any(|name| short_ref(name) == branch)
        });
        let of_job = action.remote_urls.items.iter().any(|url| repository(url).eq_ignore_ascii_case(job));
        Some((u8::from(is_new) * 4 + u8::from(of_branch) * 2 + u8::from(of_job), sha))
    };
    // Of several that are as good, `max_by_key` gives the last.
    let git = row.actions.items.iter().filter_map(score).max_by_key(|(score, _)| *score);
    git.map(|(_, sha)| sha)
        .or_else(|| row.actions.items.iter().find_map(|a| a.mercurial_revision_number.clone()))
}

/// `main` of `refs/remotes/origin/main`, `origin/main` and `main`.
fn short_ref(name: &str) -> &str {
    let name =
        name.strip_prefix("refs/remotes/").or_else(|| name.strip_prefix("refs/heads/")).unwrap_or(name);
    name.strip_prefix("origin/").unwrap_or(name)
}

/// `repo` of `https://host/owner/repo.git` and of `git@host:owner/repo`.
fn repository(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let name = url.rsplit(['/', ':']).next().unwrap_or(url);
    name.strip_suffix(".git").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn build(value: Value) -> Build {
        serde_json::from_value(value).unwrap()
    }

    fn caused(classes: &[&str]) -> Build {
        let causes: Vec<_> = classes.iter().map(|c| json!({ "_class": c })).collect();
        build(json!({ "actions": [{}, null, { "causes": causes }] }))
    }

    #[test]
    fn every_cause_has_its_event() {
        for (class, event) in [
            ("hudson.model.Cause$UserIdCause", "manual"),
            ("hudson.model.Cause$UserCause", "manual"),
            ("hudson.triggers.TimerTrigger$TimerTriggerCause", "schedule"),
            ("org.jenkinsci.plugins.parameterizedscheduler.ParameterizedTimerTriggerCause", "schedule"),
            ("hudson.triggers.SCMTrigger$SCMTriggerCause", "push"),
            ("com.cloudbees.jenkins.GitHubPushCause", "push"),
            ("com.dabsquared.gitlabjenkins.cause.GitLabWebHookCause", "push"),
            ("jenkins.branch.BranchEventCause", "push"),
            ("jenkins.branch.BranchIndexingCause", "push"),
            ("hudson.model.Cause$UpstreamCause", "upstream"),
            ("org.jenkinsci.plugins.workflow.support.steps.build.BuildUpstreamCause", "upstream"),
            ("hudson.model.Cause$RemoteCause", "api"),
            ("org.jenkinsci.plugins.workflow.cps.replay.ReplayCause", "manual"),
            ("org.jenkinsci.plugins.gwt.GenericCause", "webhook"),
            ("org.jenkinsci.plugins.ghprb.GhprbCause", "pull_request"),
            ("com.example.MoonPhaseCause", "MoonPhase"),
        ] {
            assert_eq!(event_of(&[class], false).as_deref(), Some(event), "{class}");
        }
        assert_eq!(event_of(&[], false), None);
        assert_eq!(event_of(&[], true).as_deref(), Some("pull_request"));
        assert_eq!(event_of(&["jenkins.branch.BranchEventCause"], true).as_deref(), Some("pull_request"));
        assert_eq!(event_of(&["hudson.model.Cause$UserIdCause"], true).as_deref(), Some("manual"));
    }

    fn event_of(classes: &[&str], of_change_request: bool) -> Option<String> {
        event(&caused(classes), of_change_request)
    }

    #[test]
    fn the_own_checkout_is_told_from_a_librarys() {
        let checkout = |sha: &str, branch: &str, url: &str| json!({ "lastBuiltRevision": { "SHA1": sha, "branch": [{ "name": branch }] }, "remoteUrls": [url] });
        let library = checkout("aaa", "refs/remotes/origin/main", "https://host/ci/library.git");
        let own = checkout("bbb", "origin/feature/x", "git@host:shop/cart.git");
        for actions in [json!([library, {}, own]), json!([own, library])] {
            let row = build(json!({ "actions": actions }));
            assert_eq!(revision(&row, "cart", None).as_deref(), Some("bbb"));
            assert_eq!(revision(&row, "job", Some("feature/x")).as_deref(), Some("bbb"));
            assert_eq!(revision(&row, "library", None).as_deref(), Some("aaa"));
        }
        let row = build(json!({ "actions": [library, own] }));
        assert_eq!(revision(&row, "job", None).as_deref(), Some("bbb"), "the last, when nothing tells");
        let new = json!([{ "items": [{ "commitId": "aaa" }] }]);
        let row = build(json!({ "actions": [library, own], "changeSets": new }));
        assert_eq!(revision(&row, "job", None).as_deref(), Some("aaa"));
        let detached = checkout("ccc", "detached", "https://host/x");
        assert_eq!(
            revision(&build(json!({ "actions": [detached] })), "job", Some("main")).as_deref(),
            Some("ccc")
        );
        assert_eq!(
            revision(&build(json!({ "actions": [{ "lastBuiltRevision": 7 }, 3] })), "job", None),
            None
        );
    }

    #[test]
    fn the_author_is_who_wrote_else_who_started() {
        let items = json!([
            { "commitId": "a", "msg": "Older", "timestamp": 1_650_000_000_000_u64, "author": { "fullName": "Ann" } },
            { "commitId": "b", "msg": "Newer", "timestamp": 1_650_000_100_000_u64, "author": { "fullName": "Bob" } },
        ]);
        for row in [json!({ "changeSets": [{ "items": items }] }), json!({ "changeSet": { "items": items } })]
        {
            let row = build(row);
            let newest = change(&row, None);
            assert_eq!(newest.and_then(|c| c.msg.as_deref()), Some("Newer"));
            assert_eq!(author(&row, newest).unwrap().name, "Bob");
            assert_eq!(change(&row, Some("a")).and_then(|c| c.msg.as_deref()), Some("Older"));
        }
        let started =
            build(json!({ "actions": [{ "causes": [{ "userId": "merico", "userName": "abc" }] }] }));
        let who = author(&started, None).unwrap();
        assert_eq!((who.name.as_str(), who.login.as_deref()), ("abc", Some("merico")));
        assert_eq!(author(&build(json!({})), None), None);
    }
}

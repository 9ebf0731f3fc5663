//! What the simulated Bitbuckets answer, held against the fields that Atlassian's descriptions of both know.

use std::collections::BTreeSet;

use crate::common::{array, get, get_anonymously, get_as, send, start};
use crate::tables::Judge;
use forge_sim::world::Shape;
use forge_sim::{EXPIRED_TOKEN, FULL_TOKEN, Limits, ManualClock, NARROW_TOKEN, Sim, bitbucket, bitbucket_dc};
use serde_json::Value;
use std::sync::Arc;

const DESCRIPTION: &str = include_str!("../schemas/bitbucket.json");

async fn sim(face: forge_sim::world::FaceId, limits: Limits) -> Sim {
    let clock = Arc::new(ManualClock::new(start()));
    let builder = Sim::builder().seed(7).projects(30).faces([face]).clock(clock.clone()).limits(limits);
    let sim = builder.running(6).start().await.unwrap();
    // So that what is queued runs.
    clock.advance(jiff::SignedDuration::from_secs(30));
    sim
}

/// The rows of one page, each held against a table.
async fn page(judge: &mut Judge, envelope: &str, row: &str, url: &str) -> Vec<Value> {
    let body = judge.one(envelope, url).await;
    let rows = array(&body["values"]);
    for value in &rows {
        judge.judge(row, value);
    }
    rows
}

#[tokio::test]
async fn every_answer_fits_clouds_description() {
    let sim = sim(bitbucket::FACE, Limits { bitbucket_hourly: None, ..Limits::default() }).await;
    let api = sim.bitbucket_url();
    let mut judge = Judge::new(DESCRIPTION);
    judge.one("user", &format!("{api}/user")).await;
    let (mut states, mut targets) = (BTreeSet::new(), BTreeSet::new());
    let workspaces =
        page(&mut judge, "page", "workspace_access", &format!("{api}/user/workspaces?pagelen=100")).await;
    for workspace in workspaces {
        let slug = workspace["workspace"]["slug"].as_str().unwrap().to_owned();
        for repo in
            page(&mut judge, "page", "repository", &format!("{api}/repositories/{slug}?pagelen=100")).await
        {
            let url = format!("{api}/repositories/{}", repo["full_name"].as_str().unwrap());
            judge.one("repository", &url).await;
            for branch in page(&mut judge, "page", "branch", &format!("{url}/refs/branches?pagelen=3")).await
            {
                let name = forge_sim::http::encode(branch["name"].as_str().unwrap());
                judge.one("branch", &format!("{url}/refs/branches/{name}")).await;
                let sha = &branch["target"]["hash"].as_str().unwrap()[..12];
                page(&mut judge, "page", "commitstatus", &format!("{url}/commit/{sha}/statuses")).await;
            }
            page(&mut judge, "page", "pullrequest", &format!("{url}/pullrequests?pagelen=50")).await;
            page(&mut judge, "page", "issue", &format!("{url}/issues?pagelen=50")).await;
            if get(&format!("{url}/pipelines")).await.status == 404 {
                continue;
            }
            let runs =
                page(&mut judge, "page", "pipeline", &format!("{url}/pipelines?sort=-created_on&pagelen=60"))
                    .await;
            for run in runs.iter().take(3) {
                let uuid = forge_sim::http::encode(run["uuid"].as_str().unwrap());
                judge.one("pipeline", &format!("{url}/pipelines/{uuid}")).await;
                let steps =
                    page(&mut judge, "page", "pipeline_step", &format!("{url}/pipelines/{uuid}/steps")).await;
                states.extend(steps.iter().map(|s| s["state"]["name"].to_string()));
            }
            let inside =
                |run: &Value, part: &str| run["state"][part]["name"].as_str().unwrap_or("").to_owned();
            states.extend(runs.iter().map(|r| inside(r, "result") + &inside(r, "stage")));
            targets.extend(runs.iter().map(|r| r["target"]["selector"]["type"].to_string()));
        }
    }
    for word in ["SUCCESSFUL", "FAILED", "RUNNING"] {
        assert!(states.contains(word), "{word} of {states:?}");
    }
    assert!(targets.len() > 2, "{targets:?}");
    assert!(judge.1 > 500, "{}", judge.1);
}

#[tokio::test]
async fn clouds_doors_are_clouds() {
    let limits = Limits { bitbucket_hourly: Some(40), ..Limits::default() };
    let sim = sim(bitbucket::FACE, limits).await;
    let api = sim.bitbucket_url();
    let mut judge = Judge::new(DESCRIPTION);
    let mut refused = async |status: u16, answer: crate::common::Answer| {
        assert_eq!(answer.status, status, "{}", answer.text());
        judge.judge("failure", &answer.json());
        answer
    };
    for gone in ["repositories", "workspaces", "user/permissions/repositories"] {
        let answer = refused(410, get(&format!("{api}/{gone}")).await).await;
        assert!(answer.text().contains("CHANGE-2770"), "{}", answer.text());
    }
    refused(401, get_as(&format!("{api}/user"), EXPIRED_TOKEN, &[]).await).await;
    refused(403, get_as(&format!("{api}/user"), NARROW_TOKEN, &[]).await).await;
    refused(401, get_anonymously(&format!("{api}/user")).await).await;
    refused(404, get(&format!("{api}/repositories/nobody")).await).await;
    refused(404, get(&format!("{api}/rest/api/latest/application-properties")).await).await;
    let (name, off) = sim.world().with(|w| {
        let of = |fits: &dyn Fn(Shape) -> bool| {
            w.projects_of(bitbucket::FACE).find(|p| fits(p.shape)).map(|p| p.full_path())
        };
        (of(&|s| s == Shape::Green).unwrap(), of(&|s| s == Shape::CiDisabled))
    });
    let repo = format!("{api}/repositories/{name}");
    refused(400, get(&format!("{repo}/pullrequests?pagelen=51")).await).await;
    refused(400, get(&format!("{repo}/pipelines?pagelen=101")).await).await;
    if let Some(off) = off {
        refused(404, get(&format!("{api}/repositories/{off}/pipelines")).await).await;
    }
    // Left to itself the oldest come first; `fields` leaves out what it does not name.
    let oldest = get(&format!("{repo}/pipelines?pagelen=2&fields=values.build_number,next")).await.json();
    assert_eq!(oldest["values"], serde_json::json!([{ "build_number": 1 }, { "build_number": 2 }]));
    assert!(oldest["next"].as_str().unwrap().contains("page=2") && oldest.get("size").is_none());
    // An access token hears of its limit, an API token does not; at the end of it nobody hears until when.
    let alone = get(&format!("{api}/user")).await;
    assert_eq!(alone.header("x-ratelimit-limit"), "40");
    let basic = [("user-agent", "test"), ("authorization", "Basic bWlyYTpzaW0tZnVsbC10b2tlbg==")];
    let with_user = send("GET", &format!("{api}/user"), &basic).await;
    assert_eq!(
        (with_user.status, with_user.header("x-ratelimit-limit"), FULL_TOKEN),
        (200, "", "sim-full-token")
    );
    let mut near = false;
    let limited = loop {
        let answer = get(&format!("{api}/user")).await;
        near |= answer.header("x-ratelimit-nearlimit") == "true";
        if answer.status != 200 {
            break answer;
        }
    };
    let limited = refused(429, limited).await;
    assert!(near && limited.header("retry-after").is_empty());
}

#[tokio::test]
async fn every_answer_fits_data_centers_description() {
    let sim = sim(bitbucket_dc::FACE, Limits::default()).await;
    let site = format!("{}/context", sim.url(bitbucket_dc::FACE));
    let api = format!("{site}/rest/api/latest");
    let mut judge = Judge::new(DESCRIPTION);
    judge.one("RestApplicationProperties", &format!("{api}/application-properties")).await;
    assert_eq!(get_anonymously(&format!("{api}/application-properties")).await.status, 200);
    judge.one("RestApplicationUser", &format!("{api}/users/mira")).await;
    assert_eq!(get(&format!("{site}/plugins/servlet/applinks/whoami")).await.text(), "mira");
    let mut built = 0;
    let first = judge.one("RestPage", &format!("{api}/repos?archived=ALL&limit=7")).await;
    assert_eq!((first["isLastPage"].as_bool(), first["nextPageStart"].as_u64()), (Some(false), Some(7)));
    for repo in
        page(&mut judge, "RestPage", "RestRepository", &format!("{api}/repos?archived=ALL&limit=1000")).await
    {
        let (key, slug) = (repo["project"]["key"].as_str().unwrap(), repo["slug"].as_str().unwrap());
        let url = format!("{api}/projects/{key}/repos/{slug}");
        judge.one("RestRepository", &url).await;
        let default = get(&format!("{url}/default-branch")).await;
        if default.status == 200 {
            judge.judge("RestMinimalRef", &default.json());
        } else {
            judge.judge("RestErrors", &default.json());
            continue;
        }
        for branch in
            page(&mut judge, "RestPage", "RestBranch", &format!("{url}/branches?details=true")).await
        {
            let id = forge_sim::http::encode(branch["id"].as_str().unwrap());
            page(&mut judge, "RestPage", "RestCommit", &format!("{url}/commits?until={id}&limit=2")).await;
            let sha = branch["latestCommit"].as_str().unwrap();
            let metadata = branch["metadata"].as_object().unwrap();
            let stats = metadata.iter().find(|(name, _)| name.ends_with(":build-status-metadata")).unwrap().1;
            judge.judge("RestBuildStats", stats);
            let statuses = format!("{site}/rest/build-status/latest/commits/{sha}?orderBy=NEWEST");
            for build in page(&mut judge, "RestPage", "RestBuildStatusOfCommit", &statuses).await {
                let key = forge_sim::http::encode(build["key"].as_str().unwrap());
                judge.one("RestBuildStatus", &format!("{url}/commits/{sha}/builds?key={key}")).await;
                built += 1;
            }
        }
        page(&mut judge, "RestPage", "RestPullRequest", &format!("{url}/pull-requests?state=OPEN")).await;
    }
    assert!(built > 20 && judge.1 > 300, "{built} {}", judge.1);
    for (token, status) in [(EXPIRED_TOKEN, 401), (NARROW_TOKEN, 403)] {
        let answer = get_as(&format!("{api}/repos"), token, &[]).await;
        assert_eq!(answer.status, status);
        judge.judge("RestErrors", &answer.json());
    }
}

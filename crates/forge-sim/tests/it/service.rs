//! Pages, limits, ETags, faults and the record of requests: what the platforms' front doors do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{all_pages, array, get, get_anonymously, get_as, send, still};
use forge_sim::{Effect, FULL_TOKEN, Fault, Limits, github, gitlab};
use jiff::SignedDuration;
use serde_json::Value;

fn ids(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

fn assert_once_each(found: &[u64], expected: usize) {
    assert_eq!(found.len(), expected);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), expected, "a row came twice");
}

#[tokio::test]
async fn pages_cover_every_row_once() {
    let (builder, _clock) = still(250);
    let sim = builder.start().await.unwrap();
    let (gl, gh) = (format!("{}/api/v4", sim.gitlab_url()), sim.github_url());
    for query in [
        "per_page=7",
        "per_page=7&pagination=keyset&order_by=id&sort=asc",
        "per_page=9&pagination=keyset&order_by=id",
    ] {
        let rows = all_pages(&format!("{gl}/projects?{query}"), array).await;
        assert_once_each(&ids(&rows), 125);
    }
    assert_once_each(&ids(&all_pages(&format!("{gh}/user/repos?per_page=8"), array).await), 125);
    let runs = sim
        .world()
        .with(|world| world.get(world.project("payments/ledger-api").unwrap()).unwrap().pipelines().len());
    assert_once_each(
        &ids(&all_pages(&format!("{gl}/projects/1001/pipelines?per_page=11"), array).await),
        runs,
    );
    let url = format!("{gl}/projects/1001/jobs?pagination=keyset&order_by=id&sort=desc&per_page=100");
    let jobs = ids(&all_pages(&url, array).await);
    assert_once_each(&jobs, jobs.len());
    assert!(jobs.windows(2).all(|pair| pair[0] > pair[1]));
    let rows = |page: &Value| array(&page["workflow_runs"]);
    let url = format!("{gh}/repos/web-platform/checkout/actions/runs?per_page=13");
    let total = get(&url).await.json()["total_count"].as_u64().unwrap();
    assert_once_each(&ids(&all_pages(&url, rows).await), usize::try_from(total).unwrap());
}

#[tokio::test]
async fn page_headers_are_the_platforms() {
    let (builder, _clock) = still(60);
    let sim = builder.start().await.unwrap();
    let (gl, gh) = (format!("{}/api/v4", sim.gitlab_url()), sim.github_url());
    let first = get(&format!("{gl}/projects?per_page=20")).await;
    let shown = ["x-page", "x-per-page", "x-next-page", "x-prev-page", "x-total", "x-total-pages"]
        .map(|name| first.header(name));
    assert_eq!(shown, ["1", "20", "2", "", "30", "2"]);
    let last = get(&first.next().unwrap()).await;
    assert_eq!((last.header("x-next-page"), last.next()), ("", None));
    let big = get(&format!("{gl}/projects?per_page=5000")).await;
    assert_eq!(big.header("x-per-page"), "100", "more than 100 a page is not given");
    let keyset = get(&format!("{gl}/projects?pagination=keyset&order_by=id&per_page=20")).await;
    assert!(keyset.next().is_some() && !keyset.headers.contains_key("x-total"));
    assert_eq!(get(&format!("{gl}/projects?pagination=keyset&order_by=name")).await.status, 405);
    assert!(get(&format!("{gh}/user/repos?per_page=100")).await.next().is_none());
    let link = get(&format!("{gh}/user/repos?per_page=10&page=2")).await.header("link").to_owned();
    for rel in ["prev", "next", "last", "first"] {
        assert!(link.contains(&format!("rel=\"{rel}\"")), "{link}");
    }
}

#[tokio::test]
async fn github_counts_enforces_and_forgives() {
    let (builder, clock) = still(10);
    let limits = Limits { github_hourly: Some(5), github_anonymous_hourly: Some(2), ..Limits::default() };
    let sim = builder.limits(limits).start().await.unwrap();
    let url = format!("{}/repos/web-platform/checkout", sim.github_url());
    let first = get(&url).await;
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("5", "4"));
    // What the client has already is free …
    let etag = first.header("etag").to_owned();
    for _ in 0..10 {
        let same = get_as(&url, FULL_TOKEN, &[("if-none-match", &etag)]).await;
        assert_eq!((same.status, same.body.len(), same.header("x-ratelimit-remaining")), (304, 0, "4"));
    }
    // … and so is asking for the limits.
    let left = get(&format!("{}/rate_limit", sim.github_url())).await.json();
    assert_eq!(left["resources"]["core"]["remaining"], 4);
    for _ in 0..4 {
        assert_eq!(get(&url).await.status, 200);
    }
    let refused = get(&url).await;
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (403, "0"));
    assert!(refused.json()["message"].as_str().unwrap().starts_with("API rate limit exceeded for user ID"));
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(reset, crate::common::start().as_second() + 3_600);
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(get(&url).await.status, 200, "a new hour");
    // Strangers have a limit of their own, and a 304 costs them.
    let public = format!("{}/users/nobody/repos", sim.github_url());
    assert_eq!(get_anonymously(&public).await.header("x-ratelimit-remaining"), "1");
    get_anonymously(&public).await;
    assert_eq!(get_anonymously(&public).await.status, 403);
}

#[tokio::test]
async fn gitlab_counts_and_enforces() {
    let (builder, clock) = still(10);
    let limits =
        Limits { gitlab_per_minute: Some(3), gitlab_project_per_minute: Some(1), ..Limits::default() };
    let sim = builder.limits(limits).start().await.unwrap();
    let url = format!("{}/api/v4/projects/1001", sim.gitlab_url());
    let first = get(&url).await;
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("3", "2"));
    let own = get(&url).await;
    assert_eq!(own.status, 429, "one project by itself has a limit of its own");
    assert!(own.headers.contains_key("ratelimit-remaining") && own.header("retry-after").is_empty());
    let tag = get(&format!("{url}/pipelines")).await.header("etag").to_owned();
    let refused = get_as(&format!("{url}/pipelines"), FULL_TOKEN, &[("if-none-match", &tag)]).await;
    assert_eq!(
        (refused.status, refused.text().as_str(), refused.header("retry-after")),
        (429, "Retry later\n", "60")
    );
    clock.advance(SignedDuration::from_secs(60));
    let same = get_as(&format!("{url}/pipelines"), FULL_TOKEN, &[("if-none-match", &tag)]).await;
    assert_eq!((same.status, same.header("ratelimit-remaining")), (304, "2"), "here a 304 counts");
}

#[tokio::test]
async fn an_etag_changes_with_the_world_only() {
    let (builder, clock) = still(10);
    let sim = builder.start().await.unwrap();
    let url = format!("{}/repos/web-platform/checkout/actions/runs", sim.github_url());
    let tag = get(&url).await.header("etag").to_owned();
    assert!(tag.starts_with('"'), "strong without compression: {tag}");
    assert!(
        get_as(&url, FULL_TOKEN, &[("accept-encoding", "gzip")]).await.header("etag").starts_with("W/\"")
    );
    clock.advance(SignedDuration::from_hours(3));
    assert_eq!(get_as(&url, FULL_TOKEN, &[("if-none-match", &format!("W/{tag}"))]).await.status, 304);
    sim.world().with(|world| {
        let id = world.project("web-platform/checkout").unwrap();
        world.start_pipeline(id, "main", 0, true).unwrap();
    });
    assert_eq!(get_as(&url, FULL_TOKEN, &[("if-none-match", &tag)]).await.status, 200);
}

#[tokio::test]
async fn faults_strike_what_they_name_and_as_often() {
    let (builder, _clock) = still(10);
    let sim = builder.start().await.unwrap();
    let (faults, gl) = (sim.faults(), format!("{}/api/v4", sim.gitlab_url()));
    let url = format!("{gl}/projects/1001/pipelines");
    faults.add(Fault::on("*/pipelines", Effect::Status(502)).face(gitlab::FACE).times(2));
    assert_eq!(get(&format!("{}/user", sim.github_url())).await.status, 200);
    assert_eq!([get(&url).await.status, get(&url).await.status, get(&url).await.status], [502, 502, 200]);
    faults.add(Fault::on("*page=2*", Effect::TooMany { retry_after: 7 }).times(1)); // no `?`: the path alone
    assert_eq!(get(&format!("{url}?page=2")).await.status, 200);
    faults.clear();
    faults.add(Fault::on("*?*page=2*", Effect::TooMany { retry_after: 7 }).times(1));
    let limited = get(&format!("{url}?page=2")).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "7"));
    faults.add(Fault::on("*", Effect::CutBody).times(1));
    let cut = get(&url).await;
    assert!(!cut.whole && !cut.body.is_empty(), "cut in the middle");
    faults.add(Fault::on("*", Effect::InvalidJson).times(1));
    assert!(serde_json::from_slice::<Value>(&get(&url).await.body).is_err());
    faults.add(Fault::on("*", Effect::HugeBody(3_000_000)).times(1));
    assert!(get(&url).await.body.len() > 3_000_000);
    faults.add(Fault::on("*", Effect::LoginPage).times(1));
    assert!(get(&url).await.header("content-type").starts_with("text/html"));
    faults.add(Fault::on("*", Effect::Redirect("http://elsewhere.invalid/".to_owned())).times(1));
    assert_eq!(get(&url).await.header("location"), "http://elsewhere.invalid/");
    faults.add(Fault::on("*", Effect::Unavailable451).times(1));
    assert_eq!(get(&url).await.status, 451);
    assert_eq!(get(&url).await.status, 200, "all used up");
    let waiting = faults.clone();
    waiting.add(Fault::on("*/pipelines", Effect::Latency(Duration::from_millis(30))).times(1));
    let before = tokio::time::Instant::now();
    assert_eq!(get(&url).await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn every_request_is_on_record() {
    let (builder, _clock) = still(10);
    let sim = builder.start().await.unwrap();
    let (requests, gh) = (sim.requests(), sim.github_url());
    // One that hangs is under way while another one is answered.
    sim.faults().add(Fault::on("/user", Effect::Hang).times(1));
    let url = format!("{gh}/user");
    let mut hanging = Box::pin(get(&url));
    tokio::select! {
        _ = &mut hanging => panic!("answered"),
        () = async {
            while requests.most_at_once(github::FACE) == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    get_as(
        &format!("{gh}/repos/web-platform/checkout/branches?page=3"),
        FULL_TOKEN,
        &[("if-none-match", "\"x\"")],
    )
    .await;
    assert_eq!(requests.most_at_once(github::FACE), 2);
    drop(hanging); // the client gives up: that, too, is written down
    tokio::time::timeout(Duration::from_secs(20), async {
        while requests.total() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(requests.counts(github::FACE)["GET /repos/{owner}/{repo}/branches"], 1);
    let all = requests.all();
    assert_eq!(
        (all[0].path.as_str(), all[0].status, all[0].authorized),
        ("/repos/web-platform/checkout/branches?page=3", 200, true)
    );
    assert_eq!(all[0].if_none_match.as_deref(), Some("\"x\""));
    assert_eq!((all[1].status, all[1].template), (0, "(unanswered)"));
    assert_eq!(requests.total_of(gitlab::FACE), 0);
}

#[tokio::test]
async fn people_can_act() {
    let (builder, clock) = still(10);
    let sim = builder.start().await.unwrap();
    let auth = [("user-agent", "test"), ("authorization", "Bearer sim-full-token")];
    let project = format!("{}/api/v4/projects/1001", sim.gitlab_url());
    let failed = get(&format!("{project}/pipelines?status=failed&ref=main")).await.json()[0]["id"].clone();
    let retried = send("POST", &format!("{project}/pipelines/{failed}/retry"), &auth).await;
    assert_eq!((retried.status, &retried.json()["id"]), (201, &failed));
    assert_eq!(get(&format!("{project}/pipelines/{failed}")).await.json()["status"], "running");
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(get(&format!("{project}/pipelines/{failed}")).await.json()["status"], "success");
    let repo = format!("{}/repos/web-platform/checkout", sim.github_url());
    let run = get(&format!("{repo}/actions/runs?status=failure&branch=main")).await.json()["workflow_runs"]
        [0]["id"]
        .clone();
    assert_eq!(
        send("POST", &format!("{repo}/actions/runs/{run}/rerun-failed-jobs"), &auth).await.status,
        201
    );
    assert_eq!(get(&format!("{repo}/actions/runs/{run}")).await.json()["run_attempt"], 2);
    assert_eq!(send("POST", &format!("{repo}/actions/runs/{run}/cancel"), &auth).await.status, 202);
    assert_eq!(send("POST", &format!("{repo}/actions/runs/{run}/cancel"), &auth).await.status, 409);
}

#[tokio::test]
async fn dropping_the_simulation_closes_its_doors() {
    let (builder, _clock) = still(4);
    let sim = builder.start().await.unwrap();
    let url = sim.github_url();
    let address = url.trim_start_matches("http://").to_owned();
    assert_eq!(get(&format!("{url}/user")).await.status, 200);
    drop(sim);
    let closed = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
}

//! What is kept: one question per version however many look, and the last answer while the aggregator is away.

use std::time::Duration;

use crate::house::{House, get};
use crate::kit::{Script, World};
use jiff::SignedDuration;
use tokio::time::Instant;

const OVERVIEW: &str = "list_projects";

#[tokio::test(start_paused = true)]
async fn a_hundred_viewers_cost_one_question_a_version() {
    let world = World::new(Script::default()).await;
    let path = "/api/v1/projects?q=everyone";
    let before = world.aggregator.calls(OVERVIEW);
    let replies = futures::future::join_all((0..100).map(|_| world.get(path))).await;
    assert!(replies.iter().all(|r| r.status == 200));
    assert_eq!(world.aggregator.calls(OVERVIEW), before + 1);
    world.aggregator.change(&[("gl", "42")]);
    world.until_heard().await;
    let before = world.aggregator.calls(OVERVIEW);
    let replies = futures::future::join_all((0..100).map(|_| world.get(path))).await;
    assert!(replies.iter().all(|r| r.json()["version"] == "7.2"));
    assert_eq!(world.aggregator.calls(OVERVIEW), before + 1);
}

/// A merge request that moves makes nobody draw the overview anew, nor a build the issues.
#[tokio::test(start_paused = true)]
async fn a_version_costs_only_what_it_alters() {
    let world = World::new(Script::default()).await;
    let asks = ["list_projects", "list_merge_requests", "list_issues"];
    let paths = ["/?q=x", "/merge-requests", "/issues"];
    let cost = async || {
        let before = asks.map(|ask| world.aggregator.calls(ask));
        for path in paths {
            assert_eq!(world.get(path).await.status, 200);
        }
        let after = asks.map(|ask| world.aggregator.calls(ask));
        [after[0] - before[0], after[1] - before[1], after[2] - before[2]]
    };
    assert_eq!(cost().await, [1, 1, 1]);
    assert_eq!(cost().await, [0, 0, 0], "nothing moved");
    world.aggregator.change_lists(&[("gl", "42")]);
    world.until_heard().await;
    assert_eq!(cost().await, [0, 1, 1], "the lists did");
    world.aggregator.change(&[("gl", "42")]);
    world.until_heard().await;
    // The overview itself is kept at hand as well.
    let [overview, merge_requests, issues] = cost().await;
    assert!(overview >= 1, "the board did");
    assert_eq!((merge_requests, issues), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_too() {
    let world = World::new(Script::default()).await;
    world.aggregator.script().fail = Some(tonic::Status::not_found("no"));
    let replies = futures::future::join_all((0..50).map(|_| world.get("/api/v1/projects/gl/42"))).await;
    replies.iter().for_each(|r| drop(r.problem(404)));
    assert_eq!(world.aggregator.calls("get_project"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_moves_without_a_version_is_not_kept_for_long() {
    let world = World::new(Script::default()).await;
    let path = "/api/v1/projects?q=x";
    world.get(path).await;
    let before = world.aggregator.calls(OVERVIEW);
    tokio::time::advance(Duration::from_secs(20)).await;
    world.get(path).await;
    assert_eq!(world.aggregator.calls(OVERVIEW), before);
    tokio::time::advance(Duration::from_secs(20)).await;
    world.get(path).await;
    assert_eq!(world.aggregator.calls(OVERVIEW), before + 1);
    // Details: only what comes at the same moment.
    for _ in 0..3 {
        world.get("/api/v1/projects/gl/42/branches").await;
    }
    assert_eq!(world.aggregator.calls("list_branches"), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    world.get("/api/v1/projects/gl/42/branches").await;
    assert_eq!(world.aggregator.calls("list_branches"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_answers_stay_while_the_aggregator_is_away() {
    let world = World::new(Script::default()).await;
    let paths = ["/api/v1/projects?q=seen", "/projects/gl/42", "/"];
    for path in paths {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("age"), None);
    }
    world.clock.advance(SignedDuration::from_mins(3));
    world.aggregator.away();
    world.until_link("lost").await;
    world.clock.advance(SignedDuration::from_mins(2));
    let begun = Instant::now();
    for path in paths {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("warning").unwrap().starts_with("110 "), "{path}");
        // What stood until the link broke dates from then; a detail from when it was read.
        let (age, as_of) = match path {
            "/projects/gl/42" => ("300", "2026-11-24T12:00:00Z"),
            _ => ("120", "2026-11-24T12:03:00Z"),
        };
        assert_eq!(reply.header("age"), Some(age), "{path}");
        assert_eq!(reply.header("as-of"), Some(as_of), "{path}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Old answers have their validators, too.
    let etag = world.get("/").await.header("etag").unwrap().to_owned();
    assert_eq!(world.get_with("/", &[("if-none-match", &etag)]).await.status, 304);
    assert_eq!(world.get("/api/ready").await.status, 200);
    let health = world.get("/api/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["aggregator"]["state"], "lost");
    assert!(health.json()["aggregator"]["error"].is_string());

    world.aggregator.restarted();
    world.until_link("connected").await;
    let reply = world.get(paths[0]).await;
    assert_eq!(reply.json()["version"], "8.1");
    assert_eq!((reply.header("age"), reply.header("warning")), (None, None));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_never_shown_waits_and_then_says_so() {
    let world = World::new(Script::default()).await;
    world.aggregator.away();
    world.until_link("lost").await;
    let begun = Instant::now();
    let reply = world.get("/api/v1/projects?q=never").await;
    reply.problem(503);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(begun.elapsed().as_secs(), 5);
    let page = world.get("/?q=never").await;
    assert_eq!(page.status, 503);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.header("retry-after").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_as_soon_as_it_is_back() {
    let world = World::new(Script::default()).await;
    world.aggregator.away();
    world.until_link("lost").await;
    // Long enough that attempts have become rare.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let back = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.aggregator.back();
    };
    let begun = Instant::now();
    let (reply, ()) = tokio::join!(world.get("/api/v1/projects?q=new"), back);
    assert_eq!(reply.status, 200);
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn however_often_it_breaks_while_somebody_waits_the_question_is_asked_again() {
    let world = World::new(Script::default()).await;
    world.aggregator.script().hang = true;
    let restarts = async {
        for n in 1..=3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(world.aggregator.calls("get_project"), n);
            world.aggregator.away();
            world.aggregator.script().hang = n < 3;
            world.until_link("lost").await;
            world.aggregator.restarted();
        }
    };
    let (reply, ()) = tokio::join!(world.get("/api/v1/projects/gl/42"), restarts);
    assert_eq!(reply.status, 200);
    assert_eq!(world.aggregator.calls("get_project"), 4);
}

/// The aggregator may take its time for what nobody has seen yet. Where something older stands in, it is asked for what it knows.
#[tokio::test(start_paused = true)]
async fn the_aggregator_is_told_how_long_it_may_take() {
    let world = World::new(Script::default()).await;
    let path = "/api/v1/projects/gl/42";
    assert_eq!(world.get(path).await.status, 200);
    assert_eq!(world.aggregator.calls("get_project, and waits"), 1);
    world.aggregator.change(&[("gl", "42")]);
    world.until_heard().await;
    assert_eq!(world.get(path).await.status, 200);
    assert_eq!(
        (world.aggregator.calls("get_project"), world.aggregator.calls("get_project, and waits")),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_aggregator_refuses_is_passed_on_in_its_words() {
    let world = World::new(Script::default()).await;
    for (status, code) in [
        (tonic::Status::unavailable("pipeline 7 is being read"), 503),
        (tonic::Status::resource_exhausted("the rate limit is used up"), 503),
        (tonic::Status::invalid_argument("bad id"), 400),
        (tonic::Status::not_found("no such project"), 404),
        (tonic::Status::internal("bug"), 502),
    ] {
        let words = status.message().to_owned();
        let before = world.aggregator.calls("get_project");
        world.aggregator.script().fail = Some(status);
        let reply = world.get("/api/v1/projects/gl/42").await;
        assert_eq!(reply.problem(code), words);
        assert_eq!(reply.header("retry-after").is_some(), code == 503);
        assert_eq!(world.aggregator.calls("get_project"), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_hangs_does_not_take_the_page_along() {
    let world = World::new(Script::default()).await;
    let path = "/api/v1/projects/gl/42";
    assert_eq!(world.get(path).await.status, 200);
    world.aggregator.change(&[]);
    world.until_heard().await;
    world.aggregator.script().hang = true;
    let begun = Instant::now();
    let replies = futures::future::join_all((0..20).map(|_| world.get(path))).await;
    assert!(replies.iter().all(|r| r.status == 200 && r.header("warning").is_some()));
    // All wait together, not one after the other.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let replies =
        futures::future::join_all((0..20).map(|_| world.get("/api/v1/projects/gl/42/branches"))).await;
    replies.iter().for_each(|r| drop(r.problem(503)));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_not_shown_from_memory() {
    let world = World::new(Script::default()).await;
    let path = "/api/v1/projects/gl/42";
    assert_eq!(world.get(path).await.status, 200);
    world.aggregator.script().rows.clear();
    world.aggregator.change(&[("gl", "42")]);
    world.until_heard().await;
    world.get(path).await.problem(404);
    world.aggregator.away();
    world.until_link("lost").await;
    world.get(path).await.problem(503);
}

#[tokio::test(start_paused = true)]
async fn ready_from_the_first_overview_on_without_any_viewer() {
    let world = World::unconnected("", Script::default());
    let reply = world.get("/api/ready").await;
    assert_eq!(reply.status, 503);
    assert_eq!(world.get("/api/health").await.json()["aggregator"]["state"], "connecting");
    world.aggregator.back();
    world.until("/api/ready", 200).await;
    // The overview keeps up without viewers, so that it is not old when the aggregator goes.
    world.aggregator.change(&[("gl", "42")]);
    world.until_heard().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.aggregator.away();
    world.until_link("lost").await;
    let etag = world.get("/").await.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\"7.2-"), "{etag}");
    let health = world.get("/api/health").await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["aggregator"]["version"], "7.2");
    assert_eq!(health["version"], web::VERSION);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_is_not_ready() {
    let world = World::new(Script::default()).await;
    world.request_stop();
    let reply = world.get("/api/ready").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["ready"]), (503, &false.into()));
    assert_eq!(world.get("/api/health").await.status, 200);
    assert_eq!(world.get("/").await.status, 200, "what comes is answered all the same");
}

#[tokio::test]
async fn other_settings_lose_nothing_while_the_aggregator_is_away() {
    let mut house = House::open("", &[]).await;
    house.until(&get("/api/ready"), 200).await;
    let paths = ["/", "/projects/gl/42", "/api/v1/projects?q=seen"];
    for path in paths {
        assert_eq!(house.ask(&get(path)).await.status, 200, "{path}");
    }
    house.aggregator.away();
    house.until_text(&get("/api/health"), "lost").await;
    house.clock.advance(SignedDuration::from_mins(2));
    for title in ["Other", "Another"] {
        house.reload(&format!("ui: {{ title: {title} }}\n")).await.unwrap();
        assert_eq!(house.ask(&get("/api/ready")).await.status, 200, "{title}");
        for path in paths {
            let reply = house.ask(&get(path)).await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.header("as-of"), Some("2026-11-24T12:00:00Z"), "{path}");
            assert!(path.starts_with("/api") || reply.text().contains(title), "{path}");
        }
    }
    // What names people is not shown from memory once they are not to be shown.
    house.reload("ui: { show_people: false }\n").await.unwrap();
    assert_eq!(house.ask(&get("/api/ready")).await.status, 503);
    house.aggregator.restarted();
    house.until(&get("/api/ready"), 200).await;
    assert_eq!(house.ask(&get("/")).await.header("as-of"), None);
    house.close().await;
}

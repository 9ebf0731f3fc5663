//! Live events.

use std::time::Duration;

use crate::kit::{self, Event, Script, World};
use serde_json::json;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_the_link_and_the_version() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    assert_eq!(events.frame().await.unwrap(), "retry: 2000\n\n");
    let link = events.next().await.unwrap();
    assert_eq!((link.name.as_str(), &link.data), ("link", &json!({ "connected": true, "as_of": null })));
    let board = events.next().await.unwrap();
    assert_eq!(board.name, "board");
    assert_eq!(board.id.as_deref(), Some("7.1"));
    assert_eq!(
        board.data,
        json!({ "version": "7.1", "at": kit::NOW, "changes": [], "sources": false, "resync": false })
    );
}

#[tokio::test(start_paused = true)]
async fn changes_come_merged_and_not_too_often() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    events.next_of("board").await;
    // A few come at once, however soon after one another.
    let begun = Instant::now();
    for project in ["8", "9"] {
        world.aggregator.change(&[("gl", project)]);
        assert_eq!(events.next_of("board").await.data["changes"][0]["id"], project);
    }
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    // More are merged.
    for project in ["1", "2", "1", "a/b"] {
        world.aggregator.change(&[("gl", project)]);
    }
    let board = events.next_of("board").await;
    assert_eq!(board.id.as_deref(), Some("7.7"));
    assert_eq!(
        board.data["changes"],
        json!([
            { "source": "gl", "id": "1", "gone": false },
            { "source": "gl", "id": "2", "gone": false },
            { "source": "gl", "id": "a/b", "gone": false },
        ])
    );
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    // After a quiet time a change comes at once.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = Instant::now();
    world.aggregator.change(&[("gl", "3")]);
    assert_eq!(events.next_of("board").await.data["changes"][0]["id"], "3");
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_is_told_when_something_was_missed() {
    let world = World::new(Script::default()).await;
    world.aggregator.change(&[]);
    world.until_heard().await;
    for (last, resync) in [("7.2", false), ("7.1", true), ("6.900", true), ("8.1", true), ("nonsense", true)]
    {
        let mut events = world.events(&[("last-event-id", last)]).await;
        let board = events.next_of("board").await;
        assert_eq!((board.id.as_deref(), &board.data["resync"]), (Some("7.2"), &json!(resync)), "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_aggregator_going_and_coming_back_is_told() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    events.next_of("board").await;
    world.aggregator.away();
    let link = events.next_of("link").await;
    assert_eq!(link.data, json!({ "connected": false, "as_of": kit::NOW }));
    // Who comes now is told the same, and the version that is known.
    let mut other = world.events(&[]).await;
    assert_eq!(other.next().await.unwrap().data["connected"], false);
    assert_eq!(other.next().await.unwrap().id.as_deref(), Some("7.1"));
    world.aggregator.restarted();
    assert_eq!(events.next_of("link").await.data, json!({ "connected": true, "as_of": null }));
    let board = events.next_of("board").await;
    assert_eq!((board.id.as_deref(), &board.data["resync"]), (Some("8.1"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_break_without_changes_is_no_resync() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    events.next_of("board").await;
    world.aggregator.away();
    events.next_of("link").await;
    world.aggregator.back();
    events.next_of("link").await;
    world.aggregator.change(&[("gl", "5")]);
    let board = events.next_of("board").await;
    assert_eq!((board.id.as_deref(), &board.data["resync"]), (Some("7.2"), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn who_came_before_the_aggregator_compares_then() {
    let world = World::unconnected("", Script::default());
    let mut knows = world.events(&[("last-event-id", "6.3")]).await;
    let mut new = world.events(&[]).await;
    assert_eq!(knows.next().await.unwrap().data, json!({ "connected": false, "as_of": null }));
    world.aggregator.back();
    for (events, resync) in [(&mut knows, true), (&mut new, false)] {
        let board = events.next_of("board").await;
        assert_eq!((board.id.as_deref(), &board.data["resync"]), (Some("7.1"), &json!(resync)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fell_behind_reads_anew_and_costs_no_memory() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    events.next_of("board").await;
    for n in 0..2000 {
        world.aggregator.change(&[("gl", &n.to_string())]);
        if n % 500 == 0 {
            world.until_heard().await;
        }
    }
    world.until_heard().await;
    let board = events.next_of("board").await;
    assert_eq!((board.id.as_deref(), &board.data["resync"]), (Some("7.2001"), &json!(true)));
    assert_eq!(board.data["changes"], json!([]));
    let more = tokio::time::timeout(Duration::from_secs(5), events.next_of("board")).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_has_a_heartbeat_and_a_stop_a_word() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    events.next_of("board").await;
    let begun = Instant::now();
    assert_eq!(events.frame().await.unwrap(), ": \n\n");
    assert!((14..=15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let (bye, ()) = tokio::join!(events.next(), world.stop());
    assert_eq!(bye, Some(Event { name: "bye".into(), id: None, data: json!({}) }));
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn lists_that_change_name_their_projects_and_no_other_change() {
    let world = World::new(Script::default()).await;
    let mut events = world.events(&[]).await;
    let first = events.next_of("board").await;
    assert!(first.data.get("work").is_none(), "{first:?}");
    world.aggregator.change_lists(&[("gl", "42"), ("gl", "43"), ("gl", "42")]);
    let board = events.next_of("board").await;
    assert_eq!(board.data["work"], json!([{ "source": "gl", "id": "42" }, { "source": "gl", "id": "43" }]));
    assert_eq!((&board.data["changes"], &board.data["resync"]), (&json!([]), &json!(false)));
}

//! Deployments, lead times and how soon it is green again: what they are of.

use std::time::Duration;

use domain::{Patterns, Pipeline, RunId, Status};
use history::RunNews;
use history::answers::{Ask, DeploymentRule, RunOf};

use crate::answers::{ask, days, of_lane};
use crate::{Place, Story, at, key, run};

const DAY: u64 = 86_400;

fn near(told: Option<Duration>, truth: u64) -> bool {
    told.is_some_and(|told| told.abs_diff(Duration::from_secs(truth)) <= Duration::from_secs(truth / 59 + 1))
}

fn ids(runs: &[RunOf]) -> Vec<&str> {
    runs.iter().map(|r| r.run.as_str()).collect()
}

/// A commit counts with its first green run of each workflow, not with every run on it.
pub async fn lead_time(place: &dyn Place) {
    let history = place.open().await.unwrap();
    // A commit of the moment 0, and a run on it.
    let on_commit = |sha: &str, pipeline: Pipeline| RunNews {
        committed_at: Some(at(0, 0)),
        ..RunNews::of(key("1"), Pipeline { sha: Some(sha.repeat(40)), ..pipeline })
    };
    let nightly = |id: u64, day: i64| of_lane("n", "Nightly", run(id, Status::Success, day, 0));
    let mut story = Story::new()
        .project("1")
        .news(on_commit("a", run(1, Status::Failed, 0, 100)))
        .news(on_commit("a", run(2, Status::Success, 0, 288)))
        .news(on_commit("a", run(3, Status::Success, 0, 900)))
        .news(on_commit("a", of_lane("l", "Lint", run(4, Status::Success, 0, 100))))
        // Of another workflow on a branch that does not count.
        .news(on_commit("b", Pipeline { branch: Some("x".into()), ..run(5, Status::Success, 0, 100) }));
    for night in 1..100 {
        story = story.news(on_commit("a", nightly(100 + night, i64::try_from(night).unwrap())));
    }
    story.told(&*history).await;
    let of = async |from: i32, to: i32| {
        history.delivery(&Ask::all(days(from, to)), &DeploymentRule::default()).await.unwrap()
    };
    let first = of(0, 0).await;
    assert_eq!(ids(&first.led), ["2", "4"], "both workflows, each with its first green run");
    assert_eq!(first.lead_time.count, 2);
    assert!(near(first.lead_time.median, 112), "{:?}", first.lead_time);
    let with_night = of(0, 99).await;
    assert_eq!(ids(&with_night.led), ["101", "2", "4"], "ninety-nine nights are one");
    let late = of(80, 99).await;
    assert_eq!((late.lead_time.count, late.led), (0, Vec::new()), "it was green long before that window");
}

/// What was red for months, and became green in a window of a week, was red for months.
pub async fn long_red(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1").project("2").run("1", run(1, Status::Success, 0, 0));
    for n in 0..60_u64 {
        let (id, day) = (10 + n, 10 + i64::try_from(n).unwrap());
        story = story.run("1", run(id, Status::Failed, day, 0));
        if n % 30 == 0 {
            story = story.run("2", of_lane("d", "Deploy", run(id, Status::Failed, day, 0)));
        }
    }
    story = story.run("1", run(100, Status::Success, 70, 0));
    story.run("2", of_lane("d", "Deploy", run(100, Status::Success, 70, 0))).told(&*history).await;
    let rule = DeploymentRule { names: Patterns::new(["Deploy"]).unwrap() };
    for from in [0, 20, 65, 70] {
        let told = history.delivery(&Ask::all(days(from, 71)), &rule).await.unwrap();
        assert_eq!((told.time_to_green.count, told.time_to_restore.count), (2, 1), "from day {from}");
        assert!(near(told.time_to_green.median, 60 * DAY + 12), "from day {from}: {:?}", told.time_to_green);
        assert!(near(told.time_to_restore.median, 60 * DAY), "from day {from}: {:?}", told.time_to_restore);
        assert_eq!(ids(&told.turned_green), ["10", "10"], "from day {from}");
        assert_eq!(ids(&told.restored), ["10"], "from day {from}");
    }
    let before = history.delivery(&Ask::all(days(60, 69)), &rule).await.unwrap();
    assert_eq!((before.time_to_green.count, before.time_to_restore.count), (0, 0), "not yet");
}

/// As many runs as the figures count, ids that are no numbers too.
pub async fn named(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1");
    for n in 0..40_u64 {
        let status = if n % 4 == 1 { Status::Failed } else { Status::Success };
        let deploy = of_lane("d", "Deploy", run(n, status, 1, i64::try_from(n * 60).unwrap()));
        let deploy = Pipeline { id: RunId::new(format!("run-{n}")), ..deploy };
        story = story.news(RunNews { committed_at: Some(at(0, 0)), ..RunNews::of(key("1"), deploy) });
    }
    story.told(&*history).await;
    let rule = DeploymentRule { names: Patterns::new(["Deploy"]).unwrap() };
    let told = history.delivery(&ask(), &rule).await.unwrap();
    for (what, count, runs) in [
        ("deployments", told.deployments, &told.deployed),
        ("restored", told.time_to_restore.count, &told.restored),
        ("green again", told.time_to_green.count, &told.turned_green),
        ("led", told.lead_time.count, &told.led),
    ] {
        assert!(count >= 10, "{what}: {count}");
        assert_eq!(runs.len() as u64, count, "{what}");
    }
    assert_eq!(ids(&told.deployed)[..2], ["run-39", "run-38"], "the newest first");
    assert_eq!(ids(&told.restored)[..2], ["run-37", "run-33"]);
    assert_eq!(ids(&told.failed).len(), 10);
}

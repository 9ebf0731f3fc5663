//! Deployments that platforms mark.

use std::time::Duration;

use domain::{Deployment, Patterns, Pipeline, RunId, Status};
use history::answers::{Ask, Delivery, DeploymentRule, RunOf};
use history::{Batch, Day, History};

use crate::answers::{days, of_lane};
use crate::{Place, Story, at, key, run};

/// One that took a minute, from a run of the same number.
fn deployment(id: u64, status: Status, day: i64, second: i64) -> Deployment {
    Deployment {
        sha: Some(format!("{id:040x}")),
        branch: Some("main".into()),
        created_at: Some(at(day, second)),
        finished_at: Some(at(day, second + 60)),
        updated_at: Some(at(day, second + 60)),
        run: Some(RunId::from(id)),
        ..Deployment::new(id.to_string(), "production", status, status.as_str())
    }
}

async fn tell(history: &dyn History, project: &str, deployments: impl IntoIterator<Item = Deployment>) {
    let mut batch = Batch::at(at(50, 0));
    batch.deployments = deployments.into_iter().map(|d| (key(project), d)).collect();
    history.ingest(batch).await.unwrap();
}

async fn of(history: &dyn History, from: i32, to: i32, names: &[&str]) -> Delivery {
    let rule = DeploymentRule { names: Patterns::new(names).unwrap() };
    history.delivery(&Ask::all(days(from, to)), &rule).await.unwrap()
}

fn ids(runs: &[RunOf]) -> Vec<String> {
    runs.iter().map(|r| format!("{}/{}", r.project.id, r.run)).collect()
}

/// What was deployed of a tag that no run was ever on.
pub async fn of_a_tag(place: &dyn Place) {
    let history = place.open().await.unwrap();
    Story::new().project("1").run("1", run(1, Status::Success, 1, 0)).told(&*history).await;
    let of_tag =
        Deployment { branch: Some("v1.0".into()), run: None, ..deployment(9, Status::Success, 1, 0) };
    tell(&*history, "1", [of_tag, deployment(1, Status::Success, 2, 0)]).await;
    for (branch, deployments) in [("v1.0", 1), ("main", 1), ("no such", 0)] {
        let ask = Ask { branch: Some(branch.into()), ..Ask::all(days(0, 5)) };
        let told = history.delivery(&ask, &DeploymentRule::default()).await.unwrap();
        assert_eq!(told.deployments, deployments, "{branch}");
    }
    assert_eq!(of(&*history, 0, 5, &[]).await.deployments, 2);
}

/// Where the platform marks deployments these count, of other projects what the rule names.
pub async fn marked(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let deploy = |id: u64, status: Status| of_lane("d", "Deploy", run(id, status, 1, 0));
    Story::new()
        .project("1")
        .project("2")
        // What the rule names of a project whose platform marks deployments does not count twice.
        .run("1", deploy(8, Status::Failed))
        .run("1", Pipeline { number: Some(40), ..run(2, Status::Success, 1, 0) })
        .run("1", Pipeline { message: Some("Revert \"x\"".into()), ..run(5, Status::Success, 1, 0) })
        .run("2", deploy(7, Status::Success))
        .told(&*history)
        .await;
    let staging = Deployment { environment: "staging".into(), ..deployment(90, Status::Failed, 1, 0) };
    let by_tier = Deployment {
        environment: "eu-1".into(),
        production: Some(true),
        run: None,
        ..deployment(91, Status::Success, 2, 0)
    };
    let goes_on = Deployment { finished_at: None, ..deployment(92, Status::Running, 2, 0) };
    tell(
        &*history,
        "1",
        [
            deployment(1, Status::Success, 0, 0),
            deployment(2, Status::Failed, 1, 0),
            deployment(3, Status::Success, 1, 660),
            deployment(4, Status::Success, 2, 0),
            // Taken back within a day, by what its run says.
            deployment(5, Status::Success, 2, 3_600),
            staging,
            by_tier,
            goes_on,
        ],
    )
    .await;
    let told = of(&*history, 0, 3, &["Deploy"]).await;
    assert_eq!((told.marked_projects, told.named_projects), (1, 1));
    assert_eq!(told.deployments, 7, "two environments of the one project, and a run of the other");
    let frequency = told.frequency.unwrap();
    assert_eq!(frequency.deployments, 6);
    assert!((frequency.mean_per_day - 1.5).abs() < 1e-9);
    assert_eq!((told.failures, ids(&told.failed)), (2, vec!["1/4".to_owned(), "1/2".to_owned()]));
    assert_eq!(
        ids(&told.deployed),
        ["1/5", "1/4", "1/3", "2/7", "1/2", "1/1"],
        "of one the run is not known"
    );
    assert_eq!(told.deployed[4].number, Some(40));
    assert_eq!((told.time_to_restore.count, ids(&told.restored)), (1, vec!["1/2".to_owned()]));
    let restored = told.time_to_restore.median.unwrap();
    assert!(restored.abs_diff(Duration::from_secs(660)) < Duration::from_secs(12), "{restored:?}");

    let without = of(&*history, 0, 3, &[]).await;
    assert_eq!((without.deployments, without.marked_projects, without.named_projects), (6, 1, 0));
    assert!(without.frequency.is_some(), "without any rule");
    let soon = of(&*history, 20, 21, &["Deploy"]).await;
    assert_eq!((soon.deployments, soon.marked_projects), (0, 1), "it marks them still");
    let late = of(&*history, 60, 61, &[]).await;
    assert_eq!((late.frequency, late.marked_projects), (None, 0), "nobody knows");
    let branch = Ask { branch: Some("other".into()), ..Ask::all(days(0, 3)) };
    assert_eq!(history.delivery(&branch, &DeploymentRule::default()).await.unwrap().deployments, 0);
}

/// What is told twice, late, or by two who each know a part, comes to the same.
pub async fn newer_wins(place: &dyn Place) {
    let history = place.open().await.unwrap();
    // A webhook does not tell the run, nor a list whether its environment is production.
    let hook = Deployment {
        production: Some(true),
        environment: "eu-1".into(),
        run: None,
        ..deployment(1, Status::Failed, 1, 0)
    };
    let list = Deployment {
        environment: "eu-1".into(),
        finished_at: None,
        updated_at: Some(at(1, 5)),
        ..deployment(1, Status::Running, 1, 0)
    };
    for (project, told) in [("1", [&hook, &list, &hook]), ("2", [&list, &hook, &list])] {
        Story::new().project(project).told(&*history).await;
        for one in told {
            tell(&*history, project, [one.clone()]).await;
        }
        tell(&*history, project, told.map(Clone::clone)).await;
    }
    let told = of(&*history, 0, 3, &[]).await;
    assert_eq!((told.deployments, told.failures), (2, 2));
    assert_eq!(ids(&told.failed), ["2/1", "1/1"], "with the run that the list told");
    // Ids that are no numbers are apart, too.
    let texts = ["a", "b"].map(|id| Deployment { id: id.into(), ..deployment(3, Status::Success, 2, 0) });
    tell(&*history, "3", texts).await;
    assert_eq!(of(&*history, 2, 2, &[]).await.deployments, 2);
}

/// They go with the runs of their time.
pub async fn pruned(place: &dyn Place) {
    let history = place.open().await.unwrap();
    history.prepare(at(0, 0)).await.unwrap();
    let daily = || (0..20).map(|n: u64| deployment(n, Status::Success, n.try_into().unwrap(), 0));
    tell(&*history, "1", daily()).await;
    assert_eq!(of(&*history, 0, 30, &[]).await.deployments, 20);
    history.prune(Some(Day(Day::of(at(0, 0)).0 + 15)), at(0, 0)).await.unwrap();
    assert_eq!(of(&*history, 0, 30, &[]).await.deployments, 5);
    tell(&*history, "1", daily()).await;
    assert_eq!(
        of(&*history, 0, 30, &[]).await.deployments,
        5,
        "late news of what was dropped are not taken in"
    );
}

//! The insights, on stories small enough to know the answers by heart.

use std::time::Duration;

use domain::{Job, JobId, Patterns, Pipeline, RunId, Status, Workflow};
use history::answers::{Ask, Behind, By, DeploymentRule, FlakyState, Of, Ranking, RunOf};
use history::{Day, RunNews, Window};

use crate::{Place, Story, at, key, run};

fn first_day() -> i32 {
    Day::of(at(0, 0)).0
}

pub(crate) fn days(from: i32, to: i32) -> Window {
    Window { from: Day(first_day() + from), to: Day(first_day() + to) }
}

pub(crate) fn ask() -> Ask {
    Ask::all(days(0, 60))
}

pub(crate) fn of_lane(lane: &str, name: &str, pipeline: Pipeline) -> Pipeline {
    Pipeline { workflow: Workflow { lane: lane.into(), name: Some(name.into()) }, ..pipeline }
}

fn on(branch: &str, pipeline: Pipeline) -> Pipeline {
    Pipeline { branch: Some(branch.into()), ..pipeline }
}

fn took(seconds: u64, pipeline: Pipeline) -> Pipeline {
    let finished = pipeline
        .started_at
        .and_then(|t| t.checked_add(jiff::SignedDuration::from_secs(seconds.cast_signed())).ok());
    Pipeline { duration: Some(Duration::from_secs(seconds)), finished_at: finished, ..pipeline }
}

/// Counts and rates, by every way of asking.
pub async fn by_day(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let retry = Pipeline { attempt: Some(2), updated_at: Some(at(0, 99)), ..run(2, Status::Success, 0, 1) };
    Story::new()
        .project("1")
        .run("1", run(1, Status::Success, 0, 0))
        .run("1", Pipeline { attempt: Some(1), ..run(2, Status::Failed, 0, 1) })
        .run("1", retry)
        .run("1", run(3, Status::Warning, 0, 2))
        .run("1", run(4, Status::Canceled, 2, 0))
        .run("1", on("other", run(5, Status::Failed, 2, 1)))
        .run("2", run(6, Status::Skipped, 2, 2))
        .told(&*history)
        .await;
    let all = history.course(&Ask::all(days(0, 2))).await.unwrap().days;
    let told: Vec<_> = all
        .iter()
        .map(|d| (d.day.0 - first_day(), d.figures.runs, d.figures.verdicts(), d.figures.further))
        .collect();
    assert_eq!(told, [(0, 3, 3, 1), (1, 0, 0, 0), (2, 3, 1, 0)]);
    let rate = all[0].figures.success_rate().unwrap();
    assert!((rate - 2.0 / 3.0).abs() < 1e-9, "the first attempt counts: {rate}");
    assert_eq!(all[1].figures.success_rate(), None);

    let runs = async |ask: Ask| history.figures(&ask).await.unwrap().runs;
    assert_eq!(runs(ask()).await, 6);
    assert_eq!(runs(Ask { project: Some(key("1")), ..ask() }).await, 5);
    assert_eq!(runs(Ask { branch: Some("main".into()), ..ask() }).await, 5);
    assert_eq!(runs(Ask { branch: Some("other".into()), ..ask() }).await, 1, "of no common name");
    assert_eq!(runs(Ask { branch: Some("main".into()), project: Some(key("2")), ..ask() }).await, 1);
    assert_eq!(runs(Ask { branch: Some("no such".into()), ..ask() }).await, 0);
    assert_eq!(runs(Ask { platforms: vec!["gitlab".into()], ..ask() }).await, 6);
    assert_eq!(runs(Ask { platforms: vec!["github".into()], ..ask() }).await, 0);
    assert_eq!(runs(Ask { sources: vec![key("1").source], ..Ask::all(days(1, 2)) }).await, 3);
    assert_eq!(runs(Ask::all(days(3, 2))).await, 0, "a window that ends before it begins");
}

/// A run that was tried again before anybody saw it counts by its earliest attempt that is known.
pub async fn seen_late(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let job = |id: u64, status: Status| Job {
        duration: Some(Duration::from_secs(30)),
        ..Job::new(JobId::from(id), "test", status, status.as_str())
    };
    let attempt = |id: u64, number: u32, status: Status| {
        let pipeline = Pipeline {
            attempt: Some(number),
            updated_at: Some(at(0, i64::from(number) * 100)),
            ..run(id, status, 0, 0)
        };
        RunNews {
            jobs: Some(vec![job(id * 10 + u64::from(number), status)]),
            ..RunNews::of(key("1"), pipeline)
        }
    };
    let told = async || {
        let by = async |ask: Ask| {
            let f = history.figures(&ask).await.unwrap();
            assert_eq!(f.queued.count, f.runs);
            (f.runs, f.success, f.failed, f.further, f.duration.count)
        };
        let all = by(ask()).await;
        for ask in [Ask { project: Some(key("1")), ..ask() }, Ask { branch: Some("main".into()), ..ask() }] {
            assert_eq!(by(ask).await, all);
        }
        assert_eq!(history.heat(&ask()).await.unwrap().hours[0][0], (all.0, all.2));
        let jobs = Ranking { of: Of::Jobs, by: By::Busiest, min_runs: 1, limit: 9 };
        let jobs = history.ranking(&ask(), &jobs).await.unwrap();
        assert_eq!(jobs.iter().map(|r| r.figures.runs).sum::<u64>(), all.0);
        assert_eq!(
            history.behind(&ask(), &Behind::default(), 0, 9).await.unwrap().len() as u64,
            all.0,
            "as many as the figure says"
        );
        all
    };
    Story::new()
        .news(attempt(1, 2, Status::Success))
        .news(attempt(2, 3, Status::Failed))
        .news(attempt(2, 4, Status::Success))
        .told(&*history)
        .await;
    assert_eq!(told().await, (2, 1, 1, 1, 2), "of each the first that is known");
    Story::new().news(attempt(1, 1, Status::Failed)).told(&*history).await;
    assert_eq!(told().await, (2, 0, 2, 2, 2), "an earlier one takes its place");
    Story::new().news(attempt(1, 3, Status::Failed)).told(&*history).await;
    assert_eq!(told().await, (2, 0, 2, 3, 2), "a later one does not");
    let other = |number: u32, status: Status| {
        let news = attempt(3, number, status);
        RunNews { pipeline: on("of its own", news.pipeline), ..news }
    };
    Story::new().news(other(2, Status::Success)).told(&*history).await;
    let of_branch = Ask { branch: Some("of its own".into()), ..ask() };
    assert_eq!(history.figures(&of_branch).await.unwrap().success, 1, "counted from the runs as well");
    Story::new().news(other(1, Status::Failed)).told(&*history).await;
    let figures = history.figures(&of_branch).await.unwrap();
    assert_eq!((figures.runs, figures.failed, figures.further), (1, 1, 1));
}

/// Percentiles and their trend.
pub async fn durations(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1");
    for n in 0..100_u64 {
        // 1 to 100 seconds on the first ten days, twice that on the next ten.
        let slower = Pipeline {
            ..took((n + 1) * 2, run(1_000 + n, Status::Success, 10 + i64::try_from(n % 10).unwrap(), 0))
        };
        story = story
            .run("1", took(n + 1, run(n, Status::Success, i64::try_from(n % 10).unwrap(), 0)))
            .run("1", slower);
    }
    story = story.run("1", took(9_000, run(5_000, Status::Canceled, 3, 0)));
    story.told(&*history).await;
    let course = history.course(&Ask::all(days(0, 19))).await.unwrap();
    assert_eq!((course.days.len(), course.figures.duration.count), (20, 200), "a canceled run has no say");
    assert_eq!(course.figures, history.figures(&Ask::all(days(0, 19))).await.unwrap());
    assert!((course.duration_trend.unwrap() - 1.0).abs() < 0.04, "{:?}", course.duration_trend);
    assert!(course.queued_trend.unwrap().abs() < 0.04, "{:?}", course.queued_trend);
    let near = |told: Option<Duration>, truth: f64| {
        let told = told.unwrap().as_secs_f64();
        assert!((told - truth).abs() <= truth * 0.017, "{told} is not {truth}");
    };
    let first = history.figures(&Ask::all(days(0, 9))).await.unwrap();
    near(first.duration.p50, 50.0);
    near(first.duration.p90, 90.0);
    near(first.duration.p95, 95.0);
    near(first.queued.p50, 2.0);
    assert_eq!(first.duration.total, Duration::from_secs(5_050));
    let nothing = history.course(&Ask::all(days(30, 40))).await.unwrap();
    assert_eq!((nothing.duration_trend, nothing.queued_trend), (None, None));
}

/// Slowest, busiest, most often failing; of projects, workflows, jobs.
pub async fn ranking(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1").project("2");
    for n in 0..10_u64 {
        let job = |name: &str, secs: u64, status: Status| Job {
            duration: Some(Duration::from_secs(secs)),
            ..Job::new(JobId::from(n * 10 + secs % 10), name, status, status.as_str())
        };
        let status = if n < 4 { Status::Failed } else { Status::Success };
        let slow = took(100, of_lane("n", "Nightly", run(n, status, 1, 0)));
        let jobs = Some(vec![job("build", 61, Status::Success), job("test", 32, status)]);
        story = story.news(RunNews { jobs, ..RunNews::of(key("1"), slow) });
        for more in 0..3 {
            story = story.run("2", took(10, run(100 + n * 3 + more, Status::Success, 2, 0)));
        }
    }
    story.told(&*history).await;
    let places = async |of: Of, by: By| {
        let ranked = history.ranking(&ask(), &Ranking { of, by, min_runs: 5, limit: 10 }).await.unwrap();
        ranked.into_iter().map(|r| (r.project_name, r.name, r.figures.runs)).collect::<Vec<_>>()
    };
    let named = |project: &str, name: Option<&str>, runs: u64| {
        (format!("group/{project}"), name.map(str::to_owned), runs)
    };
    assert_eq!(places(Of::Projects, By::Busiest).await, [named("2", None, 30), named("1", None, 10)]);
    assert_eq!(
        places(Of::Workflows, By::Slowest).await,
        [named("1", Some("Nightly"), 10), named("2", Some("CI"), 30)]
    );
    assert_eq!(
        places(Of::Jobs, By::Slowest).await,
        [named("1", Some("build"), 10), named("1", Some("test"), 10)]
    );
    assert_eq!(places(Of::Jobs, By::Failing).await, [named("1", Some("test"), 10)]);
    assert_eq!(places(Of::Projects, By::Failing).await, [named("1", None, 10)]);
    let strict = Ranking { of: Of::Projects, by: By::Failing, min_runs: 11, limit: 10 };
    assert!(history.ranking(&ask(), &strict).await.unwrap().is_empty(), "too few");
}

/// Since when, by whom, how often.
pub async fn broken(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let red = Pipeline {
        author: Some(domain::Person::named("Ada")),
        message: Some("Break it".into()),
        ..run(2, Status::Failed, 40, 5)
    };
    Story::new()
        .project("1")
        .project("2")
        .project("3")
        .run("1", run(1, Status::Success, 1, 0))
        .run("1", red.clone())
        .run("1", run(3, Status::Canceled, 41, 0))
        .run("1", run(4, Status::Failed, 55, 0))
        .run("1", on("other", run(5, Status::Success, 56, 0)))
        .run("1", of_lane("nightly", "Nightly", run(6, Status::Success, 56, 0)))
        // Red all along, as far as anybody knows.
        .run("2", run(1, Status::Failed, 50, 0))
        // Red once, and green again by its second attempt.
        .run("3", Pipeline { attempt: Some(1), ..run(1, Status::Failed, 50, 0) })
        .run(
            "3",
            Pipeline { attempt: Some(2), updated_at: Some(at(51, 0)), ..run(1, Status::Success, 50, 0) },
        )
        .told(&*history)
        .await;
    let broken = history.broken(&ask()).await.unwrap();
    assert_eq!(broken.iter().map(|b| b.project.id.as_str()).collect::<Vec<_>>(), ["1", "2"], "longest first");
    let one = &broken[0];
    assert_eq!(
        (one.since, one.at_least, one.red),
        (at(40, 7), false, 2),
        "from the start of its first red run"
    );
    assert_eq!((one.branch.as_str(), one.workflow.as_deref()), ("main", Some("CI")));
    assert_eq!(one.first.run, RunId::from(2));
    assert_eq!(
        (one.first.author.as_ref().unwrap().name.as_str(), one.first.sha.clone()),
        ("Ada", red.sha.clone())
    );
    assert_eq!(one.green.as_ref().map(|g| g.run.clone()), Some(RunId::from(1)));
    assert!(broken[1].at_least && broken[1].green.is_none());
    let then = history.broken(&Ask::all(days(0, 39))).await.unwrap();
    assert!(then.is_empty(), "at the end of that window nothing was: {then:?}");
    let other = history.broken(&Ask { branch: Some("other".into()), ..ask() }).await.unwrap();
    assert!(other.is_empty());
}

/// Red and green on one commit; nearly only red is broken; what was quiet for long is cleared.
pub async fn flaky(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let job = |id: u64, name: &str, status: Status| Job {
        duration: Some(Duration::from_secs(30)),
        ..Job::new(JobId::from(id), name, status, status.as_str())
    };
    let attempt = |n: u64, number: u32, status: Status, day: i64| {
        let pipeline = Pipeline {
            number: (n == 1).then_some(17),
            attempt: Some(number),
            updated_at: Some(at(day, i64::from(number) * 100)),
            ..run(n, status, day, 0)
        };
        let jobs = vec![
            job(n * 100 + u64::from(number) * 2, "build", Status::Success),
            job(n * 100 + u64::from(number) * 2 + 1, "test", status),
        ];
        RunNews { jobs: Some(jobs), ..RunNews::of(key("1"), pipeline) }
    };
    let mut story = Story::new().project("1").project("2").project("3");
    story = story.news(attempt(1, 1, Status::Failed, 58)).news(attempt(1, 2, Status::Success, 58));
    // Another run of the same commit, without jobs; canceled says nothing.
    let sha = Some("ab".repeat(20));
    for (id, status) in [(20, Status::Success), (21, Status::Failed), (22, Status::Canceled)] {
        story =
            story.run("2", Pipeline { sha: sha.clone(), ..run(id, status, 5, i64::try_from(id).unwrap()) });
    }
    for n in 0..12 {
        story = story.news(attempt(300 + n, 1, Status::Success, 57));
        story = story.run("2", run(100 + n, Status::Success, 50, i64::try_from(n).unwrap()));
        // Green once and red ever after.
        let status = if n == 0 { Status::Success } else { Status::Failed };
        story = story
            .run("3", Pipeline { sha: sha.clone(), ..run(200 + n, status, 50, i64::try_from(n).unwrap()) });
    }
    story.told(&*history).await;
    let flaky = history.flaky(&ask()).await.unwrap();
    let told: Vec<_> = flaky
        .iter()
        .map(|f| (f.project.id.as_str().to_owned(), f.job.clone(), f.state, f.commits, f.wasted.as_secs()))
        .collect();
    assert_eq!(
        told,
        [
            ("3".to_owned(), None, FlakyState::Broken, 1, 110),
            ("1".to_owned(), None, FlakyState::Flaky, 1, 60),
            ("1".to_owned(), Some("test".to_owned()), FlakyState::Flaky, 1, 30),
            ("2".to_owned(), None, FlakyState::Cleared, 1, 10),
        ]
    );
    assert_eq!(flaky[1].runs, [(RunId::from(1), Some(17))]);
    assert_eq!((flaky[1].workflow.as_deref(), flaky[1].last), (Some("CI"), Day(first_day() + 58)));
    assert!(history.flaky(&Ask::all(days(6, 20))).await.unwrap().is_empty());
}

/// Commits are told apart, whatever their ids begin with.
pub async fn flaky_commits(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1");
    for (n, sha) in (0..4_u64).zip(["ff", "ab", "0f", "80"]) {
        let sha = Some(sha.repeat(20));
        let second = i64::try_from(n * 1_000).unwrap();
        story = story
            .run("1", Pipeline { sha: sha.clone(), ..run(n * 10, Status::Failed, 1, second) })
            .run("1", Pipeline { sha, ..run(n * 10 + 1, Status::Success, 1, second + 60) });
    }
    // The first of them long before: what is seen later does not make it forgotten.
    let old = Some("f7".repeat(20));
    Story::new()
        .run("1", Pipeline { sha: old.clone(), ..run(900, Status::Failed, -80, 0) })
        .run("1", Pipeline { sha: old, ..run(901, Status::Success, -80, 60) })
        .told(&*history)
        .await;
    story.told(&*history).await;
    let flaky = history.flaky(&Ask::all(days(-90, 60))).await.unwrap();
    assert_eq!(flaky.iter().map(|f| f.commits).collect::<Vec<_>>(), [5]);
}

/// One reason in many projects is one group.
pub async fn failure_groups(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new();
    for n in 0..14_u64 {
        let job = Job {
            failure_reason: Some(format!("npm ERR! code {n} in /builds/{n}/app after {n} s")),
            ..Job::new(JobId::from(n), "build", Status::Failed, "failed")
        };
        let news = RunNews {
            jobs: Some(vec![job]),
            ..RunNews::of(key(&n.to_string()), run(n, Status::Failed, 0, 0))
        };
        story = story.news(news);
    }
    // A run of whose jobs nothing is known.
    let bare = Pipeline { failure: Some("runner system failure".into()), ..run(1, Status::Failed, 1, 0) };
    story.run("bare", bare).told(&*history).await;
    let groups = history.failure_groups(&ask(), 10).await.unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!((groups[0].job.as_deref(), groups[0].projects, groups[0].failures), (Some("build"), 14, 14));
    assert_eq!(groups[0].reason.as_deref(), Some("npm ERR! code <n> in <path> after <n> s"));
    assert_eq!(groups[0].most.len(), 10);
    assert_eq!(
        (groups[1].job.as_deref(), groups[1].reason.as_deref()),
        (None, Some("runner system failure"))
    );
    let behind = Behind { job: Some("build".into()), reason: groups[0].reason.clone(), ..Behind::default() };
    assert_eq!(history.behind(&ask(), &behind, 0, 50).await.unwrap().len(), 14);
    let behind = Behind { reason: groups[1].reason.clone(), ..Behind::default() };
    assert_eq!(history.behind(&ask(), &behind, 0, 50).await.unwrap().len(), 1);
}

/// Each failure once, by what its jobs tell of it, else by what the run says; and a group leads to as many runs as it counts.
pub async fn failures_once(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let job = |id: u64, name: &str, status: Status, reason: Option<&str>| Job {
        failure_reason: reason.map(str::to_owned),
        ..Job::new(JobId::from(id), name, status, status.as_str())
    };
    let red = |id: u64, failure: Option<&str>| Pipeline {
        failure: failure.map(str::to_owned),
        ..run(id, Status::Failed, 0, i64::try_from(id).unwrap())
    };
    let opened = |project: &str, pipeline: Pipeline, jobs: Vec<Job>| RunNews {
        jobs: Some(jobs),
        ..RunNews::of(key(project), pipeline)
    };
    let failed = |id: u64, reason: Option<&str>| job(id, "e2e (firefox)", Status::Failed, reason);
    Story::new()
        // Of one project somebody looked at a run, of which two tries failed alike; at the others nobody did.
        .news(opened(
            "1",
            red(1, Some("e2e (firefox): exit code 1")),
            vec![
                failed(10, Some("exit code 1")),
                failed(11, Some("exit code 2")),
                job(12, "lint", Status::Success, None),
            ],
        ))
        .run("1", red(2, Some("e2e (firefox): exit code 3")))
        .run("2", red(3, Some("lint: exit code 1")))
        .run("2", red(4, Some("lint: failed")))
        .news(opened("2", red(5, Some("lint: failed")), vec![job(50, "lint", Status::Failed, None)]))
        // None of its jobs tells why; the run does.
        .news(opened("3", red(6, Some("runner lost")), vec![job(60, "lint", Status::Failed, None)]))
        // Nobody tells.
        .news(opened("3", red(7, None), vec![job(70, "lint", Status::Failed, None)]))
        .run("3", red(8, Some("java.io.IOException: disk 7 is full")))
        // It was saved in the end, and a reason that stands there still is no failure.
        .run("3", Pipeline { failure: Some("runner lost".into()), ..run(9, Status::Success, 0, 9) })
        .told(&*history)
        .await;
    let asks =
        [ask(), Ask { branch: Some("main".into()), ..ask() }, Ask { project: Some(key("2")), ..ask() }];
    for ask in &asks {
        let groups = history.failure_groups(ask, 20).await.unwrap();
        let told: Vec<_> =
            groups.iter().map(|g| (g.job.as_deref(), g.reason.as_deref(), g.failures)).collect();
        let expected: &[(Option<&str>, Option<&str>, u64)] = match &ask.project {
            Some(_) => &[(Some("lint"), None, 2), (Some("lint"), Some("exit code <n>"), 1)],
            None => &[
                (Some("lint"), None, 3),
                (Some("e2e (firefox)"), Some("exit code <n>"), 2),
                (None, Some("java.io.IOException: disk <n> is full"), 1),
                (None, Some("runner lost"), 1),
                (Some("lint"), Some("exit code <n>"), 1),
            ],
        };
        let mut sorted = (told.clone(), expected.to_vec());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "{ask:?}");
        for group in &groups {
            let behind = Behind {
                job: group.job.clone(),
                reason: group.reason.clone(),
                untold: group.job.is_some() && group.reason.is_none(),
                ..Behind::default()
            };
            let runs = history.behind(ask, &behind, 0, 50).await.unwrap();
            assert_eq!(runs.len() as u64, group.failures, "{group:?}: {runs:?}");
        }
    }
}

/// A job's figures are of the runs that had it, once each, whatever came of it.
pub async fn jobs_ran(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let job = |id: u64, name: &str, status: Status| Job {
        duration: Some(Duration::from_secs(20)),
        ..Job::new(JobId::from(id), name, status, status.as_str())
    };
    let mut story = Story::new().project("1");
    for n in 0..12_u64 {
        let status = if n % 3 == 0 { Status::Failed } else { Status::Success };
        let mut jobs = vec![job(n * 10, "build", Status::Success), job(n * 10 + 1, "test", status)];
        // Started over within the run.
        jobs.extend((n == 0).then(|| job(5, "test", Status::Success)));
        let pipeline = Pipeline { attempt: Some(1), ..run(n, status, 0, i64::try_from(n).unwrap()) };
        story = story.news(RunNews { jobs: Some(jobs), ..RunNews::of(key("1"), pipeline) });
    }
    let again = Pipeline { attempt: Some(2), updated_at: Some(at(1, 0)), ..run(3, Status::Success, 0, 3) };
    let jobs = Some(vec![job(999, "test", Status::Success)]);
    story = story.news(RunNews { jobs, ..RunNews::of(key("1"), again) });
    story.told(&*history).await;
    let jobs = Ranking { of: Of::Jobs, by: By::Busiest, min_runs: 1, limit: 9 };
    let ranked = history.ranking(&ask(), &jobs).await.unwrap();
    assert_eq!(ranked.len(), 2);
    for place in ranked {
        let (name, figures) = (place.name.unwrap(), place.figures);
        assert_eq!(figures.runs, 12, "{name}");
        assert_eq!((figures.failed, figures.further), if name == "test" { (4, 2) } else { (0, 0) }, "{name}");
        let ran = Behind { ran: Some(name.clone()), ..Behind::default() };
        assert_eq!(history.behind(&ask(), &ran, 0, 50).await.unwrap().len(), 12, "{name}");
        let failed = Behind { job: Some(name.clone()), ..Behind::default() };
        let red = history.behind(&ask(), &failed, 0, 50).await.unwrap();
        assert_eq!(red.len() as u64, figures.failed, "{name}");
    }
    let none = Behind { ran: Some("no such".into()), ..Behind::default() };
    assert!(history.behind(&ask(), &none, 0, 50).await.unwrap().is_empty());
}

/// By hour of the week.
pub async fn heat(place: &dyn Place) {
    let history = place.open().await.unwrap();
    Story::new()
        .run("1", run(1, Status::Success, 0, 3_600 * 9 + 1))
        .run("1", run(2, Status::Failed, 7, 3_600 * 9 + 1_800))
        .run("1", run(3, Status::Success, 6, 3_600 * 23 + 3_599))
        .told(&*history)
        .await;
    let heat = history.heat(&ask()).await.unwrap();
    assert_eq!(heat.hours[0][9], (2, 1), "two Mondays at nine");
    assert_eq!(heat.hours[6][23], (1, 0), "Sunday, late");
    assert_eq!(heat.hours.iter().flatten().map(|h| h.0).sum::<u64>(), 3);
    let behind = Behind { hour_of_week: Some(9), ..Behind::default() };
    let runs = history.behind(&ask(), &behind, 0, 10).await.unwrap();
    assert_eq!(runs.iter().map(|(_, p)| p.id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
}

/// Deployments, and how soon trouble is over.
pub async fn delivery(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let deploy = |id: u64, status: Status, day: i64, second: i64| {
        of_lane("d", "Deploy production", run(id, status, day, second))
    };
    let lead = |pipeline: Pipeline, before: i64| RunNews {
        committed_at: pipeline
            .finished_at
            .and_then(|t| t.checked_sub(jiff::SignedDuration::from_secs(before)).ok()),
        ..RunNews::of(key("1"), pipeline)
    };
    Story::new()
        .project("1")
        .run("1", deploy(1, Status::Success, 0, 0))
        .run("1", deploy(2, Status::Success, 1, 0))
        // Taken back within a day.
        .run("1", Pipeline { message: Some("Revert \"x\"".into()), ..deploy(3, Status::Success, 1, 3_600) })
        .run("1", Pipeline { number: Some(40), ..deploy(4, Status::Failed, 2, 0) })
        .run("1", deploy(5, Status::Success, 2, 600))
        .run("1", run(10, Status::Failed, 3, 0))
        .run("1", run(11, Status::Failed, 3, 100))
        .news(lead(run(12, Status::Success, 3, 1_000), 300))
        .told(&*history)
        .await;
    let rule = DeploymentRule { names: Patterns::new(["Deploy*"]).unwrap() };
    let told = history.delivery(&Ask::all(days(0, 3)), &rule).await.unwrap();
    let frequency = told.frequency.unwrap();
    assert_eq!((frequency.deployments, frequency.median_day, told.deployments), (4, 1, 5));
    assert!((frequency.mean_per_day - 1.0).abs() < 1e-9);
    let failed: Vec<_> = told.failed.iter().map(|r| (r.run.as_str(), r.number)).collect();
    assert_eq!((told.failures, failed), (2, vec![("4", Some(40)), ("2", None)]), "the newest first");
    assert!((told.change_failure_rate.unwrap() - 0.4).abs() < 1e-9);
    let near =
        |told: Option<Duration>, truth: f64| (told.unwrap().as_secs_f64() - truth).abs() <= truth * 0.017;
    assert!(near(told.time_to_restore.median, 600.0), "{:?}", told.time_to_restore);
    // The failed deployment on the default branch was red as well: 612 s; the other 1012 s.
    assert_eq!(told.time_to_green.count, 2);
    assert!(near(told.time_to_green.median, 612.0), "{:?}", told.time_to_green);
    assert!(told.lead_time.count == 1 && near(told.lead_time.median, 300.0));
    let without = history.delivery(&ask(), &DeploymentRule::default()).await.unwrap();
    assert_eq!(
        (without.frequency, without.change_failure_rate, without.deployments),
        (None, None, 0),
        "no rule, no figure"
    );
}

/// Where platforms have one pipeline for all that is done, its jobs deploy.
pub async fn deployments_by_jobs(place: &dyn Place) {
    let history = place.open().await.unwrap();
    // With a job that is started by hand `later` than its run.
    let with = |id: u64, status: Status, day: i64, later: i64| {
        let pipeline = run(id, status, day, 0);
        let ended = |name: &str, n: u64, status: Status, second: i64| Job {
            created_at: pipeline.created_at,
            started_at: Some(at(day, second)),
            finished_at: Some(at(day, second + 60)),
            duration: Some(Duration::from_secs(60)),
            ..Job::new(JobId::from(id * 10 + n), name, status, status.as_str())
        };
        let jobs = vec![ended("build", 1, Status::Success, 5), ended("deploy: prod", 2, status, later)];
        RunNews { jobs: Some(jobs), ..RunNews::of(key("1"), pipeline) }
    };
    let whole = of_lane("d", "deploy all", run(9, Status::Success, 1, 0));
    let within = RunNews { pipeline: whole, ..with(9, Status::Success, 1, 30) };
    Story::new()
        .project("1")
        .news(with(1, Status::Success, 0, 30))
        .news(with(2, Status::Failed, 1, 30))
        .news(with(3, Status::Success, 1, 930))
        // Nobody has started it.
        .news(with(4, Status::Manual, 2, 30))
        // Its workflow deploys, and counts once.
        .news(within)
        .told(&*history)
        .await;
    let rule = DeploymentRule { names: Patterns::new(["deploy*"]).unwrap() };
    let told = history.delivery(&Ask::all(days(0, 3)), &rule).await.unwrap();
    assert_eq!((told.deployments, told.failures, told.frequency.unwrap().deployments), (4, 1, 3));
    let ids = |runs: &[RunOf]| runs.iter().map(|r| r.run.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&told.deployed), ["3", "2", "9", "1"], "the newest first");
    assert_eq!(ids(&told.failed), ["2"]);
    assert_eq!(told.time_to_restore.count, 1);
    let restored = told.time_to_restore.median.unwrap().as_secs_f64();
    assert!(
        (restored - 900.0).abs() <= 900.0 * 0.017,
        "from the end of the one to the end of the other: {restored}"
    );
    let elsewhere = Ask { branch: Some("other".into()), ..Ask::all(days(0, 3)) };
    assert_eq!(history.delivery(&elsewhere, &rule).await.unwrap().deployments, 0);
    assert_eq!(history.delivery(&Ask::all(days(2, 3)), &rule).await.unwrap().deployments, 0);
}

/// Every figure can be traced.
pub async fn behind(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new().project("1");
    for n in 0..60_u64 {
        let status = if n % 6 == 0 { Status::Failed } else { Status::Success };
        story = story.run(if n % 2 == 0 { "1" } else { "2" }, run(n, status, i64::try_from(n).unwrap(), 0));
    }
    let again = Pipeline { attempt: Some(2), updated_at: Some(at(59, 0)), ..run(0, Status::Failed, 0, 0) };
    story.run("1", again).told(&*history).await;
    let red = Behind { statuses: vec![Status::Failed], ..Behind::default() };
    let ids = async |behind: &Behind, skip: usize, limit: usize| {
        let runs = history.behind(&ask(), behind, skip, limit).await.unwrap();
        runs.iter().map(|(_, p)| p.id.as_str().parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(history.figures(&ask()).await.unwrap().failed, 10);
    assert_eq!(ids(&red, 0, 100).await, [54, 48, 42, 36, 30, 24, 18, 12, 6, 0], "as many as the figure says");
    assert_eq!(ids(&red, 2, 3).await, [42, 36, 30]);
    assert_eq!(ids(&Behind { day: Some(Day(first_day() + 12)), ..red.clone() }, 0, 9).await, [12]);
    assert_eq!(ids(&Behind { lane: Some("no such".into()), ..red.clone() }, 0, 9).await, [] as [u64; 0]);
    assert_eq!(ids(&Behind { day: Some(Day(first_day() - 1)), ..red }, 0, 9).await, [] as [u64; 0]);
}

/// From green runs alone, and not from a few.
pub async fn estimate(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new();
    for n in 0..4_u64 {
        story = story.run("1", took(100 + n, run(n, Status::Success, 0, i64::try_from(n).unwrap())));
    }
    story.run("1", took(5, run(90, Status::Failed, 1, 0))).told(&*history).await;
    assert_eq!(history.estimate(&key("1"), "ci").await.unwrap(), None);
    let mut story = Story::new();
    for n in 4..40_u64 {
        story = story.run("1", took(100 + n, run(n, Status::Success, 2, i64::try_from(n).unwrap())));
    }
    story.told(&*history).await;
    let estimate = history.estimate(&key("1"), "ci").await.unwrap().unwrap();
    // The newest twenty: 120 to 139 seconds.
    assert_eq!((estimate.of, estimate.median), (20, Duration::from_millis(129_500)));
    assert_eq!(estimate.p95, Duration::from_secs(138));
    assert_eq!(history.estimate(&key("1"), "other").await.unwrap(), None);
}

/// Nothing is an answer, not an error.
pub async fn nothing(place: &dyn Place) {
    let history = place.open().await.unwrap();
    assert_eq!(history.figures(&ask()).await.unwrap().success_rate(), None);
    assert_eq!(history.course(&ask()).await.unwrap().days.len(), 61);
    assert!(history.broken(&ask()).await.unwrap().is_empty());
    assert!(history.flaky(&ask()).await.unwrap().is_empty());
    assert!(history.failure_groups(&ask(), 9).await.unwrap().is_empty());
    assert!(history.attempts(&key("1"), &RunId::from(1)).await.unwrap().is_empty());
    assert!(history.behind(&ask(), &Behind::default(), 0, 9).await.unwrap().is_empty());
    let rule = DeploymentRule { names: Patterns::new(["Deploy"]).unwrap() };
    assert_eq!(history.delivery(&ask(), &rule).await.unwrap().deployments, 0);
}

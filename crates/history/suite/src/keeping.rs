//! What was written is there.

use std::time::Duration;

use domain::{
    Branch, Completeness, Job, JobId, NativeId, Person, Pipeline, PlatformId, Project, ProjectKey, RunId,
    SourceName, Status, Visibility, WebUrl, Workflow,
};
use history::{Batch, Day, Ingested, Known, ProjectNews, RunFilter, RunNews, Snapshot};

use crate::{Place, Story, at, key, run};

const GITLAB: PlatformId = PlatformId::new("gitlab");

fn full(id: &str) -> (Pipeline, Vec<Job>) {
    let link = |t: String| WebUrl::parse(&t);
    let person = Person {
        name: "Zoë \u{1F98A}".into(),
        login: Some("zoe".into()),
        avatar_url: link("https://a.example/zoe.png".into()),
    };
    let pipeline = Pipeline {
        number: Some(12),
        attempt: Some(2),
        workflow: Workflow { lane: "77".into(), name: Some("Build & \"Test\"".into()) },
        branch: Some("feature/\u{e4}".into()),
        sha: Some("00ff".repeat(10)),
        event: Some("push".into()),
        author: Some(person),
        message: Some("Fix it\n\nReally \\ 'truly' {1,2}".into()),
        created_at: Some(at(1, 0)),
        started_at: Some(at(1, 5)),
        finished_at: Some(at(1, 65)),
        updated_at: Some(at(1, 66)),
        duration: Some(Duration::from_millis(60_250)),
        queued: Some(Duration::from_millis(4_750)),
        expected: Some(Duration::from_secs(70)),
        url: link(format!("https://forge.example/p/runs/{id}")),
        failure: Some("unit-tests: script failure".into()),
        completeness: Completeness::Full,
        ..Pipeline::new(RunId::new(id), Status::Failed, "failed")
    };
    let job = Job {
        stage: Some("test".into()),
        allow_failure: true,
        failure_reason: Some("exit code 3".into()),
        created_at: Some(at(1, 1)),
        started_at: Some(at(1, 6)),
        finished_at: Some(at(1, 60)),
        duration: Some(Duration::from_secs(54)),
        queued: Some(Duration::from_secs(5)),
        url: link(format!("https://forge.example/p/runs/{id}/jobs/901")),
        ..Job::new(JobId::from(901), "unit-tests", Status::Warning, "failed")
    };
    let bare = Job::new(JobId::new("{a,\"b\"}/\u{e4}"), "lint, \"all\"", Status::Skipped, "skipped");
    (pipeline, vec![job, bare])
}

/// Nothing of a run or its jobs is lost, down to the millisecond.
pub async fn every_field(place: &dyn Place) {
    let history = place.open().await.unwrap();
    for id in ["4711", "{0b1c-\u{e4}}", "child/17"] {
        let (pipeline, jobs) = full(id);
        let news = RunNews { jobs: Some(jobs.clone()), ..RunNews::of(key("1"), pipeline.clone()) };
        Story::new().news(news).told(&*history).await;
        let kept = history.attempts(&key("1"), &RunId::new(id)).await.unwrap();
        assert_eq!(kept.len(), 1, "{id}");
        assert_eq!(kept[0].0, pipeline);
        let mut found = kept[0].1.clone();
        found.sort_by(|a, b| b.name.cmp(&a.name));
        assert_eq!(found, jobs);
    }
    let bare = Pipeline::new(RunId::new("0"), Status::Unknown, "");
    Story::new().run("1", bare.clone()).told(&*history).await;
    assert_eq!(history.attempts(&key("1"), &RunId::new("0")).await.unwrap()[0].0, bare);
}

/// What had not ended is told, whatever came after it; of a run that was tried again the newest attempt counts.
pub async fn unfinished(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let source = key("1").source;
    assert_eq!(history.unfinished(&source).await.unwrap(), []);
    let attempt = |n, status, minute| Pipeline { attempt: Some(n), ..run(5, status, 0, minute) };
    let other = ProjectKey::new(SourceName::new("other").unwrap(), NativeId::new("1"));
    let open = run(3, Status::Queued, 2, 0);
    let again = attempt(2, Status::Running, 9);
    let story = Story::new()
        .run("1", run(1, Status::Success, 0, 0))
        .run("1", run(2, Status::Manual, 1, 0))
        .run("2", open.clone())
        .run("1", attempt(1, Status::Failed, 5))
        .run("1", again.clone())
        .news(RunNews::of(other, run(7, Status::Running, 0, 0)));
    story.told(&*history).await;
    let mut told = history.unfinished(&source).await.unwrap();
    told.sort_by_key(|(key, _)| key.clone());
    assert_eq!(told, [(key("1"), again), (key("2"), open.clone())]);
    let ended = Pipeline {
        status: Status::Failed,
        native_status: "failed".into(),
        updated_at: Some(at(3, 0)),
        ..open
    };
    Story::new().run("2", ended).told(&*history).await;
    assert_eq!(history.unfinished(&source).await.unwrap().len(), 1);
}

/// Two sources may use the same ids, and an id may hold anything.
pub async fn ids(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let other = ProjectKey::new(SourceName::new("other").unwrap(), NativeId::new("1"));
    let odd = key("gr\u{fc}n/pa%th 'x\"");
    let mut story = Story::new().run("1", run(7, Status::Success, 0, 0));
    story = story.news(RunNews::of(other.clone(), run(7, Status::Failed, 0, 0)));
    story = story.news(RunNews::of(odd.clone(), run(7, Status::Canceled, 0, 0)));
    // Ids that look like numbers, and are others.
    for id in ["07", "+7", "7 ", "99999999999999999999"] {
        let pipeline = Pipeline { id: RunId::new(id), ..run(7, Status::Skipped, 0, 0) };
        story = story.run("1", pipeline);
    }
    story.told(&*history).await;
    for (key, status) in [(key("1"), Status::Success), (other, Status::Failed), (odd, Status::Canceled)] {
        let kept = history.attempts(&key, &RunId::from(7)).await.unwrap();
        assert_eq!(kept.iter().map(|(p, _)| p.status).collect::<Vec<_>>(), [status], "{key}");
    }
    assert_eq!(history.runs(&key("1"), &RunFilter::default(), 0, 9).await.unwrap().total, 5);
}

/// Older news change nothing, the same news neither.
pub async fn never_backwards(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let done = run(1, Status::Success, 0, 0);
    let earlier = Pipeline {
        updated_at: Some(at(0, 1)),
        finished_at: None,
        duration: None,
        ..run(1, Status::Running, 0, 0)
    };
    Story::new().run("1", done.clone()).told(&*history).await;
    for again in [done.clone(), earlier] {
        let did = history.ingest(Story::new().run("1", again).batch()).await.unwrap();
        assert_eq!(did, Ingested { unchanged: 1, ..Ingested::default() });
    }
    assert_eq!(history.attempts(&key("1"), &done.id).await.unwrap()[0].0, done);
}

/// A re-run is a further attempt, and the earlier one stays as it was.
pub async fn attempts(place: &dyn Place) {
    let history = place.open().await.unwrap();
    // A platform that counts.
    let attempt = |n: u32, status: Status, second: i64| Pipeline {
        attempt: Some(n),
        updated_at: Some(at(0, second)),
        ..run(1, status, 0, 0)
    };
    Story::new().run("1", attempt(1, Status::Failed, 50)).told(&*history).await;
    Story::new()
        .run("1", attempt(2, Status::Success, 90))
        .run("1", attempt(1, Status::Running, 20))
        .told(&*history)
        .await;
    let kept = history.attempts(&key("1"), &RunId::from(1)).await.unwrap();
    assert_eq!(
        kept.iter().map(|(p, _)| (p.attempt, p.status)).collect::<Vec<_>>(),
        [(Some(1), Status::Failed), (Some(2), Status::Success)]
    );
    // One that keeps the id and leaves a terminal state.
    let uncounted =
        |status: Status, second: i64| Pipeline { updated_at: Some(at(0, second)), ..run(2, status, 0, 0) };
    for (status, second) in [(Status::Failed, 20), (Status::Running, 40), (Status::Success, 60)] {
        Story::new().run("1", uncounted(status, second)).told(&*history).await;
    }
    let kept = history.attempts(&key("1"), &RunId::from(2)).await.unwrap();
    assert_eq!(
        kept.iter().map(|(p, _)| (p.attempt, p.status)).collect::<Vec<_>>(),
        [(None, Status::Failed), (None, Status::Success)]
    );
    let page = history.runs(&key("1"), &RunFilter::default(), 0, 10).await.unwrap();
    assert_eq!(page.total, 2, "attempts of one run count once");
    assert!(page.items.iter().all(|p| p.status == Status::Success), "and the newest stands for it");
}

/// A project that left or was renamed stays, but is on no board.
pub async fn projects(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let described = Project {
        description: Some("What it is".into()),
        visibility: Some(Visibility::Internal),
        avatar_url: WebUrl::parse("https://a.example/1.png"),
        url: WebUrl::parse("https://forge.example/group/1"),
        default_branch: Some("main".into()),
        archived: true,
        ci_disabled: true,
        last_activity_at: Some(at(0, 7)),
        ..Project::named(key("1"), GITLAB, "group/one")
    };
    let mut batch =
        Story::new().run("1", run(1, Status::Success, 0, 0)).run("2", run(1, Status::Failed, 0, 0)).batch();
    batch.projects = vec![ProjectNews::There(Box::new(described.clone()))];
    history.ingest(batch).await.unwrap();
    let source = SourceName::new("forge").unwrap();
    let board = history.remembered(&source, GITLAB, 10).await.unwrap();
    assert_eq!(board.len(), 1, "a project that nobody described is on no board");
    assert_eq!(board[0].project, described);
    assert_eq!(board[0].runs, [run(1, Status::Success, 0, 0)]);

    let mut batch = Batch::at(at(1, 0));
    batch.projects = vec![ProjectNews::Gone(key("1"))];
    history.ingest(batch).await.unwrap();
    assert!(history.remembered(&source, GITLAB, 10).await.unwrap().is_empty());
    assert_eq!(
        history.runs(&key("1"), &RunFilter::default(), 0, 10).await.unwrap().total,
        1,
        "its runs stay"
    );

    let renamed = Project { name: "group/uno".into(), ..described };
    let mut batch = Batch::at(at(2, 0));
    batch.projects = vec![ProjectNews::There(Box::new(renamed.clone()))];
    history.ingest(batch).await.unwrap();
    assert_eq!(history.remembered(&source, GITLAB, 10).await.unwrap()[0].project, renamed, "it is back");
}

/// All is there when it is opened again.
pub async fn restart(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let known = Known { from: at(0, 0), to: at(9, 0) };
    let mut batch = Story::new().project("1").batch();
    for n in 0..30 {
        batch.runs.push(RunNews::of(key("1"), run(n, Status::Success, 0, i64::try_from(n).unwrap())));
    }
    batch.watermarks.insert(key("1"), known);
    history.ingest(batch).await.unwrap();
    history.set_notes(&[("budget".into(), Some("17".into()))]).await.unwrap();
    drop(history);

    let history = place.open().await.unwrap();
    let source = SourceName::new("forge").unwrap();
    let board = history.remembered(&source, GITLAB, 20).await.unwrap();
    assert_eq!((board[0].runs.len(), board[0].total, board[0].known), (20, 30, Some(known)));
    assert_eq!(board[0].runs[0].id, RunId::from(29), "the newest first");
    assert_eq!(history.watermarks(&source).await.unwrap()[&key("1")], known);
    assert_eq!(history.note("budget").await.unwrap().as_deref(), Some("17"));
    let did = history.ingest(Story::new().run("1", run(3, Status::Success, 0, 3)).batch()).await.unwrap();
    assert_eq!(did.unchanged, 1);
}

/// Two that start at once do not migrate against each other.
pub async fn two_at_once(place: &dyn Place) {
    let (a, b) = tokio::join!(place.open(), place.open());
    let (a, b) = (a.unwrap(), b.unwrap());
    Story::new().run("1", run(1, Status::Success, 0, 0)).told(&*a).await;
    Story::new().run("1", run(2, Status::Success, 0, 1)).told(&*b).await;
    assert_eq!(a.runs(&key("1"), &RunFilter::default(), 0, 9).await.unwrap().total, 2);
    assert!(!a.health().await.unwrap().engine.is_empty());
}

/// Heads that moved, once each.
pub async fn snapshots(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let head = |sha: &str| Branch {
        default: true,
        protected: Some(true),
        sha: Some(sha.repeat(40)),
        author: Some(Person::named("Ada")),
        message: Some("Message".into()),
        committed_at: Some(at(0, 3)),
        url: WebUrl::parse("https://forge.example/tree/main"),
        ..Branch::named("main")
    };
    for (n, sha) in ["a", "a", "b", "a"].into_iter().enumerate() {
        let mut batch = Batch::at(at(i64::try_from(n).unwrap(), 0));
        batch.projects = Story::new().project("1").batch().projects;
        batch.snapshots.push(Snapshot { project: key("1"), branch: head(sha) });
        history.ingest(batch).await.unwrap();
    }
    let heads = history.snapshots(&key("1"), "main", 10).await.unwrap();
    assert_eq!(heads, [(head("a"), at(3, 0)), (head("b"), at(2, 0)), (head("a"), at(0, 0))]);
    let board = history.remembered(&SourceName::new("forge").unwrap(), GITLAB, 1).await.unwrap();
    assert_eq!(board[0].head, Some(head("a")));
}

/// Lists by page, narrowed.
pub async fn pages(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let mut story = Story::new();
    for n in 0..250_u64 {
        let status = if n % 5 == 0 { Status::Failed } else { Status::Success };
        let branch = if n % 2 == 0 { "main" } else { "other" };
        let pipeline = Pipeline {
            branch: Some(branch.into()),
            workflow: Workflow { lane: if n % 10 == 0 { "nightly" } else { "ci" }.into(), name: None },
            ..run(n, status, i64::try_from(n / 3).unwrap(), i64::try_from(n).unwrap())
        };
        story = story.run("1", pipeline);
    }
    story.told(&*history).await;
    let mut seen = Vec::new();
    for page in 0..4 {
        let page = history.runs(&key("1"), &RunFilter::default(), page * 100, 100).await.unwrap();
        assert_eq!(page.total, 250);
        seen.extend(page.items.into_iter().map(|p| p.id.as_str().parse::<u64>().unwrap()));
    }
    assert_eq!(seen, (0..250).rev().collect::<Vec<_>>(), "newest first, each once");
    let narrowed = RunFilter {
        branch: Some("main".into()),
        statuses: vec![Status::Failed, Status::Canceled],
        lane: Some("nightly".into()),
    };
    let page = history.runs(&key("1"), &narrowed, 20, 100).await.unwrap();
    assert_eq!((page.total, page.items.len()), (25, 5));
    let nothing = RunFilter { branch: Some("no such".into()), ..RunFilter::default() };
    assert_eq!(history.runs(&key("1"), &nothing, 0, 100).await.unwrap().total, 0);
    assert_eq!(history.runs(&key("no such"), &RunFilter::default(), 0, 100).await.unwrap().total, 0);
}

/// Where a branch is was seen long ago where nobody works on it, and is kept when what was before it goes.
pub async fn quiet_heads(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let head = |name: &str, sha: &str| Branch {
        default: name == "main",
        sha: Some(sha.repeat(40)),
        ..Branch::named(name)
    };
    for (day, name, sha) in
        [(0, "main", "a"), (1, "main", "b"), (2, "old", "c"), (90, "new", "d"), (95, "new", "e")]
    {
        let mut batch = Batch::at(at(day, 0));
        batch.projects = Story::new().project("1").batch().projects;
        batch.snapshots.push(Snapshot { project: key("1"), branch: head(name, sha) });
        history.ingest(batch).await.unwrap();
    }
    history.prune(Some(Day(Day::of(at(0, 0)).0 + 80)), at(0, 0)).await.unwrap();
    for (name, kept) in [("main", &["b"][..]), ("old", &["c"]), ("new", &["e", "d"])] {
        let heads = history.snapshots(&key("1"), name, 10).await.unwrap();
        let shas: Vec<_> = heads.into_iter().map(|(branch, _)| branch.sha.unwrap()).collect();
        assert_eq!(shas, kept.iter().map(|sha| sha.repeat(40)).collect::<Vec<_>>(), "{name}");
    }
    let board = history.remembered(&SourceName::new("forge").unwrap(), GITLAB, 1).await.unwrap();
    assert_eq!(board[0].head, Some(head("main", "b")), "the board has it after a start");
}

/// What is too old goes, and does not come back.
pub async fn prune(place: &dyn Place) {
    let history = place.open().await.unwrap();
    history.prepare(at(100, 0)).await.unwrap();
    let mut batch = Batch::at(at(200, 0));
    for n in 0..200_u64 {
        batch.runs.push(RunNews::of(key("1"), run(n, Status::Success, i64::try_from(n).unwrap(), 0)));
    }
    history.ingest(batch).await.unwrap();
    let before = Day(Day::of(at(0, 0)).0 + 130);
    history.prune(Some(before), at(0, 0)).await.unwrap();
    let total = || async { history.runs(&key("1"), &RunFilter::default(), 0, 1).await.unwrap().total };
    assert_eq!(total().await, 70);
    Story::new().run("1", run(5, Status::Success, 5, 0)).told(&*history).await;
    assert_eq!(total().await, 70, "late news of what was dropped are not taken in");
}

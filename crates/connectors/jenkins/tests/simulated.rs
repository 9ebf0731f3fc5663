//! Against a simulated Jenkins: what the source tells is what the simulated world holds, and what that costs.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "support/listing.rs"]
mod listing;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connector::{Connector, Error, Heads, HeadsAsk, PipelineQuery};
use domain::{Pipeline, ProblemKind, Project, RunId, Status};
use forge_sim::jenkins::{FACE, Kind, PASSWORD_USER, child_of, children, kind};
use forge_sim::world::{self, RunStatus, Shape, Trigger};
use forge_sim::{Effect, Fault, ManualClock, Power, Sim, Token};
use futures::StreamExt;
use jiff::SignedDuration;
use listing::listed;
use support::{ask, heads, settings, source};

async fn sim(projects: usize) -> (Sim, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-11-20T10:00:00Z".parse().unwrap()));
    let sim = Sim::builder().projects(projects).faces([FACE]).clock(clock.clone()).running(3);
    (sim.start().await.unwrap(), clock)
}

fn watching(sim: &Sim) -> Arc<dyn Connector> {
    source(&settings(&format!("{}/below/a/prefix/", sim.jenkins_url()), Some(sim.token())))
}

/// Asks again, knowing what was answered, bounded as the board keeps it.
fn again(project: &Project, heads: &Heads) -> HeadsAsk {
    HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|head| (head.bounded(), project.last_activity_at)),
        ..ask(project)
    }
}

/// The run of this id.
fn run<'a>(heads: &'a Heads, id: &str) -> &'a Pipeline {
    heads.pipelines.iter().find(|run| run.id.as_str() == id).expect("the run is there")
}

/// A board of the test's own: what is known of each project.
#[derive(Default)]
struct Board {
    projects: Vec<Project>,
    known: BTreeMap<String, Heads>,
}

impl Board {
    /// Lists and reads everything, as the aggregator does.
    async fn refresh(&mut self, source: &dyn Connector) {
        let (mut page, _) = listed(source).await.unwrap();
        self.projects = page.items;
        let read = self.projects.iter().filter(|p| !p.ci_disabled);
        let asks: Vec<HeadsAsk> = read
            .map(|p| {
                let known = self.known.get(p.key.id.as_str());
                let told = page.told.remove(&p.key.id);
                assert!(told.is_some(), "the listing tells all");
                HeadsAsk { told, ..known.map_or_else(|| ask(p), |heads| again(p, heads)) }
            })
            .collect();
        let answers: Vec<_> = source.branch_heads(asks).collect().await;
        for (key, heads) in answers {
            self.known.insert(key.id.to_string(), heads.unwrap());
        }
    }

    fn project(&self, id: &str) -> &Project {
        self.projects.iter().find(|p| p.key.id.as_str() == id).unwrap()
    }
}

/// What Jenkins would say of a build, in our words.
fn status(run: &world::Pipeline) -> Status {
    match run.status {
        RunStatus::Created | RunStatus::Queued => Status::Queued,
        RunStatus::Running => Status::Running,
        RunStatus::Success if run.warnings => Status::Warning,
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

/// The runs that Jenkins has of a project, by our ids, newest first.
fn truth(project: &world::Project) -> Vec<(String, &world::Pipeline)> {
    let id = |run: &world::Pipeline| match kind(project) {
        Kind::Multibranch => Some(format!("{}/{}", child_of(run).name(), run.number)),
        _ => {
            let own = Some(&run.branch) == project.default_branch.as_ref()
                && !matches!(run.trigger, Trigger::MergeRequest(_));
            own.then(|| run.number.to_string())
        }
    };
    project.pipelines().iter().rev().filter_map(|run| Some((id(run)?, run))).collect()
}

/// A project of this kind that has runs and goes on having some.
fn lively(sim: &Sim, wanted: Kind) -> (forge_sim::ProjectId, String) {
    sim.world().with(|world| {
        let fits =
            |p: &&world::Project| p.shape == Shape::Green && kind(p) == wanted && !p.workflows.is_empty();
        let quiet = |p: &&world::Project| p.pipelines().iter().all(|run| run.status.is_terminal());
        let project = world.projects_of(FACE).filter(fits).find(quiet).unwrap();
        (project.id, project.full_path())
    })
}

#[tokio::test]
async fn every_job_is_listed_once_by_one_request() {
    let (sim, _) = sim(300).await;
    let source = watching(&sim);
    let (page, pages) = listed(&*source).await.unwrap();
    assert_eq!((pages, sim.requests().total()), (1, 1));
    let mut named: Vec<_> =
        page.items.iter().map(|p| (p.key.id.to_string(), p.default_branch.clone(), p.ci_disabled)).collect();
    named.sort();
    let mut wanted: Vec<_> = sim.world().with(|world| {
        let row = |p: &world::Project| {
            let branch = p.default_branch.as_ref().map(ToString::to_string);
            let branch = branch.filter(|_| kind(p) == Kind::Multibranch && !children(p).is_empty());
            (p.full_path(), branch, matches!(p.shape, Shape::CiDisabled | Shape::Archived))
        };
        world.projects_of(FACE).map(row).collect()
    });
    wanted.sort();
    assert_eq!(named, wanted);
    assert_eq!(source.project_count().await.unwrap(), None, "counting costs as much as listing");
    for project in page.items.iter().take(8) {
        assert_eq!(source.project(&project.name).await.unwrap(), *project);
    }
    let folders: std::collections::BTreeSet<_> =
        page.items.iter().map(|p| p.name.matches('/').count()).collect();
    assert!(folders.contains(&2), "folders in folders");
}

#[tokio::test]
async fn what_is_told_is_what_there_is() {
    let (sim, clock) = sim(60).await;
    // What waits at the world's first moment has begun by then.
    clock.advance(SignedDuration::from_secs(45));
    let source = watching(&sim);
    let mut board = Board::default();
    board.refresh(&*source).await;
    let (mut warned, mut failed, mut manual, mut running) = (0, 0, 0, 0);
    sim.world().with(|world| {
        for project in &board.projects {
            let truth_of = world.find(FACE, project.key.id.as_str()).unwrap();
            if project.ci_disabled {
                assert!(!board.known.contains_key(project.key.id.as_str()));
                continue;
            }
            let heads = &board.known[project.key.id.as_str()];
            let kinds: Vec<_> = heads.problems.iter().map(|p| p.kind).collect();
            let theirs = truth(truth_of);
            if theirs.is_empty() {
                assert_eq!(kinds, [ProblemKind::NoCi], "{}", project.name);
                assert_eq!(heads.pipelines, []);
                continue;
            }
            assert_eq!(kinds, [], "{}", project.name);
            let head = heads.default_branch.as_ref().map(|b| (b.name.as_str(), b.sha.as_deref()));
            match kind(truth_of) {
                Kind::Multibranch => {
                    let branch = truth_of.default_branch.as_deref().unwrap();
                    let newest = theirs.iter().find(|(_, r)| {
                        *r.branch == *branch && !matches!(r.trigger, Trigger::MergeRequest(_))
                    });
                    // Of what waits nobody tells the commit.
                    let built = newest.filter(|(_, r)| status(r) != Status::Queued);
                    assert_eq!(head, Some((branch, built.map(|(_, r)| &*r.sha))), "{}", project.name);
                }
                _ => assert_eq!(head, None),
            }
            let mut of_default = 0;
            for (id, theirs) in &theirs {
                let is_default = kind(truth_of) != Kind::Multibranch
                    || (Some(&theirs.branch) == truth_of.default_branch.as_ref()
                        && !matches!(theirs.trigger, Trigger::MergeRequest(_)));
                of_default += usize::from(is_default);
                if !is_default || of_default > 20 {
                    continue;
                }
                let ours = run(heads, id);
                check(truth_of, theirs, ours);
                warned += usize::from(ours.status == Status::Warning);
                failed += usize::from(ours.failure.is_some());
                manual += usize::from(ours.status == Status::Manual);
                running += usize::from(ours.status == Status::Running && ours.expected.is_some());
            }
        }
    });
    let all = (warned, failed, manual, running);
    assert!(warned > 0 && failed > 0 && manual > 0 && running > 0, "the world has all: {all:?}");
}

/// A run, compared in full.
fn check(truth: &world::Project, theirs: &world::Pipeline, ours: &Pipeline) {
    let named = format!("{} {}", truth.full_path(), ours.id);
    let wanted = status(theirs);
    assert_eq!(ours.status, wanted, "{named}");
    if wanted == Status::Queued {
        return;
    }
    assert_eq!(ours.sha.as_deref(), Some(&*theirs.sha), "{named}: not the library's commit");
    let branch = (kind(truth) == Kind::Multibranch && !matches!(theirs.trigger, Trigger::MergeRequest(_)))
        .then(|| theirs.branch.to_string());
    if !matches!(theirs.trigger, Trigger::MergeRequest(_)) {
        assert_eq!(ours.branch, branch, "{named}");
    }
    let began = theirs.started_at.unwrap_or(theirs.created_at);
    assert_eq!(ours.started_at.map(|t| t.as_millisecond()), Some(began.as_millisecond()), "{named}");
    let ended = theirs.finished_at.filter(|_| theirs.status.is_terminal());
    assert_eq!(
        ours.finished_at.map(|t| t.as_millisecond()),
        ended.map(|t| t.as_millisecond().max(began.as_millisecond())),
        "{named}"
    );
    let event = match theirs.trigger {
        Trigger::Push | Trigger::Tag => "push",
        Trigger::MergeRequest(_) => "pull_request",
        Trigger::Schedule => "schedule",
        Trigger::Manual => "manual",
        Trigger::Workflow => "upstream",
    };
    assert_eq!(ours.event.as_deref(), Some(event), "{named}");
    let commit = truth.commit(&theirs.sha).unwrap();
    assert_eq!(ours.message.as_deref(), Some(&*commit.title), "{named}");
    assert_eq!(ours.author.as_ref().unwrap().name, commit.author.person().name, "{named}");
}

#[tokio::test]
async fn when_nothing_moves_a_refresh_of_300_jobs_is_one_request() {
    let (sim, _) = sim(300).await;
    // What waits for somebody is looked at each time (below); here nobody is waited for.
    sim.world().with(|world| {
        let waiting: Vec<_> = world
            .projects_of(FACE)
            .flat_map(|p| {
                p.pipelines().iter().filter(|r| r.status == RunStatus::Manual).map(|r| (p.id, r.id))
            })
            .collect();
        for (project, run) in waiting {
            world.finish_pipeline(project, run, RunStatus::Success).unwrap();
        }
    });
    let source = watching(&sim);
    let mut board = Board::default();
    board.refresh(&*source).await;
    assert_eq!(board.projects.len(), 300);
    let first = sim.requests().total();
    println!("the first reading of 300 jobs: {first} requests {:?}", sim.requests().counts(FACE));
    assert!(first <= 2 * 300, "{first}");
    assert!(sim.requests().most_at_once(FACE) <= 4);
    for _ in 0..3 {
        let before = board.known.clone();
        sim.requests().clear();
        board.refresh(&*source).await;
        assert_eq!(sim.requests().total(), 1, "{:?}", sim.requests().counts(FACE));
        for (id, heads) in &board.known {
            assert_eq!(heads.pipelines, before[id].pipelines, "{id}");
            assert_eq!(heads.default_branch, before[id].default_branch, "{id}");
        }
    }
    assert!(
        board.known.values().any(|h| h.pipelines.iter().any(|r| r.status.is_active())),
        "some of them run"
    );
}

#[tokio::test]
async fn a_build_from_start_to_failure_and_another_that_recovers() {
    for wanted in [Kind::Multibranch, Kind::Pipeline, Kind::Freestyle] {
        let (sim, clock) = sim(60).await;
        let (id, path) = lively(&sim, wanted);
        let source = watching(&sim);
        let world = sim.world();
        let mut board = Board::default();
        board.refresh(&*source).await;
        let branch = world.with(|w| w.get(id).unwrap().default_branch.clone().unwrap());
        let tick = |seconds| clock.advance(SignedDuration::from_secs(seconds));
        let name = |number: u32| match wanted {
            Kind::Multibranch => format!("{}/{number}", domain::encode_segment(&branch)),
            _ => number.to_string(),
        };

        let now = tick(30);
        let (started, number) = world.with(|w| {
            w.set_now(now);
            w.push_commit(id, &branch, forge_sim::World::person("nobody"), "Break it").unwrap();
            let started = w.start_pipeline(id, &branch, 0, false).unwrap();
            (started, w.get(id).unwrap().pipeline(started).unwrap().number)
        });
        board.refresh(&*source).await;
        assert!(run(&board.known[&path], &name(number)).status.is_active(), "{wanted:?}");

        let now = tick(20);
        world.with(|w| w.set_now(now));
        sim.requests().clear();
        board.refresh(&*source).await;
        let running = run(&board.known[&path], &name(number)).clone();
        assert_eq!(running.status, Status::Running);
        assert_eq!(running.message.as_deref(), Some("Break it"));
        assert!(running.expected.is_some() && running.finished_at.is_none());
        let counts = sim.requests().counts(FACE);
        assert_eq!(counts.get("GET /job/:job/api/json"), None, "the listing tells all of the new build");

        let now = tick(10);
        world.with(|w| {
            w.set_now(now);
            w.finish_pipeline(id, started, RunStatus::Failed).unwrap();
        });
        board.refresh(&*source).await;
        let red = run(&board.known[&path], &name(number)).clone();
        assert_eq!((red.status, red.expected), (Status::Failed, None));
        assert_eq!(red.message.as_deref(), Some("Break it"), "what was known stays");
        let failed = world.with(|w| {
            let project = w.get(id).unwrap();
            project.pipeline(started).unwrap().failure.clone().unwrap()
        });
        let reason = red.failure.clone().unwrap();
        assert!(reason.contains(failed.summary), "{reason}");
        if wanted == Kind::Freestyle {
            assert!(!reason.is_empty());
        } else {
            assert!(reason.contains(": "), "the stage: {reason}");
        }
        sim.requests().clear();
        board.refresh(&*source).await;
        assert_eq!(
            sim.requests().counts(FACE).get("GET /job/:job/:build/api/json"),
            None,
            "the reason is known"
        );

        // Somebody starts it again: a build with a number of its own.
        let project = board.project(&path).clone();
        source.actions().unwrap().retry(&project, &red.id).await.unwrap();
        let now = tick(3600);
        world.with(|w| w.set_now(now));
        board.refresh(&*source).await;
        let newest = board.known[&path].pipelines.iter().find(|r| r.branch == red.branch).unwrap();
        assert!(newest.number > red.number && newest.status.is_green(), "{newest:?}");
        assert_eq!(newest.event.as_deref(), Some("manual"));
        assert_eq!(run(&board.known[&path], &name(number)).failure, Some(reason));
    }
}

#[tokio::test]
async fn a_build_waits_is_let_through_and_ends() {
    let (sim, _) = sim(60).await;
    let source = watching(&sim);
    let mut board = Board::default();
    board.refresh(&*source).await;
    let waiting = sim.world().with(|world| {
        let waits = |p: &&world::Project| p.shape == Shape::Waiting && kind(p) != Kind::Freestyle;
        world.projects_of(FACE).find(waits).map(|p| p.full_path())
    });
    let path = waiting.expect("the world has one");
    let project = board.project(&path).clone();
    let known = board.known[&path].clone();
    // The loop for running builds looks closer than the listing.
    let closer = heads(&*source, again(&project, &known)).await.unwrap();
    assert_eq!(closer.pipelines[0].status, Status::Manual, "{:?}", closer.pipelines[0]);
    board.known.insert(path.clone(), closer);
    sim.requests().clear();
    board.refresh(&*source).await;
    assert_eq!(board.known[&path].pipelines[0].status, Status::Manual);
    assert_eq!(sim.requests().total(), 2, "the listing, and whether it still waits");
    // Once looked at that is not asked again at once.
    let again_in_a_moment = HeadsAsk {
        known_at: "9000-01-01T00:00:00Z".parse().ok(),
        told: listed(&*source).await.unwrap().0.told.remove(&project.key.id),
        ..again(&project, &board.known[&path])
    };
    sim.requests().clear();
    let same = heads(&*source, again_in_a_moment).await.unwrap();
    assert_eq!((same.pipelines[0].status, sim.requests().total()), (Status::Manual, 0));
    sim.world().with(|world| {
        let project = world.find(FACE, &path).unwrap();
        let (id, run) = (project.id, project.pipelines().last().unwrap().id);
        world.finish_pipeline(id, run, RunStatus::Success).unwrap();
    });
    board.refresh(&*source).await;
    assert_eq!(board.known[&path].pipelines[0].status, Status::Success);
}

#[tokio::test]
async fn a_build_with_its_stages_and_its_log() {
    let (sim, _) = sim(60).await;
    let source = watching(&sim);
    for wanted in [Kind::Multibranch, Kind::Pipeline, Kind::Freestyle] {
        let (_, path) = lively(&sim, wanted);
        let project = source.project(&path).await.unwrap();
        let known = heads(&*source, ask(&project)).await.unwrap();
        let newest = known.pipelines.iter().find(|r| r.status.is_verdict()).unwrap();
        let detail = source.pipeline(&project, &newest.id).await.unwrap();
        assert_eq!(detail.problems, []);
        assert_eq!(detail.pipeline.status, newest.status);
        let told: Vec<_> = detail.jobs.iter().map(|j| j.name.clone()).collect();
        let last = detail.jobs.last().unwrap();
        let log = source.log(&project, &newest.id, &last.id, 64 * 1024).await.unwrap();
        assert!(!log.text.contains("\u{1b}[8m"), "{}", log.text);
        if wanted == Kind::Freestyle {
            assert_eq!(told, [project.name.rsplit('/').next().unwrap()]);
            assert!(log.text.starts_with("Started by") && log.text.contains("Finished: "), "{}", log.text);
        } else {
            let stages: Vec<_> = sim.world().with(|w| {
                let project = w.find(FACE, &path).unwrap();
                let run = truth(project).into_iter().find(|(id, _)| id == newest.id.as_str()).unwrap().1;
                let mut stages: Vec<_> = project.jobs(run).iter().map(|j| (j.stage_index, j.stage)).collect();
                stages.sort_unstable();
                stages.dedup();
                stages.into_iter().map(|(_, name)| name.to_owned()).collect()
            });
            assert_eq!(told, stages, "in the order of their stages");
            assert!(
                !log.text.is_empty() && !log.text.contains("Started by"),
                "only the stage's: {}",
                log.text
            );
            // Without the plugin there is one job for the build.
            sim.faults().add(Fault::on("*/wfapi/*", Effect::Status(404)));
            let plain = source.pipeline(&project, &newest.id).await.unwrap();
            assert_eq!((plain.jobs.len(), plain.problems.len()), (1, 0));
            let whole = source.log(&project, &newest.id, &plain.jobs[0].id, 300).await.unwrap();
            assert!(whole.truncated && whole.text.contains("Finished: ") && whole.text.len() <= 300);
            sim.faults().clear();
        }
    }
}

#[tokio::test]
async fn lists_go_to_their_end() {
    let (sim, _) = sim(40).await;
    let source = watching(&sim);
    for wanted in [Kind::Multibranch, Kind::Freestyle] {
        let (path, ids, of_default) = sim.world().with(|world| {
            let fits = world.projects_of(FACE).filter(|p| kind(p) == wanted && !p.archived);
            let most = fits.max_by_key(|p| truth(p).len()).unwrap();
            let built = |(_, r): &(String, &world::Pipeline)| status(r) != Status::Queued;
            let all: Vec<_> = truth(most).into_iter().filter(built).collect();
            let branch = most.default_branch.clone().unwrap();
            let own = all.iter().filter(|(id, _)| id.starts_with(&*format!("{branch}/"))).count();
            (most.full_path(), all.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), own)
        });
        let project = source.project(&path).await.unwrap();
        let query = PipelineQuery { branch: None, since: None, until: None, limit: 5_000 };
        let all = source.pipelines(&project, &query).await.unwrap();
        let mut told: Vec<_> = all.items.iter().map(|r| r.id.to_string()).collect();
        assert_eq!(all.problems, []);
        assert!(all.items.windows(2).all(|p| p[0].age_key() >= p[1].age_key()), "newest first");
        let mut ids = ids;
        told.sort();
        ids.sort();
        assert_eq!(told, ids);
        let some = source.pipelines(&project, &PipelineQuery { limit: 3, ..query.clone() }).await.unwrap();
        assert_eq!(some.items, all.items[..3]);
        let since = all.items[4].updated_at;
        let recent = source.pipelines(&project, &PipelineQuery { since, ..query.clone() }).await.unwrap();
        assert!(recent.items.len() >= 5 && recent.items.len() < all.items.len().max(6));
        let branches = source.branches(&project, None).await.unwrap();
        if wanted == Kind::Freestyle {
            assert_eq!(branches.items, []);
            continue;
        }
        let default = project.default_branch.clone().unwrap();
        let query = PipelineQuery { branch: Some(default.clone()), since: None, until: None, limit: 5_000 };
        assert_eq!(source.pipelines(&project, &query).await.unwrap().items.len(), of_default);
        let newest = source.latest_pipeline(&project, &default).await.unwrap().unwrap();
        assert_eq!(newest.branch.as_deref(), Some(default.as_str()));
        assert!(branches.items.iter().any(|b| b.default && b.sha.is_some()));
        assert!(branches.items.iter().any(|b| b.name.contains('/')), "names are for people: {branches:?}");
        for branch in branches.items.iter().take(4) {
            assert_eq!(source.branch(&project, &branch.name).await.unwrap(), *branch);
        }
        assert!(matches!(source.branch(&project, "no such").await, Err(Error::NotFound(_))));
        assert_eq!(source.latest_pipeline(&project, "no such").await.unwrap(), None);
    }
}

#[tokio::test]
async fn folders_narrow_and_what_is_missing_is_told_at_the_end() {
    let (sim, _) = sim(60).await;
    let mut narrow = settings(&sim.jenkins_url(), Some(sim.token()));
    narrow.folders = vec!["payments".into(), "/mobile/shared/".into()];
    let (page, pages) = listed(&*source(&narrow)).await.unwrap();
    assert_eq!((pages, sim.requests().total()), (2, 2));
    let wanted = sim.world().with(|w| {
        let inside = |p: &&world::Project| p.namespace == "payments" || p.namespace == "mobile/shared";
        w.projects_of(FACE).filter(inside).count()
    });
    assert_eq!(page.items.len(), wanted);
    narrow.folders = vec!["nowhere".into(), "payments".into()];
    let source = source(&narrow);
    let first = source.projects(None).await.unwrap();
    let second = source.projects(first.next).await.unwrap();
    assert!(!second.items.is_empty());
    let error = source.projects(second.next).await.unwrap_err();
    assert!(error.to_string().contains("folder nowhere"), "{error}");
}

#[tokio::test]
async fn who_may_and_who_may_not() {
    let only = Token { value: "reads".into(), ..Token::new("reads", Power::Read) };
    let builder = Sim::builder().projects(60).faces([FACE]).token(only);
    let sim = builder.start().await.unwrap();
    let url = sim.jenkins_url();
    for token in ["wrong", forge_sim::EXPIRED_TOKEN] {
        let error = listed(&*source(&settings(&url, Some(token)))).await.unwrap_err();
        assert!(matches!(&error, Error::Unauthorized(text) if text.contains("source ci")), "{error}");
    }
    let error = listed(&*source(&settings(&url, Some(forge_sim::NARROW_TOKEN)))).await.unwrap_err();
    assert!(matches!(&error, Error::Forbidden(text) if text.contains("Overall/Read")), "{error}");

    let anonymous = source(&settings(&url, None));
    let (public, _) = listed(&*anonymous).await.unwrap();
    assert!(!public.items.is_empty() && public.items.len() < 60);
    assert!(anonymous.actions().is_none());
    assert_eq!(anonymous.current_user().unwrap().current_user().await.unwrap(), None);

    let mut bearer = settings(&url, Some(sim.token()));
    bearer.user = None;
    assert_eq!(listed(&*source(&bearer)).await.unwrap().0.items.len(), 60);
    let user = source(&bearer).current_user().unwrap().current_user().await.unwrap().unwrap();
    assert!(user.login.is_some());

    let reader = source(&settings(&url, Some("reads")));
    let (_, path) = lively(&sim, Kind::Freestyle);
    let project = reader.project(&path).await.unwrap();
    let known = heads(&*reader, ask(&project)).await.unwrap();
    let refused = reader.actions().unwrap().retry(&project, &known.pipelines[0].id).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
}

#[tokio::test]
async fn builds_are_started_stopped_and_taken_from_the_queue() {
    let (sim, clock) = sim(60).await;
    let (id, path) = lively(&sim, Kind::Multibranch);
    // By password, so that a crumb is needed.
    let mut by_password = settings(&sim.jenkins_url(), Some(sim.token()));
    by_password.user = Some(PASSWORD_USER.to_owned());
    let source = source(&by_password);
    let project = source.project(&path).await.unwrap();
    let branch = project.default_branch.clone().unwrap();
    let actions = source.actions().unwrap();
    let world = sim.world();
    let begin = |seconds| {
        let now = clock.advance(SignedDuration::from_secs(seconds));
        world.with(|w| {
            w.set_now(now);
            let run = w.start_pipeline(id, &branch, 0, true).unwrap();
            (run, w.get(id).unwrap().pipeline(run).unwrap().number)
        })
    };
    let state = |run| world.with(|w| w.get(id).unwrap().pipeline(run).unwrap().status);
    let name = |number: u32| RunId::new(format!("{}/{number}", domain::encode_segment(&branch)));

    let (waits, number) = begin(5);
    assert!(matches!(state(waits), RunStatus::Created | RunStatus::Queued));
    let detail = source.pipeline(&project, &name(number)).await.unwrap();
    assert_eq!(detail.pipeline.status, Status::Queued, "it has no page yet");
    actions.cancel(&project, &name(number)).await.unwrap();
    assert_eq!(state(waits), RunStatus::Canceled);
    assert_eq!(sim.requests().counts(FACE).get("GET /crumbIssuer/api/json"), Some(&2), "one for each POST");

    let (runs, number) = begin(5);
    let now = clock.advance(SignedDuration::from_secs(20));
    world.with(|w| w.set_now(now));
    assert_eq!(state(runs), RunStatus::Running);
    let refused = actions.retry(&project, &name(number)).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    actions.cancel(&project, &name(number)).await.unwrap();
    assert_eq!(state(runs), RunStatus::Canceled);
    actions.cancel(&project, &name(number)).await.expect("one that has ended stays as it is");
    let missing = actions.cancel(&project, &name(99_999)).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");

    // With the parameters that it had.
    let (_, path) = lively(&sim, Kind::Pipeline);
    let project = source.project(&path).await.unwrap();
    let known = heads(&*source, ask(&project)).await.unwrap();
    actions.retry(&project, &known.pipelines[0].id).await.unwrap();
    let after = heads(&*source, again(&project, &known)).await.unwrap();
    assert!(after.pipelines[0].number > known.pipelines[0].number);
}

#[tokio::test]
async fn one_job_that_hangs_or_fails_holds_up_no_other() {
    let (sim, _) = sim(12).await;
    let source = watching(&sim);
    let (page, _) = listed(&*source).await.unwrap();
    let projects: Vec<_> = page.items.into_iter().filter(|p| !p.ci_disabled).collect();
    let path = |p: &Project| {
        let parts: Vec<_> = p.key.id.as_str().split('/').map(|s| format!("/job/{s}")).collect();
        format!("*{}/api/json", parts.concat())
    };
    sim.faults().add(Fault::on(&path(&projects[0]), Effect::Hang));
    sim.faults().add(Fault::on(&path(&projects[1]), Effect::LoginPage));
    let mut answers = source.branch_heads(projects.iter().map(ask).collect());
    let mut there = 0;
    // The one that hangs is the one that does not come; how long the client waits for it is not this test's business.
    while there < projects.len() - 1 {
        let next =
            tokio::time::timeout(Duration::from_secs(20), answers.next()).await.expect("the others come");
        let (key, read) = next.unwrap();
        assert_ne!(key, projects[0].key);
        assert_eq!(read.is_err(), key == projects[1].key, "{key}");
        there += 1;
    }
}

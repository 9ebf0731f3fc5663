//! The connector against every generation of a simulated Gitea, whose truth is known. What all connectors have to do is in
//! `suite.rs`.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;

use connector::{Connector, Error, Heads, HeadsAsk, PipelineQuery};
use domain::{Clock, Completeness, ManualClock, Pipeline, ProblemKind, Project, Status, Timestamp};
use forge_sim::gitea::{Api, FACE};
use forge_sim::world::{self, Shape, Trigger, Visibility};
use forge_sim::{Power, RunStatus, Sim, Token, World};
use jiff::SignedDuration;

struct Forge {
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    gitea: Arc<dyn Connector>,
}

impl Forge {
    async fn start(api: Api, projects: usize) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let builder = Sim::builder().seed(11).projects(projects).faces([FACE]).gitea(api).running(3);
        let builder = builder.token(Token::new("read", Power::Read));
        let sim = builder.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>).start().await.unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let gitea = source(&sim, Some(sim.token()), &clock);
        Self { sim, clock, sim_clock, gitea }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    async fn projects(&self) -> Vec<Project> {
        let (mut all, mut page) = (Vec::new(), None);
        loop {
            let answer = self.gitea.projects(page).await.unwrap();
            all.extend(answer.items);
            match answer.next {
                Some(next) => page = Some(next),
                None => return all,
            }
        }
    }

    async fn project(&self, fits: impl Fn(&world::Project) -> bool) -> (forge_sim::ProjectId, Project) {
        let (id, name) = self.sim.world().with(|w| {
            let found = w.projects_of(FACE).find(|p| fits(p)).unwrap();
            (found.id, found.full_path())
        });
        (id, self.gitea.project(&name).await.unwrap())
    }

    async fn green(&self) -> (forge_sim::ProjectId, Project) {
        self.project(|p| p.shape == Shape::Green && p.pipelines().len() > 60).await
    }

    fn truth<R>(&self, id: forge_sim::ProjectId, look: impl FnOnce(&world::Project) -> R) -> R {
        self.sim.world().with(|w| look(w.get(id).unwrap()))
    }

    /// One answer, and the paths that it took.
    async fn heads(&self, ask: HeadsAsk) -> (Heads, Vec<String>) {
        self.sim.requests().clear();
        let key = ask.project.key.clone();
        let heads = support::heads(&*self.gitea, vec![ask]).await.remove(&key).unwrap().unwrap();
        (heads, self.sim.requests().all().into_iter().map(|r| r.path).collect())
    }

    fn knowing(&self, ask: &HeadsAsk, heads: &Heads) -> HeadsAsk {
        support::knowing(ask, heads, self.clock.now())
    }
}

fn source(sim: &Sim, token: Option<&str>, clock: &Arc<ManualClock>) -> Arc<dyn Connector> {
    let settings = support::settings(&sim.gitea_url(), token);
    support::source(&settings, Arc::clone(clock) as Arc<dyn Clock>)
}

/// What the world's words are in ours. A job that may fail ends well there.
fn expected(status: RunStatus) -> Status {
    match status {
        RunStatus::Created | RunStatus::Queued => Status::Queued,
        RunStatus::Running => Status::Running,
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

fn same(api: Api, ours: &Pipeline, truth: &world::Project, run: &world::Pipeline) {
    let name = format!("{api:?} {} {}", truth.full_path(), ours.id);
    assert_eq!(ours.number, Some(u64::from(run.number)), "{name}");
    assert_eq!(ours.sha.as_deref(), Some(&*run.sha), "{name}");
    assert_eq!(ours.message.as_deref(), Some(&*truth.commit(&run.sha).unwrap().title), "{name}");
    let workflow = &truth.workflows[run.workflow];
    assert!(workflow.path.ends_with(&ours.workflow.lane), "{name}");
    let branch = match (run.trigger, api) {
        // Only Gitea's own lists tell the branch of a pull request.
        (Trigger::MergeRequest(number), Api::Forgejo | Api::Tasks) => format!("#{number}"),
        _ => run.branch.to_string(),
    };
    assert_eq!(ours.branch, Some(branch), "{name}");
    if api == Api::Tasks {
        // What no runner has taken does not show.
        let verdict = matches!(run.status, RunStatus::Success | RunStatus::Failed);
        assert!(!verdict || ours.status == expected(run.status), "{name}: {:?}", ours.status);
    } else {
        assert_eq!(ours.id.as_str(), run.id.to_string(), "{name}");
        assert_eq!(ours.status, expected(run.status), "{name}");
        assert_eq!(ours.author.as_ref().unwrap().name, run.actor.person().name, "{name}");
    }
    let ended = match api {
        Api::Tasks => ours.status.is_verdict() || ours.status == Status::Canceled,
        _ => run.finished_at.is_some() && run.status.is_terminal(),
    };
    assert_eq!(ours.finished_at.is_some(), ended, "{name}");
}

#[tokio::test]
async fn the_state_of_every_repository_is_the_worlds() {
    for api in [Api::Runs, Api::Forgejo, Api::Tasks] {
        let forge = Forge::start(api, 24).await;
        let projects = forge.projects().await;
        let asks = projects.iter().map(support::ask).collect();
        let heads = support::heads(&*forge.gitea, asks).await;
        let (mut compared, mut failures) = (0, 0);
        forge.sim.world().with(|w| {
            for project in &projects {
                let heads = heads[&project.key].as_ref().unwrap();
                let truth = w.find(FACE, &project.name).unwrap();
                if truth.shape == Shape::Empty {
                    assert_eq!(heads.problems[0].kind, ProblemKind::Empty);
                    continue;
                }
                assert_eq!(heads.problems, [], "{api:?} {}", project.name);
                let head = heads.default_branch.as_ref().unwrap();
                let branch = truth.branch(&head.name).unwrap();
                assert_eq!(head.sha.as_deref(), Some(&*branch.head));
                if truth.shape == Shape::CiDisabled {
                    continue;
                }
                for ours in &heads.pipelines {
                    let number = |r: &&world::Pipeline| Some(u64::from(r.number)) == ours.number;
                    same(api, ours, truth, truth.pipelines().iter().find(number).unwrap());
                    compared += 1;
                    failures += usize::from(ours.failure.is_some());
                }
                let order = heads.pipelines.windows(2).all(|two| two[0].number > two[1].number);
                assert!(order, "{api:?} {}: newest first", project.name);
                if api != Api::Tasks {
                    assert_eq!(heads.total_runs, Some(truth.pipelines().len() as u64), "{}", project.name);
                    let newest = truth.pipelines().len().min(Heads::MAX_RUNS);
                    assert!(heads.pipelines.len() >= newest, "{} of {newest}", heads.pipelines.len());
                }
            }
        });
        assert!(compared > 300 && failures > 0, "{api:?}: {compared} compared, {failures} failures");
    }
}

#[tokio::test]
async fn nothing_new_is_one_small_request_for_each_repository() {
    for (api, small) in [
        (Api::Runs, "/actions/runs?limit=5"),
        (Api::Forgejo, "/actions/runs?limit=5"),
        (Api::Tasks, "/actions/tasks?limit=15"),
        (Api::Statuses, "/status?limit=50"),
    ] {
        let forge = Forge::start(api, 16).await;
        let projects = forge.projects().await;
        let mut asks: Vec<HeadsAsk> = projects.iter().map(support::ask).collect();
        let mut paths = Vec::new();
        // The first reading finds out what the server has; the second what small pages are good for.
        for _ in 0..4 {
            forge.sim.requests().clear();
            let heads = support::heads(&*forge.gitea, asks.clone()).await;
            asks = asks.iter().map(|a| forge.knowing(a, heads[&a.project.key].as_ref().unwrap())).collect();
            paths = forge.sim.requests().all().into_iter().map(|r| r.path).collect();
        }
        let told = projects.iter().filter(|p| p.default_branch.is_some()).count();
        assert_eq!(paths.len(), told, "{api:?}: {paths:#?}");
        let others: Vec<_> = paths.iter().filter(|p| !p.ends_with(small)).collect();
        // Of a repository without Actions its commit statuses, of one with very many jobs in a run a whole page.
        assert!(others.len() <= 3, "{api:?}: {others:#?}");
        assert!(forge.sim.requests().most_at_once(FACE) <= 8);
    }
}

#[tokio::test]
async fn every_generation_is_found_out_once() {
    for (api, first, later) in [
        (Api::Runs, vec!["/actions/runs"], vec!["/actions/runs"]),
        (Api::Tasks, vec!["/actions/runs", "/actions/tasks"], vec!["/actions/tasks"]),
        (Api::Statuses, vec!["/actions/runs", "/actions/tasks", "/status"], vec!["/status"]),
    ] {
        let forge = Forge::start(api, 8).await;
        let (_, project) = forge.green().await;
        let ask = support::ask(&project);
        let look = |paths: &[String]| {
            let mut tails: Vec<String> = Vec::new();
            for path in paths {
                let path = path.split('?').next().unwrap();
                let tail =
                    ["/actions/runs", "/actions/tasks", "/status"].iter().find(|t| path.ends_with(**t));
                if let Some(tail) = tail
                    && !tails.iter().any(|t| t == tail)
                {
                    tails.push((*tail).to_owned());
                }
            }
            tails
        };
        let (heads, paths) = forge.heads(ask.clone()).await;
        assert_eq!(look(&paths), first, "{api:?}");
        assert!(!heads.pipelines.is_empty());
        let ask = forge.knowing(&ask, &heads);
        assert_eq!(look(&forge.heads(ask.clone()).await.1), later, "{api:?}");
        // After an hour it is tried again.
        forge.pass(SignedDuration::from_hours(1));
        assert_eq!(look(&forge.heads(ask).await.1), first, "{api:?}");
    }
}

#[tokio::test]
async fn what_moves_in_the_world_moves_in_the_answers() {
    for api in [Api::Forgejo, Api::Tasks] {
        let forge = Forge::start(api, 12).await;
        let (id, project) = forge.green().await;
        let main = project.default_branch.clone().unwrap();
        let mut ask = support::ask(&project);
        let (heads, _) = forge.heads(ask.clone()).await;
        ask = forge.knowing(&ask, &heads);
        let before = heads.pipelines.len();

        let newest = |heads: &Heads| heads.pipelines.first().cloned().unwrap();
        forge.pass(SignedDuration::from_secs(40));
        let (sha, run) = forge.sim.world().with(|w| {
            let sha = w.push_commit(id, &main, World::person("lee"), "Break it").unwrap();
            (sha, w.start_pipeline(id, &main, 0, false).unwrap())
        });
        forge.pass(SignedDuration::from_secs(30));
        let (heads, _) = forge.heads(ask.clone()).await;
        ask = forge.knowing(&ask, &heads);
        let number = forge.truth(id, |p| p.pipeline(run).unwrap().number);
        assert_eq!(
            (newest(&heads).number, newest(&heads).status),
            (Some(u64::from(number)), Status::Running)
        );
        // The listing is older than the push: the new run tells of it.
        assert_eq!(heads.default_branch.unwrap().sha.as_deref(), Some(&*sha), "{api:?}");

        forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed)).unwrap();
        let (heads, _) = forge.heads(ask.clone()).await;
        ask = forge.knowing(&ask, &heads);
        let red = newest(&heads);
        assert_eq!((red.status, red.completeness), (Status::Failed, Completeness::Full), "{api:?}");
        assert!(red.failure.as_deref().unwrap().ends_with("failed"), "{red:?}");
        assert!(heads.pipelines.len() >= before, "{api:?}: older ones stay");

        forge.pass(SignedDuration::from_secs(60));
        forge.sim.world().with(|w| w.retry(id, run)).unwrap();
        forge.pass(SignedDuration::from_secs(5));
        let (heads, _) = forge.heads(ask.clone()).await;
        ask = forge.knowing(&ask, &heads);
        let again = newest(&heads);
        assert_eq!(
            (&again.id, again.status, again.created_at),
            (&red.id, Status::Running, red.created_at),
            "{api:?}"
        );
        assert_eq!((again.finished_at, again.failure.as_ref()), (None, None));

        forge.pass(SignedDuration::from_hours(3));
        let (heads, _) = forge.heads(ask).await;
        let green = newest(&heads);
        assert_eq!((green.id, green.status, green.failure), (red.id, Status::Success, None), "{api:?}");
    }
}

#[tokio::test]
async fn an_old_run_that_is_started_over_shows_within_a_quarter_of_an_hour_in_its_old_place() {
    let forge = Forge::start(Api::Runs, 12).await;
    let (id, project) = forge.green().await;
    let ask = support::ask(&project);
    let (heads, _) = forge.heads(ask.clone()).await;
    let ask = forge.knowing(&ask, &heads);
    let place = 20;
    let old = heads.pipelines[place].clone();
    let run: u64 = old.id.as_str().parse().unwrap();
    forge.pass(SignedDuration::from_mins(10));
    forge.sim.world().with(|w| w.retry(id, run)).unwrap();
    let (heads, paths) = forge.heads(ask.clone()).await;
    assert_eq!((paths.len(), heads.pipelines[place].status), (1, old.status), "the few newest do not tell");
    forge.pass(SignedDuration::from_mins(6));
    let (heads, _) = forge.heads(ask).await;
    let again = &heads.pipelines[place];
    assert_eq!((&again.id, again.attempt), (&old.id, Some(2)));
    assert_ne!(again.started_at, old.started_at);
    assert_eq!(again.created_at, old.created_at, "so that it does not pass for the newest");
}

#[tokio::test]
async fn a_run_that_goes_on_is_found_behind_many_newer_ones() {
    let forge = Forge::start(Api::Runs, 12).await;
    let (id, project) = forge.green().await;
    let main = project.default_branch.clone().unwrap();
    let long = forge.sim.world().with(|w| w.start_pipeline(id, &main, 0, true)).unwrap();
    let ask = support::ask(&project);
    let (heads, _) = forge.heads(ask.clone()).await;
    let ask = forge.knowing(&ask, &heads);
    for _ in 0..60 {
        forge.pass(SignedDuration::from_secs(1));
        forge.sim.world().with(|w| {
            let run = w.start_pipeline(id, &main, 0, true).unwrap();
            w.finish_pipeline(id, run, RunStatus::Success).unwrap();
        });
    }
    forge.sim.world().with(|w| w.finish_pipeline(id, long, RunStatus::Canceled)).unwrap();
    let (heads, _) = forge.heads(ask.clone()).await;
    let run = heads.pipelines.iter().find(|r| r.id.as_str() == long.to_string()).unwrap();
    assert_eq!(run.status, Status::Canceled);
    assert!(heads.pipelines.iter().zip(heads.pipelines.iter().skip(1)).all(|(a, b)| a.number > b.number));
    // All of the new ones came, without a gap to what was known.
    let numbers: Vec<u64> = heads.pipelines.iter().filter_map(|r| r.number).collect();
    assert_eq!(numbers[0] - numbers[99], 99, "{numbers:?}");
}

#[tokio::test]
async fn commit_statuses_stand_for_runs_where_there_are_none() {
    let forge = Forge::start(Api::Statuses, 24).await;
    let (id, project) = forge.project(|p| matches!(p.shape, Shape::Broken { .. })).await;
    let (heads, _) = forge.heads(support::ask(&project)).await;
    let head = heads.default_branch.clone().unwrap();
    let run = &heads.pipelines[0];
    assert_eq!((run.sha.as_ref(), run.branch.as_ref()), (head.sha.as_ref(), project.default_branch.as_ref()));
    assert_eq!((run.message.as_ref(), run.author.as_ref()), (head.message.as_ref(), head.author.as_ref()));
    let (status, contexts) = forge.truth(id, |p| {
        let of_head = |r: &&world::Pipeline| Some(&*r.sha) == head.sha.as_deref();
        let newest: Vec<_> = p.pipelines().iter().filter(of_head).collect();
        let worst = newest.iter().map(|r| r.status).find(|s| *s == RunStatus::Failed);
        (worst, newest.len())
    });
    if status.is_some() {
        assert!(matches!(run.status, Status::Failed | Status::Running), "{run:?}");
    }
    let detail = forge.gitea.pipeline(&project, &run.id).await.unwrap();
    assert!(!detail.jobs.is_empty() && detail.jobs.len() <= contexts, "{detail:?}");
    assert!(detail.jobs.iter().all(|j| j.name.starts_with("ci/")));
    let log = forge.gitea.log(&project, &run.id, &detail.jobs[0].id, 100).await.unwrap();
    assert!(log.note.unwrap().contains("no log"));

    // A further commit is a further run; the earlier ones stay.
    let ask = forge.knowing(&support::ask(&project), &heads);
    let main = project.default_branch.clone().unwrap();
    forge.sim.world().with(|w| {
        w.push_commit(id, &main, World::person("lee"), "Mend it").unwrap();
        w.start_pipeline(id, &main, 0, true).unwrap()
    });
    let (heads, _) = forge.heads(ask).await;
    assert_eq!(heads.pipelines.len(), 2);
    assert_eq!((heads.pipelines[0].status, &heads.pipelines[1].id), (Status::Running, &run.id));
    assert_eq!(heads.pipelines[0].message.as_deref(), Some("Mend it\n"));

    // In a Gitea that has Actions, a repository without them is read the same way.
    let forge = Forge::start(Api::Runs, 60).await;
    let (_, project) = forge.project(|p| p.shape == Shape::CiDisabled).await;
    let (heads, paths) = forge.heads(support::ask(&project)).await;
    assert!(heads.pipelines.iter().all(|r| r.id.as_str().starts_with("commit-")), "{paths:?}");
    let none = heads.pipelines.is_empty();
    assert_eq!(heads.problems.iter().any(|p| p.kind == ProblemKind::NoCi), none);
}

#[tokio::test]
async fn jobs_and_logs_are_told_as_far_as_each_generation_does() {
    for api in [Api::Runs, Api::Forgejo, Api::Tasks] {
        let forge = Forge::start(api, 40).await;
        let ended = |r: &&world::Pipeline| r.status == RunStatus::Failed && r.attempt == 1;
        let recent = |p: &world::Project| p.pipelines().iter().rev().take(20).any(|r| ended(&r));
        let (id, project) = forge.project(|p| p.shape != Shape::CiDisabled && recent(p)).await;
        let (heads, _) = forge.heads(support::ask(&project)).await;
        let (number, jobs) = forge.truth(id, |p| {
            let run = p.pipelines().iter().rev().find(ended).unwrap();
            let begun = p.jobs(run).iter().filter(|j| j.started_at.is_some());
            (u64::from(run.number), begun.cloned().collect::<Vec<_>>())
        });
        let run = heads.pipelines.iter().find(|r| r.number == Some(number)).unwrap();
        let detail = forge.gitea.pipeline(&project, &run.id).await.unwrap();
        assert_eq!(detail.problems, [], "{api:?}");
        assert_eq!(
            (detail.pipeline.status, detail.pipeline.number),
            (Status::Failed, Some(number)),
            "{api:?}"
        );
        for truth in &jobs {
            let ours = detail.jobs.iter().find(|j| j.name == *truth.name).unwrap();
            let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_second);
            assert_eq!(seconds(ours.started_at), seconds(truth.started_at), "{api:?} {}", ours.name);
            assert_eq!(ours.duration.is_some(), ours.finished_at.is_some());
        }
        let red = detail.jobs.iter().find(|j| j.status == Status::Failed).unwrap();
        assert!(detail.pipeline.failure.unwrap().contains(&red.name), "{api:?}");
        assert_eq!(red.failure_reason.is_some(), api == Api::Runs, "Forgejo's steps are not told here");
        let log = forge.gitea.log(&project, &run.id, &red.id, 64 * 1024).await.unwrap();
        if api == Api::Tasks {
            assert!(log.note.unwrap().contains("no logs"));
            continue;
        }
        assert!(log.text.contains("▸ ") && log.text.contains("Error: "), "{}", log.text);
        assert!(!log.text.contains("::group::") && !log.text.contains("Z ▸"), "{}", log.text);
    }
}

#[tokio::test]
async fn runs_are_read_to_the_end_where_they_are_put_together() {
    let forge = Forge::start(Api::Tasks, 12).await;
    let (id, project) = forge.green().await;
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 10_000 };
    let all = forge.gitea.pipelines(&project, &query).await.unwrap();
    let begun = forge.truth(id, |p| {
        let begun = |r: &&world::Pipeline| p.jobs(r).iter().any(|j| j.started_at.is_some());
        p.pipelines().iter().filter(begun).count()
    });
    assert_eq!((all.items.len(), all.problems.len()), (begun, 0));
    let main = project.default_branch.clone().unwrap();
    let of_main = PipelineQuery { branch: Some(main.clone()), limit: 7, ..query };
    let some = forge.gitea.pipelines(&project, &of_main).await.unwrap();
    assert_eq!(some.items.len(), 7);
    assert!(some.items.iter().all(|r| r.branch.as_ref() == Some(&main)));
    let newest = forge.gitea.latest_pipeline(&project, &main).await.unwrap().unwrap();
    assert_eq!(newest.id, some.items[0].id);
    assert_eq!(forge.gitea.latest_pipeline(&project, "no-such-branch").await.unwrap(), None);
}

#[tokio::test]
async fn runs_are_started_over_and_stopped_where_the_server_can() {
    for api in [Api::Runs, Api::Forgejo] {
        let forge = Forge::start(api, 24).await;
        let (id, project) = forge.project(|p| matches!(p.shape, Shape::Broken { .. })).await;
        let run = forge
            .truth(id, |p| p.pipelines().iter().rev().find(|r| r.status == RunStatus::Failed).unwrap().id);
        let actions = forge.gitea.actions().unwrap();
        let run_id = domain::RunId::from(run);
        actions.retry(&project, &run_id).await.unwrap();
        assert_eq!(forge.truth(id, |p| p.pipeline(run).unwrap().attempt), 2, "{api:?}");
        let told = actions.cancel(&project, &run_id).await;
        match (api, told) {
            (Api::Runs, Err(Error::Refused(why))) => assert!(why.contains("does not stop runs"), "{why}"),
            (Api::Forgejo, Ok(())) => {
                assert_eq!(forge.truth(id, |p| p.pipeline(run).unwrap().status), RunStatus::Canceled);
            }
            (api, other) => panic!("{api:?}: {other:?}"),
        }
        if api == Api::Runs {
            // Still going on: understood, and refused.
            assert!(matches!(actions.retry(&project, &run_id).await, Err(Error::Refused(_))));
            let gone = actions.retry(&project, &domain::RunId::from(17)).await;
            assert!(matches!(gone, Err(Error::Refused(why)) if why.contains("the run is gone")));
        }
        let reader = source(&forge.sim, Some("read"), &forge.clock);
        let told = reader.actions().unwrap().retry(&project, &run_id).await;
        assert!(matches!(told, Err(Error::Forbidden(_))), "{told:?}");
        assert!(source(&forge.sim, None, &forge.clock).actions().is_none());
    }
    let forge = Forge::start(Api::Tasks, 8).await;
    let (_, project) = forge.green().await;
    let (heads, _) = forge.heads(support::ask(&project)).await;
    forge.sim.requests().clear();
    let actions = forge.gitea.actions().unwrap();
    assert!(matches!(actions.retry(&project, &heads.pipelines[0].id).await, Err(Error::Refused(_))));
    assert!(matches!(actions.cancel(&project, &heads.pipelines[0].id).await, Err(Error::Refused(_))));
    assert_eq!(forge.sim.requests().total(), 0, "a number is no id: another run might answer to it");
}

#[tokio::test]
async fn without_a_token_public_repositories_are_read_and_none_are_listed() {
    let forge = Forge::start(Api::Runs, 30).await;
    let anonymous = source(&forge.sim, None, &forge.clock);
    forge.sim.requests().clear();
    let Err(Error::Forbidden(why)) = anonymous.projects(None).await else { panic!("listed") };
    assert!(why.contains("filters.watched_repos") && why.contains("organizations"), "{why}");
    assert_eq!(anonymous.project_count().await.unwrap(), None);
    assert_eq!(forge.sim.requests().total(), 0);

    let public = |p: &world::Project| p.visibility == Visibility::Public && p.shape == Shape::Green;
    let (id, project) = forge.project(|p| public(p) && !p.personal).await;
    let read = anonymous.project(&project.name).await.unwrap();
    let heads = support::heads(&*anonymous, vec![support::ask(&read)]).await.remove(&read.key).unwrap();
    assert!(!heads.unwrap().pipelines.is_empty());
    let (_, private) = forge.project(|p| p.visibility == Visibility::Private).await;
    assert!(matches!(anonymous.project(&private.name).await, Err(Error::NotFound(_))));

    let owner = forge.truth(id, |p| p.namespace.clone());
    let mut settings = support::settings(&forge.sim.gitea_url(), None);
    settings.organizations = vec![owner.clone()];
    let of_owner = support::source(&settings, Arc::clone(&forge.clock) as Arc<dyn Clock>);
    let listed = of_owner.projects(None).await.unwrap().items;
    assert!(!listed.is_empty() && listed.iter().all(|p| p.name.starts_with(&format!("{owner}/"))));
    assert_eq!(of_owner.project_count().await.unwrap(), Some(listed.len() as u64));
}

#[tokio::test]
async fn organizations_narrow_and_may_be_people() {
    let forge = Forge::start(Api::Runs, 120).await;
    let owners = ["web-platform", "mira"];
    let mut settings = support::settings(&forge.sim.gitea_url(), Some(forge.sim.token()));
    settings.organizations = owners.map(str::to_owned).to_vec();
    let narrow = support::source(&settings, Arc::clone(&forge.clock) as Arc<dyn Clock>);
    let (mut names, mut page) = (Vec::new(), None);
    loop {
        let some = narrow.projects(page).await.unwrap();
        names.extend(some.items.into_iter().map(|p| p.name));
        page = some.next;
        if page.is_none() {
            break;
        }
    }
    names.sort();
    let mut truth: Vec<String> = forge.sim.world().with(|w| {
        let of = |p: &&world::Project| owners.contains(&p.namespace.as_str());
        w.projects_of(FACE).filter(of).map(world::Project::full_path).collect()
    });
    truth.sort();
    assert_eq!(names, truth);
    settings.organizations = vec!["nobody-at-all".into()];
    let none = support::source(&settings, Arc::clone(&forge.clock) as Arc<dyn Clock>);
    assert!(matches!(none.projects(None).await, Err(Error::NotFound(why)) if why.contains("nobody-at-all")));
}

#[tokio::test]
async fn a_renamed_repository_answers_by_its_present_name() {
    let forge = Forge::start(Api::Runs, 8).await;
    let (id, project) = forge.green().await;
    forge.sim.world().with(|w| w.rename_project(id, "acme-two/renamed")).unwrap();
    assert_eq!(forge.gitea.project(&project.name).await.unwrap().key.id.as_str(), "acme-two/renamed");
    let (heads, _) = forge.heads(support::ask(&project)).await;
    assert!(heads.default_branch.is_some() && !heads.pipelines.is_empty());
    forge.sim.world().with(|w| w.delete_project(id)).unwrap();
    let gone =
        support::heads(&*forge.gitea, vec![support::ask(&project)]).await.remove(&project.key).unwrap();
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

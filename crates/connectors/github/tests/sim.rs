//! The connector against a simulated GitHub, whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Connector, Deployed, DeploymentsAsk, Error, Heads, HeadsAsk, PipelineQuery};
use domain::{
    Clock, Completeness, JobId, ManualClock, Pipeline, ProblemKind, Project, ProjectKey, RunId, Status,
    Timestamp, WhichWorkflows,
};
use forge_sim::world::{Project as Truth, Shape, Trigger, Visibility};
use forge_sim::{EXPIRED_TOKEN, NARROW_TOKEN, RunStatus, Sim, github::FACE};
use futures::StreamExt;
use jiff::SignedDuration;

/// GitHub's run ids begin here in the simulation.
const FIRST_RUN: u64 = 9_000_000_000;
const FIRST_JOB: u64 = 30_000_000_000;

struct Forge {
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    github: Arc<dyn Connector>,
}

impl Forge {
    async fn start(projects: usize) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let builder = Sim::builder().seed(11).projects(projects).faces([FACE]);
        let sim = builder.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>).start().await.unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let github = source(&sim, sim.token(), &clock);
        Self { sim, clock, sim_clock, github }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    /// All repositories, over all pages.
    async fn projects(&self) -> Vec<Project> {
        let (mut all, mut page) = (Vec::new(), None);
        loop {
            let answer = self.github.projects(page).await.unwrap();
            all.extend(answer.items);
            match answer.next {
                Some(next) => page = Some(next),
                None => return all,
            }
        }
    }

    async fn heads(&self, asks: Vec<HeadsAsk>) -> BTreeMap<ProjectKey, Heads> {
        let answers: Vec<_> = self.github.branch_heads(asks).collect().await;
        answers.into_iter().map(|(key, heads)| (key, heads.unwrap())).collect()
    }

    /// What the world knows of a project.
    fn truth<R>(&self, name: &str, look: impl FnOnce(&Truth) -> R) -> R {
        self.sim.world().with(|w| look(w.find(FACE, name).unwrap()))
    }

    /// A project with a story of this sort.
    fn shaped(&self, fits: impl Fn(Shape) -> bool) -> String {
        self.sim
            .world()
            .with(|w| w.projects_of(FACE).find(|p| p.member && fits(p.shape)).unwrap().full_path())
    }
}

fn source(sim: &Sim, token: &str, clock: &Arc<ManualClock>) -> Arc<dyn Connector> {
    let mut settings = support::settings(&format!("{}/api/v3/", sim.github_url()));
    settings.token = Some(config::Secret::new(token, config::SecretFrom::Settings));
    support::source(&settings, Arc::clone(clock) as Arc<dyn Clock>)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

/// What the world's words are in ours. Warnings show only where the jobs were read.
fn expected(run: &forge_sim::world::Pipeline, completeness: Completeness) -> Status {
    match run.status {
        RunStatus::Created | RunStatus::Queued => Status::Queued,
        RunStatus::Running => Status::Running,
        RunStatus::Success if run.warnings && completeness == Completeness::Full => Status::Warning,
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

fn same(ours: &Pipeline, truth: &Truth, run: &forge_sim::world::Pipeline) {
    let name = truth.full_path();
    assert_eq!(ours.id, RunId::from(FIRST_RUN + run.id), "{name}");
    assert_eq!(ours.status, expected(run, ours.completeness), "{name} {}", ours.id);
    assert_eq!(ours.branch.as_deref(), Some(&*run.branch));
    assert_eq!(ours.sha.as_deref(), Some(&*run.sha));
    assert_eq!(ours.attempt, Some(run.attempt));
    assert_eq!(ours.number, Some(u64::from(run.workflow_number)));
    let workflow = &truth.workflows[run.workflow];
    assert_eq!(ours.workflow.lane, workflow.native_id.to_string());
    assert_eq!(ours.workflow.name.as_deref(), Some(workflow.name));
    assert_eq!(ours.created_at.map(seconds), Some(seconds(run.created_at)));
    assert_eq!(ours.started_at.map(seconds), Some(seconds(run.attempt_at)));
    assert_eq!(ours.finished_at.is_some(), run.status.is_terminal(), "{name} {}", ours.id);
    let commit = truth.commit(&run.sha).unwrap();
    assert_eq!(ours.message.as_deref(), Some(&*commit.title));
    let author = ours.author.as_ref().unwrap();
    assert_eq!(author.name, commit.author.person().name);
    if run.actor == commit.author {
        assert_eq!(author.login.as_deref(), Some(commit.author.person().login));
    }
}

#[tokio::test]
async fn every_repository_is_listed_once() {
    let forge = Forge::start(240).await;
    let listed: Vec<String> = forge.projects().await.into_iter().map(|p| p.name).collect();
    let names: BTreeSet<String> = listed.iter().cloned().collect();
    let truth: BTreeSet<String> =
        forge.sim.world().with(|w| w.projects_of(FACE).filter(|p| p.member).map(Truth::full_path).collect());
    assert!(truth.len() > 200, "more than one page");
    assert_eq!((names.len(), &names), (listed.len(), &truth));
    assert_eq!(forge.github.project_count().await.unwrap(), u64::try_from(truth.len()).ok());
}

#[tokio::test]
async fn the_state_of_every_repository_is_the_worlds() {
    let forge = Forge::start(24).await;
    let projects = forge.projects().await;
    let heads = forge.heads(projects.iter().map(support::ask).collect()).await;
    assert_eq!(heads.len(), projects.len());
    let mut warnings = 0;
    for project in &projects {
        let heads = &heads[&project.key];
        forge.truth(&project.name, |truth| {
            assert_eq!(project.archived, truth.archived);
            if truth.shape == Shape::CiDisabled {
                return assert_eq!(heads.pipelines, []);
            }
            let newest: Vec<_> = truth.pipelines().iter().rev().take(Heads::MAX_RUNS).collect();
            assert!(heads.pipelines.len() >= newest.len(), "{}", project.name);
            for (ours, run) in heads.pipelines.iter().zip(newest) {
                same(ours, truth, run);
            }
            match truth.default_branch.as_deref().and_then(|b| truth.branch(b)) {
                Some(branch) => {
                    let ours = heads.default_branch.as_ref().unwrap();
                    assert_eq!(
                        (ours.name.as_str(), ours.sha.as_deref()),
                        (&*branch.name, Some(&*branch.head))
                    );
                    let commit = truth.commit(&branch.head).unwrap();
                    assert_eq!(ours.message.as_deref(), Some(&*commit.title));
                    assert_eq!(heads.problems, [], "{}", project.name);
                }
                None => assert_eq!(heads.problems[0].kind, ProblemKind::Empty, "{}", project.name),
            }
            if !heads.pipelines.is_empty() {
                let lanes = truth.workflows.iter().map(|w| w.native_id.to_string()).collect();
                assert_eq!(heads.workflows, Some(WhichWorkflows::Only(lanes)));
            }
            // What decides for the default branch was read in full, with its reason.
            let Some(main) = truth.default_branch.as_deref() else { return };
            for at in 0..truth.workflows.len() {
                let Some(run) = truth.newest_outcome(main, at) else { continue };
                let id = RunId::from(FIRST_RUN + run.id);
                let Some(ours) = heads.pipelines.iter().find(|p| p.id == id) else { continue };
                assert_eq!(ours.completeness, Completeness::Full, "{} {id}", project.name);
                assert_eq!(ours.failure.is_some(), run.status == RunStatus::Failed || run.warnings, "{id}");
                warnings += usize::from(run.warnings);
                let jobs = truth.jobs(run);
                let end = jobs.iter().filter(|j| !j.retried).filter_map(|j| j.finished_at).max();
                assert_eq!(ours.finished_at.map(seconds), end.map(seconds), "{} {id}", project.name);
            }
        });
    }
    assert!(warnings > 0, "the world holds a run with warnings");
}

/// What was deployed in a repository, since the beginning of time.
async fn deployed(github: &dyn Connector, project: &Project) -> connector::Result<Deployed> {
    let ask = DeploymentsAsk { project, since: Timestamp::UNIX_EPOCH, environments: &BTreeMap::new() };
    github.deployments().unwrap().deployments(ask).await
}

#[tokio::test]
async fn deployments_are_the_worlds_at_a_point_for_fifty() {
    let forge = Forge::start(24).await;
    let (mut some, mut pages) = (0, 0);
    for project in forge.projects().await {
        forge.sim.requests().clear();
        let told = deployed(forge.github.as_ref(), &project).await.unwrap();
        let asked = forge.sim.requests().all();
        assert!(asked.iter().all(|r| r.template == "POST /graphql" && r.points == 1), "{asked:?}");
        forge.truth(&project.name, |truth| {
            let all = truth.deployments();
            assert_eq!(told.items.len(), all.len(), "{}", project.name);
            assert_eq!(asked.len(), all.len().div_ceil(50).max(1), "no more questions than pages");
            pages = pages.max(asked.len());
            for (ours, d) in told.items.iter().zip(all.iter().rev()) {
                some += 1;
                let status = match d.job.status {
                    RunStatus::Success => Status::Success,
                    RunStatus::Running => Status::Running,
                    RunStatus::Created | RunStatus::Queued => Status::Queued,
                    _ => Status::Failed,
                };
                assert_eq!((ours.status, &*ours.environment), (status, &*d.environment));
                assert_eq!(ours.is_production(), d.is_production());
                assert_eq!(ours.run, Some(RunId::from(FIRST_RUN + d.run.id)));
                assert_eq!(
                    (ours.sha.as_deref(), ours.branch.as_deref()),
                    (Some(&*d.run.sha), Some(&*d.run.branch))
                );
                let began = d.job.started_at.unwrap_or_else(|| d.created_at());
                assert_eq!(ours.created_at.map(seconds), Some(seconds(began)));
                let ended = d.job.finished_at.filter(|_| d.job.status.is_terminal());
                assert_eq!(ours.finished_at.map(seconds), ended.map(seconds), "though it was replaced since");
            }
        });
    }
    assert!(some > 50 && pages > 1, "{some} deployments on up to {pages} pages");
    let budget = forge.github.deployments().unwrap().budget().unwrap();
    assert_eq!(budget.limit, 5_000, "points, not requests");
    // What is older than asked for is left off after a page.
    let most = forge.sim.world().with(|w| {
        w.projects_of(FACE).filter(|p| p.member).max_by_key(|p| p.deployments().len()).unwrap().full_path()
    });
    let project = forge.github.project(&most).await.unwrap();
    forge.sim.requests().clear();
    let now = forge.clock.now();
    let ask = DeploymentsAsk { project: &project, since: now, environments: &BTreeMap::new() };
    let newest = forge.github.deployments().unwrap().deployments(ask).await.unwrap();
    assert_eq!((newest.items.len(), forge.sim.requests().all().len()), (50, 1));
    let gone = Project::named(project.key.clone(), project.platform, "x");
    let key = ProjectKey::new(gone.key.source.clone(), domain::NativeId::new("nobody/nothing"));
    let refused = deployed(forge.github.as_ref(), &Project { key, ..gone }).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn without_graphql_the_newest_deployments_to_production_are_asked_about() {
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let builder = Sim::builder().seed(11).projects(24).faces([FACE]).without_graphql();
    let sim = builder.start().await.unwrap();
    let github = source(&sim, sim.token(), &Arc::new(ManualClock::at(now)));
    let most = sim.world().with(|w| {
        w.projects_of(FACE).filter(|p| p.member).max_by_key(|p| p.deployments().len()).unwrap().full_path()
    });
    let project = github.project(&most).await.unwrap();
    let counts = || sim.requests().counts(FACE);
    let told = deployed(github.as_ref(), &project).await.unwrap();
    assert_eq!(told.items.len(), 10);
    assert!(told.items.iter().all(|d| d.is_production() && d.run.is_some() && d.status.is_verdict()));
    assert_eq!(counts()["GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses"], 10);
    let spent = github.traffic().spent;
    let again = deployed(github.as_ref(), &project).await.unwrap();
    assert_eq!(again.items, told.items);
    assert_eq!(github.traffic().spent, spent, "nothing new is free");
}

#[tokio::test]
async fn nothing_new_is_one_free_request_for_each_repository() {
    let forge = Forge::start(16).await;
    let projects = forge.projects().await;
    let first = forge.heads(projects.iter().map(support::ask).collect()).await;
    // Of an empty repository the branch is asked for again: it may have come into being.
    let asks: Vec<HeadsAsk> = projects
        .iter()
        .filter(|p| first[&p.key].default_branch.is_some())
        .map(|project| {
            let heads = &first[&project.key];
            HeadsAsk {
                known: heads.pipelines.iter().cloned().map(Arc::new).collect(),
                known_head: heads.default_branch.clone().map(|b| (b, project.last_activity_at)),
                known_workflows: heads.workflows.clone().map(|w| (w, forge.clock.now())),
                ..support::ask(project)
            }
        })
        .collect();
    let asked = asks.len();
    assert!(asked > 10);
    forge.sim.requests().clear();
    let second = forge.heads(asks).await;
    for (key, heads) in &second {
        assert_eq!(heads.pipelines, first[key].pipelines, "{key}");
    }
    let requests = forge.sim.requests().all();
    let expensive: Vec<_> = requests.iter().filter(|r| r.status != 304).collect();
    assert!(expensive.is_empty(), "{expensive:#?}");
    // A default branch that no run of the first page is of has a page of its own.
    let own_page = requests.iter().filter(|r| r.path.contains("branch=")).count();
    assert_eq!(requests.len() - own_page, asked);
    assert!(own_page * 10 < asked, "{own_page} of {asked}");
    assert!(forge.sim.requests().most_at_once(FACE) <= 8);
}

#[tokio::test]
async fn what_moves_in_the_world_moves_in_the_answers() {
    let forge = Forge::start(20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.github.project(&name).await.unwrap();
    let main = project.default_branch.clone().unwrap();
    let first = forge.heads(vec![support::ask(&project)]).await.remove(&project.key).unwrap();
    let id = forge.sim.world().with(|w| w.find(FACE, &name).unwrap().id);
    let know = |heads: &Heads, project: &Project| HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|b| (b, project.last_activity_at)),
        known_workflows: heads.workflows.clone().map(|w| (w, forge.clock.now())),
        ..support::ask(project)
    };

    forge.pass(SignedDuration::from_mins(5));
    let (sha, run) = forge.sim.world().with(|w| {
        let sha = w.push_commit(id, &main, forge_sim::World::person("lee"), "Break everything").unwrap();
        (sha, w.start_pipeline(id, &main, 0, true).unwrap())
    });
    let run_id = RunId::from(FIRST_RUN + run);
    // The listing is older than the push: the new run tells of it.
    let second = forge.heads(vec![know(&first, &project)]).await.remove(&project.key).unwrap();
    assert_eq!(second.default_branch.as_ref().unwrap().sha.as_deref(), Some(&*sha));
    let find = |heads: &Heads| heads.pipelines.iter().find(|p| p.id == run_id).cloned().unwrap();
    assert!(find(&second).status.is_active());

    forge.pass(SignedDuration::from_mins(2));
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
    let ask = HeadsAsk { known_workflows: know(&first, &project).known_workflows, ..know(&second, &project) };
    let third = forge.heads(vec![ask]).await.remove(&project.key).unwrap();
    let failed = find(&third);
    assert_eq!((failed.status, failed.completeness), (Status::Failed, Completeness::Full));
    assert!(failed.failure.as_deref().unwrap().contains(" failed"), "{:?}", failed.failure);

    forge.pass(SignedDuration::from_mins(1));
    forge.sim.world().with(|w| w.retry(id, run).unwrap());
    let ask = HeadsAsk { known_workflows: know(&first, &project).known_workflows, ..know(&third, &project) };
    let again = find(&forge.heads(vec![ask]).await.remove(&project.key).unwrap());
    assert_eq!((again.attempt, again.finished_at, again.failure), (Some(2), None, None));
    assert!(again.status.is_active());
    assert_eq!(again.created_at, failed.created_at);

    forge.sim.world().with(|w| w.rename_project(id, "acme-two/renamed").unwrap());
    assert_eq!(forge.github.project(&name).await.unwrap().key.id.as_str(), "acme-two/renamed");
    assert!(forge.heads(vec![support::ask(&project)]).await[&project.key].default_branch.is_some());
    forge.sim.world().with(|w| w.delete_project(id).unwrap());
    assert!(matches!(forge.github.project("acme-two/renamed").await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_failed_run_comes_with_jobs_reasons_and_log() {
    let forge = Forge::start(60).await;
    let name = forge.shaped(|s| matches!(s, Shape::Broken { .. }));
    let project = forge.github.project(&name).await.unwrap();
    let (run, jobs, failure) = forge.truth(&name, |truth| {
        let main = truth.default_branch.as_deref().unwrap();
        let run = (0..truth.workflows.len())
            .filter_map(|at| truth.newest_outcome(main, at))
            .find(|r| r.status == RunStatus::Failed)
            .unwrap();
        let jobs: Vec<_> = truth.jobs(run).iter().filter(|j| !j.retried).cloned().collect();
        (run.id, jobs, run.failure.clone().unwrap())
    });
    let id = RunId::from(FIRST_RUN + run);
    let detail = forge.github.pipeline(&project, &id).await.unwrap();
    assert_eq!(detail.problems, []);
    assert_eq!((detail.pipeline.status, detail.pipeline.completeness), (Status::Failed, Completeness::Full));
    let there: Vec<_> = jobs.iter().filter(|j| j.status != RunStatus::Created).collect();
    assert_eq!(detail.jobs.len(), there.len());
    for (ours, truth) in detail.jobs.iter().zip(there) {
        assert_eq!((ours.id.clone(), &*ours.name), (JobId::from(FIRST_JOB + truth.id), &*truth.name));
        assert_eq!(ours.status == Status::Failed, truth.status == RunStatus::Failed, "{}", ours.name);
        assert_eq!(ours.started_at.map(seconds), truth.started_at.map(seconds), "{}", ours.name);
    }
    let failed = detail.jobs.iter().find(|j| j.status == Status::Failed).unwrap();
    let reason = failed.failure_reason.as_deref().unwrap();
    assert!(reason.contains("step \""), "{reason}");
    assert!(detail.pipeline.failure.as_deref().unwrap().contains(&*failed.name));

    let log = forge.github.log(&project, &id, &failed.id, 64 * 1024).await.unwrap();
    assert_eq!(log.note, None);
    assert!(log.text.contains(failure.summary), "{}", log.text);
    assert!(log.text.contains("▸ ") && !log.text.contains("##["), "{}", log.text);
    assert!(!log.text.contains("Z ▸"), "no time stamps: {}", log.text);
    let short = forge.github.log(&project, &id, &failed.id, 200).await.unwrap();
    assert!(short.truncated && short.text.len() <= 200 && log.text.ends_with(&short.text));
}

#[tokio::test]
async fn runs_are_read_to_the_end_and_by_branch() {
    let forge = Forge::start(20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.github.project(&name).await.unwrap();
    let all = forge
        .github
        .pipelines(&project, &PipelineQuery { branch: None, since: None, until: None, limit: 30 })
        .await
        .unwrap();
    assert_eq!(all.items.len(), 30);
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 10_000 };
    let all = forge.github.pipelines(&project, &query).await.unwrap();
    let main = project.default_branch.clone().unwrap();
    let branch = PipelineQuery { branch: Some(main.clone()), ..query };
    let of_main = forge.github.pipelines(&project, &branch).await.unwrap();
    let latest = forge.github.latest_pipeline(&project, &main).await.unwrap().unwrap();
    forge.truth(&name, |truth| {
        assert_eq!(all.items.len(), truth.pipelines().len());
        let on_main = truth.pipelines().iter().filter(|r| *r.branch == *main);
        assert_eq!(of_main.items.len(), on_main.clone().count());
        assert_eq!(latest.id, RunId::from(FIRST_RUN + on_main.last().unwrap().id));
    });

    let mut branches = BTreeSet::new();
    let mut page = None;
    loop {
        let answer = forge.github.branches(&project, page).await.unwrap();
        branches.extend(answer.items.into_iter().map(|b| b.name));
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    let truth: BTreeSet<String> =
        forge.truth(&name, |t| t.history().branches.iter().map(|b| b.name.to_string()).collect());
    assert_eq!(branches, truth);
    let open = forge.truth(&name, |t| t.history().merge_requests.iter().filter(|m| m.open).count());
    let pulls = forge.github.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    assert_eq!(pulls.items.len(), open);
    let open = forge.truth(&name, |t| t.history().issues.iter().filter(|i| i.open).count());
    let issues = forge.github.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert_eq!(issues.items.len(), open);
}

#[tokio::test]
async fn tokens_that_will_not_do_are_told_apart() {
    let forge = Forge::start(10).await;
    let narrow = source(&forge.sim, NARROW_TOKEN, &forge.clock);
    assert!(matches!(narrow.projects(None).await, Err(Error::Forbidden(_))));
    let expired = source(&forge.sim, EXPIRED_TOKEN, &forge.clock);
    let Err(Error::Unauthorized(text)) = expired.projects(None).await else { panic!("let in") };
    assert!(!text.contains(EXPIRED_TOKEN));
    let who = forge.github.current_user().unwrap().current_user().await.unwrap().unwrap();
    assert_eq!(who.login.as_deref(), Some("mira"));
}

#[tokio::test]
async fn pull_requests_runs_are_no_runs_of_the_default_branch() {
    let forge = Forge::start(12).await;
    for project in forge.projects().await {
        let truth: Vec<(RunId, bool)> = forge.truth(&project.name, |t| {
            let is_pull = |r: &forge_sim::world::Pipeline| matches!(r.trigger, Trigger::MergeRequest(_));
            t.pipelines().iter().map(|r| (RunId::from(FIRST_RUN + r.id), is_pull(r))).collect()
        });
        let heads = forge.heads(vec![support::ask(&project)]).await.remove(&project.key).unwrap();
        for run in heads.pipelines.iter().filter(|r| r.branch == project.default_branch) {
            let is_pull = truth.iter().find(|(id, _)| *id == run.id).unwrap().1;
            assert!(!is_pull, "{} {}", project.name, run.id);
            assert_ne!(run.event.as_deref(), Some("pull_request"));
        }
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_free_with_a_token_alone() {
    let forge = Forge::start(40).await;
    let public = |p: &&Truth| p.visibility == Visibility::Public;
    let name = forge.sim.world().with(|w| w.projects_of(FACE).find(public).unwrap().full_path());
    let mut settings = support::settings(&format!("{}/api/v3/", forge.sim.github_url()));
    settings.token = None;
    let anonymous = support::source(&settings, Arc::clone(&forge.clock) as Arc<dyn Clock>);
    for asked in 1..=3_u64 {
        anonymous.project(&name).await.unwrap();
        forge.github.project(&name).await.unwrap();
        let left = anonymous.budget().unwrap();
        assert_eq!((left.limit, left.remaining), (60, 60 - asked));
        assert_eq!((anonymous.traffic().spent, forge.github.traffic().spent), (asked, 1));
    }
    let unchanged = |of: &dyn Connector| of.traffic().endpoints.iter().map(|e| e.not_modified).sum::<u64>();
    assert_eq!((unchanged(&*anonymous), unchanged(&*forge.github)), (2, 2));
}

//! A simulation with a source in front of it, and how the aggregator would use that source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Extent, Heads, HeadsAsk};
use domain::{Patterns, Pipeline, Project, ProjectKey};
use forge_sim::world::{self, Shape};
use forge_sim::{Limits, RunStatus, Sim};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use crate::Subject;

/// The name of the source under test: messages have to name it.
pub(crate) const SOURCE: &str = "source-under-test";
/// More runs than fit on two pages of any platform.
const MANY_RUNS: usize = 220;
/// No listing has more pages than this.
const MOST_PAGES: usize = 100;

/// A simulation of one platform that stands still unless it is moved.
#[derive(Debug)]
pub struct Stage {
    /// What is tested.
    pub subject: &'static Subject,
    /// The platform.
    pub sim: Sim,
    clock: Arc<domain::ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    /// A source with the full token.
    pub source: Arc<dyn Connector>,
    /// Whether the whole state is asked for, or what moved of what is known.
    pub full: bool,
    read_at: Mutex<Option<Timestamp>>,
}

/// What was read of each project, as the board keeps it for the next question, and when its workflows were.
pub(crate) type Known = BTreeMap<ProjectKey, (Project, Heads, Timestamp)>;

/// Settings of a source of any platform, as a configuration file would make them.
#[must_use]
pub fn settings(platform: &'static str, url: &str, token: Option<&str>) -> SourceSettings {
    SourceSettings {
        platform,
        name: SOURCE.into(),
        disabled: None,
        url: Some(url.parse().expect("a URL")),
        user: None,
        token: token.map(|t| Secret::new(t, SecretFrom::Settings)),
        webhook_secret: None,
        logs: LogAccess::Full,
        branches: Patterns::default(),
        workflows: Patterns::default(),
        events: Patterns::default(),
        include: Patterns::default(),
        exclude: Patterns::default(),
        groups: Vec::new(),
        organizations: Vec::new(),
        workspaces: Vec::new(),
        folders: Vec::new(),
        ca_file: None,
        proxy: None,
        insecure_skip_verify: false,
        extra: BTreeMap::new(),
    }
}

impl Stage {
    /// A world with so many projects, of which some are broken and some run.
    pub async fn new(subject: &'static Subject, projects: usize) -> Self {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let (clock, sim_clock) =
            (Arc::new(domain::ManualClock::at(now)), Arc::new(forge_sim::ManualClock::new(now)));
        let unlimited = Limits { gitlab_per_minute: None, github_hourly: None, ..Limits::default() };
        let builder = Sim::builder().seed(11).projects(projects).faces([subject.face]).limits(unlimited);
        let sim = builder.running(3).clock(sim_clock.clone()).start().await.expect("a free port");
        let source = build(subject, &sim, &sim.url(subject.face), Some(sim.token()), clock.clone());
        Self { subject, sim, clock, sim_clock, source, full: true, read_at: Mutex::default() }
    }

    /// A further source at the same platform.
    #[must_use]
    pub fn source_with(&self, token: Option<&str>) -> Arc<dyn Connector> {
        build(self.subject, &self.sim, &self.sim.url(self.subject.face), token, self.clock.clone())
    }

    /// A source of this platform at another address.
    #[must_use]
    pub fn source_at(&self, url: &str) -> Arc<dyn Connector> {
        build(self.subject, &self.sim, url, Some(self.sim.token()), self.clock.clone())
    }

    /// The source's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        domain::Clock::now(&*self.clock)
    }

    /// Lets time pass, for the platform as for the source.
    pub fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    /// All that the listing names, over all pages.
    pub async fn listed(&self) -> (Vec<Project>, BTreeMap<ProjectKey, Heads>) {
        let (mut all, mut told, mut page) = (Vec::new(), BTreeMap::new(), None);
        for _ in 0..MOST_PAGES {
            let listed = self.source.projects(page).await.expect("the listing");
            let mut of_page = listed.told;
            for project in listed.items {
                if let Some(heads) = of_page.remove(&project.key.id) {
                    told.insert(project.key.clone(), heads);
                }
                all.push(project);
            }
            assert!(of_page.is_empty(), "told of projects that are not on the page: {:?}", of_page.keys());
            page = listed.next;
            if page.is_none() {
                return (all, told);
            }
        }
        panic!("more than {MOST_PAGES} pages: does the listing end?");
    }

    /// Reads everything as a refresh does: the listing, then the state of each project that has CI.
    pub(crate) async fn refresh(&self, known: &Known) -> Known {
        let (projects, mut told) = self.listed().await;
        let read = projects.into_iter().filter(|p| !p.archived && !p.ci_disabled);
        let mut by_key: BTreeMap<ProjectKey, Project> = read.map(|p| (p.key.clone(), p)).collect();
        let asks = by_key.values().map(|project| {
            let told = told.remove(&project.key);
            let full = self.full || !known.contains_key(&project.key);
            HeadsAsk { told, full, ..self.ask(project, known) }
        });
        let asks: Vec<_> = asks.collect();
        let mut answers: Vec<_> = self.source.branch_heads(asks.clone()).collect().await;
        // What more has moved than was told is asked for as a whole, by its schedule.
        let (moved, told): (Vec<_>, Vec<_>) = answers
            .into_iter()
            .partition(|(_, heads)| heads.as_ref().is_ok_and(|h| h.extent == Extent::Moved));
        let moved: BTreeSet<ProjectKey> = moved.into_iter().map(|(key, _)| key).collect();
        let again = asks.into_iter().filter(|ask| moved.contains(&ask.project.key));
        let again = again.map(|ask| HeadsAsk { full: true, known_head: None, ..ask }).collect();
        answers = told;
        answers.extend(self.source.branch_heads(again).collect::<Vec<_>>().await);
        *self.read_at.lock().expect("no panic before") = Some(self.now());
        assert_eq!(answers.len(), by_key.len(), "one answer to each question");
        answers
            .into_iter()
            .map(|(key, heads)| {
                let mut heads = heads.unwrap_or_else(|e| panic!("{key}: {e}"));
                let mut workflows_at = self.now();
                assert!(heads.extent == Extent::Whole || !self.full, "{key}: the whole was asked for");
                // What an answer is silent about stays known.
                if let Some((_, before, at)) = known.get(&key) {
                    if heads.extent == Extent::News {
                        let told: BTreeSet<_> = heads.pipelines.iter().map(|r| r.id.clone()).collect();
                        let others = before.pipelines.iter().filter(|r| !told.contains(&r.id));
                        heads.pipelines.extend(others.cloned());
                        heads.problems.clone_from(&before.problems);
                        heads.total_runs = before.total_runs;
                    }
                    if heads.workflows.is_none() {
                        heads.workflows.clone_from(&before.workflows);
                        workflows_at = *at;
                    }
                    if heads.default_branch.is_none() {
                        heads.default_branch.clone_from(&before.default_branch);
                    }
                }
                let project = by_key.remove(&key).expect("an answer to a question, once");
                (key, (project, heads, workflows_at))
            })
            .collect()
    }

    /// The question about a project, with what is known of it.
    pub(crate) fn ask(&self, project: &Project, known: &Known) -> HeadsAsk {
        let ask = HeadsAsk::about(Arc::new(project.clone()));
        let Some((before, heads, at)) = known.get(&project.key) else { return ask };
        HeadsAsk {
            known_at: *self.read_at.lock().expect("no panic before"),
            known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
            known_head: heads.default_branch.clone().map(|head| (head.bounded(), before.last_activity_at)),
            known_workflows: heads.workflows.clone().map(|w| (w, *at)),
            ..ask
        }
    }

    /// A project of the world that is listed and fits, by world id, and what the source says of it.
    pub(crate) async fn project(
        &self,
        fits: impl Fn(&world::Project) -> bool,
    ) -> (forge_sim::ProjectId, Project) {
        let lists = self.subject.lists;
        let project_id = self.subject.project_id;
        let (id, native) = self.sim.world().with(|w| {
            let found = w.projects_of(self.subject.face).find(|p| lists(p) && fits(p));
            found.map(|p| (p.id, project_id(p))).expect("the world has such a project")
        });
        let project = self.source.project(&native).await.expect("the project");
        assert_eq!(project.key.id.as_str(), native);
        (id, project)
    }

    /// A green project with a past.
    pub(crate) async fn green(&self) -> (forge_sim::ProjectId, Project) {
        self.project(|p| p.shape == Shape::Green && p.pipelines().len() > 5).await
    }

    /// Gives a project more runs than fit on a page of any platform.
    pub(crate) fn grow(&self, id: forge_sim::ProjectId) {
        let main = self.truth(id, |p| p.default_branch.clone()).expect("a default branch");
        for _ in 0..MANY_RUNS {
            self.pass(SignedDuration::from_mins(1));
            let grown = self.sim.world().with(|w| {
                let run = w.start_pipeline(id, &main, 0, true)?;
                w.finish_pipeline(id, run, RunStatus::Success)
            });
            grown.expect("a run that ended");
        }
    }

    /// Looks at a project of the world.
    pub(crate) fn truth<R>(&self, id: forge_sim::ProjectId, look: impl FnOnce(&world::Project) -> R) -> R {
        self.sim.world().with(|w| look(w.get(id).expect("the project")))
    }
}

fn build(
    subject: &Subject,
    sim: &Sim,
    url: &str,
    token: Option<&str>,
    clock: Arc<domain::ManualClock>,
) -> Arc<dyn Connector> {
    let mut of_source = settings(subject.platform.descriptor.id.as_str(), &(subject.url)(url), token);
    (subject.settings)(sim, &mut of_source);
    (subject.platform.build)(&of_source, clock).expect("good settings")
}

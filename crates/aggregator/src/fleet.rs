//! The sources that run, each with its connector, its schedule and its tasks; and how one is added, changed or taken out
//! while the others go on as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{Settings, SourceSettings};
use connector::{Connector, Registry};
use domain::{Clock, Narrowing, SourceName};
use lifecycle::Tasks;

use crate::archive::Archive;
use crate::board::Rules;
use crate::details::Details;
use crate::due::Schedules;
use crate::hub::Hub;
use crate::mirror::Mirror;
use crate::platforms::platform;
use crate::refresh::{Plan, Refresher};
use crate::schedule;
use crate::serve::SetUpError;
use crate::sources::Source;
use crate::watched::{Names, Watched};
use crate::webhooks::{Health, Webhooks, takes_webhooks};
use crate::work::{Attention, Keeper};

/// What the sources share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) connectors: Arc<Registry>,
    pub(crate) watched: Arc<Watched>,
    pub(crate) details: Details,
    pub(crate) attention: Arc<Attention>,
    pub(crate) schedules: Arc<Schedules>,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) mirror: Arc<Mirror>,
}

/// A source that is set up.
#[derive(Debug)]
struct Station {
    settings: SourceSettings,
    /// `None` when it is off.
    works: Option<(Arc<dyn Connector>, Plan)>,
    /// `None` until it runs.
    tasks: Option<Tasks>,
}

/// The sources that settings ask for.
#[derive(Debug)]
pub struct Roster {
    sources: BTreeMap<SourceName, SourceSettings>,
    watched: Names,
    every: Duration,
}

impl Roster {
    pub(crate) fn of(settings: &Settings) -> Result<Self, SetUpError> {
        let named = |source: &SourceSettings| Ok((SourceName::new(&source.name)?, source.clone()));
        Ok(Self {
            sources: settings.sources.iter().map(named).collect::<Result<_, SetUpError>>()?,
            watched: Names::new(&settings.filters.watched_repos)?,
            every: settings.cache.refresh_interval,
        })
    }
}

/// All sources.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) shared: Shared,
    clock: Arc<dyn Clock>,
    every: Duration,
    stations: BTreeMap<SourceName, Station>,
}

impl Fleet {
    /// Sets all of them up; nothing is asked yet.
    pub(crate) fn new(roster: Roster, shared: Shared, clock: Arc<dyn Clock>) -> Self {
        let Roster { sources, watched, every } = roster;
        shared.watched.replace(watched);
        let mut fleet = Self { shared, clock, every, stations: BTreeMap::new() };
        for (name, settings) in sources {
            fleet.set_up(name, settings);
        }
        fleet
    }

    fn set_up(&mut self, name: SourceName, settings: SourceSettings) {
        let Shared { hub, connectors, watched, details, webhooks, schedules, .. } = &self.shared;
        let (row, connector) = row_of(&settings, name.clone(), &self.clock);
        if let Some(why) = &row.error {
            tracing::warn!(source = %name, why, "source is switched off");
        }
        let rules = rules_of(&settings);
        hub.configure(|present| {
            present.board.configure(name.clone(), rules);
            let before = present.sources.remove(&name);
            present.sources.insert(name.clone(), row.following(before));
        });
        details.logs_of(&name, settings.logs);
        let works = connector.map(|connector| {
            let plan = Plan {
                watched: Arc::clone(watched),
                include: settings.include.clone(),
                exclude: settings.exclude.clone(),
            };
            watched.expect(&name, |n| connector.could_hold(n));
            webhooks.expect(&name, plan.clone(), &settings);
            connectors.put(Arc::clone(&connector));
            (connector, plan)
        });
        if works.is_none() {
            connectors.remove(&name);
            schedules.end(&name);
        }
        self.stations.insert(name, Station { settings, works, tasks: None });
    }

    /// What keeps each source up to date; their schedules begin.
    pub(crate) fn refreshers(&self) -> Vec<Refresher> {
        self.working().map(|(connector, plan)| self.refresher(connector, plan)).collect()
    }

    fn working(&self) -> impl Iterator<Item = &(Arc<dyn Connector>, Plan)> {
        self.stations.values().filter_map(|station| station.works.as_ref())
    }

    fn refresher(&self, connector: &Arc<dyn Connector>, plan: &Plan) -> Refresher {
        let pace = schedule::Plan { every: schedule::signed(self.every) };
        let schedule = self.shared.schedules.begin(connector.source(), pace);
        Refresher::new(Arc::clone(&self.shared.hub), Arc::clone(connector), plan.clone(), schedule)
            .telling(Arc::clone(&self.shared.archive))
    }

    /// Starts all that does not run yet.
    pub(crate) fn run(&mut self, tasks: &Tasks) {
        self.shared.mirror.keep(&self.working().cloned().collect::<Vec<_>>());
        let idle = self.stations.iter().filter(|(_, s)| s.tasks.is_none()).map(|(name, _)| name.clone());
        for name in idle.collect::<Vec<_>>() {
            let part = tasks.part();
            if let Some((connector, plan)) = self.stations.get(&name).and_then(|s| s.works.as_ref()) {
                self.run_one(connector, plan, &part);
            }
            if let Some(station) = self.stations.get_mut(&name) {
                station.tasks = Some(part);
            }
        }
    }

    fn run_one(&self, connector: &Arc<dyn Connector>, plan: &Plan, tasks: &Tasks) {
        let Shared { hub, watched, attention, archive, .. } = &self.shared;
        let refresher = self.refresher(connector, plan);
        begin(tasks, archive, "refresh", refresher.run());
        if Keeper::is_of_use(connector.as_ref()) {
            let keeper = Keeper {
                hub: Arc::clone(hub),
                connector: Arc::clone(connector),
                watched: Arc::clone(watched),
                attention: Arc::clone(attention),
                every: self.every,
            };
            begin(tasks, archive, "merge requests and issues", keeper.run());
        }
        if connector.token_check().is_some() {
            let watch = crate::token::watch(Arc::clone(hub), Arc::clone(connector));
            begin(tasks, archive, "token", watch);
        }
    }

    /// Which projects of which source are wanted.
    pub(crate) fn plans(&self) -> Vec<(SourceName, Plan)> {
        self.working().map(|(connector, plan)| (connector.source().clone(), plan.clone())).collect()
    }

    /// Goes on with other sources: those that are as they were are not touched. When it returns, the others are what was
    /// asked for.
    pub(crate) async fn become_what_is(&mut self, roster: Roster, tasks: &Tasks) {
        let Roster { mut sources, watched, every } = roster;
        // What is watched, and how often, concerns every source.
        let all_anew = every != self.every || !self.shared.watched.is(&watched);
        let stays =
            |name: &SourceName, station: &Station| !all_anew && sources.get(name) == Some(&station.settings);
        let (same, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.stations).into_iter().partition(|(name, station)| stays(name, station));
        self.stations = same;
        // Before anything new begins: never do two ask for one source, and nothing late comes to its rows.
        futures::future::join_all(ended.values().filter_map(|s| s.tasks.as_ref()).map(Tasks::end)).await;
        self.every = every;
        if all_anew {
            self.shared.watched.replace(watched);
        }
        let (mut changed, mut removed, mut left) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, station) in ended {
            let next = sources.get(&name);
            if let Some((connector, _)) = &station.works
                && next.is_some_and(|next| asks_as(&station.settings, next))
            {
                left.extend(connector.left().map(|left| (name.clone(), left)));
            }
            match next {
                Some(next) if means_the_same(&station.settings, next) => {}
                Some(_) => self.shared.empty(&name),
                None => self.shared.forget(&name),
            }
            if next.is_some() { changed.push(name.to_string()) } else { removed.push(name.to_string()) }
        }
        sources.retain(|name, _| !self.stations.contains_key(name));
        let added: Vec<_> =
            sources.keys().map(ToString::to_string).filter(|n| !changed.contains(n)).collect();
        for (name, settings) in sources {
            self.set_up(name, settings);
        }
        // The platform goes on counting.
        for (connector, _) in self.working() {
            if let Some(left) = left.get(connector.source()) {
                connector.resume(left);
            }
        }
        self.run(tasks);
        self.shared.hub.touch_sources();
        tracing::info!(
            ?added,
            ?changed,
            ?removed,
            unchanged = self.stations.len() - added.len() - changed.len(),
            "sources"
        );
    }
}

/// Runs what is of one source, once the board is as it was when the last process ended: what is known from before comes first.
fn begin(
    tasks: &Tasks,
    archive: &Arc<Archive>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let (stopping, archive) = (tasks.clone(), Arc::clone(archive));
    let work = async move {
        archive.warmed().await;
        work.await;
    };
    tasks.run(name, async move {
        tokio::select! { () = work => {} () = stopping.stopping() => {} }
    });
}

impl Shared {
    /// What is known of a source's projects is of no use any more.
    fn empty(&self, name: &SourceName) {
        self.hub.empty(name);
        self.details.forget(name);
    }

    /// A source is no more.
    fn forget(&self, name: &SourceName) {
        self.connectors.remove(name);
        self.schedules.end(name);
        self.webhooks.forget(name);
        self.hub.configure(|present| _ = present.sources.remove(name));
        self.empty(name);
        self.watched.forget(name);
    }
}

/// Whether rows that were made by the one are right for the other.
fn means_the_same(before: &SourceSettings, now: &SourceSettings) -> bool {
    let means = |s: &SourceSettings| {
        (s.platform, s.url.clone(), s.branches.clone(), s.workflows.clone(), s.events.clone())
    };
    means(before) == means(now)
}

/// Whether both are one to the platform, so that it counts what they ask together.
fn asks_as(before: &SourceSettings, now: &SourceSettings) -> bool {
    let who =
        |s: &SourceSettings| (s.platform, s.url.clone(), s.user.clone(), s.token.clone(), s.extra.clone());
    who(before) == who(now)
}

fn rules_of(source: &SourceSettings) -> Rules {
    Rules {
        branches: source.branches.clone(),
        narrowing: Narrowing { workflows: source.workflows.clone(), events: source.events.clone() },
    }
}

/// A source's row, and its connector where it has one.
fn row_of(
    source: &SourceSettings,
    name: SourceName,
    clock: &Arc<dyn Clock>,
) -> (Source, Option<Arc<dyn Connector>>) {
    // Without its query, in which some platforms want a token.
    let url = source.url.as_ref().and_then(|u| u.as_str().split('?').next()).unwrap_or_default();
    let url = url.trim_end_matches('/').to_owned();
    let mut row = Source::new(name, source.platform, url);
    let known = platform(source.platform);
    row.descriptor = known.map(|p| p.descriptor);
    if let Some(why) = &source.disabled {
        return (row.off(why.clone()), None);
    }
    let Some(known) = known else {
        return (row.off(format!("this build has no connector for {}", source.platform)), None);
    };
    // One source that cannot be set up (a CA file that is gone) does not keep the others from running.
    match (known.build)(source, Arc::clone(clock)) {
        Ok(connector) => {
            row.webhooks = takes_webhooks(connector.as_ref()).then(Health::default);
            (row, Some(connector))
        }
        Err(error) => (row.off(error.why), None),
    }
}

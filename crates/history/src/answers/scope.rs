//! Which part of history is asked about.

use std::collections::HashMap;

use domain::{NativeId, ProjectKey, SourceName};

use super::rolls::each_roll;
use crate::calendar::{Blocks, LEVELS};
use crate::ingest::{COMMON_BRANCHES, shares};
use crate::keeper::Keeper;
use crate::roll::{Group, GroupKey, Kind, Parts, Roll};
use crate::store::{ProjectRow, RunQuery, SourceRow, Store, flags};
use crate::{Result, Window};

/// What is asked about. Empty lists and `None` let in everything.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Only of these sources.
    pub sources: Vec<SourceName>,
    /// Only of sources of these platforms.
    pub platforms: Vec<String>,
    /// Only of this project.
    pub project: Option<ProjectKey>,
    /// Only of this branch, in whatever project.
    pub branch: Option<String>,
    /// Runs created on these days.
    pub window: Window,
}

impl Ask {
    /// About everything in a window.
    #[must_use]
    pub const fn all(window: Window) -> Self {
        Self { sources: Vec::new(), platforms: Vec::new(), project: None, branch: None, window }
    }
}

/// Which branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    /// Any.
    Any,
    /// One that has statistics of its own.
    Common(i32),
    /// One that is counted from its runs.
    Other(i32),
}

impl Branch {
    pub(super) async fn of<S: Store>(keeper: &Keeper<S>, number: i32) -> Result<Self> {
        for name in COMMON_BRANCHES {
            if keeper.number_of(name).await? == Some(number) {
                return Ok(Self::Common(number));
            }
        }
        Ok(Self::Other(number))
    }

    /// Its number; 0: any.
    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Any => 0,
            Self::Common(id) | Self::Other(id) => id,
        }
    }
}

/// The same, in numbers.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) sources: HashMap<i32, SourceRow>,
    pub(super) projects: HashMap<i32, ProjectRow>,
    pub(super) branch: Branch,
    /// The whole of its sources.
    whole: bool,
    pub(super) window: Window,
}

impl Scope {
    /// `None` when nothing can fit.
    pub(super) async fn of<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Option<Self>> {
        let lets_in = |s: &SourceRow| {
            (ask.sources.is_empty() || ask.sources.iter().any(|n| n.as_str() == s.name))
                && (ask.platforms.is_empty() || ask.platforms.contains(&s.platform))
                && ask.project.as_ref().is_none_or(|p| p.source.as_str() == s.name)
        };
        let sources: HashMap<i32, SourceRow> =
            keeper.store.sources().await?.into_iter().filter(lets_in).map(|s| (s.id, s)).collect();
        let branch = match &ask.branch {
            None => Branch::Any,
            Some(branch) => match keeper.number_of(branch).await? {
                Some(id) => Branch::of(keeper, id).await?,
                None => return Ok(None),
            },
        };
        let projects = match &ask.project {
            Some(key) => keeper.project(key).await?.into_iter().collect(),
            None => keeper.store.projects().await?,
        };
        let projects: HashMap<i32, ProjectRow> =
            projects.into_iter().filter(|p| sources.contains_key(&p.source)).map(|p| (p.id, p)).collect();
        if projects.is_empty() || ask.window.days() == 0 {
            return Ok(None);
        }
        Ok(Some(Self { sources, projects, branch, whole: ask.project.is_none(), window: ask.window }))
    }

    /// Whether its groups are counted from runs, and have all their parts whatever is wanted.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(self.branch, Branch::Other(_))
    }

    pub(super) fn project_ids(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.projects.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn key(&self, project: i32) -> Option<ProjectKey> {
        let row = self.projects.get(&project)?;
        let source = SourceName::new(&self.sources.get(&row.source)?.name).ok()?;
        Some(ProjectKey::new(source, NativeId::new(&row.native_id)))
    }

    /// Hands over every group of projects' runs, or jobs, that fits, with at least the parts that are wanted: project, lane or
    /// job's name, group.
    pub(super) async fn each<S: Store>(
        &self,
        keeper: &Keeper<S>,
        (kind, parts): (Kind, Parts),
        window: Window,
        projects: &[i32],
        mut take: impl FnMut(i32, i32, Group),
    ) -> Result<()> {
        if let Branch::Other(branch) = self.branch {
            return counted(keeper, kind, window, projects, branch, |project, _, key, group| {
                take(project, key, group);
            })
            .await;
        }
        let branch = self.branch.number();
        let blocks = blocks(keeper, kind, projects, window).await?;
        each_roll(keeper, kind, &blocks, projects, |(_, project, _), bytes| {
            let take = |key: GroupKey, group| take(project, key.1, group);
            Roll::each_of(bytes, parts, |key| key.0 == branch, take)
        })
        .await
    }

    /// Hands over groups that together are all runs that fit: first day of their block, group. `daily`: by single days.
    pub(super) async fn runs<S: Store>(
        &self,
        keeper: &Keeper<S>,
        daily: bool,
        mut take: impl FnMut(i32, Group),
    ) -> Result<()> {
        let projects = self.project_ids();
        if let Branch::Other(branch) = self.branch {
            return counted(keeper, Kind::Runs, self.window, &projects, branch, |_, day, _, group| {
                take(day, group);
            })
            .await;
        }
        let (kind, scopes) = if self.whole {
            let mut sources: Vec<i32> = self.sources.keys().copied().collect();
            sources.sort_unstable();
            (Kind::Source, sources)
        } else {
            (Kind::Runs, projects)
        };
        let blocks = match daily {
            true => vec![Blocks { level: 0, from: self.window.from.0, to: self.window.to.0 }],
            false => blocks(keeper, kind, &scopes, self.window).await?,
        };
        let branch = self.branch.number();
        each_roll(keeper, kind, &blocks, &scopes, |(level, _, block), bytes| {
            let take = |_, group| take(block * LEVELS[usize::from(level)], group);
            Roll::each_of(bytes, Parts::All, |key| key.0 == branch, take)
        })
        .await
    }
}

/// The fewest blocks that hold exactly what is in a window. Most windows end today, and nothing is later: the longest blocks
/// with today in them are as good as the many short ones up to it.
async fn blocks<S: Store>(
    keeper: &Keeper<S>,
    kind: Kind,
    scopes: &[i32],
    window: Window,
) -> Result<Vec<Blocks>> {
    let rounded = window.rounded_up();
    let (from, to) = (window.to.0 + 1, rounded.to.0);
    let is_last = from > to || keeper.store.rolls(kind.number(), 0, scopes, from, to).await?.is_empty();
    Ok(if is_last { rounded } else { window }.blocks())
}

/// Counts the runs (or jobs) of a branch that has no statistics of its own: project, day, lane or job's name, group.
async fn counted<S: Store>(
    keeper: &Keeper<S>,
    kind: Kind,
    window: Window,
    projects: &[i32],
    branch: i32,
    mut take: impl FnMut(i32, i32, i32, Group),
) -> Result<()> {
    let mut with: Vec<i32> = keeper.store.projects_with(branch).await?;
    with.retain(|p| projects.binary_search(p).is_ok());
    if with.is_empty() {
        return Ok(());
    }
    let query = RunQuery {
        projects: with,
        from: window.from.0,
        to: window.to.0,
        branch,
        limit: i64::MAX,
        ..RunQuery::default()
    };
    let rows = match kind {
        Kind::Jobs => keeper.store.runs_with_jobs(&query).await?,
        Kind::Runs | Kind::Source | Kind::Timeline => keeper.store.runs(&query).await?,
    };
    let names = keeper.names(&rows, &[]).await?;
    let numbers = keeper.numbers_of(&names).await?;
    for row in &rows {
        let [runs, jobs] = shares(row.flags & flags::FURTHER == 0, &names.attempt(row)?, &numbers);
        for ((_, key), group) in if kind == Kind::Jobs { jobs } else { runs } {
            take(row.project, row.day, key, group);
        }
    }
    Ok(())
}

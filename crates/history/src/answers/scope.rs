//! Which part of history is asked about.

use std::collections::{HashMap, HashSet};

use domain::{NativeId, ProjectKey, SourceName};

use super::rolls::{Rolls, each_part, each_roll};
use crate::calendar::{Blocks, LEVELS};
use crate::keeper::Keeper;
use crate::roll::{Group, GroupKey, Kind, Parts, Roll};
use crate::store::{BranchRow, ProjectRow, RunRow, SourceRow, Store};
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

/// The same, in numbers.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) sources: HashMap<i32, SourceRow>,
    pub(super) projects: HashMap<i32, ProjectRow>,
    /// 0: any.
    pub(super) branch: i32,
    /// The sources in which there are statistics of that.
    apart: HashSet<i32>,
    /// The projects with that branch in all others, where it is counted from its runs.
    few: Vec<BranchRow>,
    /// The whole of its sources.
    whole: bool,
    pub(super) window: Window,
}

impl Scope {
    /// `None` when nothing can fit.
    pub(super) async fn of<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Option<Self>> {
        keeper.statistics.look(&keeper.store).await?;
        let lets_in = |s: &SourceRow| {
            (ask.sources.is_empty() || ask.sources.iter().any(|n| n.as_str() == s.name))
                && (ask.platforms.is_empty() || ask.platforms.contains(&s.platform))
                && ask.project.as_ref().is_none_or(|p| p.source.as_str() == s.name)
        };
        let sources: HashMap<i32, SourceRow> =
            keeper.store.sources().await?.into_iter().filter(lets_in).map(|s| (s.id, s)).collect();
        let branch = match &ask.branch {
            None => 0,
            Some(branch) => match keeper.number_of(branch).await? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let apart: HashSet<i32> = match branch {
            0 => sources.keys().copied().collect(),
            branch => keeper.store.apart(&[branch]).await?.into_iter().map(|(source, _)| source).collect(),
        };
        let few = match sources.keys().all(|source| apart.contains(source)) {
            true => Vec::new(),
            false => keeper.store.projects_with(branch).await?,
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
        let whole = ask.project.is_none();
        Ok(Some(Self { sources, projects, branch, apart, few, whole, window: ask.window }))
    }

    /// Projects that may have runs of what is asked for: of a branch of few runs it is known which do. What else they have, as
    /// deployments of something that was built nowhere, is to be looked for in all `projects`.
    pub(super) fn project_ids(&self) -> Vec<i32> {
        let has_it: HashSet<i32> = self.few.iter().map(|row| row.project).collect();
        let may_have_it =
            |(id, row): &(&i32, &ProjectRow)| self.apart.contains(&row.source) || has_it.contains(*id);
        let mut ids: Vec<i32> = self.projects.iter().filter(may_have_it).map(|(id, _)| *id).collect();
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
        let (kept, others) = self.kept_and_others(projects);
        self.counted(keeper, kind, window, &others, |project, _, key, group| take(project, key, group))
            .await?;
        let blocks = blocks(keeper, kind, &kept, window).await?;
        each_roll(keeper, kind, &blocks, &kept, |(_, project, _), bytes| {
            let take = |key: GroupKey, group| take(project, key.1, group);
            Roll::each_of(bytes, parts, |key| self.has(key), take)
        })
        .await
    }

    /// The same on threads of their own: `note`s groups in several `T`, which are handed over.
    pub(super) async fn each_on_threads<S: Store, T: Default + Send + 'static>(
        &self,
        keeper: &Keeper<S>,
        (kind, parts): (Kind, Parts),
        window: Window,
        projects: &[i32],
        note: impl Fn(&mut T, (i32, i32), &Group) + Copy + Send + 'static,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let (kept, others) = self.kept_and_others(projects);
        let mut few = T::default();
        self.counted(keeper, kind, window, &others, |project, _, key, group| {
            note(&mut few, (project, key), &group);
        })
        .await?;
        take(few);
        let branch = self.branch;
        let read = move |rolls: Rolls| {
            let mut part = T::default();
            for (project, _, bytes) in rolls {
                let take = |key: GroupKey, group| note(&mut part, (project, key.1), &group);
                Roll::each_of(&bytes, parts, |key| branch == 0 || branch == key.0, take)?;
            }
            Ok(part)
        };
        for blocks in blocks(keeper, kind, &kept, window).await? {
            each_part(keeper, kind, blocks, &kept, read, &mut take).await?;
        }
        Ok(())
    }

    /// Hands over groups that together are all runs that fit: first day of their block, group. `daily`: by single days.
    pub(super) async fn runs<S: Store>(
        &self,
        keeper: &Keeper<S>,
        daily: bool,
        mut take: impl FnMut(i32, Group),
    ) -> Result<()> {
        let (kept, others) = self.kept_and_others(&self.project_ids());
        self.counted(keeper, Kind::Runs, self.window, &others, |_, day, _, group| take(day, group)).await?;
        let (kind, scopes) = if self.whole {
            let mut sources: Vec<i32> =
                self.sources.keys().copied().filter(|s| self.apart.contains(s)).collect();
            sources.sort_unstable();
            (Kind::Source, sources)
        } else {
            (Kind::Runs, kept)
        };
        let blocks = match daily {
            true => vec![Blocks { level: 0, from: self.window.from.0, to: self.window.to.0 }],
            false => blocks(keeper, kind, &scopes, self.window).await?,
        };
        each_roll(keeper, kind, &blocks, &scopes, |(level, _, block), bytes| {
            let take = |_, group| take(block * LEVELS[usize::from(level)], group);
            Roll::each_of(bytes, Parts::All, |key| self.has(key), take)
        })
        .await
    }

    /// Projects with statistics of what is asked for, and others.
    fn kept_and_others(&self, projects: &[i32]) -> (Vec<i32>, Vec<i32>) {
        let is_kept = |p: &i32| self.projects.get(p).is_some_and(|row| self.apart.contains(&row.source));
        projects.iter().copied().partition(is_kept)
    }

    /// Whether a group is of what is asked for.
    const fn has(&self, key: GroupKey) -> bool {
        self.branch == 0 || self.branch == key.0
    }

    /// Counts the runs (or jobs) of a branch that has no statistics of its own: project, day, lane or job's name, group.
    async fn counted<S: Store>(
        &self,
        keeper: &Keeper<S>,
        kind: Kind,
        window: Window,
        projects: &[i32],
        mut take: impl FnMut(i32, i32, i32, Group),
    ) -> Result<()> {
        let with: Vec<BranchRow> =
            self.few.iter().filter(|row| projects.contains(&row.project)).copied().collect();
        let take = |row: &RunRow, [runs, jobs]: [Vec<(GroupKey, Group)>; 2]| {
            for ((_, key), group) in if kind == Kind::Jobs { jobs } else { runs } {
                take(row.project, row.day, key, group);
            }
        };
        keeper.each_on(&with, window, kind == Kind::Jobs, take).await
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
    let is_last = from > to || keeper.rolls(kind, 0, scopes, from, to).await?.is_empty();
    Ok(if is_last { rounded } else { window }.blocks())
}

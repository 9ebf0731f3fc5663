//! Which part of history is asked about.

use std::collections::HashMap;

use domain::{NativeId, ProjectKey, SourceName};

use crate::calendar::{Blocks, LEVELS};
use crate::ingest::COMMON_BRANCHES;
use crate::keeper::Keeper;
use crate::roll::{Group, GroupKey, Kind, Roll};
use crate::store::{ProjectRow, SourceRow, Store};
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
    /// The branch's number; 0: any.
    pub(super) branch: i32,
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
            None => 0,
            Some(branch) => match keeper.number_of(branch).await? {
                Some(id) => id,
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

    fn fits(&self, key: GroupKey) -> bool {
        self.branch == 0 || key.0 == self.branch
    }

    /// Hands over every group of projects' statistics that fits: project, key, group.
    pub(super) async fn each<S: Store>(
        &self,
        keeper: &Keeper<S>,
        kind: Kind,
        window: Window,
        projects: &[i32],
        mut take: impl FnMut(i32, GroupKey, Group),
    ) -> Result<()> {
        for Blocks { level, from, to } in window.blocks() {
            for (project, _, bytes) in keeper.store.rolls(kind.number(), level, projects, from, to).await? {
                for (key, group) in Roll::from_bytes_of(&bytes, |key| self.fits(key))?.0 {
                    take(project, key, group);
                }
            }
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
        let (kind, scopes) = self.cheapest(keeper).await?;
        let blocks = match daily {
            true => vec![Blocks { level: 0, from: self.window.from.0, to: self.window.to.0 }],
            false => self.window.blocks(),
        };
        // A whole source stands under no lane, once for all branches (0) and once for each that is common.
        let wanted =
            |key: GroupKey| if kind == Kind::Source { key == (self.branch, 0) } else { self.fits(key) };
        for Blocks { level, from, to } in blocks {
            for (_, block, bytes) in keeper.store.rolls(kind.number(), level, &scopes, from, to).await? {
                for (_, group) in Roll::from_bytes_of(&bytes, wanted)?.0 {
                    take(block * LEVELS[usize::from(level)], group);
                }
            }
        }
        Ok(())
    }

    /// Statistics of whole sources where they answer, else of the projects that have the branch.
    async fn cheapest<S: Store>(&self, keeper: &Keeper<S>) -> Result<(Kind, Vec<i32>)> {
        let mut common = self.branch == 0;
        for branch in COMMON_BRANCHES {
            common = common || keeper.number_of(branch).await? == Some(self.branch);
        }
        if self.whole && common {
            let mut sources: Vec<i32> = self.sources.keys().copied().collect();
            sources.sort_unstable();
            return Ok((Kind::Source, sources));
        }
        let mut projects = self.project_ids();
        if self.whole {
            let level = LEVELS.len() - 1;
            let (from, to) =
                (self.window.from.0.div_euclid(LEVELS[level]), self.window.to.0.div_euclid(LEVELS[level]));
            let rolls = keeper.store.rolls(Kind::Runs.number(), level as u8, &projects, from, to).await?;
            projects.clear();
            for (project, _, bytes) in rolls {
                if projects.last() != Some(&project)
                    && !Roll::from_bytes_of(&bytes, |key| self.fits(key))?.0.is_empty()
                {
                    projects.push(project);
                }
            }
        }
        Ok((Kind::Runs, projects))
    }
}

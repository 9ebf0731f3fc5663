//! What stands out among projects, workflows and jobs.

use std::collections::{BTreeSet, HashMap};

use domain::ProjectKey;

use super::scope::Scope;
use super::{Ask, Figures};
use crate::Result;
use crate::keeper::Keeper;
use crate::roll::{Group, Kind, Parts, Sketch, Tally};
use crate::store::Store;

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Projects.
    Projects,
    /// Workflows of projects.
    Workflows,
    /// Jobs of projects, by their name.
    Jobs,
}

/// What it is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Median duration.
    Slowest,
    /// Number of runs.
    Busiest,
    /// Share of red.
    Failing,
}

impl By {
    /// Of how many the rank is: at least one, or there is none.
    #[must_use]
    pub const fn counts(self, figures: &Figures) -> u64 {
        match self {
            Self::Slowest => figures.duration.count,
            Self::Busiest => figures.runs,
            Self::Failing if figures.failed == 0 => 0,
            Self::Failing => figures.verdicts(),
        }
    }

    /// The parts of the statistics that say the rank.
    const fn decides(self) -> Parts {
        match self {
            Self::Slowest => Parts::Durations,
            Self::Busiest | Self::Failing => Parts::Counts,
        }
    }

    /// What goes first has the most.
    #[must_use]
    pub fn weight(self, figures: &Figures) -> u64 {
        match self {
            Self::Slowest => figures.duration.p50.map_or(0, |d| d.as_millis() as u64),
            Self::Busiest => figures.runs,
            // Parts of a billion: whole numbers sort.
            Self::Failing => figures.failed * 1_000_000_000 / figures.verdicts().max(1),
        }
    }
}

/// A question for a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    /// What.
    pub of: Of,
    /// By what.
    pub by: By,
    /// Only what came to so many verdicts.
    pub min_runs: u64,
    /// At most so many.
    pub limit: usize,
}

/// A place in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Whose.
    pub project: ProjectKey,
    /// The project's name.
    pub project_name: String,
    /// The lane, of a workflow.
    pub lane: Option<String>,
    /// The name of the workflow, as far as it has one, or of the job.
    pub name: Option<String>,
    /// Its figures.
    pub figures: Figures,
}

pub(crate) async fn ranking<S: Store>(
    keeper: &Keeper<S>,
    ask: &Ask,
    ranking: &Ranking,
) -> Result<Vec<Ranked>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    // By what decides the places first; the rest of the figures is read of those that are told.
    let mut found = sums(keeper, &scope, ranking.of, ranking.by.decides(), &scope.project_ids()).await?;
    found.retain(|_, f| ranking.by.counts(f) >= ranking.min_runs.max(1));
    let of: BTreeSet<i32> = found.keys().map(|(project, _)| *project).collect();
    let lanes = match ranking.of {
        Of::Workflows => lane_names(keeper, &of.into_iter().collect::<Vec<_>>()).await?,
        Of::Projects | Of::Jobs => HashMap::new(),
    };
    let words = found.keys().map(|(_, key)| *key).chain(lanes.values().copied()).collect();
    let names = keeper.resolve(words, BTreeSet::new(), BTreeSet::new()).await?;
    let mut ranked = Vec::with_capacity(found.len());
    for (place @ (project, key), figures) in found {
        let Some(project_key) = scope.key(project) else { continue };
        let word = names.word(key)?.map(str::to_owned);
        let (lane, name) = match ranking.of {
            Of::Projects => (None, None),
            Of::Jobs => (None, word),
            Of::Workflows => {
                let name = lanes.get(&(project, key)).copied().unwrap_or_default();
                (Some(word.unwrap_or_default()), names.word(name)?.map(str::to_owned))
            }
        };
        let project_name = scope.projects.get(&project).map(|p| p.name.clone()).unwrap_or_default();
        ranked.push((place, Ranked { project: project_key, project_name, lane, name, figures }));
    }
    let weight = |f: &Figures| ranking.by.weight(f);
    ranked.sort_by(|(_, a), (_, b)| {
        (weight(&b.figures), b.figures.runs)
            .cmp(&(weight(&a.figures), a.figures.runs))
            .then_with(|| (&a.project, &a.lane, &a.name).cmp(&(&b.project, &b.lane, &b.name)))
    });
    ranked.truncate(ranking.limit);
    let of: BTreeSet<i32> = ranked.iter().map(|((project, _), _)| *project).collect();
    let whole = sums(keeper, &scope, ranking.of, Parts::All, &of.into_iter().collect::<Vec<_>>()).await?;
    let told = |(place, told): ((i32, i32), Ranked)| match whole.get(&place) {
        Some(figures) => Ranked { figures: *figures, ..told },
        None => told,
    };
    Ok(ranked.into_iter().map(told).collect())
}

/// Figures by project and lane, or job's name; of projects as a whole by that and 0. As far as the parts say.
async fn sums<S: Store>(
    keeper: &Keeper<S>,
    scope: &Scope,
    of: Of,
    parts: Parts,
    projects: &[i32],
) -> Result<HashMap<(i32, i32), Figures>> {
    let kind = if of == Of::Jobs { Kind::Jobs } else { Kind::Runs };
    // Of many groups come a few: durations are put together in tallies.
    let mut groups: HashMap<(i32, i32), (Group, [Tally; 2])> = HashMap::new();
    scope
        .each(keeper, (kind, parts), scope.window, projects, |project, key, group| {
            let key = if of == Of::Projects { 0 } else { key };
            let (sum, [durations, queued]) = groups.entry((project, key)).or_default();
            durations.add(&group.durations);
            queued.add(&group.queued);
            sum.add(&Group { durations: Sketch::default(), queued: Sketch::default(), ..group }, 1);
        })
        .await?;
    let figures = |(key, (group, [durations, queued])): (_, (Group, [Tally; 2]))| {
        (key, Figures::of(&Group { durations: durations.into(), queued: queued.into(), ..group }))
    };
    Ok(groups.into_iter().map(figures).collect())
}

/// Numbers of workflows' names by project and lane.
pub(super) async fn lane_names<S: Store>(
    keeper: &Keeper<S>,
    projects: &[i32],
) -> Result<HashMap<(i32, i32), i32>> {
    let lanes = keeper.store.lanes(projects).await?;
    Ok(lanes.into_iter().map(|(project, lane, name)| ((project, lane), name)).collect())
}

//! Why things fail, across projects.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::ProjectKey;

use super::Ask;
use super::scope::Scope;
use crate::Result;
use crate::keeper::Keeper;
use crate::roll::Kind;
use crate::store::Store;

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureGroup {
    /// Of jobs of this name; `None`: of runs whose jobs were not read.
    pub job: Option<String>,
    /// Why, with numbers, hashes, paths, times and quoted values left out. `None`: no reason was told.
    pub reason: Option<String>,
    /// How often.
    pub failures: u64,
    /// In so many projects.
    pub projects: u64,
    /// Those where it is most frequent, with how often.
    pub most: Vec<(ProjectKey, u64)>,
}

/// How many projects are named with a group.
const NAMED: usize = 10;

pub(crate) async fn failure_groups<S: Store>(
    keeper: &Keeper<S>,
    ask: &Ask,
    limit: usize,
) -> Result<Vec<FailureGroup>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    // Job and reason; job 0 is the run as a whole.
    let mut groups: HashMap<(i32, i32), HashMap<i32, i64>> = HashMap::new();
    let projects = scope.project_ids();
    let mut with_jobs = HashSet::new();
    scope
        .each(keeper, Kind::Jobs, scope.window, &projects, |project, job, group| {
            for (reason, n) in group.reasons {
                with_jobs.insert(project);
                *groups.entry((job, reason)).or_default().entry(project).or_default() += n;
            }
        })
        .await?;
    // What a run says of its failure is its jobs' in other words.
    let without: Vec<i32> = projects.into_iter().filter(|p| !with_jobs.contains(p)).collect();
    scope
        .each(keeper, Kind::Runs, scope.window, &without, |project, _, group| {
            for (reason, n) in group.reasons {
                *groups.entry((0, reason)).or_default().entry(project).or_default() += n;
            }
        })
        .await?;

    groups.retain(|_, of| of.values().sum::<i64>() > 0);
    let words: BTreeSet<i32> = groups.keys().flat_map(|(job, reason)| [*job, *reason]).collect();
    let names = keeper.resolve(words, BTreeSet::new(), BTreeSet::new()).await?;
    let mut told = Vec::with_capacity(groups.len());
    for ((job, reason), of) in groups {
        let failures = of.values().sum::<i64>().max(0).cast_unsigned();
        let mut most: Vec<(ProjectKey, u64)> = of
            .iter()
            .filter_map(|(project, n)| Some((scope.key(*project)?, (*n).max(0).cast_unsigned())))
            .collect();
        most.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let projects = most.len() as u64;
        most.truncate(NAMED);
        told.push(FailureGroup {
            job: names.word(job)?.map(str::to_owned),
            reason: names.word(reason)?.map(str::to_owned),
            failures,
            projects,
            most,
        });
    }
    told.sort_by(|a, b| {
        (b.projects, b.failures)
            .cmp(&(a.projects, a.failures))
            .then_with(|| (&a.job, &a.reason).cmp(&(&b.job, &b.reason)))
    });
    told.truncate(limit);
    Ok(told)
}

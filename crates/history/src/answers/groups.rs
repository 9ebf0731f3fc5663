//! Why things fail, across projects.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::ProjectKey;

use super::Ask;
use super::scope::Scope;
use crate::keeper::Keeper;
use crate::roll::{Kind, Parts};
use crate::store::Store;
use crate::text::of_job_and_reason;
use crate::{Result, normalise_reason};

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureGroup {
    /// Of jobs of this name; `None`: of runs that name no job.
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
    let mut found: HashMap<(i32, i32), HashMap<i32, i64>> = HashMap::new();
    let mut jobs = HashSet::new();
    let projects = scope.project_ids();
    scope
        .each(keeper, (Kind::Jobs, Parts::Reasons), scope.window, &projects, |project, job, group| {
            if group.runs() > 0 || group.further > 0 {
                jobs.insert(job);
            }
            for (reason, n) in group.reasons {
                *found.entry((job, reason)).or_default().entry(project).or_default() += n;
            }
        })
        .await?;
    scope
        .each(keeper, (Kind::Runs, Parts::Reasons), scope.window, &projects, |project, _, group| {
            for (reason, n) in group.reasons {
                *found.entry((0, reason)).or_default().entry(project).or_default() += n;
            }
        })
        .await?;

    let words: BTreeSet<i32> = found.keys().flat_map(|(job, reason)| [*job, *reason]).collect();
    let names = keeper.resolve(words, BTreeSet::new(), BTreeSet::new()).await?;
    let mut groups: HashMap<(Option<String>, Option<String>), HashMap<i32, i64>> = HashMap::new();
    for ((job, reason), of) in found {
        let (name, reason) = (names.word(job)?, names.word(reason)?);
        let key = match name {
            // Before the colon of what a run said stands something that is a job nowhere.
            Some(name) if !jobs.contains(&job) => {
                (None, Some(normalise_reason(&of_job_and_reason(name, reason))))
            }
            name => (name.map(str::to_owned), reason.map(str::to_owned)),
        };
        let group = groups.entry(key).or_default();
        for (project, n) in of {
            *group.entry(project).or_default() += n;
        }
    }
    groups.retain(|_, of| of.values().sum::<i64>() > 0);
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
        told.push(FailureGroup { job, reason, failures, projects, most });
    }
    told.sort_by(|a, b| {
        (b.projects, b.failures)
            .cmp(&(a.projects, a.failures))
            .then_with(|| (&a.job, &a.reason).cmp(&(&b.job, &b.reason)))
    });
    told.truncate(limit);
    Ok(told)
}

//! What is red now, since when, and by whom.

use std::collections::{BTreeMap, HashMap};

use domain::{DEAD_WORKFLOW_AFTER, Person, ProjectKey, RunId, Timestamp};

use super::Ask;
use super::rolls::each_roll;
use super::scope::Scope;
use crate::calendar::Blocks;
use crate::keeper::{FOR_EVER, Keeper};
use crate::reading::moment;
use crate::roll::{Kind, TIMELINE_DAYS, Timeline, Verdict};
use crate::store::{ProjectRow, RunKey, Store};
use crate::{Day, Result};

/// A run that something is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Culprit {
    /// The run.
    pub run: RunId,
    /// Its commit.
    pub sha: Option<String>,
    /// Who wrote that, or started the run.
    pub author: Option<Person>,
    /// What that says.
    pub message: Option<String>,
}

/// A branch of which a lane is red.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Whose.
    pub project: ProjectKey,
    /// The project's name.
    pub project_name: String,
    /// The branch.
    pub branch: String,
    /// The lane.
    pub lane: String,
    /// The workflow's name.
    pub workflow: Option<String>,
    /// Start of the first red run after the newest green one.
    pub since: Timestamp,
    /// No green run before it is known: it may have been red for longer.
    pub at_least: bool,
    /// The first red run. The commits after `green` up to its own are the suspects.
    pub first: Culprit,
    /// The newest green run.
    pub green: Option<Culprit>,
    /// How many red runs since.
    pub red: u64,
}

/// A lane whose newest verdict is red.
struct Red {
    project: i32,
    branch: i32,
    lane: i32,
    /// Newest verdicts last; from the newest green one on, if there is one.
    verdicts: Vec<Verdict>,
}

impl Red {
    fn green(&self) -> Option<&Verdict> {
        self.verdicts.iter().rev().find(|v| v.green)
    }
}

/// The branches that are asked about: the named one, else each project's default branch.
pub(super) async fn branches<S: Store>(keeper: &Keeper<S>, scope: &Scope) -> Result<HashMap<i32, i32>> {
    let mut of = HashMap::new();
    let mut known: HashMap<String, i32> = HashMap::new();
    if scope.branch == 0 {
        let mut texts: Vec<String> =
            scope.projects.values().filter_map(|p: &ProjectRow| p.default_branch.clone()).collect();
        texts.sort_unstable();
        texts.dedup();
        known = keeper.store.find_words(&texts).await?.into_iter().map(|(id, text)| (text, id)).collect();
    }
    for (id, project) in scope.project_ids().iter().filter_map(|id| scope.projects.get_key_value(id)) {
        let branch = match scope.branch {
            0 => project.default_branch.as_ref().and_then(|b| known.get(b)).copied(),
            branch => Some(branch),
        };
        of.extend(branch.map(|b| (*id, b)));
    }
    Ok(of)
}

/// How many blocks are looked at first; most of what is red has not been so for longer.
const FIRST_BLOCKS: i32 = 3;

pub(crate) async fn broken<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Vec<Broken>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    let branch_of = branches(keeper, &scope).await?;
    let end = Day(scope.window.to.0 + 1).start().as_millisecond();
    let last = scope.window.to.0.div_euclid(TIMELINE_DAYS);
    let mut lanes: BTreeMap<(i32, i32), Vec<Verdict>> = BTreeMap::new();
    let mut projects: Vec<i32> = branch_of.keys().copied().collect();
    projects.sort_unstable();
    for (from, to) in [(last - FIRST_BLOCKS + 1, last), (FOR_EVER.0, last - FIRST_BLOCKS)] {
        let mut older: BTreeMap<(i32, i32), Vec<Verdict>> = BTreeMap::new();
        let blocks = [Blocks { level: 0, from, to }];
        each_roll(keeper, Kind::Timeline, &blocks, &projects, |(_, project, _), bytes| {
            let branch_of = branch_of.get(&project).copied();
            let take = |(_, lane): (i32, i32), verdicts: &[Verdict]| {
                let began = verdicts.iter().filter(|v| v.began_ms < end).copied();
                older.entry((project, lane)).or_default().extend(began);
            };
            Timeline::each_of(bytes, |(branch, _)| branch_of == Some(branch), take)
        })
        .await?;
        for (key, mut verdicts) in older {
            // Blocks come in order, and what was found before is newer.
            verdicts.extend(lanes.remove(&key).unwrap_or_default());
            lanes.insert(key, verdicts);
        }
        // Further back only where a red lane has no green yet.
        let unsettled = |v: &Vec<Verdict>| v.last().is_some_and(|l| !l.green) && v.iter().all(|v| !v.green);
        projects = lanes.iter().filter(|(_, v)| unsettled(v)).map(|((project, _), _)| *project).collect();
        projects.dedup();
        if projects.is_empty() {
            break;
        }
    }

    let mut newest: HashMap<i32, i64> = HashMap::new();
    for ((project, _), verdicts) in &lanes {
        let at = verdicts.last().map_or(i64::MIN, |v| v.began_ms);
        newest.entry(*project).and_modify(|n| *n = at.max(*n)).or_insert(at);
    }
    let dead = i64::try_from(DEAD_WORKFLOW_AFTER.as_millis()).unwrap_or(i64::MAX);
    let mut red: Vec<Red> = Vec::new();
    for ((project, lane), mut verdicts) in lanes {
        let Some(newest_verdict) = verdicts.last().copied().filter(|v| !v.green) else { continue };
        if newest.get(&project).is_some_and(|n| n - newest_verdict.began_ms > dead) {
            continue;
        }
        if let Some(green) = verdicts.iter().rposition(|v| v.green) {
            verdicts.drain(..green);
        }
        let branch = branch_of.get(&project).copied().unwrap_or_default();
        red.push(Red { project, branch, lane, verdicts });
    }
    tell(keeper, &scope, red).await
}

async fn tell<S: Store>(keeper: &Keeper<S>, scope: &Scope, red: Vec<Red>) -> Result<Vec<Broken>> {
    let key = |red: &Red, v: &Verdict| {
        let day = Day::of_ms(v.began_ms).0;
        RunKey { project: red.project, run: v.run, from: day - 1, to: day + 1 }
    };
    let keys: Vec<RunKey> = red
        .iter()
        .flat_map(|r| r.green().into_iter().chain(r.verdicts.iter().find(|v| !v.green)).map(|v| key(r, v)))
        .collect();
    let rows = keeper.store.find_runs(&keys).await?;
    let names = keeper.names(&rows, &red.iter().flat_map(|r| [r.branch, r.lane]).collect::<Vec<_>>()).await?;
    let mut found = HashMap::new();
    for row in &rows {
        found.insert((row.project, row.run), names.pipeline(row)?);
    }
    let mut broken = Vec::new();
    for lane in red {
        let Some(project) = scope.key(lane.project) else { continue };
        let culprit = |v: &Verdict| {
            let run = found.get(&(lane.project, v.run))?;
            Some(Culprit {
                run: run.id.clone(),
                sha: run.sha.clone(),
                author: run.author.clone(),
                message: run.message.clone(),
            })
        };
        let reds = || lane.verdicts.iter().filter(|v| !v.green);
        let Some((first, since)) = reds().next().and_then(|v| Some((culprit(v)?, moment(Some(v.began_ms))?)))
        else {
            continue;
        };
        let run = reds().next().and_then(|v| found.get(&(lane.project, v.run)));
        broken.push(Broken {
            project,
            project_name: scope.projects.get(&lane.project).map(|p| p.name.clone()).unwrap_or_default(),
            branch: names.word(lane.branch)?.unwrap_or_default().to_owned(),
            lane: names.word(lane.lane)?.unwrap_or_default().to_owned(),
            workflow: run.and_then(|r| r.workflow.name.clone()),
            since: run.and_then(|r| r.started_at).unwrap_or(since),
            at_least: lane.green().is_none(),
            first,
            green: lane.green().and_then(culprit),
            red: reds().count() as u64,
        });
    }
    broken.sort_by(|a, b| (a.since, &a.project, &a.lane).cmp(&(b.since, &b.project, &b.lane)));
    Ok(broken)
}

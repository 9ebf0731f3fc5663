//! The state of many repositories of Data Center: one request each for their branches, and one for up to 100 of their
//! commits that tells whose builds moved. Only these builds are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use connector::{Heads, HeadsAsk, Result};
use domain::{Branch, Pipeline, Problem, ProblemKind, ProjectKey};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::{DataCenter, Listed, builds, convert, lists, wire};

/// Repositories whose commits are counted together.
const REPOSITORIES_AT_ONCE: usize = 25;
/// Requests of one such lot at the same time.
const REQUESTS_AT_ONCE: usize = 8;
/// Branches of a repository whose newest commits are watched, those that moved last.
const BRANCHES: usize = 25;
/// Commits of one repository whose builds are read in one refresh.
const COMMITS_PER_REFRESH: usize = 10;

/// A repository whose branches were read.
struct Seen {
    ask: HeadsAsk,
    /// The default branch.
    head: Option<Branch>,
    /// By their commit, the default branch before others.
    branches: BTreeMap<String, Branch>,
    problems: Vec<Problem>,
}

impl DataCenter {
    pub(crate) fn branch_heads(&self, asks: Vec<HeadsAsk>) -> BoxStream<'_, (ProjectKey, Result<Heads>)> {
        let lots: Vec<Vec<HeadsAsk>> = asks.chunks(REPOSITORIES_AT_ONCE).map(<[_]>::to_vec).collect();
        stream::iter(lots).then(move |lot| self.lot(lot)).flat_map(stream::iter).boxed()
    }

    async fn lot(&self, asks: Vec<HeadsAsk>) -> Vec<(ProjectKey, Result<Heads>)> {
        let seen = stream::iter(asks)
            .map(|ask| async move {
                let key = ask.project.key.clone();
                (key, self.look(ask).await)
            })
            .buffered(REQUESTS_AT_ONCE);
        let seen: Vec<(ProjectKey, Result<Seen>)> = seen.collect().await;
        let commits: HashSet<String> = seen
            .iter()
            .filter_map(|(_, s)| s.as_ref().ok())
            .flat_map(|s| s.branches.keys().cloned())
            .collect();
        let commits: Vec<String> = commits.into_iter().collect();
        let stats = if commits.is_empty() { Ok(HashMap::new()) } else { self.stats(&commits).await };
        let stats = &stats;
        stream::iter(seen)
            .map(|(key, seen)| async move {
                let heads = match (seen, stats) {
                    (Ok(seen), Ok(stats)) => self.settle(seen, stats).await,
                    (Err(e), _) => Err(e),
                    (Ok(_), Err(e)) => Err(e.clone()),
                };
                (key, heads)
            })
            .buffered(REQUESTS_AT_ONCE)
            .collect()
            .await
    }

    /// Reads the branches that moved last; the default branch and those that are to be shown by their names, where they
    /// are not among these.
    async fn look(&self, ask: HeadsAsk) -> Result<Seen> {
        let project = &*ask.project;
        let limit = BRANCHES.to_string();
        let query = [("details", "true"), ("orderBy", "MODIFICATION"), ("limit", limit.as_str())];
        let url = self.below(project, &["branches"], &query)?;
        let listed: Listed<wire::Branch> = self.list(lists::BRANCHES, url).await?;
        let all = listed.next().is_none();
        let mut problems: Vec<Problem> = listed.values.problem("branches").into_iter().collect();
        let rows: Vec<Branch> = listed.values.items.iter().map(|row| convert::branch(project, row)).collect();
        let mut head = rows.iter().find(|b| b.default).cloned();
        let mut more = Vec::new();
        if head.is_none() && !rows.is_empty() {
            let name = match &project.default_branch {
                Some(name) => Some(name.clone()),
                None => self.ask_default_branch(project.key.id.as_str()).await?,
            };
            if let Some(name) = name {
                head = self.by_name(&ask, &name, &mut problems).await?;
            }
        }
        self.remember(project.key.id.as_str(), head.as_ref().map(|b| b.name.as_str()));
        for name in ask.branches.iter().filter(|name| !all && !rows.iter().any(|b| b.name == **name)) {
            more.extend(self.by_name(&ask, name, &mut problems).await?);
        }
        if rows.is_empty() && problems.is_empty() {
            problems.push(Problem::new(ProblemKind::Empty, "the repository is empty"));
        }
        let head = head.map(|b| Branch { default: true, ..b });
        let mut branches = BTreeMap::new();
        for branch in head.iter().chain(&more).chain(&rows) {
            if let Some(sha) = branch.sha.clone() {
                branches.entry(sha).or_insert_with(|| branch.clone());
            }
        }
        Ok(Seen { ask, head, branches, problems })
    }

    async fn by_name(
        &self,
        ask: &HeadsAsk,
        name: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Branch>> {
        match self.branch(&ask.project, name).await {
            Ok(branch) => Ok(Some(branch)),
            Err(e) if e.concerns_source() => Err(e),
            Err(e) => {
                problems.push(e.to_partial(&format!("branch {}", domain::text::title(name))));
                Ok(None)
            }
        }
    }

    /// Reads the builds of the commits whose counts are not those of the known runs.
    async fn settle(&self, seen: Seen, stats: &HashMap<String, wire::Stats>) -> Result<Heads> {
        let Seen { ask, head, branches, mut problems } = seen;
        let mut of_commit: HashMap<&str, Vec<&Pipeline>> = HashMap::new();
        for run in &ask.known {
            of_commit.entry(run.sha.as_deref().unwrap_or_default()).or_default().push(run);
        }
        let mut moved: Vec<(&String, &Branch)> = branches
            .iter()
            .filter(|(sha, _)| {
                let told = stats.get(*sha).copied().unwrap_or_default();
                let known = of_commit.get(sha.as_str()).map(Vec::as_slice).unwrap_or_default();
                // A build that goes on may have been replaced by another that does: its time tells, and only it.
                told != counted(known) || told.in_progress > 0
            })
            .collect();
        // What is shown first, then what moved last.
        moved.sort_by_key(|(_, branch)| (!branch.default, std::cmp::Reverse(branch.committed_at)));
        if moved.len() > COMMITS_PER_REFRESH {
            let left = moved.len() - COMMITS_PER_REFRESH;
            problems.push(Problem::new(
                ProblemKind::Partial,
                format!("builds of {left} branches: read at the next refresh"),
            ));
            moved.truncate(COMMITS_PER_REFRESH);
        }
        let mut runs: BTreeMap<String, Pipeline> = BTreeMap::new();
        let mut reread = HashSet::new();
        for (sha, branch) in moved {
            if !stats.contains_key(sha) {
                // Its builds were deleted.
                reread.insert(sha.as_str());
                continue;
            }
            match self.builds(sha).await {
                Ok(rows) => {
                    reread.insert(sha.as_str());
                    for row in &rows {
                        let mut run = convert::run(sha, Some(branch), row);
                        let known =
                            of_commit.get(sha.as_str()).into_iter().flatten().find(|k| k.id == run.id);
                        if let Some(known) = known {
                            convert::remember_beginning(&mut run, known);
                        }
                        runs.insert(run.id.to_string(), run);
                    }
                }
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) if ask.known.is_empty() && branch.default => return Err(e),
                Err(e) => problems.push(e.to_partial("builds")),
            }
        }
        for known in ask.known.iter().filter(|k| !reread.contains(k.sha.as_deref().unwrap_or_default())) {
            runs.entry(known.id.to_string()).or_insert_with(|| (**known).clone());
        }
        let mut pipelines: Vec<Pipeline> = runs.into_values().collect();
        pipelines.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        pipelines.truncate(Heads::MAX_RUNS);
        Ok(Heads { default_branch: head, pipelines, problems, ..Heads::default() })
    }
}

/// What the known runs of a commit would be counted as.
fn counted(known: &[&Pipeline]) -> wire::Stats {
    let mut stats = wire::Stats::default();
    for run in known {
        match run.native_status.as_str() {
            "SUCCESSFUL" => stats.successful += 1,
            "FAILED" => stats.failed += 1,
            "INPROGRESS" => stats.in_progress += 1,
            "CANCELLED" => stats.cancelled += 1,
            _ => stats.unknown += 1,
        }
    }
    stats
}

const _: () = assert!(REPOSITORIES_AT_ONCE * BRANCHES >= builds::COMMITS_AT_ONCE, "a lot fills a question");

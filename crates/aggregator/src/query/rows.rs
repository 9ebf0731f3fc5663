//! The overview: one row per project, or per shown branch.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use api::v1;
use domain::{Outcome, Person, RunId, Status, Timestamp};
use jiff::SignedDuration;

use super::cause::{Causes, GROUPED_FROM, Place};
use super::wire::{branch_of, state_of};
use super::{BadQuery, Paging, Terms, Wanted, direction};
use crate::board::{Entry, Shown};
use crate::hub::Present;
use crate::watched::Watched;

/// How many hours the histogram shows.
const HOURS: i64 = 24;
/// A name this near to what was searched is offered instead (Jaro-Winkler, 0 to 1).
const NEAR: f64 = 0.8;

/// A question for rows, checked.
#[derive(Debug, Clone)]
pub struct ProjectQuery {
    terms: Terms,
    q: String,
    sources: Vec<String>,
    platforms: Vec<String>,
    wanted: Vec<Wanted>,
    sort: Sort,
    reverse: bool,
    paging: Paging,
    per_branch: bool,
    fold: bool,
    mine: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Worst,
    Name,
    Updated,
    Duration,
    Green,
}

impl TryFrom<v1::ListProjectsRequest> for ProjectQuery {
    type Error = BadQuery;
    fn try_from(r: v1::ListProjectsRequest) -> Result<Self, BadQuery> {
        let (word, reverse) = direction(&r.sort);
        let sort = match word {
            "" | "worst" => Sort::Worst,
            "name" => Sort::Name,
            "updated" => Sort::Updated,
            "duration" => Sort::Duration,
            "green" => Sort::Green,
            _ => {
                return Err(BadQuery(format!(
                    "{word:?} is no sort: one of worst, name, updated, duration, green"
                )));
            }
        };
        Ok(Self {
            terms: Terms::new(&r.q),
            q: r.q,
            sources: r.sources,
            platforms: r.platforms,
            wanted: Wanted::parse_all(&r.statuses)?,
            sort,
            reverse,
            paging: Paging::new(r.page, r.per_page)?,
            per_branch: r.per_branch,
            fold: r.fold,
            mine: r.mine,
        })
    }
}

/// A row before it is written.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    entry: &'a Entry,
    shown: Option<&'a Shown>,
    folded: Option<&'static str>,
    as_of: Option<Timestamp>,
    source_down: bool,
    /// The current user of its source.
    owner: Option<&'a Person>,
}

impl<'a> Row<'a> {
    fn outcome(&self) -> Option<Outcome> {
        self.shown?.rollup.outcome
    }

    /// Not known now: its source does not answer.
    const fn is_stale(&self) -> bool {
        self.source_down
    }

    fn is_broken(&self) -> bool {
        self.outcome() == Some(Outcome::Failed)
    }

    /// Broken, and known to be so now.
    fn is_red(&self) -> bool {
        self.is_broken() && !self.is_stale() && !self.entry.is_loading()
    }

    /// The run that decides its colour.
    fn deciding(&self) -> Option<&'a domain::Pipeline> {
        self.shown.and_then(deciding).map(AsRef::as_ref)
    }

    /// What it says is of a commit of the source's current user: a workflow's newest run, the run that decided, or the
    /// one that broke it.
    fn is_mine(&self) -> bool {
        let (Some(owner), Some(shown)) = (self.owner, self.shown) else { return false };
        let rollup = &shown.rollup;
        let speaking =
            rollup.decided.iter().map(|d| &d.run).chain(rollup.broken_since.iter().map(|b| &b.run));
        let speaking: Vec<&RunId> = speaking.collect();
        let mut lanes = std::collections::BTreeSet::new();
        shown.runs.iter().any(|run| {
            let newest = lanes.insert(run.workflow.lane.as_str());
            (newest || speaking.contains(&&run.id)) && run.author.as_ref().is_some_and(|a| a.is_same(owner))
        })
    }

    fn is_waiting(&self) -> bool {
        self.shown.is_some_and(|s| s.rollup.waiting.is_some())
    }

    fn has_no_data(&self) -> bool {
        !matches!(self.outcome(), Some(Outcome::Failed | Outcome::Warning | Outcome::Success))
            && !self.is_waiting()
    }

    fn is(&self, wanted: Wanted) -> bool {
        let activity = self.shown.and_then(|s| s.rollup.activity);
        match wanted {
            Wanted::Outcome(o) => self.outcome() == Some(o),
            Wanted::Activity(a) => activity == Some(a),
            Wanted::Active => activity.is_some(),
            Wanted::Waiting => self.is_waiting(),
            Wanted::NoData => self.has_no_data() || self.is_stale(),
        }
    }

    fn broken_at(&self) -> Option<Timestamp> {
        self.shown?.rollup.broken_since.as_ref()?.at
    }

    fn last_change(&self) -> Option<Timestamp> {
        self.shown.and_then(|s| s.last_change_at)
    }

    /// Broken first, then what wants attention, then green, then what is not known.
    fn rank(&self) -> u8 {
        match self.outcome() {
            Some(Outcome::Failed) => 0,
            Some(Outcome::Warning) => 1,
            _ if self.is_waiting() => 2,
            Some(Outcome::Success | Outcome::Unknown) => 2,
            Some(Outcome::Canceled | Outcome::Skipped) => 3,
            None if self.shown.is_some_and(|s| s.rollup.activity.is_some()) => 3,
            None => 4,
        }
    }

    fn texts(&self) -> Vec<&'a str> {
        let project = &self.entry.project;
        let mut texts = vec![project.name.as_str(), project.key.source.as_str(), project.key.id.as_str()];
        if let Some(shown) = self.shown {
            texts.push(&shown.name);
            for run in shown.runs.first().into_iter().chain(deciding(shown)) {
                texts.extend(run.message.as_deref());
                texts.extend(run.author.as_ref().map(|a| a.name.as_str()));
                texts.extend(run.sha.as_deref());
                texts.extend(run.failure.as_deref());
            }
        }
        texts
    }
}

fn deciding(shown: &Shown) -> Option<&std::sync::Arc<domain::Pipeline>> {
    let decided = shown.rollup.decided.first()?;
    shown.runs.iter().find(|r| r.id == decided.run)
}

/// Rows of a project: one per shown branch where asked for, at least one.
fn rows_of<'a>(
    entry: &'a Entry,
    per_branch: bool,
    present: &'a Present,
    watched: &Watched,
    now: Timestamp,
) -> Vec<Row<'a>> {
    let source = present.sources.get(&entry.project.key.source);
    let overdue = entry.read_at().is_none_or(|at| now.duration_since(at) > SignedDuration::from_mins(15));
    let source_down = source.is_some_and(|s| s.is_stale(overdue));
    let folded = if watched.is_named(&entry.project) { None } else { entry.folded(now) };
    let owner = source.and_then(|s| s.owner.person());
    let row = |shown| {
        let as_of = entry.read_at().filter(|_| source_down);
        Row { entry, shown, folded, as_of, source_down, owner }
    };
    if per_branch && !entry.shown().is_empty() {
        entry.shown().iter().map(|s| row(Some(s))).collect()
    } else {
        let default = entry.project.default_branch.as_deref();
        let shown = entry.shown();
        vec![row(shown.iter().find(|s| Some(s.name.as_str()) == default).or(shown.first()))]
    }
}

/// The row of one project, as [`list_projects`] gives it.
#[must_use]
pub fn row_of(entry: &Entry, present: &Present, watched: &Watched, now: Timestamp) -> v1::Row {
    rows_of(entry, false, present, watched, now).first().map(write).unwrap_or_default()
}

fn write(row: &Row<'_>) -> v1::Row {
    v1::Row {
        project: Some((&*row.entry.project).into()),
        branch: row.shown.map(|shown| v1::Branch {
            state: Some(state_of(row.entry, shown)),
            ..branch_of(row.entry, &shown.name)
        }),
        problem: row.entry.problem().map(Into::into),
        folded: row.folded.map(str::to_owned),
        loading: row.entry.is_loading(),
        as_of: row.as_of.map(api::timestamp),
        cause: None,
    }
}

/// Answers the question from one state of the board.
#[must_use]
pub fn list_projects(
    query: &ProjectQuery,
    present: &Present,
    watched: &Watched,
    sources: Vec<v1::Source>,
    now: Timestamp,
) -> v1::ListProjectsResponse {
    let all: Vec<Row<'_>> =
        present.board.entries().flat_map(|e| rows_of(e, query.per_branch, present, watched, now)).collect();
    let everything = all.iter().filter(|r| r.folded.is_none());
    let (everything, everything_broken) =
        everything.fold((0, 0), |(n, b), r| (n + 1, b + u32::from(r.is_broken() && !r.is_stale())));

    let (mut rows, mut searched) = (Vec::new(), Vec::new());
    for row in all {
        let key = &row.entry.project.key;
        let there = (query.sources.is_empty() || query.sources.iter().any(|s| s == key.source.as_str()))
            && (query.platforms.is_empty()
                || query.platforms.iter().any(|p| p == row.entry.project.platform.as_str()))
            && query.terms.match_any(row.texts());
        if there {
            searched.push(row);
        }
    }
    let mut summary = sum_up(&searched, now);
    summary.everything = everything;
    summary.everything_broken = everything_broken;
    let mine = searched.iter().filter(|r| r.folded.is_none() && r.is_mine()).count();
    summary.mine = u32::try_from(mine).unwrap_or(u32::MAX);
    for row in searched {
        let hidden = query.fold && row.folded.is_some() || query.mine && !row.is_mine();
        if !hidden && (query.wanted.is_empty() || query.wanted.iter().any(|w| row.is(*w))) {
            rows.push(row);
        }
    }
    let suggestion =
        if rows.is_empty() && !query.terms.is_empty() { suggest(&query.q, present) } else { None };
    rows.sort_by(|a, b| if query.reverse { order(query.sort, b, a) } else { order(query.sort, a, b) });
    let causes = (query.sort == Sort::Worst && !query.reverse).then(|| group(&mut rows)).flatten();
    let (total, page) = query.paging.cut(rows);
    let write = |row: &Row<'_>| v1::Row {
        cause: causes.as_ref().filter(|_| row.is_red()).map(|causes| causes.group(row.deciding())),
        ..write(row)
    };
    v1::ListProjectsResponse {
        rows: page.iter().map(write).collect(),
        total,
        page: query.paging.page,
        per_page: query.paging.per_page,
        version: Some(present.board.version().into()),
        summary: Some(summary),
        sources,
        suggestion,
    }
}

/// Puts rows that are broken for the same reason together, if there are many.
fn group(rows: &mut [Row<'_>]) -> Option<Causes> {
    let mut causes = Causes::default();
    let mut red = 0;
    for row in rows.iter().filter(|r| r.is_red()) {
        causes.count(row.deciding(), row.broken_at());
        red += 1;
    }
    if red < GROUPED_FROM {
        return None;
    }
    // Stable: within a group the order stays, oldest first.
    rows.sort_by_cached_key(|row| -> (u8, Option<Place>) {
        if row.is_red() { (0, Some(causes.place(row.deciding()))) } else { (1, None) }
    });
    Some(causes)
}

fn order(sort: Sort, a: &Row<'_>, b: &Row<'_>) -> Ordering {
    // What is not known comes last, whatever the order.
    fn known<T: PartialOrd>(a: Option<T>, b: Option<T>, up: bool) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => {
                let o = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                if up { o } else { o.reverse() }
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
    let name = |r: &Row<'_>| (r.entry.project.name.to_lowercase(), r.entry.project.key.clone());
    let branch = |r: &Row<'_>| r.shown.map(|s| s.name.clone());
    let first = match sort {
        Sort::Worst => a.rank().cmp(&b.rank()).then_with(|| {
            if a.is_broken() {
                known(a.broken_at(), b.broken_at(), true)
            } else {
                known(a.last_change(), b.last_change(), false)
            }
        }),
        Sort::Name => Ordering::Equal,
        Sort::Updated => known(a.last_change(), b.last_change(), false),
        Sort::Duration => known(a.shown.and_then(|s| s.median), b.shown.and_then(|s| s.median), false),
        Sort::Green => known(a.shown.and_then(|s| s.share_green), b.shown.and_then(|s| s.share_green), true),
    };
    first.then_with(|| name(a).cmp(&name(b))).then_with(|| branch(a).cmp(&branch(b)))
}

fn sum_up(rows: &[Row<'_>], now: Timestamp) -> v1::Summary {
    let mut s = v1::Summary::default();
    let (mut oldest, mut newest_verdict): (Option<Timestamp>, Option<Timestamp>) = (None, None);
    let mut hours: BTreeMap<i64, [u32; 3]> = (0..HOURS).map(|h| (h, [0; 3])).collect();
    let mut counted = std::collections::BTreeSet::new();
    for row in rows {
        if let Some(why) = row.folded {
            s.folded += 1;
            match why {
                "archived" => s.folded_archived += 1,
                "no_ci" => s.folded_no_ci += 1,
                _ => s.folded_quiet += 1,
            }
            continue;
        }
        s.total += 1;
        if counted.insert(&row.entry.project.key) {
            for run in row.entry.runs() {
                let ago = run.began().map(|at| now.duration_since(at).as_hours());
                if let Some(bucket) = ago.and_then(|ago| hours.get_mut(&(HOURS - 1 - ago))) {
                    let kind = if run.status.is_green() {
                        0
                    } else if run.status == Status::Failed {
                        1
                    } else {
                        2
                    };
                    bucket[kind] += 1;
                }
            }
        }
        let on_branch = row.shown.map(|s| s.runs.as_slice()).unwrap_or_default();
        s.running_runs += on_branch.iter().map(|r| u32::from(r.status == Status::Running)).sum::<u32>();
        if row.entry.is_loading() {
            s.loading += 1;
            continue;
        }
        if row.is_stale() {
            s.stale += 1;
            continue;
        }
        s.waiting += u32::from(row.is_waiting());
        s.nodata += u32::from(row.has_no_data());
        if row.shown.is_some_and(|s| s.rollup.activity.is_some()) {
            s.active += 1;
        }
        match row.outcome() {
            Some(Outcome::Failed) => {
                s.broken += 1;
                oldest = oldest.into_iter().chain(row.broken_at()).min();
                let fix = row.shown.and_then(|s| s.rollup.broken_since.as_ref()?.fix.as_ref());
                s.being_fixed += u32::from(fix.is_some());
            }
            Some(Outcome::Warning) => s.warning += 1,
            Some(Outcome::Success) => s.green += 1,
            _ => {}
        }
        newest_verdict = newest_verdict.max(row.shown.and_then(green_since));
    }
    s.oldest_broken_at = oldest.map(api::timestamp);
    s.green_since = if s.broken == 0 { newest_verdict.map(api::timestamp) } else { None };
    let start = now.saturating_sub(SignedDuration::from_hours(HOURS)).unwrap_or(now);
    s.hours = hours
        .into_iter()
        .map(|(h, [green, red, other])| v1::HourOfRuns {
            from: start.saturating_add(SignedDuration::from_hours(h)).ok().map(api::timestamp),
            green,
            red,
            other,
        })
        .collect();
    s
}

/// When this branch last turned green: the end of the first green run after its newest red one. `None` when it was
/// never red as far as is known.
fn green_since(shown: &Shown) -> Option<Timestamp> {
    let red = shown.runs.iter().position(|r| r.status == Status::Failed)?;
    let first = shown.runs[..red].iter().rev().find(|r| r.status.is_green())?;
    first.finished_at.or(first.updated_at).or(first.began())
}

fn suggest(q: &str, present: &Present) -> Option<String> {
    let q = q.trim().to_lowercase();
    let near = |name: &str| {
        name.to_lowercase().split('/').map(|part| strsim::jaro_winkler(&q, part)).fold(0.0, f64::max)
    };
    let best = present
        .board
        .entries()
        .map(|e| (near(&e.project.name), &e.project.name))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
    (best.0 >= NEAR).then(|| best.1.rsplit('/').next().unwrap_or(best.1).to_owned())
}

//! Questions from the wire, checked.

use std::collections::BTreeSet;

use api::v1;
use domain::{ProjectKey, SourceName, Timestamp};
use history::answers::{Ask, Behind, By, Of};
use history::{Day, Window};

use crate::query::{BadQuery, Paging, run_statuses};
use crate::sources::Source;

/// The window when none is asked for, in days.
const DEFAULT_DAYS: u32 = 30;
/// The longest one.
pub(super) const MAX_DAYS: u32 = 400;
/// The fewest runs that are worth a rank, when none is said.
const DEFAULT_MIN_RUNS: u64 = 5;
/// Places when none is said, and the most.
const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;
/// Nobody turns further pages than to this run.
const MAX_REACH: usize = 100_000;

/// What is asked about, as of `now`. The project is still as it was asked for.
pub(super) fn ask(scope: &v1::StatsScope, now: Timestamp) -> Result<Ask, BadQuery> {
    let source = |name: &String| SourceName::new(name).map_err(|e| BadQuery(e.to_string()));
    Ok(Ask {
        sources: scope.sources.iter().map(source).collect::<Result<_, _>>()?,
        platforms: scope.platforms.clone(),
        project: scope
            .project
            .as_ref()
            .map(ProjectKey::try_from)
            .transpose()
            .map_err(|e| BadQuery(e.to_string()))?,
        branch: scope.branch.clone().filter(|b| !b.is_empty()),
        window: window(scope, now)?,
    })
}

fn window(scope: &v1::StatsScope, now: Timestamp) -> Result<Window, BadQuery> {
    let too_long = |days: i64| BadQuery(format!("a window is 1 to {MAX_DAYS} days, not {days}"));
    let window = match (scope.from.as_str(), scope.to.as_str()) {
        ("", "") => match scope.days {
            0 => Window::last(DEFAULT_DAYS.cast_signed(), now),
            days if days <= MAX_DAYS => Window::last(days.cast_signed(), now),
            days => return Err(too_long(days.into())),
        },
        (from, to) => {
            let to = if to.is_empty() { Day::of(now) } else { day(to)? };
            let from = if from.is_empty() { Day(to.0 + 1 - DEFAULT_DAYS.cast_signed()) } else { day(from)? };
            Window { from, to }
        }
    };
    let days = i64::from(window.to.0) - i64::from(window.from.0) + 1;
    if days < 1 {
        return Err(BadQuery("the window ends before it begins".to_owned()));
    }
    if days > i64::from(MAX_DAYS) { Err(too_long(days)) } else { Ok(window) }
}

/// A day as `2026-11-24`.
pub(super) fn day(text: &str) -> Result<Day, BadQuery> {
    let wrong = || BadQuery(format!("{text:?} is no day such as 2026-11-24"));
    // The parser takes other forms and a time as well.
    let date = text.parse::<jiff::civil::Date>().ok().filter(|date| date.to_string() == text);
    let midnight = date.ok_or_else(wrong)?.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    Ok(Day::of(midnight.timestamp()))
}

/// The same of as many days before.
pub(super) fn before(ask: &Ask) -> Ask {
    let to = Day(ask.window.from.0 - 1);
    Ask { window: Window { from: Day(to.0 + 1 - ask.window.days()), to }, ..ask.clone() }
}

/// How many are asked for; 0 takes 10.
pub(super) fn limit(asked: u32) -> Result<usize, BadQuery> {
    match asked {
        0 => Ok(DEFAULT_LIMIT as usize),
        n if n <= MAX_LIMIT => Ok(n as usize),
        n => Err(BadQuery(format!("limit is 1 to {MAX_LIMIT}, not {n}"))),
    }
}

/// What is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranked {
    /// What projects are made of.
    InProjects(Of),
    /// Whole sources.
    Sources,
    /// All sources of a platform.
    Platforms,
}

pub(super) fn ranked(word: &str) -> Result<Ranked, BadQuery> {
    match word {
        "projects" => Ok(Ranked::InProjects(Of::Projects)),
        "workflows" => Ok(Ranked::InProjects(Of::Workflows)),
        "jobs" => Ok(Ranked::InProjects(Of::Jobs)),
        "sources" => Ok(Ranked::Sources),
        "platforms" => Ok(Ranked::Platforms),
        _ => Err(BadQuery(format!(
            "{word:?} is not ranked: one of projects, workflows, jobs, sources, platforms"
        ))),
    }
}

pub(super) fn order(word: &str) -> Result<By, BadQuery> {
    match word {
        "slowest" => Ok(By::Slowest),
        "busiest" => Ok(By::Busiest),
        "failing" => Ok(By::Failing),
        _ => Err(BadQuery(format!("{word:?} is no order: one of slowest, busiest, failing"))),
    }
}

/// The fewest runs that are worth a rank; 0 takes 5.
pub(super) const fn min_runs(asked: u64) -> u64 {
    if asked == 0 { DEFAULT_MIN_RUNS } else { asked }
}

/// The sources, or their platforms, that the question lets in.
pub(super) fn parts<'a>(of: Ranked, ask: &Ask, sources: impl Iterator<Item = &'a Source>) -> Vec<String> {
    let lets_in = |s: &&Source| {
        (ask.sources.is_empty() || ask.sources.contains(&s.name))
            && (ask.platforms.is_empty() || ask.platforms.iter().any(|p| p == s.platform))
    };
    let name = |s: &Source| if of == Ranked::Sources { s.name.to_string() } else { s.platform.to_owned() };
    let names: BTreeSet<String> = sources.filter(lets_in).map(name).collect();
    names.into_iter().collect()
}

/// The question about one of them.
pub(super) fn of_part(ask: &Ask, of: Ranked, name: &str) -> Ask {
    match of {
        Ranked::Sources => Ask { sources: SourceName::new(name).into_iter().collect(), ..ask.clone() },
        Ranked::Platforms => Ask { platforms: vec![name.to_owned()], ..ask.clone() },
        Ranked::InProjects(_) => ask.clone(),
    }
}

/// Which figure the runs are of.
pub(super) fn behind(request: v1::ListRunsBehindRequest) -> Result<Behind, BadQuery> {
    let hour = match request.hour {
        None => None,
        Some(hour) => match u8::try_from(hour) {
            Ok(hour) if hour < 24 * 7 => Some(hour),
            _ => return Err(BadQuery(format!("hour is 0 to 167, not {hour}"))),
        },
    };
    let failed = request.job.is_some() || request.reason.is_some();
    if request.ran_job.is_some() && failed {
        return Err(BadQuery(
            "ran_job is about all runs of a job, job and reason about failed ones: not both".to_owned(),
        ));
    }
    if request.no_reason && (request.job.is_none() || request.reason.is_some()) {
        return Err(BadQuery(
            "no_reason is about a job that failed: with job, and without reason".to_owned(),
        ));
    }
    Ok(Behind {
        statuses: run_statuses(&request.statuses)?,
        day: if request.day.is_empty() { None } else { Some(day(&request.day)?) },
        hour_of_week: hour,
        lane: request.lane,
        ran: request.ran_job,
        job: request.job,
        reason: request.reason,
        untold: request.no_reason,
    })
}

/// After how many, and how many.
pub(super) fn part(paging: Paging) -> Result<(usize, usize), BadQuery> {
    let size = paging.per_page as usize;
    let skip = (paging.page as usize - 1).saturating_mul(size);
    if skip > MAX_REACH {
        return Err(BadQuery(format!("there are no pages beyond the {MAX_REACH}th run; narrow the window")));
    }
    Ok((skip, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn told(scope: &v1::StatsScope) -> Result<(String, String), String> {
        let name = |day: Day| day.start().strftime("%F").to_string();
        window(scope, now()).map(|w| (name(w.from), name(w.to))).map_err(|e| e.0)
    }

    fn of(days: u32, from: &str, to: &str) -> v1::StatsScope {
        v1::StatsScope { days, from: from.into(), to: to.into(), ..Default::default() }
    }

    #[test]
    fn windows_end_today_unless_told() {
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(told(&of(0, "", "")), pair("2026-10-26", "2026-11-24"));
        assert_eq!(told(&of(1, "", "")), pair("2026-11-24", "2026-11-24"));
        assert_eq!(told(&of(0, "2026-11-01", "")), pair("2026-11-01", "2026-11-24"));
        assert_eq!(told(&of(7, "", "2026-11-10")), pair("2026-10-12", "2026-11-10"));
        assert_eq!(told(&of(0, "2025-12-31", "2026-01-01")), pair("2025-12-31", "2026-01-01"));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for (scope, says) in [
            (of(401, "", ""), "1 to 400 days, not 401"),
            (of(0, "2026-11-02", "2026-11-01"), "ends before it begins"),
            (of(0, "2024-11-02", "2026-11-01"), "1 to 400 days"),
            (of(0, "11/02/2026", ""), "no day such as"),
            (of(0, "2026-11-02T00:00:00", ""), "no day such as"),
            (of(0, "20261102", ""), "no day such as"),
            (of(0, "", "2026-02-30"), "no day such as"),
        ] {
            let refused = told(&scope).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn the_window_before_is_as_long_and_ends_the_day_before() {
        let ask = ask(&of(7, "", ""), now()).unwrap();
        let past = before(&ask);
        assert_eq!((past.window.days(), past.window.to.0 + 1), (7, ask.window.from.0));
    }

    #[test]
    fn figures_are_named_by_words_that_are_known() {
        assert_eq!(ranked("jobs"), Ok(Ranked::InProjects(Of::Jobs)));
        assert!(ranked("branches").unwrap_err().0.contains("projects, workflows, jobs"));
        assert!(order("best").unwrap_err().0.contains("slowest, busiest, failing"));
        assert_eq!((limit(0), min_runs(0), min_runs(3)), (Ok(10), 5, 3));
        assert!(limit(101).unwrap_err().0.contains("1 to 100"));
        let hour = |hour| behind(v1::ListRunsBehindRequest { hour: Some(hour), ..Default::default() });
        assert_eq!(hour(167).unwrap().hour_of_week, Some(167));
        assert!(hour(168).is_err() && hour(u32::MAX).is_err());
        let job = Some("e2e".to_owned());
        let both = v1::ListRunsBehindRequest { ran_job: job.clone(), job: job.clone(), ..Default::default() };
        assert!(behind(both).unwrap_err().0.contains("ran_job"));
        let alone = v1::ListRunsBehindRequest { no_reason: true, ..Default::default() };
        assert!(behind(alone.clone()).unwrap_err().0.contains("no_reason"));
        assert!(behind(v1::ListRunsBehindRequest { job, ..alone }).unwrap().untold);
        assert!(part(Paging::new(2_000, 100).unwrap()).is_err());
    }
}

//! What of a project is known, what the listing told anew, and which builds have to be asked for. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::Heads;
use connector::wire::between;
use domain::stats::STRIP_RUNS;
use domain::{Pipeline, RunId, Status, Timestamp};

use crate::base;

/// The newest builds that a job is asked for when nothing of it is known: as many as the board holds, and `builds` gives.
pub(crate) const FIRST_SIGHT: usize = Heads::MAX_RUNS;
/// How long a build that is not told of is looked at how often, in seconds; the longer it goes on, the less.
const LOOKS: [(i64, i64); 3] = [(10 * 60, 60), (60 * 60, 5 * 60), (i64::MAX, 30 * 60)];

/// What is asked of one job of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    /// Which child of a multibranch job.
    pub(crate) child: Option<String>,
    /// How many of its newest builds.
    pub(crate) count: usize,
}

fn child_of(run: &Pipeline) -> Option<&str> {
    base::parse_run(&run.id).and_then(|(child, _)| child)
}

fn number_of(run: &Pipeline) -> u64 {
    base::parse_run(&run.id).map_or(0, |(_, number)| number)
}

/// How many jobs these runs are of.
pub(crate) fn jobs(runs: &[Pipeline]) -> usize {
    runs.iter().map(child_of).collect::<BTreeSet<_>>().len()
}

/// Whether the listing told all of a build: what started it, which every build has. The commit comes with the checkout.
fn is_whole(run: &Pipeline) -> bool {
    run.event.is_some()
}

/// The newest builds that are told whole, newest first. They are told as the job lists them: between them there is none,
/// whatever their numbers, which have gaps where builds were deleted.
fn followed<'a>(told: &[&'a Pipeline]) -> Vec<&'a Pipeline> {
    let mut told = told.to_vec();
    told.sort_unstable_by_key(|run| std::cmp::Reverse(number_of(run)));
    told.into_iter().take_while(|run| is_whole(run)).collect()
}

/// Which builds have to be asked for: those that are new and not told whole, and known ones that go on but are none of the
/// newest, where `looks` says so. A build that was seen to end needs no request, since the listing told how.
pub(crate) fn wants(
    told: &[Pipeline],
    known: &[Arc<Pipeline>],
    looks: impl Fn(&Pipeline) -> bool,
) -> Vec<Want> {
    let mut jobs: BTreeMap<Option<&str>, Vec<&Pipeline>> = BTreeMap::new();
    for run in told.iter().filter(|r| r.status != Status::Queued) {
        jobs.entry(child_of(run)).or_default().push(run);
    }
    let is_full = known.len() >= Heads::MAX_RUNS;
    let oldest_held = known.iter().filter_map(|r| r.began()).min().filter(|_| is_full);
    let want = |(child, told): (Option<&str>, Vec<&Pipeline>)| {
        let last = told.iter().map(|r| number_of(r)).max()?;
        let own = || known.iter().filter(|r| child_of(r) == child && r.status != Status::Queued);
        let followed = followed(&told);
        let Some(newest) = own().map(|r| number_of(r)).max() else {
            // The first builds of a new branch; or told back to what is older than all that the board holds.
            let first = followed.last().is_some_and(|r| number_of(r) == 1);
            let began = followed.last().and_then(|r| r.began());
            if first || oldest_held.zip(began).is_some_and(|(held, began)| began <= held) {
                return None;
            }
            // Of a branch that was last built before all that the board holds nothing is known, and nothing needed.
            let older = oldest_held.is_some_and(|held| told.iter().all(|r| r.began() <= Some(held)));
            return (!older).then(|| Want { child: child.map(str::to_owned), count: FIRST_SIGHT });
        };
        let reaches = last <= newest || followed.iter().any(|r| number_of(r) <= newest + 1);
        let new = (!reaches).then_some(newest + 1);
        // The newest build that has ended is told: what is newer than that goes on.
        let ended = told.iter().filter(|t| !t.status.is_active()).map(|t| number_of(t)).max();
        let untold = own()
            .filter(|r| r.status.is_active() && !told.iter().any(|t| t.id == r.id))
            .filter(|r| ended > Some(number_of(r)) && looks(r))
            .map(|r| number_of(r))
            .min();
        let from = [new, untold].into_iter().flatten().min()?;
        let count = usize::try_from(last.saturating_sub(from)).unwrap_or(FIRST_SIGHT);
        Some(Want { child: child.map(str::to_owned), count: count.saturating_add(1).min(FIRST_SIGHT) })
    };
    jobs.into_iter().filter_map(want).collect()
}

/// Puts together what is known, what was told and what was asked for. Runs of children that are gone, and what left the
/// queue without becoming a build, are not in it.
///
/// `oldest` is the number of the oldest build that a job still has, where it was asked. No more than the newest
/// [`Heads::MAX_RUNS`] stay, and of `shown` branches so many that their strips are full.
pub(crate) fn merge(
    told: &[Pipeline],
    asked: Vec<Pipeline>,
    known: &[Arc<Pipeline>],
    oldest: &BTreeMap<Option<String>, u64>,
    shown: &[&str],
) -> Vec<Pipeline> {
    let mut runs: BTreeMap<RunId, Pipeline> = BTreeMap::new();
    let mut newest: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for run in told {
        let newest = newest.entry(child_of(run)).or_default();
        *newest = number_of(run).max(*newest);
    }
    for run in known {
        let (child, number) = (child_of(run), number_of(run));
        let deleted = oldest.get(&child.map(str::to_owned)).is_some_and(|first| number < *first);
        // Somebody deleted the newest ones, or made the job anew.
        let there = newest.get(&child).is_some_and(|newest| number <= *newest);
        if there && !deleted && run.status != Status::Queued {
            runs.insert(run.id.clone(), Pipeline::clone(run));
        }
    }
    // What waited keeps the time since when, so it is looked up beside the rest.
    let before = |id: &RunId| known.iter().find(|k| k.id == *id).map(|k| Pipeline::clone(k));
    for row in told {
        let known = runs.remove(&row.id).or_else(|| before(&row.id));
        let run = known.map_or_else(|| row.clone(), |known| moved(row.clone(), known));
        runs.insert(run.id.clone(), run);
    }
    for build in asked {
        let run = match runs.remove(&build.id) {
            Some(known) if !waits(&build, &known) => kept_times(build, &known),
            Some(known) => known,
            None => build,
        };
        runs.insert(run.id.clone(), run);
    }
    let mut runs: Vec<Pipeline> = runs.into_values().collect();
    runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    let mut of_branch: BTreeMap<Option<String>, usize> = BTreeMap::new();
    let mut index = 0;
    runs.retain(|run| {
        index += 1;
        let of_branch = of_branch.entry(run.branch.clone()).or_default();
        *of_branch += 1;
        let is_shown = run.branch.as_deref().is_some_and(|branch| shown.contains(&branch));
        index <= Heads::MAX_RUNS || (is_shown && *of_branch <= STRIP_RUNS)
    });
    runs
}

/// The branches of which more has to be read than the first few builds, so that the newest [`Heads::MAX_RUNS`] of the whole
/// project are there, and the strips of `shown` ones: `(child, runs that came)` of each branch whose answer was full.
pub(crate) fn cut_short<'a>(runs: &[Pipeline], full: &'a [(String, usize)], shown: &[&str]) -> Vec<&'a str> {
    let mut began: Vec<_> = runs.iter().map(Pipeline::began).collect();
    began.sort_unstable_by(|a, b| b.cmp(a));
    let reach = began.get(Heads::MAX_RUNS - 1).copied().flatten();
    let is_cut = |(child, count): &&(String, usize)| {
        let own = || runs.iter().filter(|r| child_of(r) == Some(child));
        let oldest = own().filter_map(Pipeline::began).min();
        let is_shown = own().any(|r| r.branch.as_deref().is_some_and(|b| shown.contains(&b)));
        oldest > reach || (is_shown && *count < STRIP_RUNS)
    };
    full.iter().filter(is_cut).map(|(child, _)| child.as_str()).collect()
}

/// Whether a build that the listing does not tell of is to be asked about again, one that waits for somebody or that others
/// have overtaken: as often as [`LOOKS`] says.
pub(crate) fn is_to_be_looked_at(run: &Pipeline, before: Option<Timestamp>, now: Timestamp) -> bool {
    let Some((began, before)) = run.began().zip(before) else { return true };
    let age = |at: Timestamp| at.as_second() - began.as_second();
    let every = LOOKS.iter().find(|(until, _)| age(now) < *until).map_or(1, |(_, every)| *every);
    age(before).div_euclid(every) < age(now).div_euclid(every)
}

/// Whether a report that a run is still building says nothing new: it waits for input, which only the stages tell.
fn waits(new: &Pipeline, known: &Pipeline) -> bool {
    new.status == Status::Running && known.status == Status::Manual
}

/// What is known of a run, brought up to date by a row of the listing, which has few details.
fn moved(row: Pipeline, known: Pipeline) -> Pipeline {
    let unmoved = row.native_status == known.native_status && row.updated_at == known.updated_at;
    if unmoved || waits(&row, &known) {
        // The commit and whose it is are told as soon as it was checked out.
        let Pipeline { sha, author, message, event, expected, .. } = row;
        return Pipeline {
            sha: known.sha.or(sha),
            author: known.author.or(author),
            message: known.message.or(message),
            event: known.event.or(event),
            expected: expected.or(known.expected),
            ..known
        };
    }
    kept_times(row, &known)
}

/// A newer report with what only the older one knows: since when it waited before it began.
fn kept_times(new: Pipeline, known: &Pipeline) -> Pipeline {
    let mut run = new.filled_from(known);
    if let (Some(since), Some(created)) = (known.created_at, run.created_at)
        && since < created
    {
        run.created_at = Some(since);
        run.queued = run.queued.or_else(|| Some(between(since, run.started_at?)));
    }
    run.queued = run.queued.or(known.queued);
    if !run.status.is_active() {
        run.expected = None;
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Completeness;

    fn run(id: &str, status: Status) -> Pipeline {
        let number = id.rsplit('/').next().unwrap().parse::<i64>().unwrap();
        let at = Timestamp::from_second(1_700_000_000 + number * 100).unwrap();
        let ended = at.checked_add(std::time::Duration::from_secs(60)).ok().filter(|_| !status.is_active());
        Pipeline {
            created_at: Some(at),
            started_at: Some(at),
            finished_at: ended,
            updated_at: ended.or(Some(at)),
            ..Pipeline::new(RunId::new(id), status, status.as_str())
        }
    }

    fn known(runs: &[(&str, Status)]) -> Vec<Arc<Pipeline>> {
        runs.iter().map(|(id, status)| Arc::new(run(id, *status))).collect()
    }

    fn told(runs: &[(&str, Status)]) -> Vec<Pipeline> {
        runs.iter().map(|(id, status)| run(id, *status)).collect()
    }

    #[test]
    fn only_what_is_new_is_asked_for() {
        use Status::{Failed, Queued, Running, Success};
        for (what, told_now, known_before, count) in [
            ("nothing known", vec![("7", Success)], vec![], Some(FIRST_SIGHT)),
            ("unmoved", vec![("7", Success)], vec![("7", Success), ("6", Failed)], None),
            (
                "still running",
                vec![("7", Running), ("6", Success)],
                vec![("7", Running), ("6", Success)],
                None,
            ),
            ("has ended", vec![("7", Failed)], vec![("7", Running), ("6", Success)], None),
            ("one more", vec![("8", Running), ("7", Success)], vec![("7", Success)], Some(1)),
            ("a gap", vec![("9", Running), ("7", Success)], vec![("7", Success)], Some(2)),
            ("far ahead", vec![("900", Success)], vec![("7", Success)], Some(100)),
            ("began to wait", vec![("8", Queued), ("7", Success)], vec![("7", Success)], None),
            (
                "left the queue",
                vec![("8", Running), ("7", Success)],
                vec![("8", Queued), ("7", Success)],
                Some(1),
            ),
            ("an older one goes on", vec![("9", Success)], vec![("9", Success), ("7", Running)], Some(3)),
            (
                "two go on",
                vec![("9", Running), ("6", Success)],
                vec![("9", Running), ("8", Running), ("6", Success)],
                None,
            ),
            ("builds were deleted", vec![("5", Success)], vec![("7", Success), ("5", Success)], None),
            ("never built", vec![], vec![], None),
        ] {
            let wanted = wants(&told(&told_now), &known(&known_before), |_| true);
            assert_eq!(wanted.first().map(|w| w.count), count, "{what}");
        }
        let whole = |id: &str| Pipeline { event: Some("push".into()), ..run(id, Running) };
        let before = known(&[("7", Success)]);
        assert_eq!(wants(&[whole("8")], &before, |_| true), [], "all of it was told");
        assert_eq!(wants(&[whole("9")], &before, |_| true)[0].count, 2, "one was missed before it");
        let deleted = [whole("9"), whole("7")];
        assert_eq!(wants(&deleted, &before, |_| true), [], "between the two newest there is none");
        let told_both = [whole("9"), run("8", Success)];
        assert_eq!(wants(&told_both, &before, |_| true)[0].count, 2, "of that only how it ended is told");
        assert_eq!(wants(&[whole("x/1")], &known(&[("main/7", Success)]), |_| true), [], "a new branch");
        assert_eq!(wants(&[whole("x/2"), whole("x/1")], &before, |_| true), [], "with two builds already");

        // A branch that was quiet for so long that the board holds none of its builds.
        let full: Vec<_> =
            (100..100 + Heads::MAX_RUNS).map(|n| Arc::new(run(&format!("main/{n}"), Success))).collect();
        let old = Pipeline { id: RunId::new("x/300"), ..whole("x/99") };
        let told_both = [whole("x/301"), old];
        assert_eq!(wants(&told_both, &full, |_| true), [], "the one before is older than all that is held");
        assert_eq!(wants(&[whole("x/301")], &full, |_| true)[0].count, FIRST_SIGHT, "that is not known");
        assert_eq!(wants(&told_both, &full[1..], |_| true)[0].count, FIRST_SIGHT, "there is room for more");

        let wanted = wants(
            &told(&[("main/7", Success), ("x%2Fy/3", Success)]),
            &known(&[("main/7", Success), ("x%2Fy/2", Success)]),
            |_| true,
        );
        let overtaken = known(&[("9", Success), ("7", Running)]);
        assert_eq!(
            wants(&told(&[("9", Success)]), &overtaken, |_| false),
            [],
            "it was looked at a moment ago"
        );
        assert_eq!(wanted, [Want { child: Some("x%2Fy".into()), count: 1 }]);
    }

    #[test]
    fn what_waits_is_asked_about_ever_more_rarely() {
        let waits = run("8", Status::Manual);
        let began = waits.began().unwrap();
        let at = |seconds| began.checked_add(std::time::Duration::from_secs(seconds)).unwrap();
        assert!(is_to_be_looked_at(&waits, None, at(3)));
        let looks = |hours: u64| {
            let refreshes = (0..hours * 240).map(|n| n * 15);
            refreshes.filter(|n| is_to_be_looked_at(&waits, Some(at(*n)), at(n + 15))).count()
        };
        assert_eq!((looks(1), looks(2)), (10 + 10, 10 + 10 + 2));
    }

    #[test]
    fn what_is_gone_goes_and_what_is_known_stays() {
        use Status::{Failed, Queued, Running, Success};
        let ids = |runs: Vec<Pipeline>| runs.iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
        let before = known(&[("9", Queued), ("8", Failed), ("7", Success), ("3", Success)]);
        let after = merge(&told(&[("8", Failed)]), vec![], &before, &BTreeMap::new(), &[]);
        assert_eq!(ids(after), ["8", "7", "3"], "left the queue for nothing");
        let after = merge(&told(&[("8", Failed)]), vec![], &before, &BTreeMap::from([(None, 7)]), &[]);
        assert_eq!(ids(after), ["8", "7"], "deleted by Jenkins");
        let after = merge(&told(&[("7", Success)]), vec![], &before, &BTreeMap::new(), &[]);
        assert_eq!(ids(after), ["7", "3"], "the newest was deleted by somebody");
        let before = known(&[("gone/4", Success), ("main/3", Success)]);
        assert_eq!(
            ids(merge(&told(&[("main/3", Success)]), vec![], &before, &BTreeMap::new(), &[])),
            ["main/3"]
        );

        let full = Pipeline {
            author: Some(domain::Person::named("Ann")),
            failure: Some("test: exit code 1".into()),
            completeness: Completeness::Full,
            ..run("8", Failed)
        };
        let after = merge(&told(&[("8", Failed)]), vec![], &[Arc::new(full.clone())], &BTreeMap::new(), &[]);
        assert_eq!(after, [full], "a row about an unmoved run changes nothing");
        let began = run("9", Running);
        let checked_out = Pipeline { sha: Some("cafe".into()), ..began.clone() };
        let after =
            merge(std::slice::from_ref(&checked_out), vec![], &[Arc::new(began)], &BTreeMap::new(), &[]);
        assert_eq!(after, [checked_out], "the commit is told once it was checked out");

        let waits = Pipeline {
            status: Status::Manual,
            native_status: crate::status::PAUSED.into(),
            ..run("8", Running)
        };
        let after = merge(&told(&[("8", Running)]), vec![], &[Arc::new(waits)], &BTreeMap::new(), &[]);
        assert_eq!(after[0].status, Status::Manual);
        let after =
            merge(&told(&[("8", Success)]), vec![], &[Arc::new(after[0].clone())], &BTreeMap::new(), &[]);
        assert_eq!(after[0].status, Success);
    }

    #[test]
    fn a_branch_that_was_built_before_all_that_is_held_stays_so() {
        let ids: Vec<String> = (1..=150).map(|n| format!("main/{}", n + 100)).collect();
        let many: Vec<_> = ids.iter().map(|id| (id.as_str(), Status::Success)).collect();
        let before = known(&many);
        let now =
            told(&[("main/250", Status::Success), ("old/3", Status::Failed), ("new/200", Status::Success)]);
        assert_eq!(wants(&now, &before, |_| true), [Want { child: Some("new".into()), count: FIRST_SIGHT }]);
        let held = merge(&now, vec![], &before, &BTreeMap::new(), &[]);
        assert_eq!(held.len(), Heads::MAX_RUNS);
        assert!(held.iter().all(|r| r.id.as_str() != "old/3"));
    }

    #[test]
    fn only_branches_that_reach_too_short_are_read_on() {
        let runs = |branch: &str, numbers: std::ops::Range<i64>| -> Vec<Pipeline> {
            let one = |n| Pipeline {
                branch: Some(branch.into()),
                ..run(&format!("{branch}/{n}"), Status::Success)
            };
            numbers.map(one).collect()
        };
        let few = [runs("main", 90..100), runs("x", 0..10)].concat();
        let full = [("main".to_owned(), 10), ("x".to_owned(), 10)];
        assert_eq!(cut_short(&few, &full, &[]), ["main", "x"], "there may be a hundred");
        let many = [runs("main", 190..200), runs("y", 60..170), runs("x", 0..10)].concat();
        assert_eq!(cut_short(&many, &full, &[]), ["main"], "x was last built before the newest hundred");
        assert_eq!(cut_short(&many, &full, &["x"]), ["main", "x"], "but its strip is shown");
    }

    #[test]
    fn what_waited_keeps_since_when() {
        let mut waited = run("8", Status::Queued);
        waited.created_at = Timestamp::from_second(1_700_000_000).ok();
        waited.updated_at = waited.created_at;
        let after = merge(
            &told(&[("8", Status::Running)]),
            vec![],
            &[Arc::new(waited.clone())],
            &BTreeMap::new(),
            &[],
        );
        assert_eq!(after[0].created_at, waited.created_at);
        assert_eq!(after[0].queued, Some(std::time::Duration::from_secs(800)));
    }
}

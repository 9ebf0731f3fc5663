//! Lanes gone through in the order of their verdicts: times to green, and from commit to green.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use super::deployed::NO_RUN;
use crate::Day;
use crate::ingest::NEAR_DAYS;
use crate::roll::Verdict;
use crate::store::RunKey;

/// How many runs are named with a figure.
pub(super) const NAMED: usize = 100;

/// The end of a verdict's run, milliseconds since 1970.
pub(super) const fn end(v: &Verdict) -> i64 {
    v.began_ms + v.took_ms
}

/// When a run began, milliseconds since 1970, and its key.
pub(super) type Run = (i64, i64);

pub(super) const fn run_of(v: &Verdict) -> Run {
    (v.began_ms, v.run)
}

/// When a run began, its project and its key: newest first.
type Place = Reverse<(i64, i32, i64)>;

/// The newest of many runs.
#[derive(Debug, Default)]
pub(super) struct Newest(Vec<Place>);

impl Newest {
    pub(super) fn note(&mut self, project: i32, (began_ms, run): Run) {
        if run == NO_RUN {
            return;
        }
        self.0.push(Reverse((began_ms, project, run)));
        // Few of many are kept.
        if self.0.len() >= 16 * NAMED {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.0.len() > NAMED {
            self.0.select_nth_unstable(NAMED);
            self.0.truncate(NAMED);
        }
    }

    /// Newest first.
    pub(super) fn keys(mut self) -> Vec<RunKey> {
        self.cut();
        self.0.sort_unstable();
        let key = |Reverse((began_ms, project, run)): &Place| {
            let day = Day::of_ms(*began_ms).0;
            // A job may wait long for whoever starts it.
            RunKey { project: *project, run: *run, from: day - NEAR_DAYS, to: day + 1 }
        };
        self.0.iter().map(key).collect()
    }
}

/// Beginnings of commits' ids, which are as good as chance themselves.
pub(super) type Commits = HashSet<i32, BuildHasherDefault<AsItIs>>;

/// Takes a number for its hash.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_i32(&mut self, n: i32) {
        // A table takes its place from the low bits, and what tells neighbours apart from the high ones.
        let n = u64::from(n.cast_unsigned());
        self.0 = n << 32 | n;
    }
}

/// A lane, as far as it has been gone through.
#[derive(Debug, Default)]
struct Lane {
    /// The first red run since the newest green one.
    red: Option<Run>,
    was_green: bool,
    commits: Commits,
}

/// The lanes of a project, while their verdicts are gone through.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<i32, Lane>,
    /// First red runs, and how long it was until green; milliseconds.
    to_green: Vec<(Run, i64)>,
    /// Green runs, and how long it was since their commit; milliseconds.
    leads: Vec<(Run, i64)>,
    needs_older: bool,
}

impl Lanes {
    /// Goes through the next verdicts of a lane, of which all are known that began at `known_from` or later.
    pub(super) fn follow(&mut self, lane: i32, verdicts: &[Verdict], window: &Range<i64>, known_from: i64) {
        let lane = self.lanes.entry(lane).or_default();
        for v in verdicts {
            if !v.green {
                lane.red.get_or_insert(run_of(v));
                continue;
            }
            let ended = window.contains(&end(v));
            if let Some(red) = lane.red.take().filter(|_| ended) {
                self.to_green.push((red, end(v) - red.0));
            }
            // It may have been red before.
            self.needs_older |= ended && !lane.was_green;
            lane.was_green = true;
            // What runs on a commit again, every night for one, says nothing of how long the commit took.
            if (v.commit == 0 || lane.commits.insert(v.commit))
                && let Some(lead) = v.lead_ms.filter(|_| window.contains(&v.began_ms))
            {
                // A commit that is older may have been green before.
                self.needs_older |= end(v) - lead < known_from;
                self.leads.push((run_of(v), lead));
            }
        }
    }

    /// Whether what began before the verdicts that were known decides a figure.
    pub(super) const fn needs_older(&self) -> bool {
        self.needs_older
    }

    /// First red runs, and how long it was until green; milliseconds.
    pub(super) fn to_green(&self) -> &[(Run, i64)] {
        &self.to_green
    }

    /// Green runs, and how long it was since their commit; milliseconds.
    pub(super) fn leads(&self) -> &[(Run, i64)] {
        &self.leads
    }

    /// Forgets everything but what was measured.
    pub(super) fn ended(&mut self) {
        self.lanes = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Range<i64> = i64::MIN..i64::MAX;

    fn v(began: i64, took: i64, green: bool) -> Verdict {
        Verdict { began_ms: began, run: began, took_ms: took, green, remedy: false, commit: 0, lead_ms: None }
    }

    fn followed(verdicts: &[Verdict], window: &Range<i64>, known_from: i64) -> Lanes {
        let mut lanes = Lanes::default();
        // Block by block, as they come.
        for part in verdicts.chunks(2) {
            lanes.follow(1, part, window, known_from);
        }
        lanes
    }

    #[test]
    fn red_lasts_from_its_first_run_to_the_next_green_one() {
        let lane = [v(0, 5, true), v(10, 5, false), v(20, 5, false), v(30, 10, true)];
        let of = |window: Range<i64>| followed(&lane, &window, 0).to_green;
        assert_eq!(of(ALL), [(run_of(&lane[1]), 30)]);
        assert_eq!(of(50..60), [], "it was over before the window");
        assert_eq!(of(40..60), [(run_of(&lane[1]), 30)], "its end counts");
    }

    #[test]
    fn a_commit_leads_to_its_first_green_run_alone() {
        let of = |began: i64, green: bool, commit: i32| Verdict {
            commit,
            lead_ms: Some(began + 1),
            ..v(began, 1, green)
        };
        let lane = [of(0, false, 1), of(10, true, 1), of(20, true, 1), of(30, true, 2), of(40, true, 0)];
        let runs = |window: Range<i64>| {
            followed(&lane, &window, 0).leads.iter().map(|((_, run), _)| *run).collect::<Vec<_>>()
        };
        assert_eq!(runs(ALL), [10, 30, 40]);
        assert_eq!(runs(15..35), [30], "it was green before the window");
    }

    #[test]
    fn what_began_before_is_looked_for_where_it_decides() {
        let needs_older = |verdicts: &[Verdict], window| followed(verdicts, &window, 90).needs_older();
        let (red, green) = (v(100, 5, false), v(200, 5, true));
        assert!(needs_older(&[red, green], 150..300));
        assert!(needs_older(&[green], 150..300), "whatever ran before it");
        assert!(!needs_older(&[red, green], 300..400), "it is over");
        assert!(!needs_older(&[v(95, 1, true), red, green], 150..300), "its beginning is known");
        let led = |lead: i64| [v(95, 1, true), Verdict { commit: 1, lead_ms: Some(lead), ..green }];
        assert!(!needs_older(&led(100), 150..300));
        assert!(needs_older(&led(120), 150..300), "an older commit may have been green before");
    }

    #[test]
    fn the_newest_of_many_are_kept() {
        let mut newest = Newest::default();
        let many = 50 * i64::try_from(NAMED).unwrap();
        for n in 0..many {
            // In no order.
            newest.note(1, (n * 7 % many, n * 7 % many));
        }
        let keys: Vec<i64> = newest.keys().iter().map(|k| k.run).collect();
        let wanted: Vec<i64> = (0..many).rev().take(NAMED).collect();
        assert_eq!(keys, wanted);
    }
}

//! Which of two runs is the newer one. Gitea (up to 1.27 at least) does not tell when a run was made, only when it began,
//! which moves when it is started over: taken for its age, an old run that was started over would hide the newer ones. But
//! ids rise with time, so that a run was made no later than any newer one.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Pipeline, RunId, Timestamp};

/// Gives each run a time of creation where it has none: what is known of it, else the earliest that it or a newer run tells,
/// else `now`. Then sorts, newest first. `runs` come as listed: by id, newest first.
pub(crate) fn settle(runs: &mut [Pipeline], known: &[Arc<Pipeline>], now: Timestamp) {
    let known: HashMap<&RunId, &Pipeline> = known.iter().map(|k| (&k.id, &**k)).collect();
    let mut latest = now;
    for run in runs.iter_mut() {
        if run.created_at.is_none() {
            let known = known.get(&run.id).and_then(|k| k.created_at);
            // Never in the future of a newer run, nor of its own beginning.
            run.created_at = known.or_else(|| Some(run.started_at.map_or(latest, |at| at.min(latest))));
        }
        latest = run.created_at.map_or(latest, |at| at.min(latest));
    }
    runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
}

#[cfg(test)]
mod tests {
    use domain::Status;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn run(id: u64, started: Option<i64>) -> Pipeline {
        Pipeline { started_at: started.map(at), ..Pipeline::new(RunId::from(id), Status::Success, "success") }
    }

    fn ids(runs: &[Pipeline]) -> Vec<&str> {
        runs.iter().map(|r| r.id.as_str()).collect()
    }

    #[test]
    fn a_run_that_was_started_over_does_not_become_the_newest() {
        let mut runs = [run(4, None), run(3, Some(300)), run(2, Some(900)), run(1, Some(100))];
        settle(&mut runs, &[], at(1_000));
        assert_eq!(ids(&runs), ["4", "3", "2", "1"]);
        let created: Vec<_> = runs.iter().filter_map(|r| r.created_at).collect();
        assert_eq!(created, [at(1_000), at(300), at(300), at(100)]);
    }

    #[test]
    fn what_was_found_once_stays() {
        let mut first = vec![run(2, None), run(1, Some(100))];
        settle(&mut first, &[], at(500));
        let known: Vec<_> = first.iter().cloned().map(Arc::new).collect();
        let mut second = vec![run(3, Some(700)), run(2, Some(600)), run(1, Some(650))];
        settle(&mut second, &known, at(900));
        assert_eq!(
            second.iter().filter_map(|r| r.created_at).collect::<Vec<_>>(),
            [at(700), at(500), at(100)]
        );
        assert_eq!(ids(&second), ["3", "2", "1"]);
    }
}

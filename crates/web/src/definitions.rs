//! What the figures mean, in the words that pages and JSON show beside them; `crates/history/src/answers` keeps to them.

/// A measure and what it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    /// Part of its anchor.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

const fn define(id: &'static str, name: &'static str, text: &'static str) -> Definition {
    Definition { id, name, text }
}

pub(crate) const RUNS: Definition = define(
    "runs",
    "Runs",
    "First attempts, by the day (UTC) on which they were created; of a run whose first was never told, the earliest that is \
     known. Further attempts of a run are counted apart.",
);
pub(crate) const GREEN: Definition = define(
    "green",
    "Share green",
    "Green ÷ (green + red) of first attempts that completed. With warnings is green; canceled and skipped are in neither.",
);
pub(crate) const DURATION: Definition = define(
    "duration",
    "Duration",
    "Time at work of first attempts that came to a verdict, without queueing and without waiting for a person. \
     Percentiles are exact to 1.6 %.",
);
pub(crate) const QUEUE: Definition =
    define("queue", "Queue", "From the creation of the first attempt to the start of its first job.");
pub(crate) const BROKEN: Definition = define(
    "broken",
    "Broken since",
    "Start of the first red run after the newest green one of its branch and workflow; the commits from that green run \
     to the first red one are the suspects.",
);
pub(crate) const FLAKY: Definition = define(
    "flaky",
    "Flaky",
    "Red and green on one commit of one workflow, or of one job of it. What is red in 90 % of its runs is broken instead; \
     after 14 quiet days with 10 runs it is cleared.",
);
pub(crate) const WASTE: Definition =
    define("waste", "Lost", "Work of the red attempts on commits on which the same was green as well.");
pub(crate) const FAILURES: Definition = define(
    "failures",
    "Failed alike",
    "The same job and the same reason, with numbers, hashes, paths, times and quoted values left out; in every attempt. What \
     a run says of its failure counts where none of its jobs tells a reason.",
);
pub(crate) const HOURS: Definition = define(
    "hours",
    "When it fails",
    "Share of red of all first attempts created in an hour of the week, UTC.",
);
pub(crate) const RANKS: Definition = define(
    "ranks",
    "Slowest, busiest, most often red",
    "By median duration, by number of runs, by share of red; only what has enough of them.",
);
pub(crate) const DEPLOYMENTS: Definition = define(
    "deployments",
    "Deployments",
    "What the platform marks as deployed to production: to an environment of GitLab's production tier, to GitHub's production \
     environment, or to one that is called production, prod or live. Of projects of which it marks nothing, runs of the \
     workflows that filters.deployments names, and jobs that it names in runs of any other. The mean over all days of the \
     window, and the median day.",
);
pub(crate) const CHANGE_FAILURE: Definition = define(
    "change-failure-rate",
    "Change failure rate",
    "Deployments that were red, or that a revert, rollback or hotfix followed within 24 h, ÷ deployments. Where the platform \
     marks deployments, to go back to a commit that was deployed before is a rollback.",
);
pub(crate) const RESTORE: Definition = define(
    "time-to-restore",
    "Time to restore",
    "From the end of a failed deployment to the end of the next green one of the same environment, workflow or job; median.",
);
pub(crate) const TO_GREEN: Definition = define(
    "time-to-green",
    "Time to green",
    "From the start of the first red run to the end of the next green one, on default branches (or the branch that is \
     asked for); median.",
);
pub(crate) const LEAD: Definition = define(
    "lead-time",
    "Lead time",
    "From commit to the end of the first green run on it of each workflow, on default branches (or the branch that is asked \
     for), where the time of the commit is known; median.",
);
/// Of the answer with all of them.
pub(crate) const DELIVERY: &str = "Deployments are what the platform marks as deployed to production; of projects of which it marks \
     nothing, runs of the workflows that filters.deployments names, and jobs that it names in runs of any other; without either \
     their figures are null. Failed are those that were red, or that a revert, rollback or hotfix followed within 24 h. Time to \
     restore: end of a failed deployment to the end of the next green one. Time to green: start of the first red run to \
     the end of the next green one. Lead time: commit to \
     the end of its first green run of each workflow. Medians; on default branches, or the branch that is asked for.";

/// All that a page explains.
pub(crate) const ALL: [Definition; 15] = [
    RUNS,
    GREEN,
    DURATION,
    QUEUE,
    BROKEN,
    TO_GREEN,
    FLAKY,
    WASTE,
    FAILURES,
    HOURS,
    RANKS,
    DEPLOYMENTS,
    CHANGE_FAILURE,
    RESTORE,
    LEAD,
];

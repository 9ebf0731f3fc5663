//! What a job prints, told line by line; each face writes it down in its platform's manner.

use jiff::Timestamp;
use rand::Rng;

use super::model::{Failure, FailureKind, Job, Project, RunStatus};
use super::plan::{later, rng};

/// The sort of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Opens a foldable section; the text is its title.
    SectionStart,
    /// Closes it.
    SectionEnd,
    /// A command that is about to run.
    Command,
    /// What a program prints.
    Output,
    /// Something went well.
    Good,
    /// Something to look at.
    Warning,
    /// The error.
    Error,
}

/// One line of a job's log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When it was printed.
    pub at: Timestamp,
    /// What it is.
    pub kind: LineKind,
    /// Text without colours or line end.
    pub text: String,
}

/// The log of a job as far as it has come at `now`; empty when it has not started.
pub(crate) fn lines(project: &Project, job: &Job, now: Timestamp) -> Vec<LogLine> {
    let Some(start) = job.started_at else { return Vec::new() };
    let end = job.finished_at.unwrap_or_else(|| later(start, job.plan.run_ms.max(1_000)));
    let mut script = Script { lines: Vec::new() };
    let mut rng = rng(project.seed, job.id);
    script.section("Preparing environment", |s| {
        s.out(format!(
            "Running on runner-{:04x} via build-host-{}",
            rng.random::<u16>(),
            rng.random_range(1..9)
        ));
        s.out("Using image registry.example.invalid/build/base:12");
    });
    script.section("Getting source from Git repository", |s| {
        s.out("Fetching changes with git depth set to 20...");
        s.out(format!("Checking out {} as detached HEAD…", &project.path));
    });
    script.section("Restoring cache", |s| {
        s.out("Downloading cache");
        s.push(LineKind::Good, "Successfully extracted cache");
    });
    script.section(&format!("Run {}", job.name), |s| {
        s.push(LineKind::Command, format!("make {}", job.name.split(' ').next().unwrap_or("all")));
        for k in 0..rng.random_range(12..60) {
            let module = MODULES[rng.random_range(0..MODULES.len())];
            s.out(format!("[{:>3}] {module} … ok ({} ms)", k + 1, rng.random_range(3..900)));
        }
        if rng.random_bool(0.3) {
            s.push(LineKind::Warning, "warning: field `legacy_id` is never read");
        }
        match (&job.failure, job.status) {
            (Some(failure), RunStatus::Failed) => fail(s, failure),
            (_, RunStatus::Canceled) => s.push(LineKind::Error, "The operation was canceled."),
            _ => s.push(LineKind::Good, "Job succeeded"),
        }
    });
    let count = script.lines.len().max(1) as i64;
    let span = end.as_millisecond() - start.as_millisecond();
    for (k, line) in script.lines.iter_mut().enumerate() {
        line.at = later(start, span * k as i64 / count);
    }
    script.lines.retain(|line| line.at <= now);
    script.lines
}

const MODULES: &[&str] = &[
    "fees::rounding",
    "ledger::closing",
    "basket::totals",
    "auth::session",
    "i18n::plural",
    "export::csv",
    "search::rank",
    "queue::retry",
    "http::timeouts",
    "schema::migrate",
];

fn fail(script: &mut Script, failure: &Failure) {
    for line in failure.details {
        script.out(*line);
    }
    script.push(LineKind::Error, failure.summary);
    let last = match failure.kind {
        FailureKind::Script => "Job failed: exit code 1",
        FailureKind::RunnerSystem => {
            "Job failed (system failure): prepare environment: no space left on device"
        }
        FailureKind::Timeout => "Job failed: execution took longer than 30m0s seconds",
    };
    script.push(LineKind::Error, last);
}

struct Script {
    lines: Vec<LogLine>,
}

impl Script {
    fn push(&mut self, kind: LineKind, text: impl Into<String>) {
        self.lines.push(LogLine { at: Timestamp::UNIX_EPOCH, kind, text: text.into() });
    }

    fn out(&mut self, text: impl Into<String>) {
        self.push(LineKind::Output, text);
    }

    fn section(&mut self, title: &str, body: impl FnOnce(&mut Self)) {
        self.push(LineKind::SectionStart, title);
        body(self);
        self.push(LineKind::SectionEnd, title);
    }
}

impl Project {
    /// The log of a job as far as it has come at `now`; empty when it has not started.
    #[must_use]
    pub fn log(&self, job: &Job, now: Timestamp) -> Vec<LogLine> {
        lines(self, job, now)
    }
}

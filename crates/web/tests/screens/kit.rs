//! Answers of the aggregator, made up: a small language to say what a page is to show.

use std::time::Duration;

use api::{duration, timestamp, v1};
use jiff::{SignedDuration, Timestamp};
use web::pages::{Ctx, Door, Live, Nav};

/// The moment at which every fixture is drawn.
pub(crate) fn now() -> Timestamp {
    "2026-11-24T14:10:00Z".parse().unwrap()
}

pub(crate) fn ago(seconds: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

pub(crate) const MIN: i64 = 60;
pub(crate) const HOUR: i64 = 60 * MIN;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn ctx<'a>() -> Ctx<'a> {
    Ctx {
        now: now(),
        base_path: "",
        title: "CI Dashboard",
        show_people: true,
        refresh: Duration::from_secs(5),
        live: Live::Live,
        nav: Nav::from_sources(&sources()),
        version: Some("3.17".into()),
        door: Door::default(),
    }
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Below `n`.
    pub(crate) fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

pub(crate) fn key(source: &str, id: &str) -> v1::ProjectKey {
    v1::ProjectKey { source: source.into(), id: id.into() }
}

pub(crate) fn source(name: &str, platform: &str, title: &str) -> v1::Source {
    v1::Source {
        name: name.into(),
        platform: platform.into(),
        url: format!("https://{platform}.example.com"),
        state: v1::SourceState::Ok.into(),
        title: title.into(),
        icon: platform.into(),
        words: Some(v1::Words {
            project: "project".into(),
            pipeline: if platform == "github" { "workflow run" } else { "pipeline" }.into(),
            merge_request: if platform == "gitlab" { "merge request" } else { "pull request" }.into(),
        }),
        last_success_at: Some(timestamp(ago(20))),
        projects: 14,
        has_merge_requests: platform != "jenkins",
        has_issues: matches!(platform, "gitlab" | "github"),
        owner: matches!(platform, "gitlab" | "github").then(|| person("mira")),
        owner_known: matches!(platform, "gitlab" | "github"),
        ..Default::default()
    }
}

pub(crate) fn sources() -> Vec<v1::Source> {
    vec![
        source("gitlab-main", "gitlab", "GitLab"),
        source("github-main", "github", "GitHub"),
        source("jenkins-prod", "jenkins", "Jenkins"),
        source("bitbucket", "bitbucket", "Bitbucket"),
    ]
}

pub(crate) fn person(name: &str) -> v1::Person {
    v1::Person { name: name.into(), ..Default::default() }
}

/// A row in the making.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) source: &'static str,
    pub(crate) name: String,
    pub(crate) branch: String,
    pub(crate) outcome: v1::Outcome,
    pub(crate) typical: u64,
    pub(crate) reds: Vec<usize>,
    pub(crate) changed: i64,
    pub(crate) sha: String,
    pub(crate) who: String,
    pub(crate) title: String,
    pub(crate) failure: Option<String>,
    pub(crate) cause: Option<v1::CauseGroup>,
    pub(crate) broken_for: Option<i64>,
    /// Seconds since a run began that goes on.
    pub(crate) running: Option<i64>,
    pub(crate) fix: bool,
    pub(crate) waiting: Option<i64>,
    pub(crate) canceled_last: bool,
    pub(crate) problem: Option<(&'static str, String)>,
    pub(crate) loading: bool,
    pub(crate) as_of: Option<i64>,
    pub(crate) folded: Option<&'static str>,
    pub(crate) no_runs: bool,
    pub(crate) seed: u64,
}

pub(crate) fn line(source: &'static str, name: &str, branch: &str) -> Line {
    Line {
        source,
        name: name.into(),
        branch: branch.into(),
        outcome: v1::Outcome::Success,
        typical: 240,
        reds: Vec::new(),
        changed: 6 * MIN,
        sha: "5be1129c0ffee".into(),
        who: "mira".into(),
        title: "Tighten velocity rule for new cards".into(),
        failure: None,
        cause: None,
        broken_for: None,
        running: None,
        fix: false,
        waiting: None,
        canceled_last: false,
        problem: None,
        loading: false,
        as_of: None,
        folded: None,
        no_runs: false,
        seed: name.bytes().map(u64::from).sum(),
    }
}

impl Line {
    pub(crate) fn commit(mut self, sha: &str, who: &str, title: &str) -> Self {
        (self.sha, self.who, self.title) = (sha.into(), who.into(), title.into());
        self
    }

    pub(crate) fn red(mut self, failure: &str, for_seconds: i64, last: usize) -> Self {
        self.outcome = v1::Outcome::Failed;
        self.failure = Some(failure.into());
        self.broken_for = Some(for_seconds);
        self.reds = (30 - last..30).collect();
        self
    }

    pub(crate) fn typical(mut self, seconds: u64) -> Self {
        self.typical = seconds;
        self
    }

    pub(crate) fn changed(mut self, seconds: i64) -> Self {
        self.changed = seconds;
        self
    }

    pub(crate) fn running(mut self, since: i64) -> Self {
        self.running = Some(since);
        self
    }

    fn key(&self) -> v1::ProjectKey {
        key(self.source, &self.name)
    }

    fn run(&self, id: u64, status: v1::Status, at: i64) -> v1::Pipeline {
        v1::Pipeline {
            project: Some(self.key()),
            id: id.to_string(),
            number: Some(id),
            workflow: Some("CI".into()),
            branch: Some(self.branch.clone()),
            sha: Some(self.sha.clone()),
            status: status.into(),
            native_status: "native".into(),
            author: Some(person(&self.who)),
            message: Some(format!("{}\n\nMore words.", self.title)),
            created_at: Some(timestamp(ago(at + 8))),
            started_at: Some(timestamp(ago(at))),
            updated_at: Some(timestamp(ago(at))),
            failure: self
                .failure
                .clone()
                .filter(|_| status == v1::Status::Failed || status == v1::Status::Warning),
            ..Default::default()
        }
    }

    fn strip(&self) -> Vec<v1::StripRun> {
        let mut dice = Dice::new(self.seed);
        let active = usize::from(self.running.is_some());
        let mut runs: Vec<_> = (0..30 - active)
            .map(|i| {
                let red = self.reds.contains(&(i + active)) || (self.reds.is_empty() && dice.roll(60) == 0);
                let status = if red {
                    v1::Status::Failed
                } else if dice.roll(25) == 0 {
                    v1::Status::Canceled
                } else {
                    v1::Status::Success
                };
                let jitter = self.typical * (60 + dice.roll(80)) / 100;
                v1::StripRun {
                    id: (48_000 + i).to_string(),
                    status: status.into(),
                    duration: Some(duration(Duration::from_secs(jitter))),
                    at: Some(timestamp(ago(self.changed + (30 - i as i64) * 3 * HOUR))),
                }
            })
            .collect();
        if let Some(since) = self.running {
            runs.push(v1::StripRun {
                id: "48213".into(),
                status: v1::Status::Running.into(),
                duration: Some(duration(Duration::from_secs(since as u64))),
                at: Some(timestamp(ago(since))),
            });
        }
        runs
    }

    pub(crate) fn state(&self) -> v1::BranchState {
        if self.no_runs {
            return v1::BranchState::default();
        }
        let strip = self.strip();
        let greens = strip.iter().filter(|r| r.status() == v1::Status::Success).count();
        let fails = strip.iter().filter(|r| r.status() == v1::Status::Failed).count();
        let decided = match self.outcome {
            v1::Outcome::Failed => v1::Status::Failed,
            v1::Outcome::Warning => v1::Status::Warning,
            _ => v1::Status::Success,
        };
        let deciding = self.run(48_212, decided, self.changed);
        let running = self.running.map(|since| v1::Pipeline {
            expected_duration: Some(duration(Duration::from_secs(self.typical))),
            ..self.run(48_213, v1::Status::Running, since)
        });
        let waiting = self.waiting.map(|since| self.run(48_214, v1::Status::Manual, since));
        let canceled = self.canceled_last.then(|| self.run(48_215, v1::Status::Canceled, self.changed));
        let mut pipelines: Vec<_> =
            [running.clone(), waiting.clone(), canceled].into_iter().flatten().collect();
        pipelines.push(deciding.clone());
        v1::BranchState {
            outcome: self.outcome.into(),
            activity: if running.is_some() { v1::Activity::Running } else { v1::Activity::Unspecified }
                .into(),
            broken_since: self.broken_for.map(|since| v1::BrokenSince {
                at: Some(timestamp(ago(since))),
                run: Some(self.run(48_200, v1::Status::Failed, since)),
                at_least: false,
                fix: running.filter(|_| self.fix),
            }),
            waiting,
            pipelines,
            median_duration: Some(duration(Duration::from_secs(self.typical))),
            share_green: (greens + fails > 0).then(|| greens as f64 / (greens + fails) as f64),
            share_of: (greens + fails) as u32,
            strip,
            last_change_at: Some(timestamp(ago(self.changed))),
            reasons: vec![
                v1::Reason {
                    run_id: "48212".into(),
                    workflow: Some("CI".into()),
                    outcome: self.outcome.into(),
                    number: Some(48_212),
                    ..Default::default()
                },
                v1::Reason {
                    run_id: "47001".into(),
                    workflow: Some("nightly-legacy".into()),
                    outcome: v1::Outcome::Failed.into(),
                    left_out: "workflow_dead".into(),
                    left_out_text: "its workflow has not run for 30 days while others have".into(),
                    number: Some(47_001),
                    url: Some("https://example.com/47001".into()),
                },
            ],
            deciding: Some(deciding),
        }
    }

    pub(crate) fn project(&self) -> v1::Project {
        v1::Project {
            key: Some(self.key()),
            platform: "gitlab".into(),
            name: self.name.clone(),
            description: Some("Books every fee, once.".into()),
            url: Some(format!("https://gitlab.example.com/{}", self.name)),
            default_branch: Some("main".into()),
            last_activity_at: Some(timestamp(ago(self.changed))),
            ..Default::default()
        }
    }

    pub(crate) fn branch(&self) -> v1::Branch {
        v1::Branch {
            project: Some(self.key()),
            name: self.branch.clone(),
            default: true,
            sha: Some(self.sha.clone()),
            author: Some(person(&self.who)),
            message: Some(self.title.clone()),
            committed_at: Some(timestamp(ago(self.changed))),
            state: Some(self.state()),
            ..Default::default()
        }
    }

    pub(crate) fn row(&self) -> v1::Row {
        v1::Row {
            project: Some(self.project()),
            branch: (!self.loading && !self.branch.is_empty()).then(|| self.branch()),
            problem: self
                .problem
                .as_ref()
                .map(|(kind, text)| v1::Problem { kind: (*kind).into(), text: text.clone() }),
            folded: self.folded.map(str::to_owned),
            loading: self.loading,
            as_of: self.as_of.map(|s| timestamp(ago(s))),
            cause: self.cause.clone(),
        }
    }
}

/// A day of runs.
pub(crate) fn hours() -> Vec<v1::HourOfRuns> {
    let mut dice = Dice::new(7);
    (0..24)
        .map(|h| v1::HourOfRuns {
            from: Some(timestamp(ago((24 - h) * HOUR))),
            green: (dice.roll(30) + 4) as u32,
            red: dice.roll(4) as u32 / 2,
            other: dice.roll(3) as u32,
        })
        .collect()
}

/// The overview's answer, its figures counted from the lines as the aggregator would.
pub(crate) fn answer(lines: &[Line], sources: Vec<v1::Source>) -> v1::ListProjectsResponse {
    let mut s = v1::Summary { hours: hours(), ..Default::default() };
    let mut oldest: Option<i64> = None;
    for l in lines {
        if let Some(folded) = l.folded {
            s.folded += 1;
            match folded {
                "archived" => s.folded_archived += 1,
                "no_ci" => s.folded_no_ci += 1,
                _ => s.folded_quiet += 1,
            }
            continue;
        }
        s.total += 1;
        s.running_runs += u32::from(l.running.is_some());
        if l.loading {
            s.loading += 1;
        } else if l.as_of.is_some() {
            s.stale += 1;
        } else {
            s.active += u32::from(l.running.is_some());
            s.waiting += u32::from(l.waiting.is_some());
            match l.outcome {
                _ if l.problem.as_ref().is_some_and(|p| p.0 != "partial") || l.no_runs => s.nodata += 1,
                v1::Outcome::Failed => {
                    s.broken += 1;
                    s.being_fixed += u32::from(l.fix);
                    oldest = oldest.max(l.broken_for);
                }
                v1::Outcome::Warning => s.warning += 1,
                v1::Outcome::Success => s.green += 1,
                _ => s.nodata += 1,
            }
        }
    }
    s.everything = s.total;
    s.everything_broken = s.broken;
    s.oldest_broken_at = oldest.map(|o| timestamp(ago(o)));
    s.green_since = (s.broken == 0).then(|| timestamp(ago(3 * HOUR + 12 * MIN)));
    let rows: Vec<_> = lines.iter().filter(|l| l.folded.is_none()).map(Line::row).collect();
    v1::ListProjectsResponse {
        total: rows.len() as u32,
        rows,
        page: 1,
        per_page: 50,
        version: Some(v1::Version { epoch: 3, sequence: 17 }),
        summary: Some(s),
        sources,
        suggestion: None,
    }
}

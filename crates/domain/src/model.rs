//! What connectors report. Nothing that is not needed is required: old and small platforms leave much out, and what is
//! not known is `None`, never a zero.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::text::{MAX_MESSAGE, MAX_NAME, MAX_TITLE, block, line};
use crate::{PlatformId, ProjectKey, Status, WebUrl};

macro_rules! text_id {
    // text_id!(Doc, Name) => pub struct Name(Arc<str>) with new(), as_str(), Display, Debug. Three ids, one shape.
    ($doc:literal, $name:ident) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the platform's id as it is.
            #[must_use]
            pub fn new(id: impl AsRef<str>) -> Self {
                Self(id.as_ref().into())
            }

            /// The id, unescaped.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<u64> for $name {
            fn from(id: u64) -> Self {
                Self::new(id.to_string())
            }
        }
    };
}

text_id!("The platform's id of a pipeline, unique within its project.", RunId);
text_id!("The platform's id of a job, unique within its pipeline.", JobId);

/// A repository, or a job of a platform that has no repositories.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Source and native id.
    pub key: ProjectKey,
    /// Its platform.
    pub platform: PlatformId,
    /// Full name with its groups (`payments/ledger-api`).
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Who may see it on the platform.
    pub visibility: Option<Visibility>,
    /// Its picture.
    pub avatar_url: Option<WebUrl>,
    /// Its page on the platform.
    pub url: Option<WebUrl>,
    /// `None` for an empty repository.
    pub default_branch: Option<String>,
    /// Read-only on the platform.
    pub archived: bool,
    /// CI is switched off for it, as far as the platform tells.
    pub ci_disabled: bool,
    /// The platform's time of the last push or other activity.
    pub last_activity_at: Option<Timestamp>,
}

impl Project {
    /// A project of which only the name is known.
    #[must_use]
    pub fn named(key: ProjectKey, platform: PlatformId, name: impl Into<String>) -> Self {
        Self {
            key,
            platform,
            name: name.into(),
            description: None,
            visibility: None,
            avatar_url: None,
            url: None,
            default_branch: None,
            archived: false,
            ci_disabled: false,
            last_activity_at: None,
        }
    }

    /// The same, bounded and harmless: see [`crate::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.name = line(&self.name, MAX_NAME);
        self.description = self.description.map(|d| block(&d, MAX_MESSAGE)).filter(|d| !d.is_empty());
        self.default_branch = self.default_branch.map(|b| line(&b, MAX_NAME)).filter(|b| !b.is_empty());
        self
    }
}

/// Who may see a project on its platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Everybody who is signed in.
    Internal,
    /// Members.
    Private,
}

impl Visibility {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Private => "private",
        }
    }

    /// The reverse of [`Self::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Public, Self::Internal, Self::Private].into_iter().find(|v| v.as_str() == word)
    }
}

/// Somebody who pushed, wrote or started something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Person {
    /// The name to show.
    pub name: String,
    /// The platform's user name, where known.
    pub login: Option<String>,
    /// Their picture.
    pub avatar_url: Option<WebUrl>,
}

impl Person {
    /// Somebody of whom only a name is known.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether both are one person of the same source: by user name where both have one, else by name.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.login, &other.login) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => !self.name.trim().is_empty() && self.name.trim() == other.name.trim(),
        }
    }

    /// The same, bounded and harmless: see [`crate::text`]. `None` for nobody.
    #[must_use]
    pub fn bounded(mut self) -> Option<Self> {
        self.name = line(&self.name, MAX_NAME);
        self.login = self.login.map(|l| line(&l, MAX_NAME)).filter(|l| !l.is_empty());
        if self.name.is_empty() {
            self.name = self.login.clone()?;
        }
        Some(self)
    }
}

/// What makes runs comparable: runs of one workflow on one branch supersede each other, runs of two do not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Workflow {
    /// Identity within the project, made by the connector; opaque. GitHub: the workflow's id; GitLab: name and source
    /// of the pipeline, so that a push does not hide a red schedule.
    pub lane: String,
    /// The name to show, where there is one.
    pub name: Option<String>,
}

/// How much of a run was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Completeness {
    /// A row of a list, which on some platforms lacks author, duration or warnings.
    #[default]
    Row,
    /// All that the platform has.
    Full,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pipeline {
    /// The platform's id.
    pub id: RunId,
    /// The number that people see, where it differs.
    pub number: Option<u64>,
    /// 1 for the first try; `None` where the platform does not count.
    pub attempt: Option<u32>,
    /// Which workflow.
    pub workflow: Workflow,
    /// Branch, tag or other ref; of a fork `owner:branch`, so that it never passes for a branch of the project.
    pub branch: Option<String>,
    /// Commit.
    pub sha: Option<String>,
    /// Ours.
    pub status: Status,
    /// The platform's own word.
    pub native_status: String,
    /// What started it (`push`, `schedule`, …), in the platform's word.
    pub event: Option<String>,
    /// Who wrote the commit, else who started the run.
    pub author: Option<Person>,
    /// The commit's message, or the run's title.
    pub message: Option<String>,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// When its newest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When the platform last touched it; decides which of two reports is newer.
    pub updated_at: Option<Timestamp>,
    /// Time at work, without queueing.
    pub duration: Option<Duration>,
    /// Time from asked for to begun.
    pub queued: Option<Duration>,
    /// How long it takes in all as a rule, where the platform makes an estimate of its own. Counts while it runs.
    pub expected: Option<Duration>,
    /// Its page on the platform.
    pub url: Option<WebUrl>,
    /// What failed (or warned), in plain words, where known: `unit-tests: script failure`.
    pub failure: Option<String>,
    /// How much of it was read.
    pub completeness: Completeness,
}

impl Pipeline {
    /// A run of which only the state is known.
    #[must_use]
    pub fn new(id: RunId, status: Status, native_status: impl Into<String>) -> Self {
        Self {
            id,
            number: None,
            attempt: None,
            workflow: Workflow::default(),
            branch: None,
            sha: None,
            status,
            native_status: native_status.into(),
            event: None,
            author: None,
            message: None,
            created_at: None,
            started_at: None,
            finished_at: None,
            updated_at: None,
            duration: None,
            queued: None,
            expected: None,
            url: None,
            failure: None,
            completeness: Completeness::Row,
        }
    }

    /// When it came into the world, as far as anything tells.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.created_at.or(self.started_at).or(self.updated_at).or(self.finished_at)
    }

    /// Orders runs from oldest to newest: by creation, then by id where it is a number, then by number, then by id as
    /// text. The number comes after the id because some platforms count it per workflow.
    #[must_use]
    pub fn age_key(&self) -> impl Ord + use<> {
        let numeric = self.id.as_str().parse::<u64>().ok();
        (self.began(), numeric, self.number, self.id.clone())
    }

    /// Whether this report is older than `known`, so that it must not overwrite it. A re-run counts by its attempt
    /// first, because a platform's clock may say anything. Many platforms tell whole seconds, in which a short run begins
    /// and ends: of two reports of one moment the one that is further on is the newer, whichever came last.
    #[must_use]
    pub fn is_older_than(&self, known: &Self) -> bool {
        match (self.attempt, known.attempt) {
            (Some(a), Some(b)) if a != b => return a < b,
            _ => {}
        }
        match (self.updated_at, known.updated_at) {
            (Some(a), Some(b)) if a == b => {
                matches!((self.status.progress(), known.status.progress()), (Some(a), Some(b)) if a < b)
            }
            (Some(a), Some(b)) => a < b,
            _ => false,
        }
    }

    /// The same of a report that was sent by itself, and that others may have overtaken on the way. Where the platform's time
    /// of a change is not told of both, the ends count; where nothing can be compared, a run that has ended does not go on: if
    /// it was started over, whoever asks for it is told so.
    #[must_use]
    pub fn is_overtaken_by(&self, known: &Self) -> bool {
        if self.is_older_than(known) {
            return true;
        }
        let again = matches!((self.attempt, known.attempt), (Some(a), Some(b)) if a != b);
        if again || (self.updated_at.is_some() && known.updated_at.is_some()) {
            return false;
        }
        let goes_on = self.status.is_active() && known.status.is_terminal();
        match (self.updated_at.or(self.finished_at), known.updated_at.or(known.finished_at)) {
            (Some(a), Some(b)) => a < b || (a == b && goes_on),
            _ => goes_on,
        }
    }

    /// Takes over what `known` says of the same run where this report is silent. A bare row about a run that has not
    /// moved since it was read in full changes nothing: GitLab's list, for one, cannot tell "passed with warnings".
    #[must_use]
    pub fn filled_from(mut self, known: &Self) -> Self {
        debug_assert_eq!(self.id, known.id, "two reports of one run");
        let unmoved = self.native_status == known.native_status
            && self.updated_at == known.updated_at
            && self.attempt == known.attempt;
        fn fill<T: Clone>(mine: &mut Option<T>, known: &Option<T>) {
            if mine.is_none() {
                mine.clone_from(known);
            }
        }
        fill(&mut self.number, &known.number);
        fill(&mut self.attempt, &known.attempt);
        fill(&mut self.branch, &known.branch);
        fill(&mut self.sha, &known.sha);
        fill(&mut self.event, &known.event);
        fill(&mut self.author, &known.author);
        fill(&mut self.message, &known.message);
        fill(&mut self.created_at, &known.created_at);
        fill(&mut self.url, &known.url);
        fill(&mut self.expected, &known.expected);
        fill(&mut self.workflow.name, &known.workflow.name);
        if self.workflow.lane.is_empty() {
            self.workflow.lane.clone_from(&known.workflow.lane);
        }
        if unmoved && self.completeness < known.completeness {
            self.status = known.status;
            self.completeness = known.completeness;
        }
        if unmoved {
            fill(&mut self.started_at, &known.started_at);
            fill(&mut self.finished_at, &known.finished_at);
            fill(&mut self.duration, &known.duration);
            fill(&mut self.queued, &known.queued);
            fill(&mut self.failure, &known.failure);
        }
        self
    }

    /// The same, bounded and harmless: see [`crate::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let name = |t: Option<String>| t.map(|t| line(&t, MAX_NAME)).filter(|t| !t.is_empty());
        self.workflow.lane = line(&self.workflow.lane, MAX_NAME);
        self.workflow.name = name(self.workflow.name);
        self.branch = name(self.branch);
        self.sha = name(self.sha);
        self.event = name(self.event);
        self.native_status = line(&self.native_status, MAX_NAME);
        self.author = self.author.and_then(Person::bounded);
        self.message = self.message.map(|m| block(&m, MAX_MESSAGE)).filter(|m| !m.is_empty());
        self.failure = self.failure.map(|f| line(&f, MAX_TITLE)).filter(|f| !f.is_empty());
        self
    }
}

/// A part of a pipeline.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Job {
    /// The platform's id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its stage, where the platform has stages. Jobs come in the order of their stages.
    pub stage: Option<String>,
    /// Ours. A failure that is allowed is a warning.
    pub status: Status,
    /// The platform's own word.
    pub native_status: String,
    /// Its failure does not fail the pipeline.
    pub allow_failure: bool,
    /// Why it failed, in plain words (`script failure`, `step "cargo test" failed`).
    pub failure_reason: Option<String>,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Time at work.
    pub duration: Option<Duration>,
    /// Time in the queue.
    pub queued: Option<Duration>,
    /// Its page on the platform.
    pub url: Option<WebUrl>,
}

impl Job {
    /// A job of which only the state is known.
    #[must_use]
    pub fn new(id: JobId, name: impl Into<String>, status: Status, native_status: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            stage: None,
            status,
            native_status: native_status.into(),
            allow_failure: false,
            failure_reason: None,
            created_at: None,
            started_at: None,
            finished_at: None,
            duration: None,
            queued: None,
            url: None,
        }
    }

    /// The same, bounded and harmless: see [`crate::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.name = line(&self.name, MAX_NAME);
        self.native_status = line(&self.native_status, MAX_NAME);
        self.stage = self.stage.map(|s| line(&s, MAX_NAME)).filter(|s| !s.is_empty());
        self.failure_reason = self.failure_reason.map(|f| line(&f, MAX_TITLE)).filter(|f| !f.is_empty());
        self
    }
}

/// A branch and its newest commit.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// Whether it is the default branch.
    pub default: bool,
    /// Whether it is protected, where the platform tells.
    pub protected: Option<bool>,
    /// Its newest commit.
    pub sha: Option<String>,
    /// Who wrote that.
    pub author: Option<Person>,
    /// What that says.
    pub message: Option<String>,
    /// When that was committed.
    pub committed_at: Option<Timestamp>,
    /// Its page on the platform.
    pub url: Option<WebUrl>,
}

impl Branch {
    /// A branch of which only the name is known.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            default: false,
            protected: None,
            sha: None,
            author: None,
            message: None,
            committed_at: None,
            url: None,
        }
    }

    /// The same, bounded and harmless: see [`crate::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.name = line(&self.name, MAX_NAME);
        self.author = self.author.and_then(Person::bounded);
        self.message = self.message.map(|m| block(&m, MAX_MESSAGE)).filter(|m| !m.is_empty());
        self
    }
}

/// The end of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The text, with the escape codes that the platform left in, cut at a line.
    pub text: String,
    /// Whether the beginning is missing.
    pub truncated: bool,
    /// Why there is no text, in words, where the platform says so.
    pub note: Option<String>,
}

/// Why a project has no data, or not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ProblemKind {
    /// Some of it could not be read; what is shown is true.
    Partial,
    /// The repository is empty.
    Empty,
    /// There is no CI, or it is switched off.
    NoCi,
    /// Not there, or not for this token.
    NotFound,
    /// Not for this token.
    Forbidden,
    /// Taken down (HTTP 451).
    Legal,
    /// The platform answered something that is none of its answers.
    Garbage,
    /// The platform could not be reached, or failed.
    Unreachable,
}

impl ProblemKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Empty => "empty",
            Self::NoCi => "no_ci",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Legal => "legal",
            Self::Garbage => "garbage",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A reason on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// In words, for people.
    pub text: String,
}

impl Problem {
    /// Puts the two together.
    #[must_use]
    pub fn new(kind: ProblemKind, text: impl AsRef<str>) -> Self {
        Self { kind, text: line(text.as_ref(), MAX_TITLE) }
    }
}

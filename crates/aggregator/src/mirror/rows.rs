//! The board's rows of one source.

use std::sync::Arc;

use connector::Heads;
use domain::{
    Branch, NativeId, Pipeline, PlatformId, Problem, ProblemKind, Project, ProjectKey, SourceName, Timestamp,
    Visibility, WebUrl, WhichWorkflows,
};
use serde::{Deserialize, Serialize};

use super::form::{pack, unpack};
use crate::board::{Entry, Observation, Seen};
use crate::hub::Hub;
use crate::refresh::Plan;

/// A row as it is written: what was seen of it, not what follows from that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    about: About,
    described_at: Timestamp,
    read_at: Option<Timestamp>,
    head: Option<(Branch, Option<Timestamp>)>,
    workflows: Option<(WhichWorkflows, Timestamp)>,
    runs: Vec<Arc<Pipeline>>,
    total_runs: u64,
    problem: Option<Problem>,
}

/// A project without what its place says: source and id are the key's, the platform the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct About {
    name: String,
    description: Option<String>,
    visibility: Option<Visibility>,
    avatar_url: Option<WebUrl>,
    url: Option<WebUrl>,
    default_branch: Option<String>,
    archived: bool,
    ci_disabled: bool,
    last_activity_at: Option<Timestamp>,
}

impl About {
    fn of(project: &Project) -> Self {
        let Project { name, description, visibility, avatar_url, url, default_branch, .. } = project.clone();
        let Project { archived, ci_disabled, last_activity_at, .. } = *project;
        Self {
            name,
            description,
            visibility,
            avatar_url,
            url,
            default_branch,
            archived,
            ci_disabled,
            last_activity_at,
        }
    }

    fn project(self, key: ProjectKey, platform: PlatformId) -> Project {
        let Self { name, description, visibility, avatar_url, url, default_branch, .. } = self;
        let Self { archived, ci_disabled, last_activity_at, .. } = self;
        Project {
            key,
            platform,
            name,
            description,
            visibility,
            avatar_url,
            url,
            default_branch,
            archived,
            ci_disabled,
            last_activity_at,
        }
    }
}

impl Row {
    /// `None` for a name that nobody found: it is looked for anew.
    fn of(entry: &Entry) -> Option<Self> {
        let unfound = entry.problem().is_some_and(|p| p.kind == ProblemKind::NotFound);
        (!unfound || !entry.runs().is_empty()).then(|| Self {
            about: About::of(&entry.project),
            described_at: entry.described_at(),
            read_at: entry.read_at(),
            head: entry.head_with_activity().cloned(),
            workflows: entry.workflows().cloned(),
            runs: entry.runs().to_vec(),
            total_runs: entry.total_runs(),
            problem: entry.problem().cloned(),
        })
    }

    /// Puts it on the board, as seen when it was: what is newer there stays.
    fn put(self, hub: &Hub, key: &ProjectKey, platform: PlatformId) {
        let project = self.about.project(key.clone(), platform);
        let describe = |project| {
            hub.observe(Observation { asked_at: self.described_at, seen: Seen::Projects(vec![project]) })
        };
        let Some(asked_at) = self.read_at else {
            describe(project);
            return;
        };
        // The branch belongs to the activity that it was read with, which may be older than what the listing told since.
        let (head, head_at) = self.head.unzip();
        describe(Project {
            last_activity_at: head_at.flatten().or(project.last_activity_at),
            ..project.clone()
        });
        let heads = Heads {
            default_branch: head,
            pipelines: self.runs.into_iter().map(Arc::unwrap_or_clone).collect(),
            workflows: self.workflows.map(|(workflows, _)| workflows),
            total_runs: Some(self.total_runs),
            problems: self.problem.into_iter().collect(),
            ..Heads::default()
        };
        hub.observe(Observation { asked_at, seen: Seen::Heads(key.clone(), Box::new(heads)) });
        describe(project);
    }
}

/// The rows of a source, by native id.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) hub: Arc<Hub>,
    pub(super) source: SourceName,
    pub(super) platform: PlatformId,
    pub(super) plan: Plan,
}

impl Rows {
    fn key(&self, name: &str) -> ProjectKey {
        ProjectKey::new(self.source.clone(), NativeId::new(name))
    }
}

impl cache::Values for Rows {
    fn names(&self) -> Vec<String> {
        self.hub.read(|p| p.board.of_source(&self.source).map(|e| e.project.key.id.to_string()).collect())
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        // Packed outside of the lock: it takes a while.
        pack(&self.hub.read(|p| p.board.get(&self.key(name)).and_then(Row::of))?)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let Some(row) = unpack::<Row>(bytes) else { return false };
        let key = self.key(name);
        if !self.plan.lets_in(&row.about.clone().project(key.clone(), self.platform)) {
            return false;
        }
        row.put(&self.hub, &key, self.platform);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::{Person, RunId, Status, SystemClock, Workflow};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + second).unwrap()
    }

    /// With a value in every field, so that whatever is added to one of the types has to pass here.
    fn row() -> Row {
        let duration = std::time::Duration::from_millis;
        let person = Person {
            name: "Ada".into(),
            login: Some("ada".into()),
            avatar_url: WebUrl::parse("https://forge.example/ada.png"),
        };
        let run = Pipeline {
            id: RunId::from(7),
            number: Some(3),
            attempt: Some(2),
            workflow: Workflow { lane: "ci".into(), name: Some("CI".into()) },
            branch: Some("main".into()),
            sha: Some("abc1234".into()),
            status: Status::Warning,
            native_status: "success".into(),
            event: Some("push".into()),
            author: Some(person.clone()),
            message: Some("a\nb".into()),
            created_at: Some(at(1)),
            started_at: Some(at(2)),
            finished_at: Some(at(3)),
            updated_at: Some(at(4)),
            duration: Some(duration(1_500)),
            queued: Some(duration(1_000)),
            expected: Some(duration(2_000)),
            url: WebUrl::parse("https://forge.example/p/7"),
            failure: Some("lint: script failure".into()),
            completeness: domain::Completeness::Full,
        };
        let branch = Branch {
            name: "main".into(),
            default: true,
            protected: Some(true),
            sha: Some("abc1234".into()),
            author: Some(person),
            message: Some("a".into()),
            committed_at: Some(at(0)),
            url: WebUrl::parse("https://forge.example/b"),
        };
        Row {
            about: About {
                name: "a/p".into(),
                description: Some("what".into()),
                visibility: Some(Visibility::Internal),
                avatar_url: WebUrl::parse("https://forge.example/p.png"),
                url: WebUrl::parse("https://forge.example/p"),
                default_branch: Some("main".into()),
                archived: false,
                ci_disabled: false,
                last_activity_at: Some(at(9)),
            },
            described_at: at(10),
            read_at: Some(at(8)),
            head: Some((branch, Some(at(5)))),
            workflows: Some((WhichWorkflows::Only(BTreeSet::from(["ci".into()])), at(8))),
            runs: vec![Arc::new(run)],
            total_runs: 12,
            problem: Some(Problem::new(ProblemKind::Partial, "two pages of three")),
        }
    }

    fn rows() -> Rows {
        let (hub, source) = (Hub::new(Arc::new(SystemClock)), SourceName::new("s").unwrap());
        hub.configure(|present| {
            let row = crate::sources::Source::new(source.clone(), "gitlab", String::new());
            present.sources.insert(source.clone(), row);
        });
        let plan = Plan {
            watched: Arc::default(),
            include: domain::Patterns::default(),
            exclude: domain::Patterns::default(),
        };
        Rows { hub: Arc::new(hub), source, platform: PlatformId::new("gitlab"), plan }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        use cache::Values as _;
        let (before, after) = (rows(), rows());
        row().put(&before.hub, &before.key("1"), before.platform);
        let bytes = before.get("1").unwrap();
        assert_eq!(unpack::<Row>(&bytes), Some(row()));
        assert!(after.put("1", &bytes));
        assert_eq!(after.get("1"), Some(bytes.clone()));
        assert_eq!(after.names(), ["1"]);
        // What is newer on the board stays.
        let key = after.key("1");
        let newer = Pipeline { attempt: Some(3), status: Status::Running, ..(*row().runs[0]).clone() };
        after.hub.observe(Observation { asked_at: at(50), seen: Seen::Run(key, Box::new(newer)) });
        let now = after.get("1");
        assert!(after.put("1", &bytes));
        assert_eq!(after.get("1"), now);
        assert!(!after.put("1", b"\x01nonsense") && after.get("1") == now);
    }

    /// The form as it is on other people's disks. If this fails, raise [`super::super::form::FORM`] and take the new text.
    #[test]
    fn the_form_is_the_one_that_its_number_names() {
        let json = serde_json::to_string(&row()).unwrap();
        assert_eq!((super::super::form::FORM, json.as_str()), (1, include_str!("row-form.json").trim_end()));
    }
}

use std::collections::VecDeque;
use std::ops::Range;

use connector::http::Traffic;
use connector::{Descriptor, Heads, HeadsAsk, Page, PageToken, PipelineDetail, Pipelines, ProjectPage};
use domain::{Branch, JobId, Log, NativeId, RunId, Status, SystemClock};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::*;
use crate::board::{Observation, Seen};
use crate::mirror::Mirror;

#[test]
fn the_board_comes_first() {
    let now = Timestamp::from_second(1_000).unwrap();
    let reset = Timestamp::from_second(1_600).unwrap();
    let window = Some(SignedDuration::from_hours(1));
    let budget = |remaining| Budget { limit: 1_000, remaining, reset_at: Some(reset), window };
    assert_eq!(out_of_budget(budget(399), RESERVE, now), Some(Duration::from_secs(600)));
    assert_eq!(out_of_budget(budget(400), RESERVE, now), None);
    assert_eq!(
        share_of(Some(budget(900)), 10, SHARE),
        Duration::from_secs(360),
        "a tenth of an hour's thousand"
    );
    assert_eq!(share_of(None, 10, SHARE), POLITE);
}

/// A platform with some runs, an hour apart, that answers as it is told.
#[derive(Debug)]
struct Platform {
    source: SourceName,
    runs: Vec<Pipeline>,
    /// What the next questions come to.
    troubles: Mutex<VecDeque<Error>>,
    asked: Mutex<Vec<PipelineQuery>>,
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + hour * 3_600).unwrap()
}

fn run(hour: i64) -> Pipeline {
    Pipeline {
        created_at: Some(at(hour)),
        finished_at: Some(at(hour)),
        ..Pipeline::new(RunId::from(hour.unsigned_abs()), Status::Success, "success")
    }
}

impl Platform {
    fn new(runs: Range<i64>, troubles: Vec<Error>) -> Self {
        let source = SourceName::new("s").unwrap();
        Self {
            source,
            runs: runs.rev().map(run).collect(),
            troubles: Mutex::new(troubles.into()),
            asked: Mutex::default(),
        }
    }
}

fn unasked<T>() -> connector::Result<T> {
    Err(Error::Refused("not asked here".into()))
}

#[tonic::async_trait]
impl Connector for Platform {
    fn descriptor(&self) -> &'static Descriptor {
        connector_gitlab::PLATFORM.descriptor
    }
    fn source(&self) -> &SourceName {
        &self.source
    }
    fn could_hold(&self, _: &str) -> bool {
        true
    }
    fn budget(&self) -> Option<Budget> {
        None
    }
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
    async fn projects(&self, _: Option<PageToken>) -> connector::Result<ProjectPage> {
        unasked()
    }
    async fn project(&self, _: &str) -> connector::Result<Project> {
        unasked()
    }
    async fn project_count(&self) -> connector::Result<Option<u64>> {
        unasked()
    }
    fn branch_heads<'a>(&'a self, _: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, connector::Result<Heads>)> {
        futures::stream::empty().boxed()
    }
    async fn pipelines(&self, _: &Project, query: &PipelineQuery) -> connector::Result<Pipelines> {
        locked(&self.asked).push(query.clone());
        if let Some(trouble) = locked(&self.troubles).pop_front() {
            return Err(trouble);
        }
        let since = |run: &&Pipeline| run.began() >= query.since;
        let fit = self.runs.iter().filter(|run| !query.is_beyond(run)).filter(since);
        Ok(Pipelines { items: fit.take(query.limit).cloned().collect(), ..Pipelines::default() })
    }
    async fn latest_pipeline(&self, _: &Project, _: &str) -> connector::Result<Option<Pipeline>> {
        unasked()
    }
    async fn pipeline(&self, _: &Project, _: &RunId) -> connector::Result<PipelineDetail> {
        unasked()
    }
    async fn log(&self, _: &Project, _: &RunId, _: &JobId, _: usize) -> connector::Result<Log> {
        unasked()
    }
    async fn branches(&self, _: &Project, _: Option<PageToken>) -> connector::Result<Page<Branch>> {
        unasked()
    }
    async fn branch(&self, _: &Project, _: &str) -> connector::Result<Branch> {
        unasked()
    }
}

/// A project of a platform on the board, with history behind it in a file.
struct Rig {
    backfill: Backfill,
    platform: Arc<Platform>,
    connector: Arc<dyn Connector>,
    history: Arc<dyn History>,
    key: ProjectKey,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// `most` runs are asked for at once; the board has the newest ten.
    async fn new(platform: Platform, most: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let history = history_sqlite::open(path, history_sqlite::Options::default()).await.unwrap();
        let hub = Arc::new(Hub::new(Arc::new(SystemClock)));
        let key = ProjectKey::new(platform.source.clone(), NativeId::new("1"));
        let id = connector_gitlab::PLATFORM.descriptor.id;
        hub.configure(|p| {
            let source = crate::sources::Source::new(platform.source.clone(), id.as_str(), String::new());
            p.sources.insert(platform.source.clone(), source);
        });
        let project = Project::named(key.clone(), id, "p");
        hub.observe(Observation { asked_at: at(0), seen: Seen::Projects(vec![project]) });
        let pipelines = platform.runs.iter().take(10).cloned().collect();
        let heads = Box::new(Heads { pipelines, ..Heads::default() });
        hub.observe(Observation { asked_at: at(1), seen: Seen::Heads(key.clone(), heads) });
        let archive =
            Archive::new(config::Database::default(), Arc::new(Mirror::off()), Arc::new(SystemClock));
        let backfill = Backfill { most, ..Backfill::new(Arc::new(archive), hub, Arc::default()) };
        let platform = Arc::new(platform);
        let connector: Arc<dyn Connector> = Arc::<Platform>::clone(&platform);
        Self { backfill, platform, connector, history: Arc::new(history), key, _folder: folder }
    }

    fn miss(&self, since: i64, from: i64, to: i64) {
        let then = Known { from: at(since), to: at(to) };
        self.backfill.add(self.key.clone(), Gap { since: at(since), from: at(from), then });
    }

    async fn step(&self) -> Option<Duration> {
        self.backfill.step(&self.connector, &self.history).await
    }

    async fn kept(&self) -> usize {
        self.history.runs(&self.key, &history::RunFilter::default(), 0, 10_000).await.unwrap().items.len()
    }

    fn asked(&self) -> usize {
        locked(&self.platform.asked).len()
    }
}

#[tokio::test]
async fn a_long_past_is_fetched_to_its_end() {
    let rig = Rig::new(Platform::new(0..230, Vec::new()), 50).await;
    rig.miss(20, 220, 230);
    while rig.step().await.is_some() {}
    assert_eq!(rig.kept().await, 210, "all since then, though no question brings more than 50");
    assert_eq!(rig.backfill.len(), 0);
    let until: Vec<_> = locked(&rig.platform.asked).iter().map(|query| query.until).collect();
    assert_eq!(until[..2], [None, Some(at(180))], "each goes on where the one before it ended");
    let known = rig.history.watermarks(&rig.key.source).await.unwrap()[&rig.key];
    assert_eq!(known, Known { from: at(20), to: at(230) });
}

#[tokio::test]
async fn what_went_by_while_it_was_fetched_is_not_forgotten() {
    let rig = Rig::new(Platform::new(0..230, Vec::new()), 50).await;
    rig.miss(20, 150, 160);
    rig.step().await.unwrap();
    // The board went on with nothing missed.
    rig.miss(20, 158, 165);
    rig.step().await.unwrap();
    assert!(locked(&rig.platform.asked)[1].until.is_some());
    // What was between has left the board before it was written.
    rig.miss(20, 220, 230);
    rig.step().await.unwrap();
    assert_eq!(locked(&rig.platform.asked)[2].until, None, "from the newest on again");
    while rig.step().await.is_some() {}
    assert_eq!(rig.kept().await, 210);
}

#[tokio::test]
async fn a_source_that_comes_back_is_gone_on_with() {
    let troubles = vec![Error::Unreachable("no route".into()); 10];
    let rig = Rig::new(Platform::new(0..100, troubles), 50).await;
    rig.miss(0, 90, 100);
    for _ in 0..10 {
        assert!(rig.step().await.unwrap() >= LEAVE, "it is left alone");
        assert_eq!(rig.backfill.len(), 1);
    }
    while rig.step().await.is_some() {}
    assert_eq!((rig.kept().await, rig.backfill.len()), (100, 0));
}

#[tokio::test]
async fn what_was_refused_is_asked_for_again_once_the_source_is_set_otherwise() {
    let rig = Rig::new(Platform::new(0..100, vec![Error::Forbidden("scope".into())]), 500).await;
    rig.miss(0, 90, 100);
    rig.step().await.unwrap();
    assert_eq!(rig.backfill.len(), 0, "nobody waits for it");
    assert!(rig.step().await.is_none());
    rig.miss(0, 90, 101);
    assert_eq!(
        (rig.step().await, rig.asked()),
        (None, 1),
        "nor is it asked for with each change of the board"
    );
    rig.backfill.ask_again(&rig.key.source);
    while rig.step().await.is_some() {}
    assert_eq!((rig.kept().await, rig.backfill.len()), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_project_that_fails_is_asked_about_ever_more_rarely() {
    let mut want = Want::of(Gap { since: at(0), from: at(90), then: Known { from: at(0), to: at(100) } });
    let now = Instant::now();
    let pauses: Vec<_> = (0..40)
        .map(|_| {
            want.failed(&Error::Server("502".into()), None, now);
            want.after.unwrap().duration_since(now)
        })
        .collect();
    assert_eq!(pauses[..3], [LEAVE, LEAVE * 2, LEAVE * 4]);
    assert_eq!(pauses[39], MAX_LEAVE, "and never given up");
    want = Want::of(want.gap);
    for _ in 0..MAX_IN_PART {
        want.failed(&Error::Server("a page is missing".into()), Some(at(50)), now);
    }
    assert_eq!((want.until, want.after), (Some(at(50)), None), "what there is of it is enough by then");
}

//! Branches of many runs and of few: counted in different ways, with the same answers.

use std::collections::BTreeMap;

use domain::{Job, JobId, NativeId, Pipeline, ProjectKey, SourceName, Status};
use history::answers::{Ask, Behind, By, Of, Ranking};
use history::{History, RunNews};

use crate::answers::{ask, days};
use crate::{Place, Story, at, key, run};

const BRANCH: &str = "topic/one";
/// A batch crosses the line somewhere in its middle.
const BATCHES: u64 = 6;
const IN_A_BATCH: u64 = 30;

fn news(project: &ProjectKey, branch: &str, id: u64) -> RunNews {
    let failed = id.is_multiple_of(5);
    let status = if failed { Status::Failed } else { Status::Success };
    let job = Job {
        failure_reason: failed.then(|| format!("exit code {}", id % 3)),
        duration: Some(std::time::Duration::from_secs(4)),
        ..Job::new(JobId::from(id * 10), "unit", status, status.as_str())
    };
    let pipeline = Pipeline {
        branch: Some(branch.into()),
        failure: (failed && id.is_multiple_of(2)).then(|| "unit: it broke".to_owned()),
        ..run(id, status, i64::try_from(id % 20).unwrap(), i64::try_from(id).unwrap())
    };
    RunNews { jobs: (!id.is_multiple_of(4)).then(|| vec![job]), ..RunNews::of(project.clone(), pipeline) }
}

/// What is there to be told of one branch: runs and failures by day, jobs, failures of a job by reason.
#[derive(Debug, Default, PartialEq)]
struct Told {
    days: BTreeMap<i64, (u64, u64)>,
    jobs: u64,
    reasons: BTreeMap<Option<String>, u64>,
}

impl Told {
    fn note(&mut self, news: &RunNews) {
        let p = &news.pipeline;
        let day = self.days.entry((p.created_at.unwrap() - at(0, 0)).get_seconds() / 86_400).or_default();
        *day = (day.0 + 1, day.1 + u64::from(p.status == Status::Failed));
        let jobs = news.jobs.iter().flatten();
        self.jobs += jobs.clone().count() as u64;
        let told = jobs.filter_map(|j| j.failure_reason.as_ref()).map(|_| "exit code <n>".to_owned());
        let own = p.failure.as_ref().filter(|_| news.jobs.is_none()).map(|_| "it broke".to_owned());
        for reason in told.chain(own) {
            *self.reasons.entry(Some(reason)).or_default() += 1;
        }
    }

    async fn by(history: &dyn History, ask: &Ask) -> Self {
        let course = history.course(ask).await.unwrap();
        let figures = history.figures(ask).await.unwrap();
        assert_eq!(course.figures, figures, "{ask:?}");
        assert_eq!((figures.duration.count, figures.queued.count), (figures.runs, figures.runs));
        let first = course.days[0].day.0;
        let day = |d: &history::answers::DayFigures| {
            (i64::from(d.day.0 - first), (d.figures.runs, d.figures.failed))
        };
        let ranking = async |of| {
            let ranking = Ranking { of, by: By::Busiest, min_runs: 1, limit: 99 };
            let ranked = history.ranking(ask, &ranking).await.unwrap();
            ranked.iter().map(|r| r.figures.runs).sum::<u64>()
        };
        assert_eq!(ranking(Of::Workflows).await, figures.runs);
        assert_eq!(ranking(Of::Projects).await, figures.runs);
        let heat = history.heat(ask).await.unwrap();
        assert_eq!(heat.hours.iter().flatten().map(|cell| cell.0).sum::<u64>(), figures.runs);
        let behind = history.behind(ask, &Behind::default(), 0, 9_999).await.unwrap();
        assert_eq!(behind.len() as u64, figures.runs);
        let groups = history.failure_groups(ask, 20).await.unwrap();
        Self {
            days: course.days.iter().map(day).filter(|(_, told)| *told != (0, 0)).collect(),
            jobs: ranking(Of::Jobs).await,
            reasons: groups.into_iter().map(|g| (g.reason, g.failures)).collect(),
        }
    }
}

/// A branch comes to statistics of its own with its runs, and nobody sees when.
pub async fn apart(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let elsewhere = ProjectKey::new(SourceName::new("elsewhere").unwrap(), NativeId::new("9"));
    let few: Vec<RunNews> = (9_000..9_007).map(|id| news(&elsewhere, BRANCH, id)).collect();
    let mut batch = Story::new().batch();
    batch.sources.insert(elsewhere.source.clone(), "github".into());
    batch.runs.clone_from(&few);
    history.ingest(batch).await.unwrap();

    let mut all: BTreeMap<u64, RunNews> = BTreeMap::new();
    let check = async |all: &BTreeMap<u64, RunNews>| {
        let window = Ask::all(days(0, 20));
        let of_branch = Ask { branch: Some(BRANCH.into()), ..window.clone() };
        let forge = key("1").source;
        let is_on = |n: &&RunNews| n.pipeline.branch.as_deref() == Some(BRANCH);
        let told = |news: &mut dyn Iterator<Item = &RunNews>| {
            let mut told = Told::default();
            news.for_each(|n| told.note(n));
            told
        };
        let by = async |ask: Ask| Told::by(&*history, &ask).await;
        assert_eq!(by(window.clone()).await, told(&mut all.values().chain(&few)));
        assert_eq!(by(of_branch.clone()).await, told(&mut all.values().filter(is_on).chain(&few)));
        assert_eq!(
            by(Ask { sources: vec![forge], ..of_branch.clone() }).await,
            told(&mut all.values().filter(is_on))
        );
        assert_eq!(
            by(Ask { platforms: vec!["github".into()], ..of_branch.clone() }).await,
            told(&mut few.iter())
        );
        assert_eq!(
            by(Ask { project: Some(key("2")), ..of_branch }).await,
            told(&mut all.values().filter(is_on).filter(|n| n.project == key("2")))
        );
    };
    for batch in 0..BATCHES {
        let mut story = Story::new();
        for id in batch * IN_A_BATCH..(batch + 1) * IN_A_BATCH {
            let branch = if id.is_multiple_of(7) { "main" } else { BRANCH };
            // Of the project that was first nothing is in the batch that crosses the line.
            let news = news(&key(if batch % 2 == 1 { "2" } else { "1" }), branch, id);
            story = story.news(news.clone());
            all.insert(id, news);
        }
        story.told(&*history).await;
        check(&all).await;
    }
    // What was counted before is told otherwise now: a run failed after all, another was of a branch that has few.
    let mut story = Story::new();
    for (id, branch) in [(1, BRANCH), (2, "main"), (3, "topic/two"), (7, BRANCH)] {
        let mut news = all[&id].clone();
        news.pipeline.branch = Some(branch.into());
        news.pipeline.status = Status::Failed;
        news.pipeline.updated_at = Some(at(30, 0));
        story = story.news(news.clone());
        all.insert(id, news);
    }
    story.told(&*history).await;
    check(&all).await;
    assert_eq!(history.figures(&Ask { branch: Some("topic/two".into()), ..ask() }).await.unwrap().runs, 1);
}

//! The real aggregator against simulated platforms over HTTP: its lists are what the world has, and cost what they must.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aggregator::Aggregator;
use api::v1;
use domain::{Outcome, SystemClock};
use forge_sim::world::{Project, RunStatus, Shape};
use forge_sim::{Effect, Fault, Limits, Sim, SimBuilder};
use futures::FutureExt as _;
use lifecycle::Lifecycle;

use crate::kit::{self, PATIENCE};

/// Long enough that everything is read once while a test looks.
const ONCE: (&str, &str) = ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "1m");
/// Fast enough to see what moves.
const FAST: (&str, &str) = ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms");

fn no_limits() -> Limits {
    Limits { github_hourly: Some(10_000_000), gitlab_per_minute: Some(10_000_000), ..Limits::default() }
}

struct Rig {
    sim: Sim,
    life: Lifecycle,
    client: api::Client,
}

impl Rig {
    async fn start(
        sim: SimBuilder,
        interval: (&str, &str),
        limits: Limits,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Self {
        let sim = sim.limits(limits).start().await.unwrap();
        for fault in faults {
            sim.faults().add(fault);
        }
        let life = Lifecycle::new();
        let aggregator =
            Aggregator::new(&kit::of_both(&sim, &[interval]), Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        let client = endpoint.client().unwrap();
        Self { sim, life, client }
    }

    /// All pages of a list and its last answer.
    async fn merge_requests(
        &self,
        ask: v1::ListMergeRequestsRequest,
    ) -> (Vec<v1::MergeRequest>, v1::ListMergeRequestsResponse) {
        let mut all = Vec::new();
        for page in 1.. {
            let request = v1::ListMergeRequestsRequest { page, per_page: 100, ..ask.clone() };
            let answer = self.client.clone().list_merge_requests(request).await.unwrap().into_inner();
            all.extend(answer.merge_requests.iter().cloned());
            if answer.merge_requests.len() < 100 {
                return (all, answer);
            }
        }
        unreachable!()
    }

    async fn issues(&self, ask: v1::ListIssuesRequest) -> (Vec<v1::Issue>, v1::ListIssuesResponse) {
        let mut all = Vec::new();
        for page in 1.. {
            let request = v1::ListIssuesRequest { page, per_page: 100, ..ask.clone() };
            let answer = self.client.clone().list_issues(request).await.unwrap().into_inner();
            all.extend(answer.issues.iter().cloned());
            if answer.issues.len() < 100 {
                return (all, answer);
            }
        }
        unreachable!()
    }

    /// Asks again at every change until `look` finds it.
    async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let mut changes = self.client.clone().watch(v1::WatchRequest {}).await.unwrap().into_inner();
        let wait = async {
            loop {
                changes.message().await.unwrap().expect("the stream goes on");
                // However many came meanwhile: one look is enough for all of them.
                while changes.message().now_or_never().is_some() {}
                if let Some(found) = look().await {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// Both lists, read to their ends.
    async fn read(&self) -> (Vec<v1::MergeRequest>, Vec<v1::Issue>) {
        self.until("both lists are read", async || {
            let (mrs, a) = self.merge_requests(v1::ListMergeRequestsRequest::default()).await;
            let (issues, b) = self.issues(v1::ListIssuesRequest::default()).await;
            let ok = a.sources.iter().all(|s| s.state() == v1::SourceState::Ok);
            (ok && !a.loading && !b.loading && !mrs.is_empty()).then_some((mrs, issues))
        })
        .await
    }
}

/// Projects whose lists are read: alive, with CI, not archived, not quiet.
fn is_asked(p: &Project) -> bool {
    let has_runs = !p.pipelines().is_empty();
    p.member
        && !p.deleted
        && has_runs
        && !p.archived
        && !matches!(p.shape, Shape::NoCi | Shape::CiDisabled | Shape::Empty | Shape::Archived | Shape::Quiet)
}

fn names(people: &[v1::Person]) -> Vec<String> {
    people.iter().filter_map(|p| p.login.clone()).collect()
}

/// Everything that a list says of one, to be compared.
fn told(m: &v1::MergeRequest) -> String {
    format!(
        "{}:{} {} {:?} draft {} by {:?} for {:?} {} → {} {:?} {:?} {}",
        m.platform,
        m.project_name,
        m.number,
        // GitLab marks a draft in its title as well.
        m.title.trim_start_matches("Draft: "),
        m.draft,
        m.author.as_ref().and_then(|a| a.login.clone()),
        names(&m.reviewers),
        m.source_branch,
        m.target_branch,
        m.labels,
        m.sha,
        m.state,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_are_what_the_world_has() {
    let rig = Rig::start(
        Sim::builder().faces([forge_sim::gitlab::FACE, forge_sim::github::FACE]).projects(40).seed(3),
        ONCE,
        no_limits(),
        [],
    )
    .await;
    let (mrs, issues) = rig.read().await;
    let (mut there, mut there_issues, mut compared) = (BTreeSet::new(), BTreeSet::new(), 0);
    let by_key: BTreeMap<(String, u64), &v1::MergeRequest> =
        mrs.iter().map(|m| ((format!("{}:{}", m.platform, m.project_name), m.number), m)).collect();
    rig.sim.world().with(|w| {
        for p in w.projects().filter(|p| is_asked(p)) {
            let name = format!("{}:{}", p.face.0, p.full_path());
            for m in p.history().merge_requests.iter().filter(|m| m.open) {
                let login = |id: &forge_sim::world::PersonId| id.person().login.to_owned();
                there.insert(format!(
                    "{name} {} {:?} draft {} by {:?} for {:?} {} → {} {:?} {:?} open",
                    m.number,
                    m.title,
                    m.draft,
                    Some(login(&m.author)),
                    m.reviewers.iter().map(login).collect::<Vec<_>>(),
                    m.source_branch,
                    m.target_branch,
                    m.labels,
                    Some(&*m.sha),
                ));
                // The newest run of its commit, where it is among those that the board holds.
                let newest = p.pipelines().iter().filter(|r| r.sha == m.sha).max_by_key(|r| r.id);
                let Some(run) = newest.filter(|_| p.pipelines().len() < 100) else { continue };
                let want = match run.status {
                    RunStatus::Failed => Outcome::Failed,
                    RunStatus::Success if !run.warnings => Outcome::Success,
                    _ => continue,
                };
                compared += 1;
                let listed = by_key[&(name.clone(), u64::from(m.number))];
                assert_eq!(listed.outcome().known(), Some(want), "{name} {}", m.number);
            }
            for i in p.history().issues.iter().filter(|i| i.open) {
                let assignees: Vec<_> = i.assignees.iter().map(|a| a.person().login.to_owned()).collect();
                there_issues
                    .insert(format!("{name} {} {:?} {assignees:?} {:?}", i.number, i.title, i.labels));
            }
        }
    });
    assert_eq!(mrs.iter().map(told).collect::<BTreeSet<_>>(), there);
    assert!(there.len() > 20 && compared > 10, "{} and {compared}", there.len());
    let listed: BTreeSet<_> = issues
        .iter()
        .map(|i| {
            let name = format!("{}:{}", i.platform, i.project_name);
            format!("{name} {} {:?} {:?} {:?}", i.number, i.title, names(&i.assignees), i.labels)
        })
        .collect();
    assert_eq!(listed, there_issues);
    assert!(there_issues.len() > 20);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_narrow_sort_and_page() {
    let rig = Rig::start(
        Sim::builder().faces([forge_sim::gitlab::FACE, forge_sim::github::FACE]).projects(30).seed(3),
        ONCE,
        no_limits(),
        [],
    )
    .await;
    let (all, issues) = rig.read().await;
    let me = rig
        .until("whose the tokens are", async || {
            let users = rig.client.clone().get_me(v1::GetMeRequest {}).await.unwrap().into_inner().users;
            users.iter().all(|u| u.person.is_some()).then_some(users)
        })
        .await;
    assert_eq!(me.iter().map(|u| u.source.as_str()).collect::<Vec<_>>(), ["github-main", "gitlab-main"]);
    let login = |source: &str| {
        let user = me.iter().find(|u| u.source == source).unwrap();
        user.person.as_ref().unwrap().login.clone().unwrap()
    };
    type Ask = v1::ListMergeRequestsRequest;
    let is_me = |key: Option<&v1::ProjectKey>, people: &[v1::Person]| {
        names(people).contains(&login(&key.unwrap().source))
    };
    let people = |m: &v1::MergeRequest| [m.author.iter().cloned().collect(), m.reviewers.clone()].concat();

    let (mine, answer) = rig.merge_requests(Ask { mine: true, ..Ask::default() }).await;
    let wanted: Vec<_> = all.iter().filter(|m| is_me(m.project.as_ref(), &people(m))).map(told).collect();
    assert_eq!(mine.iter().map(told).collect::<Vec<_>>(), wanted);
    assert!(!wanted.is_empty() && wanted.len() < all.len());
    assert_eq!(answer.summary.unwrap().mine as usize, wanted.len());
    assert!(mine.iter().all(|m| m.mine));

    let (drafts, _) = rig.merge_requests(Ask { draft: Some(true), ..Ask::default() }).await;
    let (ready, _) = rig.merge_requests(Ask { draft: Some(false), ..Ask::default() }).await;
    assert!(!drafts.is_empty() && drafts.iter().all(|m| m.draft) && ready.iter().all(|m| !m.draft));
    assert_eq!(drafts.len() + ready.len(), all.len());

    let (failed, _) = rig.merge_requests(Ask { statuses: vec!["broken".into()], ..Ask::default() }).await;
    assert!(failed.iter().all(|m| m.outcome() == v1::Outcome::Failed));
    assert_eq!(failed.len(), all.iter().filter(|m| m.outcome() == v1::Outcome::Failed).count());
    let (github, _) = rig.merge_requests(Ask { platforms: vec!["github".into()], ..Ask::default() }).await;
    assert!(!github.is_empty() && github.iter().all(|m| m.platform == "github"));
    let (found, _) = rig.merge_requests(Ask { q: all[0].source_branch.clone(), ..Ask::default() }).await;
    assert!(found.iter().any(|m| told(m) == told(&all[0])));
    let touched: Vec<_> = all.iter().map(|m| m.updated_at.map(|t| t.seconds)).collect();
    assert!(touched.is_sorted_by(|a, b| a >= b), "last touched first: {touched:?}");
    let (turned, _) = rig.merge_requests(Ask { sort: "-updated".into(), ..Ask::default() }).await;
    assert_eq!(turned.iter().rev().map(told).collect::<Vec<_>>(), all.iter().map(told).collect::<Vec<_>>());

    // By name, as people write it, and by key.
    let one = &all[0];
    let by_name = v1::ProjectKey { id: one.project_name.clone(), ..one.project.clone().unwrap() };
    let (of_project, _) = rig.merge_requests(Ask { project: Some(by_name), ..Ask::default() }).await;
    assert_eq!(of_project.len(), all.iter().filter(|m| m.project == one.project).count());

    type AskIssues = v1::ListIssuesRequest;
    let (mine, _) = rig.issues(AskIssues { mine: true, ..AskIssues::default() }).await;
    let people = |i: &v1::Issue| [i.author.iter().cloned().collect(), i.assignees.clone()].concat();
    assert_eq!(mine.len(), issues.iter().filter(|i| is_me(i.project.as_ref(), &people(i))).count());
    let (free, _) =
        rig.issues(AskIssues { statuses: vec!["unassigned".into()], ..AskIssues::default() }).await;
    assert!(!free.is_empty() && free.iter().all(|i| i.assignees.is_empty()));

    for bad in ["purple", ""] {
        let ask = Ask { sort: "purple".into(), statuses: vec![bad.into()], ..Ask::default() };
        let code = rig.client.clone().list_merge_requests(ask).await.unwrap_err().code();
        assert_eq!(code, tonic::Code::InvalidArgument);
    }

    // The overview knows as well whose commits its rows are of.
    let request = v1::ListProjectsRequest { per_page: 100, ..v1::ListProjectsRequest::default() };
    let every = rig.client.clone().list_projects(request.clone()).await.unwrap().into_inner();
    let mine = v1::ListProjectsRequest { mine: true, ..request };
    let mine = rig.client.clone().list_projects(mine).await.unwrap().into_inner();
    assert!(mine.total < every.total);
    assert!(mine.summary.unwrap().mine <= mine.total, "folded rows are not counted");
    for row in &mine.rows {
        let state = row.branch.as_ref().and_then(|b| b.state.as_ref()).unwrap();
        let broke = state.broken_since.as_ref().and_then(|b| b.run.as_ref());
        let authors =
            state.pipelines.iter().chain(&state.deciding).chain(broke).filter_map(|r| r.author.as_ref());
        let me = me.iter().find(|u| u.source == row.project.as_ref().unwrap().key.as_ref().unwrap().source);
        let me = me.unwrap().person.as_ref().unwrap();
        let mut authors = authors.map(|a| (a.login == me.login, a.name == me.name));
        assert!(authors.any(|(login, name)| login || name), "{row:?}");
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_project_that_fails_spoils_nothing_and_one_without_issues_is_no_error() {
    let faults = [
        Fault::on("/repos/*/*/pulls", Effect::InvalidJson).face(forge_sim::github::FACE).times(1),
        Fault::on("/repos/*/*/issues", Effect::Status(410)).face(forge_sim::github::FACE).times(1),
        Fault::on("*/projects/*/issues", Effect::Status(403)).face(forge_sim::gitlab::FACE).times(1),
    ];
    // Not asked again while the test looks.
    let slow = ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "20s");
    let rig = Rig::start(
        Sim::builder().faces([forge_sim::gitlab::FACE, forge_sim::github::FACE]).projects(12).seed(5),
        slow,
        no_limits(),
        faults,
    )
    .await;
    rig.read().await;
    let (mrs, answer) = rig.merge_requests(v1::ListMergeRequestsRequest::default()).await;
    let texts: Vec<_> = answer.problems.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].starts_with("github-main: merge requests not read: "), "{texts:?}");
    let projects: BTreeSet<_> = mrs.iter().map(|m| (&m.platform, &m.project_name)).collect();
    assert!(projects.len() > 3, "the others are there: {projects:?}");
    let (_, answer) = rig.issues(v1::ListIssuesRequest::default()).await;
    assert!(answer.problems.is_empty(), "{:?}", answer.problems);
    rig.life.stop().await;
}

/// Every list costs one request, and a platform that says "unchanged" is not asked more often than promised.
#[tokio::test(flavor = "multi_thread")]
async fn at_rest_nothing_is_asked_twice() {
    let slow = ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "5m");
    let rig = Rig::start(
        Sim::builder().faces([forge_sim::gitlab::FACE, forge_sim::github::FACE]).projects(30).seed(7),
        slow,
        no_limits(),
        [],
    )
    .await;
    rig.read().await;
    rig.until("whose the tokens are", async || {
        let users = rig.client.clone().get_me(v1::GetMeRequest {}).await.unwrap().into_inner().users;
        users.iter().all(|u| u.person.is_some()).then_some(())
    })
    .await;
    for (face, lists) in [
        (forge_sim::gitlab::FACE, ["GET /projects/:id/merge_requests", "GET /projects/:id/issues"]),
        (forge_sim::github::FACE, ["GET /repos/{owner}/{repo}/pulls", "GET /repos/{owner}/{repo}/issues"]),
    ] {
        let asked = rig.sim.world().with(|w| w.projects().filter(|p| p.face == face && is_asked(p)).count());
        let counts = rig.sim.requests().counts(face);
        for list in lists {
            let read = counts.get(list).copied().unwrap_or_default();
            // Where GitHub has told along with the runs that none is open, that is not asked for.
            let is_told = list.ends_with("/pulls");
            assert!(read == asked as u64 || is_told && read < asked as u64, "{list}: {counts:?} of {asked}");
        }
        assert_eq!(counts.get("GET /user").copied(), Some(1), "{counts:?}");
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opened_is_listed_and_wakes_only_who_looks_at_lists() {
    let rig = Rig::start(
        Sim::builder()
            .faces([forge_sim::gitlab::FACE, forge_sim::github::FACE])
            .projects(6)
            .seed(5)
            .broken(0),
        FAST,
        no_limits(),
        [],
    )
    .await;
    rig.read().await;
    for face in ["gitlab", "github"] {
        let (id, branch) = rig.sim.world().with(|w| {
            let p = w.projects().find(|p| p.face.0 == face && p.shape == Shape::Green).unwrap();
            (p.id, p.default_branch.clone().unwrap())
        });
        let number = rig.sim.world().with(|w| w.open_merge_request(id, &branch, "Count fees twice").unwrap());
        let mut changes = rig.client.clone().watch(v1::WatchRequest {}).await.unwrap().into_inner();
        let heard = async {
            let mut heard = Vec::new();
            loop {
                heard.push(changes.message().await.unwrap().unwrap());
                let ask = v1::ListMergeRequestsRequest { q: "count twice".into(), ..Default::default() };
                let (found, _) = rig.merge_requests(ask).await;
                if found.iter().any(|m| m.number == u64::from(number) && m.platform == face) {
                    return heard;
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await.expect("it is listed");
        let of_lists = |c: &&v1::WatchResponse| c.work_changed && !c.work.is_empty();
        assert!(heard.iter().any(|c| c.resync) || heard.iter().any(|c| of_lists(&c)), "{heard:?}");
        for change in heard.iter().filter(of_lists) {
            assert!(change.changes.is_empty() && !change.sources_changed, "{change:?}");
        }
        rig.sim.world().with(|w| w.delete_project(id).unwrap());
        rig.until("it is gone with its project", async || {
            let ask = v1::ListMergeRequestsRequest { platforms: vec![face.into()], ..Default::default() };
            let (found, _) = rig.merge_requests(ask).await;
            found.iter().all(|m| m.title != "Count fees twice").then_some(())
        })
        .await;
    }
    rig.life.stop().await;
}

/// A limit that the pipelines need for themselves.
#[tokio::test(flavor = "multi_thread")]
async fn pipelines_come_first_where_the_limit_is_short() {
    // What the schedule spends at once leaves less than a third.
    let limits = Limits { github_hourly: Some(10), ..no_limits() };
    let slow = ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "20s");
    let rig = Rig::start(
        // Where every repository is read by itself.
        Sim::builder()
            .faces([forge_sim::gitlab::FACE, forge_sim::github::FACE])
            .projects(30)
            .seed(5)
            .without_graphql(),
        slow,
        limits,
        [],
    )
    .await;
    let problem = rig
        .until("GitHub's lists wait", async || {
            let (_, answer) = rig.merge_requests(v1::ListMergeRequestsRequest::default()).await;
            let read = answer.sources.iter().all(|s| s.state() != v1::SourceState::Loading);
            (read && !answer.loading).then_some(answer.problems).filter(|p| !p.is_empty())
        })
        .await;
    assert!(problem[0].text.starts_with("github-main: merge requests are read again from"), "{problem:?}");
    let counts = rig.sim.requests().counts(forge_sim::github::FACE);
    let lists = counts.get("GET /repos/{owner}/{repo}/pulls").copied().unwrap_or_default();
    // Some may be read before pipelines have come to their part; none of what is kept for them.
    assert!(lists <= 6, "{counts:?}");
    assert_eq!(problem[0].text.contains("for the first time"), lists == 0, "{problem:?}");
    let (_, answer) = rig.issues(v1::ListIssuesRequest::default()).await;
    assert!(answer.sources.iter().any(|s| s.platform == "gitlab" && s.state() == v1::SourceState::Ok));
    rig.life.stop().await;
}

//! Every state of the lists of merge requests and issues.

use api::{timestamp, v1};
use web::pages::{self, Ctx, ListQuery, Live, Nav};

use super::kit::*;

/// A merge request in the making.
#[derive(Clone)]
struct Open {
    source: &'static str,
    project: &'static str,
    number: u64,
    title: &'static str,
    from: &'static str,
    outcome: v1::Outcome,
    line: Line,
}

fn open(
    source: &'static str,
    project: &'static str,
    number: u64,
    title: &'static str,
    from: &'static str,
) -> Open {
    let line = line(source, project, from).typical(372);
    Open { source, project, number, title, from, outcome: v1::Outcome::Success, line }
}

impl Open {
    fn outcome(mut self, outcome: v1::Outcome, failure: &str) -> Self {
        self.outcome = outcome;
        self.line.outcome = outcome;
        self.line.failure = Some(failure.to_owned()).filter(|f| !f.is_empty());
        self
    }

    fn running(mut self, since: i64) -> Self {
        self.line.running = Some(since);
        self
    }

    fn make(&self) -> v1::MergeRequest {
        let platform = self.source.split('-').next().unwrap();
        let head = v1::BranchState { strip: Vec::new(), ..self.line.state() };
        let known = self.outcome != v1::Outcome::Unspecified;
        v1::MergeRequest {
            project: Some(key(self.source, self.project)),
            platform: platform.into(),
            project_name: self.project.into(),
            id: (9000 + self.number).to_string(),
            number: self.number,
            title: self.title.into(),
            state: "open".into(),
            draft: self.title.starts_with("Draft:"),
            author: Some(person("jonas")),
            source_branch: self.from.into(),
            target_branch: "main".into(),
            sha: Some("a41f9c2d".into()),
            outcome: self.outcome.into(),
            activity: if self.line.running.is_some() {
                v1::Activity::Running
            } else {
                v1::Activity::Unspecified
            }
            .into(),
            head: known.then_some(head),
            created_at: Some(timestamp(ago(3 * DAY))),
            updated_at: Some(timestamp(ago(self.number as i64 * 5 * MIN))),
            url: Some(format!("https://{platform}.example.com/{}/{}", self.project, self.number)),
            ..Default::default()
        }
    }
}

fn company() -> Vec<v1::MergeRequest> {
    let failed = v1::Outcome::Failed;
    let none = v1::Outcome::Unspecified;
    let mut all = vec![
        v1::MergeRequest {
            author: Some(person("mira")),
            reviewers: vec![person("jonas"), person("lee")],
            labels: vec!["money".into(), "priority::high".into()],
            mergeable: Some(false),
            mine: true,
            updated_at: Some(timestamp(ago(2 * MIN))),
            ..open("gitlab-main", "payments/ledger-api", 214, "Round half even in fees", "fix/half-even")
                .outcome(failed, "unit-tests: 3 of 1,204 tests failed")
                .running(250)
                .make()
        },
        open("github-main", "web-platform/checkout", 8, "Draft: Lazy-load the basket", "lazy-basket")
            .outcome(failed, "e2e (firefox): timeout after 30 min")
            .make(),
        v1::MergeRequest {
            labels: ["performance", "frontend", "needs-review", "size/S", "good first issue"]
                .map(str::to_owned)
                .to_vec(),
            reviewers: vec![person("mira")],
            review_wanted: true,
            mine: true,
            mergeable: Some(true),
            ..open("github-main", "web-platform/design-system", 4, "Speed up the first paint", "first-paint")
                .make()
        },
        v1::MergeRequest {
            mergeable: Some(true),
            reviewers: ["ida", "noor", "tomas", "lee", "ole"].map(person).to_vec(),
            ..open("gitlab-main", "data/warehouse-etl", 17, "Backfill Q3 aggregates", "backfill")
                .outcome(v1::Outcome::Warning, "lint-sql (3 of 41 jobs were allowed to fail)")
                .make()
        },
        open("bitbucket", "mobile/ios-app", 31, "Fix crash on cold start", "cold-start")
            .outcome(none, "")
            .make(),
        open("gitlab-main", "infra/terraform-live", 44, "Add eu-north-1 replica", "replica")
            .running(80)
            .make(),
        open("bitbucket", "search/ranker", 52, "Draft: Train on clicks of this year", "ranker-2026")
            .outcome(failed, "train: exit code 137")
            .make(),
        open("github-main", "identity/session-store", 60, "Retry on 503", "retry")
            .outcome(v1::Outcome::Canceled, "")
            .make(),
    ];
    const MORE: [(&str, &str); 4] = [
        ("payments/fraud-rules", "Tighten velocity rule for new cards"),
        ("search/gateway", "Drop Python 3.9"),
        ("embedded/firmware", "Grow the image by a splash screen"),
        ("docs/handbook", "Mention the new flag"),
    ];
    for n in 0..16 {
        let (project, title) = MORE[n as usize % MORE.len()];
        let source = ["gitlab-main", "github-main"][n as usize % 2];
        all.push(open(source, project, 100 + n, title, "feature/next").make());
    }
    all
}

/// The answer with its figures, as the aggregator counts them.
fn answer(all: Vec<v1::MergeRequest>) -> v1::ListMergeRequestsResponse {
    let count = |is: &dyn Fn(&v1::MergeRequest) -> bool| all.iter().filter(|m| is(m)).count() as u32;
    let summary = v1::WorkSummary {
        total: all.len() as u32,
        mine: count(&|m| m.mine),
        wanted: count(&|m| m.review_wanted),
        failed: count(&|m| m.outcome() == v1::Outcome::Failed),
        green: count(&|m| m.outcome() == v1::Outcome::Success),
        active: count(&|m| m.activity() != v1::Activity::Unspecified),
        drafts: count(&|m| m.draft),
        blocked: count(&|m| m.mergeable == Some(false)),
        everything: all.len() as u32,
        not_asked: 12,
        ..Default::default()
    };
    v1::ListMergeRequestsResponse {
        total: all.len() as u32,
        merge_requests: all,
        page: 1,
        per_page: 50,
        version: Some(v1::Version { epoch: 3, sequence: 17 }),
        summary: Some(summary),
        sources: sources(),
        ..Default::default()
    }
}

/// What a project's page shows of them.
pub(crate) fn of_project(name: &str) -> v1::ListMergeRequestsResponse {
    let mut all = company();
    all.truncate(3);
    for m in &mut all {
        m.project = Some(key("gitlab-main", name));
    }
    v1::ListMergeRequestsResponse { total: 7, ..answer(all) }
}

fn odd() -> Vec<v1::MergeRequest> {
    let mut all: Vec<_> = [
        ("odd/<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a\"b'c&d"),
        ("פרויקטים/מערכת-תשלומים", "תיקון עיגול בעמלות", "ראשי/תיקון"),
        (
            "a-department-with-a-name-that-never-ends/and-a-team-below-it/the-service-whose-name-still-has-to-be-seen",
            "A title that goes on and on and says all that there is to say about the change and then a little more than that",
            "feature/JIRA-12345-a-branch-that-tells-the-whole-story-of-its-making-and-then-some",
        ),
        ("x/wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"),
        ("👩‍💻/emoji-🚀", "🎉 done", "fork-owner:🦊"),
    ]
    .into_iter()
    .zip(1..)
    .map(|((project, title, from), n)| open("gitlab-main", project, n, title, from).make())
    .collect();
    all[0].labels = vec!["<b>bold</b>".into(), "a label that is far too long for a chip".into()];
    all[0].author = Some(person("<b>mira</b>"));
    all[0].url = Some("javascript:alert(1)".into());
    all[1].author = Some(person("נועה"));
    all[2].reviewers = vec![
        person("A Person With Quite A Long Name Indeed von und zu Beispielhausen"),
        person("Another One"),
    ];
    all
}

fn issue(source: &'static str, project: &str, number: u64, title: &str) -> v1::Issue {
    let platform = source.split('-').next().unwrap();
    v1::Issue {
        project: Some(key(source, project)),
        platform: platform.into(),
        project_name: project.into(),
        id: number.to_string(),
        number,
        title: title.into(),
        state: "open".into(),
        author: Some(person("ole")),
        labels: vec!["bug".into()],
        created_at: Some(timestamp(ago(9 * DAY))),
        updated_at: Some(timestamp(ago(number as i64 * 7 * MIN))),
        url: Some(format!("https://{platform}.example.com/{project}/-/issues/{number}")),
        ..Default::default()
    }
}

fn issues() -> Vec<v1::Issue> {
    let mut all = vec![
        issue("gitlab-main", "payments/ledger-api", 3, "Fees are off by one cent on the 31st"),
        v1::Issue {
            assignees: vec![person("mira")],
            assigned_to_me: true,
            mine: true,
            labels: vec!["bug".into(), "customer".into(), "priority::high".into(), "backend".into()],
            ..issue("github-main", "web-platform/checkout", 5, "The basket forgets gifts")
        },
        v1::Issue {
            assignees: vec![person("jonas"), person("ida")],
            labels: Vec::new(),
            ..issue("github-main", "identity/session-store", 9, "Sessions survive a logout")
        },
    ];
    for n in 0..15 {
        let source = ["gitlab-main", "github-main"][n as usize % 2];
        all.push(issue(source, "docs/handbook", 20 + n, "Write down how a release is made"));
    }
    all
}

fn issue_answer(all: Vec<v1::Issue>) -> v1::ListIssuesResponse {
    let count = |is: &dyn Fn(&v1::Issue) -> bool| all.iter().filter(|i| is(i)).count() as u32;
    let summary = v1::WorkSummary {
        total: all.len() as u32,
        mine: count(&|i| i.mine),
        wanted: count(&|i| i.assigned_to_me),
        unassigned: count(&|i| i.assignees.is_empty()),
        everything: all.len() as u32,
        ..Default::default()
    };
    v1::ListIssuesResponse {
        total: all.len() as u32,
        issues: all,
        page: 1,
        per_page: 50,
        version: Some(v1::Version { epoch: 3, sequence: 17 }),
        summary: Some(summary),
        sources: sources(),
        ..Default::default()
    }
}

fn problem(text: &str) -> v1::Problem {
    v1::Problem { kind: "partial".into(), text: text.into() }
}

/// Name and page of every state.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let base = ctx();
    let none = ListQuery::default();
    let draw = |ctx: &Ctx<'_>, query: &ListQuery, a: &v1::ListMergeRequestsResponse| {
        pages::merge_requests(ctx, query, a).unwrap()
    };
    let plain = |a: &v1::ListMergeRequestsResponse| draw(&base, &none, a);

    let next = {
        let mut all = company();
        all[0].outcome = v1::Outcome::Success.into();
        all[0].head.as_mut().unwrap().outcome = v1::Outcome::Success.into();
        all[3].title = "Backfill Q3 and Q4 aggregates".into();
        all.pop();
        answer(all)
    };
    let mut reading = v1::ListMergeRequestsResponse { loading: true, ..answer(Vec::new()) };
    let s = reading.summary.as_mut().unwrap();
    (s.unread, s.not_asked) = (640, 0);
    let half = {
        let mut a = answer(company()[..5].to_vec());
        a.loading = true;
        a.summary.as_mut().unwrap().unread = 312;
        a
    };
    let away = {
        let mut all = company();
        for m in all.iter_mut().filter(|m| m.project.as_ref().is_some_and(|k| k.source == "github-main")) {
            m.as_of = Some(timestamp(ago(14 * MIN)));
        }
        let mut a = answer(all);
        a.sources[1] = v1::Source {
            state: v1::SourceState::Down.into(),
            error: Some("Connection refused by api.github.example.com:443".into()),
            failing_since: Some(timestamp(ago(20 * MIN))),
            last_success_at: Some(timestamp(ago(14 * MIN + 10))),
            next_try_at: Some(timestamp(ago(-20))),
            ..a.sources[1].clone()
        };
        a
    };
    let missing = v1::ListMergeRequestsResponse {
        problems: vec![
            problem(
                "github-main: merge requests are read again from 14:40 UTC, those of 31 projects for the first time; until then its rate limit is kept for pipelines",
            ),
            problem(
                "gitlab-main: merge requests not read: data/dbt-models: GitLab answered 502 (and 3 more)",
            ),
            problem(
                "gitlab-main: only the last touched merge requests of infra/renovate are listed, the others are on the platform",
            ),
        ],
        ..answer(company())
    };
    let legder = ListQuery {
        q: "legder".into(),
        statuses: vec!["failed".into()],
        mine: true,
        draft: Some(true),
        ..ListQuery::default()
    };
    let nothing = {
        let mut a = answer(Vec::new());
        let s = a.summary.as_mut().unwrap();
        s.everything = 24;
        a
    };
    let mine = ListQuery { mine: true, sort: "status".into(), ..ListQuery::default() };
    let of_mine = {
        let mut a = answer(company());
        a.merge_requests.retain(|m| m.mine);
        a.total = 2;
        a
    };
    let many = {
        let mut a = answer(
            company()
                .into_iter()
                .cycle()
                .take(50)
                .enumerate()
                .map(|(i, mut m)| {
                    m.id = i.to_string();
                    m
                })
                .collect(),
        );
        (a.total, a.page) = (1_204, 2);
        let s = a.summary.as_mut().unwrap();
        (s.total, s.everything) = (1_204, 1_204);
        a
    };
    let second = ListQuery { page: 2, ..ListQuery::default() };
    let github = [source("github-main", "github", "GitHub")];
    let one_word = v1::ListMergeRequestsResponse {
        sources: vec![v1::Source { has_issues: false, ..github[0].clone() }],
        ..answer(company()[2..3].to_vec())
    };
    let unknown: Vec<v1::Source> =
        sources().into_iter().map(|s| v1::Source { owner: None, owner_known: false, ..s }).collect();
    let draw_issues =
        |ctx: &Ctx<'_>, query: &ListQuery, a: &v1::ListIssuesResponse| pages::issues(ctx, query, a).unwrap();
    let only_mine = ListQuery { mine: true, ..ListQuery::default() };
    let no_issues = {
        let mut a = issue_answer(Vec::new());
        a.summary.as_mut().unwrap().everything = 18;
        a.sources = unknown.clone();
        a
    };
    let lines: Vec<Line> = super::overview::company(12);
    let overview = super::kit::answer(&lines, sources());
    let nobody = {
        let mut a = super::kit::answer(&lines, unknown);
        a.rows.clear();
        a.total = 0;
        a
    };
    let jenkins = vec![source("jenkins-prod", "jenkins", "Jenkins")];
    let of_jenkins = super::kit::answer(&super::overview::broken_three()[..1], jenkins.clone());
    vec![
        ("merge-requests", plain(&answer(company()))),
        ("merge-requests-next", draw(&Ctx { version: Some("3.18".into()), ..base.clone() }, &none, &next)),
        ("merge-requests-none", plain(&answer(Vec::new()))),
        ("merge-requests-reading", draw(&base, &none, &reading)),
        ("merge-requests-reading-half", draw(&base, &none, &half)),
        ("merge-requests-nothing", draw(&base, &legder, &nothing)),
        ("merge-requests-mine", draw(&base, &mine, &of_mine)),
        ("merge-requests-many", draw(&base, &second, &many)),
        ("merge-requests-odd", plain(&answer(odd()))),
        ("merge-requests-missing", plain(&missing)),
        (
            "merge-requests-source-away",
            draw(&Ctx { live: Live::Partly { live: 3, of: 4 }, ..base.clone() }, &none, &away),
        ),
        (
            "merge-requests-away",
            draw(&Ctx { live: Live::AsOf(ago(8 * MIN)), ..base.clone() }, &none, &answer(company())),
        ),
        (
            "merge-requests-no-people",
            draw(&Ctx { show_people: false, ..base.clone() }, &only_mine, &answer(company())),
        ),
        (
            "merge-requests-below-a-path",
            draw(&Ctx { base_path: "/ci", ..base.clone() }, &none, &answer(company())),
        ),
        (
            "pull-requests",
            draw(&Ctx { nav: Nav::from_sources(&one_word.sources), ..base.clone() }, &none, &one_word),
        ),
        ("issues", draw_issues(&base, &none, &issue_answer(issues()))),
        ("issues-nothing", draw_issues(&base, &only_mine, &no_issues)),
        ("overview-mine", pages::overview(&base, &only_mine, &overview).unwrap()),
        ("overview-mine-nobody", pages::overview(&base, &only_mine, &nobody).unwrap()),
        (
            "overview-jenkins",
            pages::overview(&Ctx { nav: Nav::from_sources(&jenkins), ..base }, &none, &of_jenkins).unwrap(),
        ),
    ]
}

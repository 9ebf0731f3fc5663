//! Every state of the overview.

use api::{timestamp, v1};
use web::pages::{self, Ctx, ErrorPage, ListQuery, Live};

use super::kit::*;

/// The project names of a mid-sized company.
const GROUPS: &[&str] =
    &["payments", "web-platform", "data", "infra", "mobile", "embedded", "search", "identity"];
const NAMES: &[&str] = &[
    "ledger-api",
    "fraud-rules",
    "checkout",
    "design-system",
    "warehouse-etl",
    "terraform-live",
    "ios-app",
    "firmware",
    "feature-store",
    "docs",
    "gateway",
    "session-store",
    "mailer",
    "invoices",
    "catalog",
];
const TITLES: &[&str] = &[
    "Tighten velocity rule for new cards",
    "Bump icons to 4.1",
    "Fix crash on cold start",
    "Add eu-north-1 replica",
    "Backfill Q3 aggregates",
    "Retry on 503 from the registry",
    "Drop Python 3.9",
    "Speed up the first paint",
];
const PEOPLE: &[&str] = &["mira", "jonas", "lee", "ida", "noor", "tomas"];
const SOURCES: &[&str] = &["gitlab-main", "github-main", "gitlab-main", "bitbucket"];

pub(crate) fn broken_three() -> Vec<Line> {
    vec![
        line("jenkins-prod", "embedded/firmware-nightly", "release/4.2")
            .red("Package: no space left on device", 9 * HOUR + 2 * MIN, 4)
            .commit("9f31c04aa", "ole", "Grow the image by a splash screen")
            .typical(3125)
            .changed(38 * MIN),
        Line { fix: true, ..line("gitlab-main", "payments/ledger-api", "main") }
            .red("unit-tests: 3 of 1,204 tests failed", 2 * HOUR + 14 * MIN, 2)
            .commit("a41f9c2d", "mira", "Round half even in fees")
            .typical(372)
            .changed(4 * MIN)
            .running(250),
        line("github-main", "web-platform/checkout", "main")
            .red("e2e (firefox): timeout after 30 min", 47 * MIN, 1)
            .commit("77d01be9", "jonas", "Lazy-load the basket")
            .typical(1900)
            .changed(12 * MIN),
    ]
}

pub(crate) fn odd_ones() -> Vec<Line> {
    vec![
        Line {
            outcome: v1::Outcome::Warning,
            failure: Some("lint-sql (3 of 41 jobs were allowed to fail)".into()),
            ..line("gitlab-main", "data/warehouse-etl", "main")
        }
        .typical(751)
        .changed(MIN),
        line("github-main", "web-platform/design-system", "main")
            .commit("c0ffee1a", "lee", "Bump icons to 4.1")
            .typical(228)
            .running(80)
            .changed(20),
        Line { waiting: Some(26 * MIN), ..line("gitlab-main", "payments/ledger-deploy", "main") }
            .commit("e7f1a20b", "mira", "Deploy 2.8.1")
            .typical(131)
            .changed(26 * MIN),
        Line { canceled_last: true, ..line("github-main", "web-platform/docs", "main") }
            .commit("44ad9c0e", "lee", "Mention the new flag")
            .typical(62)
            .changed(44 * MIN),
        Line { no_runs: true, ..line("gitlab-main", "sandbox/prototype-x", "main") }.changed(12 * DAY),
        Line {
            problem: Some(("partial", "2 of 5 workflows could not be read: 502 from the platform".into())),
            ..line("github-main", "identity/session-store", "main")
        },
    ]
}

/// So many lines: the three broken ones and the odd ones first.
pub(crate) fn company(n: usize) -> Vec<Line> {
    let mut lines = broken_three();
    lines.extend(odd_ones());
    lines.truncate(n);
    let mut dice = Dice::new(11);
    for i in lines.len()..n {
        let pick = |dice: &mut Dice, from: &[&'static str]| from[dice.roll(from.len() as u64) as usize];
        let name = format!("{}/{}-{i}", pick(&mut dice, GROUPS), NAMES[i % NAMES.len()]);
        let l = line(pick(&mut dice, SOURCES), &name, "main")
            .commit(&format!("{:07x}", dice.roll(1 << 28)), pick(&mut dice, PEOPLE), pick(&mut dice, TITLES))
            .typical(30 + dice.roll(1500))
            .changed(60 * (i as i64));
        lines.push(if i % 11 == 0 { l.running(40 + (i as i64)) } else { l });
    }
    lines
}

pub(crate) fn all_green(n: usize) -> Vec<Line> {
    let mut lines = company(n + 9);
    lines.drain(..9);
    lines
}

fn draw(ctx: &Ctx<'_>, query: &ListQuery, answer: &v1::ListProjectsResponse) -> String {
    pages::overview(ctx, query, answer).unwrap()
}

fn plain(answer: &v1::ListProjectsResponse) -> String {
    draw(&ctx(), &ListQuery::default(), answer)
}

fn folded() -> Vec<Line> {
    let mut lines = company(60);
    for i in 0..12 {
        let folded = Some(["archived", "no_ci", "quiet"][i % 3]);
        lines.push(Line { folded, ..line("gitlab-main", &format!("attic/old-{i}"), "main") });
    }
    lines
}

fn forty_broken() -> Vec<Line> {
    let causes = [
        "npm ERR! code E503 Service Unavailable – registry.example.com",
        "Package: no space left on device",
        "e2e (firefox): timeout after 30 min",
        "unit-tests: 3 of 1,204 tests failed",
        "lint failed",
    ];
    let mut lines = company(100);
    for (i, l) in lines.iter_mut().enumerate().skip(3).take(37) {
        *l = line(l.source, &format!("{}-b", l.name), "main").red(
            causes[i % 5],
            (i as i64) * 13 * MIN,
            1 + i % 4,
        );
    }
    lines.sort_by_key(|l| (l.outcome != v1::Outcome::Failed, -l.broken_for.unwrap_or(0)));
    // As the aggregator gives them: the largest group first, those with a reason of their own last.
    let red = lines.iter().filter(|l| l.outcome == v1::Outcome::Failed);
    let reasons: Vec<String> = red.filter_map(|l| l.failure.clone()).collect();
    let count = |of: &str| reasons.iter().filter(|r| *r == of).count() as u32;
    let alone = reasons.iter().filter(|r| count(r) == 1).count() as u32;
    for l in lines.iter_mut().filter(|l| l.outcome == v1::Outcome::Failed) {
        let (text, rows) = match l.failure.as_deref().map(|f| (f, count(f))) {
            Some((text, rows)) if rows > 1 => (text.to_owned(), rows),
            _ => (String::new(), alone),
        };
        l.cause = Some(v1::CauseGroup { text, rows });
    }
    let place = |c: &v1::CauseGroup| (c.text.is_empty(), -i64::from(c.rows), c.text.clone());
    lines.sort_by_cached_key(|l| (l.cause.is_none(), l.cause.as_ref().map(place)));
    lines
}

fn long_and_odd_names() -> Vec<Line> {
    let long = "a-department-with-a-name-that-never-ends/and-a-team-below-it-that-is-no-shorter/the-service-whose-name-still-has-to-be-seen";
    vec![
        line(
            "gitlab-main",
            long,
            "feature/JIRA-12345-a-branch-that-tells-the-whole-story-of-its-making-and-then-some",
        )
        .red(
            &format!("build-and-test-and-package-everything: {}", "a very long reason ".repeat(12)),
            30 * HOUR,
            3,
        )
        .commit(
            "a41f9c2d",
            "A Person With Quite A Long Name Indeed von und zu Beispielhausen",
            &"A title that goes on ".repeat(12),
        ),
        line("github-main", "פרויקטים/מערכת-תשלומים", "ראשי")
            .red("הבדיקות נכשלו: 3 מתוך 1,204", 3 * HOUR, 2)
            .commit("b41f9c2d", "נועה", "תיקון עיגול בעמלות"),
        line("gitlab-main", "منصة/واجهة-الدفع", "الرئيسي")
            .commit("c41f9c2d", "ليلى", "إصلاح التقريب في الرسوم")
            .running(60),
        line("github-main", "日本語グループ/請求書サービス", "本番").commit(
            "d41f9c2d",
            "さくら",
            "端数処理を修正",
        ),
        line("gitlab-main", "odd/<script>alert(1)</script>", "a\"b'c&d").commit(
            "e41f9c2d",
            "<b>mira</b>",
            "<img src=x onerror=alert(1)>",
        ),
        line("gitlab-main", &format!("x/{}", "w".repeat(400)), "m"),
        line("jenkins-prod", "a job with spaces/100% of it/it's \"quoted\"", "main"),
        line("bitbucket", "👩‍💻/emoji-🚀", "main").commit("f41f9c2d", "🦊", "🎉 done"),
    ]
}

fn problems() -> Vec<Line> {
    let bad = |name: &str, kind, text: &str| Line {
        problem: Some((kind, text.into())),
        no_runs: true,
        ..line("github-main", name, "")
    };
    let mut lines = vec![
        bad("acme/private", "forbidden", "GitHub answered 403: the token needs the scope `repo`"),
        bad("acme/gone", "not_found", "not found on any source: is the name in `watched_repos` right?"),
        bad("acme/taken-down", "legal", "taken down for legal reasons (451)"),
        bad("acme/empty", "empty", "the repository is empty"),
        bad("acme/garbage", "garbage", "the platform answered something that is none of its answers"),
        bad("acme/away", "unreachable", "no answer within 10 s"),
        Line { outcome: v1::Outcome::Unknown, ..line("github-main", "acme/strange", "main") },
        line("github-main", "acme/fine", "main"),
    ];
    lines[6].title = "Something".into();
    lines
}

fn loading_source(name: &str, platform: &str, read: u32, expected: Option<u32>) -> v1::Source {
    v1::Source {
        state: v1::SourceState::Loading.into(),
        read,
        expected,
        last_success_at: None,
        ..source(name, platform, platform)
    }
}

fn down() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Down.into(),
        error: Some("Connection refused by jenkins.example.com:443".into()),
        failing_since: Some(timestamp(ago(20 * MIN))),
        last_success_at: Some(timestamp(ago(14 * MIN + 10))),
        next_try_at: Some(timestamp(ago(-20))),
        ..source("jenkins-prod", "jenkins", "Jenkins")
    }
}

fn one_source_away(with_red: bool) -> v1::ListProjectsResponse {
    let mut lines = if with_red { company(46) } else { all_green(46) };
    for i in 0..14 {
        let seen_red = Line {
            as_of: Some(14 * MIN),
            ..line("jenkins-prod", &format!("embedded/firmware-{i}"), "release/4.2")
        };
        lines.push(if i == 0 {
            seen_red.red("Package: no space left on device", 9 * HOUR, 3)
        } else {
            seen_red
        });
    }
    let mut all = sources();
    all[2] = down();
    answer(&lines, all)
}

/// Name and page of every state.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let base = ctx();
    let with = |live| Ctx { live, ..base.clone() };
    let reading = vec![
        loading_source("gitlab-main", "gitlab", 312, Some(640)),
        loading_source("github-main", "github", 564, Some(564)),
    ];
    let half_read: Vec<Line> =
        all_green(20).into_iter().enumerate().map(|(i, l)| Line { loading: i >= 8, ..l }).collect();
    let refused = v1::Source {
        state: v1::SourceState::Down.into(),
        error: Some("GitHub refused the token (401): it needs the scope `repo`, or read access to Actions and Contents".into()),
        last_success_at: None,
        ..source("github-main", "github", "GitHub")
    };
    let limited = v1::Source {
        state: v1::SourceState::Limited.into(),
        error: Some("5,000 requests an hour are used up".into()),
        next_try_at: Some(timestamp(ago(-12 * MIN))),
        ..source("github-main", "github", "GitHub")
    };
    let partly = v1::Source {
        state: v1::SourceState::Failing.into(),
        error: Some("page 3 of its projects answered 502".into()),
        failing_since: Some(timestamp(ago(5 * MIN))),
        ..source("gitlab-main", "gitlab", "GitLab")
    };
    let nothing_found = {
        let mut a = answer(&company(60), sources());
        a.rows.clear();
        a.total = 0;
        a.suggestion = Some("ledger-api".into());
        a.summary.as_mut().unwrap().hours.clear();
        a
    };
    let legder = ListQuery { q: "legder".into(), statuses: vec!["broken".into()], ..Default::default() };
    let big = {
        let mut a = answer(&company(1200), sources());
        a.rows.truncate(50);
        a
    };
    let hundred = {
        let mut a = answer(&company(1200), sources());
        a.rows.truncate(100);
        a.per_page = 100;
        a
    };
    let page_two = ListQuery { page: 2, ..Default::default() };
    let mut second = big.clone();
    second.rows = answer(&company(1200), sources()).rows[50..100].to_vec();
    second.page = 2;
    let filtered = {
        let mut a = answer(
            &company(60).into_iter().filter(|l| l.source == "github-main").collect::<Vec<_>>(),
            sources(),
        );
        let s = a.summary.as_mut().unwrap();
        (s.everything, s.everything_broken) = (60, 3);
        a
    };
    let github = ListQuery { sources: vec!["github-main".into()], sort: "name".into(), ..Default::default() };
    let recovered = {
        // The same board a moment later: ledger-api is green, docs turned red, a new run goes on.
        let mut lines = company(60);
        lines[1] = Line {
            running: None,
            fix: false,
            outcome: v1::Outcome::Success,
            failure: None,
            broken_for: None,
            reds: vec![],
            ..lines[1].clone()
        }
        .commit("b52e0d3f", "mira", "Round half even in fees, this time tested")
        .changed(10);
        let docs = lines.remove(6).red("build: mkdocs exited with 1", 15, 1).changed(15);
        lines.insert(2, docs);
        let ledger = lines.remove(1);
        lines.insert(6, ledger);
        lines[20] = lines[20].clone().running(5);
        lines
    };
    let first_start =
        v1::ListProjectsResponse { summary: Some(v1::Summary::default()), ..Default::default() };
    let still_reading = v1::ListProjectsResponse {
        sources: reading,
        summary: Some(v1::Summary::default()),
        ..Default::default()
    };
    vec![
        ("overview-3", plain(&answer(&broken_three(), sources()))),
        ("overview-60", plain(&answer(&company(60), sources()))),
        (
            "overview-60-next",
            draw(
                &Ctx { version: Some("3.18".into()), ..base.clone() },
                &ListQuery::default(),
                &answer(&recovered, sources()),
            ),
        ),
        ("overview-1200", plain(&big)),
        ("overview-1200-page-2", draw(&base, &page_two, &second)),
        ("overview-100-rows", draw(&base, &ListQuery { per_page: 100, ..Default::default() }, &hundred)),
        (
            "overview-40-broken",
            plain(&{
                let mut a = answer(&forty_broken(), sources());
                a.rows.truncate(50);
                a
            }),
        ),
        ("overview-one", plain(&answer(&all_green(1), vec![source("gitlab-main", "gitlab", "GitLab")]))),
        ("overview-folded", plain(&answer(&folded(), sources()))),
        ("overview-filtered", draw(&base, &github, &filtered)),
        ("odd-names", plain(&answer(&long_and_odd_names(), sources()))),
        ("problems", plain(&answer(&problems(), sources()))),
        ("all-green", plain(&answer(&all_green(60), sources()))),
        ("nothing-broken", plain(&answer(&company(30)[3..], sources()))),
        (
            "source-away",
            draw(&with(Live::Partly { live: 3, of: 4 }), &ListQuery::default(), &one_source_away(false)),
        ),
        (
            "source-away-red",
            draw(&with(Live::Partly { live: 3, of: 4 }), &ListQuery::default(), &one_source_away(true)),
        ),
        (
            "source-refused",
            draw(
                &with(Live::Partly { live: 0, of: 1 }),
                &ListQuery::default(),
                &v1::ListProjectsResponse {
                    sources: vec![refused],
                    summary: Some(v1::Summary::default()),
                    ..Default::default()
                },
            ),
        ),
        ("source-limited", plain(&answer(&all_green(12), vec![limited, partly]))),
        ("empty-filter", draw(&base, &legder, &nothing_found)),
        ("first-start", draw(&with(Live::NoSource), &ListQuery::default(), &first_start)),
        ("reading", draw(&with(Live::Loading), &ListQuery::default(), &still_reading)),
        (
            "reading-half",
            draw(
                &with(Live::Loading),
                &ListQuery::default(),
                &answer(
                    &half_read,
                    vec![
                        loading_source("gitlab-main", "gitlab", 8, Some(20)),
                        source("github-main", "github", "GitHub"),
                    ],
                ),
            ),
        ),
        (
            "aggregator-away",
            draw(&with(Live::AsOf(ago(8 * MIN))), &ListQuery::default(), &answer(&all_green(12), sources())),
        ),
        (
            "no-people",
            draw(
                &Ctx { show_people: false, ..base.clone() },
                &ListQuery::default(),
                &answer(&broken_three(), sources()),
            ),
        ),
        (
            "below-a-path",
            draw(
                &Ctx { base_path: "/ci", ..base.clone() },
                &ListQuery::default(),
                &answer(&company(12), sources()),
            ),
        ),
        (
            "not-found",
            pages::error(
                &base,
                &ErrorPage {
                    status: 404,
                    title: "There is no such page",
                    text: "Nothing is at this address. It may have moved with its project.",
                    hint: None,
                    request_id: Some("6f1d2c9a40b75e8833c1a0de"),
                },
            )
            .unwrap(),
        ),
        (
            "unavailable",
            pages::error(
                &with(Live::AsOf(ago(8 * MIN))),
                &ErrorPage {
                    status: 503,
                    title: "The aggregator does not answer",
                    text: "This page was not read before, so there is nothing old to show.",
                    hint: Some("It asks again by itself. The overview can still be read."),
                    request_id: Some("6f1d2c9a40b75e8833c1a0de"),
                },
            )
            .unwrap(),
        ),
    ]
}

//! The rules that the board keeps whatever the order in which observations arrive.

use std::collections::BTreeSet;

use aggregator::board::{Board, Change, MAX_RUNS, Observation, Rules, Seen, Told};
use connector::Heads;
use domain::{
    Branch, NativeId, Outcome, Pipeline, PlatformId, Problem, ProblemKind, Project, ProjectKey, RunId,
    SourceName, Status, Timestamp,
};
use proptest::prelude::*;

const FORGE: PlatformId = PlatformId::new("forge");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn source() -> SourceName {
    SourceName::new("src").unwrap()
}

fn key(id: &str) -> ProjectKey {
    ProjectKey::new(source(), NativeId::new(id))
}

fn project(id: &str) -> Project {
    Project { default_branch: Some("main".into()), ..Project::named(key(id), FORGE, format!("group/{id}")) }
}

fn run(id: u64, status: Status, updated: i64) -> Pipeline {
    let mut run = Pipeline::new(RunId::from(id), status, status.as_str());
    run.branch = Some("main".into());
    run.workflow.lane = "ci".into();
    run.created_at = Some(at(i64::try_from(id).unwrap() * 10));
    run.updated_at = Some(at(updated));
    run
}

fn heads(runs: Vec<Pipeline>) -> Box<Heads> {
    Box::new(Heads { default_branch: Some(Branch::named("main")), pipelines: runs, ..Heads::default() })
}

fn board() -> Board {
    let mut board = Board::new(7);
    board.configure(source(), Rules::default());
    board
}

fn see(board: &mut Board, asked: i64, seen: Seen) -> Vec<Change> {
    board.apply(Observation { asked_at: at(asked), seen })
}

fn outcome(board: &Board, id: &str) -> Option<Outcome> {
    board.get(&key(id)).unwrap().shown().first().unwrap().rollup.outcome
}

fn status(board: &Board, run: u64) -> Status {
    board.run(&key("a"), &RunId::from(run)).unwrap().status
}

#[test]
fn what_says_nothing_new_changes_nothing() {
    let mut b = board();
    assert_eq!(see(&mut b, 1, Seen::Projects(vec![project("a")])).len(), 1);
    assert_eq!(see(&mut b, 2, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 5)]))).len(), 1);
    let version = b.version();
    assert_eq!(see(&mut b, 3, Seen::Projects(vec![project("a")])), []);
    assert_eq!(see(&mut b, 4, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 5)]))), []);
    assert_eq!(b.version(), version);
    see(&mut b, 5, Seen::Heads(key("a"), heads(vec![run(1, Status::Failed, 6)])));
    assert!(b.version() > version);
}

#[test]
fn older_news_never_overwrites_newer() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 10, Seen::Heads(key("a"), heads(vec![run(1, Status::Failed, 9)])));
    // Asked before, arrived after: the platform's own time of the run decides.
    see(&mut b, 5, Seen::Heads(key("a"), heads(vec![run(1, Status::Running, 4)])));
    assert_eq!(status(&b, 1), Status::Failed);
    // An older answer cannot take away a run that it could not know either.
    see(&mut b, 6, Seen::Heads(key("a"), heads(vec![])));
    assert_eq!(status(&b, 1), Status::Failed);
}

#[test]
fn a_re_run_leaves_a_terminal_state_and_its_old_end_goes() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    let mut ended = run(1, Status::Failed, 9);
    ended.finished_at = Some(at(9));
    ended.failure = Some("unit-tests".into());
    ended.author = Some(domain::Person::named("mira"));
    see(&mut b, 10, Seen::Heads(key("a"), heads(vec![ended])));
    see(&mut b, 20, Seen::Heads(key("a"), heads(vec![run(1, Status::Running, 15)])));
    let now = b.run(&key("a"), &RunId::from(1)).unwrap();
    assert_eq!((now.status, now.finished_at, now.failure.as_deref()), (Status::Running, None, None));
    assert_eq!(now.author.as_ref().unwrap().name, "mira", "whose commit it is does not change");
}

#[test]
fn a_late_answer_never_resurrects_what_left() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a"), project("b")]));
    let named = BTreeSet::from([NativeId::new("b")]);
    let gone = see(&mut b, 10, Seen::ListingEnded { source: source(), named });
    assert_eq!(gone, [Change { project: key("a"), gone: true }]);
    // Asked before it left, arrived after.
    assert_eq!(see(&mut b, 9, Seen::Projects(vec![project("a")])), []);
    assert_eq!(see(&mut b, 9, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 5)]))), []);
    assert!(b.get(&key("a")).is_none());
    // Asked after: it is there again.
    assert_eq!(see(&mut b, 11, Seen::Projects(vec![project("a")])).len(), 1);
}

#[test]
fn a_project_that_is_newer_than_the_listing_stays() {
    let mut b = board();
    see(&mut b, 12, Seen::Projects(vec![project("new")]));
    assert_eq!(see(&mut b, 10, Seen::ListingEnded { source: source(), named: BTreeSet::new() }), []);
}

#[test]
fn another_sources_projects_are_not_touched_by_a_listing() {
    let mut b = board();
    let other = ProjectKey::new(SourceName::new("other").unwrap(), NativeId::new("a"));
    see(&mut b, 1, Seen::Projects(vec![project("a"), Project::named(other.clone(), FORGE, "a")]));
    see(&mut b, 2, Seen::ListingEnded { source: source(), named: BTreeSet::new() });
    assert!(b.get(&key("a")).is_none());
    assert!(b.get(&other).is_some(), "the same native id at another source is another project");
}

#[test]
fn what_cannot_be_read_keeps_what_is_known_and_says_why() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 2, Seen::Heads(key("a"), heads(vec![run(1, Status::Failed, 2)])));
    see(&mut b, 3, Seen::Unreadable(key("a"), Problem::new(ProblemKind::Forbidden, "403")));
    let entry = b.get(&key("a")).unwrap();
    assert_eq!(entry.problem().unwrap().kind, ProblemKind::Forbidden);
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    see(&mut b, 4, Seen::Heads(key("a"), heads(vec![run(1, Status::Failed, 2)])));
    assert!(b.get(&key("a")).unwrap().problem().is_none(), "and the reason goes when it can be read again");
}

#[test]
fn a_run_that_the_platform_deleted_goes_but_not_when_the_page_was_cut() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 2, Seen::Heads(key("a"), heads(vec![run(2, Status::Failed, 2), run(1, Status::Success, 1)])));
    let mut cut = heads(vec![run(1, Status::Success, 1)]);
    cut.problems.push(Problem::new(ProblemKind::Partial, "page 1 broke off"));
    see(&mut b, 3, Seen::Heads(key("a"), cut));
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    see(&mut b, 4, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 1)])));
    assert_eq!(outcome(&b, "a"), Some(Outcome::Success));
}

#[test]
fn runs_beyond_the_newest_page_stay_until_they_are_too_many() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    let page =
        |from: u64| (from..from + MAX_RUNS as u64).map(|i| run(i, Status::Success, 1)).collect::<Vec<_>>();
    see(&mut b, 2, Seen::Heads(key("a"), heads(page(1))));
    see(&mut b, 3, Seen::Heads(key("a"), heads(page(11))));
    let runs = b.get(&key("a")).unwrap().runs();
    assert_eq!(runs.first().unwrap().id, RunId::from(110));
    assert!(runs.len() >= MAX_RUNS);
    assert!(runs.len() <= MAX_RUNS + domain::stats::STRIP_RUNS);
}

#[test]
fn text_from_outside_is_bounded_before_it_is_kept() {
    let mut b = board();
    let mut odd = project("a");
    odd.name = format!("evil\u{202E}\u{0}{}", "x".repeat(1_000_000));
    see(&mut b, 1, Seen::Projects(vec![odd]));
    let name = &b.get(&key("a")).unwrap().project.name;
    assert!(name.chars().count() <= domain::text::MAX_NAME + 1 && !name.contains(['\u{202E}', '\0']));
}

#[test]
fn a_source_shows_the_branches_that_it_names() {
    let mut b = Board::new(7);
    let branches = domain::Patterns::new(["main", "release/*"]).unwrap();
    b.configure(source(), Rules { branches, ..Rules::default() });
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    let on = |id: u64, branch: &str, status| Pipeline { branch: Some(branch.into()), ..run(id, status, 1) };
    let runs = vec![
        on(3, "feature/x", Status::Failed),
        on(2, "release/4.2", Status::Failed),
        on(1, "main", Status::Success),
    ];
    see(&mut b, 2, Seen::Heads(key("a"), heads(runs)));
    let shown: Vec<_> =
        b.get(&key("a")).unwrap().shown().iter().map(|s| (&*s.name, s.rollup.outcome)).collect();
    assert_eq!(shown, [("main", Some(Outcome::Success)), ("release/4.2", Some(Outcome::Failed))]);
}

fn told(id: &str, runs: Vec<Pipeline>) -> Seen {
    Seen::Told(Box::new(Told { project: project(id), runs, add: true }))
}

#[test]
fn a_webhook_that_was_overtaken_does_not_start_a_run_again() {
    let timeless = |status| Pipeline { updated_at: None, ..run(1, status, 0) };
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 2, told("a", vec![timeless(Status::Success)]));
    assert_eq!(see(&mut b, 3, told("a", vec![timeless(Status::Running)])), []);
    assert_eq!(
        see(&mut b, 3, told("a", vec![run(1, Status::Running, 9)])),
        [],
        "nothing to compare that with"
    );
    assert_eq!(status(&b, 1), Status::Success);
    // Started over: by its attempt, by a time after its end, by the platform's own answer.
    see(&mut b, 4, told("a", vec![Pipeline { attempt: Some(1), ..timeless(Status::Failed) }]));
    see(&mut b, 5, told("a", vec![Pipeline { attempt: Some(2), ..timeless(Status::Running) }]));
    assert_eq!(status(&b, 1), Status::Running);
    see(&mut b, 6, told("a", vec![Pipeline { finished_at: Some(at(20)), ..timeless(Status::Failed) }]));
    assert_eq!(see(&mut b, 7, told("a", vec![run(1, Status::Running, 20)])), [], "one moment");
    see(&mut b, 8, told("a", vec![run(1, Status::Running, 21)]));
    assert_eq!(status(&b, 1), Status::Running);
    see(&mut b, 9, told("a", vec![timeless(Status::Failed)]));
    see(&mut b, 10, Seen::Heads(key("a"), heads(vec![timeless(Status::Running)])));
    assert_eq!(status(&b, 1), Status::Running);
}

#[test]
fn what_a_webhook_tells_is_there_at_once_and_once() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 2, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 2)])));
    assert_eq!(see(&mut b, 30, told("a", vec![run(2, Status::Failed, 29)])).len(), 1);
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    assert_eq!(see(&mut b, 31, told("a", vec![run(2, Status::Failed, 29)])), [], "the same again");
    assert_eq!(see(&mut b, 32, told("a", vec![run(2, Status::Running, 28)])), [], "out of order");
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    // It is no description: a row keeps what the listing said.
    let mut bare = project("a");
    bare.name = "a".into();
    see(&mut b, 33, Seen::Told(Box::new(Told { project: bare, runs: Vec::new(), add: true })));
    assert_eq!(b.get(&key("a")).unwrap().project.name, "group/a");
}

#[test]
fn an_answer_on_its_way_does_not_take_away_what_a_webhook_told_meanwhile() {
    let mut b = board();
    see(&mut b, 1, Seen::Projects(vec![project("a")]));
    see(&mut b, 30, told("a", vec![run(2, Status::Failed, 29)]));
    // Asked before, and asked just after, from a copy that lags.
    see(&mut b, 25, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 2)])));
    see(&mut b, 31, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 2)])));
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    // Much later the list is right.
    see(&mut b, 300, Seen::Heads(key("a"), heads(vec![run(1, Status::Success, 2)])));
    assert_eq!(outcome(&b, "a"), Some(Outcome::Success));
}

#[test]
fn a_webhook_makes_a_row_where_it_may() {
    let mut b = board();
    let may_not = Told { project: project("a"), runs: vec![run(1, Status::Failed, 5)], add: false };
    assert_eq!(see(&mut b, 6, Seen::Told(Box::new(may_not))), []);
    assert!(b.get(&key("a")).is_none());
    assert_eq!(see(&mut b, 7, told("a", vec![run(1, Status::Failed, 5)])).len(), 1);
    let entry = b.get(&key("a")).unwrap();
    assert!(!entry.is_loading() && entry.problem().is_none());
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    // A listing that began before cannot know it; one that began after does.
    see(&mut b, 6, Seen::ListingEnded { source: source(), named: BTreeSet::new() });
    assert!(b.get(&key("a")).is_some());
    see(&mut b, 9, Seen::ListingEnded { source: source(), named: BTreeSet::new() });
    assert!(b.get(&key("a")).is_none() && b.has_left(&key("a")));
    // A delivery from before it left does not bring it back; a newer one does.
    assert_eq!(see(&mut b, 11, told("a", vec![run(1, Status::Failed, 8)])), []);
    assert_eq!(see(&mut b, 12, told("a", vec![run(2, Status::Failed, 11)])).len(), 1);
}

#[test]
fn a_row_that_nobody_found_becomes_one_and_a_404_takes_nothing_away() {
    let mut b = board();
    let unfound =
        || Seen::NotFound(Project::named(key("a"), FORGE, "a"), Problem::new(ProblemKind::NotFound, "404"));
    see(&mut b, 1, unfound());
    see(&mut b, 2, told("a", vec![run(1, Status::Failed, 2)]));
    let entry = b.get(&key("a")).unwrap();
    assert!(entry.problem().is_none() && entry.project.name == "group/a");
    // The project is read, and listed, and not found by either.
    see(&mut b, 3, Seen::Unreadable(key("a"), Problem::new(ProblemKind::NotFound, "404")));
    see(&mut b, 4, unfound());
    let entry = b.get(&key("a")).unwrap();
    assert_eq!(entry.problem().unwrap().kind, ProblemKind::NotFound, "it says so");
    assert_eq!(entry.project.name, "group/a");
    assert_eq!(outcome(&b, "a"), Some(Outcome::Failed));
    see(&mut b, 5, told("a", vec![run(2, Status::Success, 5)]));
    assert_eq!(outcome(&b, "a"), Some(Outcome::Success));
}

#[derive(Debug, Clone)]
struct Step(i64, Seen);

fn any_step() -> impl Strategy<Value = Step> {
    let status = proptest::sample::select(Status::ALL.to_vec());
    let runs = proptest::collection::vec((1..5_u64, status, 0..50_i64), 0..5);
    let runs = runs.prop_map(|rows| {
        // A platform tells of a run once in an answer.
        let mut seen = BTreeSet::new();
        rows.into_iter()
            .filter(|(id, ..)| seen.insert(*id))
            .map(|(id, s, u)| run(id, s, u))
            .collect::<Vec<_>>()
    });
    let id = || proptest::sample::select(vec!["a", "b"]);
    let seen = prop_oneof![
        id().prop_map(|id| Seen::Projects(vec![project(id)])),
        (id(), runs.clone()).prop_map(|(id, runs)| Seen::Heads(key(id), heads(runs))),
        (id(), runs).prop_map(|(id, runs)| told(id, runs)),
        id().prop_map(|id| Seen::NotFound(
            Project::named(key(id), FORGE, id),
            Problem::new(ProblemKind::NotFound, "404")
        )),
        id().prop_map(|id| Seen::Unreadable(key(id), Problem::new(ProblemKind::Garbage, "x"))),
        id().prop_map(|id| Seen::ListingEnded {
            source: source(),
            named: BTreeSet::from([NativeId::new(id)])
        }),
        id().prop_map(|id| Seen::Gone(key(id))),
    ];
    (0..60_i64, seen).prop_map(|(asked, seen)| Step(asked, seen))
}

proptest! {
    #[test]
    fn saying_it_twice_is_saying_it_once(steps in proptest::collection::vec(any_step(), 0..30)) {
        let mut b = board();
        for Step(asked, seen) in steps {
            see(&mut b, asked, seen.clone());
            let version = b.version();
            prop_assert_eq!(see(&mut b, asked, seen), vec![]);
            prop_assert_eq!(b.version(), version);
        }
    }

    #[test]
    fn versions_rise_with_changes_and_only_then(steps in proptest::collection::vec(any_step(), 0..30)) {
        let mut b = board();
        for Step(asked, seen) in steps {
            let before = b.version();
            let changes = see(&mut b, asked, seen);
            prop_assert_eq!(b.version() > before, !changes.is_empty());
        }
    }

    #[test]
    fn deliveries_come_to_the_same_in_any_order(
        (sent, shuffled) in proptest::collection::vec((1..5_u64, 0..3_usize, 0..4_i64), 0..12)
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle()))
    ) {
        let after = |deliveries: Vec<(u64, usize, i64)>| {
            let mut b = board();
            for (id, progress, at) in deliveries {
                let status = [Status::Queued, Status::Running, Status::Failed][progress];
                see(&mut b, 100, told("a", vec![run(id, status, at)]));
            }
            let runs = b.get(&key("a")).map(|e| e.runs().to_vec());
            runs.unwrap_or_default().iter().map(|r| (r.id.clone(), r.status, r.updated_at)).collect::<Vec<_>>()
        };
        prop_assert_eq!(after(sent), after(shuffled));
    }

    #[test]
    fn a_run_never_goes_back_in_the_platforms_time(steps in proptest::collection::vec(any_step(), 0..30)) {
        let mut b = board();
        see(&mut b, 0, Seen::Projects(vec![project("a")]));
        for Step(asked, seen) in steps {
            let before: Vec<_> = b.get(&key("a")).map(|e| e.runs().to_vec()).unwrap_or_default();
            see(&mut b, asked, seen);
            for old in before {
                if let Some(new) = b.run(&key("a"), &old.id) {
                    prop_assert!(new.updated_at >= old.updated_at);
                }
            }
        }
    }
}

#[test]
fn a_job_without_branches_shows_its_runs_as_those_of_one_without_a_name() {
    let mut board = board();
    let feed = Project { default_branch: None, ..project("feed") };
    see(&mut board, 1, Seen::Projects(vec![feed]));
    assert!(board.get(&key("feed")).unwrap().shown().is_empty(), "nothing ran yet");
    let bare = |id, status| Pipeline { branch: None, ..run(id, status, 10) };
    let told =
        Heads { pipelines: vec![bare(2, Status::Running), bare(1, Status::Failed)], ..Heads::default() };
    see(&mut board, 2, Seen::Heads(key("feed"), Box::new(told)));
    let shown = board.get(&key("feed")).unwrap().shown();
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].name.as_str(), shown[0].runs.len()), ("", 2));
    assert_eq!(shown[0].rollup.outcome, Some(Outcome::Failed));
    assert!(shown[0].rollup.activity.is_some());
}

#[test]
fn five_green_runs_make_an_estimate_and_four_make_none() {
    let seconds = |d: Option<_>| d.as_ref().and_then(api::duration_back).map(|d| d.as_secs());
    let told = |greens: u64, going: Pipeline| {
        let mut b = board();
        see(&mut b, 1, Seen::Projects(vec![project("a")]));
        let green = |n| Pipeline {
            duration: Some(std::time::Duration::from_secs(n * 60)),
            ..run(n, Status::Success, 9)
        };
        let red =
            Pipeline { duration: Some(std::time::Duration::from_secs(1)), ..run(90, Status::Failed, 9) };
        let runs = (1..=greens).map(green).chain([red, going]).collect();
        see(&mut b, 10, Seen::Heads(key("a"), heads(runs)));
        let entry = b.get(&key("a")).unwrap();
        let going = b.run(&key("a"), &RunId::from(91)).unwrap();
        let wire = aggregator::query::pipeline_with_estimate(entry, going);
        (wire.expected_of, seconds(wire.expected_duration), seconds(wire.overdue_after))
    };
    let going = || run(91, Status::Running, 9);
    assert_eq!(told(4, going()), (0, None, None), "no guess");
    assert_eq!(told(5, going()), (5, Some(180), Some(300)), "the red one is no measure");
    assert_eq!(told(5, run(91, Status::Success, 9)), (0, None, None), "it has ended");
    let other = Pipeline { branch: Some("feature".into()), ..going() };
    assert_eq!(told(5, other).0, 5, "a branch without runs of its own goes by the others");
    let its_own = Pipeline { expected: Some(std::time::Duration::from_secs(42)), ..going() };
    assert_eq!(told(4, its_own.clone()), (0, Some(42), None), "until then what the platform says");
    assert_eq!(told(5, its_own), (5, Some(180), Some(300)));
}

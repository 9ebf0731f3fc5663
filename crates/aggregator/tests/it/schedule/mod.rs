//! The schedule against a platform in virtual time: it keeps to the limit and to an even rate, nothing starves, and what
//! matters is read soon. No I/O and no clock: a day takes a moment.

mod platform;

use self::platform::{Limit, Platform, secs};
use aggregator::schedule::{CONFIRM, GAP, Hook, MAX_PAUSE, Next, Reading, SETTLE, Work, most_within};
use domain::Timestamp;
use jiff::SignedDuration;
use proptest::prelude::*;

const MINUTES_5: SignedDuration = SignedDuration::from_mins(5);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const GITHUB: Limit = Limit { limit: 5_000, window: HOUR };

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn even(limit: Limit) -> f64 {
    limit.limit as f64 / limit.window.as_secs_f64()
}

/// The most that there may be in ten seconds: twice the even rate, or one piece of work where that is more. A process that begins
/// anew does not know what was sent within the last seconds, and sends one request.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn bound(platform: &Platform, limit: Limit) -> f64 {
    most_within(even(limit)).max(platform.cost as f64) + platform.most_restarts() as f64
}

#[test]
fn what_runs_is_read_every_ten_seconds_and_what_is_active_within_a_minute() {
    let mut platform = Platform::new(40, MINUTES_5, Some(GITHUB));
    platform.cost = 1;
    for n in 0..40 {
        platform.with(n, |p, now| {
            p.running = n < 3;
            p.moved_at = Some(now - SignedDuration::from_hours(if n < 20 { 0 } else { 24 * 40 }));
        });
    }
    platform.run_for(secs(120));
    let since = platform.now;
    platform.run_for(HOUR / 4);
    for n in 0..3 {
        assert!(platform.longest_gap(n, since) <= secs(25), "{n}: {}", platform.longest_gap(n, since));
    }
    for n in 3..20 {
        assert!(platform.longest_gap(n, since) <= secs(60), "{n}: {}", platform.longest_gap(n, since));
    }
    let of_dormant = platform.reads.iter().filter(|(at, id, _)| *at >= since && *id == Platform::id(30));
    assert!(of_dormant.count() <= 1, "an hour between two readings");
}

#[test]
fn many_at_once_are_asked_for_news_and_now_and_then_for_everything() {
    let mut platform = Platform::new(1_000, MINUTES_5, Some(GITHUB));
    (platform.cost, platform.batch) = (1, Some(100));
    for n in 300..1_000 {
        platform.with(n, |p, now| p.moved_at = Some(now - SignedDuration::from_hours(24 * 40)));
    }
    platform.run_for(HOUR);
    let since = platform.now;
    platform.run_for(HOUR);
    for n in 0..300 {
        assert!(platform.longest_gap(n, since) <= secs(60), "{n}: {}", platform.longest_gap(n, since));
    }
    let whole: Vec<_> = platform.reads.iter().filter(|(_, _, r)| *r == Reading::Whole).collect();
    let distinct: std::collections::BTreeSet<_> = whole.iter().map(|(_, id, _)| id).collect();
    assert_eq!(distinct.len(), 1_000, "each was read in whole");
    assert!(platform.sent_since(since) <= 1_000, "{} requests in an hour", platform.sent_since(since));
}

#[test]
fn a_listing_that_tells_everything_is_the_only_request_of_a_refresh() {
    let mut platform = Platform::new(80, MINUTES_5, None);
    platform.tells = true;
    platform.run_for(HOUR);
    assert!(platform.reads.is_empty(), "{:?}", platform.reads.len());
    // Active ones every 45 s, by one request about all.
    assert!((70..=90).contains(&platform.spent), "{}", platform.spent);
}

#[test]
fn a_webhook_is_read_for_after_a_moment_and_not_too_often() {
    let mut platform = Platform::new(5, MINUTES_5, Some(GITHUB));
    platform.run_for(secs(300));
    let (id, begun) = (Platform::id(2), platform.now);
    for _ in 0..600 {
        platform.scheduler.woken(&id, Hook::Touched, platform.now);
        platform.run_for(SignedDuration::from_millis(100));
    }
    let of_it = platform.reads.iter().filter(|(at, read, _)| *read == id && *at >= begun);
    let of_it: Vec<_> = of_it.map(|(at, _, how)| (*at, *how)).collect();
    assert!(of_it[0].0.duration_since(begun) >= SETTLE);
    assert!(of_it[0].0.duration_since(begun) <= GAP + SETTLE);
    assert!(of_it.iter().all(|(_, how)| *how == Reading::Urgent));
    assert!(of_it.windows(2).all(|w| w[1].0.duration_since(w[0].0) >= GAP), "{of_it:?}");
    assert!(of_it.len() >= 5, "and it does not starve: {of_it:?}");
}

#[test]
fn what_webhooks_told_whole_is_confirmed_by_one_question_about_all() {
    let mut platform = Platform::new(300, MINUTES_5, Some(GITHUB));
    (platform.cost, platform.batch) = (1, Some(100));
    platform.run_for(HOUR);
    let begun = platform.now;
    for n in 0..40 {
        platform.scheduler.woken(&Platform::id(n), Hook::Runs, platform.now);
        platform.run_for(SignedDuration::from_millis(100));
    }
    platform.run_for(CONFIRM + secs(1));
    let read_at = |n: usize| {
        let of_it = platform.reads.iter().find(|(at, id, _)| *at >= begun && *id == Platform::id(n));
        of_it.map(|(at, ..)| *at)
    };
    assert!((0..40).all(|n| read_at(n).is_some_and(|at| at <= begun + secs(4) + CONFIRM)));
    let questions: std::collections::BTreeSet<_> = (0..40).map(read_at).collect();
    assert!(questions.len() <= 4, "one of their own, beside those that were due: {questions:?}");

    // What failed is asked about at once: why is not told.
    platform.run_for(secs(60));
    let begun = platform.now;
    platform.scheduler.woken(&Platform::id(7), Hook::Failed, begun);
    platform.run_for(SETTLE + secs(1));
    let read = platform.reads.iter().any(|(at, id, _)| *at >= begun && *id == Platform::id(7));
    assert!(read, "{:?}", platform.scheduler.explain(&Platform::id(7), platform.now));
}

#[test]
fn a_webhook_that_comes_while_it_is_read_is_read_for_as_well() {
    let mut platform = Platform::new(1, MINUTES_5, None);
    platform.run_for(secs(300));
    let begun = platform.now;
    platform.scheduler.woken(&Platform::id(0), Hook::Touched, begun);
    // The question is on its way, or was answered: what happens now is not in the answer.
    platform.run_for(SETTLE + SignedDuration::from_millis(100));
    platform.scheduler.woken(&Platform::id(0), Hook::Touched, platform.now);
    platform.run_for(GAP + SETTLE);
    assert_eq!(platform.reads.iter().filter(|(at, ..)| *at >= begun).count(), 2);
}

#[test]
fn who_looks_is_served_from_the_reserve_while_the_rest_waits() {
    let limit = Limit { limit: 60, window: HOUR };
    let mut platform = Platform::new(200, MINUTES_5, Some(limit));
    platform.cost = 1;
    platform.run_for(HOUR / 2);
    let (id, begun) = (Platform::id(150), platform.now);
    platform.scheduler.looked_at(&id, begun);
    platform.run_for(secs(150));
    let looked =
        platform.reads.iter().find(|(at, read, how)| *at >= begun && *read == id && *how == Reading::Urgent);
    assert!(looked.is_some(), "read although 200 projects wait for 60 requests an hour");
}

#[test]
fn many_who_look_at_once_do_not_make_a_herd() {
    for limit in [60, 1_000, 5_000] {
        let limit = Limit { limit, window: HOUR };
        let mut platform = Platform::new(60, MINUTES_5, Some(limit));
        platform.run_for(HOUR / 4);
        for n in 0..60 {
            platform.scheduler.looked_at(&Platform::id(n), platform.now);
            platform.scheduler.woken(&Platform::id(n), Hook::Touched, platform.now);
        }
        platform.run_for(secs(120));
        let bound = bound(&platform, limit);
        assert!(platform.busiest() as f64 <= bound, "{limit:?}: {} of {bound}", platform.busiest());
    }
}

#[test]
fn a_source_that_is_down_is_probed_by_one_question_at_a_time_and_comes_back_by_itself() {
    let mut platform = Platform::new(300, MINUTES_5, Some(GITHUB));
    platform.run_for(HOUR);
    let begun = platform.now;
    platform.down_until = begun + HOUR;
    platform.run_until(begun + HOUR);
    let asked = platform.sent_since(begun + secs(60));
    assert!(asked <= 20, "{asked} requests to a source that was down for an hour");
    let back = platform.now;
    platform.run_for(MAX_PAUSE + MAX_PAUSE / 4 + secs(5));
    assert!(platform.sent_since(back) > 1, "it is asked again");
    assert!(platform.busiest() as f64 <= most_within(even(GITHUB)), "{}", platform.busiest());
}

#[test]
fn a_source_that_lists_and_cannot_be_read_is_left_alone_for_growing_pauses() {
    let mut platform = Platform::new(300, MINUTES_5, Some(GITHUB));
    platform.run_for(HOUR);
    platform.lists_only = true;
    let begun = platform.now;
    platform.run_for(HOUR);
    let read = platform.reads.iter().filter(|(at, _, _)| *at >= begun + secs(60)).count();
    assert!(read <= 20, "{read} projects were asked for while none could be read");
    platform.lists_only = false;
    let back = platform.now;
    platform.run_for(MAX_PAUSE + MAX_PAUSE / 4 + secs(60));
    let read = platform.reads.iter().filter(|(at, _, _)| *at >= back).count();
    assert!(read > 20, "and read again once it can be: {read}");
}

#[test]
fn what_failed_together_does_not_come_back_together() {
    let mut platform = Platform::new(50, MINUTES_5, None);
    platform.run_for(secs(60));
    let mut due = std::collections::BTreeSet::new();
    for n in 0..50 {
        let known = aggregator::schedule::Known::default();
        let failed = aggregator::schedule::Answer::Failed("it fails".to_owned());
        platform.scheduler.read(&Platform::id(n), known, Reading::Whole, failed, platform.now);
        let told = platform.scheduler.explain(&Platform::id(n), platform.now).unwrap();
        assert_eq!(told.why.as_str(), "failed");
        let every = told.every.unwrap();
        assert!(every >= secs(60) && every <= secs(75), "{every}");
        due.insert(told.due_at.unwrap());
    }
    assert!(due.len() > 25, "{} moments", due.len());
}

#[test]
fn something_that_changed_outside_wakes_it() {
    let mut platform = Platform::new(3, MINUTES_5, None);
    platform.down_until = platform.now + HOUR;
    platform.run_for(HOUR / 2);
    platform.down_until = platform.now;
    platform.scheduler.wake(platform.now);
    let means = aggregator::schedule::Means { spent: platform.spent, ..Default::default() };
    assert_eq!(platform.scheduler.next(platform.now, means), Next::Do(Work::List), "a new token, say");
}

#[test]
fn what_is_free_is_asked_for_within_the_limit_of_a_minute() {
    let mut platform = Platform::new(2_000, secs(10), Some(Limit { limit: 15_000, window: HOUR }));
    (platform.most_per_minute, platform.free_from) = (Some(900), Some(3_000));
    platform.run_for(HOUR);
    let all = platform.requests;
    assert!(all > 3_000 + 25_000, "{all}: as much as may be is asked for");
}

/// The platform's count outlives a restart, and what is kept of it tells the schedule that begins anew.
#[test]
fn restarts_in_a_loop_do_not_overdraw_the_limit() {
    let limit = Limit { limit: 1_000, window: HOUR };
    let mut platform = Platform::new(100, MINUTES_5, Some(limit));
    for _ in 0..700 {
        platform.restart();
        platform.run_for(secs(3));
    }
    assert!(platform.sent_since(Timestamp::MIN) >= 700, "and what the limit allows is used");
}

#[test]
fn every_decision_is_explained() {
    let mut platform = Platform::new(3, MINUTES_5, None);
    platform.run_for(secs(60));
    let told = platform.scheduler.explain(&Platform::id(1), platform.now).unwrap();
    assert_eq!(told.why.as_str(), "active");
    assert_eq!(told.due_at, told.asked_at.map(|at| at + secs(45)));
    platform.scheduler.woken(&Platform::id(1), Hook::Touched, platform.now);
    let told = platform.scheduler.explain(&Platform::id(1), platform.now).unwrap();
    assert_eq!(told.why.as_str(), "webhook");
    assert!(!told.hooked && told.webhook_at == Some(platform.now));
}

#[test]
fn polling_slows_while_webhooks_tell_of_runs() {
    let every =
        |platform: &Platform| platform.scheduler.explain(&Platform::id(1), platform.now).unwrap().every;
    let mut platform = Platform::new(3, MINUTES_5, None);
    platform.run_for(secs(60));
    platform.scheduler.woken(&Platform::id(1), Hook::Touched, platform.now);
    platform.run_for(secs(20));
    assert_eq!(every(&platform), Some(secs(45)), "a push says nothing about runs");
    assert!(!platform.scheduler.webhooks_alive(platform.now));

    platform.with(1, |p, now| p.moved_at = Some(now));
    platform.scheduler.woken(&Platform::id(1), Hook::Runs, platform.now);
    platform.run_for(secs(20));
    assert_eq!(every(&platform), Some(secs(225)), "its webhooks prove alive, and told of the change");
    assert!(platform.scheduler.webhooks_alive(platform.now));

    // Something that none told of.
    platform.run_for(secs(300));
    platform.with(1, |p, now| p.moved_at = Some(now));
    platform.run_for(secs(300));
    assert_eq!(every(&platform), Some(secs(45)), "they do not tell of all");

    // None for a day.
    platform.scheduler.woken(&Platform::id(1), Hook::Runs, platform.now);
    platform.run_for(secs(20));
    assert_eq!(every(&platform), Some(secs(225)));
    platform.projects.get_mut(&Platform::id(1)).unwrap().moved_at = Some(platform.now + HOUR * 23);
    platform.run_for(HOUR * 24 - secs(60));
    assert_eq!(every(&platform), Some(secs(225)));
    platform.run_for(secs(120));
    assert_eq!(every(&platform), Some(secs(45)));
    assert!(!platform.scheduler.webhooks_alive(platform.now));
}

#[derive(Debug, Clone)]
enum Event {
    Runs(usize),
    Ends(usize),
    Webhook(usize),
    Looks(usize),
    Down(i64),
    Suspended(i64),
    Woken,
    Restarted,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..60_usize).prop_map(Event::Runs),
        (0..60_usize).prop_map(Event::Ends),
        (0..60_usize).prop_map(Event::Webhook),
        (0..60_usize).prop_map(Event::Looks),
        (1..900_i64).prop_map(Event::Down),
        (1..20_000_i64).prop_map(Event::Suspended),
        Just(Event::Woken),
        Just(Event::Restarted),
    ]
}

fn story(platform: &mut Platform, events: &[(i64, Event)], projects: usize) {
    for (wait, event) in events {
        platform.run_for(secs(*wait));
        let n = |n: &usize| n % projects;
        match event {
            Event::Runs(p) => platform.with(n(p), |p, now| (p.running, p.moved_at) = (true, Some(now))),
            Event::Ends(p) => platform.with(n(p), |p, now| (p.running, p.moved_at) = (false, Some(now))),
            Event::Webhook(p) => platform.scheduler.woken(&Platform::id(n(p)), Hook::Runs, platform.now),
            Event::Looks(p) => platform.scheduler.looked_at(&Platform::id(n(p)), platform.now),
            Event::Down(seconds) => platform.down_until = platform.now + secs(*seconds),
            Event::Suspended(seconds) => platform.now += secs(*seconds),
            Event::Woken => platform.scheduler.wake(platform.now),
            Event::Restarted => platform.restart(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever happens: never over the limit, and never twice the even rate. (The platform of the test fails when it is
    /// asked too much.)
    #[test]
    fn the_limit_and_the_even_rate_hold_whatever_happens(
        events in prop::collection::vec((0..400_i64, event()), 1..25),
        projects in 1..120_usize,
        limit in prop_oneof![Just(60_u64), 60..1_000_u64, Just(1_000), Just(5_000), Just(15_000)],
        batch in prop_oneof![Just(None), Just(Some(20)), Just(Some(100))],
        cost in 1..3_u64,
    ) {
        let limit = Limit { limit, window: HOUR };
        let mut platform = Platform::new(projects, MINUTES_5, Some(limit));
        (platform.batch, platform.cost) = (batch, cost);
        story(&mut platform, &events, projects);
        platform.run_for(HOUR / 4);
        let bound = bound(&platform, limit);
        prop_assert!(platform.busiest() as f64 <= bound, "{} in ten seconds, of {bound}", platform.busiest());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// However little there is to spend, every project is read again and again, in proportion.
    #[test]
    fn nothing_starves(
        projects in 1..200_usize,
        limit in prop_oneof![Just(1_000_u64), Just(5_000)],
        running in 0..50_usize,
    ) {
        let limit = Limit { limit, window: HOUR };
        let mut platform = Platform::new(projects, MINUTES_5, Some(limit));
        for n in 0..running.min(projects) {
            platform.with(n, |p, _| p.running = true);
        }
        platform.run_for(HOUR / 2);
        let since = platform.now;
        platform.run_for(HOUR);
        let stretch = platform.scheduler.figures(platform.now).stretch;
        for n in 0..projects {
            let longest = platform.longest_gap(n, since).as_secs_f64();
            prop_assert!(longest <= 60.0 * (1.0 + 2.0 * stretch), "{n} waited {longest} s at stretch {stretch}");
        }
    }

    /// The same story ends the same way.
    #[test]
    fn it_is_deterministic(events in prop::collection::vec((0..100_i64, event()), 1..15)) {
        let told = || {
            let mut platform = Platform::new(30, MINUTES_5, Some(GITHUB));
            story(&mut platform, &events, 30);
            (platform.sent, platform.reads)
        };
        prop_assert_eq!(told(), told());
    }
}

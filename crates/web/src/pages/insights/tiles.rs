//! The figures that one looks at first.

use std::time::Duration;

use api::{duration_back, v1};

use super::headline::share;
use super::{BehindQuery, OfInsights, StatsQuery, href, runs_href};
use crate::definitions::{self as say, Definition};
use crate::pages::{Ctx, format};

/// A figure with how it was before.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) is: Definition,
    pub(super) what: &'static str,
    /// Or why there is none.
    pub(super) figure: Result<String, &'static str>,
    /// `of 1,842 runs`.
    pub(super) of: String,
    pub(super) note: String,
    /// `good`, `bad`, or neither.
    pub(super) tone: &'static str,
    pub(super) href: String,
}

/// A change of a duration by less than this share is none.
const TWENTIETH: f64 = 0.05;
/// Nobody notices less, whatever share it is.
const NOTICEABLE: Duration = Duration::from_secs(5);

pub(super) fn tiles(ctx: &Ctx<'_>, query: &StatsQuery, shown: &OfInsights) -> Vec<Tile> {
    let now = shown.stats.figures.unwrap_or_default();
    let before = shown.stats.before.unwrap_or_default();
    let all = BehindQuery::of(query);
    let red = BehindQuery { statuses: vec!["failed".into()], ..all.clone() };
    let (green_note, green_tone) = points(&now, &before);
    let median = |f: &v1::Figures| f.duration.as_ref().and_then(|d| d.p50.as_ref()).and_then(duration_back);
    let queue = |f: &v1::Figures| f.queued.as_ref().and_then(|d| d.p90.as_ref()).and_then(duration_back);
    let (took_note, took_tone) = longer(median(&now), median(&before));
    let (queue_note, queue_tone) = longer(queue(&now), queue(&before));
    let to_green = shown.delivery.time_to_green.unwrap_or_default();
    let wasted = shown.flaky.wasted.as_ref().and_then(duration_back).unwrap_or_default();
    let worst = shown.flaky.flaky.iter().find(|f| f.state == "flaky");
    vec![
        Tile {
            is: say::GREEN,
            what: "Green",
            figure: now.success_rate.map(share).ok_or("no run came to a verdict"),
            of: of(now.verdicts, "run", "runs"),
            note: green_note,
            tone: green_tone,
            href: runs_href(ctx, &red),
        },
        Tile {
            is: say::DURATION,
            what: "Median duration",
            figure: median(&now).map(format::duration).ok_or("no duration is known"),
            of: of(now.duration.map_or(0, |d| d.count), "run", "runs"),
            note: took_note,
            tone: took_tone,
            href: runs_href(ctx, &all),
        },
        Tile {
            is: say::QUEUE,
            what: "Queue, 90th percentile",
            figure: queue(&now).map(format::duration).ok_or("no queue time is known"),
            of: of(now.queued.map_or(0, |d| d.count), "run", "runs"),
            note: queue_note,
            tone: queue_tone,
            href: runs_href(ctx, &all),
        },
        Tile {
            is: say::TO_GREEN,
            what: "Time to green, median",
            figure: to_green
                .median
                .as_ref()
                .and_then(duration_back)
                .map(format::duration)
                .ok_or("nothing red became green"),
            of: of(to_green.count, "red stretch", "red stretches"),
            note: String::new(),
            tone: "",
            href: format!("{}#broken", href(ctx, query)),
        },
        Tile {
            is: say::WASTE,
            what: "Lost to flaky runs",
            figure: Ok(format::duration(wasted)),
            of: of(shown.flaky.flaky_runs, "flaky workflow", "flaky workflows"),
            note: worst.filter(|_| !wasted.is_zero()).map_or_else(String::new, |f| {
                let lost = f.wasted.as_ref().and_then(duration_back).unwrap_or_default();
                let name = f.job.as_deref().or(f.workflow.as_deref()).unwrap_or(&f.project_name);
                format!("most of it {name}: {}", format::duration(lost))
            }),
            tone: "",
            href: format!("{}#flaky", href(ctx, query)),
        },
    ]
}

fn of(n: u64, one: &str, many: &str) -> String {
    format!("of {}", format::count(u32::try_from(n).unwrap_or(u32::MAX), one, many))
}

/// `up 1.2 points`.
fn points(now: &v1::Figures, before: &v1::Figures) -> (String, &'static str) {
    let Some((now, before)) = now.success_rate.zip(before.success_rate) else {
        return ("nothing to compare with before".to_owned(), "");
    };
    let points = (now - before) * 100.0;
    match points {
        p if p >= 0.05 => (format!("up {p:.1} points"), "good"),
        p if p <= -0.05 => (format!("down {:.1} points", -p), "bad"),
        _ => ("as before".to_owned(), ""),
    }
}

/// `up 48 s`, which is bad.
fn longer(now: Option<Duration>, before: Option<Duration>) -> (String, &'static str) {
    let Some((now, before)) = now.zip(before) else {
        return ("nothing to compare with before".to_owned(), "");
    };
    if now.abs_diff(before) < NOTICEABLE {
        return ("as before".to_owned(), "");
    }
    let change = now.as_secs_f64() / before.as_secs_f64().max(0.001) - 1.0;
    if change >= TWENTIETH {
        (format!("up {}", format::duration(now.saturating_sub(before))), "bad")
    } else if change <= -TWENTIETH {
        (format!("down {}", format::duration(before.saturating_sub(now))), "good")
    } else {
        ("as before".to_owned(), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_say_their_direction() {
        let rate = |r| v1::Figures { success_rate: r, ..Default::default() };
        assert_eq!(points(&rate(Some(0.962)), &rate(Some(0.95))), ("up 1.2 points".into(), "good"));
        assert_eq!(points(&rate(Some(0.9)), &rate(Some(0.95))), ("down 5.0 points".into(), "bad"));
        assert_eq!(points(&rate(Some(0.9)), &rate(Some(0.9))), ("as before".into(), ""));
        assert!(points(&rate(Some(0.9)), &rate(None)).0.contains("nothing to compare"));
        let secs = |s| Some(Duration::from_secs(s));
        assert_eq!(longer(secs(400), secs(352)), ("up 48 s".into(), "bad"));
        assert_eq!(longer(secs(352), secs(400)), ("down 48 s".into(), "good"));
        assert_eq!(longer(secs(400), secs(399)), ("as before".into(), ""));
        assert_eq!(longer(secs(2), secs(0)), ("as before".into(), ""), "nobody notices two seconds");
    }
}

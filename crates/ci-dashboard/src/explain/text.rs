//! An explanation for people: aligned lines, in the order in which one asks.

use std::fmt;
use std::time::Duration;

use domain::Timestamp;
use serde_json::Value;
use web::pages::format;

/// From here on a stretch is worth a word: less is within what jitter does.
const STRETCHED: f64 = 1.1;

/// What [`web::explanation`] tells, written at a moment.
#[derive(Debug)]
pub(super) struct Text<'a> {
    of: &'a Value,
    now: Timestamp,
}

/// A line: what it is about, and what there is to say. Several of one kind stand below each other.
type Line = (&'static str, String);

impl<'a> Text<'a> {
    pub(super) const fn new(of: &'a Value, now: Timestamp) -> Self {
        Self { of, now }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![("Colour", self.colour())];
        lines.extend(self.reasons());
        let schedule = &self.of["schedule"];
        if schedule.is_null() {
            lines.push(("Due", "never: nobody asks its source".to_owned()));
        } else {
            lines.extend(self.schedule(schedule));
        }
        if let (Some(state), Some(error)) = (text(&self.of["source_state"]), text(&self.of["source_error"])) {
            lines.push(("Source", format!("{state}: {error}")));
        }
        lines
    }

    fn colour(&self) -> String {
        let mut said = match text(&self.of["outcome"]) {
            Some(outcome) => outcome.to_owned(),
            None => "none: nothing has completed yet".to_owned(),
        };
        if let Some(branch) = text(&self.of["branch"]) {
            said.push_str(&format!(" on {branch}"));
        }
        if let Some(activity) = text(&self.of["activity"]) {
            said.push_str(&format!(", {activity}"));
        }
        if let Some(problem) = text(&self.of["problem"]) {
            said.push_str(&format!(" ({problem})"));
        }
        said
    }

    fn reasons(&self) -> Vec<Line> {
        let reasons = self.of["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        let run = |r: &Value| match r["number"].as_u64() {
            Some(number) => format!("#{number}"),
            None => text(&r["pipeline_id"]).unwrap_or_default().to_owned(),
        };
        let workflow = |r: &Value| text(&r["workflow"]).unwrap_or_default().to_owned();
        let width = |of: &dyn Fn(&Value) -> String| {
            reasons.iter().map(|r| of(r).chars().count()).max().unwrap_or_default()
        };
        let (runs, workflows) = (width(&run), width(&workflow));
        let line = |r: &Value| {
            let decided = r["decided"].as_bool() == Some(true);
            let (label, says) = if decided {
                ("Decided by", text(&r["outcome"]).unwrap_or("not known"))
            } else {
                let word = text(&r["left_out"]).unwrap_or("left out");
                ("Had no say", text(&r["left_out_text"]).unwrap_or(word))
            };
            let gap = if workflows > 0 { "  " } else { "" };
            (label, format!("{:runs$}{gap}{:workflows$}  {says}", run(r), workflow(r)))
        };
        reasons.iter().map(line).collect()
    }

    fn schedule(&self, s: &Value) -> Vec<Line> {
        let mut lines = Vec::new();
        let asked = at(&s["asked_at"]);
        lines.push((
            "Last asked",
            match asked {
                None => "never".to_owned(),
                Some(asked) => {
                    let answer = match text(&s["answer"]) {
                        Some("changed") => "something new came",
                        Some("unchanged") => "nothing new",
                        Some("moved") => "something moved, its whole state is asked for next",
                        _ => "it failed",
                    };
                    let why = text(&s["failure"]).map(|why| format!(": {why}")).unwrap_or_default();
                    format!("{}, {answer}{why}", self.ago(asked))
                }
            },
        ));
        if let Some(whole) = at(&s["whole_at"]) {
            lines.push((
                "",
                format!("its whole state {}; news of many projects at once since", self.ago(whole)),
            ));
        }
        lines.push(("Due", self.due(s)));
        if s["told_by_listing"].as_bool() == Some(true) {
            lines.push(("", "its state comes with the listing of all projects".to_owned()));
        }
        if let Some(hook) = at(&s["webhook_at"]) {
            let relied = if s["hooked"].as_bool() == Some(true) {
                "; they are relied upon, so it is asked less often"
            } else {
                "; something changed that none told of, so they are not relied upon"
            };
            lines.push(("Last webhook", format!("{}{relied}", self.ago(hook))));
        }
        lines.extend(stretched(s).map(|said| ("Stretched", said)));
        lines
    }

    fn due(&self, s: &Value) -> String {
        let why = text(&s["why_text"]).unwrap_or_default();
        let every = seconds(&s["every_seconds"]).filter(|every| !every.is_zero());
        let every = every.map(|every| format!(", every {}", format::duration(every))).unwrap_or_default();
        if s["reading"].as_bool() == Some(true) {
            return format!("it is being asked now: {why}");
        }
        let Some(due) = at(&s["due_at"]) else { return format!("never: {why}") };
        match at(&s["paused_until"]).filter(|until| *until > self.now) {
            Some(until) => {
                let left = format::duration(format::since(self.now, until));
                format!(
                    "its source is left alone for {left} more; then{every}: {why}",
                    every = every.replace(", ", " ")
                )
            }
            None if due <= self.now => format!("now{every}: {why}"),
            None => format!("in {}{every}: {why}", format::duration(format::since(self.now, due))),
        }
    }

    fn ago(&self, then: Timestamp) -> String {
        format!("{} ago", format::duration(whole(format::since(then, self.now))))
    }
}

/// What the limit makes of the pace, where it makes something of it.
fn stretched(s: &Value) -> Option<String> {
    let stretch = s["stretch"].as_f64().filter(|stretch| *stretch >= STRETCHED)?;
    let times = format!("the platform's limit makes everything take {stretch:.1} times as long");
    Some(match seconds(&s["every_seconds"]).filter(|every| !every.is_zero()) {
        Some(every) => {
            let longer = Duration::try_from_secs_f64(every.as_secs_f64() * stretch).unwrap_or(Duration::MAX);
            let (longer, every) = (format::duration(whole(longer)), format::duration(every));
            format!("{times}: about {longer} instead of {every}")
        }
        None => times,
    })
}

/// Fractions of a second say nothing here.
const fn whole(d: Duration) -> Duration {
    Duration::from_secs(d.as_secs())
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn at(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |field: &str| text(&self.of[field]).unwrap_or_default();
        writeln!(f, "{}  ({}:{})", of("name"), of("source"), of("id"))?;
        if let Some(url) = text(&self.of["url"]) {
            writeln!(f, "{url}")?;
        }
        writeln!(f)?;
        let lines = self.lines();
        let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
        let mut last = "";
        for (label, says) in &lines {
            // A label stands once for the lines that share it.
            let shown = if *label == last { "" } else { label };
            writeln!(f, "{shown:width$}  {}", says.trim_end())?;
            last = if label.is_empty() { last } else { label };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(of: &Value) -> String {
        Text::new(of, "2026-11-24T12:00:00Z".parse().unwrap()).to_string()
    }

    fn explanation(schedule: Value) -> Value {
        json!({
            "source": "gl", "id": "42", "name": "payments/ledger-api", "url": "https://gitlab.example.com/p",
            "branch": "main", "outcome": "failed", "activity": "running", "problem": null,
            "reasons": [
                { "pipeline_id": "9", "number": 48212, "workflow": "CI", "decided": true, "outcome": "failed" },
                { "pipeline_id": "8", "number": 481, "workflow": "docs", "decided": true, "outcome": "success" },
                { "pipeline_id": "7", "number": null, "workflow": "nightly", "decided": false,
                  "left_out": "canceled", "left_out_text": "it was canceled" },
            ],
            "schedule": schedule, "source_state": "ok", "source_error": null,
        })
    }

    #[test]
    fn it_tells_what_decides_and_when_it_is_asked() {
        let schedule = json!({
            "why": "active", "why_text": "something happened within the last day", "every_seconds": 45.0,
            "asked_at": "2026-11-24T11:59:40.250Z", "whole_at": "2026-11-24T11:48:00Z", "answer": "unchanged",
            "due_at": "2026-11-24T12:00:25Z", "reading": false, "told_by_listing": false,
            "webhook_at": "2026-11-24T11:57:00Z", "hooked": true, "stretch": 4.0,
        });
        let want = "\
payments/ledger-api  (gl:42)
https://gitlab.example.com/p

Colour        failed on main, running
Decided by    #48212  CI       failed
              #481    docs     success
Had no say    7       nightly  it was canceled
Last asked    19 s ago, nothing new
              its whole state 12 m 00 s ago; news of many projects at once since
Due           in 25 s, every 45 s: something happened within the last day
Last webhook  3 m 00 s ago; they are relied upon, so it is asked less often
Stretched     the platform's limit makes everything take 4.0 times as long: about 3 m 00 s instead of 45 s
";
        assert_eq!(written(&explanation(schedule)), want);
    }

    #[test]
    fn what_is_not_is_said_so() {
        let of = |schedule: Value| written(&explanation(schedule));
        let line = |text: &str, label: &str| {
            text.lines().find(|l| l.starts_with(label)).unwrap_or_default()[label.len()..].trim().to_owned()
        };
        assert_eq!(line(&of(Value::Null), "Due"), "never: nobody asks its source");
        let never = of(json!({ "why_text": "it is archived", "stretch": 1.0 }));
        assert_eq!(line(&never, "Due"), "never: it is archived");
        assert_eq!(line(&never, "Last asked"), "never");
        assert!(!never.contains("Stretched") && !never.contains("webhook"), "{never}");
        let failed = of(json!({
            "why_text": "it could not be read", "asked_at": "2026-11-24T11:59:00Z", "answer": "failed",
            "failure": "403 at gl", "due_at": "2026-11-24T11:59:30Z", "every_seconds": 60.0, "stretch": 1.0,
        }));
        assert_eq!(line(&failed, "Last asked"), "1 m 00 s ago, it failed: 403 at gl");
        assert_eq!(line(&failed, "Due"), "now, every 1 m 00 s: it could not be read");
        let paused = of(json!({
            "why_text": "a run is going on", "due_at": "2026-11-24T11:59:30Z", "every_seconds": 10.0,
            "paused_until": "2026-11-24T12:02:00Z", "stretch": 1.0,
        }));
        assert_eq!(
            line(&paused, "Due"),
            "its source is left alone for 2 m 00 s more; then every 10 s: a run is going on"
        );
        let reading = of(
            json!({ "why_text": "new", "due_at": "2026-11-24T12:00:30Z", "reading": true, "stretch": 1.0 }),
        );
        assert_eq!(line(&reading, "Due"), "it is being asked now: new");
    }
}

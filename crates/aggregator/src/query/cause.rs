//! Many broken rows at once mostly have few causes: a registry that is down, a disk that is full. They are told once.

use std::collections::HashMap;

use api::v1;
use domain::{Pipeline, Timestamp};

/// From so many broken rows on they are grouped; fewer are read one by one, oldest first.
pub(super) const GROUPED_FROM: u32 = 12;

/// The reason why a run failed as far as it is the same elsewhere: numbers (of tests, minutes, ports) differ.
fn reason(run: Option<&Pipeline>) -> Option<String> {
    let run = run?;
    let told = run.failure.as_deref().filter(|f| !f.is_empty()).map(str::to_owned);
    let text = told.or_else(|| run.workflow.name.as_ref().map(|name| format!("{name} failed")))?;
    let (mut out, mut in_number) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        let of_number = c.is_ascii_digit() || (in_number && matches!(c, ',' | '.'));
        if !of_number {
            out.push(c);
        } else if !in_number {
            out.push('…');
        }
        in_number = of_number;
    }
    Some(out)
}

/// The causes of rows, found before they are put in order.
#[derive(Debug, Default)]
pub(super) struct Causes {
    groups: HashMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    rows: u32,
    oldest: Option<Timestamp>,
}

/// Where a row stands among the broken ones: the largest group first, of two equal ones the older, lone rows last.
pub(super) type Place = (std::cmp::Reverse<u32>, Option<Timestamp>, String);

impl Causes {
    /// Counts a row that is broken since `at`.
    pub(super) fn count(&mut self, run: Option<&Pipeline>, at: Option<Timestamp>) {
        let group = self.groups.entry(reason(run).unwrap_or_default()).or_default();
        group.rows += 1;
        group.oldest = group.oldest.into_iter().chain(at).min();
    }

    /// The group of a row that was counted; `None` for one that is alone with its reason, or has none.
    fn shared(&self, run: Option<&Pipeline>) -> Option<(String, &Group)> {
        let text = reason(run)?;
        let group = self.groups.get(&text).filter(|g| g.rows > 1)?;
        Some((text, group))
    }

    /// Its place among the broken ones.
    pub(super) fn place(&self, run: Option<&Pipeline>) -> Place {
        match self.shared(run) {
            Some((text, group)) => (std::cmp::Reverse(group.rows), group.oldest, text),
            None => (std::cmp::Reverse(0), None, String::new()),
        }
    }

    /// Its group as it is written.
    pub(super) fn group(&self, run: Option<&Pipeline>) -> v1::CauseGroup {
        match self.shared(run) {
            Some((text, group)) => v1::CauseGroup { text, rows: group.rows },
            None => {
                let alone = self.groups.iter().filter(|(text, g)| g.rows == 1 || text.is_empty());
                v1::CauseGroup { text: String::new(), rows: alone.map(|(_, g)| g.rows).sum() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{RunId, Status};

    fn run(failure: &str) -> Pipeline {
        let mut run = Pipeline::new(RunId::new("1"), Status::Failed, "failed");
        run.failure = (!failure.is_empty()).then(|| failure.to_owned());
        run
    }

    #[test]
    fn numbers_do_not_tell_reasons_apart() {
        let of = |text: &str| reason(Some(&run(text)));
        assert_eq!(of("unit-tests: 3 of 1,204 tests failed"), of("unit-tests: 17 of 980 tests failed"));
        assert_eq!(of("unit-tests: 3 of 1,204 failed").as_deref(), Some("unit-tests: … of … failed"));
        assert_ne!(of("lint: 3 failed"), of("unit-tests: 3 failed"));
        assert_eq!(reason(None), None);
        assert_eq!(of(""), None);
        let mut named = run("");
        named.workflow.name = Some("Nightly".into());
        assert_eq!(reason(Some(&named)).as_deref(), Some("Nightly failed"));
    }

    #[test]
    fn the_largest_group_comes_first_and_lone_ones_last() {
        let mut causes = Causes::default();
        let at = |s| Timestamp::from_second(s).ok();
        let all = [
            ("disk", 5),
            ("registry", 9),
            ("registry", 7),
            ("odd", 1),
            ("disk", 6),
            ("disk", 7),
            ("", 2),
            ("", 3),
        ];
        for (text, since) in all {
            causes.count(Some(&run(text)), at(since));
        }
        let mut order: Vec<&str> = all.iter().map(|(text, _)| *text).collect();
        order.sort_by_key(|text| causes.place(Some(&run(text))));
        assert_eq!(order, ["disk", "disk", "disk", "registry", "registry", "odd", "", ""]);
        assert_eq!(causes.group(Some(&run("disk"))), v1::CauseGroup { text: "disk".into(), rows: 3 });
        assert_eq!(causes.group(Some(&run("odd"))), v1::CauseGroup { text: String::new(), rows: 3 });
        assert_eq!(causes.group(Some(&run(""))), causes.group(Some(&run("odd"))));
    }
}

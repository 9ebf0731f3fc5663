//! What the doctor found, line by line.

use std::fmt::Write as _;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Note,
    Doubt,
    Bad,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Doubt => "warn",
            Self::Bad => "FAIL",
        }
    }
}

#[derive(Debug)]
struct Line {
    level: Level,
    what: String,
    found: String,
    advice: Option<String>,
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Line>);

impl Report {
    /// As it should be.
    pub(crate) fn good(&mut self, what: impl Into<String>, found: String) {
        self.add(Level::Good, what, found, None);
    }

    /// Neither good nor bad.
    pub(crate) fn note(&mut self, what: impl Into<String>, found: String) {
        self.add(Level::Note, what, found, None);
    }

    /// It works, and should be looked at.
    pub(crate) fn doubt(&mut self, what: impl Into<String>, found: String, advice: impl Into<String>) {
        self.add(Level::Doubt, what, found, Some(advice.into()));
    }

    /// It does not work.
    pub(crate) fn bad(&mut self, what: impl Into<String>, found: String, advice: impl Into<String>) {
        self.add(Level::Bad, what, found, Some(advice.into()));
    }

    fn add(&mut self, level: Level, what: impl Into<String>, found: String, advice: Option<String>) {
        self.0.push(Line { level, what: what.into(), found, advice });
    }

    /// Further lines.
    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Whether something does not work.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.iter().any(|line| line.level == Level::Bad)
    }

    /// One line each, below it what to do.
    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|line| line.what.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for Line { level, what, found, advice } in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:<4}  {what:<width$}  {found}", level.word());
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:4}  {:width$}  -> {advice}", "", "");
            }
        }
        let count = |level| self.0.iter().filter(|line| line.level == level).count();
        let _ = match (count(Level::Bad), count(Level::Doubt)) {
            (0, 0) => writeln!(text, "\nAll is well."),
            (0, doubts) => writeln!(text, "\nNothing is broken; {doubts} to look at."),
            (bad, doubts) => writeln!(text, "\n{bad} broken, {doubts} to look at."),
        };
        text
    }

    pub(crate) fn print(&self) {
        print!("{}", self.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubt_says_what_to_do() {
        let mut report = Report::default();
        report.good("access", "fine".to_owned());
        report.doubt("source gh", "may write".to_owned(), "take another token");
        assert!(!report.is_broken());
        assert_eq!(
            report.text(),
            "ok    access     fine\nwarn  source gh  may write\n                 -> take another token\n\n\
             Nothing is broken; 1 to look at.\n"
        );
        report.bad("socket", "gone".to_owned(), "start it");
        assert!(report.is_broken());
        assert!(report.text().ends_with("1 broken, 1 to look at.\n"));
    }
}

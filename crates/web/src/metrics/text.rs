//! The text format of Prometheus, version 0.0.4, which every scraper reads and `promtool check metrics` checks.

use std::fmt::{self, Display, Write as _};

/// Its media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text, as it grows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family: its samples come next.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, Escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one sample without labels.
    pub(super) fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The value of a label.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_anything() {
        let mut text = Text::default();
        text.one("a", Kind::Gauge, "What a is", 0.5);
        text.family("b_total", Kind::Counter, "What b is");
        text.sample("b_total", &[("x", "a\"b\\c\nd"), ("y", "é")], 3);
        assert_eq!(
            text.finish(),
            "# HELP a What a is\n# TYPE a gauge\na 0.5\n\
             # HELP b_total What b is\n# TYPE b_total counter\nb_total{x=\"a\\\"b\\\\c\\nd\",y=\"é\"} 3\n"
        );
    }
}

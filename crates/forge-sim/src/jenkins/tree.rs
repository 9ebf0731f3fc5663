//! The grammar of `tree=`, as Stapler's `NamedPathPruner` reads it: names, what is in them, and which part of a list.
//! `jobs[name,builds[number]{0,5}]`. Names that do not exist are no mistake; what is not named is not told.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 20;

/// Which items of a list: from the first to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Range {
    const ALL: Self = Self { from: 0, to: usize::MAX };
}

/// What is wanted of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    named: BTreeMap<String, (Tree, Option<Range>)>,
    /// `*`
    any: Option<Box<(Tree, Option<Range>)>>,
}

impl Tree {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let tree = reader.list(0)?;
        if reader.rest.is_empty() { Ok(tree) } else { Err(format!("unexpected {:?}", reader.rest)) }
    }

    /// What is wanted of this property, if it is.
    pub(super) fn get(&self, name: &str) -> Option<(&Self, Range)> {
        let (tree, range) = self.named.get(name).or(self.any.as_deref())?;
        Some((tree, range.unwrap_or(Range::ALL)))
    }

    /// Leaves of a value what is wanted. `_class` is told in any case.
    pub(super) fn prune(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let kept = fields.into_iter().filter_map(|(name, value)| match self.get(&name) {
                    _ if name == "_class" => Some((name, value)),
                    None => None,
                    Some((inner, range)) => Some((name, inner.prune_in(value, range))),
                });
                Value::Object(kept.collect::<Map<_, _>>())
            }
            other => other,
        }
    }

    fn prune_in(&self, value: Value, range: Range) -> Value {
        match value {
            Value::Array(rows) => {
                let rows = rows.into_iter().skip(range.from).take(range.to.saturating_sub(range.from));
                Value::Array(rows.map(|row| self.prune(row)).collect())
            }
            other => self.prune(other),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, of: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.to_owned()
    }

    fn list(&mut self, depth: usize) -> Result<Tree, String> {
        if depth > MAX_DEPTH {
            return Err("nested too deep".to_owned());
        }
        let mut tree = Tree::default();
        loop {
            let name = self.take(|c| c.is_alphanumeric() || matches!(c, '_' | '*' | '-' | '$'));
            if name.is_empty() {
                return Err(format!("expected a name at {:?}", self.rest));
            }
            let mut inner = Tree::default();
            if self.eat('[') {
                inner = self.list(depth + 1)?;
                if !self.eat(']') {
                    return Err(format!("expected ] at {:?}", self.rest));
                }
            }
            let range = if self.eat('{') { Some(self.range()?) } else { None };
            if name == "*" {
                tree.any = Some(Box::new((inner, range)));
            } else {
                tree.named.insert(name, (inner, range));
            }
            if !self.eat(',') {
                return Ok(tree);
            }
        }
    }

    fn number(&mut self) -> Option<usize> {
        self.take(|c| c.is_ascii_digit()).parse().ok()
    }

    /// `M,N}`, `M}`, `,N}` and `M,}`.
    fn range(&mut self) -> Result<Range, String> {
        let from = self.number();
        let range = if self.eat(',') {
            Range { from: from.unwrap_or(0), to: self.number().unwrap_or(usize::MAX) }
        } else {
            let from = from.ok_or_else(|| format!("expected a number at {:?}", self.rest))?;
            Range { from, to: from + 1 }
        };
        if self.eat('}') { Ok(range) } else { Err(format!("expected }} at {:?}", self.rest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prune(tree: &str) -> Value {
        let value = json!({
            "_class": "Hudson", "mode": "NORMAL",
            "jobs": [
                { "_class": "Job", "name": "a", "builds": [{ "_class": "B", "number": 3 }, { "_class": "B", "number": 2 }, { "_class": "B", "number": 1 }] },
                { "_class": "Job", "name": "b", "builds": [] },
            ],
        });
        Tree::parse(tree).unwrap().prune(value)
    }

    #[test]
    fn what_is_not_named_is_not_told() {
        assert_eq!(prune("mode"), json!({ "_class": "Hudson", "mode": "NORMAL" }));
        assert_eq!(prune("nothing,such"), json!({ "_class": "Hudson" }));
        assert_eq!(
            prune("jobs"),
            json!({ "_class": "Hudson", "jobs": [{ "_class": "Job" }, { "_class": "Job" }] })
        );
        assert_eq!(prune("jobs[name]{1}")["jobs"], json!([{ "_class": "Job", "name": "b" }]));
        assert_eq!(
            prune("jobs[*]{,1}")["jobs"][0]["builds"],
            json!([{ "_class": "B" }, { "_class": "B" }, { "_class": "B" }])
        );
    }

    #[test]
    fn ranges_are_half_open() {
        let numbers = |range: &str| {
            let told = prune(&format!("jobs[builds[number]{range}]{{0,1}}"));
            let builds = told["jobs"][0]["builds"].as_array().unwrap().clone();
            builds.iter().map(|b| b["number"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        for (range, want) in [
            ("", vec![3, 2, 1]),
            ("{0,2}", vec![3, 2]),
            ("{1}", vec![2]),
            ("{,2}", vec![3, 2]),
            ("{1,}", vec![2, 1]),
            ("{2,2}", vec![]),
            ("{5,9}", vec![]),
        ] {
            assert_eq!(numbers(range), want, "{range}");
        }
    }

    #[test]
    fn mistakes_are_mistakes() {
        for text in ["", "a[", "a[b", "a]", "a,", "a{", "a{x}", "a{1", "a[]", "[a]", "a b"] {
            assert!(Tree::parse(text).is_err(), "{text}");
        }
        assert!(Tree::parse(&"a[".repeat(50)).is_err());
    }
}

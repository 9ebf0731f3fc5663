//! What the environment and the flags set, laid over the tree of the file.

use std::collections::BTreeMap;
use std::fmt;

use crate::load::Overrides;
use crate::platforms::Platforms;
use crate::problem::did_you_mean;
use crate::section::Context;
use crate::sections::{SECTIONS, is_own};
use crate::settings::Role;
use crate::tree::{Entry, Node, Origin, Value};

/// Prefix of the variables that reach every key.
pub const ENV_PREFIX: &str = "CI_DASHBOARD__";

/// The variables that people already use, each with the key it sets. Those of the platforms come on top.
const SHORT_NAMES: [(&str, [&str; 2]); 9] = [
    ("HOST", ["server", "host"]),
    ("PORT", ["server", "port"]),
    ("CACHE_TYPE", ["cache", "type"]),
    ("REDIS_URL", ["cache", "redis_url"]),
    ("POSTGRES_URL", ["database", "postgres_url"]),
    ("DATABASE_URL", ["database", "url"]),
    ("AGGREGATOR_URL", ["aggregator", "address"]),
    ("LOG_LEVEL", ["logging", "level"]),
    ("LOG_FORMAT", ["logging", "format"]),
];

/// Environment variables, as given to [`crate::load`]. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. A variable that is not Unicode is left out.
    pub fn from_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`; one that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(_, value)| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Lays environment and flags over the file's tree.
pub(crate) fn overlay(
    root: &mut Vec<Entry>,
    ctx: &Context<'_>,
    role: Role,
    platforms: Platforms,
    overrides: &Overrides,
) {
    for (name, path) in SHORT_NAMES {
        if let Some(value) = ctx.env.get(name).filter(|_| is_own(role, path[0])) {
            set(root, &path, Node::scalar(value, Origin::Env(name.to_owned())));
        }
    }
    let mut for_sources = Vec::new();
    for (name, value) in ctx.env.iter() {
        let Some(key) = name.strip_prefix(ENV_PREFIX) else { continue };
        let origin = Origin::Env(name.to_owned());
        let lower = key.to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let (Some((section, rest)), true) = (path.split_first(), path.iter().all(|part| !part.is_empty()))
        else {
            ctx.problem("", Some(&origin), "names no key", Some(format!("write {ENV_PREFIX}SECTION__KEY")));
            continue;
        };
        if let Some(spec) = platforms.iter().find(|spec| spec.id.replace('-', "_") == *section) {
            if role != Role::Web {
                for_sources.push((spec.id, name, lower.clone(), value));
            }
        } else if !SECTIONS.contains(section) {
            let known = SECTIONS.iter().copied().chain(platforms.iter().map(|spec| spec.id));
            ctx.problem(section, Some(&origin), "unknown section", did_you_mean(section, known));
        } else if !is_own(role, section) {
            // Not ours to read.
        } else if rest.is_empty() {
            ctx.problem(section, Some(&origin), "names a section, not a key", None);
        } else {
            set(root, &path, Node::scalar(value, origin));
        }
    }
    // By number, so that 10 comes after 9 and a list can grow.
    for_sources.sort_by_key(|(id, name, key, _)| {
        (*id, key.split("__").nth(1).and_then(|n| n.parse::<usize>().ok()), *name)
    });
    for (id, name, key, value) in for_sources {
        set_in_source(root, ctx, id, name, &key, value);
    }
    let flags = [
        ("--host", ["server", "host"], overrides.host.clone()),
        ("--port", ["server", "port"], overrides.port.map(|port| port.to_string())),
        ("--listen", ["aggregator", "listen"], overrides.listen.clone()),
        ("--aggregator", ["aggregator", "address"], overrides.address.clone()),
    ];
    for (flag, path, value) in flags {
        if let Some(value) = value {
            set(root, &path, Node::scalar(value, Origin::Flag(flag)));
        }
    }
}

/// `CI_DASHBOARD__GITLAB__0__LOGS`, or `CI_DASHBOARD__GITLAB__GITLAB_MAIN__LOGS` by the source's name.
fn set_in_source(
    root: &mut Vec<Entry>,
    ctx: &Context<'_>,
    id: &'static str,
    name: &str,
    key: &str,
    value: &str,
) {
    let origin = Origin::Env(name.to_owned());
    let path: Vec<&str> = key.split("__").skip(1).collect();
    let Some((which, keys)) = path.split_first().filter(|(_, keys)| !keys.is_empty()) else {
        let hint = format!(
            "write {ENV_PREFIX}{}__0__KEY for its first source",
            id.to_ascii_uppercase().replace('-', "_")
        );
        ctx.problem(id, Some(&origin), "names no key of a source", Some(hint));
        return;
    };
    let list = child(root, id, &origin, || Value::List(Vec::new()));
    if matches!(list.value, Value::Null) {
        list.value = Value::List(Vec::new());
    }
    // Anything but a list is a mistake that is told where the section is read.
    let Value::List(items) = &mut list.value else { return };
    let at = match which.parse::<usize>() {
        Ok(at) => Some(at),
        Err(_) => items.iter().position(|item| source_name(item).as_deref() == Some(which)),
    };
    match at {
        Some(at) if at == items.len() => {
            items.push(Node { origin: origin.clone(), value: Value::Map(Vec::new()) })
        }
        Some(at) if at < items.len() => {}
        _ => {
            let message = format!("there is no such {id} source");
            ctx.problem(
                id,
                Some(&origin),
                message,
                Some("name it by its position from 0, or by its name with _ for - and .".to_owned()),
            );
            return;
        }
    }
    if let Some(Node { value: Value::Map(entries), .. }) = at.and_then(|at| items.get_mut(at)) {
        set(entries, keys, Node::scalar(value, origin));
    }
}

/// A source's name as a variable's name writes it.
fn source_name(item: &Node) -> Option<String> {
    let Value::Map(entries) = &item.value else { return None };
    let name = entries.iter().find(|entry| entry.key == "name")?;
    let Value::Scalar(name) = &name.node.value else { return None };
    Some(name.to_ascii_lowercase().replace(['-', '.'], "_"))
}

/// Sets the value at `path`, making the sections above it. Where something else than a section stands in the way,
/// that mistake is told when it is read.
fn set(entries: &mut Vec<Entry>, path: &[&str], node: Node) {
    match path {
        [] => {}
        [key] => {
            let origin = node.origin.clone();
            entries.retain(|entry| entry.key != *key);
            entries.push(Entry { key: (*key).to_owned(), origin, node });
        }
        [key, rest @ ..] => {
            let section = child(entries, key, &node.origin, || Value::Map(Vec::new()));
            if matches!(section.value, Value::Null) {
                section.value = Value::Map(Vec::new());
            }
            if let Value::Map(inner) = &mut section.value {
                set(inner, rest, node);
            }
        }
    }
}

fn child<'t>(entries: &'t mut Vec<Entry>, key: &str, origin: &Origin, empty: fn() -> Value) -> &'t mut Node {
    let at = match entries.iter().position(|entry| entry.key == key) {
        Some(at) => at,
        None => {
            let node = Node { origin: origin.clone(), value: empty() };
            entries.push(Entry { key: key.to_owned(), origin: origin.clone(), node });
            entries.len() - 1
        }
    };
    &mut entries[at].node
}

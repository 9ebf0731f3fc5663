//! Keeps the floors of the house: which crate may know which, straight from `cargo metadata`.
//!
//! A crate that is new here must be put on its floor in [`may_know`] first. Each failure names the path of dependencies
//! that broke the rule.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::Value;

/// Packages (ours or not) that a crate must not reach, through anything.
const NEVER_REACHED: &[(&str, &[&str])] = &[
    (
        "web",
        &[
            "sqlx*",
            "redis*",
            "reqwest*",
            "connector",
            "connector-*",
            "cache",
            "history",
            "history-*",
            "aggregator",
            "forge-sim",
        ],
    ),
    ("aggregator", &["askama*", "openidconnect", "axum-extra", "web", "forge-sim"]),
];

/// Packages that nothing here takes in, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls with ring: one provider, no C library to patch"),
    ("native-tls", "TLS is rustls with ring: one provider, no C library to patch"),
    ("aws-lc-sys", "minutes of C build for what ring does"),
    ("serde_yaml", "no longer maintained"),
    ("serde_yml", "no longer maintained"),
    ("rustls-pemfile", "no longer maintained: rustls-pki-types reads PEM"),
    ("backoff", "no longer maintained"),
    ("dotenv", "no longer maintained"),
    ("bincode", "no longer maintained"),
];

/// Licences that go with Apache-2.0; one of those that a package offers must be here.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What of ours a crate's own code may name: the floors, from the ground up. None: nobody has said where it stands.
fn may_know(package: &str) -> Option<&'static [&'static str]> {
    Some(match package {
        "domain" | "forge-sim" | "cache-suite" => &[],
        "lifecycle" | "config" => &["domain"],
        "api" | "cache" => &["domain", "lifecycle"],
        "connector" => &["domain", "config"],
        "history" => &["domain"],
        "history-suite" => &["domain", "history"],
        database if database.starts_with("history-") => &["domain", "history"],
        "connector-suite" => &["domain", "config", "connector", "forge-sim"],
        connector if connector.starts_with("connector-") => &["domain", "config", "connector"],
        "aggregator" => &[
            "domain",
            "lifecycle",
            "config",
            "api",
            "connector",
            "cache",
            "connector-*",
            "history",
            "history-*",
        ],
        "web" => &["domain", "lifecycle", "config", "api"],
        // `doctor` asks the platforms as the aggregator does.
        "ci-dashboard" => {
            &["domain", "lifecycle", "config", "api", "connector", "aggregator", "web", "forge-sim"]
        }
        _ => return None,
    })
}

/// What tests and benches may name beyond that.
const TESTS_MAY_KNOW: &[&str] =
    &["forge-sim", "lifecycle", "connector-suite", "history-suite", "cache-suite"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Compiled into the crate, or run to build it.
    Own,
    /// For its tests and benches.
    Dev,
}

/// Packages by id, what each depends on, and which are ours.
#[derive(Default, Debug)]
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<(String, Kind)>>,
    ours: BTreeSet<String>,
    licences: BTreeMap<String, Option<String>>,
}

impl Graph {
    fn of_this_workspace() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        Self::parse(&serde_json::from_slice(&output.stdout).unwrap())
    }

    fn parse(metadata: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let list = |v: &Value| v.as_array().unwrap().clone();
        let ours = list(&metadata["workspace_members"]).iter().map(text).collect();
        let mut graph = Self { ours, ..Self::default() };
        for package in list(&metadata["packages"]) {
            let id = text(&package["id"]);
            graph.licences.insert(id.clone(), package["license"].as_str().map(str::to_owned));
            graph.names.insert(id, text(&package["name"]));
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let mut edges = Vec::new();
            for dep in list(&node["deps"]) {
                let dev = list(&dep["dep_kinds"]).iter().all(|k| k["kind"].as_str() == Some("dev"));
                edges.push((text(&dep["pkg"]), if dev { Kind::Dev } else { Kind::Own }));
            }
            graph.edges.insert(text(&node["id"]), edges);
        }
        graph
    }

    fn name(&self, id: &str) -> &str {
        &self.names[id]
    }

    fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ours.iter().map(|id| (id.as_str(), self.name(id)))
    }

    fn edges(&self, id: &str) -> &[(String, Kind)] {
        self.edges.get(id).map_or(&[], Vec::as_slice)
    }

    /// Every package that a crate's own code is built with, and the shortest path there.
    fn reach(&self, from: &str) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::from([(from.to_owned(), self.name(from).to_owned())]);
        let mut next = VecDeque::from([from.to_owned()]);
        while let Some(id) = next.pop_front() {
            for (to, _) in self.edges(&id).iter().filter(|(_, kind)| *kind == Kind::Own) {
                if !paths.contains_key(to) {
                    paths.insert(to.clone(), format!("{} -> {}", paths[&id], self.name(to)));
                    next.push_back(to.clone());
                }
            }
        }
        paths
    }

    /// Every broken rule, one line each.
    fn broken_rules(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (id, name) in self.ours() {
            let Some(allowed) = may_know(name) else {
                broken.push(format!("{name}: no floor yet; say in floors.rs what of ours it may know"));
                continue;
            };
            for (to, kind) in self.edges(id).iter().filter(|(to, _)| self.ours.contains(to)) {
                let known = self.name(to);
                let for_tests = *kind == Kind::Dev;
                let fine = any_matches(allowed, known) || (for_tests && any_matches(TESTS_MAY_KNOW, known));
                if !fine {
                    let where_ = if for_tests { " in its tests" } else { "" };
                    broken.push(format!("{name} must not know {known}{where_}: {name} -> {known}"));
                }
            }
            for (_, never) in NEVER_REACHED.iter().filter(|(from, _)| *from == name) {
                for (to, path) in self.reach(id) {
                    if to != id && any_matches(never, self.name(&to)) {
                        broken.push(format!("{name} must never reach {}: {path}", self.name(&to)));
                    }
                }
            }
        }
        broken
    }

    /// Who is to blame for a package: the shortest path to it from one of ours.
    fn path_to(&self, id: &str) -> String {
        let paths = self.ours().filter_map(|(from, _)| self.reach(from).remove(id));
        paths.min_by_key(String::len).unwrap_or_else(|| format!("(tests only) -> {}", self.name(id)))
    }
}

/// `name*` stands for everything that begins so.
fn any_matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|p| p.strip_suffix('*').map_or(*p == name, |start| name.starts_with(start)))
}

/// Whether one of the offered licences is fine: `A OR B` is a choice, `A AND B` is both.
fn licence_is_fine(expression: &str) -> bool {
    let choices = expression.replace('/', " OR ");
    let known = |l: &str| LICENCES.contains(&l.trim_matches(['(', ')', ' ']));
    choices.split(" OR ").any(|choice| choice.split(" AND ").all(known))
}

#[test]
fn every_crate_stays_on_its_floor() {
    let graph = Graph::of_this_workspace();
    for must in ["domain", "web", "aggregator", "ci-dashboard"] {
        assert!(
            graph.ours().any(|(_, name)| name == must),
            "{must} is gone: do the rules still hold anything?"
        );
    }
    let broken = graph.broken_rules();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn nothing_banned_comes_in() {
    let graph = Graph::of_this_workspace();
    let mut found = Vec::new();
    for (id, name) in &graph.names {
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
            found.push(format!("{}: {why}", graph.path_to(id)));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_licence_goes_with_ours() {
    let graph = Graph::of_this_workspace();
    let mut found = Vec::new();
    for (id, licence) in &graph.licences {
        if !licence.as_deref().is_some_and(licence_is_fine) {
            found.push(format!("{}: {}", graph.path_to(id), licence.as_deref().unwrap_or("no licence")));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// A workspace of some crates, with these dependencies among them and on others.
fn made_up(edges: &[(&str, &str, Kind)]) -> Graph {
    const OURS: [&str; 8] = [
        "domain",
        "api",
        "web",
        "connector",
        "connector-gitlab",
        "connector-github",
        "forge-sim",
        "aggregator",
    ];
    let mut graph = Graph { ours: OURS.map(str::to_owned).into(), ..Graph::default() };
    for name in OURS.into_iter().chain(edges.iter().flat_map(|(from, to, _)| [*from, *to])) {
        graph.names.insert(name.to_owned(), name.to_owned());
    }
    for (from, to, kind) in edges {
        graph.edges.entry((*from).to_owned()).or_default().push(((*to).to_owned(), *kind));
    }
    graph
}

#[test]
fn the_rules_catch_what_they_are_there_for() {
    type Edges = &'static [(&'static str, &'static str, Kind)];
    use Kind::{Dev, Own};
    let cases: &[(Edges, &[&str])] = &[
        (&[("web", "api", Own), ("api", "domain", Own), ("web", "hyper", Own)], &[]),
        (&[("connector-gitlab", "forge-sim", Dev), ("web", "forge-sim", Dev)], &[]),
        (&[("web", "reqwest", Dev)], &[]),
        (&[("domain", "api", Own)], &["domain must not know api: domain -> api"]),
        (
            &[("web", "client", Own), ("client", "reqwest", Own)],
            &["web must never reach reqwest: web -> client -> reqwest"],
        ),
        (
            &[("aggregator", "pages", Own), ("pages", "askama_derive", Own)],
            &["aggregator must never reach askama_derive: aggregator -> pages -> askama_derive"],
        ),
        (&[("web", "aggregator", Dev)], &["web must not know aggregator in its tests: web -> aggregator"]),
        (
            &[("connector-gitlab", "connector-github", Own)],
            &["connector-gitlab must not know connector-github: connector-gitlab -> connector-github"],
        ),
        (&[("connector", "forge-sim", Own)], &["connector must not know forge-sim: connector -> forge-sim"]),
    ];
    for (edges, want) in cases {
        assert_eq!(made_up(edges).broken_rules(), *want, "{edges:?}");
    }
    let mut stranger = made_up(&[]);
    stranger.ours.insert("util".to_owned());
    stranger.names.insert("util".to_owned(), "util".to_owned());
    assert_eq!(stranger.broken_rules().len(), 1, "a crate without a floor is named");
}

#[test]
fn a_licence_is_a_choice_or_both() {
    for fine in [
        "MIT",
        "MIT OR Apache-2.0",
        "GPL-3.0 OR MIT",
        "Apache-2.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
    ] {
        assert!(licence_is_fine(fine), "{fine}");
    }
    for not in ["GPL-3.0", "MIT AND GPL-3.0", ""] {
        assert!(!licence_is_fine(not), "{not:?}");
    }
}

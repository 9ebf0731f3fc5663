//! Which source gets which token.

use config::{Loaded, SecretFrom};

use crate::support::Case;

/// `name url token` of every source, `-` for what is not there, `(off)` for those that are.
fn shown(loaded: &Loaded) -> Vec<String> {
    loaded
        .settings
        .sources
        .iter()
        .map(|s| {
            let url = s.url.as_ref().map_or("-", |url| url.as_str());
            let off = if s.disabled.is_some() { " (off)" } else { "" };
            format!("{} {url} {}{off}", s.name, s.token.as_ref().map_or("-", |t| t.expose()))
        })
        .collect()
}

#[track_caller]
fn check(text: Option<&str>, env: &[(&str, &str)], expected: &[&str], warnings: usize) {
    let case = text.map_or_else(Case::new, Case::yaml).env(env);
    let loaded = case.good();
    assert_eq!(shown(&loaded), expected);
    assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
}

#[test]
fn a_token_and_no_file_is_enough() {
    check(None, &[("GITHUB_TOKEN", "t")], &["github-main https://api.github.com/ t"], 0);
    check(
        None,
        &[("GITHUB_TOKEN", "h"), ("GITLAB_TOKEN", "l"), ("BITBUCKET_TOKEN", "b")],
        &[
            "gitlab-main https://gitlab.com/ l",
            "github-main https://api.github.com/ h",
            "bitbucket-main https://api.bitbucket.org/2.0 b",
        ],
        0,
    );
    check(
        None,
        &[("GITLAB_TOKEN", "l"), ("GITLAB_URL", "https://g.example/x")],
        &["gitlab-main https://g.example/x l"],
        0,
    );
    check(None, &[("GITHUB_TOKEN", "")], &[], 0);
    check(None, &[("GITHUB_TOKEN", "t\n")], &["github-main https://api.github.com/ t"], 0);
    // A leftover is told, not fatal.
    check(None, &[("JENKINS_TOKEN", "j")], &[], 1);
    check(None, &[("GITLAB_URL", "https://g.example")], &["gitlab-main https://g.example/ - (off)"], 0);
    check(None, &[("CCTRAY_URL", "https://c/cc.xml")], &["cctray-main https://c/cc.xml -"], 0);
    let loaded = Case::new()
        .env(&[("JENKINS_URL", "https://j"), ("JENKINS_USER", "ci"), ("JENKINS_TOKEN", "j")])
        .good();
    assert_eq!(shown(&loaded), ["jenkins-main https://j/ j"]);
    assert_eq!(loaded.settings.sources[0].user.as_deref(), Some("ci"));
    let from = loaded.settings.sources[0].token.as_ref().map(|t| t.from().clone());
    assert_eq!(from, Some(SecretFrom::Environment("JENKINS_TOKEN".to_owned())));
}

#[test]
fn a_file_without_that_platform_leaves_room_unless_it_closes_it() {
    check(Some("ui: { title: x }"), &[("GITHUB_TOKEN", "t")], &["github-main https://api.github.com/ t"], 1);
    check(Some("github:"), &[("GITHUB_TOKEN", "t")], &["github-main https://api.github.com/ t"], 1);
    check(Some("github: []"), &[("GITHUB_TOKEN", "t")], &[], 0);
}

#[test]
fn the_one_source_without_a_token_gets_it() {
    let file = "github: [ { name: a, token: x }, { name: b, url: https://ghe.example } ]";
    check(
        Some(file),
        &[("GITHUB_TOKEN", "t")],
        &["a https://api.github.com/ x", "b https://ghe.example/ t"],
        0,
    );
    // Named by the file already: nobody else gets it.
    let file = "github: [ { name: a, token: ${GITHUB_TOKEN} }, { name: b, token: ${OTHER} } ]";
    check(
        Some(file),
        &[("GITHUB_TOKEN", "t")],
        &["a https://api.github.com/ t", "b https://api.github.com/ - (off)"],
        0,
    );
    // Anonymous by the file's own word counts as without.
    check(
        Some("github: [ { name: a, token: \"${X:-}\" } ]"),
        &[("GITHUB_TOKEN", "t")],
        &["a https://api.github.com/ t"],
        0,
    );
    check(Some("github: [ { name: a } ]"), &[], &["a https://api.github.com/ -"], 0);
    check(Some("gitlab: [ { name: a } ]"), &[], &["a https://gitlab.com/ - (off)"], 0);
    // An app signs in by itself.
    check(
        Some("github: [ { name: a, app_id: 1, private_key: \"-----\\nx\" } ]"),
        &[("GITHUB_TOKEN", "t")],
        &["a https://api.github.com/ -"],
        0,
    );
}

#[test]
fn several_without_a_token_are_a_mistake_that_names_them() {
    let file = "gitlab:\n- { name: a }\n- { name: b, token: x }\n- { name: c, url: https://c }\n";
    assert_eq!(
        Case::yaml(file).env(&[("GITLAB_TOKEN", "canary")]).bad(),
        [
            "environment GITLAB_TOKEN: gitlab: could be the token of any of a, c; write token: ${GITLAB_TOKEN} into the one it is meant for, and a token into the others"
        ]
    );
}

#[test]
fn a_token_with_a_url_goes_to_that_host_only() {
    let pair = [("GITLAB_URL", "https://env.example"), ("GITLAB_TOKEN", "t")];
    // Another host is in the file, and has no token: it does not get this one.
    check(
        Some("gitlab: [ { name: a, url: https://file.example } ]"),
        &pair,
        &["a https://file.example/ - (off)", "gitlab-main https://env.example/ t"],
        1,
    );
    check(
        Some("gitlab: [ { name: a, url: https://file.example }, { name: b, url: https://env.example/ } ]"),
        &pair,
        &["a https://file.example/ - (off)", "b https://env.example/ t"],
        0,
    );
    check(Some("gitlab: [ { name: a } ]"), &pair, &["a https://env.example/ t"], 0);
    check(
        Some("gitlab: [ { name: b, url: https://env.example, token: own } ]"),
        &pair,
        &["b https://env.example/ own"],
        0,
    );
    // The name is taken: told, and nothing is sent anywhere.
    check(
        Some("gitlab: [ { name: gitlab-main, url: https://file.example } ]"),
        &pair,
        &["gitlab-main https://file.example/ - (off)"],
        1,
    );
    assert!(
        Case::yaml("gitlab: [ { name: a }, { name: b } ]").env(&pair).bad()[0]
            .contains("could be the url of any of a, b")
    );
}

#[test]
fn names_that_nobody_gave() {
    check(
        Some("gitlab: [ { token: x } ]\ngithub: [ {}, { name: b } ]"),
        &[],
        &[
            "gitlab-main https://gitlab.com/ x",
            "github-1 https://api.github.com/ -",
            "b https://api.github.com/ -",
        ],
        0,
    );
}

#[test]
fn a_missing_variable_anywhere_in_a_source_turns_it_off_and_only_it() {
    let file = "jenkins:\n- { name: a, url: \"${J_URL}\", token: x }\n- { name: b, url: https://b, folders: [ok, \"${F}\"], ca_file: \"${CA}/x\" }\n- { name: c, url: https://c }\n";
    let loaded = Case::yaml(file).good();
    assert_eq!(shown(&loaded), ["a - x (off)", "b https://b/ - (off)", "c https://c/ -"]);
    assert_eq!(
        loaded.settings.sources[1].disabled.as_deref(),
        Some(
            "environment variable F is not set (jenkins[1].folders[1]); environment variable CA is not set (jenkins[1].ca_file)"
        )
    );
    // Its other mistakes are told all the same.
    let told = Case::yaml("gitlab: [ { name: a, token: ${NOPE}, logs: x } ]").bad();
    assert!(told.len() == 1 && told[0].contains("gitlab[0].logs"), "{told:?}");
    let effective = loaded.settings.effective_yaml();
    assert!(
        effective
            .contains("  - name: a\n    # off: environment variable J_URL is not set (jenkins[0].url)\n"),
        "{effective}"
    );
}

#[test]
fn what_is_loud() {
    let file = "gitlab:\n- { name: a, url: http://h, token: x }\n- { name: b, token: x, insecure_skip_verify: true }\n- { name: c, url: http://127.0.0.1:1, token: x }\n- { name: d, url: \"http://[::1]:1\", token: x }\n";
    let warnings: Vec<String> = Case::yaml(file).good().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "config.yaml:2: gitlab[0].url: source a sends its token over http, for all between to read",
            "config.yaml:3: gitlab[1].insecure_skip_verify: source b accepts any certificate: whoever is between can read its token",
        ]
    );
}

#[test]
fn globs_in_and_out() {
    let file = "github: [ { name: a, events: [\"!schedule\"], branches: [main, \"release/*\", \"!release/old-*\"] } ]";
    let source = Case::yaml(file).good().settings.sources.remove(0);
    assert!(source.events.lets_in("push") && !source.events.lets_in("schedule"));
    for (branch, shown) in [("main", true), ("release/1/x", true), ("release/old-1", false), ("dev", false)] {
        assert_eq!(source.branches.lets_in(branch), shown, "{branch}");
    }
    assert!(source.workflows.is_empty() && source.workflows.lets_in("anything"));
}

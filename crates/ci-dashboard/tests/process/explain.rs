//! `ci-dashboard explain`: the same words from the aggregator's socket and from the single process.

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Ended, Forge, Place, Web, eventually, free_port};

const BINARY: &str = "ci-dashboard";

/// A project that has a colour and rests: source, id, name, outcome.
fn a_settled_project(web: Web) -> [String; 4] {
    eventually("a project with a colour", || {
        let rows = web.items("/api/v1/projects")?;
        let settled = rows.iter().find(|r| !r["outcome"].is_null() && r["activity"].is_null());
        let text = |r: &Value, field: &str| r[field].as_str().unwrap_or_default().to_owned();
        let settled = settled.map(|r| ["source", "id", "name", "outcome"].map(|field| text(r, field)));
        settled.ok_or_else(|| format!("{rows:?}"))
    })
}

/// What there is to say of a project, by address and by name, as text and as JSON.
fn check(explain: impl Fn(&[&str]) -> Ended, web: Web) {
    let [source, id, name, outcome] = a_settled_project(web);
    let address = format!("{source}:{id}");
    let said = explain(&[&address]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let line = |label: &str| {
        let line = said.out.lines().find_map(|l| l.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label}: {}", said.out)).trim().to_owned()
    };
    assert!(said.out.starts_with(&format!("{name}  ({address})\n")), "{}", said.out);
    assert!(line("Colour").starts_with(&format!("{outcome} on ")), "{}", said.out);
    assert!(line("Decided by").starts_with('#') && line("Decided by").ends_with(&outcome), "{}", said.out);
    assert!(line("Last asked").contains(" ago, "), "{}", said.out);
    assert!(line("Due").contains(": "), "with its reason: {}", said.out);

    let json = explain(&["--json", &name]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["source"], &json["id"]), (&source.into(), &id.into()));
    assert!(json["schedule"]["asked_at"].is_string() && json["reasons"][0]["decided"] == true, "{json}");

    // A part of a name is none, but tells what is near.
    let mut part = name;
    part.pop();
    let near = explain(&[&part]);
    assert_eq!(near.code, Some(1), "{near:?}");
    assert!(near.err.contains("there is no project") && near.err.contains(&address), "{}", near.err);
    let none = explain(&["no-such-thing-anywhere"]);
    assert_eq!((none.code, none.out.as_str()), (Some(1), ""), "{none:?}");
}

#[test]
fn the_two_daemons_are_asked_by_their_socket() {
    let (forge, place, web) = (Forge::start(12), Place::new(), Web { port: free_port() });
    let socket = format!("unix:{}", place.path("a.sock").display());
    let config = format!("{}aggregator: {{ listen: \"{socket}\" }}\n", forge.config());
    let config = place.config(&config).display().to_string();
    let mut aggregator = place.start("ci-dashboard-aggregator", &["--config", &config]);
    let port = web.port.to_string();
    let mut daemon = place.start("ci-dashboard-web", &["--config", &config, "--port", &port]);
    web.until_connected();
    let explain = |args: &[&str]| {
        let mut all = vec!["explain", "--config", &config];
        all.extend(args);
        place.run(BINARY, &all)
    };
    check(explain, web);
    // Not through the web server: it need not be there.
    let [source, id, ..] = a_settled_project(web);
    assert_eq!(daemon.stop(Signal::TERM), Some(0));
    assert_eq!(explain(&[&format!("{source}:{id}")]).code, Some(0));
    // The same settings with no token in the environment, and none needed.
    assert_eq!(aggregator.stop(Signal::TERM), Some(0));
    let nobody = explain(&[&format!("{source}:{id}")]);
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""), "{nobody:?}");
    for words in ["nothing runs here", &socket, "Start `ci-dashboard`", "--config"] {
        assert!(nobody.err.contains(words), "{words}: {}", nobody.err);
    }
}

#[test]
fn the_single_process_is_asked_by_its_web_server() {
    let (forge, place, web) = (Forge::start(12), Place::new(), Web { port: free_port() });
    let server =
        format!("server: {{ port: {}, base_path: /ci, allowed_hosts: [ci.example.org] }}\n", web.port);
    let config = place.config(&format!("{}{server}", forge.config())).display().to_string();
    let mut running = place.start(BINARY, &["--config", &config]);
    let explain = |args: &[&str]| {
        let mut all = vec!["explain", "--config", &config];
        all.extend(args);
        place.run(BINARY, &all)
    };
    // The kit asks by address, which these settings refuse: the explanation itself tells when all is read.
    let of = |p: &forge_sim::world::Project| match p.face.0 {
        "gitlab" => (format!("gl:{}", p.native_id), p.full_path()),
        _ => (format!("gh:{}", p.full_path()), p.full_path()),
    };
    let (address, name) = forge.sim.world().with(|w| {
        of(w.projects().find(|p| p.shape == forge_sim::world::Shape::Green).expect("a green project"))
    });
    let said = eventually("it is read", || {
        let said = explain(&[&address]);
        let read = said.code == Some(0) && said.out.contains("success on ");
        if read { Ok(said) } else { Err(format!("{said:?}")) }
    });
    assert!(said.out.contains("Decided by") && said.out.contains("Last asked"), "{}", said.out);
    let json = explain(&["--json", &name]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["name"], name.as_str());
    // GitLab's projects have a name beside their id: it leads there too.
    if let Some(("gl", _)) = address.split_once(':') {
        assert_eq!(explain(&[&format!("gl:{name}")]).code, Some(0));
    }
    assert_eq!(explain(&["no-such-thing-anywhere"]).code, Some(1));
    assert_eq!(explain(&[]).code, Some(2), "bad usage");
    assert_eq!(running.stop(Signal::TERM), Some(0));
}

#[test]
fn a_name_that_two_sources_have_is_not_guessed() {
    let (forge, place, web) = (Forge::start(6), Place::new(), Web { port: free_port() });
    let config = format!(
        "server: {{ port: {} }}\ndatabase: {{ url: none }}\n\
         gitlab: [ {{ name: one, url: \"{url}\", token: {token} }}, {{ name: two, url: \"{url}\", token: {token} }} ]\n",
        web.port,
        url = forge.sim.gitlab_url(),
        token = forge.sim.token()
    );
    let config = place.config(&config).display().to_string();
    let _running = place.start(BINARY, &["--config", &config]);
    let name = eventually("both sources have it", || {
        let rows = web.items("/api/v1/projects")?;
        let name = rows.first().and_then(|r| r["name"].as_str()).ok_or("no rows")?.to_owned();
        let both = rows.iter().filter(|r| r["name"] == name.as_str()).count() == 2;
        both.then_some(name).ok_or_else(|| format!("{} rows", rows.len()))
    });
    let said = place.run(BINARY, &["explain", "--config", &config, &name]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.err.contains("several projects"), "{}", said.err);
    for source in ["one:", "two:"] {
        assert!(said.err.contains(source), "{source} {}", said.err);
    }
}

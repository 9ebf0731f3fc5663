//! `ci-dashboard-aggregator migrate`, as an operator runs it before an upgrade.

use history_suite::server::Server;

use crate::kit::{Ended, Place};

fn migrate(place: &Place, name: &str, url: &str) -> Ended {
    let path = place.path(name);
    std::fs::write(&path, format!("database: {{ url: \"{url}\" }}\n")).unwrap();
    place.run("ci-dashboard-aggregator", &["migrate", "--config", &path.display().to_string()])
}

#[test]
fn it_brings_the_schema_up_to_date_and_ends() {
    let place = Place::new();
    let file = format!("sqlite:{}", place.path("h.db").display());
    for _ in 0..2 {
        let done = migrate(&place, "file.yaml", &file);
        assert!(done.code == Some(0) && done.out.contains("is up to date (SQLite 3"), "{done:?}");
    }

    let wrong = migrate(&place, "wrong.yaml", "postgres://ci:secret@127.0.0.1:1/x");
    let why: Vec<_> =
        wrong.err.lines().filter(|line| line.starts_with("ci-dashboard-aggregator: ")).collect();
    let [why] = why.as_slice() else { panic!("one sentence: {wrong:?}") };
    assert!(wrong.code == Some(1) && why.contains("127.0.0.1:1/x"), "{wrong:?}");
    assert!(!wrong.out.contains("secret") && !wrong.err.contains("secret"), "{wrong:?}");
    let none = migrate(&place, "none.yaml", "none");
    assert!(none.code == Some(1) && none.err.contains("database.url is none"), "{none:?}");

    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    std::thread::scope(|scope| {
        let at_once = ["one.yaml", "two.yaml"].map(|name| {
            let url = &url;
            scope.spawn(move || migrate(&Place::new(), name, url))
        });
        for done in at_once.map(|thread| thread.join().unwrap()) {
            assert!(done.code == Some(0) && done.out.contains("is up to date (PostgreSQL"), "{done:?}");
        }
    });
    assert_eq!(server.query("postgres", "SELECT count(*) FROM pg_views WHERE viewname = 'runs'").trim(), "1");
}

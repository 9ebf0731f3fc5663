//! The whole product in each of the ways in which it is deployed, by configuration alone: in memory with a file beside it, with
//! Redis, with PostgreSQL, with both. The same is promised of all of them.

use serde_json::Value;

use crate::kit::{Forge, Place, Web, eventually, free_port};

/// One way.
struct Deployment {
    name: &'static str,
    settings: String,
    /// What keeps history, and what the cache is, as `/api/v1/stores` says.
    history: Option<&'static str>,
    cache: Option<&'static str>,
}

fn deployments(
    place: &Place,
    redis: &cache_suite::Server,
    postgres: &history_suite::server::Server,
) -> Vec<Deployment> {
    let in_redis = |database| format!("{{ type: redis, redis_url: \"{}\", ", redis.url(database));
    let memory = || "{ type: memory, ".to_owned();
    let settings = |cache: String, database: String| {
        format!("cache: {cache}refresh_interval: 1s, ttl: 1s }}\ndatabase: {{ url: \"{database}\" }}\n")
    };
    let file = format!("sqlite:{}", place.path("history.db").display());
    assert_eq!(postgres.query("postgres", "CREATE DATABASE second").trim(), "CREATE DATABASE");
    vec![
        Deployment {
            name: "memory",
            settings: settings(memory(), file),
            history: Some("SQLite"),
            cache: None,
        },
        Deployment {
            name: "Redis",
            settings: settings(in_redis(0), "none".to_owned()),
            history: None,
            cache: Some("Redis"),
        },
        Deployment {
            name: "PostgreSQL",
            settings: settings(memory(), postgres.url("postgres")),
            history: Some("PostgreSQL"),
            cache: None,
        },
        Deployment {
            name: "both",
            settings: settings(in_redis(1), postgres.url("second")),
            history: Some("PostgreSQL"),
            cache: Some("Redis"),
        },
    ]
}

/// What is kept is written, by what it is meant to be written.
fn written(answer: &Value, store: &str, engine: Option<&str>) -> Result<(), String> {
    let store = &answer[store];
    let fine = match engine {
        None => store["state"] == "off",
        Some(engine) => {
            let is = store["engine"].as_str().is_some_and(|e| e.starts_with(engine));
            is && store["state"] == "ok"
                && store["waiting"] == 0
                && store["behind"].as_u64().unwrap_or(0) == 0
        }
    };
    if fine { Ok(()) } else { Err(store.to_string()) }
}

/// Names and outcomes.
fn board(web: Web) -> Result<Vec<(String, String)>, String> {
    let items = web.items("/api/v1/projects?per_page=100&sort=name")?;
    Ok(items.iter().map(|p| (p["name"].to_string(), p["outcome"].to_string())).collect())
}

#[test]
fn the_same_is_promised_of_every_deployment() {
    let Some(redis) = cache_suite::Server::start(cache_suite::Options::default()) else { return };
    let Some(postgres) = history_suite::server::Server::start(false) else { return };
    let (forge, shared) = (Forge::start(8), Place::new());
    let sources: String = forge.config().lines().skip(2).map(|line| format!("{line}\n")).collect();
    let all = deployments(&shared, &redis, &postgres);
    let places: Vec<_> = all.iter().map(|_| (Place::new(), Web { port: free_port() })).collect();
    let start = |n: usize| {
        let (place, web): &(Place, Web) = &places[n];
        let path = place.config(&format!("{}{sources}", all[n].settings)).display().to_string();
        place.start("ci-dashboard", &["--config", &path, "--port", &web.port.to_string()])
    };
    let mut running: Vec<_> = (0..all.len()).map(start).collect();
    let mut before = Vec::new();
    for (one, (_, web)) in all.iter().zip(&places) {
        web.until_connected();
        let what = |what: &str| format!("{}: {what}", one.name);
        let rows = eventually(&what("everything is read"), || {
            let sources = web.items("/api/v1/sources")?;
            let read = sources.len() == 2
                && sources.iter().all(|s| s["state"] == "ok" && s["schedule"]["unread"] == 0);
            if read { board(*web) } else { Err(format!("{sources:?}")) }
        });
        assert!(rows.iter().any(|(_, outcome)| outcome.contains("success")), "{}: {rows:?}", one.name);
        // A run with its jobs.
        let project = web.items("/api/v1/projects?status=success").unwrap().remove(0);
        let run = &project["pipelines"][0];
        let path = |text: &Value| text.as_str().unwrap().replace('/', "%2F");
        let jobs = format!(
            "/api/v1/projects/{}/{}/pipelines/{}/jobs",
            path(&project["source"]),
            path(&project["id"]),
            path(&run["id"])
        );
        eventually(&what("its jobs are read"), || {
            let jobs = web.items(&jobs)?;
            if jobs.is_empty() { Err("none".to_owned()) } else { Ok(()) }
        });
        eventually(&what("what is kept is written"), || {
            let answer = web.ok("/api/v1/stores")?.json();
            written(&answer, "history", one.history)?;
            written(&answer, "cache", one.cache)
        });
        let page = web.ok("/sources").unwrap().body;
        for (engine, store) in [(one.history, "history"), (one.cache, "cache")] {
            assert_eq!(page.contains(&format!("id=\"{store}\"")), engine.is_some(), "{}: {store}", one.name);
        }
        before.push(jobs);
    }
    // What is only seen at a glance at first is known in full a little later.
    let rows = eventually("all of them show the same", || {
        let boards = places.iter().map(|(_, web)| board(*web)).collect::<Result<Vec<_>, _>>()?;
        if boards.windows(2).all(|w| w[0] == w[1]) {
            Ok(boards[0].clone())
        } else {
            Err(format!("{boards:?}"))
        }
    });

    // Everything dies, and no platform answers any more.
    running.drain(..).for_each(crate::kit::Running::kill);
    drop(forge);
    let _again: Vec<_> = (0..all.len()).map(start).collect();
    for ((one, (_, web)), jobs) in all.iter().zip(&places).zip(&before) {
        web.until_connected();
        let what = |what: &str| format!("{}: {what}", one.name);
        let back = |rows: &[(String, String)]| -> Vec<(String, String)> {
            rows.iter().filter(|(_, outcome)| outcome != "null").cloned().collect()
        };
        eventually(&what("the board is back"), || {
            let now = board(*web)?;
            if back(&now) == back(&rows) { Ok(()) } else { Err(format!("{now:?}")) }
        });
        eventually(&what("the jobs are back"), || {
            let jobs = web.items(jobs)?;
            if jobs.is_empty() { Err("none".to_owned()) } else { Ok(()) }
        });
        eventually(&what("the page says how old it is"), || {
            let page = web.ok("/")?.body;
            if page.contains("does not answer") || page.contains("do not answer") {
                Ok(())
            } else {
                Err(page)
            }
        });
    }
}

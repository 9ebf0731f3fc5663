//! Webhooks into the real binaries.

use serde_json::{Value, json};

use crate::kit::{Answer, Forge, Place, Web, eventually, free_port};

const SECRET: &str = "s3cret";

/// Settings with a secret for `gl`, read once: what moves, moves by webhooks.
fn config(forge: &Forge) -> String {
    forge
        .config()
        .replace("name: gl,", &format!("name: gl, webhook_secret: {SECRET},"))
        .replace("refresh_interval: 1s", "refresh_interval: 1h")
}

/// A project of the simulated GitLab at which things happen: its id, its name and its branch.
fn lively(forge: &Forge) -> (u64, String, String) {
    forge.sim.world().with(|w| {
        let p = w.projects().find(|p| p.face.0 == "gitlab" && p.shape.is_lively()).unwrap();
        (p.native_id, p.full_path(), p.default_branch.as_deref().unwrap().to_owned())
    })
}

fn hook((id, name, branch): &(u64, String, String), run: u64) -> Value {
    json!({
        "object_kind": "pipeline",
        "object_attributes": {
            "id": run, "ref": branch, "source": "push", "status": "failed",
            "created_at": "2036-11-24 15:23:00 UTC", "finished_at": "2036-11-24 15:23:30 UTC",
        },
        "project": { "id": id, "path_with_namespace": name, "default_branch": branch },
    })
}

fn deliver(web: Web, id: &str, body: &Value) -> Result<Answer, String> {
    let head = format!(
        "Content-Type: application/json\r\nX-Gitlab-Event: Pipeline Hook\r\nX-Gitlab-Token: {SECRET}\r\n\
         Idempotency-Key: {id}\r\n"
    );
    web.post("/webhooks/gl", &head, &body.to_string())
}

#[test]
fn a_delivery_that_is_accepted_is_an_event_in_the_browser() {
    let (forge, place, web) = (Forge::start(8), Place::new(), Web { port: free_port() });
    let path = place.config(&config(&forge)).display().to_string();
    let _running = place.start("ci-dashboard", &["--config", &path, "--port", &web.port.to_string()]);
    web.until_connected();
    let project = lively(&forge);
    eventually("it is there", || web.ok(&format!("/api/v1/projects/gl/{}", project.0)));
    let mut events = web.events().unwrap();
    assert!(events.any(|e| e.name == "board"), "the first tells where it begins");
    assert_eq!(deliver(web, "d1", &hook(&project, 999_999)).unwrap().status, 202);
    let id = project.0.to_string();
    let of_it = |e: &crate::kit::Event| {
        let changes = e.data["changes"].as_array();
        changes.into_iter().flatten().any(|c| c["source"] == "gl" && c["id"] == id.as_str())
    };
    assert!(events.any(|e| of_it(&e)));
    let row = web.ok(&format!("/api/v1/projects/gl/{id}")).unwrap().json();
    assert_eq!(row["outcome"], "failed");
    let health = &web.ok("/api/v1/sources").unwrap().json()["items"];
    let of = |name: &str| {
        health.as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()["webhooks"].clone()
    };
    assert_eq!(
        (&of("gl")["accepted"], &of("gl")["last_kind"], &of("gh")),
        (&json!(1), &json!("Pipeline Hook"), &Value::Null)
    );
}

#[test]
fn while_the_aggregator_is_dead_nothing_is_accepted() {
    let (forge, place, web) = (Forge::start(8), Place::new(), Web { port: free_port() });
    let path = place.config(&config(&forge)).display().to_string();
    let socket = format!("unix:{}", place.path("a.sock").display());
    let start = || place.start("ci-dashboard-aggregator", &["--config", &path, "--listen", &socket]);
    let aggregator = start();
    let port = web.port.to_string();
    let _web =
        place.start("ci-dashboard-web", &["--config", &path, "--aggregator", &socket, "--port", &port]);
    web.until_connected();
    let project = lively(&forge);
    assert_eq!(deliver(web, "d1", &hook(&project, 999_998)).unwrap().status, 202);
    aggregator.kill();
    let refused = deliver(web, "d2", &hook(&project, 999_999)).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());

    // The platform sends it again, and it is taken.
    let _aggregator = start();
    eventually("it is accepted", || {
        let answer = deliver(web, "d2", &hook(&project, 999_999))?;
        (answer.status == 202).then_some(()).ok_or_else(|| answer.status.to_string())
    });
    let runs = web.items(&format!("/api/v1/projects/gl/{}/pipelines", project.0)).unwrap();
    assert!(runs.iter().any(|r| r["id"] == "999999" && r["status"] == "failed"), "{runs:?}");
}

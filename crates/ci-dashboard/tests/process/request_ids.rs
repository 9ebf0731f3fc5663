//! A request's id goes from the browser through both daemons to the platform, and into the log of each.

use crate::kit::eventually;
use crate::two_daemons::{AGGREGATOR, House};

const ID: &str = "trace-7f3a.1";

#[test]
fn an_id_goes_from_the_browser_to_the_platform() {
    let house = House::new(4);
    house.place.config(&format!("{}server: {{ trusted_proxies: [127.0.0.1] }}\n", house.forge.config()));
    let args = ["--config", &house.config, "--listen", &house.address()];
    let aggregator = house.place.start_with_env(AGGREGATOR, &args, &[("LOG_LEVEL", "debug")]);
    let web = house.start_web();
    house.web.until_connected();
    house.until_rows_are_the_world();
    let asked = |sim: &forge_sim::Sim| {
        sim.requests().all().into_iter().filter(|r| r.request_id.is_some()).collect::<Vec<_>>()
    };
    assert!(asked(&house.forge.sim).is_empty(), "what nobody asked for has no id");
    let runs = house.web.items("/api/v1/pipelines?source=gl").unwrap();
    let text = |key: &str| runs[0][key].as_str().unwrap().to_owned();
    let jobs = format!("/api/v1/projects/gl/{}/pipelines/{}/jobs", text("project_id"), text("id"));
    eventually("the jobs are read", || {
        let answer = house.web.get_with(&jobs, &[("X-Request-Id", ID)])?;
        assert_eq!(answer.header("x-request-id"), Some(ID));
        (answer.json()["loading"] != true).then_some(()).ok_or(answer.body)
    });
    let asked = asked(&house.forge.sim);
    assert!(!asked.is_empty() && asked.iter().all(|r| r.request_id.as_deref() == Some(ID)), "{asked:#?}");
    assert!(asked.iter().any(|r| r.path.contains(&text("id"))), "for the run: {asked:#?}");
    for (log, what) in
        [(web.stderr(), "\"message\":\"request\""), (aggregator.stderr(), "\"method\":\"GetPipeline\"")]
    {
        assert!(log.lines().any(|line| line.contains(ID) && line.contains(what)), "{what}: {log}");
    }
    let told = |line: &str| ["\"source\":\"gl\"", "answered", ID].iter().all(|part| line.contains(part));
    assert!(
        aggregator.stderr().lines().any(told),
        "with the request to the platform: {}",
        aggregator.stderr()
    );
}

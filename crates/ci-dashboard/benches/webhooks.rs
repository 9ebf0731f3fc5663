//! From a webhook that is accepted to the events in the browsers: how long it takes, with many of them connected.
//!
//! `just bench-webhooks` starts aggregator and web in this process, on a simulated platform, connects
//! [`CLIENTS`] event streams over loopback TCP, delivers [`DELIVERIES`] webhooks one after the other, and prints the times
//! from the first byte of the POST. What the platforms take to send, and networks in between, come on top.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a program that measures fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Inputs, Role, Secret, SecretFrom};
use domain::SystemClock;
use forge_sim::Sim;
use forge_sim::world::Shape;
use lifecycle::Lifecycle;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Event streams that are open.
const CLIENTS: usize = 200;
/// Webhooks that are delivered.
const DELIVERIES: usize = 100;
/// Between two of them: longer than events are held back for one another, which is the browsers' business and not measured.
const PAUSE: Duration = Duration::from_millis(700);
/// Webhooks before those that are measured.
const WARM_UP: usize = 5;
/// What the goal is, for the 99th percentile.
const GOAL: Duration = Duration::from_millis(50);
const SECRET: &str = "s3cret";

/// One event stream: says when it heard of a change of this project.
async fn listen(port: u16, project: String, heard: mpsc::UnboundedSender<Instant>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /api/v1/events/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let named = format!(r#""id":"{project}""#);
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("data:") && line.contains(&named) && heard.send(Instant::now()).is_err() {
            return;
        }
    }
}

/// Delivers one webhook; gives the answer's status.
async fn deliver(port: u16, number: usize, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /webhooks/gitlab-main HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-gitlab-event: Pipeline Hook\r\nx-gitlab-token: {SECRET}\r\nidempotency-key: {number}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn settings(sim: &Sim) -> config::Settings {
    let url = sim.gitlab_url();
    let env = [
        ("GITLAB_URL", url.as_str()),
        ("GITLAB_TOKEN", sim.token()),
        ("DATABASE_URL", "none"),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "1h"),
        ("PORT", "0"),
    ];
    let inputs = Inputs::isolated(Role::All, None, env);
    let mut settings = config::load(&inputs).unwrap_or_else(|p| panic!("{p}")).settings;
    for source in &mut settings.sources {
        source.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

fn figure(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "an index"
        )]
        times[((times.len() - 1) as f64 * share) as usize]
    };
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    let (p50, p99, worst) = (at(0.5), at(0.99), at(1.0));
    println!("{name:36} p50 {:7.2} ms   p99 {:7.2} ms   worst {:7.2} ms", ms(p50), ms(p99), ms(worst));
    p99
}

#[tokio::main]
async fn main() {
    let sim = Sim::builder().projects(60).seed(11).start().await.unwrap();
    let settings = settings(&sim);
    let life = Lifecycle::new();
    let clock = Arc::new(SystemClock);
    let aggregator = aggregator::Aggregator::new(&settings, Arc::clone(&clock) as _, &life.tasks()).unwrap();
    let hub = Arc::clone(aggregator.hub());
    let endpoint = api::Endpoint::InProcess(api::InProcess::default());
    aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
    let listener = web::listen(&settings.server, None).await.unwrap();
    let port =
        web::serve((&settings).into(), &endpoint, clock, listener, &life.tasks()).unwrap().address().port();
    while !hub.read(|p| p.sources.values().all(|s| s.last_success_at.is_some())) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (id, name, branch) = sim.world().with(|w| {
        let p = w.projects().find(|p| p.face.0 == "gitlab" && p.shape == Shape::Green).unwrap();
        (p.native_id.to_string(), p.full_path(), p.default_branch.as_deref().unwrap().to_owned())
    });

    let (heard, mut hears) = mpsc::unbounded_channel();
    let mut streams = JoinSet::new();
    for _ in 0..CLIENTS {
        streams.spawn(listen(port, id.clone(), heard.clone()));
    }
    tokio::time::sleep(PAUSE).await;

    let (mut answered, mut first, mut each, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP + DELIVERIES {
        let status = if number % 2 == 0 { "failed" } else { "success" };
        let body = format!(
            r#"{{"object_attributes":{{"id":{},"ref":"{branch}","source":"push","status":"{status}","created_at":"2036-11-24 15:23:00 UTC"}},
                "project":{{"id":{id},"path_with_namespace":"{name}","default_branch":"{branch}"}}}}"#,
            900_000 + number
        );
        while hears.try_recv().is_ok() {}
        let begun = Instant::now();
        assert_eq!(deliver(port, number, &body).await, "202");
        let accepted = begun.elapsed();
        let mut times = Vec::with_capacity(CLIENTS);
        while times.len() < CLIENTS {
            let at = tokio::time::timeout(Duration::from_secs(10), hears.recv()).await;
            times.push(at.expect("every stream hears of it").unwrap().duration_since(begun));
        }
        if number >= WARM_UP {
            answered.push(accepted);
            first.extend(times.iter().min());
            last.extend(times.iter().max());
            each.extend(times);
        }
        tokio::time::sleep(PAUSE).await;
    }
    println!("{DELIVERIES} webhooks, {CLIENTS} event streams, one process, loopback");
    figure("POST to its answer", answered);
    figure("POST to the first stream's event", first);
    let p99 = figure("POST to a stream's event", each);
    figure("POST to the last stream's event", last);
    println!("p99 is {:.2} of the goal of {GOAL:?}", p99.as_secs_f64() / GOAL.as_secs_f64());
    streams.shutdown().await;
    life.stop().await;
    if p99 > GOAL {
        println!("NOT REACHED");
        std::process::exit(1);
    }
}

//! Soon after a start not everything is known: whoever asks for a project then waits for it, instead of being told that
//! nobody knows.

use std::sync::Arc;
use std::time::Duration;

use aggregator::Aggregator;
use api::v1;
use config::Settings;
use domain::SystemClock;
use forge_sim::Sim;
use lifecycle::{Lifecycle, Stopped};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::{Code, Request, Status};

use crate::kit::{self, PATIENCE};

/// Stands before the platform: whoever comes waits until it is open.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
    /// How many wait, or came through.
    came: watch::Receiver<usize>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Gate {
    async fn before(platform: &str) -> Self {
        let to = platform.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (open, is_open) = watch::channel(false);
        let (arrive, came) = watch::channel(0);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut through = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                arrive.send_modify(|n| *n += 1);
                let (mut is_open, to) = (is_open.clone(), to.clone());
                through.spawn(async move {
                    is_open.wait_for(|open| *open).await.unwrap();
                    let mut server = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, open, came, _tasks: tasks }
    }

    async fn somebody_came(&mut self) {
        tokio::time::timeout(PATIENCE, self.came.wait_for(|n| *n > 0)).await.unwrap().unwrap();
    }
}

fn settings(url: &str, token: &str) -> Settings {
    let env = [("GITLAB_URL", url), ("GITLAB_TOKEN", token), ("DATABASE_URL", "none")];
    kit::settings(env)
}

struct Rig {
    gate: Gate,
    life: Lifecycle,
    client: api::Client,
    source: String,
    /// A project that the platform has.
    id: String,
    _sim: Sim,
}

impl Rig {
    /// Its platform has been asked, and says nothing yet.
    async fn asking() -> Self {
        let sim = Sim::builder().faces([forge_sim::gitlab::FACE]).projects(3).seed(5).start().await.unwrap();
        let mut gate = Gate::before(&sim.gitlab_url()).await;
        let settings = settings(&gate.url, sim.token());
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(&settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        gate.somebody_came().await;
        let id = sim.world().with(|w| w.projects().next().unwrap().native_id.to_string());
        let (client, source) = (endpoint.client().unwrap(), settings.sources[0].name.clone());
        Self { gate, life, client, source, id, _sim: sim }
    }

    async fn project(&self, id: &str, within: Option<Duration>) -> Result<v1::GetProjectResponse, Status> {
        let key = v1::ProjectKey { source: self.source.clone(), id: id.to_owned() };
        let mut request = Request::new(v1::GetProjectRequest { key: Some(key) });
        within.into_iter().for_each(|within| request.set_timeout(within));
        let mut client = self.client.clone();
        let answer = client.get_project(request);
        tokio::time::timeout(PATIENCE, answer).await.unwrap().map(tonic::Response::into_inner)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_time_waits_for_a_project_that_is_about_to_be_known() {
    let rig = Rig::asking().await;
    // Without time to wait: nobody knows yet.
    let refused = rig.project(&rig.id, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    // A little time: the same, before nobody waits any more.
    let refused = rig.project(&rig.id, Some(Duration::from_millis(600))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("for the first time"), "{refused}");
    // Time enough: it is there once the platform has answered, and what the platform does not have is not.
    let open = async {
        tokio::task::yield_now().await;
        rig.gate.open.send_replace(true);
    };
    let (known, unknown, ()) =
        tokio::join!(rig.project(&rig.id, Some(PATIENCE)), rig.project("no/such", Some(PATIENCE)), open);
    assert!(known.unwrap().row.is_some());
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    assert_eq!(rig.life.stop().await, Stopped::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_sent_to_the_next_process_when_this_one_stops() {
    let Rig { gate, life, client, source, id, _sim } = Rig::asking().await;
    let tasks = life.tasks();
    let (key, meanwhile) = (v1::ProjectKey { source, id }, client.clone());
    let ask = async move {
        let mut request = Request::new(v1::GetProjectRequest { key: Some(key) });
        request.set_timeout(PATIENCE);
        client.clone().get_project(request).await.unwrap_err()
    };
    let mut ask = std::pin::pin!(ask);
    assert!(futures::poll!(&mut ask).is_pending());
    // On the same connection, and after it: once this is answered, that has arrived.
    meanwhile.clone().get_me(v1::GetMeRequest {}).await.unwrap();
    let stop = async {
        tasks.request_stop();
        life.stop().await
    };
    let (refused, stopped) = tokio::join!(ask, stop);
    // Neither "there is none" nor "ask later": a break, after which everybody asks again.
    assert!(!matches!(refused.code(), Code::NotFound | Code::Ok), "{refused}");
    assert!(
        refused.code() != Code::Unavailable || std::error::Error::source(&refused).is_some(),
        "{refused}"
    );
    assert_eq!(stopped, Stopped::Clean);
    drop(gate);
}

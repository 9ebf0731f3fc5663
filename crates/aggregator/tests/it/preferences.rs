//! What people choose for themselves is kept over a restart, by user, within its bounds.

use std::sync::Arc;

use aggregator::Aggregator;
use api::v1::preferences_service_client::PreferencesServiceClient;
use api::v1::{GetPreferencesRequest, SetPreferenceRequest};
use domain::SystemClock;
use lifecycle::Lifecycle;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::kit;

struct Rig {
    life: Lifecycle,
    client: PreferencesServiceClient<Channel>,
    metrics: aggregator::metrics::Metrics,
}

impl Rig {
    async fn start(database: &str) -> Self {
        let life = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let settings = kit::settings([("DATABASE_URL", database)]);
        let aggregator = Aggregator::new(&settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let metrics = aggregator.metrics();
        aggregator.start(api::Listener::Tcp(listener), &life.tasks());
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        Self { life, client: PreferencesServiceClient::new(channel), metrics }
    }

    async fn of(&self, user: &str) -> Result<Vec<(String, String)>, Status> {
        let request = GetPreferencesRequest { user: user.into() };
        let told = self.client.clone().get_preferences(request).await?.into_inner().preferences;
        let mut told: Vec<_> = told.into_iter().collect();
        told.sort();
        Ok(told)
    }

    async fn set(&self, user: &str, name: &str, value: Option<&str>) -> Result<(), Status> {
        let request =
            SetPreferenceRequest { user: user.into(), name: name.into(), value: value.map(str::to_owned) };
        self.client.clone().set_preference(request).await.map(|_| ())
    }
}

#[tokio::test]
async fn choices_are_kept_over_a_restart_each_users_own() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", dir.path().join("history.db").display());
    let rig = Rig::start(&database).await;
    assert_eq!(rig.of("ada").await.unwrap(), []);
    rig.set("ada", "theme", Some("dark")).await.unwrap();
    rig.set("ada", "layout", Some("{\"dense\":true}")).await.unwrap();
    rig.set("ada", "theme", Some("light")).await.unwrap();
    rig.set("bob", "theme", Some("dark")).await.unwrap();
    rig.set("bob", "theme", None).await.unwrap();
    rig.life.stop().await;

    let rig = Rig::start(&database).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let of_ada = [pair("layout", "{\"dense\":true}"), pair("theme", "light")];
    assert_eq!(rig.of("ada").await.unwrap(), of_ada);
    assert_eq!(rig.of("bob").await.unwrap(), []);
    let text = rig.metrics.text().unwrap();
    let told = "ci_dashboard_grpc_server_requests_total{method=\"GetPreferences\",code=\"OK\"} 2";
    assert!(text.contains(told), "{text}");
    rig.life.stop().await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(&format!("sqlite:{}", dir.path().join("history.db").display())).await;
    let long = "x".repeat(64 * 1024 + 1);
    for (user, name, value, names) in [
        ("", "theme", "dark", "user"),
        ("a\nb", "theme", "dark", "user"),
        ("ada", "", "dark", "name"),
        ("ada", "Theme!", "dark", "name"),
        ("ada", "theme", long.as_str(), "theme"),
        ("ada", "theme", "a\0b", "theme"),
    ] {
        let refused = rig.set(user, name, Some(value)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(names), "{refused}");
    }
    for n in 0..100 {
        rig.set("ada", &format!("p{n}"), Some("1")).await.unwrap();
    }
    assert_eq!(rig.set("ada", "one-more", Some("1")).await.unwrap_err().code(), Code::ResourceExhausted);
    rig.set("ada", "p7", Some("2")).await.unwrap();
    assert_eq!(rig.of("ada").await.unwrap().len(), 100);
    rig.life.stop().await;
}

#[tokio::test]
async fn without_history_there_are_none() {
    let rig = Rig::start("none").await;
    assert_eq!(rig.of("ada").await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(rig.set("ada", "theme", Some("dark")).await.unwrap_err().code(), Code::Unimplemented);
    let text = rig.metrics.text().unwrap();
    let told = "ci_dashboard_grpc_server_requests_total{method=\"SetPreference\",code=\"UNIMPLEMENTED\"} 1";
    assert!(text.contains(told), "{text}");
    rig.life.stop().await;
}

//! `grpc.health.v1`, as a load balancer or Kubernetes asks it.

use std::sync::Arc;

use aggregator::Aggregator;
use domain::SystemClock;
use lifecycle::{Lifecycle, Stopped};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

const SERVICES: [&str; 4] = [
    "ci_dashboard.v1.DashboardService",
    "ci_dashboard.v1.StatsService",
    "ci_dashboard.v1.PreferencesService",
    "",
];

#[tokio::test]
async fn who_watches_is_told_that_it_stops_and_does_not_hold_that_up() {
    let settings = crate::kit::settings([("DATABASE_URL", "none")]);
    let life = Lifecycle::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let aggregator = Aggregator::new(&settings, Arc::new(SystemClock), &life.tasks()).unwrap();
    aggregator.start(api::Listener::Tcp(listener), &life.tasks());

    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut watches = Vec::new();
    for service in SERVICES {
        let about = HealthCheckRequest { service: service.to_owned() };
        let checked = client.check(about.clone()).await.unwrap().into_inner();
        assert_eq!(checked.status, Serving as i32, "{service:?}");
        let mut watch = client.watch(about).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status, Serving as i32, "{service:?}");
        watches.push(watch);
    }
    let told = async {
        for mut watch in watches {
            assert_eq!(watch.message().await.unwrap().unwrap().status, NotServing as i32);
            assert!(watch.message().await.unwrap().is_none());
        }
    };
    let (stopped, ()) = tokio::join!(life.stop(), told);
    assert_eq!(stopped, Stopped::Clean);
}

//! `/metrics`: what this process did, and how it is, for a Prometheus. The figures of projects and sources are the
//! aggregator's, which has a port of its own for them.

mod process;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};

use crate::app::App;
use text::{Kind, MEDIA_TYPE, Text};

/// Upper bounds of the classes of durations, in seconds.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Of what no route answered: refused before, or nowhere.
const NO_ROUTE: &str = "none";

/// How often something took how long.
#[derive(Debug, Default, Clone)]
struct Durations {
    classes: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(class) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    fn write(&self, out: &mut Text, name: &str, labels: &[(&str, &str)]) {
        let mut below = 0;
        let bucket = format!("{name}_bucket");
        for (bound, class) in BOUNDS.iter().zip(self.classes) {
            below += class;
            let bound = bound.to_string();
            out.sample(&bucket, &[labels, &[("le", bound.as_str())]].concat(), below);
        }
        out.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), self.count);
        out.sample(&format!("{name}_sum"), labels, self.seconds);
        out.sample(&format!("{name}_count"), labels, self.count);
    }
}

/// Route templates and methods are few, so these stay small.
#[derive(Debug, Default)]
struct Counts {
    /// By route, method and status.
    http: BTreeMap<(Cow<'static, str>, &'static str, u16), u64>,
    http_took: BTreeMap<(Cow<'static, str>, &'static str), Durations>,
    /// By method and code.
    grpc: BTreeMap<(&'static str, &'static str), u64>,
    grpc_took: BTreeMap<&'static str, Durations>,
    sign_ins: BTreeMap<&'static str, u64>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counts>);

/// The template of the route that answered, on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Route(MatchedPath);

impl Metrics {
    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A request was answered.
    pub(crate) fn request(&self, route: Option<&Route>, method: &Method, status: StatusCode, took: Duration) {
        let route = match route {
            Some(Route(path)) => Cow::Owned(path.as_str().to_owned()),
            None => Cow::Borrowed(NO_ROUTE),
        };
        let method = known(method);
        self.count(|counts| {
            *counts.http.entry((route.clone(), method, status.as_u16())).or_default() += 1;
            counts.http_took.entry((route, method)).or_default().add(took);
        });
    }

    /// The aggregator answered a question, or did not.
    pub(crate) fn question(&self, method: &'static str, code: tonic::Code, took: Duration) {
        self.count(|counts| {
            *counts.grpc.entry((method, api::code_word(code))).or_default() += 1;
            counts.grpc_took.entry(method).or_default().add(took);
        });
    }

    /// Somebody signed in, or tried to: `ok`, `wrong`, `limited`, `busy`, `insecure`.
    pub(crate) fn sign_in(&self, result: &'static str) {
        self.count(|counts| *counts.sign_ins.entry(result).or_default() += 1);
    }

    fn write(&self, out: &mut Text) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "ci_dashboard_http_requests_total";
        out.family(
            name,
            Kind::Counter,
            "Requests by the template of their route, none where no route answered",
        );
        for ((route, method, status), count) in &counts.http {
            out.sample(name, &[("route", route), ("method", method), ("status", &status.to_string())], count);
        }
        let name = "ci_dashboard_http_request_duration_seconds";
        out.family(name, Kind::Histogram, "Time until the head of the answer");
        for ((route, method), took) in &counts.http_took {
            took.write(out, name, &[("route", route), ("method", method)]);
        }
        let name = "ci_dashboard_grpc_client_requests_total";
        out.family(
            name,
            Kind::Counter,
            "Questions to the aggregator, each try counted, by what came of them",
        );
        for ((method, code), count) in &counts.grpc {
            out.sample(name, &[("method", method), ("code", code)], count);
        }
        let name = "ci_dashboard_grpc_client_request_duration_seconds";
        out.family(name, Kind::Histogram, "Time that the aggregator took");
        for (method, took) in &counts.grpc_took {
            took.write(out, name, &[("method", method)]);
        }
        let name = "ci_dashboard_sign_ins_total";
        out.family(name, Kind::Counter, "Attempts to sign in on the page, by what came of them");
        for (result, count) in &counts.sign_ins {
            out.sample(name, &[("result", result)], count);
        }
    }
}

/// Anybody may send any word for a method: only known ones become labels.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Tells the gate which route answered.
pub(crate) async fn note_route(matched: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Route(matched));
    response
}

pub(crate) async fn answer(State(app): State<App>) -> Response {
    let mut out = Text::default();
    let name = "ci_dashboard_build_info";
    out.family(name, Kind::Gauge, "1, with what runs here");
    out.sample(name, &[("version", crate::VERSION), ("commit", crate::COMMIT)], 1);
    app.metrics.write(&mut out);
    let name = "ci_dashboard_sse_clients";
    out.one(name, Kind::Gauge, "Live connections of browsers and scripts", app.open_streams());
    let link = app.aggregator.state();
    let name = "ci_dashboard_aggregator_connected";
    out.one(name, Kind::Gauge, "1 while the aggregator is there, else 0", u8::from(link.connected()));
    if let Some(at) = link.last_heard_at {
        let (name, help) = (
            "ci_dashboard_aggregator_last_heard_timestamp_seconds",
            "When the aggregator last told of anything",
        );
        out.one(name, Kind::Gauge, help, at.as_duration().as_secs_f64());
    }
    process::write(&mut out);
    ([(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], out.finish()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_add_up() {
        let mut took = Durations::default();
        for ms in [0, 1, 2, 40, 9_000, 11_000] {
            took.add(Duration::from_millis(ms));
        }
        let mut out = Text::default();
        took.write(&mut out, "t", &[("a", "b")]);
        let text = out.finish();
        for line in [
            "t_bucket{a=\"b\",le=\"0.001\"} 2",
            "t_bucket{a=\"b\",le=\"0.0025\"} 3",
            "t_bucket{a=\"b\",le=\"0.025\"} 3",
            "t_bucket{a=\"b\",le=\"0.05\"} 4",
            "t_bucket{a=\"b\",le=\"10\"} 5",
            "t_bucket{a=\"b\",le=\"+Inf\"} 6",
            "t_count{a=\"b\"} 6",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn labels_are_few_whatever_is_asked() {
        let metrics = Metrics::default();
        for word in ["GET", "BREW", "X1", "X2"] {
            let method = Method::from_bytes(word.as_bytes()).expect("a word");
            metrics.request(None, &method, StatusCode::NOT_FOUND, Duration::ZERO);
        }
        assert_eq!(metrics.0.lock().expect("nobody panicked").http.len(), 2);
    }
}

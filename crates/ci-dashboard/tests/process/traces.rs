//! Where a request went, as a collector of traces is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rustix::process::Signal;

use crate::kit::eventually;
use crate::two_daemons::{AGGREGATOR, House, WEB};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// What was told: the service, and the span.
type Told = Arc<Mutex<Vec<(String, Span)>>>;

/// A collector of OTLP over HTTP, and its address.
fn collector() -> (String, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let told = Told::default();
    let kept = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || while take(&stream, &kept).is_some() {});
        }
    });
    (address, told)
}

/// Takes one request; `None` when the sender has gone.
fn take(stream: &TcpStream, told: &Told) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let export = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let mut told = told.lock().unwrap();
    for of_service in export.resource_spans {
        let name = of_service.resource.iter().flat_map(|r| &r.attributes).find(|a| a.key == "service.name");
        let name = name.and_then(|a| a.value.clone()?.value);
        let Some(Value::StringValue(service)) = name else { panic!("no service: {name:?}") };
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.extend(spans.map(|span| (service.clone(), span)));
    }
    drop(told);
    let mut stream = stream;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        .ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn says(span: &Span, key: &str, text: &str) -> bool {
    let value = span.attributes.iter().find(|a| a.key == key).and_then(|a| a.value.as_ref()?.value.as_ref());
    matches!(value, Some(Value::StringValue(value)) if value == text)
}

#[test]
fn a_request_is_one_trace_from_the_proxy_to_the_platform() {
    let house = House::new(4);
    house.place.config(&format!("{}server: {{ trusted_proxies: [127.0.0.1] }}\n", house.forge.config()));
    let (address, told) = collector();
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let listen = ["--config", &house.config, "--listen", &house.address()];
    let _aggregator = house.place.start_with_env(AGGREGATOR, &listen, &env);
    let port = house.web.port.to_string();
    let args = ["--config", &house.config, "--aggregator", &house.address(), "--port", &port];
    let mut web = house.place.start_with_env(WEB, &args, &env);
    house.web.until_connected();
    house.until_rows_are_the_world();
    let runs = house.web.items("/api/v1/pipelines?source=gl").unwrap();
    let text = |key: &str| runs[0][key].as_str().unwrap().to_owned();
    let jobs = format!("/api/v1/projects/gl/{}/pipelines/{}/jobs", text("project_id"), text("id"));
    let parent = format!("00-{TRACE}-{CALLER}-01");
    house.web.get_with(&jobs, &[("Traceparent", &parent)]).unwrap();
    eventually("all of it is told", || {
        let told = told.lock().unwrap().clone();
        let mine: Vec<_> = told.iter().filter(|(_, span)| hex(&span.trace_id) == TRACE).collect();
        let all = || format!("{:?}", mine.iter().map(|(of, span)| (of, &span.name)).collect::<Vec<_>>());
        let find = |service: &str, name: &str, parent: &str| {
            let fits = |of: &str, span: &Span| {
                of == service && span.name == name && hex(&span.parent_span_id) == parent
            };
            mine.iter().find(|(of, span)| fits(of, span)).map(|(_, span)| span).ok_or_else(all)
        };
        let request = find("ci-dashboard-web", "request", CALLER)?;
        assert!(
            says(request, "url.path", &jobs) && says(request, "http.response.status_code", "200"),
            "{request:?}"
        );
        let question = find("ci-dashboard-aggregator", "question", &hex(&request.span_id))?;
        assert!(says(question, "method", "GetPipeline"), "{question:?}");
        let asked = find("ci-dashboard-aggregator", "request", &hex(&question.span_id))?;
        assert!(says(asked, "source", "gl"), "{asked:?}");
        Ok(())
    });
    // What is left is sent at the end.
    let count = || told.lock().unwrap().iter().filter(|(of, _)| of == "ci-dashboard-web").count();
    let before = count();
    house.web.ok("/api/v1/me").unwrap();
    assert_eq!(web.stop(Signal::TERM), Some(0));
    eventually("the last words are told", || if count() > before { Ok(()) } else { Err(before.to_string()) });
}

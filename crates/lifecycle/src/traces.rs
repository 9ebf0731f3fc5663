//! Traces in OpenTelemetry's form: how a request went through both daemons to a platform.
//!
//! They are sent where this was built with the feature `otel` and the environment names a collector, in OpenTelemetry's own
//! variables: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (OTLP over HTTP, as protobuf),
//! `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and their like. Otherwise everything here does nothing.

use tracing::Span;

/// The header of W3C Trace Context, and its name in the metadata of gRPC.
pub const HEADER: &str = "traceparent";

/// Makes a span that has not begun the child of one of another process, which came with its [`HEADER`].
pub fn follow(span: &Span, parent: Option<&str>) {
    #[cfg(feature = "otel")]
    sent::follow(span, parent);
    #[cfg(not(feature = "otel"))]
    let _ = (span, parent);
}

/// The present span as another process is told of it in its [`HEADER`].
#[must_use]
pub fn carried() -> Option<String> {
    #[cfg(feature = "otel")]
    return sent::carried();
    #[cfg(not(feature = "otel"))]
    None
}

/// Notes something on a span, under one of OpenTelemetry's names for it. Logs do not show it.
pub fn note(span: &Span, name: &'static str, value: impl Into<String>) {
    #[cfg(feature = "otel")]
    sent::note(span, name, value.into());
    #[cfg(not(feature = "otel"))]
    let _ = (span, name, value);
}

/// Sends what is left to send when it is dropped, for some seconds at most.
#[must_use = "traces are sent as long as it lives"]
#[derive(Debug, Default)]
pub struct Sending {
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

#[cfg(feature = "otel")]
pub(crate) use sent::layer;

#[cfg(feature = "otel")]
mod sent {
    use std::collections::HashMap;

    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::level_filters::LevelFilter;
    use tracing::{Span, Subscriber};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::registry::LookupSpan;

    use super::{HEADER, Sending};

    /// Whose spans are sent: not those of libraries, among which is the sender itself.
    const OURS: [&str; 3] = ["web", "aggregator", "connector"];
    /// Either says where to.
    const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

    /// What sends spans; nothing where no collector is named.
    pub(crate) fn layer<S>(service: &str) -> Result<(Option<impl Layer<S> + use<S>>, Sending), String>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let names = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !COLLECTORS.into_iter().any(names) {
            return Ok((None, Sending::default()));
        }
        // An error says that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|e| format!("traces cannot be sent ({}): {e}", COLLECTORS.join(", ")))?;
        let mut resource = Resource::builder();
        if !names("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(service.to_owned());
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let ours = Targets::new().with_targets(OURS.map(|name| (name, LevelFilter::DEBUG)));
        let layer =
            tracing_opentelemetry::layer().with_tracer(provider.tracer("ci-dashboard")).with_filter(ours);
        Ok((Some(layer), Sending { provider: Some(provider) }))
    }

    pub(super) fn follow(span: &Span, parent: Option<&str>) {
        let Some(parent) = parent else { return };
        let carrier = HashMap::from([(HEADER.to_owned(), parent.to_owned())]);
        // An error says that nobody listens to this span.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
    }

    pub(super) fn carried() -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
        carrier.remove(HEADER)
    }

    pub(super) fn note(span: &Span, name: &'static str, value: String) {
        span.set_attribute(name, value);
    }

    impl Drop for Sending {
        fn drop(&mut self) {
            if let Some(provider) = self.provider.take()
                && let Err(error) = provider.shutdown()
            {
                eprintln!("the last traces could not be sent: {error}");
            }
        }
    }
}

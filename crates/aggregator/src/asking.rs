//! What comes along with a question: for whose request it is asked, how long the answer is waited for, and how those are
//! answered that history answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use connector::http::{asked_by, on_behalf_of};
use domain::RequestId;
use history::History;
use lifecycle::traces;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument as _;

use crate::archive::{Archive, Condition};
use crate::metrics::Calls;

/// An answer is on its way so long before nobody waits for it any more.
const MARGIN: Duration = Duration::from_millis(500);
/// Whoever looks waits for history no longer than this; the web daemon waits for 5 s in all.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Until when a question may be answered that can be answered better a little later; `None`: it is to be answered at once.
/// Who asks says so by a deadline (`grpc-timeout`).
pub(crate) fn patience(metadata: &MetadataMap) -> Option<Instant> {
    let within = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Some(Instant::now() + within.checked_sub(MARGIN)?)
}

/// At most eight digits and a unit, as the gRPC protocol has it.
fn parse(timeout: &str) -> Option<Duration> {
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// What is asked of a platform by another task than that of the question is asked for the same request, and is told of in its
/// span. To be called in the task of the question.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    on_behalf_of(asked_by(), work).in_current_span()
}

/// History; or which of off, being opened or away it is.
pub(crate) fn kept(archive: &Archive) -> Result<Arc<dyn History>, Status> {
    if let Some(history) = archive.history() {
        return Ok(history);
    }
    let standing = archive.standing();
    Err(match (standing.condition, standing.error) {
        (Condition::Off, _) => Status::unimplemented(
            "No history is kept: database.url is none. With sqlite: or postgres://… it begins to be, and runs of the past \
             are fetched.",
        ),
        (_, Some(error)) => Status::unavailable(error),
        (_, None) => Status::unavailable("History is being opened."),
    })
}

/// Waits for history, but not for long.
pub(crate) async fn within<T>(asked: impl Future<Output = history::Result<T>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "history does not answer");
            Err(Status::unavailable(error.text))
        }
        Err(_) => {
            Err(Status::unavailable(format!("History did not answer within {} s.", ANSWER_WITHIN.as_secs())))
        }
    }
}

/// Answers each question for the request that it is asked for, and counts it.
#[derive(Debug, Clone)]
pub(crate) struct OnBehalf<S> {
    pub(crate) service: S,
    pub(crate) calls: Calls,
}

impl<S, B, A> Service<http::Request<B>> for OnBehalf<S>
where
    S: Service<http::Request<B>, Response = http::Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let id = request.headers().get(RequestId::HEADER);
        let id = id.and_then(|value| RequestId::parse(value.to_str().ok()?));
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let shown = id.as_ref().map(tracing::field::display);
        let span = tracing::info_span!("question", %method, request_id = shown);
        traces::follow(&span, request.headers().get(traces::HEADER).and_then(|value| value.to_str().ok()));
        let (answer, calls) = (self.service.call(request), self.calls.clone());
        let answer = async move {
            let begun = Instant::now();
            let answer = on_behalf_of(id, answer).await;
            let took = begun.elapsed();
            if let Ok(answer) = &answer {
                // What fails says so in the head; what follows it is the answer, or a stream that began.
                let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |s| s.code());
                calls.note(&method, code, took);
            }
            tracing::debug!(ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "answered");
            answer
        };
        Box::pin(answer.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_names_a_deadline_is_answered_before_it() {
        let until = |timeout: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", timeout.parse().unwrap());
            patience(&metadata).map(|at| at - Instant::now())
        };
        assert_eq!(until("5S"), Some(Duration::from_millis(4500)));
        assert_eq!(until("4999000u"), Some(Duration::from_millis(4499)));
        assert_eq!(until("1M"), Some(Duration::from_millis(59_500)));
        assert_eq!(patience(&MetadataMap::new()), None);
        for nothing in ["300m", "", "S", "5", "5s", "-5S", "123456789S", "5é"] {
            assert_eq!(until(nothing), None, "{nothing}");
        }
    }
}

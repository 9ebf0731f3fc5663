//! For whose request a platform is asked: its id goes along, so that it is found in the platform's own log.

use domain::RequestId;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Does `work` for the request with this id: what is asked of a platform meanwhile says so, in `X-Request-Id`. Nothing else
/// than the task that awaits this is meant; a task that it spawns begins anew.
pub async fn on_behalf_of<F: Future>(request: Option<RequestId>, work: F) -> F::Output {
    match request {
        Some(id) => CURRENT.scope(id, work).await,
        None => work.await,
    }
}

/// The request that this task works for; `None` where nobody asked.
#[must_use]
pub fn asked_by() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

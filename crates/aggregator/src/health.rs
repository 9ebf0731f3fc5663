//! Whether the aggregator that runs is well, asked by its own binary: for the health checks of containers, which have no
//! other program to ask with.

use std::time::Duration;

use api::v1;

/// How long an aggregator that is well takes to answer at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it is not well.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address is none.
    #[error("{0}")]
    Endpoint(String),
    /// It does not answer.
    #[error("the aggregator at {at} does not answer: {why}")]
    Silent {
        /// Where.
        at: String,
        /// What came instead.
        why: String,
    },
}

/// Asks the aggregator at `endpoint` a question that it answers from memory.
///
/// # Errors
/// [`HealthError`].
pub async fn check(endpoint: &api::Endpoint) -> Result<(), HealthError> {
    let mut client = endpoint.client().map_err(|error| HealthError::Endpoint(error.to_string()))?;
    let silent = |why: String| HealthError::Silent { at: endpoint.to_string(), why };
    match tokio::time::timeout(PATIENCE, client.get_me(v1::GetMeRequest {})).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => Err(silent(status.message().to_owned())),
        Err(_) => Err(silent(format!("nothing within {} s", PATIENCE.as_secs()))),
    }
}

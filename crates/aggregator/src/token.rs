//! How long a source's token lasts and what it is allowed, asked now and then, so that its end is known before it comes.

use std::sync::Arc;
use std::time::Duration;

use connector::Connector;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::sources::State;

/// One request an hour; a token that was made anew is known after that.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// Asks for ever, while the source answers.
pub(crate) async fn watch(hub: Arc<Hub>, connector: Arc<dyn Connector>) {
    let Some(check) = connector.token_check() else { return std::future::pending().await };
    loop {
        until_it_answers(&hub, connector.as_ref()).await;
        let pause = match check.token_facts().await {
            Ok(facts) => {
                hub.source(connector.source(), |s| s.token = Some(facts.into()));
                EVERY
            }
            Err(error) => {
                tracing::debug!(source = %connector.source(), %error, "nothing is told of the token");
                AGAIN
            }
        };
        sleep(pause).await;
    }
}

/// What does not answer is left to the refresher to try again.
async fn until_it_answers(hub: &Hub, connector: &dyn Connector) {
    let (_, mut events) = hub.subscribe();
    let answers = || {
        let state = hub.read(|p| p.sources.get(connector.source()).map(|s| s.state));
        matches!(state, Some(State::Ok | State::Failing))
    };
    while !answers() {
        if let Err(RecvError::Closed) = events.recv().await {
            return;
        }
    }
}

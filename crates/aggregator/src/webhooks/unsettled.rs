//! Deliveries in the log that nothing became of: the process ended before they were applied, or before that was written down; or
//! whoever sent one did not wait for the database, and never sent it again.

use std::sync::Arc;

use connector::Delivery;
use domain::SourceName;
use history::{History, Treated, Webhook};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Webhooks;

/// So many of the newest of a source are applied. There are as many as came within the last seconds of a process.
const MOST: usize = 1_000;

impl Webhooks {
    /// Applies them, once the board is as it was when the last process ended and before anything else comes. They were verified
    /// when they were written down.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn settle(
        &self,
        history: &Arc<dyn History>,
        source: &SourceName,
    ) -> history::Result<()> {
        for entry in history.webhooks(source, true, MOST).await? {
            let treated = match self.apply_logged(source, &entry.webhook) {
                Ok(()) => Treated::Applied,
                Err(why) => Treated::Ignored(why),
            };
            self.archive.treated(source, entry.webhook.delivery, treated);
        }
        Ok(())
    }

    /// Fails with the reason why it was not applied.
    fn apply_logged(&self, source: &SourceName, webhook: &Webhook) -> Result<(), String> {
        let connector = self.connector(source.as_str()).ok_or("the source takes no webhooks any more")?;
        let hooks = connector.webhooks().ok_or("the source takes no webhooks any more")?;
        let headers = headers_of(webhook);
        let event =
            hooks.read(&Delivery { headers: &headers, body: &webhook.body }).map_err(|e| e.to_string())?;
        let consequence = self.consequence(source, event.news).ok_or("of no concern here")?;
        self.apply(source, consequence, webhook.received_at);
        Ok(())
    }
}

fn headers_of(webhook: &Webhook) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &webhook.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

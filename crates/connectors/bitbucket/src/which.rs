//! Which of the two it is, told by the answer to one question and not by the address: a proxy may serve either anywhere.
//!
//! Data Center answers `application-properties` with its version, to anybody; Cloud has no such resource and says so in
//! its own form of errors.

use connector::http::Client;
use connector::{Error, Result};
use domain::SourceName;
use serde::Deserialize;

use crate::door::IS_CLOUD;

/// The two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Cloud,
    DataCenter,
}

const ENDPOINT: &str = "GET /rest/api/latest/application-properties";
const EXPECTED: &str = "expected Bitbucket Cloud's API or a Bitbucket Data Center";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    version: String,
    #[serde(default)]
    display_name: Option<String>,
}

/// Asks. Not remembered when it fails for a reason that may pass.
///
/// # Errors
/// [`Error::Garbage`] in one sentence when it is neither; else what the client says.
pub(crate) async fn ask(client: &Client, source: &SourceName) -> Result<Which> {
    let url = client.url(&["rest", "api", "latest", "application-properties"], &[]);
    let at = url.host_str().map_or_else(String::new, |host| {
        url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    });
    let neither = |came: &str| {
        Error::Garbage(format!("source {source}: {EXPECTED} at {at}, got {came}: is its url right?"))
    };
    let response = match client.get(ENDPOINT, url).await {
        Ok(response) => response,
        Err(Error::NotFound(why)) if why == IS_CLOUD => return Ok(Which::Cloud),
        Err(Error::NotFound(_)) => return Err(neither("an API that knows neither of their resources (404)")),
        Err(Error::Garbage(why)) => return Err(neither(&why)),
        Err(e) => return Err(e),
    };
    let properties: Properties = response.json().map_err(|e| neither(&e.to_string()))?;
    let other = properties.display_name.as_deref().filter(|name| {
        let name = name.to_ascii_lowercase();
        !name.contains("bitbucket") && !name.contains("stash")
    });
    match other {
        Some(name) => Err(neither(&format!("{:?}", domain::text::line(name, domain::text::MAX_NAME)))),
        None => {
            tracing::info!(%source, version = %domain::text::line(&properties.version, 40), "Bitbucket Data Center");
            Ok(Which::DataCenter)
        }
    }
}

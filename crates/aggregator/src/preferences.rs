//! What people choose for themselves, over gRPC: kept with history, by user and name.

use std::sync::Arc;

use api::v1;
use api::v1::preferences_service_server::PreferencesService;
use domain::Clock;
use tonic::{Request, Response, Status};

use crate::archive::Archive;
use crate::asking::{kept, within};

/// The longest name of a user, in bytes.
const MAX_USER: usize = 256;
/// The longest name of a preference.
const MAX_NAME: usize = 64;
/// The longest value, in bytes.
const MAX_VALUE: usize = 64 * 1024;
/// How many one user may have.
const MAX_OF_USER: usize = 100;

/// Answers for what is kept of people's choices.
#[derive(Debug)]
pub(crate) struct Preferences {
    /// Where they are kept.
    pub(crate) archive: Arc<Archive>,
    /// When somebody was seen.
    pub(crate) clock: Arc<dyn Clock>,
}

fn user(name: &str) -> Result<&str, Status> {
    if name.is_empty() || name.len() > MAX_USER || name.chars().any(char::is_control) {
        let text = format!("user: 1 to {MAX_USER} bytes without control characters are wanted");
        return Err(Status::invalid_argument(text));
    }
    Ok(name)
}

fn check(name: &str, value: Option<&str>) -> Result<(), Status> {
    let is_fine = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_fine) {
        let text = format!("name: 1 to {MAX_NAME} of a-z, 0-9, _, - and . are wanted");
        return Err(Status::invalid_argument(text));
    }
    if value.is_some_and(|v| v.len() > MAX_VALUE) {
        return Err(Status::invalid_argument(format!("value of {name}: more than {MAX_VALUE} bytes")));
    }
    // PostgreSQL's text cannot hold it, and a choice needs none.
    if value.is_some_and(|v| v.contains('\0')) {
        return Err(Status::invalid_argument(format!("value of {name}: a zero byte is in it")));
    }
    Ok(())
}

#[tonic::async_trait]
impl PreferencesService for Preferences {
    async fn get_preferences(
        &self,
        request: Request<v1::GetPreferencesRequest>,
    ) -> Result<Response<v1::GetPreferencesResponse>, Status> {
        let request = request.into_inner();
        let of = within(kept(&self.archive)?.preferences(user(&request.user)?)).await?;
        Ok(Response::new(v1::GetPreferencesResponse { preferences: of.into_iter().collect() }))
    }

    async fn set_preference(
        &self,
        request: Request<v1::SetPreferenceRequest>,
    ) -> Result<Response<v1::SetPreferenceResponse>, Status> {
        let v1::SetPreferenceRequest { user: of, name, value } = request.into_inner();
        let of = user(&of)?;
        check(&name, value.as_deref())?;
        let history = kept(&self.archive)?;
        if value.is_some() {
            let has = within(history.preferences(of)).await?;
            if has.len() >= MAX_OF_USER && !has.contains_key(&name) {
                return Err(Status::resource_exhausted(format!(
                    "{of} has {MAX_OF_USER} preferences already"
                )));
            }
        }
        within(history.set_preference(of, &name, value.as_deref(), self.clock.now())).await?;
        Ok(Response::new(v1::SetPreferenceResponse {}))
    }
}

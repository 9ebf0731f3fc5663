//! Starting pipelines of Cloud over and stopping them.

use connector::http::Post;
use connector::{Error, Result};
use domain::{Project, RunId};
use serde_json::{Map, Value, json};

use super::runs::braced;
use super::{Cloud, status, wire};

const START: &str = "POST /repositories/:workspace/:repo_slug/pipelines";
const STOP: &str = "POST /repositories/:workspace/:repo_slug/pipelines/:uuid/stopPipeline";
/// What of a target says where to run again; its other fields are Cloud's own notes.
const TARGET: [&str; 9] = [
    "type",
    "ref_type",
    "ref_name",
    "source",
    "destination",
    "selector",
    "commit",
    "destination_commit",
    "pullrequest",
];
/// The same of the objects in it.
const INSIDE: [&str; 4] = ["type", "pattern", "hash", "id"];

fn only(object: &Value, keys: &[&str], inside: &[&str]) -> Value {
    let Some(object) = object.as_object() else { return object.clone() };
    let kept = keys.iter().filter_map(|key| {
        let value = object.get(*key).filter(|value| !value.is_null())?;
        Some(((*key).to_owned(), only(value, inside, &[])))
    });
    Value::Object(kept.collect::<Map<_, _>>())
}

impl Cloud {
    /// A further pipeline with the same target.
    pub(crate) async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        let url =
            self.below(project, &["pipelines", &braced(run.as_str())], &[("fields", "state,target")])?;
        let answer: Value = self.get(super::runs::ONE, url).await?.json()?;
        let state: Option<wire::State> =
            answer.get("state").and_then(|s| serde_json::from_value(s.clone()).ok());
        if status::status(&status::native(state.as_ref())).is_active() {
            return Err(Error::Refused("the pipeline has not ended: stop it first".into()));
        }
        let target = only(answer.get("target").unwrap_or(&Value::Null), &TARGET, &INSIDE);
        if !target.is_object() {
            return Err(Error::Refused("Bitbucket Cloud does not tell what the pipeline ran for".into()));
        }
        let url = self.below(project, &["pipelines"], &[])?;
        self.client.post(START, url, Post::json(&json!({ "target": target }))?).await.map(drop)
    }

    /// 400 says that it has ended already.
    pub(crate) async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        let url = self.below(project, &["pipelines", &braced(run.as_str()), "stopPipeline"], &[])?;
        self.client.post(STOP, url, Post::empty()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_over_without_notes() {
        let target = json!({
            "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "links": {"self": "x"},
            "selector": {"type": "custom", "pattern": "nightly"}, "commit": {"type": "commit", "hash": "abc", "links": {}},
            "destination": null,
        });
        let want = json!({
            "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main",
            "selector": {"type": "custom", "pattern": "nightly"}, "commit": {"type": "commit", "hash": "abc"},
        });
        assert_eq!(only(&target, &TARGET, &INSIDE), want);
        assert!(!only(&Value::Null, &TARGET, &INSIDE).is_object());
    }
}

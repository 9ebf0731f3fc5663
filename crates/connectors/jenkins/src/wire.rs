//! What Jenkins answers, as far as it is used. Nothing is required: jobs of old plugins lack most of it.

use connector::wire::{Rows, lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Something that is absent where it cannot be read.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok().flatten())
}

/// A list, empty where there is none.
fn rows<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Rows<T>, D::Error> {
    Ok(lenient(from)?.unwrap_or_default())
}

/// A folder, a job, a multibranch job or Jenkins itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Item {
    #[serde(rename = "_class", deserialize_with = "lenient_string")]
    pub(crate) class: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) full_name: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) color: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) disabled: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) in_queue: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) queue_item: Option<QueueItem>,
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) next_build_number: Option<u64>,
    #[serde(deserialize_with = "rows")]
    pub(crate) actions: Rows<Tagged>,
    #[serde(deserialize_with = "rows")]
    pub(crate) property: Rows<Tagged>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) first_build: Option<Build>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) last_build: Option<Build>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) last_completed_build: Option<Build>,
    #[serde(deserialize_with = "rows")]
    pub(crate) builds: Rows<Build>,
    #[serde(deserialize_with = "rows")]
    pub(crate) all_builds: Rows<Build>,
    /// `None` where it was not asked for, or the item can hold none.
    #[serde(deserialize_with = "lenient")]
    pub(crate) jobs: Option<Rows<Item>>,
}

/// An object of which only the kind matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tagged {
    #[serde(rename = "_class", deserialize_with = "lenient_string")]
    pub(crate) class: Option<String>,
}

/// What waits for an executor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct QueueItem {
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) id: Option<u64>,
    #[serde(deserialize_with = "lenient_time")]
    pub(crate) in_queue_since: Option<Timestamp>,
}

/// A build.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Build {
    #[serde(rename = "_class", deserialize_with = "lenient_string")]
    pub(crate) class: Option<String>,
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) number: Option<u64>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) display_name: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) result: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) building: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) in_progress: Option<bool>,
    #[serde(deserialize_with = "lenient_time")]
    pub(crate) timestamp: Option<Timestamp>,
    /// Milliseconds; 0 while it runs.
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) duration: Option<u64>,
    /// Milliseconds; −1, read as `None`, when there is none.
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) estimated_duration: Option<u64>,
    #[serde(deserialize_with = "rows")]
    pub(crate) actions: Rows<Action>,
    /// Pipelines.
    #[serde(deserialize_with = "rows")]
    pub(crate) change_sets: Rows<ChangeSet>,
    /// Freestyle jobs.
    #[serde(deserialize_with = "lenient")]
    pub(crate) change_set: Option<ChangeSet>,
}

/// What a plugin noted on a build. Most are empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Action {
    #[serde(deserialize_with = "rows")]
    pub(crate) causes: Rows<Cause>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) last_built_revision: Option<Revision>,
    #[serde(deserialize_with = "rows")]
    pub(crate) remote_urls: Rows<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) mercurial_revision_number: Option<String>,
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) queuing_duration_millis: Option<u64>,
    #[serde(deserialize_with = "rows")]
    pub(crate) parameters: Rows<Parameter>,
}

/// Why a build was started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Cause {
    #[serde(rename = "_class", deserialize_with = "lenient_string")]
    pub(crate) class: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) user_id: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) user_name: Option<String>,
}

/// What a checkout checked out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Revision {
    #[serde(rename = "SHA1", deserialize_with = "lenient_string")]
    pub(crate) sha1: Option<String>,
    #[serde(deserialize_with = "rows")]
    pub(crate) branch: Rows<Named>,
}

/// Something with a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

/// What is new in a build.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChangeSet {
    #[serde(deserialize_with = "rows")]
    pub(crate) items: Rows<Change>,
}

/// A commit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Change {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) commit_id: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) msg: Option<String>,
    #[serde(deserialize_with = "lenient_time")]
    pub(crate) timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) author: Option<User>,
}

/// Somebody.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) full_name: Option<String>,
}

/// A value that a build was started with. Passwords and files have none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameter {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient_value")]
    pub(crate) value: Option<String>,
}

/// As [`lenient_string`], but an empty text is a value.
fn lenient_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => Some(text),
        value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Some(value.to_string()),
        _ => None,
    })
}

/// `wfapi/describe`: a pipeline's build with its stages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Described {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "rows")]
    pub(crate) stages: Rows<Stage>,
}

/// A stage.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Stage {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) id: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "lenient_time")]
    pub(crate) start_time_millis: Option<Timestamp>,
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) duration_millis: Option<u64>,
    #[serde(deserialize_with = "lenient_u64")]
    pub(crate) pause_duration_millis: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) error: Option<StageError>,
}

/// Why a stage failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StageError {
    #[serde(deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(rename = "type", deserialize_with = "lenient_string")]
    pub(crate) kind: Option<String>,
}

/// What kind of thing an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Holds others.
    Folder,
    /// Holds its branches.
    Multibranch,
    /// Is built.
    Job,
    /// Something that a plugin put there.
    Other,
}

impl Item {
    /// The newest build, which is told by itself or before others.
    pub(crate) fn newest(&self) -> Option<&Build> {
        self.last_build.as_ref().or_else(|| self.builds.items.first())
    }

    /// By its class, the only reliable tag; by what it has where the class is not known.
    pub(crate) fn kind(&self) -> Kind {
        let class = self.class.as_deref().unwrap_or_default();
        let lower = class.to_ascii_lowercase();
        if lower.contains("multibranch") {
            Kind::Multibranch
        } else if lower.ends_with("folder")
            || class == "hudson.model.Hudson"
            || class == "jenkins.model.Jenkins"
        {
            Kind::Folder
        } else if ["Project", "Job", "MavenModuleSet"].iter().any(|end| class.ends_with(end))
            || self.color.is_some()
            || self.newest().is_some()
            || self.next_build_number.is_some()
        {
            Kind::Job
        } else if self.jobs.is_some() {
            Kind::Folder
        } else {
            Kind::Other
        }
    }

    /// Switched off, by a person or because its branch is gone.
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled.unwrap_or_else(|| self.color.as_deref().is_some_and(|c| c.starts_with("disabled")))
    }

    /// Whether it is the primary branch, as the branch source told Jenkins.
    pub(crate) fn is_primary(&self) -> bool {
        let primary =
            |t: &Tagged| t.class.as_deref().is_some_and(|c| c.ends_with(".PrimaryInstanceMetadataAction"));
        self.actions.items.iter().any(primary)
    }

    /// Whether it is a branch of a multibranch job, where `property` was asked for.
    pub(crate) fn is_branch(&self) -> bool {
        let branch = |t: &Tagged| t.class.as_deref().is_some_and(|c| c.ends_with(".BranchJobProperty"));
        self.property.items.iter().any(branch)
    }
}

impl Item {
    /// Whether its builds are pipelines, of which the plugin tells stages.
    pub(crate) fn has_stages(&self) -> bool {
        self.kind() == Kind::Multibranch || self.class.as_deref().is_some_and(|c| c.ends_with(".WorkflowJob"))
    }
}

impl Build {
    /// Whether it is a pipeline's.
    pub(crate) fn is_pipeline(&self) -> bool {
        self.class.as_deref().is_some_and(|c| c.ends_with(".WorkflowRun"))
    }
}

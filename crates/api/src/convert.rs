//! Domain to wire, and the small things back.

use std::time::Duration;

use domain::{Activity, Outcome, Timestamp};

use crate::v1;

/// An instant for the wire.
#[must_use]
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// An instant from the wire; one that no clock can show is none.
#[must_use]
pub fn timestamp_back(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// A duration for the wire.
#[must_use]
pub fn duration(d: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(d.subsec_nanos()).unwrap_or(0),
    }
}

/// A duration from the wire; a negative one is none.
#[must_use]
pub fn duration_back(d: &prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(u64::try_from(d.seconds).ok()?, u32::try_from(d.nanos).ok()?))
}

/// A person for the wire.
#[must_use]
pub fn person(p: &domain::Person) -> v1::Person {
    v1::Person {
        name: p.name.clone(),
        login: p.login.clone(),
        avatar_url: p.avatar_url.as_ref().map(ToString::to_string),
    }
}

/// A run for the wire; how long it is expected to take is the caller's to set, who knows its neighbours.
#[must_use]
pub fn pipeline(project: &domain::ProjectKey, p: &domain::Pipeline) -> v1::Pipeline {
    v1::Pipeline {
        project: Some(project.into()),
        id: p.id.to_string(),
        number: p.number,
        attempt: p.attempt,
        workflow: p.workflow.name.clone(),
        branch: p.branch.clone(),
        sha: p.sha.clone(),
        status: v1::Status::from(p.status).into(),
        native_status: p.native_status.clone(),
        event: p.event.clone(),
        author: p.author.as_ref().map(person),
        message: p.message.clone(),
        created_at: p.created_at.map(timestamp),
        started_at: p.started_at.map(timestamp),
        finished_at: p.finished_at.map(timestamp),
        duration: p.duration.map(duration),
        queued: p.queued.map(duration),
        url: p.url.as_ref().map(ToString::to_string),
        failure: p.failure.clone(),
        expected_duration: None,
        updated_at: p.updated_at.map(timestamp),
        overdue_after: None,
        expected_of: 0,
    }
}

impl From<&domain::ProjectKey> for v1::ProjectKey {
    fn from(key: &domain::ProjectKey) -> Self {
        Self { source: key.source.to_string(), id: key.id.to_string() }
    }
}

impl TryFrom<&v1::ProjectKey> for domain::ProjectKey {
    type Error = domain::KeyError;
    fn try_from(key: &v1::ProjectKey) -> Result<Self, Self::Error> {
        if key.id.is_empty() {
            return Err(domain::KeyError::EmptyId(format!("{}:", key.source)));
        }
        Ok(Self::new(domain::SourceName::new(&key.source)?, domain::NativeId::new(&key.id)))
    }
}

impl From<&domain::Problem> for v1::Problem {
    fn from(p: &domain::Problem) -> Self {
        Self { kind: p.kind.as_str().to_owned(), text: p.text.clone() }
    }
}

impl From<&domain::Project> for v1::Project {
    fn from(p: &domain::Project) -> Self {
        Self {
            key: Some((&p.key).into()),
            platform: p.platform.to_string(),
            name: p.name.clone(),
            description: p.description.clone(),
            visibility: p.visibility.map(|v| v.as_str().to_owned()),
            avatar_url: p.avatar_url.as_ref().map(ToString::to_string),
            url: p.url.as_ref().map(ToString::to_string),
            default_branch: p.default_branch.clone(),
            archived: p.archived,
            last_activity_at: p.last_activity_at.map(timestamp),
        }
    }
}

impl From<&domain::Job> for v1::Job {
    fn from(j: &domain::Job) -> Self {
        Self {
            id: j.id.to_string(),
            name: j.name.clone(),
            stage: j.stage.clone(),
            status: v1::Status::from(j.status).into(),
            native_status: j.native_status.clone(),
            allow_failure: j.allow_failure,
            failure_reason: j.failure_reason.clone(),
            created_at: j.created_at.map(timestamp),
            started_at: j.started_at.map(timestamp),
            finished_at: j.finished_at.map(timestamp),
            duration: j.duration.map(duration),
            queued: j.queued.map(duration),
            url: j.url.as_ref().map(ToString::to_string),
        }
    }
}

macro_rules! same_words {
    // same_words!(v1::X <=> domain::Y: A, B) => From both ways between variants of the same name; unspecified is left
    // to each line below.
    ($wire:ty, $domain:ty: $($variant:ident),+) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant,)+ }
            }
        }

        impl $wire {
            /// The domain's word; `None` for what is unspecified.
            #[must_use]
            pub const fn known(self) -> Option<$domain> {
                match self { Self::Unspecified => None, $(Self::$variant => Some(<$domain>::$variant),)+ }
            }
        }
    };
}

same_words!(v1::Status, domain::Status: Queued, Running, Success, Warning, Failed, Canceled, Skipped, Manual, Unknown);
same_words!(v1::Outcome, Outcome: Success, Warning, Failed, Canceled, Skipped, Unknown);
same_words!(v1::Activity, Activity: Queued, Running);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_the_wire() {
        for status in domain::Status::ALL {
            assert_eq!(v1::Status::from(status).known(), Some(status));
        }
        for outcome in Outcome::ALL {
            assert_eq!(v1::Outcome::from(outcome).known(), Some(outcome));
        }
    }

    #[test]
    fn times_survive_the_wire() {
        for text in ["2026-11-24T00:00:00.123456789Z", "1969-12-31T23:59:59.5Z", "0001-01-01T00:00:00Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(timestamp_back(&timestamp(at)), Some(at), "{text}");
        }
        let d = Duration::new(3, 500_000_000);
        assert_eq!(duration_back(&duration(d)), Some(d));
        assert_eq!(duration_back(&prost_types::Duration { seconds: -1, nanos: 0 }), None);
    }
}

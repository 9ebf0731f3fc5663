//! What the aggregator may say.

use api::v1;
use domain::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> Option<prost_types::Timestamp> {
    Some(api::timestamp(at(text)))
}

pub(crate) fn person() -> v1::Person {
    v1::Person {
        name: "Mira Musterfrau".into(),
        login: Some("mira".into()),
        avatar_url: Some("https://example.com/mira.png".into()),
    }
}

pub(crate) fn key() -> v1::ProjectKey {
    v1::ProjectKey { source: "gl".into(), id: "42".into() }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn seconds(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

/// A run of which everything is known.
pub(crate) fn full_pipeline() -> v1::Pipeline {
    v1::Pipeline {
        project: Some(key()),
        id: "9001".into(),
        number: Some(17),
        attempt: Some(2),
        workflow: some("build"),
        branch: some("main"),
        sha: some("a41f9c2e"),
        status: v1::Status::Failed.into(),
        native_status: "failed".into(),
        event: some("push"),
        author: Some(person()),
        message: some("Round half even"),
        created_at: time("2026-11-24T10:00:00Z"),
        started_at: time("2026-11-24T10:00:05Z"),
        finished_at: time("2026-11-24T10:03:05.5Z"),
        duration: seconds(180, 500_000_000),
        queued: seconds(5, 0),
        url: some("https://gitlab.example.com/p/-/pipelines/9001"),
        failure: some("test: 3 of 200 failed"),
        expected_duration: None,
        updated_at: time("2026-11-24T10:03:05Z"),
        overdue_after: None,
        expected_of: 0,
    }
}

/// A run of which next to nothing is known.
pub(crate) fn bare_pipeline() -> v1::Pipeline {
    v1::Pipeline { project: Some(key()), id: "9000".into(), ..Default::default() }
}

pub(crate) fn full_job() -> v1::Job {
    v1::Job {
        id: "j1".into(),
        name: "unit tests".into(),
        stage: some("test"),
        status: v1::Status::Failed.into(),
        native_status: "failed".into(),
        allow_failure: false,
        failure_reason: some("script_failure"),
        created_at: time("2026-11-24T10:00:00Z"),
        started_at: time("2026-11-24T10:00:05Z"),
        finished_at: time("2026-11-24T10:03:00Z"),
        duration: seconds(175, 0),
        queued: seconds(0, 250_000_000),
        url: some("https://gitlab.example.com/p/-/jobs/1"),
    }
}

pub(crate) fn bare_job() -> v1::Job {
    v1::Job { id: "j2".into(), name: "lint".into(), ..Default::default() }
}

pub(crate) fn full_branch() -> v1::Branch {
    v1::Branch {
        project: Some(key()),
        name: "main".into(),
        default: true,
        protected: Some(true),
        sha: some("a41f9c2e"),
        author: Some(person()),
        message: some("Round half even"),
        committed_at: time("2026-11-24T09:59:00Z"),
        url: some("https://gitlab.example.com/p/-/tree/main"),
        state: Some(v1::BranchState {
            outcome: v1::Outcome::Failed.into(),
            activity: v1::Activity::Running.into(),
            broken_since: Some(v1::BrokenSince {
                at: time("2026-11-24T10:00:05Z"),
                run: Some(full_pipeline()),
                at_least: false,
                fix: Some(full_pipeline()),
            }),
            waiting: Some(full_pipeline()),
            pipelines: vec![full_pipeline()],
            deciding: Some(full_pipeline()),
            ..Default::default()
        }),
    }
}

pub(crate) fn bare_branch() -> v1::Branch {
    v1::Branch { project: Some(key()), name: "idea".into(), ..Default::default() }
}

pub(crate) fn full_merge_request() -> v1::MergeRequest {
    v1::MergeRequest {
        project: Some(key()),
        platform: "gitlab".into(),
        project_name: "group/name".into(),
        id: "7001".into(),
        number: 12,
        title: "Round half even".into(),
        state: "open".into(),
        draft: true,
        author: Some(person()),
        reviewers: vec![person()],
        labels: vec!["money".into()],
        source_branch: "fix".into(),
        target_branch: "main".into(),
        sha: some("a41f9c2e"),
        outcome: v1::Outcome::Failed.into(),
        activity: v1::Activity::Running.into(),
        mergeable: Some(false),
        created_at: time("2026-11-20T10:00:00Z"),
        updated_at: time("2026-11-24T10:00:00Z"),
        url: some("https://gitlab.example.com/group/name/-/merge_requests/12"),
        head: full_branch().state,
        mine: true,
        review_wanted: true,
        as_of: None,
    }
}

pub(crate) fn bare_merge_request() -> v1::MergeRequest {
    v1::MergeRequest { id: "7002".into(), number: 13, state: "open".into(), ..Default::default() }
}

pub(crate) fn full_issue() -> v1::Issue {
    v1::Issue {
        project: Some(key()),
        platform: "gitlab".into(),
        project_name: "group/name".into(),
        id: "8001".into(),
        number: 3,
        title: "Fees are off by one".into(),
        state: "open".into(),
        author: Some(person()),
        assignees: vec![person()],
        labels: vec!["bug".into()],
        created_at: time("2026-11-20T10:00:00Z"),
        updated_at: time("2026-11-24T10:00:00Z"),
        url: some("https://gitlab.example.com/group/name/-/issues/3"),
        mine: true,
        assigned_to_me: true,
        as_of: None,
    }
}

pub(crate) fn bare_issue() -> v1::Issue {
    v1::Issue { id: "8002".into(), number: 4, state: "open".into(), ..Default::default() }
}

pub(crate) fn full_user() -> v1::CurrentUser {
    v1::CurrentUser {
        source: "gl".into(),
        platform: "gitlab".into(),
        person: Some(person()),
        ..Default::default()
    }
}

pub(crate) fn bare_user() -> v1::CurrentUser {
    v1::CurrentUser {
        source: "hub".into(),
        platform: "github".into(),
        error: some("401"),
        ..Default::default()
    }
}

pub(crate) fn full_row() -> v1::Row {
    row("42", "group/name")
}

pub(crate) fn row(id: &str, name: &str) -> v1::Row {
    v1::Row {
        project: Some(v1::Project {
            key: Some(v1::ProjectKey { source: "gl".into(), id: id.into() }),
            platform: "gitlab".into(),
            name: name.into(),
            description: some("What it is for"),
            visibility: some("private"),
            avatar_url: some("https://gitlab.example.com/a.png"),
            url: some("https://gitlab.example.com/group/name"),
            default_branch: some("main"),
            archived: false,
            last_activity_at: time("2026-11-24T10:03:05Z"),
        }),
        branch: Some(full_branch()),
        ..Default::default()
    }
}

pub(crate) fn bare_row() -> v1::Row {
    v1::Row {
        project: Some(v1::Project {
            key: Some(v1::ProjectKey { source: "gl".into(), id: "43".into() }),
            platform: "gitlab".into(),
            name: "group/gone".into(),
            ..Default::default()
        }),
        problem: Some(v1::Problem { kind: "not_found".into(), text: "not found at gl".into() }),
        ..Default::default()
    }
}

pub(crate) fn full_source() -> v1::Source {
    v1::Source {
        name: "gl".into(),
        platform: "gitlab".into(),
        url: "https://gitlab.example.com".into(),
        state: v1::SourceState::Limited.into(),
        error: some("waits for its rate limit"),
        last_success_at: time("2026-11-24T11:59:00Z"),
        projects: 3,
        budget: Some(v1::Budget {
            limit: 2000,
            remaining: 0,
            reset_at: time("2026-11-24T12:01:00Z"),
            window: seconds(60, 0),
        }),
        requests_last_hour: 123,
        title: "GitLab".into(),
        icon: "gitlab".into(),
        webhooks: Some(v1::Webhooks {
            last_at: time("2026-11-24T11:58:00Z"),
            last_kind: some("Pipeline Hook"),
            accepted: 7,
            duplicate: 1,
            ignored: 2,
            forged: 3,
            ..Default::default()
        }),
        has_merge_requests: true,
        has_issues: true,
        owner: Some(person()),
        owner_known: true,
        sends_webhooks: true,
        token: Some(v1::Token {
            scopes: vec!["api".into()],
            writes: vec!["api".into()],
            expires_at: time("2026-12-01T00:00:00Z"),
        }),
        failing_since: time("2026-11-24T11:55:00Z"),
        next_try_at: time("2026-11-24T12:01:00Z"),
        schedule: Some(v1::SourceSchedule {
            asked: 3,
            due: 2,
            unread: 1,
            next_at: time("2026-11-24T12:00:04Z"),
            stretch: 5.5,
            age_median: seconds(22, 0),
            age_worst: seconds(240, 0),
            webhooks_alive: true,
            open_until: time("2026-11-24T12:01:00Z"),
            failures: 2,
            active_every: seconds(45, 0),
        }),
        batching: Some(v1::Batching {
            per_request: 50,
            budget: Some(v1::Budget {
                limit: 5000,
                remaining: 4000,
                reset_at: time("2026-11-24T12:30:00Z"),
                window: seconds(3600, 0),
            }),
            cost: 2,
        }),
        endpoints: vec![
            v1::EndpointTraffic {
                endpoint: "GET /projects/:id/pipelines".into(),
                requests: 400,
                not_modified: 300,
                failed: 4,
                waited: seconds(40, 0),
                requests_last_hour: 100,
                not_modified_last_hour: 80,
            },
            v1::EndpointTraffic {
                endpoint: "GET /projects".into(),
                requests: 60,
                requests_last_hour: 20,
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

pub(crate) fn full_schedule() -> v1::Schedule {
    v1::Schedule {
        why: "active".into(),
        why_text: "something happened within the last day".into(),
        every: seconds(45, 0),
        asked_at: time("2026-11-24T11:59:40Z"),
        whole_at: time("2026-11-24T11:50:00Z"),
        answer: "failed".into(),
        failure: some("403 at gl"),
        due_at: time("2026-11-24T12:00:25Z"),
        reading: false,
        told: false,
        webhook_at: time("2026-11-24T11:58:00Z"),
        hooked: true,
        paused_until: time("2026-11-24T12:01:00Z"),
        stretch: 5.5,
    }
}

//! Projects: all of them, and each by name.

use std::collections::BTreeSet;

use config::Platforms;
use connector::Error;

use crate::Subject;
use crate::stage::{SOURCE, Stage};

/// More projects than fit on a page of any platform.
const SEVERAL_PAGES: usize = 260;

/// The descriptor says what people and settings need.
#[expect(clippy::unused_async, reason = "one form for all checks")]
pub async fn descriptor(subject: &'static Subject) {
    let told = subject.platform.descriptor;
    assert!(Platforms::known().get(told.id.as_str()).is_some(), "{} has no settings", told.id.as_str());
    assert!(!told.title.is_empty() && !told.icon.is_empty() && !told.scope.is_empty());
    for word in [told.words.project, told.words.pipeline, told.words.merge_request] {
        assert!(
            !word.is_empty() && !word.starts_with(char::is_uppercase) && !word.ends_with('s'),
            "{word:?}"
        );
    }
}

/// Over all pages, each once, none too many; and as many as were announced.
pub async fn every_project(subject: &'static Subject) {
    let stage = Stage::new(subject, SEVERAL_PAGES).await;
    let (projects, _) = stage.listed().await;
    let listed: Vec<String> = projects.iter().map(|p| p.key.id.to_string()).collect();
    let told: BTreeSet<String> = listed.iter().cloned().collect();
    let truth: BTreeSet<String> = stage.sim.world().with(|w| {
        w.projects_of(subject.face).filter(|p| (subject.lists)(p)).map(subject.project_id).collect()
    });
    assert!(truth.len() > 200, "more than a page of any platform");
    assert_eq!(told, truth);
    assert_eq!(listed.len(), told.len(), "each once");
    if let Some(count) = stage.source.project_count().await.unwrap() {
        assert_eq!(count, truth.len() as u64);
    }
    for project in &projects {
        assert_eq!(project.key.source.as_str(), SOURCE);
        assert_eq!(project.platform, subject.platform.descriptor.id);
        assert!(!project.name.is_empty() && *project == project.clone().bounded(), "{project:?}");
    }
}

/// By id and by full name the same as in the listing; what is not there is not found.
pub async fn one_project(subject: &'static Subject) {
    let stage = Stage::new(subject, 12).await;
    let (projects, _) = stage.listed().await;
    for project in &projects {
        for name in [project.key.id.as_str(), &project.name] {
            assert!(stage.source.could_hold(name), "{name}");
            let found = stage.source.project(name).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(found.key, project.key);
            assert_eq!(found.default_branch, project.default_branch, "{name}");
            assert_eq!(
                (found.archived, found.ci_disabled),
                (project.archived, project.ci_disabled),
                "{name}"
            );
        }
    }
    // In the shape of a name that is there, so that it is asked for at all.
    let strange = format!("{}-that-nobody-made", projects[0].name);
    match stage.source.project(&strange).await {
        Err(Error::NotFound(why)) => assert!(!why.is_empty()),
        other => panic!("{strange}: {other:?}"),
    }
}

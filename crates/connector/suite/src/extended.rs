//! The optional parts, where a connector declares them.

use std::collections::BTreeSet;

use connector::MergeRequestState;

use crate::Subject;
use crate::stage::Stage;

/// How many projects are looked at, at most.
const SOME: usize = 12;

/// The open ones of every project, with what the platform tells of each.
pub async fn merge_requests(subject: &'static Subject) {
    let stage = Stage::new(subject, 24).await;
    let Some(part) = stage.source.merge_requests() else { return };
    let (projects, _) = stage.listed().await;
    let (mut seen, mut drafts) = (0, 0);
    for project in projects.iter().filter(|p| !p.archived).take(SOME) {
        let (mut told, mut page) = (Vec::new(), None);
        loop {
            let some = part.open_merge_requests(project, page).await.unwrap();
            told.extend(some.items);
            page = some.next;
            if page.is_none() {
                break;
            }
        }
        let updated: Vec<_> = told.iter().map(|m| m.updated_at).collect();
        assert!(updated.windows(2).all(|two| two[0] >= two[1]), "{}: last touched first", project.name);
        stage.sim.world().with(|w| {
            let truth =
                w.projects_of(subject.face).find(|p| (subject.project_id)(p) == project.key.id.as_str());
            let open: Vec<_> = truth.unwrap().history().merge_requests.iter().filter(|m| m.open).collect();
            let numbers: BTreeSet<_> = open.iter().map(|m| u64::from(m.number)).collect();
            assert_eq!(told.iter().map(|m| m.number).collect::<BTreeSet<_>>(), numbers, "{}", project.name);
            for ours in &told {
                let theirs = open.iter().find(|m| u64::from(m.number) == ours.number).unwrap();
                assert_eq!(ours.state, MergeRequestState::Open);
                assert!(ours.title.ends_with(&*theirs.title), "{:?} is not {:?}", ours.title, theirs.title);
                assert_eq!(ours.draft, theirs.draft, "{}", ours.title);
                assert_eq!(ours.source_branch, &*theirs.source_branch);
                assert_eq!(ours.target_branch, &*theirs.target_branch);
                assert!(ours.sha.as_deref().is_none_or(|sha| theirs.sha.starts_with(sha)));
                assert!(ours.author.is_some() && ours.url.is_some(), "{ours:?}");
                seen += 1;
                drafts += usize::from(ours.draft);
            }
        });
    }
    assert!(seen > 0 && drafts > 0, "{seen} seen, {drafts} drafts");
}

/// The open ones of every project.
pub async fn issues(subject: &'static Subject) {
    let stage = Stage::new(subject, 24).await;
    let (true, Some(part)) = (subject.has.issues, stage.source.issues()) else { return };
    let (projects, _) = stage.listed().await;
    let mut seen = 0;
    for project in projects.iter().filter(|p| !p.archived).take(SOME) {
        let (mut told, mut page) = (Vec::new(), None);
        loop {
            let some = part.open_issues(project, page).await.unwrap();
            told.extend(some.items);
            page = some.next;
            if page.is_none() {
                break;
            }
        }
        stage.sim.world().with(|w| {
            let truth =
                w.projects_of(subject.face).find(|p| (subject.project_id)(p) == project.key.id.as_str());
            let open: Vec<_> = truth.unwrap().history().issues.iter().filter(|i| i.open).collect();
            let numbers: BTreeSet<_> = open.iter().map(|i| u64::from(i.number)).collect();
            assert_eq!(told.iter().map(|i| i.number).collect::<BTreeSet<_>>(), numbers, "{}", project.name);
            for ours in &told {
                let theirs = open.iter().find(|i| u64::from(i.number) == ours.number).unwrap();
                assert_eq!(ours.title, &*theirs.title);
                assert!(ours.open && ours.author.is_some() && ours.url.is_some(), "{ours:?}");
                assert_eq!(ours.assignees.len(), theirs.assignees.len(), "{}", ours.title);
                seen += 1;
            }
        });
    }
    assert!(seen > 0);
}

/// Somebody with a name; nobody without a token.
pub async fn current_user(subject: &'static Subject) {
    let stage = Stage::new(subject, 2).await;
    let Some(part) = stage.source.current_user() else { return };
    let me = part.current_user().await.unwrap().expect("the full token is somebody's");
    assert!(!me.name.is_empty());
    let anonymous = stage.source_with(None);
    let nobody = anonymous.current_user().expect("the same connector").current_user().await;
    assert!(!matches!(nobody, Ok(Some(_))), "{nobody:?}");
}

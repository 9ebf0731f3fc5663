use domain::SystemClock;

use super::*;

fn archive() -> Archive {
    Archive::new(Database::default(), Arc::new(Mirror::off()), Arc::new(SystemClock))
}

#[tokio::test(start_paused = true)]
async fn a_database_that_says_nothing_holds_nobody_and_costs_nothing() {
    let archive = archive();
    let source = SourceName::new("s").unwrap();
    archive.treated(&source, "d1".into(), Treated::Applied);
    let error = archive.settle(archive.what_was_treated(), |_| std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind, history::ErrorKind::Slow);
    archive.treated(&source, "d2".into(), Treated::Applied);
    // The process stops while it waits.
    let stopped = archive.settle(archive.what_was_treated(), |_| std::future::pending());
    assert!(tokio::time::timeout(Duration::from_secs(1), stopped).await.is_err());
    let mut written = Vec::new();
    let write = |treated: Vec<(SourceName, String, Treated)>| {
        written.extend(treated.into_iter().map(|(_, delivery, _)| delivery));
        std::future::ready(Ok(()))
    };
    archive.settle(archive.what_was_treated(), write).await.unwrap();
    assert_eq!(written, ["d1", "d2"], "in their order");
    assert!(locked(&archive.treated).is_empty(), "nothing is left");
}

#[test]
fn what_waits_again_is_bounded() {
    let queue = Mutex::new(VecDeque::from([1, 2, 3]));
    let taken = Taken::of(&queue, 3);
    locked(&queue).push_back(4);
    drop(taken);
    assert_eq!(*locked(&queue), [2, 3, 4], "the oldest gives way");
    Taken::of(&queue, 3).written();
    assert!(locked(&queue).is_empty());
}

#[test]
fn webhooks_wait_within_so_many_bytes() {
    let webhook = |megabytes: usize| history::Webhook {
        source: SourceName::new("s").unwrap(),
        delivery: "d".into(),
        kind: "push".into(),
        headers: Vec::new(),
        body: vec![0; megabytes << 20],
        received_at: Timestamp::UNIX_EPOCH,
    };
    let hooks = Hooks::default();
    let most = hooks.room_for(&webhook(25)).unwrap();
    assert!(hooks.room_for(&webhook(1)).is_none(), "the largest there are wait alone");
    drop(most);
    let waiting: Vec<_> = (0..4).map(|_| hooks.room_for(&webhook(4)).unwrap()).collect();
    assert!(hooks.room_for(&webhook(1)).is_none());
    drop(waiting);
    assert!(hooks.room_for(&webhook(16)).is_some(), "once they are written there is room again");
}

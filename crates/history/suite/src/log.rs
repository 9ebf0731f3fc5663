//! Webhooks, notes, preferences.

use domain::SourceName;
use history::{Logged, Treated, Webhook};

use crate::{Place, at};

/// Each delivery once, as it came, with what became of it; one that nothing became of is to be applied when it comes again.
pub async fn webhooks(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let source = SourceName::new("forge").unwrap();
    let hook = |source: &str, delivery: &str, second: i64| Webhook {
        source: SourceName::new(source).unwrap(),
        delivery: delivery.into(),
        kind: "Pipeline Hook".into(),
        headers: vec![("x-event".into(), "Pipeline Hook".into())],
        body: vec![0, 159, 146, 150, b'{', b'"'],
        received_at: at(0, second),
    };
    let logged = history.log_webhooks(&[hook("forge", "a", 0), hook("forge", "b", 2)]).await.unwrap();
    assert_eq!(logged, [Logged::New, Logged::New]);
    let again = [hook("forge", "a", 1), hook("other", "a", 1), hook("forge", "c", 3), hook("forge", "c", 3)];
    let logged = history.log_webhooks(&again).await.unwrap();
    assert_eq!(logged, [Logged::New; 4], "nothing became of them yet");
    let treated = [
        (source.clone(), "a".to_owned(), Treated::Applied),
        (source.clone(), "c".to_owned(), Treated::Ignored("of no concern".into())),
    ];
    history.treat_webhooks(&treated).await.unwrap();
    let again = [hook("forge", "a", 9), hook("other", "a", 1), hook("forge", "c", 9), hook("forge", "b", 2)];
    let logged = history.log_webhooks(&again).await.unwrap();
    assert_eq!(logged, [Logged::Known, Logged::New, Logged::Known, Logged::New], "ids are a source's own");
    drop(history);

    let history = place.open().await.unwrap();
    let all = history.webhooks(&source, false, 10).await.unwrap();
    let told: Vec<_> = all.iter().map(|e| (e.webhook.delivery.as_str(), e.treated.clone())).collect();
    assert_eq!(
        told,
        [("a", Some(Treated::Applied)), ("b", None), ("c", Some(Treated::Ignored("of no concern".into())))]
    );
    let first = &all[0].webhook;
    assert_eq!(
        (&first.body, &first.headers, first.received_at),
        (&hook("forge", "a", 0).body, &hook("forge", "a", 0).headers, at(0, 1))
    );
    let open = history.webhooks(&source, true, 10).await.unwrap();
    assert_eq!(open.iter().map(|e| e.webhook.delivery.as_str()).collect::<Vec<_>>(), ["b"]);
    history.prune(None, at(0, 3)).await.unwrap();
    assert_eq!(history.webhooks(&source, false, 10).await.unwrap().len(), 1);
}

/// What a process leaves for the next, and what a user wants.
pub async fn notes(place: &dyn Place) {
    let history = place.open().await.unwrap();
    let note = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    history.set_notes(&[note("a", Some("1")), note("b", Some("\u{1F98A}"))]).await.unwrap();
    history.set_notes(&[note("a", Some("2")), note("b", None), note("c", None)]).await.unwrap();
    assert_eq!(history.note("a").await.unwrap().as_deref(), Some("2"));
    assert_eq!(history.note("b").await.unwrap(), None);

    let value = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    history
        .keep("x", &[value("a", Some(b"\x00\xff")), value("b", Some(b"")), value("c", Some(b"1"))])
        .await
        .unwrap();
    history.keep("y", &[value("a", Some(b"other"))]).await.unwrap();
    history.keep("x", &[value("c", None), value("b", Some(b"2")), value("none", None)]).await.unwrap();
    let mut kept = history.kept("x").await.unwrap();
    kept.sort();
    assert_eq!(kept, [("a".to_owned(), b"\x00\xff".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    assert!(history.kept("z").await.unwrap().is_empty());

    history.set_preference("ada", "theme", Some("dark"), at(0, 0)).await.unwrap();
    history.set_preference("ada", "watched", Some("[1]"), at(0, 1)).await.unwrap();
    history.set_preference("ada", "theme", Some("light"), at(0, 2)).await.unwrap();
    history.set_preference("bob", "theme", Some("dark"), at(0, 3)).await.unwrap();
    history.set_preference("ada", "watched", None, at(0, 4)).await.unwrap();
    let of = history.preferences("ada").await.unwrap();
    assert_eq!(of.into_iter().collect::<Vec<_>>(), [("theme".to_owned(), "light".to_owned())]);
    assert!(history.preferences("nobody").await.unwrap().is_empty());
}

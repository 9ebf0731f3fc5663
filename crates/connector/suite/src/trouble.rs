//! What goes wrong between us and a platform.

use std::time::Duration;

use connector::Error;
use domain::RunId;
use forge_sim::{EXPIRED_TOKEN, Effect, Fault, NARROW_TOKEN};

use crate::Subject;
use crate::stage::{SOURCE, Stage};

/// A token that looks like one and is none.
const WRONG_TOKEN: &str = "wrong-token-0123456789abcdef";
/// Larger than any answer may be, in bytes.
const HUGE: usize = 80 * 1024 * 1024;
/// More requests than a source makes at once.
const CROWD: usize = 40;
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A refused token is told as such, whatever is asked, and never shown; what is not there is another thing.
pub async fn tokens(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    let (_, project) = stage.green().await;
    let strange = format!("{}-that-nobody-made", project.name);
    assert!(matches!(stage.source.project(&strange).await, Err(Error::NotFound(_))));
    if !subject.has.tokens {
        return;
    }
    for token in [WRONG_TOKEN, EXPIRED_TOKEN] {
        let source = stage.source_with(Some(token));
        let listing = source.projects(None).await.map(|page| page.items.len());
        let one = source.project(project.key.id.as_str()).await.map(|p| p.name);
        for (asked, error) in [("listing", listing.err()), ("project", one.err())] {
            match error {
                Some(Error::Unauthorized(why)) => {
                    assert!(why.contains(SOURCE), "{asked}: names the source: {why}");
                    assert!(!why.contains(token), "{asked}: shows the token");
                }
                other => panic!("{token} {asked}: {other:?}"),
            }
        }
    }
    if subject.has.scopes {
        let source = stage.source_with(Some(NARROW_TOKEN));
        match source.projects(None).await {
            Err(error @ (Error::Forbidden(_) | Error::Unauthorized(_))) => {
                let scope = subject.platform.descriptor.scope;
                assert!(error.to_string().contains(scope), "says what it needs ({scope}): {error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// "Too many" is obeyed: told with a time that is not past, and nothing more is sent until then.
pub async fn rate_limit(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    stage.sim.faults().add(Fault::on("*", Effect::TooMany { retry_after: 120 }));
    match stage.source.projects(None).await {
        Err(Error::RateLimited { until: Some(until) }) => assert!(until >= stage.now(), "{until}"),
        other => panic!("{other:?}"),
    }
    stage.sim.faults().clear();
    stage.sim.requests().clear();
    match stage.source.projects(None).await {
        Err(Error::RateLimited { .. }) => assert_eq!(stage.sim.requests().total(), 0, "nothing is sent"),
        other => panic!("{other:?}"),
    }
}

/// A redirect to another host is not followed with the token.
pub async fn redirect(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    let elsewhere = format!("{}/stolen", stage.sim.store_url());
    stage.sim.faults().add(Fault::on("*", Effect::Redirect(elsewhere)).face(subject.face));
    let listing = stage.source.projects(None).await.map(|page| page.items.len());
    assert!(listing.is_err(), "{listing:?}");
    let led = stage.sim.requests().all().into_iter().filter(|r| r.path.starts_with("/stolen"));
    let carried: Vec<_> = led.filter(|r| r.authorized).collect();
    assert!(carried.is_empty(), "{carried:?}");
}

/// No JSON, half an answer, a login page, far too much, nothing but failure: an error that says what came, never an answer.
pub async fn garbage(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    let (_, project) = stage.green().await;
    let effects = [
        Effect::InvalidJson,
        Effect::LoginPage,
        Effect::CutBody,
        Effect::HugeBody(HUGE),
        Effect::Status(500),
        Effect::Status(418),
        Effect::Unavailable451,
    ];
    for effect in effects {
        stage.sim.faults().clear();
        stage.sim.faults().add(Fault::on("*", effect.clone()).face(subject.face));
        // A source that has remembered nothing, so that nothing stands in for the answer.
        let source = stage.source_with(Some(stage.sim.token()));
        let listing = source.projects(None).await.map(|page| page.items.len());
        let one = source.project(project.key.id.as_str()).await.map(|p| p.name);
        let run = source.pipeline(&project, &RunId::from(1)).await.map(|d| d.pipeline);
        let told = [("listing", listing.err()), ("project", one.err()), ("run", run.err())];
        for (asked, error) in told {
            let error = error.unwrap_or_else(|| panic!("{effect:?}: {asked} was answered"));
            let words = error.to_string();
            assert!(words.len() > 10 && words.len() < 600, "{effect:?} {asked}: {words}");
            assert!(
                !matches!(error, Error::Unauthorized(_)),
                "{effect:?} {asked}: the token is not at fault: {words}"
            );
            assert!(!words.contains(stage.sim.token()), "{effect:?} {asked}: shows the token");
        }
    }
}

/// Questions that are dropped while they wait leave the source able to ask.
pub async fn dropped(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    stage.sim.faults().add(Fault::on("*", Effect::Hang).face(subject.face));
    stage.sim.requests().clear();
    let asked: Vec<_> = (0..CROWD).map(|_| stage.source.projects(None)).collect();
    let all = futures::future::join_all(asked);
    let sent = async {
        // Under way: a request counts in the total when it has ended, and these never do.
        while stage.sim.requests().most_at_once(subject.face) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = all => panic!("a hanging platform answered"),
        () = sent => {}
    }
    stage.sim.faults().clear();
    let listing = tokio::time::timeout(PATIENCE, stage.source.projects(None)).await;
    assert!(listing.is_ok_and(|page| page.is_ok_and(|page| !page.items.is_empty())), "it can still ask");
}

//! Signing in as a GitHub App, against a simulated GitHub that verifies the signature and lets tokens expire.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;

use config::{Extra, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Error};
use domain::{Clock, ManualClock, Timestamp};
use forge_sim::github::{APP_ID, APP_KEY, APP_KEY_PKCS8, FACE, Installation};
use forge_sim::{Effect, Fault, Sim};
use jiff::SignedDuration;

struct Forge {
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
}

const TOKENS: &str = "POST /app/installations/{installation_id}/access_tokens";

impl Forge {
    async fn start(accounts: &[&str]) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let named = |(at, account): (usize, &&str)| Installation {
            id: 70 + u64::try_from(at).unwrap(),
            account: (*account).to_owned(),
        };
        let sim = Sim::builder().seed(11).projects(8).faces([FACE]);
        let sim = sim.installations(accounts.iter().enumerate().map(named).collect());
        let sim = sim.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>).start().await.unwrap();
        Self { sim, clock: Arc::new(ManualClock::at(now)), sim_clock }
    }

    fn settings(&self, app_id: &str, key: Secret, installation: Option<&str>) -> SourceSettings {
        let mut settings = support::settings(&self.sim.github_url());
        settings.token = None;
        settings.extra.insert("app_id", Extra::Text(app_id.to_owned()));
        settings.extra.insert("private_key", Extra::Secret(key));
        if let Some(id) = installation {
            settings.extra.insert("installation_id", Extra::Text(id.to_owned()));
        }
        settings
    }

    fn source(&self, app_id: &str, key: &str, installation: Option<&str>) -> Arc<dyn Connector> {
        let settings = self.settings(app_id, Secret::new(key, SecretFrom::Settings), installation);
        support::source(&settings, Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        self.sim_clock.advance(time);
    }

    fn signed_in(&self) -> usize {
        self.sim.requests().all().iter().filter(|r| r.template == TOKENS).count()
    }
}

#[tokio::test]
async fn either_form_of_the_key_signs_in_and_the_only_installation_is_found() {
    for key in [APP_KEY, APP_KEY_PKCS8] {
        let forge = Forge::start(&["acme"]).await;
        let source = forge.source(APP_ID, key, None);
        let listed = source.projects(None).await.unwrap();
        assert!(!listed.items.is_empty());
        assert_eq!(source.project_count().await.unwrap(), u64::try_from(listed.items.len()).ok());
        assert!(source.batching().is_some(), "an App has GraphQL");
        assert!(source.current_user().unwrap().current_user().await.unwrap().is_none(), "it is nobody");
        assert_eq!(forge.signed_in(), 1, "once for all of it");
        let endpoints = source.traffic().endpoints;
        assert!(endpoints.iter().any(|e| e.endpoint.ends_with("access_tokens")), "{endpoints:?}");
    }
}

#[tokio::test]
async fn tokens_renew_themselves_before_they_end_and_when_they_are_refused() {
    let forge = Forge::start(&["acme"]).await;
    let source = forge.source(APP_ID, APP_KEY, Some("70"));
    source.projects(None).await.unwrap();
    forge.pass(SignedDuration::from_mins(54));
    source.projects(None).await.unwrap();
    assert_eq!(forge.signed_in(), 1);
    forge.pass(SignedDuration::from_mins(2));
    source.projects(None).await.unwrap();
    assert_eq!(forge.signed_in(), 2, "before its hour is over");
    // The platform's hour ends while ours does not.
    forge.sim_clock.advance(SignedDuration::from_mins(65));
    forge.clock.advance(SignedDuration::from_mins(1));
    let project = source.projects(None).await;
    assert!(
        matches!(project, Err(Error::Unauthorized(_))),
        "clocks that differ so much sign nothing: {project:?}"
    );
    forge.clock.advance(SignedDuration::from_mins(64));
    source.projects(None).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_taken_away_is_replaced_at_once() {
    let forge = Forge::start(&["acme"]).await;
    let source = forge.source(APP_ID, APP_KEY, None);
    source.projects(None).await.unwrap();
    let refused = Fault::on("/installation/repositories*", Effect::Status(401)).face(FACE).times(1);
    forge.sim.faults().add(refused);
    source.projects(None).await.unwrap();
    assert_eq!(forge.signed_in(), 2);
}

#[tokio::test]
async fn while_github_gives_no_token_the_last_one_serves() {
    let forge = Forge::start(&["acme"]).await;
    let source = forge.source(APP_ID, APP_KEY, None);
    source.projects(None).await.unwrap();
    forge.pass(SignedDuration::from_mins(57));
    forge.sim.faults().add(Fault::on("*access_tokens", Effect::Status(500)).face(FACE));
    source.projects(None).await.unwrap();
    forge.pass(SignedDuration::from_mins(5));
    let error = source.projects(None).await.unwrap_err();
    assert!(matches!(error, Error::Server(_)), "{error:?}");
}

#[tokio::test]
async fn several_installations_are_named_and_none_is_said() {
    let forge = Forge::start(&["acme", "beta-org"]).await;
    let Err(Error::Unauthorized(words)) = forge.source(APP_ID, APP_KEY, None).projects(None).await else {
        panic!("one was guessed")
    };
    for told in ["source gh", "acme (70)", "beta-org (71)", "installation_id"] {
        assert!(words.contains(told), "{words}");
    }
    assert!(!forge.source(APP_ID, APP_KEY, Some("71")).projects(None).await.unwrap().items.is_empty());
    let error = forge.source(APP_ID, APP_KEY, Some("99")).projects(None).await.unwrap_err().to_string();
    assert!(error.contains("no installation 99") && error.contains("acme (70)"), "{error}");

    let nowhere = Forge::start(&[]).await;
    let error = nowhere.source(APP_ID, APP_KEY, None).projects(None).await.unwrap_err().to_string();
    assert!(error.contains("installed nowhere"), "{error}");
}

#[tokio::test]
async fn what_does_not_fit_is_said_and_never_shown() {
    let forge = Forge::start(&["acme"]).await;
    let Err(Error::Unauthorized(words)) = forge.source("4712", APP_KEY, None).projects(None).await else {
        panic!("let in")
    };
    assert!(words.contains("4712") && words.contains("do not belong together"), "{words}");

    let build = |settings: &SourceSettings| {
        let clock = Arc::clone(&forge.clock) as Arc<dyn Clock>;
        (connector_github::PLATFORM.build)(settings, clock).unwrap_err().to_string()
    };
    let secret = |text: &str| Secret::new(text, SecretFrom::Settings);
    let no_key = build(&forge.settings(APP_ID, secret("canary-key"), None));
    assert!(no_key.contains("PEM") && !no_key.contains("canary"), "{no_key}");
    let mut both = forge.settings(APP_ID, secret(APP_KEY), None);
    both.token = Some(secret("canary-token"));
    assert!(build(&both).contains("leave out token"));
    let mut half = forge.settings(APP_ID, secret(APP_KEY), None);
    half.extra.remove("private_key");
    assert!(build(&half).contains("private_key_file"));
    let source = forge.source(APP_ID, APP_KEY, None);
    source.projects(None).await.unwrap();
    let shown = format!("{source:?}");
    assert!(!shown.contains("ghs_") && !shown.contains("PRIVATE") && !shown.contains("eyJ"), "{shown}");
}

#[tokio::test]
async fn a_key_that_was_changed_in_its_file_is_read_anew() {
    let forge = Forge::start(&["acme"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    // A good key, but another App's: made for this test alone.
    let other = include_str!("support/other-app.pem");
    std::fs::write(&file, other).unwrap();
    let settings = forge.settings(APP_ID, Secret::new(other, SecretFrom::File(file.clone())), None);
    let source = support::source(&settings, Arc::clone(&forge.clock) as Arc<dyn Clock>);
    assert!(matches!(source.projects(None).await, Err(Error::Unauthorized(_))));
    std::fs::write(&file, APP_KEY).unwrap();
    forge.pass(SignedDuration::from_secs(15));
    assert!(!source.projects(None).await.unwrap().items.is_empty());
}

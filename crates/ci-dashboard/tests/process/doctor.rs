//! `ci-dashboard doctor` against simulated platforms and real files.

use std::os::unix::fs::PermissionsExt;

use crate::kit::{Ended, Forge, Place};

fn doctor(place: &Place, config: &str) -> Ended {
    let config = place.config(config).display().to_string();
    place.run("ci-dashboard", &["doctor", "--config", &config])
}

#[test]
fn it_says_what_is_well_what_is_not_and_what_to_do() {
    let (place, forge) = (Place::new(), Forge::start(2));
    let socket = format!("aggregator: {{ listen: \"unix:{}\" }}\n", place.path("a.sock").display());
    let good = doctor(&place, &format!("{}{socket}", forge.config()));
    assert_eq!(good.code, Some(0), "{good:?}");
    // The simulated tokens may do everything: that is no failure, and not hidden.
    for part in ["source gl", "source gh", "answers in", "can alter things: api", "can alter things: repo"] {
        assert!(good.out.contains(part), "no {part:?}: {}", good.out);
    }
    assert!(!good.out.contains("FAIL") && !good.out.contains(forge.sim.token()), "{}", good.out);

    let bad = format!(
        "server: {{ host: 0.0.0.0 }}\n{socket}gitlab: [ {{ name: gl, url: \"{}\", token: nonsense }} ]\n\
         github: [ {{ name: gone, url: \"http://127.0.0.1:1\", token: x }}, {{ name: unset, token: \"${{NOT_SET}}\" }} ]\n",
        forge.sim.gitlab_url()
    );
    let bad = doctor(&place, &bad);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    for part in [
        "asks nobody who they are",
        "make a new token with",
        "check url:, name resolution and the firewall",
        "NOT_SET",
        "3 broken",
    ] {
        assert!(bad.out.contains(part), "no {part:?}: {}", bad.out);
    }

    let wrong = doctor(&place, "server: { prot: 1 }\ncache: { ttl: soon }\n");
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.out.contains("prot") && wrong.out.contains("ttl"), "{}", wrong.out);
}

#[test]
fn what_only_the_service_has_is_no_fault_of_the_configuration() {
    let (place, forge) = (Place::new(), Forge::start(2));
    let socket = format!("aggregator: {{ listen: \"unix:{}\" }}\n", place.path("a.sock").display());
    let source = |key: &str| {
        let url = forge.sim.gitlab_url();
        format!("{socket}gitlab: [ {{ name: gl, url: \"{url}\", {key} }} ]\n")
    };
    let token = source("token_file: \"${CREDENTIALS_DIRECTORY}/secret_gitlab\"");
    let shell = doctor(&place, &token);
    assert_eq!(shell.code, Some(0), "{shell:?}");
    let advised = format!("ci-dashboard doctor --config {}", place.path("config.yaml").display());
    for part in [
        "systemd-run",
        "-p LoadCredential=secret:/etc/ci-dashboard/secrets",
        &advised,
        "note  source gl",
        "note  database",
        "where the service keeps its state",
    ] {
        assert!(shell.out.contains(part), "no {part:?}: {}", shell.out);
    }
    assert!(!shell.out.contains("FAIL") && !shell.out.contains("set what is missing"), "{}", shell.out);

    // A database that the configuration names is looked at all the same.
    let named = format!("database: {{ url: \"sqlite:{}\" }}\n{token}", place.path("h.db").display());
    assert!(doctor(&place, &named).out.contains("h.db will be made"));

    // As a service of systemd's it has the token, or lacks it in earnest.
    std::fs::write(place.path("secret_gitlab"), forge.sim.token()).unwrap();
    let folder = place.path("").display().to_string();
    let config = place.config(&token).display().to_string();
    let service = |env: &[(&str, &str)]| {
        let mut running = place.start_with_env("ci-dashboard", &["doctor", "--config", &config], env);
        (running.wait().code(), running.stdout())
    };
    let (code, said) = service(&[("CREDENTIALS_DIRECTORY", &folder), ("STATE_DIRECTORY", &folder)]);
    assert!(
        code == Some(0) && said.contains("answers in") && said.contains("ci-dashboard.db will be made"),
        "{said}"
    );
    assert!(!said.contains("systemd-run"), "{said}");
    let (code, said) = service(&[("STATE_DIRECTORY", &folder)]);
    assert!(code == Some(1) && said.contains("FAIL  source gl") && !said.contains("systemd-run"), "{said}");

    // Where nothing starts without it.
    let wrong = doctor(
        &place,
        &format!("{socket}cache: {{ type: redis, redis_url_file: \"${{CREDENTIALS_DIRECTORY}}/r\" }}\n"),
    );
    assert!(wrong.code == Some(2) && wrong.out.contains("as root: systemd-run"), "{wrong:?}");
}

#[test]
fn it_says_whether_history_can_be_kept() {
    let (place, forge) = (Place::new(), Forge::start(2));
    let look = |url: &str| {
        let sources = forge.config().replace("{ url: none }", &format!("{{ url: \"{url}\" }}"));
        doctor(&place, &sources)
    };
    let file = place.path("kept/h.db");
    let made = look(&format!("sqlite:{}", file.display()));
    assert!(made.code == Some(0) && made.out.contains("will be made"), "{}", made.out);
    assert!(!file.exists() && !file.parent().unwrap().exists(), "looking makes nothing");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    assert!(look(&format!("sqlite:{}", file.display())).out.contains("can be written"));
    // A folder where the file should be.
    let taken = look(&format!("sqlite:{}", file.parent().unwrap().display()));
    assert!(taken.code == Some(1) && taken.out.contains("FAIL  database"), "{}", taken.out);
    let gone = look("postgres://ci:canary-52c1@127.0.0.1:1/ci");
    assert!(gone.code == Some(1) && gone.out.contains("127.0.0.1:1/ci"), "{}", gone.out);
    assert!(!gone.out.contains("canary"), "{}", gone.out);
}

#[test]
fn it_says_whether_redis_can_be_used() {
    let (place, forge) = (Place::new(), Forge::start(2));
    let Some(redis) = cache_suite::Server::start(cache_suite::Options::default()) else {
        return;
    };
    let look = |url: &str| {
        let cache = format!("cache: {{ type: redis, redis_url: \"{url}\",");
        doctor(&place, &forge.config().replace("cache: {", &cache))
    };
    let good = look(&redis.url(0));
    assert!(good.code == Some(0) && good.out.contains("redis"), "{good:?}");
    assert!(good.out.lines().any(|l| l.contains("Redis ") && l.contains("answers")), "{}", good.out);
    let gone = look("redis://ci:canary-52c1@127.0.0.1:1/0");
    assert!(gone.code == Some(1) && gone.out.contains("FAIL  redis"), "{}", gone.out);
    assert!(gone.out.contains("127.0.0.1:1") && !gone.out.contains("canary"), "{}", gone.out);
}

#[test]
fn files_that_everybody_can_read_are_named() {
    let (place, forge) = (Place::new(), Forge::start(2));
    let secret = place.path("token");
    std::fs::write(&secret, forge.sim.token()).unwrap();
    let config = format!(
        "aggregator: {{ listen: \"unix:{}\" }}\ngitlab: [ {{ name: gl, url: \"{}\", token_file: {} }} ]\n",
        place.path("a.sock").display(),
        forge.sim.gitlab_url(),
        secret.display()
    );
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let open = doctor(&place, &config);
    assert!(open.out.contains(&format!("chmod o-r {}", secret.display())), "{}", open.out);
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let closed = doctor(&place, &config);
    assert!(!closed.out.contains("chmod"), "{}", closed.out);
}

//! Files, their rights, and the aggregator's socket.

use std::path::Path;

use config::{Address, Secret, SecretFrom, Settings};

use super::report::Report;

/// Anybody on the machine.
const OTHERS: u32 = 0o007;
/// Reading, for anybody.
const OTHERS_READ: u32 = 0o004;

/// Secrets of a source, with the key of each.
fn secrets_of(source: &config::SourceSettings) -> impl Iterator<Item = (&'static str, &Secret)> {
    let own = [("token", source.token.as_ref()), ("webhook_secret", source.webhook_secret.as_ref())];
    let extra = source.extra.iter().map(|(key, value)| match value {
        config::Extra::Secret(secret) => (*key, Some(secret)),
        config::Extra::Text(_) => (*key, None),
    });
    own.into_iter().chain(extra).filter_map(|(key, secret)| Some((key, secret?)))
}

/// Whether others can read secrets in the configuration itself.
pub(super) fn configuration(file: &Path, settings: &Settings, report: &mut Report) {
    let inline = |secret: &Secret| *secret.from() == SecretFrom::Settings;
    let holds = settings.sources.iter().any(|s| secrets_of(s).any(|(_, secret)| inline(secret)));
    if holds && is_open(file, OTHERS_READ) {
        report.doubt(
            "configuration",
            format!("{} may hold secrets and is readable for everybody", file.display()),
            format!("chmod o-r {}, or token_file: instead of token:", file.display()),
        );
    }
}

/// Whether others can read files that hold a secret.
pub(super) fn secrets(settings: &Settings, report: &mut Report) {
    for source in &settings.sources {
        for (key, secret) in secrets_of(source) {
            if let SecretFrom::File(path) = secret.from()
                && is_open(path, OTHERS_READ)
            {
                report.doubt(
                    format!("source {}", source.name),
                    format!("{key}_file {} is readable for everybody", path.display()),
                    format!("chmod o-r {}", path.display()),
                );
            }
        }
    }
}

/// The socket between the daemons, and whether somebody answers there.
pub(super) async fn socket(settings: &Settings, report: &mut Report) {
    let address = &settings.aggregator.listen;
    let endpoint = aggregator::endpoint(address);
    if let Err(why) = aggregator::check_health(&endpoint).await {
        // Nobody has to run it: the single process needs no socket.
        report.note("aggregator", format!("does not run here: {why}"));
    } else {
        report.good("aggregator", format!("answers at {endpoint}"));
    }
    let Address::Unix(path) = address else { return };
    if path.exists() && is_open(path, OTHERS) {
        report.bad(
            "socket",
            format!("{} is open to every user of this machine", path.display()),
            format!("chmod 0660 {} (SocketMode=0660 in the socket unit)", path.display()),
        );
        return;
    }
    let Some(folder) = path.parent() else { return };
    match folder_state(folder) {
        Ok(()) => report.good("socket", format!("{} is there to be used", folder.display())),
        Err(why) => report.doubt(
            "socket",
            format!("{}: {why}", folder.display()),
            "as the user of the aggregator, make the folder; or set aggregator.listen (AGGREGATOR_URL for the web daemon)",
        ),
    }
}

/// Whether sockets can be made in there, now or once somebody makes it.
pub(super) fn folder_state(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|f| f.exists()).unwrap_or(folder);
    tempfile::Builder::new().prefix(".doctor").tempfile_in(there).map(|_| ())
}

#[cfg(unix)]
fn is_open(path: &Path, to: u32) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|m| m.permissions().mode() & to != 0)
}

#[cfg(not(unix))]
fn is_open(_path: &Path, _to: u32) -> bool {
    false
}

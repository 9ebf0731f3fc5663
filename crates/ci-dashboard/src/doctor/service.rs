//! What only the service has: its credentials, the variables of its unit, and the folder of its state. A shell on the same
//! machine has none of them, whoever sits at it; what they decide is to be looked at as the service would.

use std::path::{Path, PathBuf};

use config::{DatabaseUrl, Environment, Inputs, Loaded, Problem};

use super::report::Report;

/// systemd's, for a unit that loads credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// systemd's, for a unit that keeps something.
const STATE: &str = "STATE_DIRECTORY";
/// Where the package puts the services' configuration.
const INSTALLED: &str = "/etc/ci-dashboard/config.yaml";
/// There where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

/// What cannot be looked at from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hidden {
    /// Whether secrets, and variables that sources want, are the service's.
    pub(super) secrets: bool,
    /// Whether the history is where the service keeps its state.
    pub(super) state: bool,
}

impl Hidden {
    /// Finds out, and says how to look at it.
    pub(super) fn of(loaded: &Loaded, inputs: &Inputs, report: &mut Report) -> Self {
        if !is_outside(&inputs.env) {
            return Self::default();
        }
        let wants = |reason: &Option<String>| reason.as_ref().is_some_and(|why| why.contains(CREDENTIALS));
        let file = file(loaded.file.as_deref(), inputs);
        let installed = file == Path::new(INSTALLED) && Path::new(SYSTEMD).exists();
        if !installed && !loaded.settings.sources.iter().any(|source| wants(&source.disabled)) {
            return Self::default();
        }
        let state = is_moved(loaded, inputs);
        let lacks = if state { "tokens and history" } else { "tokens" };
        report.doubt(
            "service",
            format!("this shell lacks the service's {lacks}, which were not looked at"),
            format!("as root: {}", command(&file)),
        );
        Self { secrets: true, state }
    }
}

/// What to do about a mistake in the configuration.
pub(super) fn advice(problem: &Problem, inputs: &Inputs) -> String {
    if is_outside(&inputs.env) && problem.message.contains(CREDENTIALS) {
        let file = file(problem.file.as_deref(), inputs);
        return format!("only the service has it; as root: {}", command(&file));
    }
    "correct it; nothing starts before".to_owned()
}

/// Whether this is no service of systemd's.
fn is_outside(env: &Environment) -> bool {
    env.get(CREDENTIALS).is_none() && env.get(STATE).is_none()
}

/// Whether the history would be elsewhere with the state of a service.
fn is_moved(loaded: &Loaded, inputs: &Inputs) -> bool {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .chain([(STATE.to_owned(), "/var/lib/ci-dashboard".to_owned())]);
    let there = Inputs { env: variables.collect(), ..inputs.clone() };
    matches!(loaded.settings.database.url, DatabaseUrl::Sqlite(_))
        && config::load(&there).is_ok_and(|there| there.settings.database.url != loaded.settings.database.url)
}

/// The configuration's file, from wherever one looks.
fn file(told: Option<&Path>, inputs: &Inputs) -> PathBuf {
    told.map_or_else(|| PathBuf::from(INSTALLED), |file| inputs.cwd.join(file))
}

/// Runs this as `systemd/ci-dashboard-aggregator.service` is run.
fn command(file: &Path) -> String {
    format!(
        "systemd-run --quiet --collect --pipe --wait -p User=ci-dashboard-aggregator \
         -p Group=ci-dashboard-aggregator -p SupplementaryGroups=ci-dashboard \
         -p StateDirectory=ci-dashboard -p StateDirectoryMode=0750 \
         -p EnvironmentFile=-/etc/default/ci-dashboard-aggregator \
         -p LoadCredential=secret:/etc/ci-dashboard/secrets ci-dashboard doctor --config {}",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_advises_is_what_the_unit_has_and_the_manual_says() {
        let command = command(Path::new(INSTALLED));
        let unit = include_str!("../../../../systemd/ci-dashboard-aggregator.service");
        let properties = command.split(" -p ").skip(1).map(|p| p.split(' ').next().unwrap());
        for property in properties {
            assert!(unit.lines().any(|line| line == property), "the unit has no {property}");
        }
        let manual = include_str!("../../../../docs/install.md").replace("\\\n", "");
        let manual = manual.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(manual.contains(&command), "docs/install.md does not say: {command}");
    }

    #[test]
    fn a_process_of_systemd_is_no_shell() {
        let env = |names: &[&str]| names.iter().map(|name| (*name, "/x")).collect::<Environment>();
        assert!(is_outside(&env(&[])) && is_outside(&env(&["INVOCATION_ID", "HOME"])));
        assert!(!is_outside(&env(&[STATE])) && !is_outside(&env(&[CREDENTIALS])));
    }
}

//! Where files are looked for and kept when nobody says.

use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::env::Environment;
use crate::load::Machine;

/// Folder of the sockets of a system service.
pub(crate) const RUN_DIR: &str = "/run/ci-dashboard";
const SOCKET: &str = "aggregator.sock";
const DATABASE: &str = "ci-dashboard.db";
const SESSION_KEY: &str = "session.key";

/// A folder that an XDG variable names; relative ones are void by its specification.
fn folder(env: &Environment, name: &str) -> Option<PathBuf> {
    env.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn home(env: &Environment, below: &str) -> Option<PathBuf> {
    folder(env, "HOME").map(|home| home.join(below))
}

/// Where a configuration file is looked for, in order.
pub(crate) fn candidates(env: &Environment, cwd: &Path, machine: &Machine) -> Vec<PathBuf> {
    let mut found = vec![cwd.join("config.yaml"), cwd.join("config/config.yaml")];
    let user = folder(env, "XDG_CONFIG_HOME").or_else(|| home(env, ".config"));
    found.extend(user.map(|folder| folder.join("ci-dashboard/config.yaml")));
    found.push(machine.system_config.clone());
    found
}

/// Folder for sockets; `None` when the system has none for this user.
pub(crate) fn runtime_dir(env: &Environment, machine: &Machine) -> Option<PathBuf> {
    // What a service manager made for this service, perhaps several, separated by colons.
    if let Some(first) = env.get("RUNTIME_DIRECTORY").and_then(|list| list.split(':').next()) {
        return Some(PathBuf::from(first));
    }
    if machine.is_root || machine.run_dir_writable {
        return Some(PathBuf::from(RUN_DIR));
    }
    folder(env, "XDG_RUNTIME_DIR").map(|folder| folder.join("ci-dashboard"))
}

pub(crate) fn default_socket(env: &Environment, machine: &Machine) -> Address {
    let folder = runtime_dir(env, machine).unwrap_or_else(|| PathBuf::from(RUN_DIR));
    Address::Unix(folder.join(SOCKET))
}

pub(crate) fn default_sqlite(env: &Environment) -> Option<PathBuf> {
    Some(state(env)?.join(DATABASE))
}

pub(crate) fn default_session_key(env: &Environment) -> Option<PathBuf> {
    Some(state(env)?.join(SESSION_KEY))
}

/// The folder of what has to outlive the process.
fn state(env: &Environment) -> Option<PathBuf> {
    // systemd separates several state directories by colons; ours is the first.
    if let Some(first) = env.get("STATE_DIRECTORY").and_then(|list| list.split(':').next()) {
        return Some(PathBuf::from(first));
    }
    let state = folder(env, "XDG_STATE_HOME").or_else(|| home(env, ".local/state"))?;
    Some(state.join("ci-dashboard"))
}

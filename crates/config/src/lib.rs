//! Typed settings: built-in defaults < YAML file < environment < flags.
//!
//! [`load`] takes everything it goes by as [`Inputs`] – nothing is read behind the caller's back – and answers either with
//! [`Settings`] in their final types or with [`Problems`]: every mistake at once, each with key path, file, line and, where
//! there is one, a suggestion.
//!
//! ```
//! use config::{Inputs, Role};
//!
//! let env = [("GITHUB_TOKEN", "ghp_x"), ("PORT", "9000"), ("HOME", "/home/me")];
//! let inputs = Inputs::isolated(Role::All, None, env);
//! let loaded = config::load(&inputs)?;
//! assert_eq!(loaded.settings.server.port, 9000);
//! assert_eq!(loaded.settings.sources[0].name, "github-main");
//! # Ok::<(), config::Problems>(())
//! ```
//!
//! A program calls [`Inputs::from_process`], sets `overrides` from its flags, prints [`Problems`] line by line and exits with 2,
//! or logs [`Loaded::warnings`] and starts.
//!
//! # The file
//!
//! `deploy/config.example.yaml` shows every key. It is found by `--config`, else `./config.yaml`, `./config/config.yaml`,
//! `$XDG_CONFIG_HOME/ci-dashboard/config.yaml` (`~/.config` when that is not set), `/etc/ci-dashboard/config.yaml`.
//!
//! - Every key is optional. A key without a value, or with an empty one, counts as not given.
//! - `${NAME}` and `${NAME:-default}` expand inside any string of the *parsed* file, quoted or not, also within `{ … }`; `$${` is a
//!   literal `${`. What a variable holds is not expanded again and cannot change the file's structure. A variable that is set to
//!   nothing counts as missing. Missing ones turn a source off ([`SourceSettings::disabled`]); elsewhere they are a mistake.
//! - Durations: `500ms`, `90s`, `5m`, `24h`, `30d`, `1h30m`. Paths are relative to the file that names them.
//! - Patterns are [`domain::Patterns`]: `*` also matches `/`, a leading `!` takes out: `events: [push, "!schedule"]`.
//! - Any secret (`token`, `webhook_secret`, `signing_token`, `private_key`, also `cache.redis_url`, `database.url`,
//!   `database.postgres_url`) may be given as a file under the same key with `_file`; line breaks at its end are dropped.
//! - Bounds: [`MAX_FILE_BYTES`], [`MAX_NODES`] (aliases counted), [`MAX_DEPTH`], [`MAX_SECRET_BYTES`], [`MAX_SOURCES`].
//!
//! # The environment
//!
//! `HOST`, `PORT`, `CACHE_TYPE`, `REDIS_URL`, `POSTGRES_URL`, `DATABASE_URL`, `AGGREGATOR_URL`, `LOG_LEVEL`, `LOG_FORMAT`; for every
//! platform `GITLAB_TOKEN`, `GITLAB_URL` and where it has users `JENKINS_USER`; every other key as `CI_DASHBOARD__SECTION__KEY`
//! (`CI_DASHBOARD__SERVER__TLS__CERT`), which also wins over the short names. An empty variable counts as not set; values are not
//! expanded; paths are relative to the working directory.
//!
//! - Lists: `a,b`, or `[a, "b{1,2}"]` as in YAML when an item holds a comma.
//! - Sources: `CI_DASHBOARD__GITLAB__0__LOGS` by position from 0 (the next free position adds a source), or by name
//!   `CI_DASHBOARD__GITLAB__GITLAB_MAIN__LOGS` with `_` for `-` and `.`.
//! - Which source a token goes to:
//!   1. No source of that platform in the file: the environment makes one, `gitlab-main`, at `GITLAB_URL` or the vendor's own
//!      address. A section that is there and empty (`gitlab: []`) says that there shall be none.
//!   2. Sources in the file, no `GITLAB_URL`: the one without a token gets it; several are a mistake that names them.
//!   3. Sources in the file and `GITLAB_URL`: the token is meant for that host. The one source without `url` takes both;
//!      else the one at that host without a token gets it; is none at that host, the two make `gitlab-main`.
//!
//! # The web daemon
//!
//! [`Role::Web`] reads `server`, `ui`, `auth`, `logging` and `aggregator` only: it neither expands nor opens anything in the other sections
//! and holds no secret.
//!
//! # Secrets
//!
//! [`Secret`] and [`SecretUrl`] show [`MASK`] in `Debug` and `Display`; [`Settings::effective_yaml`] prints the same; messages repeat what
//! stands in the file, unexpanded, and of secrets and URLs nothing.
//!
//! # Adding a key, adding a platform
//!
//! A key: a field in `settings.rs`, one line in `sections.rs` (or `sources.rs`), one in `render.rs`, one in `deploy/config.example.yaml`; the
//! known keys for "did you mean" are those that are read. A platform: a row in `platforms.rs`.

mod address;
mod env;
mod expand;
mod load;
mod paths;
mod platforms;
mod problem;
mod render;
mod secret;
mod section;
mod sections;
mod settings;
mod sources;
mod tree;
mod values;

pub use address::{Address, AddressError, Cidr, is_loopback_host};
pub use env::{ENV_PREFIX, Environment};
pub use load::{Inputs, Loaded, Machine, Overrides, load};
pub use platforms::{ExtraKey, ExtraKind, PlatformSpec, Platforms};
pub use problem::{Problem, Problems};
pub use secret::{MASK, Secret, SecretFrom, SecretUrl, mask_url};
pub use section::MAX_SECRET_BYTES;
pub use settings::*;
pub use sources::{MAX_SOURCE_NAME_BYTES, MAX_SOURCES};
pub use tree::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES};
pub use values::{MAX_DURATION, MIN_INTERVAL, format_duration, parse_duration};

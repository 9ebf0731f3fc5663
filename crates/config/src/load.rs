//! From file, environment and flags to [`Settings`].

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::env::{Environment, overlay};
use crate::paths;
use crate::platforms::Platforms;
use crate::problem::{Problem, Problems};
use crate::section::{Context, Section};
use crate::sections::{self, is_own};
use crate::settings::{Cache, Database, Filters, Role, Settings};
use crate::sources;
use crate::tree::{self, Entry, MAX_FILE_BYTES, Node, Origin, Value};

/// What [`load`] goes by. The environment is a parameter, so that tests say what it is.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Which program asks.
    pub role: Role,
    /// `--config`; `None`: look in the usual places.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub env: Environment,
    /// What flags set.
    pub overrides: Overrides,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// The platforms whose sections may be there.
    pub platforms: Platforms,
    /// What only the system knows.
    pub machine: Machine,
}

/// What flags set; each wins over environment and file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--host`
    pub host: Option<String>,
    /// `--port`
    pub port: Option<u16>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--aggregator`
    pub address: Option<String>,
}

/// What only the system knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Whether the process runs as root.
    pub is_root: bool,
    /// Whether it may write in `/run/ci-dashboard`.
    pub run_dir_writable: bool,
    /// The last place where a file is looked for.
    pub system_config: PathBuf,
}

impl Machine {
    /// As this process finds it.
    pub fn of_process() -> Self {
        #[cfg(unix)]
        let (is_root, run_dir_writable) = (
            rustix::process::geteuid().is_root(),
            rustix::fs::access(paths::RUN_DIR, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
                .is_ok(),
        );
        #[cfg(not(unix))]
        let (is_root, run_dir_writable) = (false, false);
        Self { is_root, run_dir_writable, system_config: PathBuf::from("/etc/ci-dashboard/config.yaml") }
    }
}

impl Inputs {
    /// The folder in which sockets of this user's daemons are: `$RUNTIME_DIRECTORY`, `/run/ci-dashboard` for root or where
    /// that is writable, `$XDG_RUNTIME_DIR/ci-dashboard`. `None` where there is none of these.
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        paths::runtime_dir(&self.env, &self.machine)
    }

    /// Environment, working directory and machine of this process; every known platform; no flags.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn from_process(role: Role, file: Option<PathBuf>) -> std::io::Result<Self> {
        Ok(Self {
            role,
            file,
            env: Environment::from_process(),
            overrides: Overrides::default(),
            cwd: std::env::current_dir()?,
            platforms: Platforms::known(),
            machine: Machine::of_process(),
        })
    }

    /// This file and this environment alone: no file is looked for, nothing of this process or machine counts. Every known
    /// platform; no flags. For tests, benchmarks and whoever embeds the daemons.
    pub fn isolated<N: Into<String>, V: Into<String>>(
        role: Role,
        file: Option<PathBuf>,
        env: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        const NOWHERE: &str = "/nonexistent";
        let system_config = Path::new(NOWHERE).join("config.yaml");
        Self {
            role,
            file,
            env: env.into_iter().collect(),
            overrides: Overrides::default(),
            cwd: NOWHERE.into(),
            platforms: Platforms::known(),
            machine: Machine { is_root: false, run_dir_writable: false, system_config },
        }
    }
}

/// Settings that hold, and what to tell about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What is allowed and still deserves a line in the log.
    pub warnings: Vec<Problem>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Reads everything and checks everything before anything starts.
///
/// # Errors
/// Every mistake, not only the first.
pub fn load(inputs: &Inputs) -> Result<Loaded, Problems> {
    let mut ctx = Context::new(&inputs.env, &inputs.cwd);
    let (file, text) = find(inputs, &ctx);
    ctx.file.clone_from(&file);
    let (mut root, origin) = text.map_or((Vec::new(), None), |text| root_of(&text, &ctx));
    overlay(&mut root, &ctx, inputs.role, inputs.platforms, &inputs.overrides);
    let settings = read(inputs, &ctx, root, origin);
    let (mut problems, warnings) = ctx.into_notes();
    if problems.is_empty() {
        return Ok(Loaded { settings, warnings, file });
    }
    // As one reads the file; what is not in it comes last. (The sort is stable.)
    problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    Err(Problems(problems))
}

/// The file to read and its text. A file that was named has to be there.
fn find(inputs: &Inputs, ctx: &Context<'_>) -> (Option<PathBuf>, Option<String>) {
    let candidates = match &inputs.file {
        Some(file) => vec![file.clone()],
        None => paths::candidates(&inputs.env, &inputs.cwd, &inputs.machine),
    };
    for file in candidates {
        // What was found in the working directory is shown as people would call it.
        let shown = file.strip_prefix(&inputs.cwd).unwrap_or(&file).to_owned();
        match read_file(&inputs.cwd.join(&file)) {
            Ok(text) => return (Some(shown), Some(text)),
            Err(ReadError::Absent) if inputs.file.is_none() => {}
            Err(ReadError::Absent) => {
                ctx.file_problem(&file, "no such file");
                return (Some(file), None);
            }
            Err(ReadError::Other(why)) => {
                ctx.file_problem(&shown, why);
                return (Some(shown), None);
            }
        }
    }
    (None, None)
}

enum ReadError {
    Absent,
    Other(String),
}

fn read_file(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Err(ReadError::Absent)
        }
        Err(error) => Err(ReadError::Other(format!("cannot be read: {error}"))),
        Ok(size) if size as u64 > MAX_FILE_BYTES => {
            Err(ReadError::Other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)))
        }
        Ok(_) => String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            ReadError::Other(format!("not UTF-8 text (line {line})"))
        }),
    }
}

fn root_of(text: &str, ctx: &Context<'_>) -> (Vec<Entry>, Option<Origin>) {
    let (node, problems) = tree::parse(text);
    for problem in problems {
        ctx.problem(
            &problem.key_path,
            Some(&Origin::Line(problem.line)),
            problem.message,
            problem.suggestion,
        );
    }
    match node {
        Some(Node { value: Value::Map(entries), origin }) => (entries, Some(origin)),
        None | Some(Node { value: Value::Null, .. }) => (Vec::new(), None),
        Some(other) => {
            let message = format!("expected sections, found {}", other.kind());
            ctx.problem("", Some(&other.origin), message, None);
            (Vec::new(), None)
        }
    }
}

fn read(inputs: &Inputs, ctx: &Context<'_>, entries: Vec<Entry>, origin: Option<Origin>) -> Settings {
    let origin = origin.unwrap_or(Origin::Line(1));
    let host_origin = origin_of(&entries, "server", "host");
    let mut root = Section::open(ctx, "", Some(Node { origin, value: Value::Map(entries) }));
    let role = inputs.role;
    let mut own = |name: &str| {
        if is_own(role, name) {
            return root.section(name);
        }
        root.take(name);
        Section::open(ctx, name, None)
    };
    let mut settings = Settings {
        role,
        server: sections::server(own("server")),
        aggregator: sections::aggregator(own("aggregator"), role, &inputs.machine),
        auth: sections::auth(own("auth")),
        ui: sections::ui(own("ui")),
        logging: sections::logging(own("logging")),
        cache: Cache::default(),
        database: Database::default(),
        filters: Filters::default(),
        sources: Vec::new(),
    };
    let (cache, database, filters) = (own("cache"), own("database"), own("filters"));
    if role != Role::Web {
        settings.cache = sections::cache(cache);
        settings.database = sections::database(database);
        settings.filters = sections::filters(filters);
        settings.sources = sources::read(&mut root, inputs.platforms);
    } else {
        for spec in inputs.platforms.iter() {
            root.take(spec.id);
        }
    }
    root.finish();
    sections::check_together(&settings, host_origin.as_ref(), ctx);
    settings
}

fn origin_of(entries: &[Entry], section: &str, key: &str) -> Option<Origin> {
    let section = entries.iter().find(|entry| entry.key == section)?;
    let Value::Map(inner) = &section.node.value else { return None };
    inner.iter().find(|entry| entry.key == key).map(|entry| entry.origin.clone())
}

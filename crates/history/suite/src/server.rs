//! A PostgreSQL of one's own: for the tests of the adapter, and for whole processes.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set where a missing PostgreSQL is a failure, not a reason to skip.
pub const REQUIRED: &str = "CI_DASHBOARD_REQUIRE_POSTGRES";

/// The user of the server.
const USER: &str = "ci";
/// Its password, where one is asked for.
const PASSWORD: &str = "right";

/// A server on a free port, gone with the value.
#[derive(Debug)]
pub struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
    process: Option<Child>,
}

/// The newest server that is installed.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = debian
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|p| p.join("initdb").exists() && p.join("postgres").exists())
    };
    found.pop().map(|(_, bin)| bin).or_else(on_path)
}

/// Whom the server runs as: it refuses to be root.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let nobody = users.lines().find(|l| l.starts_with("nobody:"))?;
    let mut ids = nobody.split(':').skip(2).map_while(|id| id.parse().ok());
    root.then_some((ids.next()?, ids.next()?))
}

impl Server {
    /// Starts one, with trust for everybody, or asking for a password.
    ///
    /// `None` where PostgreSQL is not installed and need not be.
    #[must_use]
    pub fn start(asks_for_password: bool) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os(REQUIRED).is_none(),
                "PostgreSQL is not installed, and {REQUIRED} is set"
            );
            // A test that is skipped says so.
            let _ = writeln!(std::io::stderr(), "skipped: PostgreSQL is not installed");
            return None;
        };
        // In memory where that is possible: making one writes forty megabytes.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let owner = unprivileged();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { folder, programs, owner, port, process: None };
        let secret = server.folder.path().join("password");
        std::fs::write(&secret, PASSWORD).unwrap();
        let method = if asks_for_password { "scram-sha-256" } else { "trust" };
        let made = server
            .command("initdb")
            .args(["--no-sync", "-U", USER, "-A", method, "--encoding=UTF8", "--locale=C", "--pwfile"])
            .arg(&secret)
            .arg("-D")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.resume();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts it, for the first time or again, and waits until it answers.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let process = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        // Generous: the machine may be busy.
        let end = Instant::now() + Duration::from_secs(60);
        // Its own word for it, which the one before it took along.
        let ready = || {
            let state = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let mine = self.pid().is_some_and(|pid| state.starts_with(&format!("{pid}\n")));
            mine && state.lines().last().is_some_and(|l| l.trim() == "ready")
        };
        while !ready() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It is gone either way.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The process that the others of the server hang on.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The address of a database, with the right password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_with(PASSWORD, database)
    }

    /// The address of a database, with some password.
    #[must_use]
    pub fn url_with(&self, password: &str, database: &str) -> String {
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// What a statement gives, a line for each row, its values between `|`; empty when it cannot be had.
    #[must_use]
    pub fn query(&self, database: &str, statement: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "-At", "-d", &self.url(database), "-c", statement]).stdout(Stdio::piped());
        let output = psql.stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

//! A Redis of one's own: for the tests of the cache, and for whole processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set where a missing Redis is a failure, not a reason to skip.
pub const REQUIRED: &str = "CI_DASHBOARD_REQUIRE_REDIS";

/// Its user and password where they are asked for.
pub const USER: &str = "dashboard";
/// See [`USER`].
pub const PASSWORD: &str = "r!ght/p@ss";

/// What it is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// TLS with a certificate of its own, and nobody without user and password, who may touch `ci-dashboard:*` alone.
    pub guarded: bool,
    /// `maxmemory`, without eviction.
    pub max_memory: Option<&'static str>,
}

/// A server on a free port, gone with the value.
#[derive(Debug)]
pub struct Server {
    folder: tempfile::TempDir,
    options: Options,
    port: u16,
    process: Option<Child>,
}

fn is_installed() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok()
}

impl Server {
    /// Starts one. `None` where Redis is not installed and need not be.
    #[must_use]
    pub fn start(options: Options) -> Option<Self> {
        if !is_installed() {
            assert!(std::env::var_os(REQUIRED).is_none(), "Redis is not installed, and {REQUIRED} is set");
            // A test that is skipped says so.
            let _ = writeln!(std::io::stderr(), "skipped: Redis is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if options.guarded {
            certify(folder.path());
            let rules = [
                "user default off".to_owned(),
                format!("user {USER} on >{PASSWORD} ~ci-dashboard:* -@all {RIGHTS}"),
                // For whoever looks at it from a test.
                format!("user root on >{PASSWORD} ~* +@all"),
            ];
            std::fs::write(folder.path().join("users.acl"), rules.join("\n") + "\n").unwrap();
        }
        let mut server = Self { folder, options, port, process: None };
        server.resume();
        Some(server)
    }

    /// Starts it, for the first time or again (empty: it writes nothing to the disk), and waits until it answers.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new("redis-server");
        command.current_dir(self.folder.path()).args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let port = self.port.to_string();
        if self.options.guarded {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.args([
                "--tls-cert-file",
                "cert.pem",
                "--tls-key-file",
                "key.pem",
                "--tls-ca-cert-file",
                "ca.pem",
            ]);
            command.args(["--aclfile", "users.acl"]);
        } else {
            command.args(["--port", &port]);
        }
        if let Some(most) = self.options.max_memory {
            command.args(["--maxmemory", most, "--maxmemory-policy", "noeviction"]);
        }
        let process = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit()).spawn().unwrap();
        self.process = Some(process);
        // Generous: the machine may be busy.
        let end = Instant::now() + Duration::from_secs(30);
        while !self.cli(0, &["PING"]).contains("PONG") {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "Redis does not start: {}", log());
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

    /// Stops it in its tracks, or lets it go on: it takes connections, and says nothing.
    pub fn freeze(&self, frozen: bool) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = self.process.as_ref().map(Pid::from_child);
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(pid.unwrap(), signal).unwrap();
    }

    /// What it answers to a command in a database, as `redis-cli` prints it: one line for each value.
    pub fn cli(&self, database: u8, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.current_dir(self.folder.path());
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-n", &database.to_string(), "--no-raw"]);
        if self.options.guarded {
            cli.args([
                "--tls",
                "--cacert",
                "ca.pem",
                "--user",
                "root",
                "--pass",
                PASSWORD,
                "--no-auth-warning",
            ]);
        }
        let output = cli.args(command).stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its address with everything that is needed to get in.
    #[must_use]
    pub fn url(&self, database: u8) -> String {
        self.url_with(PASSWORD, database)
    }

    /// Its address, with some password.
    #[must_use]
    pub fn url_with(&self, password: &str, database: u8) -> String {
        if self.options.guarded {
            let password: String = password.bytes().map(|b| format!("%{b:02X}")).collect();
            format!("rediss://{USER}:{password}@localhost:{}/{database}", self.port)
        } else {
            format!("redis://127.0.0.1:{}/{database}", self.port)
        }
    }

    /// The certificate that vouches for it.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// What the documents say that a user needs.
pub const RIGHTS: &str =
    "+hset +hdel +hget +hkeys +hscan +pexpire +zadd +zrem +xadd +del +multi +exec +info +ping +select";

fn certify(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut ca = CertificateParams::default();
    // Whoever bears the name of his issuer passes for self-signed.
    ca.distinguished_name.push(rcgen::DnType::CommonName, "the tests' authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    for (name, text) in [("ca.pem", ca.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

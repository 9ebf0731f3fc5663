//! Starts binaries, asks them over HTTP, and waits for what must become true.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime};

use forge_sim::Sim;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than anything takes; only a hang gets there.
pub(crate) const LONG: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);
/// Longer than the web daemon may keep anybody waiting.
const ANSWER: Duration = Duration::from_secs(20);

/// Waits until `look` gives something; says what it last said when that takes too long.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + LONG;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if Instant::now() > end => panic!("not within {LONG:?}: {what}; last: {why}"),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// A port that nobody listens on. Below those that the system gives to connections, so that none of these takes it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 18_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(u32::from(FIRST) + std::process::id() * 17 % u32::from(COUNT)).unwrap();
    loop {
        let port = FIRST + (start - FIRST + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The binary of that name: beside the one that cargo built for this test; built first where it is missing or older than
/// what it is made of (cargo builds the binaries of one package only).
fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let own = Path::new(env!("CARGO_BIN_EXE_ci-dashboard"));
    let folder = own.parent().unwrap();
    let path = folder.join(name);
    if path != own && !is_current(&path) {
        BUILT.get_or_init(|| {
            let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
            build.args([
                "build",
                "--quiet",
                "--locked",
                "-p",
                "aggregator",
                "-p",
                "web",
                "--bins",
                "--manifest-path",
            ]);
            build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
            build.arg("--target-dir").arg(folder.parent().unwrap());
            if folder.ends_with("release") {
                build.arg("--release");
            }
            if cfg!(feature = "otel") {
                build.args(["--features", "otel"]);
            }
            assert!(build.status().unwrap().success(), "the daemons do not build");
        });
    }
    path
}

/// Whether a binary is newer than every file of ours that it is made of, as cargo lists them beside it.
fn is_current(binary: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let Some(built) = changed(binary) else { return false };
    let Ok(list) = std::fs::read_to_string(binary.with_extension("d")) else { return false };
    let files = list.split_once(": ").map_or("", |(_, files)| files).trim();
    let newest = files.split(' ').filter_map(|f| changed(Path::new(f))).max();
    newest.unwrap_or(SystemTime::UNIX_EPOCH) <= built
}

/// A folder of its own for each test, in which everything runs.
#[derive(Debug)]
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Paths of sockets are short: /tmp, whatever TMPDIR says.
        Self { dir: tempfile::Builder::new().prefix("cid").tempdir_in("/tmp").unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A configuration file.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let path = self.path("config.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command that sees nothing of this machine's settings or of anybody's tokens.
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(binary(name));
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("HOME", self.dir.path()).env("XDG_RUNTIME_DIR", self.dir.path());
        command.env("RUNTIME_DIRECTORY", self.dir.path());
        command.env("XDG_CONFIG_HOME", self.path("none")).env("LOG_LEVEL", "info");
        command
    }

    /// Starts a binary; its output goes to files.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Running {
        self.start_with_env(name, args, &[])
    }

    /// The same with further variables.
    pub(crate) fn start_with_env(&self, name: &str, args: &[&str], env: &[(&str, &str)]) -> Running {
        let mut command = self.command(name, args);
        command.stdin(Stdio::null()).envs(env.iter().copied());
        self.spawn(name, command)
    }

    /// Starts a program of somebody else's.
    pub(crate) fn start_other(&self, program: &str, args: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        self.spawn(program, command)
    }

    /// Starts a binary with a listening socket, as systemd passes one: as its file descriptor 3, with the variables that
    /// say so. A shell does the last step, since only there the process id is known.
    pub(crate) fn start_with_socket(&self, name: &str, args: &[&str], socket: BorrowedFd<'_>) -> Running {
        let daemon = self.command(name, args);
        let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).arg(daemon.get_program()).args(daemon.get_args());
        command.env_clear().envs(daemon.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.current_dir(self.dir.path()).stdin(socket.try_clone_to_owned().unwrap());
        self.spawn(name, command)
    }

    fn spawn(&self, name: &str, mut command: Command) -> Running {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let stem = self.path(&format!("{name}.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let (out, err) = (stem.with_added_extension("out"), stem.with_added_extension("err"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Running { child: command.spawn().unwrap(), name: name.to_owned(), out, err }
    }

    /// The same with this on its standard input.
    pub(crate) fn run_with(&self, name: &str, args: &[&str], input: &str) -> Ended {
        let piped = Stdio::piped;
        let mut command = self.command(name, args);
        let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        // It may not read all of it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a binary that ends by itself.
    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Ended {
        let mut running = self.start(name, args);
        let status = running.wait();
        Ended { code: status.code(), out: running.stdout(), err: running.stderr() }
    }
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A started binary; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What pulling the plug is to a process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually(&format!("{} ends", self.name), || {
            self.child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        })
    }

    /// Asks it to stop; gives its exit code.
    pub(crate) fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.wait().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (out, err) = (self.stdout(), self.stderr());
            eprintln!("--- {} said:\n{out}{err}---", self.name);
        }
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(all: &str) -> Option<Self> {
        let (head, body) = all.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A server on loopback, asked without any library's cleverness: one request, one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Web {
    pub(crate) port: u16,
}

impl Web {
    pub(crate) fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn send(self, target: &str, headers: &[(&str, &str)]) -> std::io::Result<BufReader<TcpStream>> {
        let head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        // HTTP/1.0: the body ends with the connection.
        write!(stream, "GET {target} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n{head}\r\n", self.port)?;
        Ok(BufReader::new(stream))
    }

    pub(crate) fn get(self, target: &str) -> Result<Answer, String> {
        self.get_with(target, &[])
    }

    pub(crate) fn get_with(self, target: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let answer = || -> std::io::Result<String> {
            let mut all = Vec::new();
            self.send(target, headers)?.read_to_end(&mut all)?;
            Ok(String::from_utf8_lossy(&all).into_owned())
        };
        let all = answer().map_err(|e| format!("GET {target}: {e}"))?;
        Answer::parse(&all).ok_or_else(|| format!("GET {target}: cut: {all}"))
    }

    /// Sends a body, with further lines of the head.
    pub(crate) fn post(self, target: &str, head: &str, body: &str) -> Result<Answer, String> {
        let send = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(ANSWER))?;
            let length = body.len();
            write!(stream, "POST {target} HTTP/1.0\r\nContent-Length: {length}\r\n{head}\r\n{body}")?;
            let mut all = String::new();
            stream.read_to_string(&mut all)?;
            Ok(all)
        };
        Answer::parse(&send().map_err(|e| format!("POST {target}: {e}"))?)
            .ok_or_else(|| format!("POST {target}: cut"))
    }

    /// The answer's body, if it is 200.
    pub(crate) fn ok(self, target: &str) -> Result<Answer, String> {
        let answer = self.get(target)?;
        if answer.status == 200 { Ok(answer) } else { Err(format!("GET {target}: {}", answer.status)) }
    }

    /// All items of a list, page by page.
    pub(crate) fn items(self, target: &str) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        for page in 1.. {
            let sep = if target.contains('?') { '&' } else { '?' };
            let answer = self.ok(&format!("{target}{sep}per_page=100&page={page}"))?.json();
            let rows = answer["items"].as_array().ok_or("no items")?;
            items.extend(rows.iter().cloned());
            let total = answer["total"].as_u64().ok_or("no total")?;
            if rows.is_empty() || items.len() as u64 >= total {
                break;
            }
        }
        Ok(items)
    }

    /// What `/api/health` says of the link to the aggregator.
    pub(crate) fn link(self) -> Result<String, String> {
        let health = self.ok("/api/health")?.json();
        Ok(health["aggregator"]["state"].as_str().unwrap_or_default().to_owned())
    }

    /// Until the aggregator is there and the first page can be answered.
    #[track_caller]
    pub(crate) fn until_connected(self) {
        eventually("the web daemon is connected and ready", || {
            self.ok("/api/ready")?;
            match self.link()?.as_str() {
                "connected" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
    }

    /// The live events as they come.
    pub(crate) fn events(self) -> Result<Events, String> {
        self.events_after("")
    }

    /// The live events, for a client that comes back and knows the event `last`.
    pub(crate) fn events_after(self, last: &str) -> Result<Events, String> {
        let head: &[(&str, &str)] = if last.is_empty() { &[] } else { &[("Last-Event-ID", last)] };
        let stream = self.send("/api/v1/events/stream", head).map_err(|e| e.to_string())?;
        Ok(Events { stream })
    }
}

/// Server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Iterator for Events {
    type Item = Event;

    /// The next event; `None` when the server has ended the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            let n = self.stream.read_line(&mut line).expect("an event or the end in time");
            let line = line.trim_end();
            match line.split_once(": ") {
                _ if n == 0 => return None,
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap_or(Value::Null),
                _ if line.is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}

/// A simulation in this process, behind real sockets.
#[derive(Debug)]
pub(crate) struct Forge {
    pub(crate) sim: Sim,
    _runtime: tokio::runtime::Runtime,
}

impl Forge {
    pub(crate) fn start(projects: usize) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let limits = forge_sim::Limits {
            github_hourly: Some(1_000_000),
            gitlab_per_minute: Some(1_000_000),
            ..forge_sim::Limits::default()
        };
        let builder = Sim::builder().faces([forge_sim::gitlab::FACE, forge_sim::github::FACE]);
        let builder = builder.projects(projects).seed(11).limits(limits);
        let sim = runtime.block_on(builder.start()).unwrap();
        Self { sim, _runtime: runtime }
    }

    /// Settings with both platforms as sources `gl` and `gh`, read every second.
    pub(crate) fn config(&self) -> String {
        format!(
            "database: {{ url: none }}\n\
             cache: {{ refresh_interval: 1s, ttl: 1s }}\n\
             gitlab: [ {{ name: gl, url: \"{}\", token: {token} }} ]\n\
             github: [ {{ name: gh, url: \"{}\", token: {token} }} ]\n",
            self.sim.gitlab_url(),
            self.sim.github_url(),
            token = self.sim.token()
        )
    }
}

//! The program as a person starts it: flags, exit codes, signals.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ci-dashboard-web"));
    command.env_clear().env("HOME", dir).env("LOG_FORMAT", "json").current_dir(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = program(dir.path()).args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it and waits for the line that says where it listens.
fn start(dir: &Path) -> (Running, BufReader<ChildStderr>, String) {
    let socket = dir.join("none.sock");
    let mut child = Running(program(dir).arg("--port=0").arg("--aggregator").arg(&socket).spawn().unwrap());
    let mut log = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
    }
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = line["message"].as_str().unwrap().strip_prefix("listening on http://").unwrap();
    let address = address.strip_suffix('/').unwrap().to_owned();
    (child, log, address)
}

#[test]
fn it_tells_its_version_and_its_usage() {
    let (code, version, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(version.contains(web::VERSION) && version.contains(web::COMMIT), "{version}");
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for said in ["--config", "--aggregator", "--host", "--port", "unix:/path", "Exit codes"] {
        assert!(help.contains(said), "{said}");
    }
}

#[test]
fn bad_usage_and_bad_configuration_exit_with_2() {
    assert_eq!(run(&["--nonsense"]).0, Some(2));
    assert_eq!(run(&["--port", "70000"]).0, Some(2));
    let (code, _, says) = run(&["--config", "/nonexistent.yaml"]);
    assert_eq!(code, Some(2), "{says}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.yaml"), "server: { prt: 1 }\nui: { refresh_interval: soon }\n")
        .unwrap();
    let output = program(dir.path()).output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(says.contains("server.prt") && says.contains("ui.refresh_interval"), "{says}");
}

#[test]
fn a_port_in_use_is_one_line_and_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = program(dir.path()).env("LOG_LEVEL", "error").args(["--port", &port]).output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(says.lines().count(), 1, "{says}");
    assert!(says.contains(&port) && says.contains("already in use"), "{says}");
}

#[test]
fn it_answers_without_an_aggregator_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, _log, address) = start(dir.path());
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut answer = String::new();
    ask("/api/health").read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connecting"), "{answer}");
    // A live page is open: it is told, and does not hold the process up.
    let mut events = BufReader::new(ask("/api/v1/events/stream"));
    let mut line = String::new();
    while !line.contains("event: link") {
        line.clear();
        assert_ne!(events.read_line(&mut line).unwrap(), 0);
    }
    let stopped = Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: bye"), "{rest}");
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

/// A process that takes its port over, and so has not started yet when the one that had it is asked.
#[test]
fn a_start_is_not_killed_by_a_reload_and_ends_when_asked() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (signal, code) in [("-HUP", 1), ("-TERM", 0)] {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join(format!("web-{}-{}.control", address.ip(), address.port()));
        let control = UnixListener::bind(control).unwrap();
        let mut command = program(dir.path());
        command.env("RUNTIME_DIRECTORY", dir.path()).args(["--port", &address.port().to_string()]);
        let mut child = Running(command.stdin(Stdio::null()).spawn().unwrap());
        let (mut asked, _) = control.accept().unwrap();
        let sent = Command::new("kill").args([signal, &child.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        if signal == "-HUP" {
            // No web daemon of ours: it cannot start, and says so by itself.
            asked.write_all(b"220 mail.example.com\r\n").unwrap();
        }
        assert_eq!(child.0.wait().unwrap().code(), Some(code), "{signal}");
    }
}

/// Reads the log until a line of it is what is looked for.
fn line_of(
    log: &mut BufReader<ChildStderr>,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
        let line = serde_json::from_str(&line).unwrap();
        if wanted(&line) {
            return line;
        }
    }
}

#[test]
fn the_access_log_names_user_client_and_request_and_nothing_secret() {
    let dir = tempfile::tempdir().unwrap();
    let token = web::create_token("nightly", None).unwrap();
    std::fs::write(dir.path().join("tokens"), &token.line).unwrap();
    std::fs::write(dir.path().join("users"), "").unwrap();
    let settings = "auth: { mode: basic, users_file: users, tokens_file: tokens }\n";
    std::fs::write(dir.path().join("config.yaml"), settings).unwrap();
    let (_child, mut log, address) = start(dir.path());
    let ask = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n{header}connection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let shown = format!("authorization: Bearer {}\r\n", token.token);
    let answer = ask("/api/v1/session?q=canary", &shown);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    let line = line_of(&mut log, |line| line["target"] == "access");
    assert_eq!(line["user"], "token:nightly");
    assert_eq!(
        (&line["method"], &line["path"], &line["status"]),
        (&"GET".into(), &"/api/v1/session".into(), &200.into())
    );
    assert_eq!((&line["client"], &line["request_id"]), (&"127.0.0.1".into(), &id.into()));
    let text = line.to_string();
    assert!(!text.contains("canary") && !text.contains(&token.token), "{text}");
    // Nobody: no name.
    ask("/api/v1/session", "");
    let line = line_of(&mut log, |line| line["target"] == "access");
    assert_eq!((&line["status"], line.get("user")), (&401.into(), None));
}

#[test]
fn files_that_let_people_in_are_checked_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let started_with = |settings: &str| {
        std::fs::write(dir.path().join("config.yaml"), settings).unwrap();
        let output = program(dir.path()).args(["--port", "0"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings}");
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(dir.path().join("users"), "ada:$argon2id$canary\n").unwrap();
    std::fs::write(dir.path().join("good"), "").unwrap();
    std::fs::write(dir.path().join("key"), "canary\n").unwrap();
    for (settings, says) in [
        ("auth: { mode: basic, users_file: none }", "auth.users_file: cannot read"),
        ("auth: { mode: basic, users_file: users }", "users: line 1: the hash is damaged"),
        (
            "auth: { mode: basic, users_file: good, session_key_file: key }",
            "key: line 1: a key has 32 characters",
        ),
        ("auth: { mode: basic, users_file: good, tokens_file: users }", "auth.tokens_file"),
        ("server: { tls: { cert: good, key: key } }", "server.tls"),
        ("auth: { mode: proxy }", "server.trusted_proxies"),
    ] {
        let told = started_with(settings);
        assert!(told.contains(says) && !told.contains("canary"), "{settings}: {told}");
    }
}

#[test]
fn who_opens_it_to_the_world_is_warned_until_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let warned = |settings: &str| {
        std::fs::write(dir.path().join("config.yaml"), settings).unwrap();
        let socket = dir.path().join("none.sock");
        let mut command = program(dir.path());
        command.args(["--port=0", "--host=0.0.0.0", "--aggregator"]).arg(socket);
        let mut child = Running(command.spawn().unwrap());
        let mut log = BufReader::new(child.0.stderr.take().unwrap());
        let (mut all, mut line) = (String::new(), String::new());
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
            all.push_str(&line);
        }
        all.lines()
            .any(|l| l.contains("WARN") && l.contains("without signing in") && l.contains("allow_anonymous"))
    };
    assert!(warned(""));
    assert!(!warned("auth: { allow_anonymous: true }"));
}

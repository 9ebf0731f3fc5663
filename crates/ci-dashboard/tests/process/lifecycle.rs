//! From start to stop, as a service manager and as an operator see it.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::kit::{LONG, Place, eventually};
use crate::two_daemons::{AGGREGATOR, House, WEB};

/// A service manager, as far as it listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(place: &Place) -> Self {
        let path = place.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Self { socket, path }
    }

    /// What a daemon is started with.
    fn env(&self) -> [(&'static str, &str); 2] {
        [("NOTIFY_SOCKET", self.path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")]
    }

    /// The next message that is `of` the wanted kind; those between are of the watchdog.
    #[track_caller]
    fn hears(&self, of: &str) -> String {
        loop {
            let mut text = [0; 512];
            let n = self.socket.recv(&mut text).expect(of);
            let text = String::from_utf8(text[..n].to_vec()).unwrap();
            if text.lines().any(|line| line == of) {
                return text;
            }
            assert!(text == "WATCHDOG=1", "waiting for {of}, heard {text}");
        }
    }
}

#[test]
fn the_service_manager_is_told_of_every_phase() {
    let house = House::new(2);
    let manager = Manager::new(&house.place);
    let (address, port) = (house.address(), house.web.port.to_string());
    let aggregator = ["--config", &house.config, "--listen", &address];
    let web = ["--config", &house.config, "--aggregator", &address, "--port", &port];
    for (name, args) in [(AGGREGATOR, &aggregator[..]), (WEB, &web)] {
        let mut daemon = house.place.start_with_env(name, args, &manager.env());
        manager.hears("READY=1");
        if name == WEB {
            assert_eq!(house.web.get("/api/health").unwrap().status, 200, "ready means that it answers");
        } else {
            assert!(house.socket.exists(), "ready means that it listens");
        }
        manager.hears("WATCHDOG=1");
        daemon.signal(Signal::HUP);
        assert!(manager.hears("RELOADING=1").contains("MONOTONIC_USEC="));
        manager.hears("READY=1");
        assert_eq!(daemon.stop(Signal::TERM), Some(0), "{name}");
        manager.hears("STOPPING=1");
    }
}

#[test]
fn a_new_configuration_is_taken_at_sighup_and_one_with_mistakes_is_refused() {
    let house = House::new(2);
    let _aggregator = house.start_aggregator();
    let web = house.start_web();
    house.web.until_connected();
    let title = |what: &str| {
        eventually(what, || {
            let page = house.web.ok("/")?;
            page.body.contains(what).then_some(()).ok_or_else(|| "the old one".to_owned())
        });
    };
    title("CI/CD Dashboard");
    let mut following = house.web.events().unwrap();
    assert!(following.next().is_some());
    let with_title = |title: &str| format!("{}ui: {{ title: {title} }}\n", house.forge.config());
    house.place.config(&with_title("Harbour"));
    web.signal(Signal::HUP);
    title("Harbour");
    assert!(following.any(|e| e.name == "bye"), "who follows is told to come back");

    house.place.config("ui: { titel: Wrong }\n");
    web.signal(Signal::HUP);
    eventually("the mistake is in the log", || {
        let log = web.stderr();
        (log.contains("titel") && log.contains("refused")).then_some(()).ok_or(log)
    });
    title("Harbour");
    // And the next good one is taken again.
    house.place.config(&with_title("Lighthouse"));
    web.signal(Signal::HUP);
    title("Lighthouse");
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let house = House::new(2);
    let manager = Manager::new(&house.place);
    let (address, port) = (house.address(), house.web.port.to_string());
    let args = ["--config", &house.config, "--aggregator", &address, "--port", &port];
    let mut web = house.place.start_with_env(WEB, &args, &manager.env());
    manager.hears("READY=1");
    // A delivery whose body does not come.
    let mut delivery = TcpStream::connect(("127.0.0.1", house.web.port)).unwrap();
    write!(delivery, "POST /webhooks/gl HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").unwrap();
    house.web.ok("/api/health").unwrap();
    web.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(web.stop(Signal::TERM), Some(1), "something was cut off, and the exit code says so");
}

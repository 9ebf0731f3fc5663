//! What the service manager is told: systemd's notification protocol (`sd_notify(3)`), where there is one.

use std::env;
use std::fmt::Write as _;
use std::time::Duration;

/// How often the watchdog is fed within the time that it allows.
const FEEDS: u32 = 3;

/// The service manager. Does nothing where none listens.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    #[cfg(unix)]
    to: Option<unix::Socket>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub(crate) fn from_env() -> Self {
        let number = |name: &str| env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros);
        Self {
            #[cfg(unix)]
            to: env::var_os("NOTIFY_SOCKET").and_then(|address| unix::Socket::open(&address)),
            watchdog,
        }
    }

    /// How often [`Self::alive`] is to be said; `None`: nobody waits for it.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / FEEDS)
    }

    /// It serves, or does so again after [`Self::reloading`].
    pub(crate) fn ready(&self) {
        self.send("READY=1\nSTATUS=Serving");
    }

    /// It reads its configuration again.
    pub(crate) fn reloading(&self) {
        let mut state = "RELOADING=1\nSTATUS=Reading the configuration".to_owned();
        #[cfg(unix)]
        {
            // Type=notify-reload tells by it which request this answers. Writing to a string does not fail.
            let _ = write!(state, "\nMONOTONIC_USEC={}", unix::monotonic_micros());
        }
        self.send(&state);
    }

    /// It was asked to stop and finishes what is in flight.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Finishing what is in flight");
    }

    /// It is alive.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    #[cfg(unix)]
    fn send(&self, state: &str) {
        if let Some(Err(error)) = self.to.as_ref().map(|to| to.send(state)) {
            tracing::warn!(%error, "the service manager could not be told {state:?}");
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _state: &str) {}
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// Where the service manager listens.
    #[derive(Debug)]
    pub(super) struct Socket {
        from: UnixDatagram,
        to: SocketAddr,
    }

    impl Socket {
        pub(super) fn open(address: &OsStr) -> Option<Self> {
            let opened = address_of(address).and_then(|to| Ok(Self { from: UnixDatagram::unbound()?, to }));
            match opened {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::warn!(%error, ?address, "NOTIFY_SOCKET is of no use");
                    None
                }
            }
        }

        pub(super) fn send(&self, state: &str) -> io::Result<()> {
            self.from.send_to_addr(state.as_bytes(), &self.to).map(|_| ())
        }
    }

    /// A path, or `@` and a name without a file.
    fn address_of(text: &OsStr) -> io::Result<SocketAddr> {
        #[cfg(target_os = "linux")]
        if let Some(name) = text.as_encoded_bytes().strip_prefix(b"@") {
            use std::os::linux::net::SocketAddrExt as _;
            return SocketAddr::from_abstract_name(name);
        }
        SocketAddr::from_pathname(text)
    }

    /// Microseconds of the clock that systemd compares with.
    pub(super) fn monotonic_micros() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A notifier and what it says, message by message.
    fn heard(say: impl FnOnce(&Notifier)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier = Notifier { to: unix::Socket::open(path.as_os_str()), watchdog: None };
        say(&notifier);
        let mut buffer = [0; 256];
        let mut messages = Vec::new();
        while let Ok(n) = manager.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        messages
    }

    #[test]
    fn every_phase_is_told() {
        let before = unix::monotonic_micros();
        let messages = heard(|n| {
            n.ready();
            n.reloading();
            n.alive();
            n.stopping();
        });
        let first: Vec<_> = messages.iter().map(|m| m.lines().next().unwrap()).collect();
        assert_eq!(first, ["READY=1", "RELOADING=1", "WATCHDOG=1", "STOPPING=1"]);
        let stamp = messages[1].lines().find_map(|l| l.strip_prefix("MONOTONIC_USEC=")).unwrap();
        assert!(stamp.parse::<i64>().unwrap() >= before);
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_nothing_fails() {
        let notifier = Notifier::default();
        notifier.ready();
        notifier.stopping();
        assert_eq!(notifier.heartbeat(), None);
    }

    #[test]
    fn the_watchdog_is_fed_well_within_its_time() {
        let notifier = Notifier { watchdog: Some(Duration::from_secs(30)), ..Notifier::default() };
        assert_eq!(notifier.heartbeat(), Some(Duration::from_secs(10)));
    }
}

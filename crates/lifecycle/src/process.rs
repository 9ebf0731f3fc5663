//! What the operating system knows of this process, by the names that every Prometheus client library has for it. Only
//! Linux tells; elsewhere nothing is said.

/// Clock ticks in a second: 100 on every Linux of today, whatever the kernel's own rate is (`man 7 time`).
const TICKS: f64 = 100.0;
/// Bytes of a page where nothing else is said.
const PAGE_BYTES: u64 = 4096;

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its name, with its unit; that of a counter ends with `_total`.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// What it is now.
    pub value: f64,
}

impl Figure {
    /// Whether it only ever rises.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }
}

/// The figures of this moment.
#[must_use]
pub fn figures() -> Vec<Figure> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let stat = read("/proc/self/stat").as_deref().and_then(Stat::parse);
    let booted = read("/proc/stat").as_deref().and_then(booted_at);
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    let all = [
        (
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds",
            stat.map(|s| s.cpu / TICKS),
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            stat.map(|s| s.resident_pages * page_bytes() as f64),
        ),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes", stat.map(|s| s.virtual_bytes)),
        ("process_threads", "Number of threads", stat.map(|s| s.threads)),
        (
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds",
            stat.zip(booted).map(|(s, booted)| booted + s.started / TICKS),
        ),
        ("process_open_fds", "Number of open file descriptors", open),
        (
            "process_max_fds",
            "Maximum number of open file descriptors",
            read("/proc/self/limits").as_deref().and_then(max_open),
        ),
    ];
    all.into_iter().filter_map(|(name, help, value)| Some(Figure { name, help, value: value? })).collect()
}

/// The fields of `/proc/self/stat` that are told (`man 5 proc_pid_stat`).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    /// Ticks, of the process and of the kernel for it.
    cpu: f64,
    threads: f64,
    /// Ticks after the boot.
    started: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program, in brackets, may hold anything; what follows is field 3 and on.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Seconds since 1970 at which the machine was booted.
fn booted_at(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_open(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The kernel tells it to every process, as bytes of pairs of words, of which the one with key 6 (`AT_PAGESZ`) is it.
fn page_bytes() -> u64 {
    const AT_PAGESZ: u64 = 6;
    let pairs = std::fs::read("/proc/self/auxv").unwrap_or_default();
    let words = pairs.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_ne_bytes));
    let words: Vec<u64> = words.collect();
    let found = words.chunks_exact(2).find(|pair| pair.first() == Some(&AT_PAGESZ));
    found.and_then(|pair| pair.get(1).copied()).filter(|bytes| bytes.is_power_of_two()).unwrap_or(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 7 0 1000 8192000 250 18446744073709551615";
        assert_eq!(
            Stat::parse(stat),
            Some(Stat {
                cpu: 200.0,
                threads: 7.0,
                started: 1000.0,
                virtual_bytes: 8_192_000.0,
                resident_pages: 250.0
            })
        );
        assert_eq!(Stat::parse("42 (x"), None);
        assert_eq!(Stat::parse("42 (x) S 1"), None);
        assert_eq!(booted_at("cpu 1 2\nbtime 1764000000\nctxt 3\n"), Some(1_764_000_000.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(max_open(limits), Some(1024.0));
        assert_eq!(max_open("Max open files unlimited unlimited files"), None);
    }
}

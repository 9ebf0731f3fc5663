//! What the operating system knows of this process.

use super::text::{Kind, Text};

pub(super) fn write(out: &mut Text) {
    for figure in lifecycle::process::figures() {
        let kind = if figure.is_counter() { Kind::Counter } else { Kind::Gauge };
        out.one(figure.name, kind, figure.help, figure.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_told_of() {
        let mut text = Text::default();
        write(&mut text);
        let text = text.finish();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
            line.rsplit(' ').next().and_then(|v| v.parse().ok()).expect(line)
        };
        assert!(value("process_resident_memory_bytes") > 500_000.0, "{text}");
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_start_time_seconds") > 1.5e9 && value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}

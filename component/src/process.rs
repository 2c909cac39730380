//! The numbers of this process that every component shows: since when it runs, what it uses, which build it is.
//!
//! Upstream: prometheus/client_golang's process collector, component-base/metrics/version.go
//! Left out: network traffic; what Go's runtime says of itself.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::version;

/// The memory of a process that is in RAM.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    resident(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Ticks of the kernel's clock in a second, as /proc counts them: the same on every Linux that we run on.
const TICKS: f64 = 100.0;

/// Has `registry` show this process.
pub fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

/// Reads /proc when it is asked.
#[derive(Debug)]
struct Process;

/// What /proc says, in seconds, bytes and pieces.
#[derive(Debug, PartialEq)]
struct Usage {
    cpu: f64,
    started: f64,
    virtual_memory: f64,
    resident_memory: f64,
    open_files: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        build(&mut encoder)?;
        let Some(usage) = usage() else { return Ok(()) };
        let help = "Processor time used";
        let counter = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(usage.cpu).encode(counter)?;
        for (name, help, value) in [
            ("process_start_time_seconds", "When the process began, since 1970", usage.started),
            ("process_virtual_memory_bytes", "Memory reserved", usage.virtual_memory),
            ("process_resident_memory_bytes", "Memory used", usage.resident_memory),
            ("process_open_fds", "Open files", usage.open_files),
        ] {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

fn build(encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let info = version::info();
    let labels = [
        ("build_date", info.build_date),
        ("compiler", info.compiler),
        ("git_commit", info.git_commit),
        ("git_tree_state", info.git_tree_state),
        ("git_version", info.git_version),
        ("go_version", info.go_version),
        ("major", info.major),
        ("minor", info.minor),
        ("platform", info.platform.as_str()),
    ];
    let help = "Always 1; the labels say which build this is";
    let mut gauge = encoder.encode_descriptor("kubernetes_build_info", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_i64).encode(gauge.encode_family(&labels)?)
}

/// None where there is no /proc.
fn usage() -> Option<Usage> {
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count();
    let [stat, status, system] =
        ["/proc/self/stat", "/proc/self/status", "/proc/stat"].map(|path| fs::read_to_string(path).ok());
    parse(&stat?, &status?, &system?, open_files)
}

fn parse(stat: &str, status: &str, system: &str, open_files: usize) -> Option<Usage> {
    // The program's name, in parentheses, may hold spaces; what follows it begins with field 3.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Usage {
        cpu: (field(14)? + field(15)?) / TICKS,
        started: number(system, "btime ")? as f64 + field(22)? / TICKS,
        virtual_memory: field(23)?,
        resident_memory: resident(status)? as f64,
        open_files: open_files as f64,
    })
}

/// What the `status` of a process says, in bytes.
fn resident(status: &str) -> Option<u64> {
    number(status, "VmRSS:").map(|kilobytes| kilobytes * 1024)
}

/// The number on the line that begins with `name`.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read_by_its_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1200 4096000 99 1 2";
        let usage = parse(stat, "Name:\ta\nVmRSS:\t    2048 kB\n", "cpu 1 2\nbtime 1700000000\n", 5).unwrap();
        let expected = Usage {
            cpu: 3.0,
            started: 1_700_000_012.0,
            virtual_memory: 4_096_000.0,
            resident_memory: 2_097_152.0,
            open_files: 5.0,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn this_process_is_shown() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("git_version=\"v1.35.0"), "{text}");
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!((now - 3600.0..=now + 1.0).contains(&value("process_start_time_seconds")), "{text}");
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") >= 3.0, "{text}");
    }

    #[test]
    fn this_process_has_memory_and_process_0_has_none() {
        assert!(resident_bytes(std::process::id().cast_signed()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(resident_bytes(0), None);
    }
}

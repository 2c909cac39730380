//! What the machine under the kubelet is.
//!
//! Upstream: cadvisor's machine info, as pkg/kubelet/nodestatus uses it
//! Left out: NUMA, huge pages, disks other than the one under the root folder; other reservations than upstream's
//!   defaults for hard eviction.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// What pods don't get, as upstream by default: where it would begin to evict (`memory.available<100Mi`,
/// `nodefs.available<10%`). The share is of single precision there, and shows it in the last digits.
const RESERVED_MEMORY_BYTES: i64 = 100 << 20;
const RESERVED_DISK_SHARE: f32 = 0.1;

#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub cpus: usize,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel_version: String,
    pub os_image: String,
}

impl Machine {
    /// Looks at this machine. What it doesn't tell stays empty.
    pub fn look(root_dir: &Path) -> Self {
        let disk = rustix::fs::statvfs(root_dir).map(|disk| disk.f_blocks * disk.f_frsize).unwrap_or(0);
        let machine_id = read("/etc/machine-id");
        let uuid = read("/sys/class/dmi/id/product_uuid");
        Self {
            cpus: std::thread::available_parallelism().map_or(1, |count| count.get()),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            disk_bytes: disk.try_into().unwrap_or(i64::MAX),
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            os_image: os_image(&read("/etc/os-release")),
        }
    }

    /// The memory that pods may have.
    pub fn allocatable_memory_bytes(&self) -> i64 {
        (self.memory_bytes - RESERVED_MEMORY_BYTES).max(0)
    }

    /// The disk that pods may have.
    pub fn allocatable_disk_bytes(&self) -> i64 {
        self.disk_bytes - (self.disk_bytes as f64 * f64::from(RESERVED_DISK_SHARE)) as i64
    }
}

/// The address that this machine would use towards the world; no packet is sent. Loopback when it has no route.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect(("192.0.2.1", 9))?; // an address for documentation (RFC 5737)
        socket.local_addr()
    });
    socket.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

fn memory_bytes(meminfo: &str) -> i64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes =
        total.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.trim().parse::<i64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn os_image(os_release: &str) -> String {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_what_is_beyond_upstreams_default_reservations() {
        let machine = |memory_bytes, disk_bytes| Machine { memory_bytes, disk_bytes, ..Machine::default() };
        // Of a node of kubeadm: capacity 61255492Ki, allocatable 56453061334.
        let large = machine(8_148_144 << 10, 61_255_492 << 10);
        assert_eq!(large.allocatable_memory_bytes(), 8_045_744 << 10);
        assert_eq!(large.allocatable_disk_bytes(), 56_453_061_334);
        assert_eq!(machine(1 << 20, 0).allocatable_memory_bytes(), 0);
    }
}

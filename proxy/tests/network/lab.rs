//! A node, its pods and a machine outside, each a network namespace of its own, with real rules and real connections.
//!
//! Nothing here touches the machine's own network. Everything goes with the [`Lab`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the answers of a test's own servers wait for at most; a test that needs it fails.
const PATIENCE: Duration = Duration::from_secs(3);
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
pub const OUTSIDE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 100);

/// The namespaces of one test. The node is `node()`.
pub struct Lab {
    prefix: String,
    namespaces: Vec<String>,
}

impl Lab {
    /// A node at 192.168.77.1, with a machine outside at 192.168.77.100.
    pub fn new() -> Lab {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("px{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut lab = Lab { prefix, namespaces: Vec::new() };
        lab.namespace("node");
        let outside = lab.namespace("out");
        let node = lab.node();
        ip(&format!("-n {node} link add eth0 type veth peer name eth0 netns {outside}"));
        ip(&format!("-n {node} addr add {NODE_IP}/24 dev eth0"));
        ip(&format!("-n {node} link set eth0 up"));
        ip(&format!("-n {outside} addr add {OUTSIDE_IP}/24 dev eth0"));
        ip(&format!("-n {outside} link set eth0 up"));
        lab
    }

    fn namespace(&mut self, name: &str) -> String {
        let full = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {full}"));
        self.namespaces.push(full.clone());
        ip(&format!("-n {full} link set lo up"));
        full
    }

    pub fn node(&self) -> String {
        format!("{}-node", self.prefix)
    }

    pub fn outside(&self) -> String {
        format!("{}-out", self.prefix)
    }

    /// A pod on the node, wired as the CNI plugin `ptp` wires it. Returns its namespace.
    pub fn pod(&mut self, address: Ipv4Addr) -> String {
        let name = format!("p{}", self.namespaces.len());
        let (pod, node) = (self.namespace(&name), self.node());
        ip(&format!("-n {node} link add {name} type veth peer name eth0 netns {pod}"));
        ip(&format!("-n {node} addr add 10.244.0.1/32 dev {name}"));
        ip(&format!("-n {node} link set {name} up"));
        ip(&format!("-n {node} route add {address}/32 dev {name}"));
        ip(&format!("-n {pod} addr add {address}/32 dev eth0"));
        ip(&format!("-n {pod} link set eth0 up"));
        ip(&format!("-n {pod} route add 10.244.0.1 dev eth0"));
        ip(&format!("-n {pod} route add default via 10.244.0.1"));
        pod
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program in a namespace, and returns what it printed.
pub fn run(namespace: &str, program: &[&str], input: &str) -> String {
    inside(namespace, || {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// Does something on a thread that is in a namespace; programs and runtimes started there are in it too.
pub fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Like [`inside`], on a runtime of one thread.
pub fn block_on<T: Send>(namespace: &str, work: impl Future<Output = T> + Send) -> T {
    inside(namespace, || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work))
}

fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace is there");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter namespaces");
}

/// A TCP and a UDP server that answer with their name and the address that they see the client at.
pub fn serve(namespace: &str, address: SocketAddrV4, name: &'static str) {
    let (tcp, udp) = inside(namespace, || (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap()));
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = tcp.accept() {
            let _ = stream.write_all(format!("{name} sees {}", peer.ip()).as_bytes());
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(format!("{name} sees {}", peer.ip()).as_bytes(), peer);
        }
    });
}

/// Connects, and returns what the server says; or how that fails.
pub fn ask(namespace: &str, address: &str) -> Result<String, io::ErrorKind> {
    let address: SocketAddr = address.parse().unwrap();
    inside(namespace, || asked(address)).map_err(|error| error.kind())
}

fn asked(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Connects `count` times, and counts the names that answer.
pub fn ask_often(namespace: &str, address: &str, count: usize) -> BTreeMap<String, usize> {
    let address: SocketAddr = address.parse().unwrap();
    let mut names = BTreeMap::new();
    inside(namespace, || {
        for _ in 0..count {
            let answer = asked(address).unwrap();
            *names.entry(answer.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
    });
    names
}

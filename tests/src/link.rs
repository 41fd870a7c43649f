//! A bad link on one machine: hosts in network namespaces, and a user-space wire between them.
//!
//! Host 0 sits behind the link; all others are beyond it, next to each other. Each host has one TUN
//! device, and one thread reads what all of them send. What crosses the link goes through a `link::pipe`
//! with a rate, a queue, a delay and losses, one for each direction; what the hosts beyond it send
//! each other arrives at once.

mod pipe;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use pipe::Pipe;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinSet,
};
use tokio_tun::Tun;

use crate::netns::{Namespace, ip};

/// Hosts of one link at most: their addresses differ in the last byte.
const HOSTS_MAX: usize = 64;
/// The largest packet that a device of Ethernet's size hands over.
const PACKET_BYTES: usize = 2048;
/// Packets that a device keeps while its thread does not run: no thread may be late for so long.
const DEVICE_QUEUE: u32 = 8192;

/// Distinguishes the links of one process.
static LINKS: AtomicU32 = AtomicU32::new(0);

/// How good or bad a link is, in each direction alike.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Bits a second, IP headers included.
    pub rate_bits: u64,
    /// From one end to the other, when the queue is empty.
    pub delay: Duration,
    /// Of a million packets so many are lost at random.
    pub lost_per_million: u32,
    /// Of a million packets so many come late by up to the delay, so that others overtake them.
    pub late_per_million: u32,
    /// Of a million packets so many come twice.
    pub doubled_per_million: u32,
    /// The largest packet.
    pub mtu: u16,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Quality {
    /// A link that loses nothing but what its queue cannot hold.
    #[must_use]
    pub const fn new(rate_bits: u64, delay: Duration) -> Self {
        Self {
            rate_bits,
            delay,
            lost_per_million: 0,
            late_per_million: 0,
            doubled_per_million: 0,
            mtu: 1500,
            seed: 1,
        }
    }

    /// What the queue before the link holds: one round trip's worth, as in a well-sized router, but
    /// at least 32 packets.
    #[must_use]
    pub fn queue_bytes(&self) -> u64 {
        let round_trip_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX) * 2;
        (self.rate_bits / 8 * round_trip_ms / 1000).max(32 * u64::from(self.mtu))
    }
}

/// What happened to the packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrived.
    pub delivered: u64,
    /// Bytes of those, IP headers included.
    pub delivered_bytes: u64,
    /// Lost at random.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
}

/// Hosts joined by a bad link; all gone when dropped.
pub struct Link {
    // Stopped before the namespaces go.
    _wires: Wires,
    hosts: Vec<Namespace>,
    up: Arc<Pipe>,
    down: Arc<Pipe>,
}

/// The threads.
struct Wires {
    stop: Arc<AtomicBool>,
    stop_reading: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Wires {
    fn spawn(&mut self, wire: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name("wire".to_owned());
        self.threads.push(thread.spawn(wire)?);
        Ok(())
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop_reading = None;
        for thread in self.threads.drain(..) {
            // A wire that panicked has failed its test already.
            let _ = thread.join();
        }
    }
}

impl Link {
    /// One host behind a link of `quality` and `beyond` hosts beyond it, or why this machine or
    /// user cannot have them.
    pub fn new(quality: &Quality, beyond: usize) -> Result<Self> {
        ensure!(
            (1..HOSTS_MAX).contains(&beyond),
            "1 to {} hosts",
            HOSTS_MAX - 1
        );
        let link = LINKS.fetch_add(1, Ordering::Relaxed);
        let reading = Builder::new_current_thread().enable_io().build()?;
        let (mut hosts, mut devices) = (Vec::new(), Vec::new());
        for host in 0..=beyond {
            let (namespace, device) = self::host(quality, link, host, &reading)?;
            hosts.push(namespace);
            devices.push(device);
        }
        let devices = Arc::new(devices);
        let up = Arc::new(Pipe::new(quality, quality.seed));
        let down = Arc::new(Pipe::new(quality, !quality.seed));
        let (stop_reading, stopped) = oneshot::channel();
        let mut wires = Wires {
            stop: Arc::default(),
            stop_reading: Some(stop_reading),
            threads: Vec::new(),
        };
        for pipe in [&up, &down] {
            let (pipe, stop) = (Arc::clone(pipe), Arc::clone(&wires.stop));
            let devices = Arc::clone(&devices);
            wires.spawn(move || pipe.run(&stop, |packet| deliver(&devices, packet)))?;
        }
        let pipes = [Arc::clone(&up), Arc::clone(&down)];
        wires.spawn(move || read_all(&reading, &devices, &pipes, stopped))?;
        Ok(Self {
            _wires: wires,
            hosts,
            up,
            down,
        })
    }

    /// The namespace of a host: 0 is behind the link.
    #[must_use]
    pub fn namespace(&self, host: usize) -> &str {
        self.hosts[host].name()
    }

    /// The IPv4 address of a host.
    #[must_use]
    pub fn address(host: usize) -> String {
        format!("10.78.0.{}", host + 1)
    }

    /// Lets all TCP connections that begin from now on use the congestion control `name`, or says
    /// that this kernel does not have it.
    pub fn congestion_control(&self, name: &str) -> Result<()> {
        for host in &self.hosts {
            host.set("net/ipv4/tcp_congestion_control", name)?;
        }
        Ok(())
    }

    /// What happened so far to packets from host 0, and to packets to it.
    #[must_use]
    pub fn counts(&self) -> [Counts; 2] {
        [self.up.counts(), self.down.counts()]
    }
}

/// A host: its namespace, and the device that is its only way out.
fn host(quality: &Quality, link: u32, host: usize, reading: &Runtime) -> Result<(Namespace, Tun)> {
    let namespace = Namespace::new(&format!("l{link}-{host}"))?;
    // At most 15 characters, unique on this machine; inside the namespace it is `eth0`.
    let name = format!("od{}-{link}-{host}", std::process::id() % 1_000_000);
    let device = {
        let _context = reading.enter();
        let built = Tun::builder().name(&name).close_on_exec().build();
        let mut devices = built.context("cannot make a TUN device")?;
        devices.pop().context("a TUN device has a queue")?
    };
    let inside = namespace.name();
    // The device stays with this process; only its other side moves.
    ip(&["link", "set", &name, "netns", inside])?;
    ip(&["-n", inside, "link", "set", &name, "name", "eth0"])?;
    let (mtu, queue) = (quality.mtu.to_string(), DEVICE_QUEUE.to_string());
    let eth0 = ["-n", inside, "link", "set", "eth0", "mtu"];
    ip(&[&eth0[..], &[&mtu, "txqueuelen", &queue, "up"]].concat())?;
    let address = format!("{}/24", Link::address(host));
    ip(&["-n", inside, "address", "add", &address, "dev", "eth0"])?;
    ip(&["-n", inside, "link", "set", "lo", "up"])?;
    Ok((namespace, device))
}

/// The host that an IPv4 packet goes to.
fn destination(packet: &[u8]) -> Option<usize> {
    let (version, to) = (packet.first()? >> 4, packet.get(16..20)?);
    match (version, to) {
        (4, [10, 78, 0, last]) => usize::from(*last).checked_sub(1),
        _ => None,
    }
}

/// Hands a packet to the host that it goes to. What no host takes is gone, as on a wire.
fn deliver(devices: &[Tun], packet: &[u8]) {
    if let Some(device) = destination(packet).and_then(|host| devices.get(host)) {
        let _ = device.try_send(packet);
    }
}

/// Moves what the hosts send to where it goes, until `stopped`.
fn read_all(
    reading: &Runtime,
    devices: &Arc<Vec<Tun>>,
    pipes: &[Arc<Pipe>; 2],
    stopped: oneshot::Receiver<()>,
) {
    reading.block_on(async {
        let mut readers = JoinSet::new();
        for host in 0..devices.len() {
            readers.spawn(read(host, Arc::clone(devices), pipes.clone()));
        }
        // The sender is dropped with the link; nothing is ever sent.
        let _ = stopped.await;
    });
}

/// Moves what one host sends.
async fn read(host: usize, devices: Arc<Vec<Tun>>, [up, down]: [Arc<Pipe>; 2]) {
    let mut packet = [0; PACKET_BYTES];
    while let Ok(length) = devices[host].recv(&mut packet).await {
        let packet = &packet[..length];
        match (host, destination(packet)) {
            (_, None) => {}
            (0, Some(_)) => up.push(packet),
            (_, Some(0)) => down.push(packet),
            (_, Some(_)) => deliver(&devices, packet),
        }
    }
}

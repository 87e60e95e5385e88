//! Features, options and configuration space (virtio 1.2, 5.3.3 and 5.3.4).

/// Feature bits.
pub(super) mod feature {
    pub const MULTIPORT: u64 = 1 << 1;
}

/// `max_nr_ports`.
pub(super) const MAX_PORTS_OFFSET: usize = 4;

/// How much memory the driver may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ports with numbers from here on are declined. Each costs two rings even when unused.
    pub max_ports: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_ports: 8 }
    }
}

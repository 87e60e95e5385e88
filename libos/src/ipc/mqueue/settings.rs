//! Limits of queues: `/proc/sys/fs/mqueue` and RLIMIT_MSGQUEUE (mq_overview(7)).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use libos_base::cred::{cap, capable};
use libos_base::limits::MSGQUEUE;
use libos_base::{Errno, Result};
use libos_fs::procfs::{More, Node, SYS_FS};

/// Priorities are below this (MQ_PRIO_MAX).
pub const PRIORITIES: u32 = 32768;
/// What not even privilege exceeds (HARD_MSGMAX, HARD_MSGSIZEMAX).
const HARD_MESSAGES: u32 = 65536;
const HARD_SIZE: u32 = 16 << 20;

static QUEUES_MAX: AtomicU32 = AtomicU32::new(256);
static MSG_MAX: AtomicU32 = AtomicU32::new(10);
static MSG_DEFAULT: AtomicU32 = AtomicU32::new(10);
static MSGSIZE_MAX: AtomicU32 = AtomicU32::new(8192);
static MSGSIZE_DEFAULT: AtomicU32 = AtomicU32::new(8192);

macro_rules! setting {
    ($name:literal, $of:ident, $range:expr) => {
        (
            $name,
            Node::Setting(
                || $of.load(Relaxed).into(),
                |v| {
                    let v = u32::try_from(v).ok().filter(|v| $range.contains(v)).ok_or(Errno::EINVAL)?;
                    $of.store(v, Relaxed);
                    Ok(())
                },
            ),
        )
    };
}

static MORE: More = More::new(&[(
    "mqueue",
    Node::Dir(&[
        setting!("msg_default", MSG_DEFAULT, (1..=HARD_MESSAGES)),
        setting!("msg_max", MSG_MAX, (1..=HARD_MESSAGES)),
        setting!("msgsize_default", MSGSIZE_DEFAULT, (128..=HARD_SIZE)),
        setting!("msgsize_max", MSGSIZE_MAX, (128..=HARD_SIZE)),
        setting!("queues_max", QUEUES_MAX, (0..=i32::MAX as u32)),
    ]),
)]);

/// Shows them in `/proc`.
pub fn show() {
    MORE.add_to(&SYS_FS);
}

/// How much a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub messages: i64,
    pub size: i64,
}

impl Default for Attributes {
    fn default() -> Self {
        let least = |a: &AtomicU32, b: &AtomicU32| a.load(Relaxed).min(b.load(Relaxed)).into();
        Self { messages: least(&MSG_MAX, &MSG_DEFAULT), size: least(&MSGSIZE_MAX, &MSGSIZE_DEFAULT) }
    }
}

/// Queues, and the bytes that they count for.
static QUEUES: AtomicU32 = AtomicU32::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// A queue's share of the limits, given back when it goes.
pub struct Share(u64);

impl Share {
    /// The share of a queue with these attributes. ENOSPC: too many queues; EINVAL: beyond what is allowed; EMFILE:
    /// beyond RLIMIT_MSGQUEUE.
    pub fn take(a: Attributes) -> Result<Self> {
        let privileged = capable(cap::SYS_RESOURCE);
        let more = |n| (privileged || n < QUEUES_MAX.load(Relaxed)).then_some(n + 1);
        QUEUES.fetch_update(Relaxed, Relaxed, more).map_err(|_| Errno::ENOSPC)?;
        // From here on dropping it gives back what was counted.
        let mut share = Self(0);
        let (messages, size) =
            if privileged { (HARD_MESSAGES, HARD_SIZE) } else { (MSG_MAX.load(Relaxed), MSGSIZE_MAX.load(Relaxed)) };
        if !(1..=messages.into()).contains(&a.messages) || !(1..=size.into()).contains(&a.size) {
            return Err(Errno::EINVAL);
        }
        let bytes = counted(a.messages as u64, a.size as u64);
        let add = |sum: u64| sum.checked_add(bytes).filter(|&sum| sum <= MSGQUEUE.soft());
        BYTES.fetch_update(Relaxed, Relaxed, add).map_err(|_| Errno::EMFILE)?;
        share.0 = bytes;
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        QUEUES.fetch_sub(1, Relaxed);
        BYTES.fetch_sub(self.0, Relaxed);
    }
}

/// What RLIMIT_MSGQUEUE counts (getrlimit(2)): the messages, a header for each, and a node for each priority.
fn counted(messages: u64, size: u64) -> u64 {
    const HEADER: u64 = 48;
    const NODE: u64 = 48;
    messages * size + messages * HEADER + messages.min(PRIORITIES.into()) * NODE
}

#[cfg(test)]
#[test]
fn a_queue_counts_for_what_getrlimit_2_says() {
    // The default limit allows nine queues of 10 messages of 8192 bytes.
    assert_eq!(819_200 / counted(10, 8192), 9);
    assert_eq!(counted(65536, 1), 65536 + 65536 * 48 + 32768 * 48);
}

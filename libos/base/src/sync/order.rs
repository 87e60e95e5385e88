//! The lock order of the whole kernel.
//!
//! A thread may take a spin lock only if its rank is greater than that of every spin lock it holds. Blocking
//! [`Mutex`](super::Mutex)es come before all spin locks and have their own order:
//!
//! ```text
//! blocking:  fs namespace (rename) -> directory inode -> file inode -> page cache (writer -> storing) -> device
//!            fd table
//!            epoll instance -> epoll ready list (spin)
//!            netlink monitor -> netlink socket, net stack
//!            net stack -> (nothing blocking; copies to and from the program may fault, which takes `mm space`)
//!            mm space (VMAs)          last: every other blocking lock may be held when program memory faults
//! spin:      the ranks below, smallest first
//! ```
//! Debug builds check the spin part on every acquisition.

/// Rank of a spin lock, smallest taken first. Equal ranks must not nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// Tables of objects: fd tables, mount table, process state.
    Table = 10,
    /// Futex hash buckets.
    Futex = 20,
    /// Links between waiters that are taken off a futex bucket.
    FutexLink = 22,
    /// Signal state of the process and its threads.
    Signal = 25,
    /// Network: device queues.
    Device = 30,
    /// File data that is copied under a lock (pipes, eventfds).
    Data = 40,
    /// Epoll ready lists.
    Ready = 50,
    /// Lists of watchers.
    Pollee = 55,
    /// Wait queues.
    Wait = 60,
    /// Timers.
    Timer = 65,
    /// Run queues, thread states.
    Sched = 70,
    /// Page tables.
    PageTable = 80,
    /// Frames for page tables, and their places in the direct map and the window.
    TableFrames = 83,
    /// Heap size classes, then page frames.
    Heap = 85,
    /// Page frames.
    Frames = 90,
    /// Randomness.
    Random = 92,
    /// Console and log: may be taken under anything.
    Console = 95,
}

/// What a lock knows of its rank: nothing where the order is not checked. A lock around zeros is then all zeros, so
/// that the tables of locks lie in `.bss` and cost the image nothing.
#[cfg(all(debug_assertions, not(unibody_kernel)))]
mod check {
    use super::Rank;
    use std::cell::RefCell;
    std::thread_local! { static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) }; }

    #[derive(Clone, Copy)]
    pub struct Order(Rank);

    impl Order {
        pub const fn new(rank: Rank) -> Self {
            Self(rank)
        }
        pub fn acquire(self) {
            HELD.with_borrow_mut(|h| {
                if let Some(&top) = h.iter().max() {
                    assert!(top < self.0, "lock order: {:?} taken while {top:?} is held", self.0);
                }
                h.push(self.0);
            });
        }
        pub fn release(self) {
            HELD.with_borrow_mut(|h| {
                let i = h.iter().rposition(|&x| x == self.0).expect("released a lock that was not held");
                h.remove(i);
            });
        }
    }
}

#[cfg(not(all(debug_assertions, not(unibody_kernel))))]
mod check {
    use super::Rank;

    #[derive(Clone, Copy)]
    pub struct Order;

    impl Order {
        pub const fn new(_: Rank) -> Self {
            Self
        }
        #[inline(always)]
        pub fn acquire(self) {}
        #[inline(always)]
        pub fn release(self) {}
    }
}

pub(super) use check::Order;

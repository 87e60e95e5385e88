//! The list. While a lock is held, only those below it may be taken.

use super::{Blocking, Class, Irq, Kind, Line, Nests, Spin};

macro_rules! classes {
    ($($kind:ident $part:literal { $($name:ident $([$rule:literal])? $why:literal;)* })*) => {
        #[allow(clippy::upper_case_acronyms, non_camel_case_types, reason = "named as the constants")]
        #[repr(u8)]
        enum Place { $($($name),*),* }
        $($(
            #[doc = $why]
            pub const $name: $kind = $kind(Class(Place::$name as u8));
        )*)*
        /// All classes, outermost first.
        pub static LIST: &[Line] = &[$($(
            Line { name: stringify!($name), part: $part, kind: Kind::$kind, nests: classes!(@ $($rule)?), why: $why },
        )*)*];
    };
    (@) => { Nests::No };
    (@ $rule:literal) => { Nests::Stated($rule) };
}

classes! {
    Blocking "readiness" {
        EPOLL_NESTING "an epoll put into another: no two at a time, so that no ring is made";
        EPOLL_ITEMS ["an epoll before those that it watches, which form no ring"] "what an epoll watches; a file is asked under it";
        EPOLL_SCAN ["as with EPOLL_ITEMS"] "one `epoll_wait` at a time goes through what is ready and asks each file";
    }
    Blocking "timers" {
        POSIX_TIMERS "numbers of timers; a timer is looked up and then locked";
        POSIX_TIMER "one timer: what it is set to and how often it passed";
        INTERVAL_TIMER "setitimer: set and told of under one lock";
        CPU_TIMER "setitimer by processor time";
        CPU_LIMIT "RLIMIT_CPU and RLIMIT_RTTIME: looked at by one at a time";
        TIMERFD "one timerfd: set, read, and told of";
    }
    Blocking "sockets" {
        SOCKET_SHOWN "what fstat says of a socket that was given an owner or a mode";
        NET_MONITOR "who is told of changes of addresses; sockets are given messages under it";
        NETLINK "one netlink socket: its answers";
        SOCKET_READ "one reader of a TCP socket, who may find that its memory is not there and comes again for the same bytes";
        SOCKET_WRITE "one writer, likewise";
        UNIX_NAMES "abstract names of AF_UNIX";
        UNIX_SOCKET ["one that nobody knows yet under the one that accepts it"] "one AF_UNIX socket; of two that know each other never both";
    }
    Blocking "names of files" {
        ROOT_BUILDING "the root is mounted and filled by one at a time, as a program would";
        HOST_FOLDERS "folders of the host that are not mounted yet";
        RESOLV_CONF "what /etc/resolv.conf is to say; the file is made while the root is built, and written under it";
        FILE_POSITION "one description's position, for as long as a read or write that moves it";
        RENAME "directories change places: who is above whom holds still under it";
        DIRECTORY ["parent before child; two of which neither is above the other by address, under RENAME"] "names in one directory; its file system is called under it";
        FILE_LOCKS "record locks of all files";
        INOTIFY_WATCHES "who watches what; events are queued under it";
        INOTIFY_NUMBER "the last number that a watch was given";
        INOTIFY_QUEUE "events of one inotify";
    }
    Blocking "interprocess communication" {
        IPC_MAKING "a System V object is looked for by its key and made by one at a time";
    }
    Blocking "streams" {
        TERMINAL "a terminal's line";
        PIPE "a pipe's bytes, also while they are copied";
        SNAPSHOT "a file of /proc as it was when it was first read";
    }
    Blocking "content of files" {
        P9_LISTING "a host folder's names as they were read; given to the program under it";
        P9_IO "one write or truncation of a host's file; small ones are collected or sent under it";
        FAT_WRITER "one write or truncation of a file on FAT";
        RAMFS_WRITER "the same in ramfs";
        CACHE_WRITER "the same in the page cache; bytes are copied from the program under it";
        PROGRAM_MEMORY "no lock: a copy to or from the program counts as taking it, since it may fault. Whatever a fault takes comes after it";
    }
    Blocking "network" {
        NET_STACK "the TCP/IP stack with its card; no fault happens under it";
    }
    Blocking "under a fault" {
        FAT_META "what changes together on a FAT volume";
        CACHE_STORING "one write-back of a file; FAT writes content before the entry that needs it";
        P9_WIRE "order of what goes to the host's file";
        FAT_IO "content of a FAT file on its way to the device";
        FAT_NAMES ["under FAT_META, which only one has, so in any order: the directory, the other one of a move, the one that goes"] "names in a directory of FAT";
        FAT_MAP "clusters of a FAT file";
        FAT_STATE "what a FAT entry says";
        P9_DEVICE "the host folder's device is set up or reset";
        DISK_GEOMETRY "one change of a disk's size at a time";
    }
    Blocking "memory" {
        SPACE "mappings and page tables of the program, and the reverse map: who maps a file; a fault takes it whatever else is held";
    }
    Spin "interprocess communication" {
        IPC_IDS "System V objects by number";
        IPC_OBJECT "a queue, a set of semaphores or a segment: its content, who waits and who may use it";
    }
    Spin "tables" {
        FD_TABLE "descriptors";
        PLACES "root and working directory";
        WALKED "paths that were walked";
        MOUNTS "what is mounted";
        DENTRY_PLACE "a name's parent and name";
        RAMFS_FIFO "a FIFO's pipe";
        RAMFS_SOCKET "a socket's name's socket";
        SIGNALFDS "signalfds that are told of signals";
        WALL_WATCHERS "timers that keep a time of day";
        CONTROL_LINES "a line from the host that is not whole";
        DEVICES_KEPT "devices that were found and not asked for yet";
        WIRED "vectors of wired interrupts";
        DISKS "disks by name";
        FAT_ORPHANS "clusters of files that have neither name nor description";
        P9_DELAYED "files of the host with writes that wait";
        P9_KEPT "files of the host that stay open for a while";
        P9_OBJECTS "files of the host that are known";
        CREDENTIALS "who the program is: looked at and changed as a whole";
        FW_CFG "QEMU's configuration device";
        ASYNC_SIGNALS "open files whose readiness is told by signals";
        AIO_CONTEXTS "contexts of io_setup, by address";
        AIO_RESULTS "results that wait to be fetched from one of them";
    }
    Spin "futexes" {
        FUTEX_PI "locks that lend priorities: their owners and who waits; words are looked at and changed under it, without a fault";
        FUTEX "threads that wait on words of one hash; the word is read under it, without a fault";
    }
    Spin "data" {
        CACHE_LISTS "files with cached and dirty pages";
        CACHE_TREE "pages of one file in the page cache";
        CACHE_STREAMS "what is being read in order";
        RAMFS_PAGES "pages of one file in ramfs";
        RAMFS_META "owner, mode and times in ramfs";
        P9_STATE "what is known of a file of the host";
        P9_TAIL "small writes that were collected";
        P9_FIDS "the server's numbers for files";
        EVENTFD "an eventfd's number";
        PACKET_SOCKETS "packet sockets and what they have seen";
        TICKET "what a waiter is given, by whoever has taken it off its queue";
        UNIX_RIGHTS "descriptors under way";
    }
    Spin "readiness" {
        EPOLL_READY "what an epoll found ready";
        POLLEE "who is told that something is ready";
    }
    Irq "devices" {
        THREADS "all threads";
        PCI_MAPS "configuration space that is mapped";
        DISK_DEVICE "a disk's configuration";
        SIGNAL_ACTIONS "what is done about signals";
        SIGNALS "signals that wait, of the process or of a thread";
        DISK_RING "a queue of a disk";
        P9_RING "the queue of a host folder";
        NET_SLEEPER "the thread that the network card's interrupt wakes";
        IRQ_CHIPS "interrupt controllers";
        MMIO "addresses given to device registers";
        WALL_CLOCK "what the machine's clock said";
        CONSOLE "the console's ports";
        SERIAL_INPUT "bytes from the serial port";
    }
    Irq "scheduler" {
        LOAD "the load averages";
        WAIT "threads that wait in a queue";
        TIMERS "timers of one CPU";
        TIMERS_DUE "timers whose owners are to be told";
        RUN_QUEUE "threads that wait for one CPU";
        THREAD_NAME "a thread's name";
    }
    Irq "memory" {
        KERNEL_STACKS "kernel stacks that are free";
        KERNEL_TABLES "page tables of the kernel's half";
        TABLE_FRAMES "frames of page tables and what shows them";
        HEAP "objects of one size";
        FRAMES "page frames";
    }
    Irq "under anything" {
        RANDOM "the generator's key";
        LOG "the kernel log";
        PCI_PORTS "PCI's pair of ports";
    }
}

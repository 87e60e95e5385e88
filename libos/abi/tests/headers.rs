//! Checks the tables against the system's own headers: compiles a C program of static assertions, one for each name,
//! number, size and offset. A name that the system's headers are too old for is left out by the preprocessor if it is a
//! macro there; enumerations are listed below.

use libos_abi::constants::*;
use libos_abi::{layout, table};
use std::fmt::Write;
use std::process::Command;

/// Names that musl, glibc and the kernel define under a condition that this program cannot test.
const NOT_IN_HEADERS: &[&str] = &["MEMBARRIER_CMD_", "SI_", "SEEK_"];

/// Names that the C library defines differently from the kernel.
const NOT_THE_KERNELS: &[&str] = &["O_LARGEFILE"];

fn all() -> Vec<(&'static str, Names)> {
    macro_rules! list { ($($t:ident)*) => { vec![$((stringify!($t), $t::NAMES)),*] }; }
    list![
        OpenFlags ResolveFlags AtFlags UnlinkFlags AccessFlags AccessMode RenameFlags StatxMask FdFlags FallocateMode RwFlags
        SpliceFlags SyncRangeFlags CloseRangeFlags MemfdFlags XattrFlags DescriptorFlags Seals FlockOperation InotifyMask
        InotifyFlags MountFlags UnmountFlags Whence FcntlCommand OwnerType LockType FileAdvice DirEntryType Protection MapFlags
        RemapFlags MsyncFlags LockAllFlags LockFlags KeyRights MemoryAdvice PollEvents EpollEvents EpollFlags EventfdFlags
        EpollOperation ClockId IntervalTimer SigEventNotify TimerFlags TimerfdFlags TimerfdSetFlags AdjustModes WaitOptions
        RandomFlags SecureBits Capability CapAmbient Auxiliary IdType Resource UsageOf PriorityOf PrctlOption Persona CloneFlags FutexOperation Policy
        PolicyFlags SchedFlags MembarrierCommand ArchPrctlCode ShmCommand SemCommand MsgCommand Signo MaskHow SignalCode ActionFlags StackFlags SignalfdFlags Domain Protocol
        ShutdownHow SocketLevel SocketOption IpOption Ipv6Option TcpOption UdpOption SocketType AcceptFlags MessageFlags
        IoctlCommand InputModes OutputModes ControlModes LocalModes ControlCharacter
    ]
}

#[test]
fn names_numbers_and_layouts_are_those_of_the_headers() {
    let mut c = String::from(HEADERS);
    for (kind, names) in all() {
        let skip = |name: &str| NOT_THE_KERNELS.contains(&name);
        for &(value, name) in names.values.iter().chain(names.flags) {
            let (prefix, rest) = names.c_name(name);
            let name = format!("{prefix}{rest}");
            let mask = names.mask();
            if skip(&name) {
                continue;
            }
            // An enumerator is not a macro, so a missing one cannot be detected: only macros are tested for, except in
            // families that are enumerations everywhere.
            let always = NOT_IN_HEADERS.contains(&prefix);
            let (open, close) =
                if always { (String::new(), "") } else { (format!("#ifdef {name}\n"), "#else\nMISSING\n#endif\n") };
            let close = close.replace("MISSING", &format!("const char *missing_{kind}_{name};"));
            let _ = writeln!(
                c,
                "{open}_Static_assert(((unsigned long long)({name}) & {mask:#x}ull) == {:#x}ull, \"{kind}: {name}\");\n{close}",
                value & mask
            );
        }
    }
    for call in table::CALLS {
        let _ = writeln!(
            c,
            "#ifdef __NR_{0}\n_Static_assert(__NR_{0} == {1}, \"call {0}\");\n#endif",
            call.name, call.number
        );
    }
    for l in layout::ALL {
        let _ = writeln!(c, "_Static_assert(sizeof({}) == {}, \"{}\");", l.name, l.size, l.name);
        for field in l.fields.iter().filter(|f| !f.is_padding()) {
            let _ = writeln!(
                c,
                "_Static_assert(offsetof({}, {}) == {}, \"{}.{}\");",
                l.name, field.name, field.offset, l.name, field.name
            );
        }
    }
    let dir = std::env::temp_dir().join(format!("unibody-abi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (source, object) = (dir.join("headers.c"), dir.join("headers.o"));
    std::fs::write(&source, &c).unwrap();
    let out =
        Command::new("cc").args(["-std=gnu11", "-c", "-o"]).arg(&object).arg(&source).output().expect("a C compiler");
    let missing = Command::new("nm")
        .arg(&object)
        .output()
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    let _ = std::fs::remove_dir_all(&dir);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let missing: Vec<&str> = missing.lines().filter_map(|l| l.split("missing_").nth(1)).collect();
    println!("not in this system's headers: {missing:?}");
    assert!(missing.len() < 60, "the headers lack more than an older system's would: {missing:?}");
}

const HEADERS: &str = r#"
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/types.h>
#include <fcntl.h>
#include <mqueue.h>
#include <unistd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <utime.h>
#include <dirent.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <asm/termbits.h>
#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/openat2.h>
#include <linux/random.h>
#include <linux/sched.h>
#define sched_param kernel_sched_param
#include <linux/sched/types.h>
#undef sched_param
#include <linux/securebits.h>
#include <linux/sockios.h>
#define SOL_NETLINK 270
"#;

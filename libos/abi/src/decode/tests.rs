use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A test's memory: pieces at addresses.
#[derive(Default)]
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    fn at(mut self, address: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push((address, bytes.as_ref().to_vec()));
        self
    }
    fn words(self, address: u64, words: &[u64]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.at(address, bytes)
    }
}

impl Memory for Pieces {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        for (start, bytes) in &self.0 {
            if let Some(from) =
                address.checked_sub(*start).and_then(|skip| bytes.get(skip as usize..)).filter(|b| !b.is_empty())
            {
                let n = from.len().min(into.len());
                into[..n].copy_from_slice(&from[..n]);
                return n;
            }
        }
        0
    }
}

fn line(memory: Pieces, name: &str, registers: &[u64], result: Option<i64>) -> String {
    let mut all = [0; 6];
    all[..registers.len()].copy_from_slice(registers);
    let number = Call::by_name(name).unwrap().number;
    Invocation { number, registers: all, result, memory: &memory }.to_string()
}

const A: u64 = 0x1000;
const B: u64 = 0x2000;
const C: u64 = 0x3000;
const MINUS_1: u64 = u64::MAX;

#[test]
fn paths_flags_and_modes() {
    let p = || Pieces::default().at(A, "/etc/hosts\0").at(B, "old\0").at(C, "new\0");
    let cwd = -100i64 as u64;
    assert_eq!(
        line(p(), "openat", &[cwd, A, 0o2000000, 7], Some(3)),
        r#"openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3"#
    );
    assert_eq!(
        line(p(), "open", &[A, 0o1101, 0o644], Some(-13)),
        r#"open("/etc/hosts", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)"#
    );
    assert_eq!(line(p(), "rename", &[B, C], Some(0)), r#"rename("old", "new") = 0"#);
    assert_eq!(line(p(), "access", &[A, 0], Some(0)), r#"access("/etc/hosts", F_OK) = 0"#);
    assert_eq!(line(p(), "access", &[A, 6], Some(0)), r#"access("/etc/hosts", R_OK|W_OK) = 0"#);
    assert_eq!(line(p(), "umask", &[0o22], Some(0o77)), "umask(022) = 077");
    assert_eq!(line(p(), "chown", &[A, 33, MINUS_1], Some(0)), r#"chown("/etc/hosts", 33, -1) = 0"#);
    assert_eq!(
        line(p(), "open", &[0x9999_0000, 0, 0], Some(-14)),
        "open(0x99990000, O_RDONLY) = -1 EFAULT (Bad address)"
    );
    assert_eq!(line(p(), "lseek", &[3, 100, 1], Some(100)), "lseek(3, 100, SEEK_CUR) = 100");
    assert_eq!(line(p(), "mknod", &[A, 0o20666, 0x103], Some(0)), r#"mknod("/etc/hosts", S_IFCHR|0666, 0x103) = 0"#);
}

#[test]
fn buffers_are_as_long_as_what_went_through_them() {
    let p = || Pieces::default().at(A, b"hello\n\x01\x002\"\\\xff and more than is shown here");
    assert_eq!(line(p(), "read", &[3, A, 100], Some(6)), r#"read(3, "hello\n", 100) = 6"#);
    assert_eq!(line(p(), "read", &[3, A, 100], Some(12)), r#"read(3, "hello\n\1\0002\"\\\377", 100) = 12"#);
    assert_eq!(line(p(), "read", &[3, A, 100], Some(-9)), "read(3, 0x1000, 100) = -1 EBADF (Bad file descriptor)");
    assert_eq!(line(p(), "read", &[3, A, 100], None), "read(3, 0x1000, 100) = ?");
    assert_eq!(line(p(), "read", &[3, A, 100], Some(-512)), "read(3, 0x1000, 100) = ? ERESTARTSYS (To be restarted)");
    assert_eq!(line(p(), "write", &[1, A, 5], Some(3)), r#"write(1, "hello", 5) = 3"#);
    let long = Pieces::default().at(A, [b'x'; 40]);
    assert_eq!(line(long, "write", &[1, A, 40], Some(40)), format!("write(1, \"{}\"..., 40) = 40", "x".repeat(32)));
    let iov = p().words(B, &[A, 4, A + 4, 10]);
    assert_eq!(
        line(iov, "readv", &[3, B, 2], Some(6)),
        r#"readv(3, [{iov_base="hell", iov_len=4}, {iov_base="o\n", iov_len=10}], 2) = 6"#
    );
}

#[test]
fn memory_and_threads() {
    let p = Pieces::default;
    assert_eq!(
        line(p(), "mmap", &[0, 4096, 3, 0x22, MINUS_1, 0], Some(0x7f00_0000_0000)),
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
    );
    assert_eq!(line(p(), "mprotect", &[A, 4096, 0], Some(0)), "mprotect(0x1000, 4096, PROT_NONE) = 0");
    assert_eq!(line(p(), "madvise", &[A, 4096, 4], Some(0)), "madvise(0x1000, 4096, MADV_DONTNEED) = 0");
    assert_eq!(
        line(p().words(B, &[1, 500]), "futex", &[A, 0x80, 2, B], Some(-110)),
        "futex(0x1000, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 2, {tv_sec=1, tv_nsec=500}, NULL, 0) = -1 ETIMEDOUT (Connection timed out)"
    );
    assert_eq!(line(p(), "exit_group", &[2], None), "exit_group(2) = ?");
    assert_eq!(
        line(p(), "clone", &[0x7d0f00, B, A, A, 0], Some(9)),
        "clone(CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|\
         CLONE_CHILD_CLEARTID|CLONE_DETACHED, 0x2000, 0x1000, 0x1000, NULL) = 9"
    );
}

#[test]
fn sockets() {
    let inet = Pieces::default().at(A, [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        line(inet, "bind", &[3, A, 16], Some(0)),
        r#"bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#
    );
    assert_eq!(
        line(Pieces::default(), "socket", &[2, 0o2000001, 6], Some(3)),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3"
    );
    let one = Pieces::default().at(A, [1, 0, 0, 0]);
    assert_eq!(
        line(one, "setsockopt", &[3, 1, 2, A, 4], Some(0)),
        "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
    );
    let unix = Pieces::default().at(A, b"\x01\0/run/x\0\0\0").at(B, [11, 0, 0, 0]);
    assert_eq!(
        line(unix, "accept", &[3, A, B], Some(4)),
        r#"accept(3, {sa_family=AF_UNIX, sun_path="/run/x"}, [11]) = 4"#
    );
    let message = Pieces::default()
        .words(A, &[0, 0, B, 1, C, 24, 0])
        .words(B, &[0x4000, 2])
        .at(0x4000, "ok")
        .words(C, &[20, 1 | 1 << 32, 5]);
    assert_eq!(
        line(message, "sendmsg", &[3, A, 0x4000], Some(2)),
        "sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"ok\", iov_len=2}], msg_iovlen=1, \
         msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5]}], msg_controllen=24, \
         msg_flags=0}, MSG_NOSIGNAL) = 2"
    );
}

#[test]
fn readiness() {
    let fds = Pieces::default().at(A, [3, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 5, 0, 0, 0]);
    assert_eq!(
        line(fds, "poll", &[A, 2, 1000], Some(1)),
        "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLIN|POLLOUT}], 2, 1000) = 1 ([{fd=3, revents=POLLIN}])"
    );
    let event = || Pieces::default().at(A, [1, 0, 0, 0x80, 5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        line(event(), "epoll_ctl", &[3, 1, 5, A], Some(0)),
        "epoll_ctl(3, EPOLL_CTL_ADD, 5, {events=EPOLLIN|EPOLLET, data={u32=5, u64=5}}) = 0"
    );
    assert_eq!(
        line(event(), "epoll_wait", &[3, A, 10, MINUS_1], Some(1)),
        "epoll_wait(3, [{events=EPOLLIN|EPOLLET, data={u32=5, u64=5}}], 10, -1) = 1"
    );
    assert_eq!(line(event(), "epoll_wait", &[3, A, 10, 0], Some(0)), "epoll_wait(3, [], 10, 0) = 0");
    let sets = Pieces::default().words(A, &[0b1001]);
    assert_eq!(line(sets, "select", &[4, A, 0, 0, 0], Some(2)), "select(4, [0 3], NULL, NULL, NULL) = 2");
}

#[test]
fn signals() {
    let action = Pieces::default().words(A, &[0x401000, 0x1400_0004, 0x402000, 1 << 14]);
    assert_eq!(
        line(action, "rt_sigaction", &[15, A, 0, 8], Some(0)),
        "rt_sigaction(SIGTERM, {sa_sigaction=0x401000, sa_mask=[TERM], sa_flags=SA_SIGINFO|SA_RESTORER|SA_RESTART, \
         sa_restorer=0x402000}, NULL, 8) = 0"
    );
    let all = Pieces::default().words(A, &[!(1 << 8)]);
    assert_eq!(
        line(all, "rt_sigprocmask", &[2, A, 0, 8], Some(0)),
        "rt_sigprocmask(SIG_SETMASK, ~[KILL], NULL, 8) = 0"
    );
    assert_eq!(line(Pieces::default(), "tgkill", &[1, 2, 34], Some(0)), "tgkill(1, 2, SIGRT_2) = 0");
}

#[test]
fn commands_say_what_their_argument_is() {
    let p = Pieces::default;
    assert_eq!(line(p(), "fcntl", &[3, 3, 0], Some(0o4002)), "fcntl(3, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)");
    assert_eq!(line(p(), "fcntl", &[3, 2, 1], Some(0)), "fcntl(3, F_SETFD, FD_CLOEXEC) = 0");
    let owner = p().at(A, [2, 0, 0, 0, 7, 0, 0, 0]);
    assert_eq!(line(owner, "fcntl", &[3, 15, A], Some(0)), "fcntl(3, F_SETOWN_EX, {type=F_OWNER_PGRP, pid=7}) = 0");
    let lock = p().at(A, [1, 0, 0, 0, 0, 0, 0, 0]).words(A + 8, &[0, 10, 0]);
    assert_eq!(
        line(lock, "fcntl", &[3, 6, A], Some(0)),
        "fcntl(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=10}) = 0"
    );
    let size = p().at(A, [24, 0, 80, 0, 0, 0, 0, 0]);
    assert_eq!(
        line(size, "ioctl", &[1, 0x5413, A], Some(0)),
        "ioctl(1, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0"
    );
    assert_eq!(
        line(p(), "ioctl", &[1, 0x5401, A], Some(-25)),
        "ioctl(1, TCGETS, 0x1000) = -1 ENOTTY (Inappropriate ioctl for device)"
    );
    let modes: Vec<u8> = [0x500u32, 5, 0o277, 0x8a3b].iter().flat_map(|m| m.to_le_bytes()).chain([0; 20]).collect();
    assert_eq!(
        line(p().at(A, modes), "ioctl", &[1, 0x5402, A], Some(0)),
        "ioctl(1, TCSETS, {c_iflag=ICRNL|IXON, c_oflag=OPOST|ONLCR, c_cflag=B38400|CS8|CREAD, \
         c_lflag=ISIG|ICANON|ECHO|ECHOE|ECHOK|ECHOCTL|ECHOKE|IEXTEN, ...}) = 0"
    );
    assert_eq!(line(p().at(A, "worker\0"), "prctl", &[15, A], Some(0)), r#"prctl(PR_SET_NAME, "worker") = 0"#);
}

#[test]
fn a_call_that_is_not_in_the_table_has_its_number() {
    let p = Pieces::default();
    let call = Invocation { number: 9999, registers: [1, 2, 3, 4, 5, 6], result: Some(-38), memory: &p };
    assert_eq!(call.to_string(), "syscall_0x270f(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (Function not implemented)");
}

/// Every row, with registers that point at readable memory, at unreadable memory, and at nothing: the output names each
/// argument of the row, and nothing in memory breaks it.
#[test]
fn every_row_can_be_decoded() {
    let mut pattern = 1u32;
    let mut random = || {
        pattern = pattern.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (pattern >> 24) as u8
    };
    for call in crate::table::CALLS {
        for round in 0..40u64 {
            let bytes: Vec<u8> = (0..0x3000).map(|_| if round % 2 == 0 { 0 } else { random() }).collect();
            let memory = Pieces::default().at(A, bytes);
            let mut registers = [0; 6];
            for (i, register) in registers.iter_mut().enumerate() {
                *register = [A + 0x100 * i as u64, round, u64::MAX - round, B + 8 * round, C + 0xff0]
                    [((round + i as u64) % 5) as usize];
            }
            for result in [Some(0), Some(1), Some(100), Some(-14), None] {
                let shown = Invocation { number: call.number, registers, result, memory: &memory }.to_string();
                let arguments = shown.strip_prefix(&format!("{}(", call.name)).unwrap_or_else(|| panic!("{shown}"));
                assert!(arguments.contains(") = "), "{shown}");
                assert!(shown.len() < 8000, "{shown}");
            }
        }
    }
}

/// Names of lengths are names of arguments, and only arguments that can have a length have one.
#[test]
fn lengths_are_arguments() {
    for call in crate::table::CALLS {
        assert!(call.args.len() <= 6, "{}", call.name);
        for arg in call.args {
            if let Some(length) = arg.length {
                assert!(call.position(length).is_some(), "{}: no argument {length}", call.name);
                assert!(matches!(arg.kind, Kind::Pointer(..)), "{}: {} points at nothing", call.name, arg.name);
            }
        }
    }
}

#[test]
fn rows_are_sorted_and_said_once() {
    assert!(crate::table::CALLS.windows(2).all(|w| w[0].number < w[1].number));
}

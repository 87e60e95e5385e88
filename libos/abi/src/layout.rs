//! Structures in program memory.

use crate::arg::{Address, Argument, FileMode, Id, Kind, Mode, Pointee, Shape, pointees};
use crate::constants::*;
use crate::{Errno, Result};

/// A structure as seen by the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The C type, `"struct timespec"`.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Its fields, in order.
    pub fields: &'static [Field],
}

/// A field of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name here; one that begins with `pad` does not exist in C.
    pub rust: &'static str,
    /// Its name in C.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
    /// What it holds.
    pub kind: Kind,
}

impl Field {
    /// Whether it only aligns what follows, or is reserved.
    pub fn is_padding(&self) -> bool {
        ["pad", "spare", "unused"].iter().any(|p| self.rust.starts_with(p))
    }
}

crate::layout! {
    /// struct iovec.
    IoVec, "struct iovec", "iov_" { base: usize, len: usize, }
    /// struct timespec.
    Timespec, "struct timespec", "tv_" { sec: i64, nsec: i64, }
    /// struct timeval.
    Timeval, "struct timeval", "tv_" { sec: i64, usec: i64, }
    /// struct itimerval.
    ItimerVal, "struct itimerval", "it_" { interval: Timeval, value: Timeval, }
    /// struct itimerspec.
    ItimerSpec, "struct itimerspec", "it_" { interval: Timespec, value: Timespec, }
    /// struct utimbuf.
    Utimbuf, "struct utimbuf", "" { actime: i64, modtime: i64, }
    /// struct timezone.
    Timezone, "struct timezone", "tz_" { minuteswest: i32, dsttime: i32, }
    /// struct timex: the argument and result of adjtimex(2).
    Timex, "struct timex", "" {
        modes: u32 as AdjustModes, pad0: u32, offset: i64, freq: i64, maxerror: i64, esterror: i64, status: i32, pad1: u32,
        constant: i64, precision: i64, tolerance: i64, time: Timeval, tick: i64, ppsfreq: i64, jitter: i64, shift: i32,
        pad2: u32, stabil: i64, jitcnt: i64, calcnt: i64, errcnt: i64, stbcnt: i64, tai: i32, pad3: [u32; 11],
    }
    /// struct stat (x86-64).
    Stat, "struct stat", "st_" {
        dev: u64, ino: u64, nlink: u64, mode: u32 as FileMode, uid: u32 as Id, gid: u32 as Id, pad0: u32, rdev: u64,
        size: i64, blksize: i64, blocks: i64,
        atime "st_atim": Timespec, mtime "st_mtim": Timespec, ctime "st_ctim": Timespec, unused: [i64; 3],
    }
    /// struct statfs (x86-64, asm-generic/statfs.h).
    StatFs, "struct statfs", "f_" {
        kind "f_type": i64, bsize: i64, blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, fsid: [i32; 2],
        namelen: i64, frsize: i64, flags: i64, spare: [i64; 4],
    }
    /// struct statx_timestamp.
    StatxTime, "struct statx_timestamp", "tv_" { sec: i64, nsec: u32, pad: u32, }
    /// struct statx.
    Statx, "struct statx", "stx_" {
        mask: u32 as StatxMask, blksize: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, pad: u16, ino: u64,
        size: u64, blocks: u64, attributes_mask: u64, atime: StatxTime, btime: StatxTime, ctime: StatxTime, mtime: StatxTime,
        rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, mnt_id: u64, spare: [u64; 13],
    }
    /// struct open_how.
    OpenHow, "struct open_how", "" { flags: u64 as OpenFlags, mode: u64, resolve: u64 as ResolveFlags, }
    /// struct flock (x86-64).
    Flock, "struct flock", "l_" {
        kind "l_type": i16 as LockType, whence: i16 as Whence, pad0: u32, start: i64, len: i64, pid: i32, pad1: u32,
    }
    /// struct f_owner_ex.
    FileOwner, "struct f_owner_ex", "" { kind "type": i32 as OwnerType, pid: i32, }
    /// struct pollfd.
    PollFd, "struct pollfd", "" { fd: i32, events: u16 as PollEvents, revents: u16 as PollEvents, }
    /// struct rlimit64.
    Rlimit, "struct rlimit", "rlim_" { soft "rlim_cur": u64, hard "rlim_max": u64, }
    /// struct rusage.
    Rusage, "struct rusage", "ru_" {
        utime: Timeval, stime: Timeval, maxrss: i64, ixrss: i64, idrss: i64, isrss: i64, minflt: i64, majflt: i64, nswap: i64,
        inblock: i64, oublock: i64, msgsnd: i64, msgrcv: i64, nsignals: i64, nvcsw: i64, nivcsw: i64,
    }
    /// struct sysinfo.
    SysInfo, "struct sysinfo", "" {
        uptime: i64, loads: [u64; 3], totalram: u64, freeram: u64, sharedram: u64, bufferram: u64, totalswap: u64,
        freeswap: u64, procs: u16, pad: u16, pad2: u32, totalhigh: u64, freehigh: u64, mem_unit: u32, pad3: u32,
    }
    /// struct tms.
    Tms, "struct tms", "tms_" { utime: i64, stime: i64, cutime: i64, cstime: i64, }
    /// struct msghdr (x86-64).
    MsgHdr, "struct msghdr", "msg_" {
        name: usize, namelen: u32, pad0: u32, iov: usize, iovlen: usize, control: usize, controllen: usize,
        flags: u32 as MessageFlags, pad1: u32,
    }
    /// struct cmsghdr.
    CmsgHdr, "struct cmsghdr", "cmsg_" { len: usize, level: i32 as SocketLevel, kind "cmsg_type": i32, }
    /// struct mmsghdr.
    MmsgHdr, "struct mmsghdr", "msg_" { hdr: MsgHdr, len: u32, pad: u32, }
    /// struct linger.
    Linger, "struct linger", "l_" { onoff: i32, linger: i32, }
    /// struct ucred.
    Ucred, "struct ucred", "" { pid: i32, uid: u32 as Id, gid: u32 as Id, }
    /// The kernel's struct sigaction (x86-64).
    SigAction, "struct kernel_sigaction", "sa_" { handler: usize as Address, flags: u64 as ActionFlags, restorer: usize as Address, mask: u64, }
    /// stack_t.
    StackT, "stack_t", "ss_" { sp: usize as Address, flags: u32 as StackFlags, pad: u32, size: usize, }
    /// struct sigevent, the part that the kernel reads.
    SigEvent, "struct sigevent", "sigev_" {
        value: u64, signo: i32 as Signo, notify: i32 as SigEventNotify, tid "_sigev_un._tid": i32, pad: i32,
    }
    /// struct sigcontext_64: the registers, in the order of mcontext_t's gregs.
    SigContext, "struct sigcontext", "" {
        r8: u64, r9: u64, r10: u64, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64, rdi: u64, rsi: u64, rbp: u64, rbx: u64,
        rdx: u64, rax: u64, rcx: u64, rsp: u64, rip: u64, eflags: u64, cs: u16, gs: u16, fs: u16, ss "__pad0": u16, err: u64,
        trapno: u64, oldmask: u64, cr2: u64, fpstate: usize, reserved "__reserved1": [u64; 8],
    }
    /// struct ucontext.
    UContext, "struct ucontext", "uc_" { flags: u64, link: u64, stack: StackT, mcontext: SigContext, sigmask: u64, }
    /// struct rt_sigframe without its siginfo.
    SigFrame, "struct rt_sigframe", "" { restorer "pretcode": usize, uc: UContext, }
    /// struct _fpx_sw_bytes: what of the vector state is in a signal frame.
    FpxSwBytes, "struct _fpx_sw_bytes", "" {
        magic1: u32, extended_size: u32, xfeatures: u64, xstate_size: u32, pad: [u32; 7],
    }
    /// struct signalfd_siginfo.
    SignalfdInfo, "struct signalfd_siginfo", "ssi_" {
        signo: i32 as Signo, errno: i32, code: i32, pid: u32, uid: u32, fd: i32, tid: u32, band: u32, overrun: u32,
        trapno: u32, status: i32, int: i32, ptr: u64, utime: u64, stime: u64, addr: u64, pad: [u64; 6],
    }
    /// struct ipc64_perm.
    IpcPerm, "struct ipc_perm", "" {
        key "__key": i32, uid: u32 as Id, gid: u32 as Id, cuid: u32 as Id, cgid: u32 as Id, mode: u32 as Mode,
        seq "__seq": u16, pad0: u16, pad1: u32, unused: [u64; 2],
    }
    /// struct shmid64_ds.
    ShmIdDs, "struct shmid_ds", "shm_" {
        perm: IpcPerm, segsz: u64, atime: i64, dtime: i64, ctime: i64, cpid: i32, lpid: i32, nattch: u64, unused: [u64; 2],
    }
    /// struct shminfo64.
    ShmLimits, "struct shminfo", "" {
        shmmax: u64, shmmin: u64, shmmni: u64, shmseg: u64, shmall: u64, unused: [u64; 4],
    }
    /// struct shm_info.
    ShmInfo, "struct shm_info", "" {
        used_ids: i32, pad: u32, tot "shm_tot": u64, rss "shm_rss": u64, swp "shm_swp": u64, swap_attempts: u64,
        swap_successes: u64,
    }
    /// struct sembuf.
    SemBuf, "struct sembuf", "sem_" { num: u16, op: i16, flags "sem_flg": u16, }
    /// struct semid64_ds.
    SemIdDs, "struct semid_ds", "sem_" {
        perm: IpcPerm, otime: i64, pad0: u64, ctime: i64, pad1: u64, nsems: u64, unused: [u64; 2],
    }
    /// struct seminfo.
    SemInfo, "struct seminfo", "" {
        semmap: i32, semmni: i32, semmns: i32, semmnu: i32, semmsl: i32, semopm: i32, semume: i32, semusz: i32, semvmx: i32,
        semaem: i32,
    }
    /// struct msqid64_ds.
    MsqIdDs, "struct msqid_ds", "msg_" {
        perm: IpcPerm, stime: i64, rtime: i64, ctime: i64, cbytes "__msg_cbytes": u64, qnum: u64, qbytes: u64, lspid: i32,
        lrpid: i32, unused: [u64; 2],
    }
    /// struct msginfo.
    MsgInfo, "struct msginfo", "" {
        msgpool: i32, msgmap: i32, msgmax: i32, msgmnb: i32, msgmni: i32, msgssz: i32, msgtql: i32, msgseg: u16, pad: u16,
    }
    /// struct mq_attr.
    MqAttr, "struct mq_attr", "mq_" { flags: i64, maxmsg: i64, msgsize: i64, curmsgs: i64, pad: [i64; 4], }
    /// struct futex_waitv.
    FutexWaitV, "struct futex_waitv", "" { val: u64, uaddr: u64, flags: u32, reserved "__reserved": u32, }
    /// struct sched_param.
    SchedParam, "struct sched_param", "sched_" { priority: i32, }
    /// struct sched_attr.
    SchedAttr, "struct sched_attr", "sched_" {
        size "size": u32, policy: u32 as Policy, flags: u64 as SchedFlags, nice: i32, priority: u32, runtime: u64,
        deadline: u64, period: u64, util_min: u32, util_max: u32,
    }
    /// struct termios.
    Termios, "struct kernel_termios", "c_" {
        iflag: u32 as InputModes, oflag: u32 as OutputModes, cflag: u32 as ControlModes, lflag: u32 as LocalModes, line: u8,
        cc: [u8; 19],
    }
    /// struct termios2.
    Termios2, "struct termios2", "" { base: Termios, ispeed: u32, ospeed: u32, }
    /// struct winsize.
    Winsize, "struct winsize", "ws_" { row: u16, col: u16, xpixel: u16, ypixel: u16, }
    /// struct user_cap_header_struct.
    CapHeader, "struct __user_cap_header_struct", "" { version: u32, pid: i32, }
    /// struct user_cap_data_struct.
    CapData, "struct __user_cap_data_struct", "" { effective: u32, permitted: u32, inheritable: u32, }
    /// struct clone_args, its first version.
    CloneArgs, "struct clone_args", "" {
        flags: u64 as CloneFlags, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64, stack_size: u64,
        tls: u64,
    }
}

/// Nanoseconds per second.
pub const NS: u64 = 1_000_000_000;

impl Timespec {
    /// From nanoseconds.
    #[inline]
    pub fn from_ns(ns: u64) -> Self {
        Self { sec: (ns / NS) as i64, nsec: (ns % NS) as i64 }
    }
    /// To nanoseconds, saturating; EINVAL when negative or not normalised.
    pub fn to_ns(self) -> Result<u64> {
        if self.sec < 0 || !(0..NS as i64).contains(&self.nsec) {
            return Err(Errno::EINVAL);
        }
        Ok((self.sec as u64).saturating_mul(NS).saturating_add(self.nsec as u64))
    }
}

impl StatxTime {
    /// The same time, from a structure other than statx(2)'s.
    pub const fn of(time: Timespec) -> Self {
        Self { sec: time.sec, nsec: time.nsec as u32, pad: 0 }
    }
}

/// struct epoll_event, which is packed on x86-64.
#[derive(Clone, Copy, Debug, Default, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// The events that are asked for, or that are ready.
    pub events: u32,
    /// The program's own data.
    pub data: u64,
}
impl EpollEvent {
    /// For the decoder.
    pub const LAYOUT: Layout = Layout {
        name: "struct epoll_event",
        size: size_of::<Self>(),
        fields: &[
            Field { rust: "events", name: "events", offset: 0, size: 4, kind: EpollEvents::KIND },
            Field { rust: "data", name: "data", offset: 4, size: 8, kind: Kind::Hex },
        ],
    };
}
impl crate::arg::Value for EpollEvent {
    const KIND: Kind = Kind::Struct(&Self::LAYOUT);
}

/// struct utsname: six strings of 65 bytes.
#[derive(Clone, Copy, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
pub struct UtsName(pub [[u8; 65]; 6]);
impl UtsName {
    /// For the decoder.
    pub const LAYOUT: Layout = Layout {
        name: "struct utsname",
        size: size_of::<Self>(),
        fields: &[
            Self::string("sysname", 0),
            Self::string("nodename", 1),
            Self::string("release", 2),
            Self::string("version", 3),
            Self::string("machine", 4),
            Self::string("domainname", 5),
        ],
    };
    const fn string(name: &'static str, i: usize) -> Field {
        Field { rust: name, name, offset: 65 * i, size: 65, kind: <[u8; 65] as crate::arg::Value>::KIND }
    }
}
impl crate::arg::Value for UtsName {
    const KIND: Kind = Kind::Struct(&Self::LAYOUT);
}

pointees!(
    Timespec,
    Timeval,
    ItimerVal,
    ItimerSpec,
    Utimbuf,
    Timezone,
    Timex,
    Stat,
    StatFs,
    Statx,
    OpenHow,
    Flock,
    FileOwner,
    PollFd,
    Rlimit,
    Rusage,
    SysInfo,
    Tms,
    Linger,
    Ucred,
    SigAction,
    StackT,
    SigEvent,
    MqAttr,
    SemBuf,
    FutexWaitV,
    SchedParam,
    SchedAttr,
    Termios,
    Winsize,
    CapHeader,
    CapData,
    CloneArgs,
    EpollEvent,
    UtsName,
    [Timespec; 2],
    [Timeval; 2]
);
impl Pointee for IoVec {
    const SHAPE: Shape = Shape::IoVec;
}
impl Pointee for MsgHdr {
    const SHAPE: Shape = Shape::MsgHdr;
}
impl Pointee for MmsgHdr {
    const SHAPE: Shape = Shape::MmsgHdr;
}

/// Every layout whose C type is in the system's headers, for the test against them.
#[doc(hidden)]
pub const ALL: &[&Layout] = &[
    &IoVec::LAYOUT,
    &Timespec::LAYOUT,
    &Timeval::LAYOUT,
    &ItimerVal::LAYOUT,
    &ItimerSpec::LAYOUT,
    &Utimbuf::LAYOUT,
    &Timezone::LAYOUT,
    &Timex::LAYOUT,
    &Stat::LAYOUT,
    &StatFs::LAYOUT,
    &StatxTime::LAYOUT,
    &Statx::LAYOUT,
    &OpenHow::LAYOUT,
    &Flock::LAYOUT,
    &FileOwner::LAYOUT,
    &PollFd::LAYOUT,
    &Rlimit::LAYOUT,
    &Rusage::LAYOUT,
    &SysInfo::LAYOUT,
    &Tms::LAYOUT,
    &MsgHdr::LAYOUT,
    &CmsgHdr::LAYOUT,
    &MmsgHdr::LAYOUT,
    &Linger::LAYOUT,
    &Ucred::LAYOUT,
    &StackT::LAYOUT,
    &SigContext::LAYOUT,
    &SignalfdInfo::LAYOUT,
    &IpcPerm::LAYOUT,
    &ShmIdDs::LAYOUT,
    &ShmLimits::LAYOUT,
    &ShmInfo::LAYOUT,
    &SemBuf::LAYOUT,
    &SemIdDs::LAYOUT,
    &SemInfo::LAYOUT,
    &MsqIdDs::LAYOUT,
    &MsgInfo::LAYOUT,
    &MqAttr::LAYOUT,
    &SchedParam::LAYOUT,
    &SchedAttr::LAYOUT,
    &Winsize::LAYOUT,
    &EpollEvent::LAYOUT,
    &CapHeader::LAYOUT,
    &CapData::LAYOUT,
];

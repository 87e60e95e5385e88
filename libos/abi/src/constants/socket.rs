//! Sockets: linux/socket.h, asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h, linux/udp.h.

use crate::macros::{flags, names};

names! {
    /// socket(2), address families.
    Domain: u32, mod af: u16, "AF_" { UNSPEC = 0, UNIX = 1, INET = 2, INET6 = 10, NETLINK = 16, PACKET = 17, VSOCK = 40, }
    /// socket(2), `protocol`, for the Internet families.
    Protocol: u32, "IPPROTO_" { IP = 0, ICMP = 1, TCP = 6, UDP = 17, IPV6 = 41, ICMPV6 = 58, UDPLITE = 136, RAW = 255, MPTCP = 262, }
    /// shutdown(2).
    ShutdownHow: i32, "SHUT_" { RD = 0, WR = 1, RDWR = 2, }
    /// setsockopt(2), `level`.
    SocketLevel: i32, mod sol: i32, "SOL_" { IP = 0, SOCKET = 1, TCP = 6, UDP = 17, IPV6 = 41, ICMPV6 = 58, RAW = 255, NETLINK = 270, }
    /// SOL_SOCKET options.
    SocketOption: i32, mod so: i32, "SO_" {
        DEBUG = 1, REUSEADDR = 2, TYPE = 3, ERROR = 4, DONTROUTE = 5, BROADCAST = 6, SNDBUF = 7, RCVBUF = 8, KEEPALIVE = 9,
        OOBINLINE = 10, NO_CHECK = 11, PRIORITY = 12, LINGER = 13, BSDCOMPAT = 14, REUSEPORT = 15, PASSCRED = 16,
        PEERCRED = 17, RCVLOWAT = 18, SNDLOWAT = 19, RCVTIMEO = 20, SNDTIMEO = 21, BINDTODEVICE = 25, ATTACH_FILTER = 26,
        DETACH_FILTER = 27, PEERNAME = 28, TIMESTAMP = 29, ACCEPTCONN = 30, PEERSEC = 31, SNDBUFFORCE = 32,
        RCVBUFFORCE = 33, PASSSEC = 34, TIMESTAMPNS = 35, MARK = 36, TIMESTAMPING = 37, PROTOCOL = 38, DOMAIN = 39,
        RXQ_OVFL = 40, WIFI_STATUS = 41, PEEK_OFF = 42, NOFCS = 43, LOCK_FILTER = 44, SELECT_ERR_QUEUE = 45, BUSY_POLL = 46,
        MAX_PACING_RATE = 47, BPF_EXTENSIONS = 48, INCOMING_CPU = 49, ATTACH_BPF = 50, ATTACH_REUSEPORT_CBPF = 51,
        ATTACH_REUSEPORT_EBPF = 52, CNX_ADVICE = 53, MEMINFO = 55, INCOMING_NAPI_ID = 56, COOKIE = 57, PEERGROUPS = 59,
        ZEROCOPY = 60, TXTIME = 61, BINDTOIFINDEX = 62, TIMESTAMP_NEW = 63, TIMESTAMPNS_NEW = 64, TIMESTAMPING_NEW = 65,
        RCVTIMEO_NEW = 66, SNDTIMEO_NEW = 67, DETACH_REUSEPORT_BPF = 68, PREFER_BUSY_POLL = 69, BUSY_POLL_BUDGET = 70,
        NETNS_COOKIE = 71, BUF_LOCK = 72, RESERVE_MEM = 73, TXREHASH = 74, RCVMARK = 75,
    }
    /// SOL_IP options.
    IpOption: i32, mod ip_option: i32, "IP_" {
        TOS = 1, TTL = 2, HDRINCL = 3, OPTIONS = 4, ROUTER_ALERT = 5, RECVOPTS = 6, RETOPTS = 7, PKTINFO = 8, PKTOPTIONS = 9,
        MTU_DISCOVER = 10, RECVERR = 11, RECVTTL = 12, RECVTOS = 13, MTU = 14, FREEBIND = 15, TRANSPARENT = 19,
        RECVORIGDSTADDR = 20, MINTTL = 21, NODEFRAG = 22, CHECKSUM = 23, BIND_ADDRESS_NO_PORT = 24, RECVFRAGSIZE = 25,
        MULTICAST_IF = 32, MULTICAST_TTL = 33, MULTICAST_LOOP = 34, ADD_MEMBERSHIP = 35, DROP_MEMBERSHIP = 36,
        UNBLOCK_SOURCE = 37, BLOCK_SOURCE = 38, ADD_SOURCE_MEMBERSHIP = 39, DROP_SOURCE_MEMBERSHIP = 40, MSFILTER = 41,
        MULTICAST_ALL = 49, UNICAST_IF = 50,
    }
    /// SOL_IPV6 options.
    Ipv6Option: i32, mod ipv6_option: i32, "IPV6_" {
        ADDRFORM = 1, CHECKSUM = 7, UNICAST_HOPS = 16, MULTICAST_IF = 17, MULTICAST_HOPS = 18, MULTICAST_LOOP = 19,
        ADD_MEMBERSHIP = 20, DROP_MEMBERSHIP = 21, ROUTER_ALERT = 22, MTU_DISCOVER = 23, MTU = 24, RECVERR = 25,
        V6ONLY = 26, JOIN_ANYCAST = 27, LEAVE_ANYCAST = 28, MULTICAST_ALL = 29, FLOWINFO_SEND = 33, RECVPKTINFO = 49,
        PKTINFO = 50, RECVHOPLIMIT = 51, HOPLIMIT = 52, RECVHOPOPTS = 53, RECVRTHDR = 56, RECVDSTOPTS = 58, RECVPATHMTU = 60,
        DONTFRAG = 62, RECVTCLASS = 66, TCLASS = 67, RECVORIGDSTADDR = 74, TRANSPARENT = 75, FREEBIND = 78,
    }
    /// SOL_TCP options.
    TcpOption: i32, mod tcp_option: i32, "TCP_" {
        NODELAY = 1, MAXSEG = 2, CORK = 3, KEEPIDLE = 4, KEEPINTVL = 5, KEEPCNT = 6, SYNCNT = 7, LINGER2 = 8,
        DEFER_ACCEPT = 9, WINDOW_CLAMP = 10, INFO = 11, QUICKACK = 12, CONGESTION = 13, MD5SIG = 14,
        THIN_LINEAR_TIMEOUTS = 16, THIN_DUPACK = 17, USER_TIMEOUT = 18, REPAIR = 19, FASTOPEN = 23, TIMESTAMP = 24,
        NOTSENT_LOWAT = 25, CC_INFO = 26, SAVE_SYN = 27, SAVED_SYN = 28, FASTOPEN_CONNECT = 30, ULP = 31, FASTOPEN_KEY = 33,
        FASTOPEN_NO_COOKIE = 34, ZEROCOPY_RECEIVE = 35, INQ = 36, TX_DELAY = 37,
    }
    /// SOL_UDP options.
    UdpOption: i32, mod udp_option: i32, "UDP_" { CORK = 1, ENCAP = 100, NO_CHECK6_TX = 101, NO_CHECK6_RX = 102, SEGMENT = 103, GRO = 104, }
    /// Control messages of SOL_SOCKET.
    ControlMessage: i32, "SCM_" { RIGHTS = 1, CREDENTIALS = 2, }
}

flags! {
    /// socket(2), `type`.
    SocketType: u32, "SOCK_" values 0xf { STREAM = 1, DGRAM = 2, RAW = 3, RDM = 4, SEQPACKET = 5, DCCP = 6, PACKET = 10, } {
        CLOEXEC = 0o2000000, NONBLOCK = 0o4000,
    }
    /// accept4(2).
    AcceptFlags: u32, "SOCK_" { CLOEXEC = 0o2000000, NONBLOCK = 0o4000, }
    /// send(2), recv(2).
    MessageFlags: u32, "MSG_" {
        OOB = 1, PEEK = 2, DONTROUTE = 4, CTRUNC = 8, PROBE = 0x10, TRUNC = 0x20, DONTWAIT = 0x40, EOR = 0x80,
        WAITALL = 0x100, FIN = 0x200, SYN = 0x400, CONFIRM = 0x800, RST = 0x1000, ERRQUEUE = 0x2000, NOSIGNAL = 0x4000,
        MORE = 0x8000, WAITFORONE = 0x1_0000, BATCH = 0x4_0000, ZEROCOPY = 0x400_0000, FASTOPEN = 0x2000_0000,
        CMSG_CLOEXEC = 0x4000_0000,
    }
}

/// Types of sockets, as plain numbers.
#[allow(missing_docs, reason = "socket(2) has them")]
pub mod sock {
    use super::SocketType;

    pub const STREAM: u32 = SocketType::STREAM.bits();
    pub const DGRAM: u32 = SocketType::DGRAM.bits();
    pub const RAW: u32 = SocketType::RAW.bits();
    pub const SEQPACKET: u32 = SocketType::SEQPACKET.bits();
}

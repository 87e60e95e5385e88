//! What registers and program memory hold: the types of the handlers' arguments, and the same as data for the decoder.

mod dependent;

pub use dependent::{
    FcntlArgument, FcntlResult, FutexArgument, IoctlArgument, OptionName, OptionValue, PrctlArgument, PrctlMore,
    SocketProtocol,
};

use crate::constants::Names;
use core::marker::PhantomData;

/// What a register or a field of a structure holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A signed number of this many bytes.
    Signed(u8),
    /// An unsigned number of this many bytes.
    Unsigned(u8),
    /// An address that is not followed.
    Address,
    /// Bits without names.
    Hex,
    /// Permission bits and the like.
    Octal,
    /// A number or a set of bits with names.
    Names(&'static Names),
    /// The same as a result: the number, followed by its names.
    Flags(&'static Names),
    /// Nothing: this particular call has no such argument.
    Absent,
    /// A descriptor.
    Fd,
    /// The descriptor of a directory, or AT_FDCWD.
    DirFd,
    /// The file type and permission bits of `st_mode`.
    FileMode,
    /// Permission bits that matter only if the call creates a file.
    CreateMode,
    /// Address of a NUL-terminated string.
    Str,
    /// Address of something else.
    Pointer(Direction, Shape),
    /// Several values of a kind, consecutive in memory.
    Array(&'static Kind, u8, u16),
    /// A structure within a structure.
    Struct(&'static crate::layout::Layout),
    /// Depends on other arguments.
    By(fn(&[u64; 6]) -> Kind),
}

/// The direction in which pointed-at data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The kernel reads it.
    In,
    /// The kernel writes it: it is meaningful only once the call has succeeded.
    Out,
    /// The kernel reads and writes it.
    InOut,
}

/// What a pointer points at.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// As many bytes as another argument says.
    Bytes,
    /// Numbers or structures, one or as many as another argument says; the size of one.
    Values(&'static Kind, u16),
    /// A socket address.
    Sockaddr,
    /// Buffers, as many as another argument says.
    IoVec,
    /// A message with address, buffers and control data.
    MsgHdr,
    /// Messages, as many as another argument says.
    MmsgHdr,
    /// A set of signals.
    SigSet,
    /// A set of descriptors below the first argument.
    FdSet,
    /// A signal's siginfo.
    SigInfo,
    /// Addresses of strings, up to a null.
    StrList,
    /// A set of processors.
    CpuSet,
    /// A name of at most 15 bytes.
    ThreadName,
    /// A number whose size in bytes another argument gives: 1, 2, 4 or 8.
    Number,
    /// Depends on other arguments.
    By(fn(&[u64; 6]) -> Shape),
}

/// A type that can be passed in a register.
pub trait Argument: Sized {
    /// For the decoder.
    const KIND: Kind;
    /// Takes the significant bits.
    fn from_register(value: usize) -> Self;
}

/// A type that can be a field of a structure or an element of an array.
pub trait Value {
    /// For the decoder.
    const KIND: Kind;
}

/// A type that can be pointed at.
pub trait Pointee {
    /// For the decoder.
    const SHAPE: Shape;
}

macro_rules! integers {
    ($($t:ident $kind:ident $size:literal;)*) => { $(
        impl Argument for $t {
            const KIND: Kind = Kind::$kind($size);
            fn from_register(value: usize) -> Self { value as $t }
        }
        impl Value for $t { const KIND: Kind = Kind::$kind($size); }
    )* };
}
integers! {
    i8 Signed 1; i16 Signed 2; i32 Signed 4; i64 Signed 8; isize Signed 8;
    u8 Unsigned 1; u16 Unsigned 2; u32 Unsigned 4; u64 Unsigned 8; usize Unsigned 8;
}
impl<T: Value, const N: usize> Value for [T; N] {
    const KIND: Kind = Kind::Array(&T::KIND, N as u8, size_of::<T>() as u16);
}

macro_rules! newtypes {
    ($($(#[$m:meta])* $name:ident($t:ty) $kind:expr;)*) => { $(
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(pub $t);
        impl Argument for $name {
            const KIND: Kind = $kind;
            #[inline(always)]
            fn from_register(value: usize) -> Self { Self(value as $t) }
        }
        impl Value for $name { const KIND: Kind = $kind; }
    )* };
}
use newtypes;
newtypes! {
    /// A descriptor, not looked up yet.
    Fd(i32) Kind::Fd;
    /// A directory's descriptor or AT_FDCWD, where a relative path begins.
    DirFd(i32) Kind::DirFd;
    /// A thread or process ID.
    Pid(i32) Kind::Signed(4);
    /// A user or group ID; -1 often stands for "unchanged".
    Id(u32) Kind::Signed(4);
    /// Permission bits.
    Mode(u32) Kind::Octal;
    /// File type and permission bits.
    FileMode(u32) Kind::FileMode;
    /// Permission bits for the file, if one is created.
    CreateMode(u32) Kind::CreateMode;
    /// An address in program memory that the call itself neither reads nor writes.
    Address(usize) Kind::Address;
    /// A position in a file, shown in hexadecimal.
    Offset(i64) Kind::Hex;
    /// A device number.
    Device(u64) Kind::Hex;
    /// Bits that have no names here.
    Bits(u32) Kind::Hex;
    /// A path in program memory: bytes up to a NUL, at most PATH_MAX.
    Path(usize) Kind::Str;
    /// A string in program memory that is not a path.
    Str(usize) Kind::Str;
}

macro_rules! addresses {
    ($($name:ident),*) => { $(impl $name {
        /// The number as the address of a `T`.
        #[inline(always)]
        pub const fn to<T>(self) -> $crate::arg::InOut<T> {
            $crate::arg::InOut::new(self.0)
        }
    })* };
}
use addresses;
addresses!(Address);

impl Fd {
    /// The number as the result of a call that creates it.
    pub const fn result(self) -> usize {
        self.0 as usize
    }
}
impl DirFd {
    /// Relative paths begin at the working directory.
    pub const CWD: Self = Self(-100);
    /// The descriptor, unless it is [`DirFd::CWD`].
    pub const fn fd(self) -> Option<Fd> {
        if self.0 == Self::CWD.0 { None } else { Some(Fd(self.0)) }
    }
}
impl From<Fd> for DirFd {
    fn from(fd: Fd) -> Self {
        Self(fd.0)
    }
}

macro_rules! pointers {
    ($($(#[$m:meta])* $name:ident $direction:ident;)*) => { $(
        $(#[$m])*
        pub struct $name<T>(usize, PhantomData<fn() -> T>);
        impl<T> $name<T> {
            /// A pointer to this address, which may be null.
            pub const fn new(address: usize) -> Self { Self(address, PhantomData) }
            /// The address.
            pub const fn address(self) -> usize { self.0 }
            /// Whether the address is null.
            pub const fn is_null(self) -> bool { self.0 == 0 }
            /// The same address, unless it is null.
            pub const fn given(self) -> Option<Self> { if self.is_null() { None } else { Some(self) } }
            /// The `n`th element of an array at this address.
            pub const fn nth(self, n: usize) -> Self {
                Self::new(self.0.wrapping_add(n.wrapping_mul(size_of::<T>())))
            }
            /// The same address with another type.
            pub const fn cast<U>(self) -> $name<U> { $name::new(self.0) }
        }
        impl<T> Clone for $name<T> { fn clone(&self) -> Self { *self } }
        impl<T> Copy for $name<T> {}
        impl<T: Pointee> Argument for $name<T> {
            const KIND: Kind = Kind::Pointer(Direction::$direction, T::SHAPE);
            #[inline(always)]
            fn from_register(value: usize) -> Self { Self::new(value) }
        }
    )* };
}
impl<T> From<InOut<T>> for In<T> {
    #[inline(always)]
    fn from(both: InOut<T>) -> Self {
        Self::new(both.address())
    }
}
impl<T> From<InOut<T>> for Out<T> {
    #[inline(always)]
    fn from(both: InOut<T>) -> Self {
        Self::new(both.address())
    }
}
pointers! {
    /// Address of a `T` that the call reads.
    In In;
    /// Address of a `T` that the call writes.
    Out Out;
    /// Address of a `T` that the call reads and writes.
    InOut InOut;
}
macro_rules! pointees {
    ($($t:ty),*) => { $(impl $crate::arg::Pointee for $t { const SHAPE: $crate::arg::Shape = $crate::arg::Shape::Values(&<$t as $crate::arg::Value>::KIND, size_of::<$t>() as u16); })* };
}
pub(crate) use pointees;
pointees!(i32, u32, i64, u64, usize);
impl Pointee for u8 {
    const SHAPE: Shape = Shape::Bytes;
}
impl<const N: usize> Pointee for [i32; N] {
    const SHAPE: Shape = Shape::Values(&<[i32; N] as Value>::KIND, (4 * N) as u16);
}

macro_rules! shapes {
    ($($(#[$m:meta])* $name:ident;)*) => { $(
        $(#[$m])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Pointee for $name { const SHAPE: Shape = Shape::$name; }
    )* };
}
shapes! {
    /// A socket address: its family says what follows.
    Sockaddr;
    /// An fd_set: a bit per descriptor, in words.
    FdSet;
    /// A siginfo.
    SigInfo;
    /// Addresses of strings, up to a null.
    StrList;
    /// A set of processors: a bit for each, in words.
    CpuSet;
}

//! How constants and layouts are declared.

/// Declares numbers with names, of which exactly one applies.
///
/// `names! { /// doc Whence: u32, "SEEK_" { SET = 0, CUR = 1, } }` makes the type, its constants, and its names for the
/// decoder. A name that begins with a digit is written with an underscore before it. `Type, mod so: i32, "SO_"` also
/// makes a module of plain numbers, for code that keeps them in tables.
macro_rules! names {
    ($($(#[$m:meta])* $type:ident: $repr:ty, $(mod $plain:ident: $number:ty,)? $prefix:literal { $($name:ident = $value:expr,)* })*) => { $(
        $crate::macros::plain!($($plain $number)? { $($name = $value,)* } $(#[$m])*);
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $type(pub $repr);
        #[allow(missing_docs, reason = "the manual page of the call has them")]
        impl $type {
            $(pub const $name: Self = Self($value);)*
            /// For the decoder.
            pub const NAMES: $crate::constants::Names = $crate::constants::Names {
                prefix: $prefix,
                width: size_of::<$repr>() as u8,
                field: u64::MAX,
                values: &[$(($value as $repr as u64, stringify!($name)),)*],
                flags: &[],
            };
        }
        impl $crate::arg::Argument for $type {
            const KIND: $crate::arg::Kind = $crate::arg::Kind::Names(&Self::NAMES);
            #[inline(always)]
            fn from_register(value: usize) -> Self { Self(value as $repr) }
        }
    )* };
}

/// Declares bits with names, several of which may be set; `values MASK { ... }` comes first if part of the number is
/// one of several values. Combinations of several bits come before the single bits.
macro_rules! flags {
    ($($(#[$m:meta])* $type:ident: $repr:ty, $prefix:literal
        $(values $field:literal { $($value_name:ident = $value:expr,)* })? { $($name:ident = $bits:expr,)* })*) => { $(
        bitflags::bitflags! {
            $(#[$m])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
            #[repr(transparent)]
            #[allow(missing_docs, reason = "the manual page of the call has them")]
            pub struct $type: $repr {
                $($(const $value_name = $value;)*)?
                $(const $name = $bits;)*
            }
        }
        impl $type {
            /// For the decoder.
            pub const NAMES: $crate::constants::Names = $crate::constants::Names {
                prefix: $prefix,
                width: size_of::<$repr>() as u8,
                field: 0 $(| $field)?,
                values: &[$($(($value as $repr as u64, stringify!($value_name)),)*)?],
                flags: &[$(($bits as $repr as u64, stringify!($name)),)*],
            };
        }
        impl $crate::arg::Argument for $type {
            const KIND: $crate::arg::Kind = $crate::arg::Kind::Names(&Self::NAMES);
            #[inline(always)]
            fn from_register(value: usize) -> Self { Self::from_bits_retain(value as $repr) }
        }
    )* };
}
/// Declares the module of plain numbers.
macro_rules! plain {
    ({ $($any:tt)* } $($about:tt)*) => {};
    ($module:ident $number:ty { $($name:ident = $value:expr,)* } $(#[$m:meta])*) => {
        $(#[$m])*
        #[allow(missing_docs, reason = "the manual page of the call has them")]
        pub mod $module { $(pub const $name: $number = $value;)* }
    };
}
pub(crate) use {flags, names, plain};

/// Declares a structure that programs and the kernel exchange: integers and other such structures, without padding (a
/// compile error), so that copying it leaks nothing.
///
/// `layout! { /// doc Timespec, "struct timespec", "tv_" { sec: i64, nsec: i64, } }`: the prefix and the field make the
/// C name, unless one follows the field; `as Kind` says how the decoder shows it. Fields that begin with `pad` do not
/// exist in C.
#[macro_export]
macro_rules! layout {
    ($($(#[$m:meta])* $type:ident, $c:literal, $prefix:literal {
        $($(#[$fm:meta])* $field:ident $($c_field:literal)?: $t:ty $(as $kind:ty)?,)*
    })*) => { $(
        $(#[$m])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[derive($crate::zerocopy::FromBytes, $crate::zerocopy::IntoBytes, $crate::zerocopy::Immutable)]
        #[zerocopy(crate = "libos_abi::zerocopy")]
        #[repr(C)]
        #[allow(missing_docs, reason = "the manual page of the call has them")]
        pub struct $type { $($(#[$fm])* pub $field: $t,)* }
        impl $type {
            /// For the decoder.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: $c,
                size: size_of::<Self>(),
                fields: &[$($crate::layout::Field {
                    rust: stringify!($field),
                    name: $crate::layout!(@name $prefix $field $($c_field)?),
                    offset: core::mem::offset_of!(Self, $field),
                    size: size_of::<$t>(),
                    kind: $crate::layout!(@kind $t $(, $kind)?),
                },)*],
            };
        }
        impl $crate::arg::Value for $type {
            const KIND: $crate::arg::Kind = $crate::arg::Kind::Struct(&Self::LAYOUT);
        }
    )* };
    (@name $prefix:literal $field:ident) => { concat!($prefix, stringify!($field)) };
    (@name $prefix:literal $field:ident $c:literal) => { $c };
    (@kind $t:ty) => { <$t as $crate::arg::Value>::KIND };
    (@kind $t:ty, $kind:ty) => { <$kind as $crate::arg::Argument>::KIND };
}

//! The ABI crate's constants and layouts, and ABI structures that no call takes as an argument.

pub use libos_abi::arg::*;
pub use libos_abi::constants::*;
pub use libos_abi::layout::*;
pub use libos_abi::signal;

/// Declares a `repr(C)` structure of integers that programs and the kernel exchange but no call names (such as a signal
/// frame). Padding is a compile error.
#[macro_export]
macro_rules! abi_struct {
    ($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $f:ident: $t:ty,)* }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[derive($crate::zerocopy::FromBytes, $crate::zerocopy::IntoBytes, $crate::zerocopy::Immutable)]
        #[zerocopy(crate = "libos_base::zerocopy")]
        #[repr(C)]
        pub struct $name { $($(#[$fm])* pub $f: $t,)* }
    };
}

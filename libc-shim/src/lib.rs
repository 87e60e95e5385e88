//! `libunibody.a`: the kernel behind the C ABI. All of it is reached through the symbols that `libos` exports:
//! `libos_sys_N` (musl's calls) and the boot entry points.
#![cfg_attr(unibody_kernel, no_std)]

use libos as _;

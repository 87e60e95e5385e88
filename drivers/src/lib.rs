//! Drivers: PCI, virtio transports and devices, the serial port, clocks, ACPI and MP tables, power.
//!
//! The kernel supplies two functions ([`platform`]), finds devices
//! ([`virtio::find_pci`], [`virtio::find_mmio`]) and builds the drivers it wants from them. Nothing here
//! blocks, takes a lock that the caller cannot see, or starts on its own.
#![cfg_attr(unibody_kernel, no_std)]

extern crate alloc;
extern crate self as drivers;

pub mod acpi;
pub mod clock;
pub mod dma;
pub mod fw_cfg;
pub mod mmio;
pub mod mptable;
pub mod pci;
pub mod platform;
pub mod port;
pub mod power;
mod register;
pub mod rtc;
pub mod serial;
pub mod topology;
pub mod virtio;

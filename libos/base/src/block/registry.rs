//! The disks of the machine.

use super::BlockDevice;
use crate::Result;
use crate::sync::{SpinLock, class};
use alloc::sync::Arc;
use alloc::vec::Vec;

static DEVICES: SpinLock<Vec<Arc<dyn BlockDevice>>> = SpinLock::new(class::DISKS, Vec::new());

/// Registers a device. ENOMEM.
pub fn register(device: Arc<dyn BlockDevice>) -> Result<()> {
    let mut list = DEVICES.lock();
    list.try_reserve(1)?;
    list.push(device);
    Ok(())
}

/// All devices, in the order they were found.
pub fn devices() -> Vec<Arc<dyn BlockDevice>> {
    DEVICES.lock().clone()
}

/// The device with that serial, else the one with that name.
pub fn find(what: &str) -> Option<Arc<dyn BlockDevice>> {
    let list = DEVICES.lock();
    let by_serial = list.iter().find(|d| !what.is_empty() && d.serial() == what);
    by_serial.or_else(|| list.iter().find(|d| d.name() == what)).cloned()
}

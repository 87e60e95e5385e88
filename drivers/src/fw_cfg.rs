//! QEMU's firmware configuration device: files that the VMM was given for the guest (QEMU: docs/specs/fw_cfg.rst).

use crate::port::{in8, out16, out32};
use libos_base::layout::{PAGE_SIZE, phys_of};
use libos_base::page::Page;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

/// I/O ports of the device on x86.
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const DMA: u16 = 0x514;
/// Items that are always present.
const SIGNATURE: u16 = 0;
const FEATURES: u16 = 1;
const DIRECTORY: u16 = 0x19;
/// The device can DMA.
const HAS_DMA: u8 = 2;
/// Bits of a DMA command.
const ERROR: u32 = 1;
const READ: u32 = 2;
const SKIP: u32 = 4;
const SELECT: u32 = 8;
/// A page holds the command and, after it, the data.
const COMMAND: usize = 16;
/// The most bytes that one read returns.
pub const MOST: usize = PAGE_SIZE - COMMAND;

/// The device has only one item selected at a time.
static DEVICE: SpinLock<()> = SpinLock::new(class::FW_CFG, ());

/// A file of the device.
pub struct File {
    item: u16,
}

/// Selects an item and reads its first byte.
fn first_byte(item: u16) -> u8 {
    let _one = DEVICE.lock();
    // SAFETY: the configuration device, or a port that nothing answers; neither touches memory.
    unsafe {
        out16(SELECTOR, item);
        in8(DATA)
    }
}

/// The file of that name. ENODEV: no such file, or no such device.
pub fn find(name: &[u8]) -> Result<File> {
    /// A directory entry: size (4 bytes), item (2), unused (2), name (56).
    const ENTRY: usize = 64;
    if first_byte(SIGNATURE) != b'Q' || first_byte(FEATURES) & HAS_DMA == 0 {
        return Err(Errno::ENODEV);
    }
    let directory = File { item: DIRECTORY };
    let mut count = [0; 4];
    directory.read(0, &mut count)?;
    for n in 0..u32::from_be_bytes(count).min(1000) {
        let mut entry = [0; ENTRY];
        directory.read(4 + n * ENTRY as u32, &mut entry)?;
        if entry[8..].split(|&b| b == 0).next() == Some(name) {
            return Ok(File { item: u16::from_be_bytes([entry[4], entry[5]]) });
        }
    }
    Err(Errno::ENODEV)
}

impl File {
    /// Reads `into.len()` bytes, [`MOST`] at most, from `pos` on. Bytes past the end are zeros.
    pub fn read(&self, pos: u32, into: &mut [u8]) -> Result<()> {
        let len = into.len().min(MOST);
        let page = Page::new()?;
        let _one = DEVICE.lock();
        command(&page, u32::from(self.item) << 16 | SELECT | SKIP, pos)?;
        command(&page, READ, len as u32)?;
        page.read(COMMAND, &mut into[..len]);
        Ok(())
    }
}

/// Carries out a command; the bytes read go after it in `page`. The device is done once the port has been written.
fn command(page: &Page, control: u32, len: u32) -> Result<()> {
    let at = phys_of(page.addr() as usize);
    page.write(0, &control.to_be_bytes());
    page.write(4, &len.to_be_bytes());
    page.write(8, &(at + COMMAND as u64).to_be_bytes());
    // SAFETY: the device reads the command and writes `len` bytes after it, which is within the page (or skips them).
    unsafe {
        out32(DMA, ((at >> 32) as u32).to_be());
        out32(DMA + 4, (at as u32).to_be());
    }
    let mut left = [0; 4];
    page.read(0, &mut left);
    if u32::from_be_bytes(left) & ERROR == 0 { Ok(()) } else { Err(Errno::EIO) }
}

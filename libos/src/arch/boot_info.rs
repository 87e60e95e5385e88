//! What the boot protocols pass, in one form. It is filled in before the kernel has memory of its own.

use libos_base::layout::PAGE_SIZE;

/// Physical addresses, `end` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    /// `len` bytes from `start`.
    pub const fn at(start: u64, len: u64) -> Self {
        Self { start, end: start + len }
    }
    const EMPTY: Range = Range { start: 0, end: 0 };
}

/// What a piece of the physical address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything but RAM that we may use. First, hence 0: [`STORAGE`] then lies in `.bss`.
    Other,
    /// RAM that we may use.
    Usable,
}

/// One entry of the memory map.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub range: Range,
    pub kind: Kind,
}

const MAX_REGIONS: usize = 64;
const MAX_RESERVED: usize = 16;

/// Everything known at boot.
pub struct BootInfo {
    /// The firmware's memory map.
    pub regions: [Region; MAX_REGIONS],
    pub regions_len: usize,
    /// Parts of usable memory that hold something: image, initrd, command line, boot structures.
    reserved: [Range; MAX_RESERVED],
    reserved_len: usize,
    /// The image, `.bss` included.
    pub image_phys: Range,
    /// Where the image runs.
    pub image_virt: u64,
    /// The first module.
    pub initrd: Option<Range>,
    /// The command line, without its NUL.
    pub command_line: Option<Range>,
    /// The ACPI root pointer, when the protocol gives it.
    pub rsdp: Option<u64>,
    /// Top-level page table.
    pub root: u64,
    /// Free memory for page tables, and where it began.
    bump: Range,
    first_table: u64,
}

struct Storage(core::cell::UnsafeCell<BootInfo>);
// SAFETY: used by the boot CPU only, before others run.
unsafe impl Sync for Storage {}

static STORAGE: Storage = Storage(core::cell::UnsafeCell::new(BootInfo {
    regions: [Region { range: Range::EMPTY, kind: Kind::Other }; MAX_REGIONS],
    regions_len: 0,
    reserved: [Range::EMPTY; MAX_RESERVED],
    reserved_len: 0,
    image_phys: Range::EMPTY,
    image_virt: 0,
    initrd: None,
    command_line: None,
    rsdp: None,
    root: 0,
    bump: Range::EMPTY,
    first_table: 0,
}));

/// The one `BootInfo`.
pub fn storage() -> *mut BootInfo {
    STORAGE.0.get()
}

impl BootInfo {
    /// Adds a memory map entry. Entries past the 64th are dropped, so that their RAM is not used.
    pub fn add_region(&mut self, start: u64, len: u64, ram: bool) {
        if len == 0 || self.regions_len == MAX_REGIONS {
            return;
        }
        let kind = if ram { Kind::Usable } else { Kind::Other };
        self.regions[self.regions_len] = Region { range: Range::at(start, len), kind };
        self.regions_len += 1;
    }

    /// Keeps a range out of the free memory.
    pub fn reserve(&mut self, start: u64, len: u64) {
        if len != 0 && self.reserved_len < MAX_RESERVED {
            let page = PAGE_SIZE as u64;
            let end = (start + len).next_multiple_of(page);
            self.reserved[self.reserved_len] = Range { start: start & !(page - 1), end };
            self.reserved_len += 1;
        }
    }

    /// Picks free memory in the first GiB, after the image, for page tables, and for what lies where it cannot stay.
    pub fn choose_bump(&mut self) {
        self.reserve(self.image_phys.start, self.image_phys.end - self.image_phys.start);
        let mut start = self.image_phys.end.next_multiple_of(PAGE_SIZE as u64);
        let ram = self.regions[..self.regions_len].iter().filter(|r| r.kind == Kind::Usable).map(|r| r.range);
        let limit = ram.filter(|r| r.start <= start && start < r.end).fold(1 << 30, |limit, r| limit.min(r.end));
        // Step over reserved ranges; stop before the next one.
        let reserved = &self.reserved[..self.reserved_len];
        while let Some(r) = reserved.iter().find(|r| r.start <= start && start < r.end) {
            start = r.end;
        }
        let limit = reserved.iter().map(|r| r.start).filter(|&at| at > start).fold(limit, u64::min);
        self.bump = Range { start, end: limit };
        self.move_out_of_image();
        self.first_table = self.bump.start;
    }

    /// A loader may put what it hands over between two of the image's segments (GRUB does, if it fits), whose pages
    /// leave the direct map.
    fn move_out_of_image(&mut self) {
        const RSDP_SIZE: u64 = 36;
        self.initrd = self.initrd.map(|r| self.moved(r));
        self.command_line = self.command_line.map(|r| self.moved(r));
        self.rsdp = self.rsdp.map(|at| self.moved(Range::at(at, RSDP_SIZE)).start);
    }

    fn moved(&mut self, from: Range) -> Range {
        let image = self.image_phys;
        if from.start >= image.end.next_multiple_of(PAGE_SIZE as u64)
            || from.end <= image.start
            || from.start == from.end
        {
            return from;
        }
        let to = self.bump_page();
        while self.bump.start - to < from.end - from.start {
            self.bump_page();
        }
        // SAFETY: a loader's data and free memory, both in the first GiB, which is mapped one to one.
        unsafe { (from.start as *const u8).copy_to_nonoverlapping(to as *mut u8, (from.end - from.start) as usize) };
        Range::at(to, from.end - from.start)
    }

    /// The first page that [`Self::bump_page`] returned.
    pub fn first_table(&self) -> u64 {
        self.first_table
    }

    /// The end of the last page that [`Self::bump_page`] returned.
    pub fn end_of_tables(&self) -> u64 {
        self.bump.start
    }

    /// A zeroed page for a page table. Stops the machine when there is none left: nothing can be printed yet.
    pub fn bump_page(&mut self) -> u64 {
        let p = self.bump.start;
        if p + PAGE_SIZE as u64 > self.bump.end {
            #[cfg(unibody_kernel)]
            crate::arch::cpu::stop();
            #[cfg(not(unibody_kernel))]
            panic!("no memory for page tables");
        }
        self.bump.start += PAGE_SIZE as u64;
        // SAFETY: free memory in the first GiB, which is mapped one to one.
        unsafe { (p as *mut u8).write_bytes(0, PAGE_SIZE) };
        p
    }

    /// Calls `f` with every page-aligned piece of RAM that is free, except the pages below `floor`.
    pub fn for_each_free(&self, floor: u64, mut f: impl FnMut(Range)) {
        let page = PAGE_SIZE as u64;
        // The pages used for tables lie between the image (or the ranges stepped over) and `bump.start`.
        let mut holes = [Range::EMPTY; MAX_RESERVED + 2];
        holes[..self.reserved_len].copy_from_slice(&self.reserved[..self.reserved_len]);
        holes[self.reserved_len] = Range { start: self.image_phys.end & !(page - 1), end: self.bump.start };
        holes[self.reserved_len + 1] = Range { start: 0, end: floor };
        let holes = &holes[..self.reserved_len + 2];
        for r in &self.regions[..self.regions_len] {
            if r.kind != Kind::Usable {
                continue;
            }
            let (mut at, end) = (r.range.start.next_multiple_of(page), r.range.end & !(page - 1));
            // Holes in order of their start, each searched for: they are too few for a sort to be worth its code.
            while at < end {
                let hole = holes.iter().filter(|h| h.end > at && h.start < end).min_by_key(|h| h.start);
                let (stop, next) = hole.map_or((end, end), |h| (h.start, h.end));
                if stop > at {
                    f(Range { start: at, end: stop });
                }
                at = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_avoids_image_initrd_and_page_tables() {
        // SAFETY: only this test touches the storage.
        let b = unsafe { &mut *storage() };
        b.add_region(0, 0x9fc00, true);
        b.add_region(0x10_0000, 0x100_0000, true);
        b.add_region(0xf000_0000, 0x1000, false);
        b.image_phys = Range { start: 0x20_0000, end: 0x30_0800 };
        b.reserve(0xf0_0010, 0x100);
        b.choose_bump();
        assert_eq!(b.bump, Range { start: 0x30_1000, end: 0xf0_0000 });
        b.bump.start += 0x3000;
        let mut free = std::vec::Vec::new();
        b.for_each_free(0x2000, |r| free.push((r.start, r.end)));
        assert_eq!(free, [(0x2000, 0x9f000), (0x10_0000, 0x20_0000), (0x30_4000, 0xf0_0000), (0xf0_1000, 0x110_0000)]);
    }
}

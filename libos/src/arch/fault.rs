//! What a trap has to say, in words that no architecture owns.

/// Whose instruction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Program,
    /// The kernel, for a call, by an instruction that may fault.
    Call,
    /// Other code of the kernel.
    Kernel,
}

/// A page fault.
#[derive(Clone, Copy, Debug)]
pub struct PageFault {
    /// The address that was touched.
    pub addr: usize,
    pub by: By,
    /// The page was there, and its rights forbade it.
    pub present: bool,
    pub write: bool,
    pub fetch: bool,
    /// A page table entry is malformed.
    pub malformed: bool,
    /// Interrupts are on and no spin lock is held.
    pub can_block: bool,
}

/// A fault that ends in a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub signo: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub addr: usize,
    /// For the crash report.
    pub what: &'static str,
}

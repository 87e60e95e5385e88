//! What a trap reports, in terms that belong to no architecture.

/// Whose instruction faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Program,
    /// The kernel, on behalf of a call, with an instruction that may fault.
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
    /// The page was present, and its rights forbade the access.
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

//! Program memory. It is touched only here: every copy is range-checked and survives a bad address with EFAULT.

use crate::bytes::find_from;
use crate::layout::{PAGE_SIZE, PROGRAM_END};
use crate::page::Page;
use crate::percpu::{preempt_disable, preempt_enable};
use crate::{Errno, Result, sync, upcall};
use alloc::string::String;
use alloc::vec::Vec;
use libos_abi::arg::{In, Out, Path, Str};
use libos_abi::zerocopy::{FromBytes, Immutable, IntoBytes};

/// Types that are plain bytes: any bit pattern is valid and there is no padding to leak.
pub trait Pod: FromBytes + IntoBytes + Immutable + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + Copy> Pod for T {}

/// What Linux's `access_ok` checks: whether the range lies in the program's half. Whether each byte is accessible is
/// left to the copy, so that a transfer of nothing succeeds whatever the pointer.
#[inline(always)]
pub fn in_half(addr: usize, len: usize) -> bool {
    addr <= PROGRAM_END && len <= PROGRAM_END - addr
}

/// EFAULT unless `addr .. addr + len` may be program memory.
#[inline]
pub fn check(addr: usize, len: usize) -> Result<()> {
    if upcall::surely_program(addr, len) { Ok(()) } else { check_all(addr, len) }
}

#[inline(never)]
fn check_all(addr: usize, len: usize) -> Result<()> {
    if upcall::program_range(addr, len) || len == 0 { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Copies to or from program memory, which is at `program`; returns how many bytes were not copied: all if that is no
/// program memory. What is not obvious is found out elsewhere, so that there need be no stack frame for the rest.
///
/// # Safety
/// The other side is a kernel buffer of that length.
#[inline(always)]
unsafe fn checked(program: usize, dst: *mut u8, src: *const u8, len: usize) -> usize {
    sync::check::may_fault();
    if upcall::surely_program(program, len) {
        // SAFETY: the caller's; the other side passed the range check, and faults there are fixed up.
        unsafe { upcall::copy(dst, src, len) }
    } else {
        // SAFETY: the caller's.
        unsafe { checked_slowly(program, dst, src, len) }
    }
}

/// See [`checked`].
///
/// # Safety
/// The caller's.
#[inline(never)]
unsafe fn checked_slowly(program: usize, dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: as above.
    if check_all(program, len).is_ok() { unsafe { upcall::copy(dst, src, len) } } else { len }
}

/// Copies from the program. EFAULT even if some bytes were copied before the fault.
#[inline(never)]
pub fn copy_in(dst: &mut [u8], src: usize) -> Result<()> {
    copy_in_quickly(dst, src)
}

/// The same in line, for what is done most.
#[inline(always)]
pub fn copy_in_quickly(dst: &mut [u8], src: usize) -> Result<()> {
    // SAFETY: `dst` is a kernel buffer.
    match unsafe { checked(src, dst.as_mut_ptr(), src as *const u8, dst.len()) } {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Copies from the program, returning how many bytes were copied before a fault (0: none).
#[inline]
pub fn copy_in_partial(dst: &mut [u8], src: usize) -> usize {
    // SAFETY: `dst` is a kernel buffer.
    dst.len() - unsafe { checked(src, dst.as_mut_ptr(), src as *const u8, dst.len()) }
}

/// Copies to the program.
pub fn copy_out(dst: usize, src: &[u8]) -> Result<()> {
    if copy_out_partial(dst, src) == src.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Copies to the program, returning how many bytes were copied before a fault (0: none).
#[inline]
pub fn copy_out_partial(dst: usize, src: &[u8]) -> usize {
    // SAFETY: `src` is a kernel buffer.
    src.len() - unsafe { checked(dst, dst as *mut u8, src.as_ptr(), src.len()) }
}

/// Copies to the program without faulting: up to the first page that is absent or not writable. Returns how much. For
/// use while a lock is held that a fault may take; after a short copy, the caller copies the rest without that lock.
#[inline(never)]
pub fn copy_out_present(dst: usize, src: &[u8]) -> usize {
    // SAFETY: as in `copy_out`.
    without_faults(dst, src.len(), |at, n| unsafe { upcall::copy((dst + at) as *mut u8, src[at..].as_ptr(), n) })
}

/// The same, from the program.
#[inline(never)]
pub fn copy_in_present(dst: &mut [u8], src: usize) -> usize {
    // SAFETY: as in `copy_in`.
    without_faults(src, dst.len(), |at, n| unsafe { upcall::copy(dst[at..].as_mut_ptr(), (src + at) as *const u8, n) })
}

/// Most bytes that are copied before another thread may run.
const AT_ONCE: usize = 64 << 10;

/// Where a thread must not be switched out, a page fault is fixed up at once instead of being resolved. `copy` copies
/// the given number of bytes from an offset on, and returns how many it did not copy.
#[inline(always)]
fn without_faults(program: usize, len: usize, mut copy: impl FnMut(usize, usize) -> usize) -> usize {
    let mut part = |done, n| {
        preempt_disable();
        let left = copy(done, n);
        preempt_enable();
        n - left
    };
    if len <= AT_ONCE && upcall::surely_program(program, len) {
        return part(0, len);
    }
    if check(program, len).is_err() {
        return 0;
    }
    let mut done = 0;
    while done < len {
        let n = (len - done).min(AT_ONCE);
        let copied = part(done, n);
        done += copied;
        if copied < n {
            break;
        }
    }
    done
}

/// Copies part of a page to the program; returns how many bytes were copied before a fault. Panics when out of range.
pub fn copy_out_page(dst: usize, page: &Page, off: usize, len: usize) -> usize {
    assert!(off <= PAGE_SIZE && len <= PAGE_SIZE - off);
    // SAFETY: inside the page, whose bytes may be read while others write them.
    len - unsafe { checked(dst, dst as *mut u8, page.addr().add(off), len) }
}

/// Copies from the program into a page; returns how many bytes were copied before a fault. Panics when out of range of
/// the page.
pub fn copy_in_page(page: &Page, off: usize, src: usize, len: usize) -> usize {
    assert!(off <= PAGE_SIZE && len <= PAGE_SIZE - off);
    // SAFETY: inside the page, whose bytes may be written at any time.
    len - unsafe { checked(src, page.addr().add(off), src as *const u8, len) }
}

/// Reads a value.
pub fn read<T: Pod>(from: impl Into<In<T>>) -> Result<T> {
    let mut v = T::new_zeroed();
    copy_in(v.as_mut_bytes(), from.into().address())?;
    Ok(v)
}

/// Reads a value unless the address is null.
pub fn read_opt<T: Pod>(from: impl Into<In<T>>) -> Result<Option<T>> {
    from.into().given().map(read).transpose()
}

/// Reads the first `n` bytes of a value that the program may know as a shorter one; the rest is zero.
pub fn read_front<T: Pod>(from: impl Into<In<T>>, n: usize) -> Result<T> {
    let mut v = T::new_zeroed();
    copy_in(&mut v.as_mut_bytes()[..n], from.into().address())?;
    Ok(v)
}

/// Writes the first `n` bytes of a value.
pub fn write_front<T: Pod>(to: impl Into<Out<T>>, v: &T, n: usize) -> Result<()> {
    copy_out(to.into().address(), &v.as_bytes()[..n])
}

/// Writes a value.
pub fn write<T: Pod>(to: impl Into<Out<T>>, v: &T) -> Result<()> {
    copy_out(to.into().address(), v.as_bytes())
}

/// Writes a value unless the address is null.
pub fn write_opt<T: Pod>(to: impl Into<Out<T>>, v: &T) -> Result<()> {
    match to.into().given() {
        None => Ok(()),
        Some(to) => write(to, v),
    }
}

/// Reads `n` values.
pub fn read_vec<T: Pod>(from: impl Into<In<T>>, n: usize) -> Result<Vec<T>> {
    let addr = from.into().address();
    check(addr, n.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?)?;
    let mut v = Vec::new();
    v.try_reserve_exact(n)?;
    v.resize(n, T::new_zeroed());
    copy_in(v.as_mut_slice().as_mut_bytes(), addr)?;
    Ok(v)
}

/// Longest path, with its NUL (PATH_MAX).
pub const PATH_MAX: usize = 4096;

/// A string of the program. A short one takes no memory of its own.
pub struct Text {
    short: [u8; Text::SHORT],
    len: usize,
    long: Vec<u8>,
}

impl Text {
    const SHORT: usize = 96;
}

impl core::ops::Deref for Text {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.len] } else { &self.long }
    }
}

impl Text {
    const fn new() -> Self {
        Self { short: [0; Self::SHORT], len: 0, long: Vec::new() }
    }
    #[inline(never)]
    fn read(&mut self, string: Str, max: usize) -> Result<()> {
        // Never past the end of the page, which may be the last one mapped.
        let n = (PAGE_SIZE - string.0 % PAGE_SIZE).min(max).min(Self::SHORT);
        copy_in(&mut self.short[..n], string.0)?;
        match find_from(&self.short[..n], 0, 0) {
            Some(end) => self.len = end,
            None => self.long = read_rest(string.0 + n, &self.short[..n], max)?,
        }
        Ok(())
    }
}

/// Reads a string of at most `max` bytes, its NUL included: ENAMETOOLONG if there is no NUL.
pub fn read_string(string: Str, max: usize) -> Result<Text> {
    let mut text = Text::new();
    text.read(string, max)?;
    Ok(text)
}

/// Reads a path argument for `then`, which calls that are made often do without another copy.
#[inline]
pub fn with_path<R>(path: Path, then: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    let mut text = Text::new();
    text.read(Str(path.0), PATH_MAX)?;
    then(&text)
}

#[cold]
fn read_rest(mut at: usize, begin: &[u8], max: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve(2 * begin.len())?;
    out.extend_from_slice(begin);
    while out.len() < max {
        let n = (PAGE_SIZE - at % PAGE_SIZE).min(max - out.len()).min(256);
        let mut chunk = [0; 256];
        copy_in(&mut chunk[..n], at)?;
        out.try_reserve(n)?;
        match find_from(&chunk[..n], 0, 0) {
            Some(end) => {
                out.extend_from_slice(&chunk[..end]);
                return Ok(out);
            }
            None => out.extend_from_slice(&chunk[..n]),
        }
        at += n;
    }
    Err(Errno::ENAMETOOLONG)
}

/// Reads a path argument. Paths are bytes; this kernel requires UTF-8 only where it prints them.
pub fn read_path(path: Path) -> Result<Text> {
    read_string(Str(path.0), PATH_MAX)
}

/// For log lines.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_any_length() {
        for len in (0..300).chain([PATH_MAX - 1]) {
            let mut bytes: Vec<u8> = (0..len).map(|i| 1 + (i % 255) as u8).collect();
            bytes.push(0);
            let text = read_string(Str(bytes.as_ptr() as usize), PATH_MAX).unwrap();
            assert_eq!(&text[..], &bytes[..len]);
            let short = read_string(Str(bytes.as_ptr() as usize), len);
            assert!(matches!(short, Err(Errno::ENAMETOOLONG)));
        }
    }
}

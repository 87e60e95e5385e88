//! 9P connections: what drivers offer and the file system (`libos-p9`) uses.

use crate::Result;
use crate::page::Page;
use alloc::sync::Arc;

/// File content that goes with a message.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// None: the reply is everything.
    None,
    /// The first bytes of these pages follow the request.
    Out(&'a [Arc<Page>], usize),
    /// What follows the beginning of the reply (as many bytes as the caller's buffer holds) goes into these pages.
    In(&'a [Arc<Page>], usize),
}

/// The connection to the server.
pub trait Transport: Send + Sync {
    /// Most pages that can go with one message.
    fn max_pages(&self) -> usize;
    /// Sends a request and waits for its reply; returns the reply's length as the server says, payload included (no
    /// more than there was room for). The transport chooses the tag, unless it is NOTAG. Several threads may call this
    /// at the same time. EIO: it does not work any more.
    fn call(&self, request: &[u8], payload: Payload<'_>, reply: &mut [u8]) -> Result<usize>;
    /// Sends a request whose reply nobody wants; false: not possible without waiting.
    fn post(&self, request: &[u8]) -> bool;
}

//! Whose what the program makes is. The server is told the group with each request, and knows one user: it is told of
//! another one afterwards.

use crate::inode::P9Inode;
use alloc::sync::Arc;
use libos_base::cred;
use libos_fs::inode::{Inode, SetAttr};

const SET_GID: u32 = 0o2000;

/// The group of what is made in `dir`, and the bit that directories get: a set-group-ID directory passes both on.
pub fn group(dir: &P9Inode) -> (u32, u32) {
    let attr = dir.state.lock().attr;
    if attr.mode & SET_GID != 0 { (attr.gid, SET_GID) } else { (cred::owner().1, 0) }
}

/// What was made becomes the program's, where the server lets us.
pub fn give(made: Arc<P9Inode>) -> Arc<P9Inode> {
    let uid = cred::owner().0;
    if uid != 0 {
        let _ = made.set_attr(&SetAttr::owner(uid, u32::MAX));
    }
    made
}

//! Ownership of what the program creates. The server gets the group with each request but knows only one user, so
//! another user is set afterwards.

use crate::object::P9Inode;
use alloc::sync::Arc;
use libos_base::cred;
use libos_fs::inode::{Inode, SetAttr};

const SET_GID: u32 = 0o2000;

/// The group of objects created in `dir`, and the bit for directories: a set-group-ID directory passes both on.
pub fn group(dir: &P9Inode) -> (u32, u32) {
    let attr = dir.state.lock().attr;
    if attr.mode & SET_GID != 0 { (attr.gid, SET_GID) } else { (cred::owner().1, 0) }
}

/// Makes the program's user the owner of a new object, where the server permits it.
pub fn give(made: Arc<P9Inode>) -> Arc<P9Inode> {
    let uid = cred::owner().0;
    if uid != 0 {
        let _ = made.set_attr(&SetAttr::owner(uid, u32::MAX));
    }
    made
}

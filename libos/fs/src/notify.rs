//! Reports what happens to files to watchers (inotify). Without any, it costs one look at a pointer, and a program that
//! does not link inotify does not link the reporting.

use crate::dentry::{Dentry, Path};
use crate::inode::Inode;
use alloc::sync::Arc;
use libos_base::abi::InotifyMask;
use libos_base::sync::Provider;

/// Something happened: to an entry of a directory, to an object, or to both.
pub(crate) struct Event<'a> {
    pub dir: Option<(&'a Arc<dyn Inode>, &'a [u8])>,
    pub object: &'a Arc<dyn Inode>,
    /// Whether watchers of the object itself are notified, too.
    pub to_object: bool,
    /// The name no longer exists.
    pub unlinked: bool,
    pub mask: InotifyMask,
    pub cookie: u32,
}

/// Receives the events.
pub(crate) static HOOK: Provider<fn(&Event<'_>)> = Provider::new();

/// An event on an object that was reached by name.
#[inline]
pub(crate) fn at(d: &Arc<Dentry>, mask: InotifyMask) {
    if let Some(hook) = HOOK.get() {
        tell(*hook, d, mask);
    }
}

#[inline(never)]
fn tell(hook: fn(&Event<'_>), d: &Arc<Dentry>, mask: InotifyMask) {
    let (parent, name) = (d.parent(), d.name());
    let dir = parent.as_ref().map(|p| (&p.inode, &name[..]));
    hook(&Event { dir, object: &d.inode, to_object: true, unlinked: d.removed(), mask, cookie: 0 });
}

/// An event on a directory entry.
#[inline(never)]
pub(crate) fn entry(dir: &Path, name: &[u8], object: &Arc<dyn Inode>, mask: InotifyMask, cookie: u32) {
    if let Some(hook) = HOOK.get() {
        let dir = Some((dir.inode(), name));
        hook(&Event { dir, object, to_object: false, unlinked: false, mask, cookie });
    }
}

/// An event on an object by itself.
#[inline(never)]
pub(crate) fn object(object: &Arc<dyn Inode>, mask: InotifyMask) {
    if let Some(hook) = HOOK.get() {
        hook(&Event { dir: None, object, to_object: true, unlinked: false, mask, cookie: 0 });
    }
}

/// The name is gone, or a description of it is: if `d` was the last of both, the object is gone too, unless it has
/// another name.
#[inline(never)]
pub(crate) fn gone(d: &Arc<Dentry>) {
    if HOOK.get().is_some()
        && d.removed()
        && Arc::strong_count(d) == 1
        && (d.inode.is_dir() || d.inode.stat().is_ok_and(|s| s.nlink == 0))
    {
        object(&d.inode, InotifyMask::DELETE_SELF);
    }
}

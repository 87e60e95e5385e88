//! What is left to do before the machine stops: everything durable, every volume closed.

use libos_base::sync::Once;

/// Set when there is a file system that needs it, so that other programs do not link it.
static AT_END: Once<fn()> = Once::new();

/// Sees to it that all mounts are made durable and closed when the machine stops.
pub fn at_end() {
    AT_END.set(|| close_all);
}

/// What is to be done before the machine stops, if anything. It may wait for devices.
pub fn end() -> Option<fn()> {
    AT_END.get().copied()
}

fn close_all() {
    if let Err(e) = crate::cache::write_back_all() {
        libos_base::error!("file data could not be written: {e}");
    }
    // What was mounted last goes first.
    for m in crate::mount::list().into_iter().rev() {
        if let Err(e) = m.fs.unmount() {
            libos_base::error!("{}: {e} while it was closed", m.fs.name());
        }
    }
}

//! The whole of `/proc`, and `/sys`.

crate::component!("proc", optional, wanted by [open, openat, openat2], starts start);

extern "C" fn start() {
    libos_fs::procfs::whole::provide();
}

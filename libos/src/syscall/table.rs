//! Entry symbols and dispatcher for every line of the table of calls (`libos/abi/src/table.rs`).

libos_base::calls!(crate::syscalls);

//! The terminal: its window, the signals typed at it, and the line discipline for programs that read.

use crate::signal;
use libos_base::abi::signal::{SIGINT, SIGQUIT, SIGWINCH};
use libos_fs::console;
use unibody_proto::terminal::Terminal;

/// The host reports a new window size.
pub fn set_window(rows: u16, cols: u16) {
    if console::set_window([rows, cols, 0, 0]) && console::terminal().is_some() {
        signal::post_process(SIGWINCH);
    }
}

/// Handles input that arrived, or room for output. Returns whether all output was handed over.
pub fn look() -> bool {
    if let Some(done) = console::look() {
        return done;
    }
    // Without a line discipline (the program reads nothing, or was linked without it), Ctrl-C and Ctrl-\ still mean what they mean.
    if let Some(stream) = console::terminal() {
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            match byte[0] {
                3 => signal::post_process(SIGINT),
                0x1c => signal::post_process(SIGQUIT),
                _ => {}
            }
        }
    }
    true
}

crate::component!("terminal", optional, wanted by [read, readv], starts install_line_discipline);

/// Installs the line discipline if the streams are a terminal.
extern "C" fn install_line_discipline() {
    let Some(stream) = console::terminal() else { return };
    let terminal = crate::params::parameters().tty.as_deref().and_then(Terminal::parse).unwrap_or_default();
    if let Err(e) = libos_fs::tty::install(libos_fs::files(), stream.clone(), &terminal, signal::post_process) {
        libos_base::warn!("the terminal works without line editing: {e}");
    }
}

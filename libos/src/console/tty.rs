//! The terminal: its window, the signals that are typed, and the line discipline for programs that read.

use crate::signal;
use alloc::sync::Arc;
use libos_base::Result;
use libos_base::sync::Once;
use libos_fs::console::{self, Stream};
use unibody_proto::terminal::Terminal;

static TERMINAL: Once<(Arc<dyn Stream>, Terminal)> = Once::new();

const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGWINCH: i32 = 28;

/// The program's streams are this terminal.
pub fn remember(stream: Arc<dyn Stream>, terminal: Terminal) {
    console::set_window([terminal.rows, terminal.cols, 0, 0]);
    TERMINAL.set(|| (stream, terminal));
}

/// The host tells of another size.
pub fn set_window(rows: u16, cols: u16) {
    if console::set_window([rows, cols, 0, 0]) && TERMINAL.get().is_some() {
        signal::post_process(SIGWINCH);
    }
}

/// Something arrived, or there is room. Whether all output was handed over.
pub fn look() -> bool {
    console::look().unwrap_or_else(|| {
        if let Some((stream, _)) = TERMINAL.get() {
            signals_only(&**stream);
        }
        true
    })
}

/// Without a line discipline (the program reads nothing), Ctrl-C and Ctrl-\ still mean what they mean.
fn signals_only(stream: &dyn Stream) {
    let mut buf = [0; 16];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        for b in &buf[..n] {
            match b {
                3 => signal::post_process(SIGINT),
                0x1c => signal::post_process(SIGQUIT),
                _ => {}
            }
        }
    }
}

// read, readv
crate::init_with!(0, install);
crate::init_with!(19, install);

/// Puts the line discipline in.
extern "C" fn install() {
    if let Some((stream, terminal)) = TERMINAL.get()
        && let Err(e) = start(stream.clone(), terminal)
    {
        libos_base::warn!("the terminal works without line editing: {e}");
    }
}

fn start(stream: Arc<dyn Stream>, terminal: &Terminal) -> Result<()> {
    libos_fs::tty::install(libos_fs::process(), stream, terminal, signal::post_process)
}

//! Who holds a port: the process behind a listening socket, as far as /proc shows it to this user.

use std::fs;
use unibody_proto::control::Transport;

/// `by NAME (process N)`, or `None` when it cannot be seen.
pub fn of(transport: Transport, port: u16) -> Option<String> {
    let name = transport.name();
    let tables = [format!("/proc/net/{name}"), format!("/proc/net/{name}6")];
    let inode = tables.iter().find_map(|table| socket_inode(&fs::read_to_string(table).ok()?, transport, port))?;
    let target = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name();
        let Some(pid) = pid.to_str().filter(|pid| pid.bytes().all(|b| b.is_ascii_digit())) else { continue };
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        if fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target.as_str())) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("by {} (process {pid})", command.trim_end()));
        }
    }
    None
}

/// The inode of the socket that listens on (UDP: is bound to) a port, from a table like /proc/net/tcp (proc(5)).
fn socket_inode(table: &str, transport: Transport, port: u16) -> Option<String> {
    // TCP_LISTEN is 0A; an unconnected UDP socket shows as TCP_CLOSE, 07.
    let state = if transport == Transport::Tcp { "0A" } else { "07" };
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let local = fields.get(1)?.rsplit(':').next()?;
        (u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == state)
            .then(|| fields.get(9).map(|inode| inode.to_string()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = of(Transport::Tcp, listener.local_addr().unwrap().port());
        // Inside some sandboxes /proc/net is empty; what is found must be right.
        if let Some(holder) = holder {
            assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
        }
    }
}

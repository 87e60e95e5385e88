//! nginx in a VM: it answers as the same image does as a Linux process; signals; load.

mod backends;
mod caches;
mod configurations;
mod control;
mod exits;
mod gateways;
mod http;
mod lives;
mod load;
mod mail;
mod media;
mod modules;
mod semantics;
mod site;
mod soak;
mod streams;

pub use http::get;
pub use site::{Site, content};

use super::case::{Case, Need};

/// All of them: they share two images. Those under load, or in little memory, run the small one.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Nginx];
    all.push(Case::new("nginx/version", control::version).needs(NEEDS));
    all.push(Case::new("nginx/http", semantics::compare).needs(NEEDS));
    all.push(Case::new("nginx/http-microvm-16M", semantics::small).needs(NEEDS));
    all.push(Case::new("nginx/http-microvm-4M", semantics::least).needs(NEEDS));
    for (name, of) in [("nginx/configurations", Site::new as fn(&_) -> _), ("nginx/configurations-lean", Site::lean)] {
        all.push(Case::new(name, move |context| configurations::compare(context, &of(context)?)).needs(NEEDS));
    }
    all.push(Case::new("nginx/modules", modules::compare).needs(NEEDS));
    all.push(Case::new("nginx/gateways", gateways::compare).needs(NEEDS));
    all.push(Case::new("nginx/caches", caches::compare).needs(NEEDS));
    all.push(Case::new("nginx/stream", streams::compare).needs(NEEDS));
    all.push(Case::new("nginx/stream-reload", streams::reload).needs(NEEDS));
    all.push(Case::new("nginx/mail", mail::compare).needs(NEEDS));
    all.push(Case::new("nginx/unix-sockets", configurations::unix).needs(NEEDS));
    all.push(Case::new("nginx/dhcp", semantics::dhcp).needs(NEEDS));
    all.push(Case::new("nginx/reload-and-reopen", control::reload).needs(NEEDS));
    all.push(Case::new("nginx/signal-at-once", control::signal_at_once).needs(NEEDS));
    all.push(Case::new("nginx/stop", control::stop).needs(NEEDS));
    all.push(Case::new("nginx/bad-configuration", control::bad_configuration).needs(NEEDS));
    all.push(Case::new("nginx/direct-start", control::direct_start).needs(NEEDS));
    all.push(Case::new("nginx/first-answer", load::first_answer).needs(NEEDS).alone());
    exits::cases(all);
    load::cases(all, full);
    if full {
        soak::cases(all);
    }
}

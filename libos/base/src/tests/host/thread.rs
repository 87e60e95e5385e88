//! Threads of the host as threads of the kernel.

use crate::thread::{FOREVER, Park, Wake};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Default)]
pub struct HostThread {
    token: Mutex<bool>,
    wake: Condvar,
}

std::thread_local! {
    static ME: Arc<HostThread> = Arc::new(HostThread::default());
}

impl HostThread {
    pub fn current() -> Arc<dyn Park> {
        ME.with(|m| m.clone() as Arc<dyn Park>)
    }
    pub fn park(deadline_ns: u64) -> Wake {
        let me = ME.with(Arc::clone);
        let mut token = me.token.lock().unwrap();
        while !*token {
            if deadline_ns == FOREVER {
                token = me.wake.wait(token).unwrap();
            } else {
                let now = crate::time::monotonic_ns();
                if now >= deadline_ns {
                    return Wake::Timeout;
                }
                token = me.wake.wait_timeout(token, Duration::from_nanos(deadline_ns - now)).unwrap().0;
            }
        }
        *token = false;
        Wake::Token
    }
}

impl Park for HostThread {
    fn unpark(&self) {
        *self.token.lock().unwrap() = true;
        self.wake.notify_one();
    }
}

//! Running cases: shared ones on as many threads as there are processors, the others by themselves.

use super::case::{Case, Lane, Tally};
use super::context::Context;
use super::{process, report};
use anyhow::{Result, anyhow};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The result of a case.
pub struct Done {
    pub name: String,
    /// What it counted, or why it failed.
    pub result: Result<Tally>,
    /// How long it took.
    pub took: Duration,
}

/// Runs them all: in order, consecutive shared ones at the same time.
pub fn run(context: &Arc<Context>, cases: Vec<Case>) -> Vec<Done> {
    let mut results = Vec::new();
    let progress = report::Progress::new(cases.len());
    let mut rest: VecDeque<Case> = cases.into();
    while let Some(case) = rest.pop_front() {
        if process::interrupted() {
            break;
        }
        if case.lane == Lane::Alone {
            results.push(one(context, case, &progress));
            continue;
        }
        let mut batch = VecDeque::from([case]);
        while rest.front().is_some_and(|next| next.lane == Lane::Shared) {
            batch.extend(rest.pop_front());
        }
        results.extend(together(context, batch, &progress));
    }
    results
}

fn together(context: &Arc<Context>, batch: VecDeque<Case>, progress: &report::Progress) -> Vec<Done> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8).min(batch.len());
    let queue = Mutex::new(batch);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !process::interrupted() {
                    let Some(case) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { break };
                    let done = one(context, case, progress);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(done);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(context: &Arc<Context>, case: Case, progress: &report::Progress) -> Done {
    let Case { name, needs, limit, body, .. } = case;
    let start = Instant::now();
    process::set_limit(limit);
    let result = match needs.iter().find_map(|need| context.unmet(*need)) {
        Some(Ok(reason)) => Ok(Tally::skip(reason)),
        Some(Err(reason)) => Err(anyhow!(reason)),
        None => std::panic::catch_unwind(AssertUnwindSafe(|| body(context)))
            .unwrap_or_else(|_| Err(anyhow!("the case itself broke; see the message above"))),
    };
    let done = Done { name, result, took: start.elapsed() };
    progress.done(&done);
    done
}

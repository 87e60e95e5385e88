use super::super::{IrqSpinLock, Mutex, SpinLock, class};
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;

/// What the checker says about `f`, which breaks the rules.
fn refused(f: impl FnOnce()) -> String {
    let said = catch_unwind(AssertUnwindSafe(f)).expect_err("nothing was said");
    said.downcast_ref::<String>().cloned().expect("a message")
}

#[test]
fn the_wrong_order_is_refused_and_both_places_are_told() {
    let (outer, inner) = (Mutex::new(class::RENAME, ()), Mutex::new(class::PIPE, ()));
    drop((outer.lock(), inner.lock()));
    let held = inner.lock();
    let said = refused(|| drop(outer.lock()));
    assert!(
        said.starts_with("lock order: RENAME is taken at ") && said.contains("under PIPE; PIPE was taken at "),
        "{said}"
    );
    assert!(said.matches("check/tests.rs:").count() == 2, "{said}");
    drop(held);
    drop(outer.lock());
}

#[test]
fn of_one_class_only_those_nest_that_say_in_which_order() {
    let pipes = [(); 2].map(|()| Mutex::new(class::PIPE, ()));
    let held = pipes[0].lock();
    refused(|| drop(pipes[1].lock()));
    refused(|| drop(pipes[0].lock()));
    drop(held);
    let directories = [(); 2].map(|()| Mutex::new(class::DIRECTORY, ()));
    let parent = directories[0].lock();
    drop(directories[1].lock_nested(1));
    refused(|| drop(directories[1].lock()));
    refused(|| drop(directories[0].lock_nested(1)));
    drop(parent);
}

#[test]
fn an_attempt_cannot_wait_so_it_is_in_no_order() {
    let (outer, inner) = (Mutex::new(class::RENAME, ()), Mutex::new(class::PIPE, ()));
    let _held = inner.lock();
    let _tried = outer.try_lock().unwrap();
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let (outer, inner) = (Mutex::new(class::RENAME, ()), IrqSpinLock::new(class::WAIT, ()));
    let (a, b) = (outer.lock(), inner.lock());
    drop(a);
    drop(b);
    nothing_held("the end");
}

#[test]
fn under_a_spin_lock_nobody_waits_or_touches_the_program() {
    let (spin, mutex) = (SpinLock::new(class::FD_TABLE, ()), Mutex::new(class::PIPE, ()));
    let held = spin.lock();
    let said = refused(|| drop(mutex.lock()));
    assert!(said.starts_with("the thread may wait for PIPE"), "{said}");
    let said = refused(|| _ = crate::user::read::<u8>(crate::abi::In::new(crate::layout::PROGRAM_START)));
    assert!(said.starts_with("program memory is touched under FD_TABLE"), "{said}");
    drop(held);
    may_wait();
}

#[test]
fn what_a_fault_takes_is_not_held_where_one_may_happen() {
    let space = Mutex::new(class::SPACE, ());
    let held = space.lock();
    refused(may_fault);
    refused(|| nothing_held("the end"));
    drop(held);
    may_fault();
}

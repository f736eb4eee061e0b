//! Memory barriers in other processes that the system stops making: nobody waits longer for that.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;

use sharehold::{Segment, Shared};
use sharehold_testkit::raw::forbid_system_call;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, created};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_waiter_for_changes_polls_once_membarrier_is_denied)
        .test(a_waiter_for_the_lock_requests_fences_once_membarrier_is_denied)
        .role(waits_for_a_change_without_barriers)
        .role(waits_for_the_lock_without_barriers)
}

/// The word `fenced` of the header: see docs/format.md.
fn fences_are_asked_for() -> bool {
    const FENCED: u64 = 140;
    let file = File::open(directory().join(&left_in_directory()[0])).expect("it is there");
    let mut word = [0; 4];
    file.read_exact_at(&mut word, FENCED).expect("it is whole");
    u32::from_ne_bytes(word) == 1
}

/// Waits until the child sleeps on a word of memory; whether its sleep has a limit.
fn sleeps_with_a_limit(child: &Child) -> bool {
    let path = format!("/proc/{}/syscall", child.pid());
    loop {
        let call = fs::read_to_string(&path).expect("it is a child");
        let mut words = call.split(' ');
        if words.next() == Some(&libc::SYS_futex.to_string()) {
            // The fourth argument is the address of the limit.
            return words.nth(3) != Some("0x0");
        }
        thread::yield_now();
    }
}

fn waits_for_a_change_without_barriers(test: &mut Talk) {
    let value = Shared::<u64>::attach(KEY).expect("it is there");
    forbid_system_call(libc::SYS_membarrier);
    test.say("ready");
    value.wait_while(|value| *value == 0).expect("it changes");
    test.say("changed");
}

fn a_waiter_for_changes_polls_once_membarrier_is_denied() {
    let value = Shared::<u64>::create(KEY, &0).expect("nothing has the key");
    let mut child = Child::of(waits_for_a_change_without_barriers);
    child.hears("ready");
    assert!(sleeps_with_a_limit(&child), "it trusts to be woken");
    assert!(fences_are_asked_for());
    value.set(&1).expect("nobody has the lock");
    child.hears("changed");
    child.ends_well();
}

fn waits_for_the_lock_without_barriers(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    forbid_system_call(libc::SYS_membarrier);
    test.say("ready");
    drop(segment.lock().expect("it is released"));
    test.say("locked");
}

fn a_waiter_for_the_lock_requests_fences_once_membarrier_is_denied() {
    let segment = created();
    let bytes = segment.lock().expect("it is free");
    let mut child = Child::of(waits_for_the_lock_without_barriers);
    child.hears("ready");
    assert!(sleeps_with_a_limit(&child), "it trusts to be woken");
    assert!(fences_are_asked_for());
    drop(bytes);
    child.hears("locked");
    child.ends_well();
}

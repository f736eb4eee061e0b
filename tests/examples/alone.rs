//! Examples in which one process at a time has something: a name, an office, a book, a message.

use sharehold_testkit::Suite;

use crate::{become_example, enter, remove_persistent, start};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .role(become_example)
        .test(a_second_instance_is_refused_until_the_first_is_killed)
        .test(a_standby_leads_when_the_leader_is_killed_or_resigns)
        .test(a_total_is_repaired_after_a_death_between_two_writes)
        .test(a_message_grows_and_stays_while_a_process_is_attached)
}

fn a_second_instance_is_refused_until_the_first_is_killed() {
    let mut first = start("single_instance", &[]);
    let only = |pid| format!("pid {pid} is the only instance; press Enter to end it");
    first.hears(&only(first.pid()));

    let mut second = start("single_instance", &[]);
    second.hears(&format!("pid {} runs already", first.pid()));
    assert_eq!(second.end().code(), Some(1));

    first.kill();
    let mut third = start("single_instance", &[]);
    third.hears(&only(third.pid()));
    enter(&mut third);
    third.ends_well();
}

fn a_standby_leads_when_the_leader_is_killed_or_resigns() {
    let leads = |pid, term| format!("pid {pid} leads in term {term}; press Enter to resign");
    let mut first = start("leader", &[]);
    first.hears(&leads(first.pid(), 1));

    let mut second = start("leader", &[]);
    let (leader, standby) = (first.pid(), second.pid());
    second.hears(&format!("pid {leader} leads; pid {standby} stands by"));

    first.kill();
    second.hears(&format!("pid {leader} (leader) died holding it"));
    second.hears(&leads(standby, 2));

    let mut third = start("leader", &[]);
    third.hears(&format!(
        "pid {standby} leads; pid {} stands by",
        third.pid()
    ));
    enter(&mut second);
    second.hears(&format!("pid {standby} resigns"));
    third.hears(&leads(third.pid(), 3));
    second.ends_well();
    third.ends_well();
}

fn a_total_is_repaired_after_a_death_between_two_writes() {
    let wrote =
        |amount| format!("wrote the amount {amount}, but not the total; press Enter to go on");
    let died = |pid, was, is| {
        format!("pid {pid} (recover_bytes) died holding it; the total was {was}, and is {is}")
    };
    let mut whole = start("recover_bytes", &["5"]);
    whole.hears(&wrote(5));
    enter(&mut whole);
    whole.hears("the total is 5");
    whole.ends_well();

    // A process that waits for the lock repairs the bytes.
    let mut killed = start("recover_bytes", &["7"]);
    killed.hears(&wrote(7));
    let mut waiter = start("recover_bytes", &["1"]);
    waiter.waits_for_memory();
    killed.kill();
    waiter.hears(&died(killed.pid(), 5, 12));
    waiter.hears(&wrote(1));

    // So does a process that attaches when no other one is left.
    waiter.kill();
    let mut last = start("recover_bytes", &["1"]);
    last.hears(&died(waiter.pid(), 12, 13));
    last.hears(&wrote(1));
    enter(&mut last);
    last.hears("the total is 14");
    last.ends_well();
    remove_persistent("com.example.recover-bytes");
}

fn a_message_grows_and_stays_while_a_process_is_attached() {
    const GREETING: &str = "Hello from another process!";
    let long = "A longer message, ".repeat(5);

    let mut first = start("message", &[]);
    first.hears("there is no message yet");
    first.hears(&format!("wrote: {GREETING}"));
    first.hears("press Enter to detach");

    let mut second = start("message", &[&long]);
    second.hears(&format!("found the message: {GREETING}"));
    let grown = second.hear();
    assert!(grown.starts_with("the segment has "), "{grown}");
    second.hears(&format!("wrote: {long}"));
    second.hears("press Enter to detach");

    first.kill();
    let mut third = start("message", &["short"]);
    third.hears(&format!("found the message: {long}"));
    third.hears("wrote: short");
    third.hears("press Enter to detach");

    // The last process is killed, and its message is gone.
    enter(&mut second);
    second.ends_well();
    third.kill();
    let mut fourth = start("message", &[]);
    fourth.hears("there is no message yet");
    fourth.ends_well();
}

//! Daemons and processes that execute another program: they live on without the descriptors that
//! the library opened for them.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment};
use sharehold_testkit::raw::{Fork, close_all_descriptors};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, LONG, attached, created, describe, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_daemon_that_closed_its_descriptors_is_not_robbed_until_it_dies)
        .test(a_daemon_that_closed_its_descriptors_still_gets_the_lock_from_the_dead)
        .test(a_daemon_that_closed_its_descriptors_rolls_back_in_memory_that_came_later)
        .test(a_handle_without_its_descriptor_touches_no_file_that_took_the_number)
        .test(a_daemon_that_attaches_again_keeps_the_new_handle_when_the_old_one_goes)
        .test(a_process_that_becomes_another_program_holds_nothing)
        .test(a_program_that_starts_itself_again_uses_up_no_slots)
        .role(daemon)
        .role(daemon_that_waits)
        .role(daemon_that_reads)
        .role(dies_in_a_transaction)
        .role(becomes_another)
        .role(starts_again)
}

/// Holds the lock and closes all descriptors; then says so, and lets it go when told.
pub(crate) fn daemon(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let mut bytes = segment.lock().expect("it is free");
    close_all_descriptors();
    bytes.write(0, b"daemon").expect("there is room");
    test.say("closed");
    test.hear();
    bytes.write(0, b"unlock").expect("there is room");
    drop(bytes);
    test.say("unlocked");
    test.wait_for_end();
}

fn a_daemon_that_closed_its_descriptors_is_not_robbed_until_it_dies() {
    let segment = created();
    let mut child = Child::of(daemon);
    child.hears("closed");
    let Err(LockError::NotAcquired(refused)) = segment.lock_timeout(Duration::from_millis(300))
    else {
        panic!("the daemon was robbed")
    };
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    assert_eq!(refused.holder().expect("it is known").pid, child.pid());
    assert_eq!(segment.attachments().expect("one may look").len(), 2);
    // Nor is its slot given to another, however many come.
    for _ in 0..300 {
        drop(Segment::attach(KEY).expect("there is room"));
    }
    segment.detach().expect("it can leave");
    let segment = Segment::attach(KEY).expect("the daemon keeps it alive");
    assert_eq!(child.ask("unlock"), "unlocked");
    let bytes = segment.lock().expect("nobody died");
    let mut six = [0; 6];
    bytes.read(0, &mut six).expect("there is room");
    assert_eq!(&six, b"unlock");
    drop(bytes);
    child.kill();

    let mut child = Child::of(daemon);
    child.hears("closed");
    child.kill();
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("the dead daemon still holds it")
    };
    assert_eq!(
        found.previous_owner().expect("it is known").pid,
        child.pid()
    );
}

/// Closes all descriptors and then waits for the lock.
fn daemon_that_waits(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    close_all_descriptors();
    let _other = test
        .argument(0)
        .parse()
        .is_ok_and(|open: bool| open)
        .then(|| {
            // Takes the number that the segment's file had.
            File::open("/dev/null").expect("it can be opened")
        });
    test.say("closed");
    test.say(describe(segment.lock()));
    test.wait_for_end();
}

fn a_daemon_that_closed_its_descriptors_still_gets_the_lock_from_the_dead() {
    for opens_another in [false, true] {
        let segment = created();
        let mut holder = attached();
        assert_eq!(holder.ask("lock"), "locked");
        let mut child = Child::with(daemon_that_waits, [opens_another.to_string()]);
        child.hears("closed");
        child.waits_for_memory();
        holder.kill();
        let said = child.hear();
        assert!(said.starts_with("Abandoned"), "{said}");
        // It is the last one out, too.
        segment.detach().expect("it can leave");
        child.ends_well();
        assert!(left_in_directory().is_empty());
    }
}

/// Where the segment does not reach before it grows.
const LATER: usize = 5000;

/// Closes all descriptors, and then reads a number that came later.
fn daemon_that_reads(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    close_all_descriptors();
    test.say("closed");
    test.hear();
    match segment.lock() {
        Ok(bytes) => test.say(bytes.read_at::<u64>(LATER).expect("it reaches so far")),
        Err(error) => test.say(error),
    }
    test.wait_for_end();
}

/// Overwrites that number in a transaction, in which it is killed.
fn dies_in_a_transaction(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let done: sharehold::Result<()> = segment.transaction(|tx| {
        tx.write_at(LATER, &2_u64)?;
        test.say("inside");
        test.wait_for_end();
        Ok(())
    });
    done.expect("the log has room");
}

fn a_daemon_that_closed_its_descriptors_rolls_back_in_memory_that_came_later() {
    let options = Segment::options().size(100).max_size(1 << 20).log(256);
    let segment = options.create(KEY).expect("nothing has the key");
    let mut daemon = Child::of(daemon_that_reads);
    daemon.hears("closed");
    segment.grow(2 * LATER).expect("there is memory");
    let mut bytes = segment.lock().expect("it is free");
    bytes.write_at(LATER, &1_u64).expect("so large it is");
    drop(bytes);
    let mut victim = Child::of(dies_in_a_transaction);
    victim.hears("inside");
    victim.kill();
    assert_eq!(daemon.ask("read"), "1");
    daemon.ends_well();
}

fn a_handle_without_its_descriptor_touches_no_file_that_took_the_number() {
    let segment = Segment::options()
        .size(8)
        .max_size(1 << 20)
        .create(KEY)
        .expect("nothing has the key");
    let reader = Segment::attach_read_only(KEY).expect("it is there");
    close_all_descriptors();
    let path = directory().join("foreign");
    let mut foreign = Vec::new();
    // As many as there were, so that each number is taken again.
    for _ in 0..4 {
        let mut options = File::options();
        let options = options.read(true).append(true).create(true);
        foreign.push(options.open(&path).expect("it can be made"));
    }
    foreign[0].write_all(b"mine").expect("it is open");

    assert!(segment.grow(1 << 16).is_err(), "there is no file to grow");
    assert_eq!(fs::metadata(&path).expect("it is there").len(), 4);
    // What the library closes in a forked child is not this.
    let child = Fork::Fork.start(|| {
        let all_open = foreign
            .iter()
            .all(|file| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).is_ok());
        i32::from(!all_open)
    });
    assert_eq!(child.exit_code(), Some(0), "a forked child lost a file");
    drop(segment);
    drop(reader);
    for file in &foreign {
        assert_eq!(file.metadata().expect("it is still open").len(), 4);
    }
    fs::remove_file(&path).expect("it is there");
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));
}

fn a_daemon_that_attaches_again_keeps_the_new_handle_when_the_old_one_goes() {
    let old = created();
    close_all_descriptors();
    let new = Segment::attach(KEY).expect("this process keeps it alive");
    drop(old);
    let opened = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let files = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    assert_eq!(
        files.filter(|file| file.starts_with(directory())).count(),
        1
    );
    // The new one can still be asked about, and asks about others, through its own file.
    let mut other = attached();
    assert_eq!(other.ask("attachments"), "2");
    assert_eq!(new.attachments().expect("one may look").len(), 2);
    assert_eq!(other.ask("lock"), "locked");
    other.kill();
    let Err(LockError::Abandoned(_)) = new.lock_timeout(LONG) else {
        panic!("the dead one still holds it")
    };
    new.detach().expect("it can leave");
    assert!(left_in_directory().is_empty());
}

/// Becomes another program while it holds the lock.
fn becomes_another(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    test.say("locked");
    test.hear();
    let error = Command::new("cat").exec();
    panic!("{error}");
}

fn a_process_that_becomes_another_program_holds_nothing() {
    let segment = created();
    let mut child = Child::of(becomes_another);
    child.hears("locked");
    child.tell("go");
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("the program that is no more still holds it")
    };
    assert_eq!(
        found.previous_owner().expect("it is known").pid,
        child.pid()
    );
    drop(found.mark_consistent());
    assert_eq!(segment.attachments().expect("one may look").len(), 1);
    segment.detach().expect("it can leave");
    assert!(left_in_directory().is_empty());
    // All the while the other program lived, under the same number.
    assert_eq!(child.ask("echo"), "echo");
}

/// Attaches, takes the lock, and starts itself again, as often as the argument says.
fn starts_again(test: &mut Talk) {
    let left = test.number(0);
    let segment = Segment::attach(KEY).expect("there is a free slot");
    let bytes = match segment.lock_timeout(LONG) {
        Err(LockError::Abandoned(found)) => found.mark_consistent(),
        other => other.expect("the lock is to be had"),
    };
    if left > 0 {
        let myself = std::env::current_exe().expect("the program knows where it is");
        let error = Command::new(myself).arg((left - 1).to_string()).exec();
        panic!("{error}");
    }
    drop(bytes);
    test.say(segment.attachments().expect("one may look").len());
    test.wait_for_end();
}

fn a_program_that_starts_itself_again_uses_up_no_slots() {
    // Without address randomisation, each program has its code and its stack where the one before
    // had them.
    for wrapper in [&["env"][..], &["setarch", "--addr-no-randomize"]] {
        let segment = Segment::options()
            .size(8)
            .slots(3)
            .create(KEY)
            .expect("nothing has the key");
        let mut child = Child::under(wrapper, starts_again, ["20"]);
        child.hears("2");
        child.ends_well();
        segment.detach().expect("it can leave");
        assert!(left_in_directory().is_empty());
    }
}

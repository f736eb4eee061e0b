//! The attachment table: every living attachment has a slot, and slots of the dead are reused.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sharehold::{DestroyMode, ErrorKind, LockError, Policy, Segment};
use sharehold_testkit::raw::Fork;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, LONG, attached, holding, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(four_slots_serve_two_thousand_attachers_that_are_killed)
        .test(a_reused_slot_does_not_inherit_what_its_dead_owner_held)
        .test(a_full_table_is_an_error_that_says_so)
        .test(four_thousand_can_be_attached_at_once)
        .test(a_table_shows_its_attachments_after_four_billion_uses)
        .role(crowd)
}

fn four_slots_serve_two_thousand_attachers_that_are_killed() {
    let segment = Segment::options()
        .size(8)
        .slots(4)
        .create(KEY)
        .expect("nothing has the key");
    let mut reported = 0;
    for round in 0..2000 {
        let child = Fork::Fork.start(|| {
            let own = Segment::attach(KEY).expect("there is a free slot");
            let holding = (round % 2 == 0).then(|| own.lock());
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).expect("it may");
            drop(holding);
            0
        });
        let pid = child.pid();
        assert_eq!(child.exit_code(), None, "it was killed");
        match segment.lock() {
            Ok(_) => assert_eq!(round % 2, 1),
            Err(LockError::Abandoned(found)) => {
                // Its slot may have been the very one of the two before it.
                assert_eq!(
                    found
                        .previous_owner()
                        .map(|previous_owner| previous_owner.pid),
                    Some(pid)
                );
                drop(found.mark_consistent());
                reported += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(reported, 1000);
    let three: Vec<_> = (0..3).map(|_| Segment::attach(KEY)).collect();
    assert!(three.iter().all(Result::is_ok), "the dead keep no slot");
    assert_eq!(
        kind(Segment::attach(KEY)),
        Some(ErrorKind::TooManyAttachments)
    );
}

fn a_reused_slot_does_not_inherit_what_its_dead_owner_held() {
    let segment = Segment::options()
        .size(8)
        .slots(2)
        .create(KEY)
        .expect("nothing has the key");
    let mut dead = holding();
    dead.kill();
    let mut heir = attached();
    assert_eq!(heir.ask("slot"), "1");
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("the heir of its slot holds it now")
    };
    let previous_owner = found.previous_owner().expect("one has had its slot since");
    assert_eq!(
        (previous_owner.pid, previous_owner.slot),
        (dead.pid(), Some(1))
    );
    drop(found.mark_consistent());
    assert_eq!(heir.ask("lock"), "locked");
    heir.kill();
    // After two more, nobody remembers it; that it died is known all the same.
    attached().ends_well();
    attached().ends_well();
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("it is forgotten that somebody died")
    };
    assert_eq!(found.previous_owner(), None);
    let said = "a process that is no longer remembered died holding it";
    assert_eq!(found.to_string(), said);
}

fn a_full_table_is_an_error_that_says_so() {
    let options = Segment::options().size(8).slots(2);
    let first = options.create(KEY).expect("nothing has the key");
    let second = Segment::attach(KEY).expect("there is a slot");
    let error = Segment::attach(KEY).expect_err("there is no slot");
    assert_eq!(error.kind(), ErrorKind::TooManyAttachments);
    assert!(
        error.to_string().contains("all of its 2 slots are taken"),
        "{error}"
    );
    assert_eq!(
        kind(options.open_or_create(KEY)),
        Some(ErrorKind::TooManyAttachments)
    );
    // An inspection needs none.
    let reader = Segment::attach_read_only(KEY).expect("it is there");
    assert_eq!(reader.attachments().expect("one may look").len(), 3);
    drop(first);
    let third = Segment::attach(KEY).expect("there is a slot again");
    drop((second, third, reader));
    assert!(left_in_directory().is_empty());
}

/// Attaches as often as it is told, at once.
fn crowd(test: &mut Talk) {
    let attached: Vec<Segment> = (0..test.number(0))
        .map(|_| Segment::attach(KEY).expect("there is a slot"))
        .collect();
    test.say("attached");
    test.wait_for_end();
    drop(attached);
}

fn four_thousand_can_be_attached_at_once() {
    // Fewer for each child than descriptors that a process usually may have.
    let options = Segment::options()
        .size(8)
        .slots(4000)
        .policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let mut crowds: Vec<Child> = (0..5).map(|_| Child::with(crowd, ["800"])).collect();
    for child in &mut crowds {
        child.hears("attached");
    }
    assert_eq!(
        kind(Segment::attach(KEY)),
        Some(ErrorKind::TooManyAttachments)
    );
    crowds[2].kill();
    let segment = Segment::attach(KEY).expect("800 of them are dead");
    assert_eq!(segment.attachments().expect("one may look").len(), 3201);
    let mut again = Child::with(crowd, ["799"]);
    again.hears("attached");
    assert_eq!(
        kind(Segment::attach(KEY)),
        Some(ErrorKind::TooManyAttachments)
    );
    drop(segment.lock().expect("nobody died holding it"));
    drop((again, crowds, segment));
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody is left");
}

fn a_table_shows_its_attachments_after_four_billion_uses() {
    /// The header word with the slot to try first: see `docs/format.md`.
    const NEXT_SLOT: u64 = 76;
    let segment = Segment::options()
        .size(8)
        .slots(5)
        .create(KEY)
        .expect("nothing has the key");
    let attach = || Segment::attach(KEY).expect("there is a free slot");
    let (second, _third, _fourth) = (attach(), attach(), attach());
    second.detach().expect("it can leave");
    let name = left_in_directory().remove(0);
    let file = File::options().write(true).open(directory().join(name));
    let written = file.and_then(|file| file.write_all_at(&u32::MAX.to_le_bytes(), NEXT_SLOT));
    written.expect("it is the segment's");
    for _ in 0..3 {
        let _fifth = attach();
        let there = segment.attachments().expect("one may look");
        assert_eq!(there.len(), 4, "{there:?}");
    }
}

//! Inspection of segments from outside: everything is reported, nothing is changed, and nothing
//! that happens to a file stops the inspection.

use std::fs::{self, OpenOptions};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Resource, Rlimit, setrlimit};
use sharehold::{
    AbandonCause, Consistency, DestroyMode, ErrorKind, Holder, LockError, LockState, Policy,
    Segment, Shared, Summary, inspect, list,
};
use sharehold_testkit::{Child, Suite, directory, left_in_directory};

use crate::forks::forks_holding;
use crate::roles::{KEY, attached, created, holding, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(inspection_shows_everything_and_does_not_attach)
        .test(bytes_are_shown_from_their_beginning)
        .test(a_living_holder_is_named_with_its_thread)
        .test(a_dead_owner_is_named_until_the_data_are_marked_consistent)
        .test(a_holder_that_panicked_is_named)
        .test(a_stale_segment_is_seen_and_stays)
        .test(a_dead_process_is_detected_though_a_child_keeps_its_byte_lock)
        .test(a_value_that_is_changed_all_the_time_is_seen_whole)
        .test(a_file_that_is_cut_off_meanwhile_is_an_error_and_no_signal)
        .test(there_may_be_more_segments_than_open_files)
        .test(what_is_not_there_is_not_found)
}

fn summary() -> Summary {
    inspect(KEY).expect("it is there").summary
}

fn holder(lock: LockState) -> Holder {
    match lock {
        LockState::Held(holder) | LockState::Abandoned(holder) => holder,
        other => panic!("{other:?}"),
    }
}

fn inspection_shows_everything_and_does_not_attach() {
    let options = Segment::options().slots(7).mode(0o640);
    let value = options.create_shared(KEY, &[7_u32; 3]).expect("it is free");
    value.set(&[8, 9, 10]).expect("it can be changed");
    let reader = Shared::<[u32; 3]>::attach_read_only(KEY).expect("it is there");
    let seen = inspect(KEY).expect("one may look");
    let summary = &seen.summary;
    assert_eq!(
        (summary.key.as_str(), summary.slots, summary.mode),
        (KEY, 7, 0o640)
    );
    assert_eq!(summary.size, value.segment().size());
    assert_eq!(summary.owner, rustix::process::geteuid().as_raw());
    assert_eq!(summary.group, rustix::process::getegid().as_raw());
    assert!(summary.reserved >= summary.size as u64);
    assert!(summary.created_at.is_some() && summary.policy == Policy::RemoveOnLastDetach);
    let value_type = summary.value_type.as_ref().expect("it is typed");
    assert_eq!(
        (value_type.name.as_str(), value_type.version),
        ("[u32; 3]", 1)
    );
    assert_eq!(
        summary.version,
        Some(value.version().expect("it is attached"))
    );
    let slots: Vec<_> = summary.attachments.iter().map(|it| it.slot).collect();
    assert_eq!(
        slots,
        [Some(0), None],
        "the owner and the reader, not who looks"
    );
    assert!(summary.attachments.iter().all(|it| it.pid == process::id()));
    assert_eq!(
        (&summary.lock, summary.is_awaited),
        (&LockState::Free, false)
    );
    assert_eq!(summary.condition, Consistency::Consistent);
    let schema = seen.schema.expect("it is whole").expect("it is typed");
    let content = seen.content.expect("it is whole");
    assert_eq!(
        schema
            .get(&content, ".")
            .expect("it is a value")
            .to_string(),
        "[8, 9, 10]"
    );
    let names: Vec<_> = fs::read_dir(directory()).expect("it is there").collect();
    let name = names[0].as_ref().expect("it is there").file_name();
    assert_eq!(seen.file_name, name);
    let listed = list().expect("one may look").remove(0);
    assert_eq!(listed.summary.expect("it is whole"), *summary);
    drop(reader);
}

fn bytes_are_shown_from_their_beginning() {
    let segment = Segment::create(KEY, 10_000).expect("it is free");
    let mut bytes = segment.lock().expect("it is free");
    bytes.write(3, b"what stands here").expect("there is room");
    drop(bytes);
    let seen = inspect(KEY).expect("one may look");
    assert!(seen.schema.expect("it is whole").is_none());
    assert_eq!(
        (seen.summary.value_type, seen.summary.version),
        (None, None)
    );
    let content = seen.content.expect("it is whole");
    assert_eq!(
        (content.len(), &content[3..19]),
        (4096, b"what stands here".as_slice())
    );
}

fn a_living_holder_is_named_with_its_thread() {
    let options = Segment::options().size(64).log(64);
    let segment = options.create(KEY).expect("it is free");
    let guard = segment.lock().expect("it is free");
    let own = holder(summary().lock);
    let thread = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs();
    assert_eq!((own.thread, own.in_place), (Some(thread), true));
    assert_eq!(own.attachment.map(|it| it.pid), Some(process::id()));
    drop(guard);
    let inside: sharehold::Result<_> = segment.transaction(|tx| {
        tx.write(0, b"new")?;
        Ok(summary())
    });
    let inside = inside.expect("it is committed");
    assert!(inside.in_transaction && !holder(inside.lock).in_place);
    let after = summary();
    assert_eq!((after.in_transaction, after.lock), (false, LockState::Free));
    let child = holding();
    let LockState::Held(other) = summary().lock else {
        panic!("the child holds it");
    };
    assert_eq!(other.thread, Some(child.pid()), "its first thread");
}

fn a_dead_owner_is_named_until_the_data_are_marked_consistent() {
    let segment = created();
    let mut child = holding();
    child.kill();
    for summary in [
        summary(),
        list()
            .expect("one may look")
            .remove(0)
            .summary
            .expect("whole"),
    ] {
        let LockState::Abandoned(dead) = summary.lock else {
            panic!("{:?}", summary.lock);
        };
        assert_eq!(dead.attachment.as_ref().map(|it| it.pid), Some(child.pid()));
        assert_eq!(
            summary.departed,
            [dead.attachment.expect("it is remembered")]
        );
        assert_eq!(summary.attachments.len(), 1);
        assert_eq!(
            (summary.condition, summary.recoveries.count),
            (Consistency::Consistent, 0)
        );
    }
    match segment.lock() {
        Err(LockError::Abandoned(found)) => drop(found.into_guard()),
        other => panic!("{other:?}"),
    }
    let after = summary();
    assert_eq!((after.lock, after.recoveries.count), (LockState::Free, 1));
    let Consistency::Abandoned {
        cause,
        previous_owner,
    } = after.condition
    else {
        panic!("nobody has vouched for the data");
    };
    assert_eq!(
        (cause, previous_owner.map(|it| it.pid)),
        (AbandonCause::Died, Some(child.pid()))
    );
    match segment.lock() {
        Err(LockError::Abandoned(found)) => drop(found.mark_consistent()),
        other => panic!("{other:?}"),
    }
    assert_eq!(summary().condition, Consistency::Consistent);
}

fn a_holder_that_panicked_is_named() {
    let segment = created();
    let panicked = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = segment.lock().expect("it is free");
            panic!("as the test wants it");
        });
        thread.join()
    });
    assert!(panicked.is_err());
    let Consistency::Abandoned {
        cause,
        previous_owner,
    } = summary().condition
    else {
        panic!("it panicked");
    };
    assert_eq!(
        (cause, previous_owner.map(|it| it.pid)),
        (AbandonCause::Panicked, Some(process::id()))
    );
}

fn a_stale_segment_is_seen_and_stays() {
    let segment = created();
    let mut child = attached();
    drop(segment);
    child.kill();
    for _ in 0..2 {
        let summary = summary();
        assert!(summary.is_stale() && summary.departed[0].pid == child.pid());
        assert_eq!(left_in_directory().len(), 1);
    }
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));
    assert_eq!(kind(inspect(KEY)), Some(ErrorKind::NotFound));
}

fn a_dead_process_is_detected_though_a_child_keeps_its_byte_lock() {
    let segment = created();
    let mut parent = Child::with(forks_holding, ["Clone"]);
    parent.hears("forked");
    parent.kill();
    let quick = list().expect("one may look").remove(0);
    assert!(matches!(
        quick.summary.expect("it is whole").lock,
        LockState::Held(_)
    ));
    let summary = summary();
    assert!(matches!(summary.lock, LockState::Abandoned(_)));
    assert_eq!((summary.attachments.len(), summary.departed.len()), (1, 1));
    drop(segment);
}

fn a_value_that_is_changed_all_the_time_is_seen_whole() {
    const VALUES: usize = 300;
    let value = Shared::create(KEY, &[0_u64; 40]).expect("it is free");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                value.set(&[number; 40]).expect("it can be changed");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut seen = 0;
        while seen < VALUES {
            let found = inspect(KEY).expect("one may look");
            match found.content {
                Ok(bytes) => {
                    let words = bytes.as_chunks::<8>().0;
                    assert!(words.iter().all(|word| word == &words[0]), "a mixture");
                    let number = u64::from_ne_bytes(words[0]);
                    // The first value is version 1.
                    assert_eq!(found.summary.version, Some(number + 1));
                    seen += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn a_file_that_is_cut_off_meanwhile_is_an_error_and_no_signal() {
    let value = Shared::create(KEY, &[7_u64; 2000]).expect("it is free");
    let path = directory().join(inspect(KEY).expect("one may look").file_name);
    let whole = fs::read(&path).expect("it is readable");
    drop(value);
    fs::write(&path, &whole).expect("it is writable");
    let data_offset: [u8; 8] = whole[24..32].try_into().expect("eight bytes");
    let cuts = [u64::from_ne_bytes(data_offset), whole.len() as u64 / 2];
    let done = AtomicBool::new(false);
    let mut read = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut options = OpenOptions::new();
            let file = options.write(true).open(&path).expect("it is there");
            for cut in cuts.iter().cycle() {
                // Header and table stay whole, so that inspection reaches the value.
                file.set_len(*cut).expect("it can be cut");
                file.set_len(whole.len() as u64).expect("there is memory");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..5000 {
            drop(list().expect("one may look"));
            let seen = inspect(KEY).and_then(|seen| seen.content);
            read += u32::from(seen.is_ok());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(read > 0, "who looks got as far as the value");
    for len in (0..whole.len()).step_by(511) {
        fs::write(&path, &whole[..len]).expect("it is writable");
        let seen = inspect(KEY).and_then(|seen| seen.content);
        assert_eq!(kind(seen), Some(ErrorKind::Damaged), "{len}");
    }
    fs::remove_file(&path).expect("it is there");
}

fn there_may_be_more_segments_than_open_files() {
    let keys: Vec<String> = (0..200)
        .map(|number| format!("{KEY}.{number:03}"))
        .collect();
    let options = Segment::options().size(8).policy(Policy::Persistent);
    for key in &keys {
        options
            .create(key)
            .expect("it is free")
            .detach()
            .expect("it can leave");
    }
    let few = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    setrlimit(Resource::Nofile, few).expect("one may have less");
    let mut listed = Vec::new();
    for it in list().expect("one may look") {
        listed.push(it.summary.expect("it is whole").key);
    }
    listed.sort();
    assert_eq!(listed, keys);
    for key in &keys {
        Segment::destroy(key, DestroyMode::Immediate).expect("it is there");
    }
}

fn what_is_not_there_is_not_found() {
    let error = inspect(KEY).expect_err("nothing is there");
    assert_eq!(
        (error.kind(), error.key()),
        (ErrorKind::NotFound, Some(KEY))
    );
    assert_eq!(kind(inspect("")), Some(ErrorKind::InvalidKey));
    assert!(list().expect("nothing is no error").is_empty());
}

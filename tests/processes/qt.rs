//! Handles on Qt's objects in a forked child: like the native ones, they hold nothing and count for
//! nothing.

use sharehold::qt::{ErrorKind, KeyType, Options, SharedMemory};
use sharehold_testkit::raw::Fork;
use sharehold_testkit::{Suite, directory};

pub(crate) fn suite() -> Suite {
    Suite::new().test(a_forked_child_neither_reads_nor_holds_nor_counts)
}

fn memory(key_type: KeyType) -> SharedMemory {
    // POSIX names are not in the directory of the test, so the process is in them.
    let key = format!("sharehold-forked-{}", std::process::id());
    Options::new()
        .temp_dir(directory())
        .key_type(key_type)
        .shared_memory(&key)
}

fn a_forked_child_neither_reads_nor_holds_nor_counts() {
    for fork in [Fork::Fork, Fork::AsyncSignalSafe, Fork::Clone] {
        for key_type in [KeyType::SYSTEM_V, KeyType::Posix] {
            let mut memory = memory(key_type);
            memory.create(64).expect("the key is free");
            let mut other = self::memory(key_type);
            let mut guard = Some(memory.lock().expect("it is free"));
            let child = fork.start(|| {
                let held = guard.take().expect("the parent holds");
                let attachments = held
                    .status()
                    .expect("one may look")
                    .expect("it is there")
                    .attachments;
                assert!(
                    matches!(attachments, None | Some(1)),
                    "the child counts as {attachments:?}"
                );
                assert!(!held.holds_lock());
                let error = held
                    .read(0, &mut [0])
                    .expect_err("the memory is the parent's");
                assert_eq!(error.kind(), ErrorKind::NotFound);
                drop(held);
                0
            });
            assert_eq!(child.exit_code(), Some(0), "{fork:?}, {key_type:?}");
            assert!(
                other.try_lock().expect("one may ask").is_none(),
                "the parent holds"
            );
            let held = guard.expect("the parent holds");
            held.unlock().expect("nobody was inside");
            drop(other.try_lock().expect("one may ask").expect("it is free"));
            // With POSIX the files stay, and can be removed when nobody has them open: the child
            // kept nothing open.
            drop(memory);
            assert_eq!(
                other.remove_stale().expect("nobody has it"),
                key_type == KeyType::Posix
            );
        }
    }
}

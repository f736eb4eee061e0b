//! What programs with Qt left: `doctor` tells of it, and `gc --qt` removes what the kernel says
//! that nobody has.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use sharehold::qt::{KeyType, NativeIpcKey, Options, SharedMemory};

use crate::alone::alone;
use crate::qt::qt_program;
use crate::repair::{findings, wrong};
use crate::world::{Holder, World};

fn memory_key(text: &str) -> NativeIpcKey {
    NativeIpcKey::for_memory(text, KeyType::Posix, "")
}

/// The memory of a text key with the POSIX family.
fn memory_file(text: &str) -> PathBuf {
    Path::new("/dev/shm").join(&memory_key(text).native_key()[1..])
}

/// Its lock.
fn lock_file(text: &str) -> PathBuf {
    let key = NativeIpcKey::for_semaphore(text, KeyType::Posix, "");
    Path::new("/dev/shm").join(format!("sem.{}", &key.native_key()[1..]))
}

/// Starts a program with Qt that has done all of this with the memory `m` of a text key, and goes
/// on living.
fn program(world: &World, text: &str, orders: &[&str]) -> Holder {
    let program = qt_program("pyside-newest-peer");
    let mut command = world.command(program.to_str().expect("it is plain"));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut to = child.stdin.take().expect("it is piped");
    let mut from = BufReader::new(child.stdout.take().expect("it is piped"));
    let printed = memory_key(text).to_string();
    let hex = printed
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let native = format!("native m {hex} printed");
    for order in [&*native].iter().chain(orders) {
        writeln!(to, "{order}").expect("it listens");
        let mut answer = String::new();
        from.read_line(&mut answer).expect("it answers");
        assert!(answer.starts_with("= "), "{order}: {answer}");
    }
    // It ends when nobody can give it orders any more.
    child.stdin = Some(to);
    Holder(child)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

alone! {
    fn system_v_memory_without_attachments() {
        let world = World::new();
        let options = || Options::new().temp_dir(world.path());
        let key = "com.example.qt";
        let mut used = options().shared_memory("com.example.used");
        used.create(64).expect("the key is free");
        let mut stale = options().qt_shared_memory(key);
        stale.create(64).expect("the key is free");
        drop(stale);
        let is_there = |memory: &SharedMemory| memory.status().expect("one may look").is_some();
        let left = options().shared_memory(key);
        assert!(is_there(&left), "it was to stay");

        assert_eq!(world.ok("gc"), "there is nothing to remove\n");
        assert_eq!(wrong(&world).len(), 1);
        let said = world.ok("gc --qt --dry-run");
        assert!(said.starts_with("would remove systemv:"), "{said}");
        assert!(is_there(&left), "it was only looked at");
        let removed = world.ok("gc --qt");
        assert!(removed.starts_with("removed systemv:"), "{removed}");
        assert_eq!(removed.lines().count(), 1, "{removed}");
        assert!(!is_there(&left));
        assert!(is_there(&used));
    }

    fn posix_memory_of_the_dead_with_a_lock_that_was_lost() {
        let world = World::new();
        let mut dead = program(&world, "dead", &["create m 64", "lock m"]);
        let mut living = program(&world, "living", &["create m 64", "lock m"]);
        assert_eq!(world.ok("gc --qt"), "there is nothing to remove\n");
        dead.kill();

        let found = wrong(&world);
        assert_eq!(found.len(), 1, "{found:?}");
        let [subject, detail, advice] = &found[0];
        assert_eq!(*subject, format!("Qt posix:{}", memory_key("dead").native_key()));
        assert_eq!(detail, "64 B, and no process is attached");
        assert!(advice.starts_with("`sharehold gc --qt` removes it"), "{advice}");
        let all = findings(&world, 1);
        // On a busy machine, the trial of a recovery may add a note of its own.
        let is_living = |it: &&Value| it["subject"].as_str().is_some_and(|it| it.contains("_living"));
        let note = all.iter().find(is_living).expect("there is one");
        assert_eq!(note["verdict"], "note");
        assert!(note["detail"].as_str().is_some_and(|it| it.contains("its lock is held")), "{note}");

        let name = format!("posix:{}", memory_key("dead").native_key());
        let said = |done| format!("{done} {name} (64 B): Qt's memory without attachments\n");
        assert_eq!(world.ok("gc"), "there is nothing to remove\n");
        assert_eq!(world.ok("gc --qt --dry-run"), said("would remove"));
        assert!(memory_file("dead").exists() && lock_file("dead").exists(), "it was only looked at");
        assert_eq!(world.ok("gc --qt"), said("removed"));
        for file in [memory_file("dead"), lock_file("dead")] {
            assert!(!file.exists(), "{file:?}");
        }
        for file in [memory_file("living"), lock_file("living")] {
            assert!(file.exists(), "{file:?}");
        }
        living.kill();
        assert_eq!(world.ok("gc --qt").lines().count(), 1);
        assert!(!memory_file("living").exists() && !lock_file("living").exists());
    }

    fn posix_semaphores_whose_memory_is_gone() {
        let world = World::new();
        let mut dead = program(&world, "dead", &["create m 64", "lock m"]);
        let _living = program(&world, "living", &["create m 64"]);
        for text in ["dead", "living"] {
            fs::remove_file(memory_file(text)).expect("it is there");
        }
        assert_eq!(world.ok("gc --qt"), "there is nothing to remove\n");
        dead.kill();
        let found = wrong(&world);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0][0].starts_with("Qt posix:/qipc_systemsem_dead"), "{found:?}");
        assert_eq!(found[0][1], "a semaphore, and no process has it open");
        let removed = lines(&world.ok("gc --qt"));
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert!(removed[0].starts_with("removed posix:/qipc_systemsem_dead"), "{removed:?}");
        assert!(removed[0].ends_with(": Qt's semaphore that no process has open"), "{removed:?}");
        assert!(!lock_file("dead").exists() && lock_file("living").exists());
    }

    fn what_is_none_of_qt_or_of_another_user_stays() {
        const SOMEBODY: u32 = 12_345;
        let world = World::new();
        let (theirs, ours) = ("theirs", "ours");
        for text in [theirs, ours] {
            program(&world, text, &["create m 64"]).kill();
        }
        for file in [memory_file(theirs), lock_file(theirs)] {
            chown(file, Some(SOMEBODY), None).expect("root may");
        }
        let others = ["/dev/shm/other", "/dev/shm/sem.other"].map(Path::new);
        for file in others {
            fs::write(file, [0; 32]).expect("there is room");
        }
        assert_eq!(wrong(&world).len(), 1);
        let removed = lines(&world.ok("gc --qt"));
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert!(!memory_file(ours).exists());
        for file in [&*memory_file(theirs), &*lock_file(theirs), others[0], others[1]] {
            assert!(file.exists(), "{file:?}");
        }
    }
}

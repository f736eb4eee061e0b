//! A program with this library, which obeys the same orders as the Qt programs.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use sharehold::qt::{Error, Guard, NativeIpcKey, Options, Result, SharedMemory};

use super::{hex, unhex};

/// Set in the process that is such a program.
pub(super) const PEER: &str = "SHAREHOLD_QT_PEER";

/// The program; as a test, it does nothing.
#[test]
fn peer() {
    if std::env::var_os(PEER).is_none() {
        return;
    }
    let mut objects = HashMap::new();
    // The test harness has begun a line.
    println!();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("orders are text");
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["exit"] {
            break;
        }
        let mut out = std::io::stdout().lock();
        match obey(&mut objects, &words) {
            Ok(answer) => writeln!(out, "= {answer}"),
            Err(error) => writeln!(out, "! {} {error}", error.kind().code()),
        }
        .expect("somebody listens");
    }
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(unhex(hexadecimal)).expect("a key is text")
}

fn number(word: &str) -> usize {
    word.parse().expect("it is a number")
}

/// Words after the name that an order may leave out.
fn options(words: &[&str]) -> Options {
    let options = words
        .iter()
        .fold(Options::new(), |options, word| match *word {
            "ro" => options.read_only(true),
            "others" => options.allow_others(true),
            word => panic!("unknown option {word}"),
        });
    options.patience(Duration::from_secs(60))
}

fn obey(objects: &mut HashMap<String, SharedMemory>, words: &[&str]) -> Result<String> {
    let done = Ok("ok".to_owned());
    match words {
        ["pid", ..] => return Ok(std::process::id().to_string()),
        ["new", name, key, rest @ ..] => {
            objects.insert((*name).to_owned(), options(rest).shared_memory(&text(key)));
            return done;
        }
        ["native", name, key, "printed"] => {
            let key: NativeIpcKey = text(key).parse()?;
            objects.insert((*name).to_owned(), Options::new().native_memory(key));
            return done;
        }
        ["delete", name] => {
            objects.remove(*name);
            return done;
        }
        _ => {}
    }
    let [order, name, rest @ ..] = words else {
        panic!("{words:?} is no order")
    };
    let memory = objects
        .get_mut(*name)
        .unwrap_or_else(|| panic!("no object for {words:?}"));
    match (*order, rest) {
        ("create", [size, ..]) => memory.create(number(size))?,
        ("attach", _) => memory.attach()?,
        ("detach", _) => memory.detach()?,
        // A guard that is forgotten leaves the handle holding.
        ("lock", _) => std::mem::forget(memory.lock()?),
        ("unlock", _) => memory.lock()?.unlock()?,
        ("size", _) => return Ok(memory.size().to_string()),
        ("attached", _) => return Ok(if memory.is_attached() { "yes" } else { "no" }.to_owned()),
        ("nativekey", _) => return Ok(memory.native_key().native_key().to_owned()),
        ("ipckey", _) => return Ok(hex(memory.native_key().to_string())),
        ("read", [offset, length]) => {
            let mut bytes = vec![0; number(length)];
            locked(memory, |guard| guard.read(number(offset), &mut bytes))?;
            return Ok(hex(bytes));
        }
        ("write", [offset, data]) => {
            locked(memory, |guard| guard.write(number(offset), &unhex(data)))?;
        }
        ("count", [times]) => {
            for _ in 0..number(times) {
                let mut guard = memory.lock()?;
                let value: i32 = guard.read_at(0)?;
                guard.write_at(0, &(value + 1))?;
            }
        }
        _ => panic!("{words:?} is no order"),
    }
    done
}

/// Does something under the lock, and leaves it as it was.
fn locked(
    memory: &mut SharedMemory,
    action: impl FnOnce(&mut Guard<'_>) -> Result<(), Error>,
) -> Result<()> {
    let was_held = memory.holds_lock();
    let mut guard = memory.lock()?;
    action(&mut guard)?;
    if was_held {
        std::mem::forget(guard);
    }
    Ok(())
}

//! System V segments and semaphore sets. The sets have one semaphore, number 0.

use std::ffi::{c_int, c_long, c_short};
use std::fs;
use std::io;
use std::ptr;
use std::time::Instant;

/// The kernel's data about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    /// The size requested when it was made.
    pub(crate) size: usize,
    /// The user that owns it.
    pub(crate) owner: u32,
    /// The user that made it.
    pub(crate) maker: u32,
    /// The nine permission bits.
    pub(crate) mode: u32,
    /// The number of its mappings.
    pub(crate) attached: u64,
    /// The process that made it; 0 if that process is not visible from here.
    pub(crate) made_by: u32,
    /// The process that attached or detached last; 0 if there is none, or it is not visible.
    pub(crate) last_used_by: u32,
}

/// The kernel's data about a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetFacts {
    /// The user that owns it.
    pub(crate) owner: u32,
    /// The user that made it.
    pub(crate) maker: u32,
    /// The nine permission bits.
    pub(crate) mode: u32,
    /// The semaphore's value.
    pub(crate) value: u32,
    /// The process that changed the value last; 0 if there is none, or it is not visible.
    pub(crate) last_changed_by: u32,
    /// The number of threads that wait for the value to grow.
    pub(crate) waiters: u32,
    /// Whether any operation was ever done on it.
    pub(crate) operated: bool,
}

const MODE: c_int = 0o600;
const PERMISSIONS: u32 = 0o777;
const FIRST: c_int = 0;

/// Tells whether the error means that the object with this identifier was removed.
pub(crate) fn is_removed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIDRM | libc::EINVAL))
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Converts a number that the kernel never reports as negative.
fn count(number: c_int) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Makes a segment for this user only; `EEXIST` if the key has one.
pub(crate) fn make_segment(key: i32, size: usize) -> io::Result<i32> {
    // SAFETY: the call takes numbers only.
    checked(unsafe { libc::shmget(key, size, MODE | libc::IPC_CREAT | libc::IPC_EXCL) })
}

/// Finds the segment of a key; `ENOENT` if there is none.
pub(crate) fn find_segment(key: i32) -> io::Result<i32> {
    // SAFETY: the call takes numbers only.
    checked(unsafe { libc::shmget(key, 0, 0) })
}

/// Returns the data about a segment; `EINVAL` or `EIDRM` if it was removed.
pub(crate) fn segment_facts(id: i32) -> io::Result<SegmentFacts> {
    // SAFETY: the structure consists of plain numbers, for which zero is a valid value.
    let mut facts: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: IPC_STAT fills in the structure, which lives across the call.
    checked(unsafe { libc::shmctl(id, libc::IPC_STAT, ptr::from_mut(&mut facts)) })?;
    Ok(SegmentFacts {
        size: facts.shm_segsz,
        owner: facts.shm_perm.uid,
        maker: facts.shm_perm.cuid,
        mode: u32::from(facts.shm_perm.mode) & PERMISSIONS,
        attached: facts.shm_nattch,
        made_by: count(facts.shm_cpid),
        last_used_by: count(facts.shm_lpid),
    })
}

/// Returns all segments, with their identifiers and keys.
pub(crate) fn all_segments() -> io::Result<Vec<(i32, i32, SegmentFacts)>> {
    let text = fs::read_to_string("/proc/sysvipc/shm")?;
    Ok(text.lines().skip(1).filter_map(listed).collect())
}

/// Parses a line of the kernel's list: key, identifier, permissions in octal, size, the processes
/// of the maker and of the last user, attachments, then owner and maker, each as user and group.
fn listed(line: &str) -> Option<(i32, i32, SegmentFacts)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |index: usize| words.get(index)?.parse::<i64>().ok();
    let small = |index: usize| u32::try_from(number(index)?).ok();
    let facts = SegmentFacts {
        size: usize::try_from(number(3)?).ok()?,
        owner: small(7)?,
        maker: small(9)?,
        mode: u32::from_str_radix(words.get(2)?, 8).ok()? & PERMISSIONS,
        attached: u64::try_from(number(6)?).ok()?,
        made_by: small(4)?,
        last_used_by: small(5)?,
    };
    let narrow = |index| i32::try_from(number(index)?).ok();
    Some((narrow(1)?, narrow(0)?, facts))
}

/// Removes a segment: its key is free at once, and its memory is freed with the last mapping.
pub(crate) fn remove_segment(id: i32) -> io::Result<()> {
    // SAFETY: IPC_RMID does not use the pointer.
    checked(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
}

/// Makes a set of one semaphore with the given permission bits and the value 0; `EEXIST` if the key
/// has one.
pub(crate) fn make_set(key: i32, mode: u32) -> io::Result<i32> {
    let mode = c_int::try_from(mode & PERMISSIONS).unwrap_or(MODE);
    // SAFETY: the call takes numbers only.
    checked(unsafe { libc::semget(key, 1, mode | libc::IPC_CREAT | libc::IPC_EXCL) })
}

/// Finds the set of a key; `ENOENT` if there is none.
pub(crate) fn find_set(key: i32) -> io::Result<i32> {
    // SAFETY: the call takes numbers only.
    checked(unsafe { libc::semget(key, 0, 0) })
}

/// Returns the data about a set; `EINVAL` or `EIDRM` if it was removed.
pub(crate) fn set_facts(id: i32) -> io::Result<SetFacts> {
    // SAFETY: the structure consists of plain numbers, for which zero is a valid value.
    let mut facts: libc::semid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: IPC_STAT fills in the structure, which lives across the call.
    checked(unsafe { libc::semctl(id, FIRST, libc::IPC_STAT, ptr::from_mut(&mut facts)) })?;
    let ask = |command| {
        // SAFETY: the three commands take no fourth argument.
        checked(unsafe { libc::semctl(id, FIRST, command) }).map(count)
    };
    Ok(SetFacts {
        owner: facts.sem_perm.uid,
        maker: facts.sem_perm.cuid,
        mode: u32::from(facts.sem_perm.mode) & PERMISSIONS,
        value: ask(libc::GETVAL)?,
        last_changed_by: ask(libc::GETPID)?,
        waiters: ask(libc::GETNCNT)?,
        operated: facts.sem_otime != 0,
    })
}

/// Returns the process that changed the value last; 0 if there is none, or it is not visible.
pub(crate) fn last_changed_by(id: i32) -> io::Result<u32> {
    // SAFETY: GETPID takes no fourth argument.
    checked(unsafe { libc::semctl(id, FIRST, libc::GETPID) }).map(count)
}

/// Sets the semaphore's value, and clears all undo adjustments of the kernel for it.
pub(crate) fn set_value(id: i32, value: u16) -> io::Result<()> {
    // SAFETY: SETVAL takes an int.
    checked(unsafe { libc::semctl(id, FIRST, libc::SETVAL, c_int::from(value)) }).map(drop)
}

/// Removes a set: its waiters wake with `EIDRM`.
pub(crate) fn remove_set(id: i32) -> io::Result<()> {
    // SAFETY: IPC_RMID takes no fourth argument.
    checked(unsafe { libc::semctl(id, FIRST, libc::IPC_RMID) }).map(drop)
}

/// Flags of an operation, in the type of its field.
const UNDO: c_short = 0x1000;
const NO_WAIT: c_short = 0x800;
const _: () = assert!(UNDO as c_int == libc::SEM_UNDO && NO_WAIT as c_int == libc::IPC_NOWAIT);

fn change(by: c_short, flags: c_short) -> libc::sembuf {
    libc::sembuf {
        sem_num: 0,
        sem_op: by,
        sem_flg: flags,
    }
}

/// Performs all operations at once, or none; false if they would have to wait beyond `deadline`.
fn operate(
    id: i32,
    operations: &mut [libc::sembuf],
    deadline: Option<Instant>,
) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the call reads as many operations as the slice has, and a timeout that is null or
        // lives across it.
        let result: c_long = unsafe {
            libc::syscall(
                libc::SYS_semtimedop,
                id,
                operations.as_mut_ptr(),
                operations.len(),
                timeout,
            )
        };
        if result != -1 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => return Ok(false),
            _ => return Err(error),
        }
    }
}

/// Takes one unit of the semaphore, which the kernel returns if this process dies. False if there
/// was none until `deadline`; without a deadline, waits without a limit.
pub(crate) fn take(id: i32, deadline: Option<Instant>) -> io::Result<bool> {
    operate(id, &mut [change(-1, UNDO)], deadline)
}

/// Adds to the semaphore; the kernel subtracts the same amount when this process dies.
pub(crate) fn give(id: i32, number: u16) -> io::Result<()> {
    let number = c_short::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
    match operate(id, &mut [change(number, UNDO)], None) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            Err(io::Error::new(io::ErrorKind::QuotaExceeded, error))
        }
        done => done.map(drop),
    }
}

/// Returns one unit, unless another process has done so meanwhile: false, with nothing done, if the
/// value is not 0.
pub(crate) fn give_back(id: i32) -> io::Result<bool> {
    let only_at_zero = change(0, NO_WAIT);
    operate(id, &mut [only_at_zero, change(1, UNDO)], None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_list_is_read() {
        let line = "1360780641   33554437   1600    64  9219   17      2  1000  1001  1002  1003  0  0  1  0  0";
        let (id, key, facts) = listed(line).expect("a whole line");
        assert_eq!((id, key), (33_554_437, 1_360_780_641));
        let expected = SegmentFacts {
            size: 64,
            owner: 1000,
            maker: 1002,
            mode: 0o600,
            attached: 2,
            made_by: 9219,
            last_used_by: 17,
        };
        assert_eq!(facts, expected);
        assert!(listed("1 2 600").is_none() && listed("").is_none());
    }
}

//! Which processes have a file in their memory.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{major, minor};

/// The processes that map the file, one entry a mapping, in no order.
///
/// # Errors
///
/// When a process that could have it cannot be looked into, the answer would be incomplete: the system's refusal.
/// Processes of other PID namespaces are not seen.
pub(crate) fn users_of(file: (u64, u64)) -> io::Result<Vec<u32>> {
    let (device, inode) = file;
    let device = format!("{:02x}:{:02x}", major(device), minor(device));
    let inode = inode.to_string();
    let mut users = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
        else {
            continue;
        };
        for line in maps_of(&path)?.lines() {
            let mut fields = line.split_ascii_whitespace().skip(3);
            if fields.next() == Some(&device) && fields.next() == Some(&inode) {
                users.push(pid);
            }
        }
    }
    Ok(users)
}

/// The mappings of a process; none of one that has ended meanwhile, or that no program of this user could be.
fn maps_of(process: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let ended = |error: &io::Error| {
        error.kind() == io::ErrorKind::NotFound
            || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
    };
    let error = match fs::read(process.join("maps")) {
        Ok(text) => return Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if ended(&error) => return Ok(String::new()),
        Err(error) => error,
    };
    let foreign = match fs::metadata(process) {
        Ok(facts) => facts.uid() != rustix::process::geteuid().as_raw(),
        Err(_) => true,
    };
    if foreign {
        Ok(String::new())
    } else {
        Err(error)
    }
}

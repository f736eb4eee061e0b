//! What is mapped where in a process, as `/proc/PID/maps` tells it.

use crate::ptrace::Tracee;
use std::{fs, io};

/// One mapping of a process.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whether stores become visible to others.
    pub(crate) shared: bool,
    /// Where in the file the mapping starts.
    pub(crate) offset: u64,
    /// The file, or a name in brackets, or nothing.
    pub(crate) path: String,
}

/// Lists the mappings of a process: `"self"` or its ID.
pub(crate) fn of_process(process: &str) -> io::Result<Vec<Mapping>> {
    let text = fs::read_to_string(format!("/proc/{process}/maps"))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hexadecimal = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        shared: fields.next()?.ends_with('s'),
        offset: hexadecimal(fields.next()?)?,
        path: fields.nth(2).unwrap_or_default().trim_start().to_owned(),
    })
}

/// A copy of the bytes that a victim shares with others, to see when they change.
#[derive(Debug)]
pub(crate) struct SharedBytes {
    /// How many bytes are watched from the start of each mapping.
    limit: usize,
    areas: Vec<Area>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Area {
    start: u64,
    length: usize,
    bytes: Vec<u8>,
}

impl SharedBytes {
    /// Copies the first `limit` bytes of every shared mapping of the victim.
    pub(crate) fn of(victim: &Tracee, limit: usize) -> io::Result<Self> {
        let mut shared = Self {
            limit,
            areas: Vec::new(),
            scratch: Vec::new(),
        };
        shared.find(victim)?;
        Ok(shared)
    }

    /// Looks for the shared mappings anew, as is due after a system call, and copies them.
    pub(crate) fn find(&mut self, victim: &Tracee) -> io::Result<()> {
        self.areas = of_process(&victim.pid().to_string())?
            .into_iter()
            .filter(|mapping| mapping.shared)
            .map(|mapping| Area {
                start: mapping.start,
                length: usize::try_from(mapping.end - mapping.start)
                    .map_or(self.limit, |size| size.min(self.limit)),
                bytes: Vec::new(),
            })
            .collect();
        self.changed(victim);
        Ok(())
    }

    /// Says whether any byte has changed since the last call, and copies them again.
    pub(crate) fn changed(&mut self, victim: &Tracee) -> bool {
        let mut changed = false;
        for area in &mut self.areas {
            self.scratch.resize(area.length, 0);
            // Pages behind the end of a file cannot be read; they appear when the file grows.
            let readable = victim.read(area.start, &mut self.scratch);
            if self.scratch[..readable] != area.bytes[..] {
                changed = true;
                area.bytes.clear();
                area.bytes.extend_from_slice(&self.scratch[..readable]);
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_path_may_hold_spaces() {
        let line =
            "7f00-8f00 rw-s 00001000 00:1a 4711                       /dev/shm/a b (deleted)";
        let mapping = parse(line).unwrap();
        assert_eq!(
            (mapping.start, mapping.end, mapping.offset),
            (0x7f00, 0x8f00, 0x1000)
        );
        assert!(mapping.shared);
        assert_eq!(mapping.path, "/dev/shm/a b (deleted)");
    }

    #[test]
    fn anonymous_memory_is_private_and_nameless() {
        let mapping = parse("7f00-8f00 rw-p 00000000 00:00 0 ").unwrap();
        assert!(!mapping.shared);
        assert_eq!(mapping.path, "");
    }
}

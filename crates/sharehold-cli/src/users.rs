//! Selects the user whose segments a command uses, by a name from this system or by a number.

use std::fs;

use sharehold::{Segment, SegmentOptions};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The user that owns the segment with the key.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Owner {
    /// Creator of the segment, by name or number, whom you trust [default: you]
    #[arg(long, value_name = "USER", value_parser = user)]
    owner: Option<u32>,
}

impl Owner {
    /// The one with this number.
    pub(crate) fn of(number: u32) -> Owner {
        let owner = Some(number);
        Owner { owner }
    }

    /// The library's options, for this user's segments.
    pub(crate) fn options(self) -> SegmentOptions {
        let options = Segment::options();
        match self.owner {
            Some(owner) => options.owner(owner),
            None => options,
        }
    }
}

/// The number of a user.
pub(crate) fn user(text: &str) -> Result<u32, String> {
    number(USERS, text).ok_or_else(|| {
        format!("no user in {USERS} is called `{text}`; give the number that `id -u` prints")
    })
}

/// The number of a group.
pub(crate) fn group(text: &str) -> Result<u32, String> {
    number(GROUPS, text).ok_or_else(|| {
        format!("no group in {GROUPS} is called `{text}`; give the number that `id -g` prints")
    })
}

/// The name of a user; the number where it has none.
pub(crate) fn name(user: u32) -> String {
    let file = fs::read_to_string(USERS).unwrap_or_default();
    let found = entries(&file).find(|&(_, number)| number == user);
    found.map_or_else(|| user.to_string(), |(name, _)| name.to_owned())
}

fn number(file: &str, text: &str) -> Option<u32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let file = fs::read_to_string(file).unwrap_or_default();
    let found = entries(&file).find(|&(name, _)| name == text);
    found.map(|(_, number)| number)
}

/// The names and numbers of a file such as `/etc/passwd`.
fn entries(file: &str) -> impl Iterator<Item = (&str, u32)> {
    file.lines().filter_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next()?;
        Some((name, columns.nth(1)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_and_numbers() {
        let file = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/:\n";
        let found: Vec<_> = entries(file).collect();
        assert_eq!(found, [("root", 0), ("alice", 1000)]);
        assert_eq!((user("root"), user("4711")), (Ok(0), Ok(4711)));
        assert!(user("no such user").is_err_and(|it| it.contains("id -u")));
        assert!(group("no such group").is_err_and(|it| it.contains("id -g")));
        assert_eq!(name(0), "root");
    }
}

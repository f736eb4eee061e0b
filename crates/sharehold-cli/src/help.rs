//! The command as people meet it: its subcommands in groups, its examples, and what each word of it
//! is completed with.
//!
//! Help, manual pages and completions are all made of this.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use clap_complete::engine::ArgValueCompleter;
use sharehold::Primitive;

use crate::units::{SIZES, TIMES};
use crate::{Cli, complete};

/// Subcommands that serve one purpose.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) commands: &'static [&'static str],
    pub(crate) example: &'static str,
}

/// All subcommands for people.
pub(crate) const GROUPS: [Group; 6] = [
    Group {
        title: "Inspect",
        commands: &["ls", "show", "get", "read", "watch", "top", "export"],
        example: "sharehold show com.example.tally",
    },
    Group {
        title: "Change",
        commands: &[
            "create", "set", "incr", "cas", "reset", "write", "grow", "rm",
        ],
        example: "sharehold create com.example.tally --fields 'value:u64, by_worker:[u64; 8]'",
    },
    Group {
        title: "Lock and wait",
        commands: &["lock", "acquire", "wait", "arrive"],
        example: "sharehold lock --create com.example.backup -- ./backup.sh",
    },
    Group {
        title: "Repair",
        commands: &["doctor", "gc"],
        example: "sharehold doctor",
    },
    Group {
        title: "Measure",
        commands: &["count", "bench"],
        example: "sharehold count --to 300000000 --chaos 200",
    },
    Group {
        title: "Install",
        commands: &["completions", "man"],
        example: "sharehold completions bash > ~/.local/share/bash-completion/completions/sharehold",
    },
];

/// The environment variables that it reads, and what each is for.
pub(crate) const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "SHAREHOLD_DIR",
        "The directory of segments, instead of /dev/shm/sharehold-UID. Processes meet only in the same directory.",
    ),
    (
        "NO_COLOR",
        "If it is set and not empty, no text is coloured.",
    ),
    (
        "SHAREHOLD_ABANDONED",
        "Set for the command of `sharehold lock` if the previous owner died: names that process.",
    ),
];

/// The whole command, as it is run.
pub(crate) fn command() -> Command {
    let mut command = Cli::command();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, dressed);
    }
    let about = text(&command);
    command.after_help(about).help_template(
        "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}\n",
    )
}

/// The command without what it starts itself with.
pub(crate) fn for_people() -> Command {
    let all = command();
    let shown = all.get_subcommands().filter(|it| !it.is_hide_set());
    let shown: Vec<Command> = shown.cloned().collect();
    Command::new("sharehold")
        .about(all.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommands(shown)
}

/// Makes the paragraphs of a subcommand fit any terminal, and its words complete in a shell.
fn dressed(command: Command) -> Command {
    let after = command.get_after_help().map(ToString::to_string);
    let command = match after {
        Some(after) => command.after_help(flowing(&after)),
        None => command,
    };
    // Values such as -1 are values, so that what is wrong with them is said of them.
    let command = command.mut_args(|arg| {
        let takes_values = arg.get_action().takes_values();
        arg.allow_negative_numbers(takes_values)
    });
    command.mut_args(|arg| match arg.get_id().as_str() {
        "key" | "keys" => arg.add(ArgValueCompleter::new(complete::keys)),
        "field" => arg.add(ArgValueCompleter::new(complete::fields)),
        id => match named(id) {
            Some(primitive) => arg.add(ArgValueCompleter::new(move |current: &OsStr| {
                complete::parts(current, primitive)
            })),
            None => arg,
        },
    })
}

/// The primitive that an argument is named after, such as `semaphore`.
fn named(id: &str) -> Option<Primitive> {
    let mut all = Primitive::ALL.iter().copied();
    all.find(|it| it.name().eq_ignore_ascii_case(id))
}

/// Joins the lines of paragraphs; what is indented stays as it is.
pub(crate) fn flowing(text: &str) -> String {
    let mut flowing = String::new();
    let mut before = "";
    for line in text.lines() {
        let joins = !before.is_empty()
            && !before.ends_with(':')
            && !before.starts_with(' ')
            && !line.is_empty()
            && !line.starts_with(' ');
        if !flowing.is_empty() {
            flowing.push(if joins { ' ' } else { '\n' });
        }
        flowing += line;
        before = line;
    }
    flowing
}

/// The groups and the environment, below the usage.
fn text(command: &Command) -> String {
    let mut text = String::new();
    for group in &GROUPS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}:", group.title);
        for &name in group.commands {
            let _ = writeln!(text, "  {name:<12} {}", about(command, name));
        }
        let _ = writeln!(text, "  $ {}\n", group.example);
    }
    let _ = writeln!(text, "Environment:");
    for (name, purpose) in ENVIRONMENT {
        let _ = writeln!(text, "  {name:<20} {purpose}");
    }
    let _ = write!(text, "\nWords:\n  SIZE  {SIZES}\n  TIME  {TIMES}\n");
    text + "\n`sharehold help COMMAND` explains a command, with examples and exit statuses."
}

/// What a subcommand does, in a line.
pub(crate) fn about(command: &Command, name: &str) -> String {
    let found = command.find_subcommand(name).and_then(Command::get_about);
    found.map_or_else(String::new, ToString::to_string)
}

/// Says what is missing where COMMAND of `lock` or `acquire` stands without `--` before it, as
/// flock(1) takes it.
pub(crate) fn suggest_dashes(error: &mut clap::Error) {
    let runs_command = env::args_os()
        .nth(1)
        .is_some_and(|it| it == "lock" || it == "acquire");
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    if error.kind() != ErrorKind::UnknownArgument || !runs_command || word.starts_with('-') {
        return;
    }
    let tip = format!("a command to run stands behind `--`: -- {word}");
    let tips = ContextValue::StyledStrs(vec![tip.into()]);
    error.insert(ContextKind::Suggested, tips);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
        let mut shown: Vec<&str> = shown.map(Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|it| it.commands).copied().collect();
        shown.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(shown, grouped);
    }

    #[test]
    fn paragraphs_flow_and_examples_stay() {
        let text = "Examples:\n  a  b\n  c\n\nExit status: 0 all\nis well.";
        let flowing = flowing(text);
        assert_eq!(
            flowing,
            "Examples:\n  a  b\n  c\n\nExit status: 0 all is well."
        );
    }
}

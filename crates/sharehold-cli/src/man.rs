//! `sharehold man`: this command's manual pages.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Arg, Command};
use clap_mangen::Man;

use crate::exit::Exit;
use crate::{help, output};

/// Print this command's manual page, or write all its pages
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold man | man -l -                         read the page
  sharehold man --dir ~/.local/share/man/man1      install one for each subcommand

Exit status: 0 printed or written, 1 the folder cannot be written, 2 wrong usage.")]
pub(crate) struct Args {
    /// Write a page for each subcommand into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `sharehold man`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = help::for_people();
    command.build();
    let Some(dir) = &args.dir else {
        output::text(&page(&command)?)?;
        return Ok(Exit::Done.into());
    };
    let of_people = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help");
    for it in [&command].into_iter().chain(of_people) {
        let path = dir.join(format!("{}.1", title(it)));
        fs::write(&path, page(it)?)
            .with_context(|| format!("cannot write the manual page {}", path.display()))?;
    }
    Ok(Exit::Done.into())
}

/// The page's name: `sharehold-lock`.
fn title(command: &Command) -> String {
    match command.get_name() {
        "sharehold" => "sharehold".to_owned(),
        name => format!("sharehold-{name}"),
    }
}

fn page(command: &Command) -> Result<String> {
    let title = title(command);
    let man = Man::new(command.clone()).title(title);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend(synopsis(command).bytes());
    man.render_description_section(&mut page)?;
    if command.has_subcommands() {
        page.extend(groups(command).bytes());
    } else {
        man.render_options_section(&mut page)?;
        let after = command.get_after_help().map(ToString::to_string);
        page.extend(sections(&after.unwrap_or_default()).bytes());
    }
    page.extend(environment().bytes());
    let see = if command.has_subcommands() {
        "flock(1), ipcs(1), lsipc(1), shm_overview(7)"
    } else {
        "sharehold(1)"
    };
    page.extend(format!(".SH \"SEE ALSO\"\n{}\n", plain(see)).bytes());
    Ok(String::from_utf8(page)?)
}

/// How it is called: every option with its value.
fn synopsis(command: &Command) -> String {
    let mut text = ".SH SYNOPSIS\n\\fBsharehold\\fR".to_owned();
    if command.has_subcommands() {
        return text + " \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n";
    }
    // Writing to a string does not fail.
    let _ = write!(text, " \\fB{}\\fR", plain(command.get_name()));
    let (positions, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().partition(|arg| arg.is_positional());
    let for_all = ["help", "version"];
    for arg in options
        .into_iter()
        .filter(|it| !for_all.contains(&it.get_id().as_str()))
    {
        let name = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, short) => format!("-{}", short.unwrap_or_default()),
        };
        let value = if arg.get_action().takes_values() {
            format!(" \\fI{}\\fR", plain(&value_name(arg)))
        } else {
            String::new()
        };
        let word = format!("\\fB{}\\fR{value}", plain(&name));
        let _ = write!(text, " {}", optional(word, arg));
    }
    for arg in positions {
        let mut word = format!("\\fI{}\\fR", plain(&value_name(arg)));
        if arg.get_num_args().is_some_and(|it| it.max_values() > 1) {
            word += "...";
        }
        if arg.is_last_set() {
            word = format!("\\-\\- {word}");
        }
        let _ = write!(text, " {}", optional(word, arg));
    }
    text + "\n"
}

/// A word in brackets, unless it is required.
fn optional(word: String, arg: &Arg) -> String {
    if arg.is_required_set() {
        word
    } else {
        format!("[{word}]")
    }
}

fn value_name(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let first = names.first().map(ToString::to_string);
    first.unwrap_or_else(|| arg.get_id().to_string().to_uppercase())
}

/// The subcommands, group by group, each with its page.
fn groups(command: &Command) -> String {
    let mut text = ".SH COMMANDS\n".to_owned();
    for group in &help::GROUPS {
        let _ = writeln!(text, ".SS \"{}\"", plain(group.title));
        for &name in group.commands {
            let about = help::about(command, name);
            let _ = write!(
                text,
                ".TP\n\\fBsharehold\\-{name}\\fR(1)\n{}\n",
                plain(&about)
            );
        }
        let _ = write!(text, ".PP\n.nf\n    {}\n.fi\n", plain(group.example));
    }
    text
}

/// What stands below a command's options, each paragraph a section: `Examples:` as it stands, `Exit
/// status: …` as text.
fn sections(after: &str) -> String {
    let mut text = String::new();
    for paragraph in after.split("\n\n") {
        let Some((title, body)) = paragraph.split_once(':') else {
            let _ = write!(text, ".PP\n{}\n", plain(paragraph));
            continue;
        };
        let _ = writeln!(text, ".SH \"{}\"", plain(&title.to_uppercase()));
        match body.strip_prefix('\n') {
            Some(lines) => {
                let lines = lines.lines().map(|line| format!("{}\n", plain(line)));
                let _ = write!(text, ".nf\n{}.fi\n", lines.collect::<String>());
            }
            None => {
                let _ = writeln!(text, "{}", plain(body.trim_start()));
            }
        }
    }
    text
}

fn environment() -> String {
    let entries = help::ENVIRONMENT.iter();
    let entries = entries
        .map(|(name, purpose)| format!(".TP\n\\fB{}\\fR\n{}\n", plain(name), plain(purpose)));
    format!(".SH ENVIRONMENT\n{}", entries.collect::<String>())
}

/// Text without what roff takes for a request or an escape.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

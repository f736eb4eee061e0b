//! `sharehold doctor`: checks this system and every segment in it, and names the next steps.
//!
//! It changes nothing, except that `trial` creates a segment of its own. `system` checks the
//! machine and the directory, `segments` their content and deadlocks, `qt` what Qt programs left.

mod qt;
mod segments;
mod system;
mod trial;

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{self, Format, Tone};
use crate::signals::Stop;

/// Check this system and every segment, and say what to do
///
/// It creates a segment of its own, kills a process that holds its lock, and checks that the lock
/// becomes free. Everything else is only inspected: the machine, the directory, every segment, wait
/// cycles, and what Qt programs left. As root, it checks the segments of all users; with
/// `SHAREHOLD_DIR`, those of that directory. `sharehold gc` removes what it finds stale.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold doctor          a line for each check, and what to do about what is found
  sharehold doctor --json   the same for a program

Exit status: 0 all is well, 1 something was found, 2 wrong usage; ended by a signal: a shell shows 128 + its number, 130 after
Ctrl-C.")]
pub(crate) struct Args {
    #[command(flatten)]
    format: Format,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Well,
    /// Worth knowing, and nothing is wrong.
    Note,
    Wrong,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    /// What was checked.
    subject: String,
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn well(subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Well, subject, detail)
    }

    fn note(subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Note, subject, detail)
    }

    fn wrong(subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Wrong, subject, detail)
    }

    fn new(verdict: Verdict, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            verdict,
            subject: subject.into(),
            detail: detail.into(),
            advice: None,
        }
    }

    fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }

    /// As people read it, in one line or two.
    fn text(&self) -> String {
        let (word, tone) = match self.verdict {
            Verdict::Well => ("well ", Tone::Good),
            Verdict::Note => ("note ", Tone::Warning),
            Verdict::Wrong => ("WRONG", Tone::Bad),
        };
        let advice = self.advice.iter();
        let advice = advice.map(|advice| format!("       -> {advice}\n"));
        format!(
            "{}  {}: {}\n{}",
            tone.paint(word),
            self.subject,
            self.detail,
            advice.collect::<String>()
        )
    }
}

/// Runs `sharehold doctor`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::listen()?;
    let mut findings = system::check();
    findings.push(trial::check(&stop)?);
    findings.extend(segments::check());
    stop.check()?;
    findings.extend(qt::check());
    stop.check()?;
    let wrong = findings.iter().filter(|it| it.verdict == Verdict::Wrong);
    let wrong = wrong.count();
    if args.format.json {
        output::document(&findings)?;
    } else {
        let text: String = findings.iter().map(Finding::text).collect();
        let end = match wrong {
            0 => "all is well".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            _ => format!("{wrong} things are wrong"),
        };
        output::text(&format!("{text}{end}\n"))?;
    }
    let exit = if wrong == 0 { Exit::Done } else { Exit::Failed };
    Ok(exit.into())
}

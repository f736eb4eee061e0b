//! What `top` shows, and what keys do to it. It looks at segments, and knows nothing of how they
//! are drawn.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use anyhow::Result;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sharehold::{Inspection, ListEntry, Summary, inspect};

use crate::describe::{self, State};

/// How many rates are remembered of each segment.
pub(super) const REMEMBERED: usize = 8;

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Go,
    /// Look at once.
    Look,
    /// Stop until SIGCONT.
    Pause,
    End,
}

/// What fills the screen.
pub(super) enum Page {
    List,
    /// One segment, or why it cannot be seen, from a line on.
    One {
        key: String,
        seen: Box<sharehold::Result<Inspection>>,
        line: usize,
    },
    /// What is wrong with a file.
    Fault(String),
    /// What the keys do, from a line on.
    Help {
        line: usize,
    },
}

/// The column that lines are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Key,
    Changes,
    Attached,
    Size,
    State,
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        match self {
            Order::Key => "key",
            Order::Changes => "changes",
            Order::Attached => "attached",
            Order::Size => "size",
            Order::State => "state",
        }
    }

    fn next(self) -> Order {
        match self {
            Order::Key => Order::Changes,
            Order::Changes => Order::Attached,
            Order::Attached => Order::Size,
            Order::Size => Order::State,
            Order::State => Order::Key,
        }
    }
}

/// A segment, or a file that is none.
pub(super) struct Row {
    /// The key, or the file's name.
    pub(super) key: String,
    pub(super) summary: sharehold::Result<Summary>,
    /// Changes in a second, the newest last; nothing for plain bytes.
    pub(super) rates: VecDeque<f64>,
}

impl Row {
    pub(super) fn rate(&self) -> Option<f64> {
        self.rates.back().copied()
    }

    fn attached(&self) -> usize {
        self.summary.as_ref().map_or(0, |it| it.attachments.len())
    }

    fn size(&self) -> usize {
        self.summary.as_ref().map_or(0, describe::size)
    }

    /// What is broken comes first.
    fn urgency(&self) -> (bool, bool, Option<State>) {
        let summary = self.summary.as_ref().ok();
        let is_calm = summary.is_some_and(describe::is_calm);
        (summary.is_some(), is_calm, summary.map(State::of))
    }

    fn matches(&self, filter: &str) -> bool {
        let holds = |text: &str| text.to_lowercase().contains(filter);
        let of_summary =
            |it: &Summary| holds(&describe::type_name(it)) || holds(&describe::lock_words(it).0);
        holds(&self.key) || self.summary.as_ref().is_ok_and(of_summary)
    }
}

/// What was known of a segment at the last look.
struct Before {
    version: u64,
    at: Instant,
    rates: VecDeque<f64>,
}

/// Everything that is shown.
pub(super) struct Model {
    rows: Vec<Row>,
    before: HashMap<String, Before>,
    pub(super) page: Page,
    pub(super) order: Order,
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) is_typing: bool,
    /// The key of the chosen line.
    chosen: Option<String>,
    /// How many lines there were room for.
    pub(super) height: usize,
}

impl Default for Model {
    fn default() -> Model {
        Model {
            rows: Vec::new(),
            before: HashMap::new(),
            page: Page::List,
            order: Order::default(),
            filter: String::new(),
            is_typing: false,
            chosen: None,
            height: 1,
        }
    }
}

impl Model {
    /// Looks again.
    pub(super) fn refresh(&mut self, now: Instant) -> Result<()> {
        let listed = sharehold::list()?;
        let mut after = HashMap::with_capacity(listed.len());
        self.rows.clear();
        for it in listed {
            let row = self.row(it, now);
            if let Ok(summary) = &row.summary
                && let Some(version) = summary.version
            {
                let rates = row.rates.clone();
                let at = now;
                after.insert(row.key.clone(), Before { version, at, rates });
            }
            self.rows.push(row);
        }
        self.before = after;
        self.sort();
        if let Page::One { key, seen, .. } = &mut self.page {
            **seen = inspect(key);
        }
        Ok(())
    }

    fn row(&mut self, listed: ListEntry, now: Instant) -> Row {
        let file_name = listed.file_name;
        let key = match &listed.summary {
            Ok(summary) => summary.key.clone(),
            Err(_) => file_name.to_string_lossy().into_owned(),
        };
        let mut rates = VecDeque::new();
        let version = listed.summary.as_ref().ok().and_then(|it| it.version);
        if let (Some(before), Some(version)) = (self.before.remove(&key), version) {
            rates = before.rates;
            let changes = u32::try_from(version.saturating_sub(before.version));
            let seconds = now.duration_since(before.at).as_secs_f64();
            if seconds > 0.0 {
                rates.push_back(f64::from(changes.unwrap_or(u32::MAX)) / seconds);
            }
            if rates.len() > REMEMBERED {
                rates.pop_front();
            }
        }
        Row {
            key,
            summary: listed.summary,
            rates,
        }
    }

    fn sort(&mut self) {
        let rows = &mut self.rows;
        // They come in the order of their names; equal ones stay in that of their keys.
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        match self.order {
            Order::Key => {}
            Order::Changes => rows.sort_by(|one, other| {
                let rate = |row: &Row| row.rate().unwrap_or(-1.0);
                rate(other).total_cmp(&rate(one))
            }),
            Order::Attached => rows.sort_by_key(|row| std::cmp::Reverse(row.attached())),
            Order::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.size())),
            Order::State => rows.sort_by_key(Row::urgency),
        }
    }

    /// All rows, whatever the filter.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows that the filter lets through.
    pub(super) fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let rows = self.rows.iter();
        rows.filter(|row| row.matches(&filter)).collect()
    }

    /// Which of the shown rows is chosen.
    pub(super) fn chosen(&self, shown: &[&Row]) -> Option<usize> {
        let chosen = self.chosen.as_deref();
        let found = shown
            .iter()
            .position(|row| Some(row.key.as_str()) == chosen);
        found.or_else(|| (!shown.is_empty()).then_some(0))
    }

    /// Does what the key is for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Flow {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Flow::End,
                KeyCode::Char('z') => return Flow::Pause,
                _ => {}
            }
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Flow::Go;
        }
        match &mut self.page {
            Page::List => self.press_in_list(key.code),
            Page::One { line, .. } | Page::Help { line } => match key.code {
                KeyCode::Char('q') => Flow::End,
                KeyCode::Esc | KeyCode::Backspace | KeyCode::Left | KeyCode::Char('h') => {
                    self.back()
                }
                code => {
                    // Where there is no more, drawing stops it.
                    *line = moved(*line, code, self.height, usize::MAX);
                    Flow::Go
                }
            },
            Page::Fault(_) => match key.code {
                KeyCode::Char('q') => Flow::End,
                _ => self.back(),
            },
        }
    }

    fn back(&mut self) -> Flow {
        self.page = Page::List;
        Flow::Go
    }

    fn press_in_list(&mut self, code: KeyCode) -> Flow {
        match code {
            KeyCode::Char('q') => return Flow::End,
            KeyCode::Char('?') => self.page = Page::Help { line: 0 },
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.sort();
            }
            KeyCode::Char('r') => return Flow::Look,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => self.open(),
            code => {
                let shown = self.shown();
                if let (Some(at), Some(last)) = (self.chosen(&shown), shown.len().checked_sub(1)) {
                    let at = moved(at, code, self.height, last);
                    self.chosen = shown.get(at).map(|row| row.key.clone());
                }
            }
        }
        Flow::Go
    }

    fn open(&mut self) {
        let shown = self.shown();
        let Some(row) = self.chosen(&shown).and_then(|at| shown.get(at)) else {
            return;
        };
        let page = match &row.summary {
            Ok(_) => Page::One {
                seen: Box::new(inspect(&row.key)),
                key: row.key.clone(),
                line: 0,
            },
            Err(error) => Page::Fault(format!("{}: {}", row.key, describe::reason(error))),
        };
        self.chosen = Some(row.key.clone());
        self.page = page;
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) => self.filter.push(char),
            _ => {}
        }
    }
}

/// Where a line is after a key that moves.
fn moved(at: usize, code: KeyCode, page: usize, last: usize) -> usize {
    let to = match code {
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => at.saturating_add(1),
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => at.saturating_add(page),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => at,
    };
    to.min(last)
}

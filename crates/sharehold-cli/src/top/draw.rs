//! How `top` looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState, Wrap};
use sharehold::{Consistency, Inspection, LockState, Summary};
use unicode_width::UnicodeWidthStr;

use super::columns::Column;
use super::fit::{self, Part};
use super::model::{Model, Page, Row};
use crate::describe::{self, State};
use crate::output::Tone;
use crate::{format, show, spark};

const KEYS: &[Part<'static>] = &[
    ("↑↓ move", 5),
    ("Enter open", 3),
    ("s sort", 4),
    ("/ filter", 2),
    ("? help", 1),
    ("q quit", 0),
];
const KEYS_OF_ONE: &[Part<'static>] = &[("↑↓ scroll", 2), ("Esc back", 1), ("q quit", 0)];
const KEYS_OF_FILTER: &[Part<'static>] = &[("Esc drops it", 2), ("? help", 1), ("q quit", 0)];
const KEYS_OF_TEXT: &[Part<'static>] = &[("any key", 0), ("goes back", 1)];
const HELP: &[(&str, &str)] = &[
    ("q Ctrl-C", "quit"),
    ("↑ ↓ j k", "move"),
    ("PgUp PgDn Space", "move by a page"),
    ("Home End g G", "to the first, to the last"),
    (
        "Enter → l",
        "open one segment: its lock, who is attached, its value",
    ),
    ("Esc ← h", "back; in the list: no filter"),
    ("s", "sort by key, changes, attached, size, state"),
    (
        "/",
        "filter by key, type or holder; Enter keeps it, Esc drops it",
    ),
    ("r", "look now"),
    ("Ctrl-Z", "stop for a while"),
];

/// Draws what there is.
pub(super) fn all(frame: &mut Frame, model: &mut Model) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    // A line of the list is its heading.
    model.height = usize::from(body.height).saturating_sub(1).max(1);
    let room = usize::from(head.width);
    frame.render_widget(Line::from(headline(model, room)).style(bold()), head);
    let footline = Line::from(footline(model, room)).style(style(Tone::Faint));
    frame.render_widget(footline, foot);
    match &model.page {
        Page::List => list(frame, body, model),
        Page::Help { .. } => help(frame, body, model),
        Page::Fault(fault) => {
            let fault = Paragraph::new(format::visible(fault)).wrap(Wrap { trim: true });
            frame.render_widget(fault.style(style(Tone::Bad)), body);
        }
        Page::One { .. } => one(frame, body, model),
    }
}

fn headline(model: &Model, room: usize) -> String {
    const NAME: &str = "sharehold top";
    if let Page::One { key, .. } = &model.page {
        return fit::named(NAME, &format::visible(key), room);
    }
    let states: Vec<Option<State>> = model
        .rows()
        .iter()
        .map(|row| row.summary.as_ref().ok().map(State::of))
        .collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let plural = if states.len() == 1 { "" } else { "s" };
    let mut parts = vec![
        NAME.to_owned(),
        format!("  {} segment{plural}", states.len()),
    ];
    for (state, word) in [
        (Some(State::Live), "live"),
        (Some(State::Idle), "idle"),
        (Some(State::Stale), "stale"),
        (None, "damaged"),
    ] {
        match count(state) {
            0 => {}
            number => parts.push(format!(", {number} {word}")),
        }
    }
    parts.push(format!("  by {}", model.order.word()));
    let parts: Vec<Part<'_>> = parts.iter().map(String::as_str).zip(0..).collect();
    fit::parts(&parts, "", room)
}

fn footline(model: &Model, room: usize) -> String {
    let keys = |parts, room| fit::parts(parts, "  ", room);
    match &model.page {
        _ if model.is_typing => {
            let filter = format::visible(&model.filter);
            format!("/{}▏", fit::end(&filter, room.saturating_sub(2)))
        }
        Page::List if !model.filter.is_empty() => {
            let filter = format!("filter: {}", format::visible(&model.filter));
            let filter = format::cut(&filter, room);
            let keys = keys(KEYS_OF_FILTER, room.saturating_sub(filter.width() + 2));
            format!("{filter}  {keys}")
        }
        Page::List => keys(KEYS, room),
        Page::One { .. } | Page::Help { .. } => keys(KEYS_OF_ONE, room),
        Page::Fault(_) => fit::parts(KEYS_OF_TEXT, " ", room),
    }
}

fn help(frame: &mut Frame, area: Rect, model: &mut Model) {
    const KEYS: usize = 18;
    let Page::Help { line } = &mut model.page else {
        return;
    };
    let room = usize::from(area.width).saturating_sub(KEYS);
    let mut lines = Vec::new();
    for (mut keys, what) in HELP.iter().copied() {
        for words in fit::wrapped(what, room) {
            let keys = Span::styled(format!("{:<KEYS$}", std::mem::take(&mut keys)), bold());
            lines.push(Line::from(vec![keys, Span::raw(words)]));
        }
    }
    scrolled(frame, area, lines, line);
}

/// Draws lines from the chosen one on, which is brought back where there are no more.
fn scrolled(frame: &mut Frame, area: Rect, lines: Vec<Line<'_>>, from: &mut usize) {
    let height = usize::from(area.height);
    *from = (*from).min(lines.len().saturating_sub(height));
    let visible: Vec<Line> = lines.into_iter().skip(*from).take(height).collect();
    frame.render_widget(Paragraph::new(visible), area);
}

fn list(frame: &mut Frame, area: Rect, model: &Model) {
    let shown = model.shown();
    let chosen = model.chosen(&shown);
    let height = model.height;
    // Only what fits is made: the first line is the one that leaves the chosen one in sight.
    let first = chosen.map_or(0, |at| at / height * height);
    let visible = shown.iter().skip(first).take(height);
    let columns = Column::fitting(area.width);
    let rows: Vec<TableRow> = visible.map(|row| line(row, &columns)).collect();
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let heading = columns.iter().map(|(column, _)| column.heading());
    let table = Table::new(rows, widths)
        .header(TableRow::new(heading).style(style(Tone::Faint)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(chosen.map(|at| at - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn line(row: &Row, columns: &[(Column, u16)]) -> TableRow<'static> {
    let has_holder = columns.iter().any(|(column, _)| *column == Column::Holder);
    let of_fault = if has_holder {
        Column::Holder
    } else {
        Column::State
    };
    let cells = columns.iter().map(|&(column, width)| {
        let (text, tone) = match &row.summary {
            Err(_) if column == Column::Key => (format::visible(&row.key), Tone::Plain),
            Ok(summary) => cell(row, summary, column),
            Err(error) if column == of_fault => {
                (describe::fault_word(error.kind()).to_owned(), Tone::Bad)
            }
            Err(_) => (String::new(), Tone::Plain),
        };
        let text = match (&row.summary, column) {
            // Keys of one program often begin alike. The file of none ends in a hash.
            (Ok(_), Column::Key) => format::middle(&text, width.into()),
            _ => format::cut(&text, width.into()),
        };
        Cell::new(text).style(style(tone))
    });
    let line = TableRow::new(cells);
    match row.summary {
        Ok(_) => line,
        Err(_) => line.style(style(Tone::Bad)),
    }
}

fn cell(row: &Row, summary: &Summary, column: Column) -> (String, Tone) {
    let plain = |text| (text, Tone::Plain);
    match column {
        Column::Key => plain(format::visible(&row.key)),
        Column::Size => plain(format!(
            "{:>9}",
            format::bytes(describe::size(summary) as u64)
        )),
        Column::Attached => plain(format!("{:>3}", summary.attachments.len())),
        Column::Holder => holder(summary),
        Column::Rate => {
            let rate = row.rate().map_or("-".to_owned(), format::count);
            plain(format!("{rate:>9}"))
        }
        Column::Bars => {
            let most = row.rates.iter().copied().fold(0.0, f64::max);
            let bars = spark::between(row.rates.iter().copied(), 0.0, most);
            (bars, Tone::Good)
        }
        Column::State => {
            let state = State::of(summary);
            (state.word().to_owned(), state.tone())
        }
    }
}

/// The owner of the lock, in the width of a column.
fn holder(summary: &Summary) -> (String, Tone) {
    let waits = if summary.is_awaited { " +" } else { "" };
    match (&summary.lock, &summary.condition) {
        (LockState::Held(holder), _) => {
            let who = describe::who(holder.attachment.as_ref());
            (format!("{who}{waits}"), Tone::Plain)
        }
        (LockState::Abandoned(holder), _) => {
            let who = describe::who(holder.attachment.as_ref());
            (format!("† {who}{waits}"), Tone::Bad)
        }
        (_, Consistency::Abandoned { previous_owner, .. }) => (
            format!("- († {})", describe::who(previous_owner.as_ref())),
            Tone::Bad,
        ),
        _ => ("-".to_owned(), Tone::Faint),
    }
}

fn one(frame: &mut Frame, area: Rect, model: &mut Model) {
    let Page::One { seen, line, .. } = &mut model.page else {
        return;
    };
    let lines = match seen.as_ref() {
        Ok(seen) => lines_of(seen),
        Err(error) => vec![Line::styled(
            format::visible(&error.to_string()),
            style(Tone::Bad),
        )],
    };
    scrolled(frame, area, lines, line);
}

fn lines_of(seen: &Inspection) -> Vec<Line<'static>> {
    let spans = |cells: Vec<crate::table::Cell>| {
        let spans = cells.into_iter().map(|cell| {
            let (text, tone) = cell.into_parts();
            Span::styled(text, style(tone))
        });
        Line::from(spans.collect::<Vec<_>>())
    };
    show::lines(seen).into_iter().map(spans).collect()
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => bold(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
    }
}

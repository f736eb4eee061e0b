//! How `top` looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState, Wrap};
use sharehold::{Condition, Inspection, LockState, Summary};

use super::model::{Model, Page, REMEMBERED, Row};
use crate::output::Tone;
use crate::seen::{self, State};
use crate::{human, show, spark};

const KEYS: &str = "↑↓ move  Enter open  s sort  / filter  ? help  q quit";
const KEYS_OF_ONE: &str = "↑↓ scroll  Esc back  q quit";
const HELP: &[(&str, &str)] = &[
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
    ("q Ctrl-C", "quit"),
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
    frame.render_widget(Line::from(headline(model)).style(bold()), head);
    frame.render_widget(Line::from(footline(model)).style(style(Tone::Faint)), foot);
    match &model.page {
        Page::List => list(frame, body, model),
        Page::Help => frame.render_widget(Paragraph::new(help()), body),
        Page::Fault(fault) => {
            let fault = Paragraph::new(human::visible(fault)).wrap(Wrap { trim: true });
            frame.render_widget(fault.style(style(Tone::Bad)), body);
        }
        Page::One { .. } => one(frame, body, model),
    }
}

fn headline(model: &Model) -> String {
    if let Page::One { key, .. } = &model.page {
        return format!("sharehold top  {}", human::visible(key));
    }
    let states: Vec<Option<State>> = model
        .rows()
        .iter()
        .map(|row| row.summary.as_ref().ok().map(State::of))
        .collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let plural = if states.len() == 1 { "" } else { "s" };
    let mut text = format!("sharehold top  {} segment{plural}", states.len());
    for (state, word) in [
        (Some(State::Live), "live"),
        (Some(State::Idle), "idle"),
        (Some(State::Stale), "stale"),
        (None, "damaged"),
    ] {
        let number = count(state);
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    text + &format!("  by {}", model.order.word())
}

fn footline(model: &Model) -> String {
    match &model.page {
        _ if model.is_typing => format!("/{}▏", human::visible(&model.filter)),
        Page::List if !model.filter.is_empty() => {
            format!(
                "filter: {}  Esc drops it  {KEYS}",
                human::visible(&model.filter)
            )
        }
        Page::List => KEYS.to_owned(),
        Page::One { .. } => KEYS_OF_ONE.to_owned(),
        Page::Help | Page::Fault(_) => "any key goes back".to_owned(),
    }
}

fn help() -> Vec<Line<'static>> {
    let lines = HELP.iter().map(|(keys, what)| {
        let keys = Span::styled(format!("  {keys:<18}"), bold());
        Line::from(vec![keys, Span::raw(*what)])
    });
    std::iter::once(Line::default()).chain(lines).collect()
}

fn list(frame: &mut Frame, area: Rect, model: &Model) {
    let shown = model.shown();
    let chosen = model.chosen(&shown);
    let height = model.height;
    // Only what fits is made: the first line is the one that leaves the chosen one in sight.
    let first = chosen.map_or(0, |at| at / height * height);
    let visible = shown.iter().skip(first).take(height);
    let rows: Vec<TableRow> = visible.map(|row| line(row)).collect();
    let spark = u16::try_from(REMEMBERED).unwrap_or(8);
    let widths = [
        Constraint::Fill(5),
        Constraint::Length(9),
        Constraint::Length(3),
        Constraint::Fill(4),
        Constraint::Length(9),
        Constraint::Length(spark),
        Constraint::Length(5),
    ];
    let heading = [
        "KEY",
        "     SIZE",
        "ATT",
        "HOLDER",
        "CHANGES/S",
        "",
        "STATE",
    ];
    let table = Table::new(rows, widths)
        .header(TableRow::new(heading).style(style(Tone::Faint)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(chosen.map(|at| at - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn line(row: &Row) -> TableRow<'static> {
    let key = human::visible(&row.key);
    let summary = match &row.summary {
        Ok(summary) => summary,
        Err(error) => {
            let fault = seen::fault_word(error.kind());
            let cells = [key, String::new(), String::new(), fault.to_owned()];
            return TableRow::new(cells).style(style(Tone::Bad));
        }
    };
    let size = human::bytes(summary.size as u64);
    let (holder, tone) = holder(summary);
    let state = State::of(summary);
    let rate = row.rate().map_or("-".to_owned(), human::count);
    let most = row.rates.iter().copied().fold(0.0, f64::max);
    let bars = spark::between(row.rates.iter().copied(), 0.0, most);
    TableRow::new([
        Cell::new(key),
        Cell::new(format!("{size:>9}")),
        Cell::new(format!("{:>3}", summary.attachments.len())),
        Cell::new(holder).style(style(tone)),
        Cell::new(format!("{rate:>9}")),
        Cell::new(bars).style(style(Tone::Good)),
        Cell::new(state.word()).style(style(state.tone())),
    ])
}

/// Who holds the lock, in the room of a column.
fn holder(summary: &Summary) -> (String, Tone) {
    let waits = if summary.is_awaited { " +" } else { "" };
    match (&summary.lock, &summary.condition) {
        (LockState::Held(holder), _) => {
            let who = seen::who(holder.attachment.as_ref());
            (format!("{who}{waits}"), Tone::Plain)
        }
        (LockState::Abandoned(holder), _) => {
            let who = seen::who(holder.attachment.as_ref());
            (format!("† {who}{waits}"), Tone::Bad)
        }
        (_, Condition::Abandoned { culprit, .. }) => {
            (format!("- († {})", seen::who(culprit.as_ref())), Tone::Bad)
        }
        _ => ("-".to_owned(), Tone::Faint),
    }
}

fn one(frame: &mut Frame, area: Rect, model: &mut Model) {
    let height = usize::from(area.height);
    let Page::One { seen, line, .. } = &mut model.page else {
        return;
    };
    let lines = match seen.as_ref() {
        Ok(seen) => lines_of(seen),
        Err(error) => vec![Line::styled(
            human::visible(&error.to_string()),
            style(Tone::Bad),
        )],
    };
    *line = (*line).min(lines.len().saturating_sub(height));
    let visible: Vec<Line> = lines.into_iter().skip(*line).take(height).collect();
    frame.render_widget(Paragraph::new(visible), area);
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

//! Tables of text: columns as wide as what is in them.

use unicode_width::UnicodeWidthStr;

use crate::output::Tone;

/// Two spaces between columns.
const GAP: &str = "  ";

/// To which side a column's cells are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

/// Text in a row, and how it is meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Cell {
        let text = text.into();
        Cell { text, tone }
    }

    pub(crate) fn into_parts(self) -> (String, Tone) {
        (self.text, self.tone)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text, Tone::Plain)
    }
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<(&'static str, Align)>>) -> Table {
        let columns = columns.into();
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    /// A table of so many columns, all moved to the left.
    pub(crate) fn without_heading(columns: usize) -> Table {
        Table::new(vec![("", Align::Left); columns])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row. One that has fewer cells than there are columns ends early, and its last cell
    /// may be as wide as it wants.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// All of it, one line a row, without spaces at the ends of lines.
    pub(crate) fn to_text(&self) -> String {
        to_text(&self.lines())
    }

    /// The cells of each line, filled up to the width of their columns.
    pub(crate) fn lines(&self) -> Vec<Vec<Cell>> {
        let heading = self.columns.iter();
        let heading: Vec<Cell> = heading
            .map(|&(name, _)| Cell::new(name, Tone::Strong))
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.width(column, &heading))
            .collect();
        let has_heading = self.columns.iter().any(|(name, _)| !name.is_empty());
        let heading = Some(&heading).filter(|_| has_heading);
        let rows = heading.into_iter().chain(&self.rows);
        rows.map(|row| self.line(row, &widths)).collect()
    }

    fn width(&self, column: usize, heading: &[Cell]) -> usize {
        let whole = self
            .rows
            .iter()
            .filter(|row| row.len() == self.columns.len() || column + 1 < row.len());
        let cells = whole.filter_map(|row| row.get(column));
        let widths = cells
            .chain(heading.get(column))
            .map(|cell| cell.text.width());
        widths.max().unwrap_or(0)
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Vec<Cell> {
        let mut line = Vec::new();
        for (index, ((cell, (_, align)), &width)) in
            row.iter().zip(&self.columns).zip(widths).enumerate()
        {
            let last = index + 1 == row.len();
            let space = " ".repeat(width.saturating_sub(cell.text.width()));
            let (before, behind) = match align {
                Align::Right => (space, String::new()),
                Align::Left if last => (String::new(), String::new()),
                Align::Left => (String::new(), space),
            };
            let gap = if last { "" } else { GAP };
            line.push(before.into());
            line.push(cell.clone());
            line.push((behind + gap).into());
        }
        line
    }
}

/// Lines of cells as text, without spaces at their ends.
pub(crate) fn to_text(lines: &[Vec<Cell>]) -> String {
    let text = |cell: &Cell| cell.tone.paint(&cell.text);
    let line = |cells: &Vec<Cell>| {
        let line: String = cells.iter().map(text).collect();
        line.trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

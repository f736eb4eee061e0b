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
#[derive(Debug, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Cell {
        let text = text.into();
        Cell { text, tone }
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

    /// Adds a row. One that has fewer cells than there are columns ends early, and its last cell may be as wide as it wants.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// All of it, one line a row, without spaces at the ends of lines.
    pub(crate) fn to_text(&self) -> String {
        let heading = self
            .columns
            .iter()
            .map(|&(name, _)| Cell::new(name, Tone::Strong));
        let heading: Vec<Cell> = heading.collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.width(column, &heading))
            .collect();
        let rows = std::iter::once(&heading).chain(&self.rows);
        rows.map(|row| self.line(row, &widths) + "\n").collect()
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

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, ((cell, (_, align)), &width)) in
            row.iter().zip(&self.columns).zip(widths).enumerate()
        {
            let last = index + 1 == row.len();
            let space = " ".repeat(width.saturating_sub(cell.text.width()));
            let text = cell.tone.paint(&cell.text);
            match align {
                Align::Right => line += &(space + &text),
                Align::Left if last => line += &text,
                Align::Left => line += &(text + &space),
            }
            line += if last { "" } else { GAP };
        }
        line
    }
}

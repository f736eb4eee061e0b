//! The columns of the list: which of them have room, and how wide each is. The key stays longest.

use ratatui::layout::{Constraint, Layout, Rect};

use super::model::REMEMBERED;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Key,
    Size,
    Attached,
    Holder,
    Rate,
    Bars,
    State,
}

impl Column {
    /// As they stand beside each other.
    const ALL: [Column; 7] = [
        Column::Key,
        Column::Size,
        Column::Attached,
        Column::Holder,
        Column::Rate,
        Column::Bars,
        Column::State,
    ];

    /// The most important one first.
    const BY_RANK: [Column; 7] = [
        Column::Key,
        Column::State,
        Column::Holder,
        Column::Attached,
        Column::Rate,
        Column::Size,
        Column::Bars,
    ];

    /// Those that fit, each with its width.
    pub(super) fn fitting(room: u16) -> Vec<(Column, u16)> {
        let mut needed = 0;
        let mut chosen = vec![Column::Key];
        for column in Column::BY_RANK {
            needed += column.least() + 1;
            // None is followed by a gap.
            if needed > room + 1 {
                break;
            }
            chosen.push(column);
        }
        let shown = Column::ALL.into_iter().filter(|it| chosen.contains(it));
        let shown: Vec<Column> = shown.collect();
        let widths = shown.iter().map(|column| column.width());
        let line = Rect::new(0, 0, room, 1);
        let areas = Layout::horizontal(widths).spacing(1).split(line);
        let widths = areas.iter().map(|area| area.width);
        shown.into_iter().zip(widths).collect()
    }

    pub(super) fn heading(self) -> &'static str {
        match self {
            Column::Key => "KEY",
            Column::Size => "     SIZE",
            Column::Attached => "ATT",
            Column::Holder => "HOLDER",
            Column::Rate => "CHANGES/S",
            Column::Bars => "",
            Column::State => "STATE",
        }
    }

    /// The room without which it is not shown.
    fn least(self) -> u16 {
        match self.width() {
            Constraint::Length(width) => width,
            _ if self == Column::Key => 16,
            _ => 12,
        }
    }

    fn width(self) -> Constraint {
        match self {
            Column::Key => Constraint::Fill(5),
            Column::Holder => Constraint::Fill(4),
            Column::Size | Column::Rate => Constraint::Length(9),
            Column::Attached => Constraint::Length(3),
            Column::State => Constraint::Length(5),
            Column::Bars => Constraint::Length(u16::try_from(REMEMBERED).unwrap_or(8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_longest() {
        let shown = |room| {
            let fitting = Column::fitting(room);
            assert!(fitting.iter().all(|(_, width)| *width > 0), "{room}");
            fitting
                .iter()
                .map(|(column, _)| *column)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(200), Column::ALL);
        assert_eq!(shown(80), Column::ALL);
        assert_eq!(
            shown(40),
            [Column::Key, Column::Attached, Column::Holder, Column::State]
        );
        assert_eq!(shown(22), [Column::Key, Column::State]);
        assert_eq!(shown(10), [Column::Key]);
    }
}

//! What stands on a screen, row by row.

/// How many rows and columns a screen has.
pub(crate) fn size(screen: &vt100::Screen) -> (u16, u16) {
    let (rows, columns) = screen.size();
    (rows.get(), columns.get())
}

/// The rows of a screen, from the top.
pub(crate) fn lines(screen: &vt100::Screen) -> Vec<String> {
    screen.rows(0, size(screen).1).collect()
}

/// The line that is shown in reverse.
pub(crate) fn chosen(screen: &vt100::Screen) -> Option<String> {
    let (rows, _) = size(screen);
    let inverse = |row| screen.cell(row, 0).is_some_and(vt100::Cell::inverse);
    let row = (0..rows).find(|&row| inverse(row))?;
    lines(screen).into_iter().nth(usize::from(row))
}

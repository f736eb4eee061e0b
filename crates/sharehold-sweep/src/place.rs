//! Where an instruction stands: bytes, file, function, line.

use crate::maps;
use crate::trace::Trace;
use backtrace::Symbol;
use std::ffi::c_void;
use std::fmt::Write;

/// Describes the instruction before a point of the operation: `instruction N of M` and what is
/// known of it.
pub(crate) fn describe(trace: &Trace, point: usize) -> String {
    let mut text = format!("instruction {point} of {}", trace.len());
    let Some(step) = point
        .checked_sub(1)
        .and_then(|index| trace.steps.get(index))
    else {
        return text + ", which is before the first";
    };
    let address = step.address;
    if let Some(code) = trace.code(address) {
        let code: Vec<String> = code.iter().map(|byte| format!("{byte:02x}")).collect();
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            text,
            "\n    code: {} (the instruction and what follows it)",
            code.join(" ")
        );
    }
    if let Some((mapping, lowest)) = trace.mapping(address) {
        let offset = address - mapping.start + mapping.offset;
        let _ = write!(text, "\n    file: {}, offset {offset:#x}", mapping.path);
        for symbol in symbols(&mapping.path, address - lowest) {
            let _ = write!(text, "\n    in: {symbol}");
        }
    }
    text
}

/// Names the functions at a distance from the start of a loaded file, the innermost first, with
/// their lines.
///
/// The victim is this program, so that what it has loaded is usually loaded here too, though
/// elsewhere.
fn symbols(path: &str, distance: u64) -> Vec<String> {
    let Ok(mappings) = maps::of_process("self") else {
        return Vec::new();
    };
    let Some(loaded) = mappings.iter().find(|mapping| mapping.path == path) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // `resolve` only compares the address with the tables of the loaded files.
    let address = usize::try_from(loaded.start + distance).unwrap_or(0) as *mut c_void;
    backtrace::resolve(address, |symbol| found.push(name(symbol)));
    found
}

fn name(symbol: &Symbol) -> String {
    let mut text = symbol.name().map_or_else(
        || "an unnamed function".to_owned(),
        |name| format!("{name:#}"),
    );
    if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
        let _ = write!(text, " at {}:{line}", file.display());
    }
    text
}

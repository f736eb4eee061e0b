//! The first pass: every instruction of the operation once, with what each changed.

use crate::error::Error;
use crate::maps::{self, Mapping, SharedBytes};
use crate::ptrace::Tracee;
use std::collections::HashMap;

/// The longest instruction of x86-64.
const LONGEST_INSTRUCTION: usize = 15;
/// `int3`, which stands at the end of the operation.
const BREAKPOINT: u8 = 0xcc;
/// `syscall`.
const SYSTEM_CALL: [u8; 2] = [0x0f, 0x05];

/// The bytes at an instruction's address; those behind a short instruction belong to the next ones.
pub(crate) type Code = [u8; LONGEST_INSTRUCTION];

/// One executed instruction.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) address: u64,
    pub(crate) change: Change,
}

/// What others could see of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// Bytes in shared memory differ.
    SharedBytes,
    /// It was a system call, which may have changed anything.
    SystemCall,
}

/// The operation from its first instruction to its end.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Step>,
    /// Where the end of the operation is.
    end: u64,
    code: HashMap<u64, Code>,
    mappings: Vec<Mapping>,
}

impl Trace {
    /// Steps a victim from the start of its operation to the end; `watched` bytes of each mapping
    /// are compared.
    pub(crate) fn record(victim: &mut Tracee, watched: usize) -> Result<Self, Error> {
        let mut code = HashMap::new();
        let mut shared = SharedBytes::of(victim, watched)?;
        let mut steps = Vec::new();
        let mut address = victim.instruction_pointer()?;
        loop {
            let bytes = *code
                .entry(address)
                .or_insert_with(|| code_at(victim, address));
            if bytes[0] == BREAKPOINT {
                break;
            }
            victim.step()?;
            let change = if bytes.starts_with(&SYSTEM_CALL) {
                shared.find(victim)?;
                Change::SystemCall
            } else if shared.changed(victim) {
                Change::SharedBytes
            } else {
                Change::None
            };
            steps.push(Step { address, change });
            address = victim.instruction_pointer()?;
        }
        Ok(Self {
            steps,
            end: address,
            code,
            mappings: maps::of_process(&victim.pid().to_string())?,
        })
    }

    /// Returns the number of instructions.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns the points after which others could see a difference.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (usize, Change)> {
        self.steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.change != Change::None)
            .map(|(index, step)| (index + 1, step.change))
    }

    /// Returns the address of the instruction that follows point `point`.
    pub(crate) fn address_after(&self, point: usize) -> u64 {
        self.steps.get(point).map_or(self.end, |step| step.address)
    }

    /// Returns the bytes at an address that the operation came by.
    pub(crate) fn code(&self, address: u64) -> Option<&Code> {
        self.code.get(&address)
    }

    /// Returns the mapping that holds an address, and the start of the lowest mapping of the same
    /// file.
    pub(crate) fn mapping(&self, address: u64) -> Option<(&Mapping, u64)> {
        let found = self
            .mappings
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&address))?;
        let lowest = self
            .mappings
            .iter()
            .find(|mapping| mapping.path == found.path)?;
        Some((found, lowest.start))
    }
}

/// Says whether the victim stands at the end of its operation.
pub(crate) fn at_end(victim: &Tracee) -> Result<bool, Error> {
    let address = victim.instruction_pointer()?;
    Ok(code_at(victim, address)[0] == BREAKPOINT)
}

fn code_at(victim: &Tracee, address: u64) -> Code {
    let mut bytes = [0; LONGEST_INSTRUCTION];
    victim.read(address, &mut bytes);
    bytes
}

//! Words in a shared file, and operations on them of which every instruction is known.

#![allow(unsafe_code)]

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::arch::asm;
use std::fs::OpenOptions;
use std::num::NonZeroUsize;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

const SIZE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// One page of a file, mapped until the process ends.
pub(crate) struct Words(NonNull<AtomicU64>);

impl Words {
    pub(crate) fn open(path: &Path) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .unwrap();
        file.set_len(SIZE.get() as u64).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the system chooses where, so that no memory in use is replaced.
        let start = unsafe { mmap(None, SIZE, access, MapFlags::MAP_SHARED, &file, 0) };
        Self(start.unwrap().cast())
    }

    fn all(&self) -> &[AtomicU64] {
        let count = SIZE.get() / size_of::<AtomicU64>();
        // SAFETY: the page is mapped for reading and writing, is aligned, and is never unmapped;
        // any bytes are words.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), count) }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.all()[index].load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, index: usize, value: u64) {
        self.all()[index].store(value, Ordering::Relaxed);
    }

    /// Stores `value` in two words, by one instruction each and nothing between them.
    pub(crate) fn set_two(&self, first: usize, second: usize, value: u64) {
        let (first, second) = (self.all()[first].as_ptr(), self.all()[second].as_ptr());
        // SAFETY: both addresses are those of words of the page, to which all access is atomic, as
        // these stores are.
        unsafe {
            asm!(
                "mov [{first}], {value}",
                "mov [{second}], {value}",
                first = in(reg) first,
                second = in(reg) second,
                value = in(reg) value,
                options(nostack),
            );
        }
    }

    /// Fills the first bytes of the page with ones, by one repeated instruction.
    pub(crate) fn fill(&self, count: usize) {
        assert!(count <= SIZE.get());
        // SAFETY: the page has that many bytes, and no other process uses it meanwhile.
        unsafe {
            asm!(
                "rep stosb",
                inout("rcx") count => _,
                inout("rdi") self.0.as_ptr() => _,
                in("al") 1_u8,
                options(nostack),
            );
        }
    }

    /// Adds one to a word `count` times, by a loop of three instructions.
    pub(crate) fn count(&self, index: usize, count: u64) {
        let word = self.all()[index].as_ptr();
        assert!(count > 0);
        // SAFETY: the address is that of a word of the page, which no other process uses meanwhile.
        unsafe {
            asm!(
                "2:",
                "inc qword ptr [{word}]",
                "dec {count}",
                "jnz 2b",
                word = in(reg) word,
                count = inout(reg) count => _,
                options(nostack),
            );
        }
    }
}

/// Makes three system calls that change nothing, with an instruction before each and after the
/// last.
pub(crate) fn ask_three_times() {
    // SAFETY: `getppid` has no arguments and no effect; the registers that it changes are named.
    unsafe {
        asm!(
            "nop",
            "mov eax, {getppid}",
            "syscall",
            "mov eax, {getppid}",
            "syscall",
            "mov eax, {getppid}",
            "syscall",
            "nop",
            getppid = const 110,
            out("rax") _,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
}

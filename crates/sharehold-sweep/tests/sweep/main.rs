//! Sweeps of toys whose every instruction is known, with real deaths.
//!
//! This program is started again as each toy's victim, so it has a `main` of its own.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod sweeps;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod toys;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod words;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    sweeps::run()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> std::process::ExitCode {
    sharehold_sweep::main(&[])
}

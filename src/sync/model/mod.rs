//! The lock in all interleavings, with deaths: `protocol`, as it is, in a small world that can be gone through to the end.
//!
//! `program` makes machines with few states of threads that run the code, `state` has the lock's words and the threads, `world`
//! what steps do to them, `search` goes through all states and judges them, `tests` asks. `slots`
//! does the same for the proof of death that the lock takes as given, `change`, `sharing`, `permits`, `event` and `rounds` for what is made
//! of the lock; `crowd` and `places` are what the last three have in common. `seats` is who checks for others.
//!
//! # What holds
//!
//! In every state that two threads with three acquisitions each can come to, or three, of which two acquire twice:
//!
//! - Nobody acquires while another, living or stopped, is between acquiring and releasing; of the dead one takes over, once.
//! - A release frees nothing but its own hold. What a dead holder leaves is recorded before anybody releases.
//! - Nobody goes to sleep a third time on a dead owner without having asked whether it lives; how long the two sleeps are is
//!   tested by itself, for every order of owners.
//! - Without deaths, every run ends, with everybody done and the lock free, though no sleep ever has to end by itself; it may,
//!   as for a signal, and also a deadline may pass at any moment.
//! - With deaths (up to two, of any process, before any step), and with threads that stop for good, sleeps end in
//!   the end, and every run in which everybody able to go on does so ends, with everybody living done. Only who waits for a
//!   stopped holder waits on.
//!
//! Nothing is cut off: there is no bound on how often threads interrupt each other, nor on the length of a run.
//!
//! # What is kept of the machine
//!
//! - Every plain store goes into its thread's store buffer and becomes visible at any later moment, in order; the
//!   thread itself sees it at once. So it is on x86 for the store that frees. The store that announces, which is an exchange there, is
//!   treated the same, as some processors would if it were less.
//! - A compare-exchange of `owner` waits for this thread's stores to `owner` only; an exchange of `waiting` waits for all.
//! - A barrier ends when all stores that were in buffers at its beginning are visible, by a moment of its own for
//!   each thread; meanwhile the others go on.
//! - Looking at `waiting` and falling asleep is one step; a wake is for any one of the sleepers.
//! - A death makes the stores of the dead visible, then it is provable. Threads of one process die one after another, and the hold
//!   is dead with the last.
//!
//! # What is left out
//!
//! - Loads happen in order, at once. The load of `waiting` may come early on some processors, before the store that
//!   frees it is even made; to the others that is a store that becomes visible late, which is here.
//! - What orders the data under the lock (acquiring and releasing `owner`), which is the common pattern.
//! - Of the tries of a spin, one is made: see `relax` in `program`. How long periods and deadlines are.
//! - A process without barriers that attaches, and says that releases must be fences, while a release is under
//!   way: that one release may be slept through, for one period.
//! - Who acquires for ever: the lock is not fair, and a waiter can be overtaken any number of times.
//!
//! Why not a checker that is there already: those that exist follow executions, not states, so that the tries, sleeps and deaths
//! of this lock have to be bounded to come to an end, and they know no barrier in other processes.

mod change;
mod crowd;
mod event;
mod permits;
mod places;
mod program;
mod rounds;
mod search;
mod seats;
mod sharing;
mod slots;
mod state;
mod tests;
mod world;

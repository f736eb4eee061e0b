//! The commands that see, change, create, lock, wait and repair, through the real program: with
//! segments that are held, abandoned, stale, damaged and another user's, into closed pipes, and
//! without a directory.

mod alone;
mod bench;
mod bytes;
mod locks;
mod outputs;
mod parts;
mod picture;
mod qt;
mod qt_left;
mod refusals;
mod repair;
mod rows;
mod screen;
mod see;
mod shells;
mod signals;
mod top;
mod tour;
mod users;
mod uses;
mod values;
mod waits;
mod world;

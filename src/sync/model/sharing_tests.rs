//! What the model of the read-write lock is asked, and the mistakes that it has to find.

use super::*;

const R: &[Turn] = &[Turn::Read];
const R2: &[Turn] = &[Turn::Read; 2];
const W: &[Turn] = &[Turn::Write];
const W2: &[Turn] = &[Turn::Write; 2];
const UP: &[Turn] = &[Turn::Upgrade];
const DOWN: &[Turn] = &[Turn::Downgrade];

#[track_caller]
fn keeps(world: &Sharing) -> Seen {
    match search(world) {
        Ok(seen) => {
            println!("{seen}");
            seen
        }
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(world: &Sharing, expected: &[Law]) {
    match search(world) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert!(expected.contains(&law), "{law:?} after\n{way}"),
    }
}

#[test]
fn readers_and_writers_finish_in_every_interleaving() {
    keeps(&Sharing::new(&[R, W]));
    keeps(&Sharing::new(&[R2, W2]));
    keeps(&Sharing::new(&[W, W]));
    keeps(&Sharing::new(&[R, R, W]));
    keeps(&Sharing::new(&[R, W, W]));
}

#[test]
fn upgrades_and_downgrades_finish_in_every_interleaving() {
    keeps(&Sharing::new(&[UP, UP]));
    keeps(&Sharing::new(&[UP, W]));
    keeps(&Sharing::new(&[DOWN, R2]));
    keeps(&Sharing::new(&[DOWN, UP]));
    keeps(&Sharing::new(&[UP, UP, R]));
    keeps(&Sharing::new(&[DOWN, W, R]));
}

#[test]
fn whoever_gives_up_leaves_nobody_asleep() {
    const TRY_R: &[Turn] = &[Turn::TryRead];
    const R_FOR: &[Turn] = &[Turn::ReadFor];
    const TRY_W: &[Turn] = &[Turn::TryWrite];
    const W_FOR: &[Turn] = &[Turn::WriteFor];
    keeps(&Sharing::new(&[R2, W_FOR]));
    keeps(&Sharing::new(&[R_FOR, W2]));
    keeps(&Sharing::new(&[R, R, W_FOR]));
    keeps(&Sharing::new(&[R_FOR, W, R]));
    keeps(&Sharing::new(&[R, TRY_R, TRY_W]));
    keeps(&Sharing::new(&[TRY_R, W, W_FOR]));
}

#[test]
fn threads_of_one_process_share_a_mark() {
    keeps(&Sharing::new(&[R, R, W]).in_one_process().timed());
}

#[test]
fn the_dead_keep_nobody_out() {
    keeps(&Sharing::new(&[R, W]).deaths(1));
    keeps(&Sharing::new(&[R2, W2]).deaths(2));
    keeps(&Sharing::new(&[UP, DOWN]).deaths(1));
}

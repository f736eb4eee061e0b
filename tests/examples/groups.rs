//! Examples in which several processes work together: licences, phases, jobs, and their progress.

use sharehold_testkit::{Child, Suite};

use crate::{become_example, enter, hears_finally, remove_persistent, remove_stale, start};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .role(become_example)
        .test(a_licence_comes_back_when_its_process_is_killed)
        .test(a_phase_is_repeated_when_a_participant_is_killed)
        .test(a_job_of_a_killed_worker_goes_to_another_one)
        .test(a_job_of_the_only_worker_waits_for_the_next_one)
        .test(a_job_that_is_refused_adds_no_other_one)
        .test(progress_shows_which_worker_was_killed)
}

fn a_licence_comes_back_when_its_process_is_killed() {
    let has_licence = |process: &mut Child| {
        let pid = process.pid();
        process.hears(&format!(
            "pid {pid} has a licence; press Enter to return it"
        ));
    };
    let waits = |process: &mut Child| {
        let pid = process.pid();
        process.hears(&format!("all 2 licences are in use; pid {pid} waits"));
    };
    let mut first = start("licence_pool", &[]);
    has_licence(&mut first);
    let mut second = start("licence_pool", &[]);
    has_licence(&mut second);

    let mut third = start("licence_pool", &[]);
    waits(&mut third);
    first.kill();
    has_licence(&mut third);

    let mut fourth = start("licence_pool", &[]);
    waits(&mut fourth);
    enter(&mut second);
    second.hears(&format!("pid {} returned its licence", second.pid()));
    has_licence(&mut fourth);
    for mut process in [second, third, fourth] {
        process.ends_well();
    }
}

fn a_phase_is_repeated_when_a_participant_is_killed() {
    let begins = |process: &mut Child, phase| {
        process.hears(&format!("phase {phase}: press Enter when its work is done"));
    };
    let finishes = |process: &mut Child, phase| {
        enter(process);
        process.hears(&format!("phase {phase}: waiting for the others"));
    };
    let mut first = start("phases", &[]);
    let mut second = start("phases", &[]);
    for process in [&mut first, &mut second] {
        begins(process, 1);
        finishes(process, 1);
    }
    begins(&mut second, 2);
    begins(&mut first, 2);
    finishes(&mut first, 2);

    second.kill();
    first.hears("phase 2: a participant died");
    begins(&mut first, 2);

    let mut third = start("phases", &["2"]);
    begins(&mut third, 2);
    for phase in 2..=3 {
        finishes(&mut third, phase);
        finishes(&mut first, phase);
        if phase == 2 {
            begins(&mut first, 3);
            begins(&mut third, 3);
        }
    }
    for mut process in [first, third] {
        process.hears("all 3 phases are done");
        process.ends_well();
    }
}

const JOBS: &str = "com.example.job-queue";

fn waits(worker: &mut Child) {
    worker.hears(&format!("pid {} waits for a job", worker.pid()));
}

fn works(worker: &mut Child, job: &str) {
    assert_eq!(hear_job(worker), job);
}

/// Reads the line of a worker that begins a job, and returns the job.
fn hear_job(worker: &mut Child) -> String {
    let line = worker.hear();
    let job = line.strip_prefix(&format!("pid {} works on ", worker.pid()));
    let job = job.and_then(|job| job.strip_suffix("; press Enter when it is done"));
    job.unwrap_or_else(|| panic!("`{line}` names no job"))
        .to_owned()
}

fn finishes(worker: &mut Child, job: &str) {
    enter(worker);
    worker.hears(&format!(
        "pid {} finished {job}, and waits for a job",
        worker.pid()
    ));
}

fn add(jobs: &[&str]) {
    start("job_queue", jobs).ends_well();
}

fn a_job_of_a_killed_worker_goes_to_another_one() {
    let mut first = start("job_queue", &[]);
    waits(&mut first);
    add(&["index", "archive"]);
    works(&mut first, "index");

    let mut second = start("job_queue", &[]);
    waits(&mut second);
    works(&mut second, "archive");
    first.kill();
    finishes(&mut second, "archive");
    works(&mut second, "index");
    finishes(&mut second, "index");

    // The end of the input is the end of a worker, which has a job here.
    add(&["print"]);
    works(&mut second, "print");
    let mut third = start("job_queue", &[]);
    waits(&mut third);
    second.ends_well();
    works(&mut third, "print");
    third.ends_well();
    remove_persistent(JOBS);
}

fn a_job_of_the_only_worker_waits_for_the_next_one() {
    add(&["index", "archive"]);
    let mut first = start("job_queue", &[]);
    waits(&mut first);
    works(&mut first, "index");
    first.kill();

    add(&["print"]);
    let mut second = start("job_queue", &[]);
    waits(&mut second);
    // The job of the dead worker is released while the second one may already have another job.
    let mut done = Vec::new();
    for _ in 0..3 {
        let job = hear_job(&mut second);
        finishes(&mut second, &job);
        done.push(job);
    }
    done.sort();
    assert_eq!(done, ["archive", "index", "print"]);
    second.kill();
    remove_persistent(JOBS);
}

fn a_job_that_is_refused_adds_no_other_one() {
    let mut client = start("job_queue", &["index", &"long ".repeat(20)]);
    assert_eq!(client.end().code(), Some(1));
    add(&["archive"]);

    let mut worker = start("job_queue", &[]);
    waits(&mut worker);
    works(&mut worker, "archive");
    finishes(&mut worker, "archive");
    worker.kill();
    remove_persistent(JOBS);
}

fn progress_shows_which_worker_was_killed() {
    let step = |worker: &mut Child, step, of| {
        worker.hears(&format!("step {step} of {of}: press Enter when it is done"));
    };
    let mut viewer = start("progress", &[]);
    viewer.hears("waiting for workers");
    let mut first = start("progress", &["3"]);
    step(&mut first, 1, 3);
    let mut second = start("progress", &["1"]);
    step(&mut second, 1, 1);
    enter(&mut first);
    step(&mut first, 2, 3);
    let (a, b) = (first.pid(), second.pid());
    hears_finally(&mut viewer, &format!("pid {a}: 1 of 3, pid {b}: 0 of 1"));

    first.kill();
    hears_finally(
        &mut viewer,
        &format!("pid {a}: died at 1 of 3, pid {b}: 0 of 1"),
    );
    enter(&mut second);
    second.ends_well();
    let all = format!("pid {a}: died at 1 of 3, pid {b}: 1 of 1");
    hears_finally(&mut viewer, &all);

    // A viewer that starts later reports a death that no viewer saw.
    let mut third = start("progress", &["2"]);
    step(&mut third, 1, 2);
    let mut fourth = start("progress", &["1"]);
    step(&mut fourth, 1, 1);
    viewer.kill();
    third.kill();
    let mut viewer = start("progress", &[]);
    viewer.hears("waiting for workers");
    let (c, d) = (third.pid(), fourth.pid());
    let all = format!("{all}, pid {c}: died at 0 of 2, pid {d}: 0 of 1");
    hears_finally(&mut viewer, &all);
    fourth.kill();
    viewer.kill();
    remove_stale("com.example.progress");
}

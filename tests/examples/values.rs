//! Examples in which processes follow a value: with a thread, with tasks, and in an event loop.

use sharehold_testkit::Suite;

use crate::{become_example, hears_finally, remove_stale, start};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .role(become_example)
        .test(a_configuration_is_followed_and_survives_its_creator)
        .test(a_task_sees_the_changes_and_the_death_of_a_sensor)
        .test(an_event_loop_sees_changes_and_survives_a_death)
}

fn a_configuration_is_followed_and_survives_its_creator() {
    let mut first = start("shared_config", &[]);
    first.hears("workers 4, log level info");

    start("shared_config", &["workers", "8"]).ends_well();
    first.hears("workers 8, log level info");
    start("shared_config", &["log_level", "debug"]).ends_well();
    first.hears("workers 8, log level debug");

    let mut refused = start("shared_config", &["workers", "0"]);
    assert_eq!(refused.end().code(), Some(1));
    let mut second = start("shared_config", &[]);
    second.hears("workers 8, log level debug");

    first.kill();
    start("shared_config", &["workers", "2"]).ends_well();
    second.hears("workers 2, log level debug");
    second.kill();
    remove_stale("com.example.shared-config");
}

fn a_task_sees_the_changes_and_the_death_of_a_sensor() {
    const PROMPT: &str = "type a temperature and press Enter";
    let mut watcher = start("tokio_watch", &[]);
    watcher.hears("the temperature is 0 °C");

    let mut sensor = start("tokio_watch", &["sensor"]);
    sensor.hears(PROMPT);
    sensor.tell("21.5");
    watcher.hears("the temperature is 21.5 °C");
    sensor.kill();
    watcher.hears(&format!("pid {} left", sensor.pid()));

    let mut next = start("tokio_watch", &["sensor"]);
    next.hears(PROMPT);
    next.tell("20");
    watcher.hears("the temperature is 20 °C");
    next.ends_well();
    watcher.hears(&format!("pid {} left", next.pid()));
    watcher.kill();
    remove_stale("com.example.tokio-watch");
}

fn an_event_loop_sees_changes_and_survives_a_death() {
    let mut first = start("event_loop", &[]);
    first.hears("the board says \"\"");
    first.tell("buy milk");
    first.hears("the board says \"buy milk\"");

    let mut second = start("event_loop", &[]);
    second.hears("the board says \"buy milk\"");
    first.kill();
    second.tell("buy soap");
    second.hears("the board says \"buy soap\"");

    let mut third = start("event_loop", &[]);
    third.hears("the board says \"buy soap\"");
    // Input that ends within a line changes nothing until the rest of the line comes.
    third.tell_part("buy ");
    second.tell("buy salt");
    third.hears("the board says \"buy salt\"");
    third.tell("tea");
    third.hears("the board says \"buy tea\"");
    // Several lines may be one input: the board ends with the last one.
    third.tell("buy oil\nbuy rice");
    hears_finally(&mut second, "the board says \"buy rice\"");
    third.ends_well();
    let mut fourth = start("event_loop", &[]);
    fourth.hears("the board says \"buy rice\"");
    fourth.ends_well();
    second.ends_well();
}

//! Waits for changes and for departures in tasks of tokio.
//!
//! Run it in two terminals. The first follows a temperature, the second is the sensor:
//!
//! ```text
//! $ cargo run --example tokio_watch
//! the temperature is 0 °C
//!
//! $ cargo run --example tokio_watch -- sensor
//! type a temperature and press Enter
//! 21.5
//! ```
//!
//! The first process prints `the temperature is 21.5 °C`. If there is no change for a minute, it
//! says so. Kill the sensor with `kill -9`. The first process prints `pid 4712 left` within 10 ms,
//! keeps the last temperature, and follows the next sensor.
//!
//! No task blocks a thread of the runtime while it waits. A task that is dropped while it waits
//! leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;
use std::{env, error::Error, io};

use sharehold::Shared;
use tokio::runtime::Builder;
use tokio::time::timeout;

const KEY: &str = "com.example.tokio-watch";

fn main() -> Result<(), Box<dyn Error>> {
    let temperature = Shared::open_or_create(KEY, || 0_f64)?;
    if env::args().any(|argument| argument == "sensor") {
        return measure(&temperature);
    }
    let runtime = Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(watch(Arc::new(temperature)))?;
    Ok(())
}

/// Publishes each number that is typed.
fn measure(temperature: &Shared<f64>) -> Result<(), Box<dyn Error>> {
    println!("type a temperature and press Enter");
    for line in io::stdin().lines() {
        temperature.set(&line?.trim().parse()?)?;
    }
    Ok(())
}

/// Prints the changes in one task, and each process that ends or detaches in another one.
async fn watch(temperature: Arc<Shared<f64>>) -> sharehold::Result<()> {
    let mut departures = temperature.segment().departures()?;
    let followed = Arc::clone(&temperature);
    tokio::spawn(async move {
        follow(&followed)
            .await
            .inspect_err(|error| eprintln!("{error}"))
    });
    loop {
        let gone = departures.next_departure_async().await?;
        println!("pid {} left", gone.pid);
    }
}

/// Prints the temperature now and after each change.
async fn follow(temperature: &Shared<f64>) -> sharehold::Result<()> {
    let mut watch = temperature.watch_since(0);
    loop {
        match timeout(Duration::from_secs(60), watch.changed_async()).await {
            Ok(change) => println!("the temperature is {} °C", change?.value),
            Err(_) => println!("no change for a minute"),
        }
    }
}

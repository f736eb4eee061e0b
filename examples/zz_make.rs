//! Makes segments for trying things out.
use sharehold::*;
#[derive(Shareable, Default)]
#[repr(C)]
struct Tally {
    value: u64,
    by_worker: [u64; 8],
}
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut keep = Vec::new();
    for i in 0..n {
        if i % 2 == 0 {
            Segment::options()
                .size(4096)
                .slots(16)
                .policy(Policy::Persistent)
                .create(&format!("com.example.bulk.{i:05}"))
                .unwrap();
        } else {
            Segment::options()
                .slots(16)
                .policy(Policy::Persistent)
                .create_shared(&format!("com.example.bulk.{i:05}"), &Tally::default())
                .unwrap();
        }
    }
    let t = Shared::open_or_create("com.example.tally", Tally::default).unwrap();
    keep.push(t);
    let b = Segment::options()
        .size(1000)
        .log(100)
        .open_or_create("com.example.bytes")
        .unwrap();
    let g = b.lock().unwrap();
    println!("ready");
    let mut k = 0u64;
    loop {
        keep[0]
            .update(|t| {
                t.value += 1;
                t.by_worker[(k % 8) as usize] += 1;
            })
            .unwrap();
        k += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
        if k > 40000 {
            break;
        }
    }
    drop(g);
}

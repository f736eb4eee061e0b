//! smoke
use sharehold::*;
use std::time::Instant;
fn main() -> Result<()> {
    let s = Segment::options()
        .size(1024)
        .max_size(1 << 20)
        .open_or_create("smoke")?;
    println!("{:?}", s.attachments()?);
    let n = 20_000_000u64;
    {
        let mut g = s.lock()?;
        g.write_at(0, &0u64)?;
    }
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..n {
            let g = s.lock()?;
            drop(g);
        }
        println!(
            "lock+unlock {:.2} ns",
            t.elapsed().as_nanos() as f64 / n as f64
        );
        let t = Instant::now();
        for _ in 0..n {
            let mut g = s.lock()?;
            let v: u64 = g.read_at(0)?;
            g.write_at(0, &(v + 1))?;
        }
        println!("count {:.2} ns", t.elapsed().as_nanos() as f64 / n as f64);
    }
    let a = std::sync::atomic::AtomicU64::new(0);
    let t = Instant::now();
    for _ in 0..n {
        a.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    println!(
        "fetch_add {:.2} ns",
        t.elapsed().as_nanos() as f64 / n as f64
    );
    let g = s.lock()?;
    println!("{}", s.lock().unwrap_err());
    let s2 = Segment::attach("smoke")?;
    println!("{}", s2.lock().unwrap_err());
    drop(g);
    s.grow(100000)?;
    println!("{} {}", s.size(), s2.size());
    println!("{:?}", Segment::create("smoke", 5).unwrap_err());
    println!("{}", Segment::create("smoke", 5).unwrap_err());
    drop(s);
    println!("{}", Segment::exists("smoke")?);
    drop(s2);
    println!("{}", Segment::exists("smoke")?);
    let t = Instant::now();
    for _ in 0..2000 {
        let a = Segment::create("smoke2", 4096)?;
        let b = Segment::attach("smoke2")?;
        drop(b);
        drop(a);
    }
    println!("life {:.2} us", t.elapsed().as_nanos() as f64 / 2e6);
    Ok(())
}

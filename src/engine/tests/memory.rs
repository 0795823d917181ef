//! What a million groups take. Not a check: run it with `--ignored --nocapture`.

use super::super::*;
use super::definition;

/// The memory that this process holds, MB.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "a measurement"]
fn a_million_groups_in_one_window() {
    let definition = Definition { window_ms: 60_000, functions: vec![Function::Sum], ..definition(0) };
    let mut engine = Engine::new(definition, [(0, 0, Progress::starting_at(0))]);
    let before = resident_mb();
    let began = std::time::Instant::now();
    for offset in 0..1_000_000i64 {
        let (group, values) = (offset.to_be_bytes(), [Some(Number::Int(1))]);
        engine.observe(&Event { partition: 0, offset, time_ms: 3, kafka_time_ms: None, group: &group, values: &values });
    }
    let open = resident_mb();
    println!("{} MB for the cells, {:?}", open - before, began.elapsed());
    engine.close_all();
    println!("{} MB more while the window closes", resident_mb() - open);
    assert_eq!(engine.pending_rows(), 1_000_000);
}

//! What a running aggregate tells over HTTP.

use super::{BEGIN, LIMIT, produce};
use crate::harness::{Line, block_on, wait_for};

/// The status and body of a page.
fn get(url: &str) -> Option<(u16, String)> {
    block_on(async {
        let answer = reqwest::get(url).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    })
}

#[test]
#[ignore = "needs tests/stack/up kafka registry"]
fn metrics_and_health_are_told_while_it_runs() {
    let mut line = Line::on_servers("metrics");
    line.set_aggregate("idle_timeout", "10m");
    produce(&line, BEGIN, 1_500, &[]);
    line.topics.write(&line.source, [(Some(0), None, Some(&b"{}"[..])), (Some(0), None, None)]);
    let aggregate = line.start(&["aggregate", "--metrics-listen", "127.0.0.1:0"]);
    let address = wait_for("the address", LIMIT, || {
        let stderr = aggregate.stderr();
        Some(stderr.split_once("metrics at ")?.1.split_once("/metrics")?.0.to_owned())
    });
    wait_for("it to be ready", LIMIT, || get(&format!("{address}/readyz")).filter(|(status, _)| *status == 200));
    let expected = [
        ("pipeline_records_total", "1502"),
        ("pipeline_rows_total", "6"),
        ("pipeline_unusable_total", "2"),
        ("pipeline_input_lag", "0.0"),
        ("pipeline_open_windows", "1.0"),
        ("pipeline_partitions", "1.0"),
        ("pipeline_watermark_seconds", "1700000144.9"),
    ];
    let sink = format!("{{sink=\"{}\"}}", line.sink);
    let missing = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let letters = ["bad-magic", "null-value"]
            .map(|cause| format!("pipeline_dead_letters_total{{sink=\"{}\",cause=\"{cause}\"}} 1", line.sink));
        let wanted = expected.map(|(name, value)| format!("{name}{sink} {value}")).into_iter().chain(letters);
        wanted.filter(|line| !lines.contains(&&**line)).collect::<Vec<_>>()
    };
    let mut last = String::new();
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        if let Some((200, text)) = get(&format!("{address}/metrics")) {
            last = text;
        }
        if missing(&last).is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "missing {:?} in:\n{last}", missing(&last));
    }
    assert!(last.contains("pipeline_transaction_seconds_bucket") && last.ends_with("# EOF\n"), "{last}");
    assert_eq!(get(&format!("{address}/healthz")), Some((200, "alive\n".into())));
    // A second one on the same address is told so.
    let taken = address.trim_start_matches("http://");
    line.run(&["aggregate", "--metrics-listen", taken], LIMIT).expect(78).says(&[taken, "--metrics-listen"]);
}

//! Why a job, or a statement, failed: what a stack trace of Java's says of it. Pure.

use crate::error::{Error, Kind};

/// Words that end a line of a trace that says nothing.
const FRAMES: [&str; 3] = ["at ", "... ", "End of exception"];

/// The innermost cause of a stack trace, with what was being done if the trace begins with it.
pub fn root(trace: &str) -> String {
    let lines =
        trace.lines().map(str::trim).filter(|line| !line.is_empty() && !FRAMES.iter().any(|start| line.starts_with(start)));
    let lines: Vec<&str> = lines.collect();
    let innermost = lines.iter().rev().find_map(|line| line.strip_prefix("Caused by: "));
    innermost.or(lines.first().copied()).unwrap_or("no reason was told").trim_end_matches('>').to_owned()
}

/// What it means; `what` says what failed.
pub fn error(what: &str, trace: &str, kafka: &str) -> Error {
    let cause = root(trace);
    let says = |words: &[&str]| words.iter().any(|word| trace.contains(word));
    let message = format!("{what}: {cause}");
    if says(&["AuthorizationException", "SaslAuthenticationException", "SslAuthenticationException", "JaasContext"]) {
        return Error::new(Kind::Refused, message).hint("Flink's own clients need credentials: [flink] kafka_properties");
    }
    let no_kafka = [
        "Failed to list subscribed topic partitions",
        "Failed to describe topics",
        "Failed to get metadata",
        "No resolvable bootstrap urls",
    ];
    if says(&no_kafka) || says(&["kafka.common.errors.TimeoutException", "kafka.common.errors.DisconnectException"]) {
        return Error::new(Kind::Unreachable, message).hint(format!(
            "does Flink reach Kafka at {kafka}? if it does so by another address, write [flink] kafka_bootstrap_servers"
        ));
    }
    if says(&["java.net.ConnectException", "java.net.UnknownHostException", "java.net.SocketTimeoutException"]) {
        return Error::new(Kind::Unreachable, message)
            .hint(
                "does Flink reach the registry? if it does so by another address, write [flink] registry_url. Does its SQL Gateway reach the \
                 JobManager? that address is rest.address in Flink's own configuration",
            );
    }
    if says(&["NoResourceAvailableException"]) {
        return Error::new(Kind::Failed, message).hint("Flink has too few free task slots: end other jobs, or add a TaskManager");
    }
    Error::new(Kind::Failed, message).hint("Flink's own page has the whole trace, under the job's exceptions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_told() {
        let trace = "org.x.FlinkException: outer\n\tat org.x.A.b(A.java:1)\nCaused by: java.util.X: middle\n\tat c\n\t... 48 more\n\
                     Caused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment.\n\t... 7 more\n\n\
                     End of exception on server side>";
        assert_eq!(root(trace), "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment.");
        assert_eq!(root("Session 'x' does not exist.\n\tat y"), "Session 'x' does not exist.");
        assert_eq!(root(""), "no reason was told");
        let error = error("job x", trace, "k:9092");
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.hint.unwrap().contains("k:9092"));
    }
}

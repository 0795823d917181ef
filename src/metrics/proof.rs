//! What `verify --watch` tells over HTTP: Prometheus's text at `/metrics`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use super::{Number, encoded, listen};
use crate::error::{Error, Kind, Result};
use crate::verify::{Report, Verdict};

/// Listens at once, and serves for as long as the future it returns is polled, which ends only with an error. Without an address
/// there is nothing to serve. `tell` hears where.
pub async fn serve(
    address: Option<SocketAddr>,
    reports: watch::Receiver<Arc<Report>>,
    tell: fn(&str),
) -> Result<impl Future<Output = Error> + use<>> {
    let listener = listen(address, tell).await?;
    Ok(async move {
        let Some(listener) = listener else { return std::future::pending().await };
        let router = Router::new().route("/metrics", get(metrics)).with_state(reports);
        let failed = axum::serve(listener, router).await;
        Error::new(Kind::Failed, format!("serving metrics ended: {failed:?}"))
    })
}

async fn metrics(State(reports): State<watch::Receiver<Arc<Report>>>) -> impl IntoResponse {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told(Arc::clone(&reports.borrow()))));
    encoded(&registry)
}

/// A report as metrics.
#[derive(Debug)]
struct Told(Arc<Report>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let report = &self.0;
        let help = "1: all cells that can be compared are equal; 0: some differ; -1: it cannot be said yet";
        let verdict = match report.verdict {
            Verdict::Waiting => -1.0,
            Verdict::Equal => 1.0,
            Verdict::Differs => 0.0,
        };
        Number::Gauge(verdict).encode(&mut encoder, "pipeline_verified", help, None)?;
        let help = "1: a server does not answer, or the topics cannot be read";
        let trouble = f64::from(u8::from(report.trouble.is_some()));
        Number::Gauge(trouble).encode(&mut encoder, "pipeline_verify_trouble", help, None)?;
        let mut cells = encoder.encode_descriptor("pipeline_cells", "Cells by how they compare", None, MetricType::Gauge)?;
        for one in &report.comparisons {
            let states = [
                ("equal", one.equal),
                ("differing", one.differing),
                ("waiting", one.waiting),
                ("left-out", one.left_out),
                ("explained", one.explained),
            ];
            for (state, count) in states {
                let labels = [("hop", one.hop.word()), ("name", one.name.as_str()), ("state", state)];
                Number::Gauge(count as f64).encode_value(cells.encode_family(&labels)?)?;
            }
        }
        let help = "How long it takes from one place to the next";
        let mut fresh = encoder.encode_descriptor("pipeline_freshness", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for one in &report.freshness {
            for (quantile, latency_ms) in [("0.5", one.p50_ms), ("0.99", one.p99_ms), ("1", one.max_ms)] {
                let labels = [("path", one.path.as_str()), ("quantile", quantile)];
                Number::Gauge(latency_ms as f64 / 1e3).encode_value(fresh.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Comparison, Freshness, Hop};

    #[tokio::test]
    async fn a_report_is_told_in_full() {
        let comparison = Comparison {
            hop: Hop::Druid,
            name: "SALES".into(),
            equal: 93,
            differing: 1,
            waiting: 0,
            left_out: 0,
            explained: 0,
            note: None,
            differences: Vec::new(),
        };
        let fresh = Freshness { path: "SALES -> Druid SALES".into(), count: 3, p50_ms: 500, p99_ms: 900, max_ms: 1_000 };
        let report =
            Report { comparisons: vec![comparison], verdict: Verdict::Differs, freshness: vec![fresh], ..Report::default() };
        let (_sender, reports) = watch::channel(Arc::new(report));
        let response = metrics(State(reports)).await.into_response();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = str::from_utf8(&body).unwrap();
        for line in [
            "pipeline_verified 0.0",
            "pipeline_verify_trouble 0.0",
            "pipeline_cells{hop=\"druid\",name=\"SALES\",state=\"equal\"} 93.0",
            "pipeline_cells{hop=\"druid\",name=\"SALES\",state=\"differing\"} 1.0",
            "pipeline_freshness_seconds{path=\"SALES -> Druid SALES\",quantile=\"0.99\"} 0.9",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in:\n{text}");
        }
    }
}

//! What a running aggregate tells over HTTP: Prometheus's text at `/metrics`, `/healthz` and `/readyz`; and [`proof`]: what
//! `verify --watch` does.

pub mod proof;

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;

use crate::aggregate::{Snapshot, Status};
use crate::error::{Error, Kind, Result};

/// OpenMetrics, as Prometheus asks for it: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens at once, and serves for as long as the future it returns is polled, which ends only with an error. Without an address
/// there is nothing to serve. `tell` hears where.
pub async fn serve(
    address: Option<SocketAddr>,
    sink: &str,
    status: Status,
    tell: fn(&str),
) -> Result<impl Future<Output = Error> + use<>> {
    let listener = listen(address, tell).await?;
    let sink = sink.to_owned();
    Ok(async move {
        let Some(listener) = listener else { return std::future::pending().await };
        let failed = axum::serve(listener, router(&sink, status)).await;
        Error::new(Kind::Failed, format!("serving metrics ended: {failed:?}"))
    })
}

/// Takes the port, if one is wanted, and says where it is.
async fn listen(address: Option<SocketAddr>, tell: fn(&str)) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(Kind::Config, format!("cannot listen on {address} for metrics: {error}"))
            .hint("choose another address with --metrics-listen")
    })?;
    if let Ok(address) = listener.local_addr() {
        tell(&format!("metrics at http://{address}/metrics"));
    }
    Ok(Some(listener))
}

fn router(sink: &str, status: Status) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state((sink.to_owned(), status))
}

async fn metrics(State((sink, status)): State<(String, Status)>) -> impl IntoResponse {
    let mut registry = Registry::with_labels([("sink".into(), sink.into())].into_iter());
    let histogram = status.transactions.clone();
    registry.register_with_unit("pipeline_transaction", "How long transactions take", Unit::Seconds, histogram);
    registry.register_collector(Box::new(Told { snapshot: status.snapshot(), now_ms: chrono::Utc::now().timestamp_millis() }));
    encoded(&registry)
}

fn encoded(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, CONTENT_TYPE)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

async fn ready(State((_, status)): State<(String, Status)>) -> impl IntoResponse {
    match readiness(&status.snapshot(), status.is_stopping()) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Ready is who reads new records; why not, otherwise.
fn readiness(snapshot: &Snapshot, is_stopping: bool) -> Result<(), String> {
    if is_stopping {
        return Err("stopping".into());
    }
    if !snapshot.has_begun {
        return Err("starting".into());
    }
    if snapshot.replay_left > 0 {
        let done = snapshot.replay_total - snapshot.replay_left;
        return Err(format!("replaying {done} of {}", snapshot.replay_total));
    }
    Ok(())
}

/// A snapshot as metrics.
#[derive(Debug)]
struct Told {
    snapshot: Snapshot,
    now_ms: i64,
}

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let told = &self.snapshot;
        let mut counter = |name, help, value: u64| Number::Counter(value).encode(&mut encoder, name, help, None);
        counter("pipeline_records", "Records read, those read again after a restart too", told.records)?;
        counter("pipeline_rows", "Rows committed to the sink", told.rows)?;
        counter("pipeline_late_records", "Records whose window was closed when they were read", told.late)?;
        counter("pipeline_unusable", "Records and rows that could not be used", told.poison)?;
        counter("pipeline_transactions", "Transactions committed", told.commits)?;
        self.letters(&mut encoder)?;
        let mut gauge = |name, help, unit, value: f64| Number::Gauge(value).encode(&mut encoder, name, help, unit);
        gauge("pipeline_open_windows", "Windows that are not closed yet", None, told.open_windows as f64)?;
        gauge("pipeline_partitions", "Partitions read by this instance", None, told.partitions as f64)?;
        gauge("pipeline_replay_left", "Offsets still to be read again after a restart", None, told.replay_left as f64)?;
        if let Some(lag) = told.input_lag {
            gauge("pipeline_input_lag", "Offsets between where reading is and where the source ends", None, lag as f64)?;
        }
        if let Some(watermark) = told.watermark {
            let (at, lag) = (watermark as f64 / 1e3, (self.now_ms - watermark) as f64 / 1e3);
            gauge("pipeline_watermark", "The watermark, since 1970", Some(&Unit::Seconds), at)?;
            gauge("pipeline_event_time_lag", "How far the watermark is behind the clock", Some(&Unit::Seconds), lag)?;
        }
        Ok(())
    }
}

impl Told {
    fn letters(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Dead letters written, by cause";
        let mut family = encoder.encode_descriptor("pipeline_dead_letters", help, None, MetricType::Counter)?;
        for (cause, count) in &self.snapshot.letters {
            Number::Counter(*count).encode_value(family.encode_family(&[("cause", *cause)])?)?;
        }
        Ok(())
    }
}

/// A value as its metric type writes it.
enum Number {
    Counter(u64),
    Gauge(f64),
}

impl Number {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>) -> std::fmt::Result {
        let kind = match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) => MetricType::Gauge,
        };
        self.encode_value(encoder.encode_descriptor(name, help, unit, kind)?)
    }

    fn encode_value(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Counter(value) => prometheus_client::metrics::counter::ConstCounter::new(*value).encode(encoder),
            Self::Gauge(value) => prometheus_client::metrics::gauge::ConstGauge::new(*value).encode(encoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_is_prometheus_text() {
        let status = Status::default();
        status.transactions.observe(0.015);
        let response = metrics(State(("SALES_AGGREGATE".into(), status))).await.into_response();
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = str::from_utf8(&body).unwrap();
        for line in [
            "pipeline_records_total{sink=\"SALES_AGGREGATE\"} 0",
            "pipeline_transaction_seconds_bucket{sink=\"SALES_AGGREGATE\",le=\"0.02\"} 1",
            "# TYPE pipeline_dead_letters counter",
            "pipeline_open_windows{sink=\"SALES_AGGREGATE\"} 0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in:\n{text}");
        }
        assert!(!text.contains("watermark"), "none is known");
    }

    #[test]
    fn a_snapshot_is_told_in_full() {
        let letters = [("late", 3), ("bad-magic", 2)].into();
        let snapshot = Snapshot { watermark: Some(90_000), input_lag: Some(7), letters, ..Snapshot::default() };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Told { snapshot, now_ms: 100_000 }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "pipeline_watermark_seconds 90.0",
            "pipeline_event_time_lag_seconds 10.0",
            "pipeline_input_lag 7.0",
            "pipeline_dead_letters_total{cause=\"late\"} 3",
            "pipeline_dead_letters_total{cause=\"bad-magic\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in:\n{text}");
        }
    }

    #[test]
    fn ready_is_who_has_read_again_what_it_must() {
        let snapshot = Snapshot { has_begun: true, replay_total: 10, replay_left: 4, ..Snapshot::default() };
        assert_eq!(readiness(&snapshot, false), Err("replaying 6 of 10".into()));
        assert_eq!(readiness(&Snapshot { replay_left: 0, ..snapshot.clone() }, false), Ok(()));
        assert_eq!(readiness(&Snapshot::default(), false), Err("starting".into()));
        assert_eq!(readiness(&snapshot, true), Err("stopping".into()));
    }
}

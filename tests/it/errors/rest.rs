//! Every request that the program makes of a REST server, and every way in which the answer can be wrong: what a person reads,
//! the exit code, and how often the server was asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::backup::Backup;
use pipeline::config::{self, Config, Secret};
use pipeline::druid::{self, Druid};
use pipeline::error::{Error, Result};
use pipeline::flink;
use pipeline::registry::Registry;
use pipeline::superset;
use pipeline::superset::address::Address;
use pipeline::superset::assets;
use pipeline::superset::client::Filter;
use pipeline::superset::failure::Trouble;
use pipeline::superset::ids::Kind;
use pipeline::superset::session::Session;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::faulty::{Fault, Faulty};

const PASSWORD: &str = "canary-password";
/// No case takes longer, whatever the server does.
const BOUND: Duration = Duration::from_secs(12);
/// For answers that do not come.
const SHORT: Duration = Duration::from_millis(1_200);
/// So many cases run at a time: making a client takes 15 ms of a core, in which nothing else is answered.
const AT_A_TIME: usize = 24;

const UNAUTHORIZED: &str = "401 Unauthorized";
const SOON: &str = "429 Too Many Requests\r\nRetry-After: 1";
/// JSON, but not what was asked for.
const SURPRISE: &str = r#"{"surprise": 1}"#;

/// What Superset answers a login, and who asks for a CSRF token.
const LOGIN: &str = r#"{"access_token": "canary-token"}"#;
const CSRF: &str = r#"{"result": "canary-csrf"}"#;

/// What a person is to be told.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// An error with this exit code, these words, and a hint.
    Hint(u8, &'static [&'static str]),
    /// It is no error.
    Nothing,
}
use Told::{Hint, Nothing};

/// A fault, how often an idempotent request is sent, and what is told unless [`exception`] says otherwise.
const FAULTS: [(Fault, usize, Told); 23] = [
    (Fault::Refused, 0, Hint(69, &["refused", "url"])),
    (Fault::Silence, 3, Hint(69, &["no answer in time", "url"])),
    (Fault::Drip, 3, Hint(69, &["no answer in time", "url"])),
    (Fault::Reset, 3, Hint(69, &["reset", "url"])),
    (Fault::Cut, 3, Hint(69, &["url"])),
    (Fault::NoHttp, 3, Hint(69, &["url"])),
    (
        Fault::Status("302 Found\r\nLocation: http://elsewhere/login"),
        1,
        Hint(69, &["302", "redirects to http://elsewhere/login"]),
    ),
    (Fault::Status("400 Bad Request"), 1, Hint(1, &["400", "said so"])),
    (Fault::Status(UNAUTHORIZED), 1, Hint(77, &["401"])),
    (Fault::Status("403 Forbidden"), 1, Hint(77, &["403"])),
    (Fault::Status("404 Not Found"), 1, Hint(69, &["404"])),
    (Fault::Status("409 Conflict"), 1, Hint(1, &["409", "said so"])),
    (Fault::Status("422 Unprocessable Entity"), 1, Hint(1, &["422", "said so"])),
    (Fault::Status(SOON), 3, Hint(69, &["429", "run this again in 1s"])),
    (Fault::Status("429 Too Many Requests\r\nRetry-After: 3600"), 1, Hint(69, &["429", "run this again in 1h"])),
    (Fault::Status("500 Internal Server Error"), 1, Hint(1, &["500", "said so"])),
    (Fault::Status("502 Bad Gateway"), 3, Hint(69, &["502", "again"])),
    (Fault::Status("503 Service Unavailable\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT"), 3, Hint(69, &["503", "again"])),
    (Fault::Status("503 Service Unavailable\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT"), 1, Hint(69, &["503", "again in"])),
    (Fault::Body("<html><title>Sign in</title></html>"), 1, Hint(69, &["not the JSON that was expected", "Sign in"])),
    (Fault::Body(r#"{"result": [{"id": 1"#), 1, Hint(69, &["not the JSON that was expected"])),
    (Fault::Body(SURPRISE), 1, Hint(69, &["not the JSON that was expected", "surprise"])),
    (Fault::Large, 1, Hint(1, &["longer than 8 MiB"])),
];

/// Where a call has reasons of its own to read an answer otherwise.
#[allow(clippy::match_same_arms, reason = "a reason each")]
fn exception(call: &str, fault: Fault) -> Option<Told> {
    let status = match fault {
        Fault::Status(line) => line[..3].parse().unwrap_or(0),
        Fault::Body(_) | Fault::Large => 200,
        _ => 0,
    };
    let [registry, superset] = ["registry", "Superset"].map(|system| call.starts_with(system));
    Some(match (call, status) {
        // There is none.
        ("registry, latest" | "registry, by id" | "registry, delete" | "registry, compatibility" | "registry, has", 404) => {
            Nothing
        }
        // Not every registry has modes, nor tells them to everybody.
        ("registry, mode", 403 | 404) => Nothing,
        // Nor does Druid tell everybody its release.
        ("Druid, about", 403) => Nothing,
        // An address, and no JSON.
        ("Druid, leader", 200) if fault != Fault::Large => Hint(69, &["no address"]),
        // A Superset without it is gone on with.
        ("Superset, reaches", 404) => Nothing,
        ("Superset, find" | "Superset, read" | "Superset, connection" | "Superset, delete", 404) => Nothing,
        // The fault is in the schema.
        ("registry, register", 409) => Hint(65, &["incompatible", "said so"]),
        (_, 409) if registry => Hint(65, &["said so"]),
        (_, 422) if registry => Hint(65, &["said so"]),
        (_, 500) if registry => Hint(69, &["500", "said so"]),
        // A Druid without it is gone on with.
        ("Druid, sample", 400 | 403 | 404 | 500) => Nothing,
        ("Druid, workers", 302..) => Nothing,
        ("Druid, who set rules", 403) => Nothing,
        // It has answered before: what it waits for, or ends at, is Druid.
        ("Superset, import of ours", 0) => Hint(69, &["Druid"]),
        // Neither of these is JSON.
        ("Druid, set rules", 200) if fault != Fault::Large => Hint(69, &["not empty"]),
        ("Superset, export", 200) if fault != Fault::Large => Hint(69, &["not the zip"]),
        (_, 401 | 403) if superset => Hint(77, &["user `me`"]),
        ("Druid, supervisor" | "Druid, sample", 200) if fault == Fault::Body(SURPRISE) => Nothing,
        // Rows may be many.
        ("Superset, drawn" | "Druid, histories" | "Druid, sql", 200) if fault == Fault::Large => Hint(69, &["not the JSON"]),
        _ => return None,
    })
}

type Asked = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A request of the program.
#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    /// As a message shows it, behind the server's address.
    request: (&'static str, &'static str),
    /// What the requests before it are answered, which is well.
    before: &'static [&'static str],
    make: fn(Config) -> Asked,
}

const fn call(
    name: &'static str,
    request: (&'static str, &'static str),
    before: &'static [&'static str],
    make: fn(Config) -> Asked,
) -> Call {
    Call { name, request, before, make }
}

/// The future of a request, its answer left aside.
macro_rules! asks {
    (|$config:ident| $($body:tt)*) => {
        |$config| Box::pin(async move { let _ = { $($body)* }; Ok(()) })
    };
}

fn calls() -> Vec<Call> {
    [of_the_registry(), of_druid(), of_superset(), of_the_jobmanager(), of_the_gateway()].concat()
}

fn of_the_registry() -> Vec<Call> {
    vec![
        call("registry, latest", ("GET", "subjects/a%2Fb/versions/latest"), &[], asks!(|c| registry(&c)?.latest("a/b").await?)),
        call("registry, by id", ("GET", "schemas/ids/7"), &[], asks!(|c| registry(&c)?.by_id(7).await?)),
        call("registry, register", ("POST", "subjects/S/versions"), &[], asks!(|c| registry(&c)?.register("S", "{}").await?)),
        call("registry, types", ("GET", "schemas/types"), &[], asks!(|c| registry(&c)?.types().await?)),
        call(
            "registry, compatibility",
            ("POST", "compatibility/subjects/S/versions/latest"),
            &[],
            asks!(|c| registry(&c)?.compatibility("S", "{}").await?),
        ),
        call("registry, has", ("POST", "subjects/S"), &[], asks!(|c| registry(&c)?.has("S", "{}").await?)),
        call("registry, mode", ("GET", "mode"), &[], asks!(|c| registry(&c)?.mode().await?)),
        call("registry, delete", ("DELETE", "subjects/S"), &[], asks!(|c| registry(&c)?.delete("S").await?)),
    ]
}

fn of_druid() -> Vec<Call> {
    vec![
        call("Druid, about", ("GET", "status"), &[], asks!(|c| druid(&c)?.about().await?)),
        call("Druid, leader", ("GET", "druid/indexer/v1/leader"), &[], asks!(|c| druid(&c)?.leader("indexer").await?)),
        call("Druid, processes", ("POST", "druid/v2/sql"), &[], asks!(|c| druid(&c)?.processes().await?)),
        call("Druid, supervisor", ("GET", "druid/indexer/v1/supervisor/S"), &[], asks!(|c| druid(&c)?.supervisor("S").await?)),
        call(
            "Druid, post",
            ("POST", "druid/indexer/v1/supervisor"),
            &[],
            asks!(|c| druid(&c)?.post_supervisor(&serde_json::json!(supervisor(&c)?)).await?),
        ),
        call(
            "Druid, sample",
            ("POST", "druid/indexer/v1/sampler"),
            &[],
            asks!(|c| druid(&c)?.sample(&supervisor(&c)?, 1, 1).await?),
        ),
        call("Druid, status", ("GET", "druid/indexer/v1/supervisor/S/status"), &[], asks!(|c| druid(&c)?.status("S").await?)),
        call("Druid, stats", ("GET", "druid/indexer/v1/supervisor/S/stats"), &[], asks!(|c| druid(&c)?.stats("S").await?)),
        call("Druid, tasks", ("GET", "druid/indexer/v1/tasks"), &[], asks!(|c| druid(&c)?.tasks("S", "running").await?)),
        call("Druid, workers", ("GET", "druid/indexer/v1/workers"), &[], asks!(|c| druid(&c)?.workers().await?)),
        call("Druid, rows", ("POST", "druid/v2/sql"), &[], asks!(|c| druid(&c)?.rows("S", None).await?)),
        call("Druid, count", ("POST", "druid/v2"), &[r#"[{"tables": 1}]"#], asks!(|c| druid(&c)?.rows("S", None).await?)),
        call("Druid, sql", ("POST", "druid/v2/sql"), &[], asks!(|c| druid(&c)?.sql("SELECT 1", &[]).await?)),
        call("Druid, extent", ("POST", "druid/v2/sql"), &[], asks!(|c| druid(&c)?.extent("S").await?)),
        call("Druid, ask", ("POST", "druid/v2/sql"), &[], asks!(|c| superset::druid::ask(&c).await?)),
        call("Druid, supervisors", ("GET", "druid/indexer/v1/supervisor"), &[], asks!(|c| druid(&c)?.supervisors().await?)),
        call("Druid, history", ("GET", "druid/indexer/v1/supervisor/S/history"), &[], asks!(|c| druid(&c)?.history("S").await?)),
        call(
            "Druid, suspend",
            ("POST", "druid/indexer/v1/supervisor/S/suspend"),
            &[],
            asks!(|c| druid(&c)?.order("S", "suspend").await?),
        ),
        call(
            "Druid, reset",
            ("POST", "druid/indexer/v1/supervisor/S/reset"),
            &[],
            asks!(|c| druid(&c)?.order("S", "reset").await?),
        ),
        call(
            "Druid, terminate",
            ("POST", "druid/indexer/v1/supervisor/S/terminate"),
            &[],
            asks!(|c| druid(&c)?.order("S", "terminate").await?),
        ),
        call("Druid, histories", ("GET", "druid/indexer/v1/supervisor/history"), &[], asks!(|c| druid(&c)?.histories().await?)),
        call(
            "Druid, segments",
            ("GET", "druid/coordinator/v1/datasources/S"),
            &[],
            asks!(|c| druid(&c)?.has_segments("S").await?),
        ),
        call(
            "Druid, count segments",
            ("GET", "druid/coordinator/v1/datasources/S"),
            &[],
            asks!(|c| druid(&c)?.segments("S").await?),
        ),
        call(
            "Druid, drop",
            ("DELETE", "druid/coordinator/v1/datasources/S"),
            &[],
            asks!(|c| druid(&c)?.drop_datasource("S").await?),
        ),
        call("Druid, rules", ("GET", "druid/coordinator/v1/rules/S"), &[], asks!(|c| druid(&c)?.rules("S").await?)),
        call(
            "Druid, who set rules",
            ("GET", "druid/coordinator/v1/rules/S/history"),
            &["[{}]"],
            asks!(|c| druid(&c)?.rules("S").await?),
        ),
        call(
            "Druid, set rules",
            ("POST", "druid/coordinator/v1/rules/S"),
            &[],
            asks!(|c| druid(&c)?.set_rules(Some("p"), "S", &[]).await?),
        ),
    ]
}

fn of_superset() -> Vec<Call> {
    vec![
        call("Superset, login", ("POST", "api/v1/security/login"), &[], asks!(|c| login(&c).await?)),
        call("Superset, list", ("GET", "api/v1/database/"), &[LOGIN], asks!(|c| find(&c, Kind::Database).await?)),
        call("Superset, find", ("GET", "api/v1/dashboard/"), &[LOGIN], asks!(|c| find(&c, Kind::Dashboard).await?)),
        call(
            "Superset, list by",
            ("GET", "api/v1/dataset/"),
            &[LOGIN],
            asks!(|c| login(&c).await?.list(Kind::Dataset, Filter::Of("database", 5)).await?),
        ),
        call(
            "Superset, by uuid",
            ("GET", "api/v1/dataset/"),
            &[LOGIN],
            asks!(|c| login(&c).await?.by_uuid(Kind::Dataset, uuid::Uuid::nil()).await?),
        ),
        call("Superset, read", ("GET", "api/v1/chart/5"), &[LOGIN], asks!(|c| login(&c).await?.read(Kind::Chart, 5).await?)),
        call(
            "Superset, connection",
            ("GET", "api/v1/database/5/connection"),
            &[LOGIN],
            asks!(|c| login(&c).await?.said(Kind::Database, 5).await?),
        ),
        call(
            "Superset, info",
            ("GET", "api/v1/chart/_info"),
            &[LOGIN],
            asks!(|c| login(&c).await?.may_write(&[Kind::Chart]).await?),
        ),
        call(
            "Superset, export",
            ("GET", "api/v1/chart/export/"),
            &[LOGIN],
            asks!(|c| login(&c).await?.export(Kind::Chart, &[5]).await?),
        ),
        call("Superset, csrf", ("GET", "api/v1/security/csrf_token/"), &[LOGIN], asks!(|c| import(&c).await?)),
        call("Superset, import of ours", ("POST", "api/v1/assets/import/"), &[LOGIN, CSRF], asks!(|c| import_ours(&c).await?)),
        call("Superset, import", ("POST", "api/v1/assets/import/"), &[LOGIN, CSRF], asks!(|c| import(&c).await?)),
        call(
            "Superset, delete",
            ("DELETE", "api/v1/chart/5"),
            &[LOGIN, CSRF],
            asks!(|c| login(&c).await?.delete(Kind::Chart, 5).await?),
        ),
        call("Superset, engines", ("GET", "api/v1/database/available/"), &[LOGIN], asks!(|c| login(&c).await?.engines().await?)),
        call(
            "Superset, reaches",
            ("POST", "api/v1/database/validate_parameters/"),
            &[LOGIN, CSRF],
            asks!(|c| login(&c).await?.reaches("h", 1).await?),
        ),
        call(
            "Superset, connects",
            ("POST", "api/v1/database/test_connection/"),
            &[LOGIN, CSRF],
            asks!(|c| login(&c).await?.connects("D", "druid://h").await?),
        ),
        call(
            "Superset, drawn",
            ("GET", "api/v1/chart/5/data/"),
            &[LOGIN],
            asks!(|c| login(&c).await?.drawn(5).await.map_err(Trouble::error)?),
        ),
    ]
}

fn of_the_jobmanager() -> Vec<Call> {
    vec![
        call("Flink, jobs", ("GET", "jobs/overview"), &[], asks!(|c| flink(&c)?.jobs().await?)),
        call("Flink, checkpoints", ("GET", "jobs/J/checkpoints"), &[], asks!(|c| flink(&c)?.checkpoints("J").await?)),
        call("Flink, restarts", ("GET", "jobs/J/metrics"), &[], asks!(|c| flink(&c)?.restarts("J").await?)),
        call("Flink, failure", ("GET", "jobs/J/exceptions"), &[], asks!(|c| flink(&c)?.failure("J").await?)),
        call("Flink, meters", ("GET", "jobs/J"), &[], asks!(|c| flink(&c)?.meters("J").await?)),
        call(
            "Flink, progress",
            ("GET", "jobs/J/vertices/V/subtasks/metrics"),
            &[],
            asks!(|c| flink(&c)?.progress("J", &[("V".to_owned(), vec!["m".to_owned()])].into()).await?),
        ),
        call("Flink, stop", ("POST", "jobs/J/stop"), &[], asks!(|c| flink(&c)?.stop("J", None).await?)),
        call("Flink, savepoint", ("GET", "jobs/J/savepoints/R"), &[], asks!(|c| flink(&c)?.savepoint("J", "R").await?)),
        call("Flink, cancel", ("PATCH", "jobs/J"), &[], asks!(|c| flink(&c)?.cancel("J").await?)),
        call("Flink, config", ("GET", "jobmanager/config"), &[], asks!(|c| flink(&c)?.has_savepoint_folder().await?)),
    ]
}

fn of_the_gateway() -> Vec<Call> {
    vec![
        call("Flink's SQL Gateway, open", ("POST", "v2/sessions"), &[], asks!(|c| gateway(&c)?.open().await?)),
        call(
            "Flink's SQL Gateway, execute",
            ("POST", "v2/sessions/S/statements"),
            &[],
            asks!(|c| gateway(&c)?.execute("S", "SELECT 1").await?),
        ),
        call(
            "Flink's SQL Gateway, status",
            ("GET", "v2/sessions/S/operations/O/status"),
            &[],
            asks!(|c| gateway(&c)?.is_running("S", "O").await?),
        ),
        call(
            "Flink's SQL Gateway, result",
            ("GET", "v2/sessions/S/operations/O/result/0"),
            &[],
            asks!(|c| gateway(&c)?.job("S", "O").await?),
        ),
        call("Flink's SQL Gateway, close", ("DELETE", "v2/sessions/S"), &[], asks!(|c| gateway(&c)?.close("S").await?)),
    ]
}

fn flink(config: &Config) -> Result<flink::Cluster> {
    flink::Cluster::new(config)
}

fn gateway(config: &Config) -> Result<flink::Gateway> {
    flink::Gateway::new(config)
}

fn registry(config: &Config) -> Result<Registry> {
    Registry::new(&config.registry)
}

fn druid(config: &Config) -> Result<Druid> {
    Druid::new(&config.druid)
}

fn supervisor(config: &Config) -> Result<druid::spec::Supervisor> {
    // The registry's credentials are not handed to Druid.
    let config = &Config { registry: config::Registry::default(), ..config.clone() };
    let columns = druid::columns::columns("S", &config.sources[0].schema_text, &config.datasources[0])?;
    druid::spec::supervisor(config, &config.datasources[0], &columns)
}

async fn login(config: &Config) -> Result<Session> {
    Session::login(&config.superset).await
}

async fn find(config: &Config, kind: Kind) -> Result<()> {
    let asset = assets::desired(config)?.into_iter().find(|asset| asset.kind == kind).expect("the file has one");
    login(config).await?.find(&asset).await.map(drop)
}

/// An import of nothing.
async fn import(config: &Config) -> Result<()> {
    let backup = Backup::new("test", "superset", String::new(), Vec::new());
    superset::Restoration::plan(config, &backup).await?.carry_out(config).await
}

/// An import as the dashboard's is made, of nothing.
async fn import_ours(config: &Config) -> Result<()> {
    let (session, address) = (login(config).await?, Address::of(config)?);
    let reply = session.import(&[], &[], &address).await?;
    session.imported(&reply, &address)
}

/// The shipped pipeline file, its servers all at this address.
fn config(address: &str, timeout: Duration) -> Config {
    let mut config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).expect("the shipped file");
    let password = Some(Secret::new(PASSWORD));
    (config.registry.username, config.registry.password) = (Some("me".into()), password.clone());
    (config.druid.username, config.druid.password) = (Some("me".into()), password.clone());
    (config.superset.username, config.superset.password) = (Some("me".into()), password);
    let Config { registry, druid, superset, flink, .. } = &mut config;
    for url in [&mut registry.url, &mut druid.url, &mut superset.url, &mut flink.url, &mut flink.gateway_url] {
        *url = format!("http://{address}");
    }
    for http in [&mut registry.http, &mut druid.http, &mut superset.http, &mut flink.http] {
        http.timeout = timeout;
    }
    config
}

/// What is wrong with how a call takes a fault; `None`: nothing.
async fn judge(mut call: Call, fault: Fault, mut tries: usize, told: Told) -> Option<String> {
    if call.name.starts_with("Superset") && !call.before.is_empty() && fault == Fault::Status(UNAUTHORIZED) {
        // The token may have expired: there is one more login, which is refused.
        (call.request, tries) = (("POST", "api/v1/security/login"), 2);
    }
    let server = Faulty::start(fault, call.before).await;
    let slow = matches!(fault, Fault::Silence | Fault::Drip);
    let begun = Instant::now();
    let asked = (call.make)(config(&server.address, if slow { SHORT } else { Duration::from_secs(10) }));
    let Ok(ended) = tokio::time::timeout(BOUND, asked).await else { return Some(format!("goes on after {BOUND:?}")) };
    let took = begun.elapsed();
    let tries = if ["POST", "PATCH"].contains(&call.request.0) && tries == 3 { 1 } else { tries };
    if server.faults() != tries {
        return Some(format!("asked {} times, not {tries}", server.faults()));
    }
    if fault == Fault::Status(SOON) && tries == 3 && took < Duration::from_secs(2) {
        return Some(format!("Retry-After is not kept: {took:?}"));
    }
    match (told, ended) {
        (Nothing, Ok(())) => None,
        (Nothing, Err(error)) => Some(format!("is an error: {error}")),
        (_, Ok(())) => Some("is taken for a success".into()),
        (Hint(code, words), Err(error)) => complaint(&call, &server.address, &error, code, words),
    }
}

fn complaint(call: &Call, address: &str, error: &Error, code: u8, words: &[&str]) -> Option<String> {
    let text = error.to_string();
    let (method, path) = call.request;
    let system = call.name.split(',').next().unwrap_or_default();
    let (request, wrong) = (format!("{method} http://{address}/{path}"), |what: &str| Some(format!("{what}: {text}")));
    if error.exit_code() != code {
        return wrong(&format!("exit code {}, not {code}", error.exit_code()));
    }
    if let Some(word) = [system, &request].iter().chain(words).find(|word| !text.contains(**word)) {
        return wrong(&format!("lacks `{word}`"));
    }
    if text.contains("canary") {
        return wrong("tells a secret");
    }
    if text.len() > 1_000 || text.chars().any(|c| c.is_control() && c != '\n') {
        return wrong("is no message for a person");
    }
    error.hint.is_none().then(|| format!("lacks a hint: {text}"))
}

fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn every_fault_of_every_call_is_told() {
    let wrong = in_a_runtime(async {
        let (mut cases, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_A_TIME)));
        for call in calls() {
            for (fault, tries, told) in FAULTS {
                // Stopping a supervisor takes minutes, and so may this answer.
                let is_patient = ["Druid, post", "Druid, suspend", "Druid, reset", "Druid, terminate"].contains(&call.name);
                if is_patient && matches!(fault, Fault::Silence | Fault::Drip) {
                    continue;
                }
                let told = exception(call.name, fault).unwrap_or(told);
                let place = Arc::clone(&places).acquire_owned();
                cases.spawn(async move {
                    let _place = place.await;
                    judge(call, fault, tries, told).await.map(|_| (call, fault, tries, told))
                });
            }
        }
        let mut wrong = Vec::new();
        // On a machine that does much else, what is to take a second may take longer: alone it is as it is.
        for (call, fault, tries, told) in cases.join_all().await.into_iter().flatten() {
            let what = judge(call, fault, tries, told).await;
            wrong.extend(what.map(|what| format!("{} / {fault:?}: {what}", call.name)));
        }
        wrong
    });
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_request_has_a_column() {
    let clients = [
        include_str!("../../../src/druid/client.rs"),
        include_str!("../../../src/registry.rs"),
        include_str!("../../../src/superset/client.rs"),
        include_str!("../../../src/flink/cluster.rs"),
        include_str!("../../../src/flink/gateway.rs"),
    ];
    // Two are made of the others, one is what `restore` sends.
    let beside = ["newest", "submit", "import_zip"];
    for method in clients.iter().flat_map(|text| text.split("pub async fn ").skip(1)) {
        let name = method.split('(').next().unwrap_or_default();
        assert!(beside.contains(&name) || include_str!("rest.rs").contains(&format!(".{name}(")), "{name}");
    }
}

#[test]
fn a_body_that_never_ends_is_not_read_for_ever() {
    for call in calls().into_iter().filter(|call| ["registry, by id", "Druid, status"].contains(&call.name)) {
        let wrong = in_a_runtime(judge(call, Fault::Endless, 1, Hint(1, &["longer than 8 MiB"])));
        assert_eq!(wrong, None, "{}", call.name);
    }
}

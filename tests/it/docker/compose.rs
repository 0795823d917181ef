//! The compose file against itself, and against what the program and `tests/stack` say. The parser is in Go, hence `ignored`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser;
use pipeline::cli::{Cli, Command};
use pipeline::config::{self, Config, Override};

use super::model::{Model, Service, all, resolve};
use super::{assert_pinned, text, top, variables};

const CORE: [&str; 14] = [
    "druid-broker",
    "druid-coordinator",
    "druid-historical",
    "druid-indexer",
    "druid-postgres",
    "druid-router",
    "kafka",
    "pipeline",
    "schema-registry",
    "superset",
    "superset-init",
    "superset-postgres",
    "superset-redis",
    "zookeeper",
];
const UI: [&str; 1] = ["kafka-ui"];
const FLINK: [&str; 3] = ["flink-jobmanager", "flink-sql-gateway", "flink-taskmanager"];

/// What Java takes beside its heap and its direct memory: classes, code, threads. In MiB.
const JAVA_ITSELF: u64 = 128;
/// `up` ends so many seconds after it is asked to, at the latest.
const UP_STOPS_IN: u64 = 9;

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn each_profile_has_its_services_with_and_without_an_env_file() {
    for (profiles, more) in [(&[][..], &[][..]), (&["ui"][..], &UI[..]), (&["flink"][..], &FLINK[..])] {
        let wanted: BTreeSet<&str> = CORE.iter().chain(more).copied().collect();
        let resolved = resolve(None, profiles);
        assert_eq!(resolved.model.services.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted, "{profiles:?}");
        assert_eq!(resolved.model, resolve(Some("docker/.env.example"), profiles).model, "the example has the defaults");
    }
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn the_example_has_each_variable_with_its_default() {
    let mut example = variables("docker/.env.example");
    assert_eq!(example.remove("COMPOSE_PROFILES").as_deref(), Some(""), "for Compose itself");
    assert_eq!(all().variables, example);
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn each_image_is_of_one_release() {
    for service in all().model.services.values() {
        assert_pinned(&service.image);
        if service.image.starts_with("pipeline:") {
            assert_eq!(service.image, concat!("pipeline:", env!("CARGO_PKG_VERSION")));
        }
    }
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn who_runs_on_is_looked_after_and_bounded() {
    for (name, service) in &all().model.services {
        assert_eq!(service.is_one_shot(), service.health().is_empty(), "{name}: health check");
        assert!(service.limit().is_some(), "{name}: memory limit");
        assert!(service.restart.is_some(), "{name}: restart");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        assert!(!service.privileged, "{name}");
    }
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn the_core_fits_into_8_gib() {
    let sum: u64 = resolve(None, &[]).model.services.values().filter_map(Service::limit).sum();
    assert!(sum <= 8192, "{sum} MiB");
}

/// Of `-Xms64m -Xmx512m`, `512m` or `1g` the greatest size, in MiB.
fn mebibytes(text: &str) -> u64 {
    let sizes = text.split_whitespace().filter_map(|word| {
        let digits: String = word.trim_start_matches(|c: char| !c.is_ascii_digit()).to_lowercase();
        let unit = digits.chars().last()?;
        let number: u64 = digits.trim_end_matches(['m', 'g']).parse().ok()?;
        Some(if unit == 'g' { number << 10 } else { number })
    });
    sizes.max().unwrap_or(0)
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn what_java_takes_fits_under_the_limit() {
    let model = all().model;
    let mut seen = 0;
    for (name, service) in &model.services {
        let of = |names: &[&str]| -> u64 { names.iter().filter_map(|name| service.variable(name)).map(mebibytes).sum() };
        let heap = of(&["KAFKA_HEAP_OPTS", "SCHEMA_REGISTRY_HEAP_OPTS", "ZK_SERVER_HEAP", "DRUID_XMX", "JAVA_OPTS"]);
        let direct = of(&["DRUID_MAXDIRECTMEMORYSIZE"]);
        if heap > 0 {
            seen += 1;
            let limit = service.limit().expect("a limit");
            assert!(heap + direct + JAVA_ITSELF <= limit, "{name}: {heap} and {direct} MiB do not fit into {limit}");
        }
        if let Some(buffer) = service.variable("druid_processing_buffer_sizeBytes") {
            let number = |name| service.variable(name).and_then(|text| text.parse::<u64>().ok()).expect(name);
            let buffers = number("druid_processing_numThreads") + number("druid_processing_numMergeBuffers") + 1;
            let needed = buffers * mebibytes(buffer.strip_suffix("iB").expect("MiB"));
            assert!(needed <= direct, "{name}: {needed} MiB of buffers do not fit into {direct}");
        }
    }
    assert_eq!(seen, 9, "Kafka, registry, ZooKeeper, Druid's five and the topics' page");
    for (service, process) in [("flink-jobmanager", "jobmanager"), ("flink-taskmanager", "taskmanager")] {
        let service = &model.services[service];
        let size = flink_property(service, &format!("{process}.memory.process.size"));
        assert_eq!(Some(mebibytes(&size)), service.limit(), "{process}: Flink lays its memory out for the whole limit");
    }
}

fn flink_property(service: &Service, name: &str) -> String {
    let properties = service.variable("FLINK_PROPERTIES").expect("Flink's properties");
    let mut pairs = properties.lines().filter_map(|line| line.split_once(": "));
    pairs.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("{name}")).1.to_owned()
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn who_is_waited_for_can_become_ready() {
    let model = all().model;
    for (name, service) in &model.services {
        for (needed, need) in &service.depends_on {
            let target = model.services.get(needed).unwrap_or_else(|| panic!("{name} waits for {needed}"));
            match need.condition.as_str() {
                "service_healthy" => assert!(!target.health().is_empty(), "{name} waits for {needed}, which is never healthy"),
                "service_completed_successfully" => assert!(target.is_one_shot(), "{name} waits for {needed}, which never ends"),
                other => panic!("{name} waits for {needed}: {other}"),
            }
        }
    }
}

/// The pipeline file that the repository ships, with these variables over it.
fn load<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Config {
    let overrides: Vec<Override> = variables.into_iter().filter_map(|(name, value)| Override::from_env(name, value)).collect();
    config::load(Some(&top().join("config/pipeline.toml")), &overrides).expect("a whole configuration")
}

fn host_and_port(address: &str) -> (&str, u16) {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, port) = address.split('/').next().and_then(|place| place.rsplit_once(':')).expect("host:port");
    (host, port.parse().expect("a port"))
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn the_ports_on_this_machine_are_those_that_the_program_looks_at() {
    let model = all().model;
    let config = load([]);
    let addresses = [
        ("kafka", &config.kafka.bootstrap_servers),
        ("schema-registry", &config.registry.url),
        ("druid-router", &config.druid.url),
        ("superset", &config.superset.url),
        ("flink-jobmanager", &config.flink.url),
        ("flink-sql-gateway", &config.flink.gateway_url),
    ];
    let mut wanted: BTreeMap<&str, u16> = addresses.map(|(service, address)| (service, host_and_port(address).1)).into();
    // The tutorial's page of Kafka's topics, and the metrics.
    wanted.extend([("kafka-ui", 9021), ("pipeline", 9464)]);
    let mut published = BTreeMap::new();
    for (name, service) in &model.services {
        for port in &service.ports {
            assert_eq!(port.host_ip.as_deref(), Some("127.0.0.1"), "{name}: the passwords are known to everybody");
            assert!(service.is_asked_at(port.target) || name == "kafka", "{name}: nobody has seen a server at {}", port.target);
            assert_eq!(published.insert(name.as_str(), port.published.parse().expect("a port")), None, "{name}");
        }
    }
    assert_eq!(published, wanted);
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn pipeline_is_told_what_it_knows_of_servers_that_are_there() {
    let model = all().model;
    let told = &model.services["pipeline"];
    let variables = || told.environment.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
    assert!(variables().all(|(name, _)| name.starts_with("PIPELINE_")));
    let (config, default) = (load(variables()), load([]));
    for address in [
        config.kafka_for_druid(),
        config.kafka_for_flink(),
        &config.kafka.bootstrap_servers,
        config.registry_for_druid(),
        config.registry_for_flink(),
        &config.registry.url,
        &config.druid.url,
        config.druid_for_superset(),
        &config.superset.url,
        &config.flink.url,
        &config.flink.gateway_url,
    ] {
        assert_listens(&model, address);
    }
    let (host, port) = host_and_port(config.superset.public_url.as_deref().expect("an address for browsers"));
    assert_eq!((host, port), ("localhost", host_and_port(&default.superset.url).1));
    let who = |config: &Config| {
        let password = |secret: &Option<config::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let (druid, superset) = (&config.druid, &config.superset);
        [druid.username.clone(), password(&druid.password), superset.username.clone(), password(&superset.password)]
    };
    assert_eq!(who(&config), who(&default), "the tutorial's users");
    for druid in model.services.values().filter(|service| service.image.starts_with("apache/druid:")) {
        for name in ["initialInternalClientPassword", "internalClientPassword"] {
            let (_, given) = druid.environment.iter().find(|(key, _)| key.ends_with(name)).expect(name);
            assert_eq!(*given, who(&config)[1], "{name}");
        }
    }
    assert_eq!(model.services["superset-init"].variable("SUPERSET_ADMIN_PASSWORD"), who(&config)[3].as_deref());
}

/// The host is a service, whose health check finds a server at the port.
#[track_caller]
fn assert_listens(model: &Model, address: &str) {
    let (host, port) = host_and_port(address);
    let service = model.services.get(host).unwrap_or_else(|| panic!("{address}: there is no service {host}"));
    assert!(service.is_asked_at(port), "{address}: {host} is not asked at {port}, but by: {}", service.health());
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn servers_are_told_of_servers_that_are_there() {
    let model = all().model;
    let told = [
        ("schema-registry", "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS"),
        ("kafka-ui", "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"),
        ("kafka-ui", "KAFKA_CLUSTERS_0_SCHEMAREGISTRY"),
    ];
    for (service, name) in told {
        assert_listens(&model, model.services[service].variable(name).expect(name));
    }
    for (name, druid) in model.services.iter().filter(|(_, service)| service.image.starts_with("apache/druid:")) {
        assert_listens(&model, druid.variable("druid_zk_service_host").expect("ZooKeeper"));
        assert_listens(&model, druid.variable("druid_metadata_storage_connector_connectURI").expect("PostgreSQL"));
        assert_eq!(druid.variable("druid_host"), Some(name.as_str()));
        assert!(druid.is_asked_at(druid.variable("druid_plaintextPort").and_then(|port| port.parse().ok()).expect("a port")));
    }
    for flink in FLINK.map(|name| &model.services[name]) {
        let (host, port) = (flink_property(flink, "rest.address"), flink_property(flink, "rest.port"));
        assert_listens(&model, &format!("{host}:{port}"));
        assert_eq!(flink.variable("JOB_MANAGER_RPC_ADDRESS"), Some(host.as_str()));
    }
    let port = flink_property(&model.services["flink-sql-gateway"], "sql-gateway.endpoint.rest.port");
    assert_listens(&model, &format!("flink-sql-gateway:{port}"));
    let kafka = &model.services["kafka"];
    let listeners = |name| kafka.variable(name).expect(name).split(',').map(|one| one.split_once("://").expect("a listener"));
    let listens: BTreeMap<&str, u16> = listeners("KAFKA_LISTENERS").map(|(name, place)| (name, host_and_port(place).1)).collect();
    for (name, place) in listeners("KAFKA_ADVERTISED_LISTENERS") {
        assert_eq!(listens.get(name), Some(&host_and_port(place).1), "{name}");
    }
    let config = text("docker/superset/superset_config.py");
    assert!(config.contains("host=\"superset-postgres\"") && config.contains("port=5432"), "{config}");
    assert!(config.contains("REDIS = \"redis://superset-redis:6379\""), "{config}");
    for address in ["superset-postgres:5432", "superset-redis:6379"] {
        assert_listens(&model, address);
    }
}

/// The variables that a server gets as properties, with the names that they have there.
fn properties<'a>(service: &'a Service, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let names = service.environment.keys().filter_map(move |name| name.strip_prefix(prefix));
    names.map(|name| name.replace('_', "."))
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn properties_have_the_names_that_the_real_servers_took() {
    // What tests/stack has no use for: PostgreSQL, a role that finds no other way who it is, and a cache that would be greater than the heap.
    let beside = [
        "host",
        "metadata.storage.connector.user",
        "metadata.storage.connector.password",
        "auth.authenticator.basic.skipOnFailure",
        "cache.sizeInBytes",
    ];
    let (druid, kafka) = (text("tests/stack/servers/druid.sh"), text("tests/stack/servers/kafka.sh"));
    let model = all().model;
    for (name, service) in &model.services {
        for property in properties(service, "druid_").filter(|property| !beside.contains(&property.as_str())) {
            assert!(druid.contains(&format!("\ndruid.{property}=")), "{name}: tests/stack does not set druid.{property}");
        }
    }
    let of_the_image = ["heap.opts"];
    for property in properties(&model.services["kafka"], "KAFKA_").map(|name| name.to_lowercase()) {
        let is_known = kafka.contains(&format!("\n{property}=")) || of_the_image.contains(&property.as_str());
        assert!(is_known, "tests/stack does not set {property}");
    }
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn what_is_mounted_and_built_is_there() {
    let model = all().model;
    let mut used = BTreeSet::new();
    for (name, service) in &model.services {
        for mount in &service.volumes {
            let source = mount.source.as_deref().unwrap_or_else(|| panic!("{name}: {} has no name", mount.target));
            if mount.kind == "bind" {
                assert!(Path::new(source).is_dir(), "{name}: {source}");
            } else {
                assert!(model.volumes.contains_key(source), "{name}: {source}");
                used.insert(source);
            }
        }
        if let Some(build) = &service.build {
            let file = PathBuf::from(&build.context).join(&build.dockerfile);
            assert!(file.is_file(), "{name}: {}", file.display());
        }
    }
    assert_eq!(used, model.volumes.keys().map(String::as_str).collect());
}

#[test]
#[ignore = "needs Go, or PyPI's: tests/run"]
fn pipeline_is_started_with_a_command_that_it_takes_and_given_time_to_end() {
    let model = all().model;
    let service = &model.services["pipeline"];
    let arguments = service.command.as_ref().expect("a command").iter().map(String::as_str);
    let cli = Cli::try_parse_from(std::iter::once("pipeline").chain(arguments)).expect("a command line");
    let Command::Up(up) = cli.command else { panic!("{:?}", cli.command) };
    let metrics = up.metrics_listen.expect("an address that is asked for health");
    assert!(service.is_asked_at(metrics.port()) && service.health().contains("GET /readyz "));
    let grace = service.stop_grace_period.as_deref().and_then(|text| text.strip_suffix('s')).expect("seconds");
    assert!(grace.parse::<u64>().expect("seconds") > UP_STOPS_IN);
    let config = service.variable("PIPELINE_CONFIG").expect("a pipeline file");
    let mount = service.volumes.iter().find(|mount| mount.kind == "bind").expect("the folder of the pipeline file");
    let file = Path::new(config).strip_prefix(&mount.target).expect("a file of that folder");
    assert!(Path::new(mount.source.as_deref().expect("a folder")).join(file).is_file());
}

# Apache Flink: a session cluster (JobManager and TaskManager) and a SQL Gateway, with what they need to talk to Kafka and the schema registry.
# Flink's lib/ and opt/ come from the Python package that carries them; 2.2 is the newest line that has a Kafka connector.
# shellcheck shell=bash
FLINK_VERSION=2.2.1
FLINK_HOME=$CACHE/flink-$FLINK_VERSION

flink_fetch() {
  need_java
  need curl curl
  if [ -e "$FLINK_HOME/complete" ]; then return; fi
  need python3 'python3 python3-venv'
  need unzip unzip
  flink_libraries
  maven_file "$FLINK_HOME/opt" "org.apache.flink:flink-sql-gateway:$FLINK_VERSION:jar"
  maven_file "$FLINK_HOME/lib" org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2:jar
  maven_file "$FLINK_HOME/lib" org.apache.flink:flink-sql-avro-confluent-registry:2.2.0:jar
  touch "$FLINK_HOME/complete"
}

# The pip of a fresh environment: a system's Python may have none.
flink_libraries() {
  local part=$FLINK_HOME.part package=apache-flink-libraries==$FLINK_VERSION
  rm -rf "$part" "$FLINK_HOME"
  python3 -m venv "$part/venv" || die "python3 can make no virtual environment: apt-get install python3-venv"
  say "  downloading $package"
  retry "$part/venv/bin/pip" download -q --no-cache-dir --no-deps --only-binary :all: -d "$part" "$package" || die "pip could not bring $package"
  mkdir -p "$part/home/plugins"
  unzip -q "$part"/*.whl 'pyflink/lib/*' 'pyflink/opt/*.jar' -d "$part"
  mv "$part"/pyflink/{lib,opt} "$part/home"
  mv "$part/home" "$FLINK_HOME"
  rm -rf "$part"
}

flink_start() {
  local conf=$RUN/conf/flink tmp=$RUN/data/flink/tmp
  need_port flink "$FLINK_PORT"
  need_port flink "$FLINK_GATEWAY_PORT"
  need_port flink "$FLINK_RPC_PORT"
  need_port flink "$FLINK_BLOB_PORT"
  mkdir -p "$conf" "$tmp"
  flink_config "$tmp" >"$conf/config.yaml"
  flink_environment
  # The JobManager first: a TaskManager that does not find it waits 10 s before it looks again.
  launch flink-jobmanager "${FLINK_JAVA[@]}" -Xms256m -Xmx512m -cp "$FLINK_HOME/lib/*" \
    org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$conf" --executionMode cluster
  await flink-jobmanager 120 ask "$(address flink)/overview"
  launch flink-taskmanager "${FLINK_JAVA[@]}" -Xms896m -Xmx896m -XX:MaxDirectMemorySize=256m -XX:MaxMetaspaceSize=256m -cp "$FLINK_HOME/lib/*" \
    org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$conf"
  # Beside the TaskManager: it is needed last.
  launch flink-gateway "${FLINK_JAVA[@]}" -Xmx256m -XX:TieredStopAtLevel=1 -cp "$FLINK_HOME/lib/*:$FLINK_HOME/opt/flink-sql-gateway-$FLINK_VERSION.jar" \
    org.apache.flink.table.gateway.SqlGateway
  await flink-taskmanager 120 flink_has_slots
  await flink-gateway 120 ask "http://$HOST:$FLINK_GATEWAY_PORT/v1/info"
}

flink_has_slots() { ask "$(address flink)/overview" | grep -q '"slots-total":4'; }

# Sets FLINK_JAVA, the command that every part of Flink begins with, and exports where Flink's parts are.
flink_environment() {
  local package
  export FLINK_CONF_DIR=$RUN/conf/flink FLINK_LIB_DIR=$FLINK_HOME/lib FLINK_OPT_DIR=$FLINK_HOME/opt FLINK_PLUGINS_DIR=$FLINK_HOME/plugins
  FLINK_JAVA=(java -XX:-UsePerfData -Djava.io.tmpdir="$RUN/data/flink/tmp" -Dlog4j.configurationFile="$STACK/servers/log4j2.xml"
    --add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED)
  # Flink's serializers look into these.
  for package in lang lang.reflect net io nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
    FLINK_JAVA+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
  done
}

# The sizes of memory add up to what the TaskManager's command line gives it. As in a production cluster, a job checkpoints every 10 s.
flink_config() {
  cat <<END
rest:
  address: $HOST
  bind-address: $HOST
  port: $FLINK_PORT
sql-gateway:
  endpoint:
    rest:
      address: $HOST
      bind-address: $HOST
      port: $FLINK_GATEWAY_PORT
jobmanager:
  bind-host: $HOST
  rpc:
    address: $HOST
    port: $FLINK_RPC_PORT
blob:
  server:
    port: $FLINK_BLOB_PORT
taskmanager:
  host: $HOST
  bind-host: $HOST
  numberOfTaskSlots: 4
  cpu:
    cores: 2.0
  memory:
    framework:
      heap:
        size: 128mb
      off-heap:
        size: 128mb
    task:
      heap:
        size: 768mb
      off-heap:
        size: 0mb
    managed:
      size: 256mb
    network:
      min: 128mb
      max: 128mb
    jvm-metaspace:
      size: 256mb
    jvm-overhead:
      min: 192mb
      max: 192mb
parallelism:
  default: 1
state:
  backend:
    type: hashmap
execution:
  target: remote
  checkpointing:
    interval: 10s
    mode: EXACTLY_ONCE
    savepoint-dir: file://$1/savepoints
io:
  tmp:
    dirs: $1
END
}

flink_processes() { printf '%s\n' flink-gateway flink-taskmanager flink-jobmanager; }

flink_stop() { halt flink-gateway flink-taskmanager flink-jobmanager; }

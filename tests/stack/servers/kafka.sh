# Apache Kafka in KRaft mode: one process that is both broker and controller, plaintext, every replication factor 1.
# shellcheck shell=bash
KAFKA_VERSION=4.4.0
KAFKA_JARS=$CACHE/kafka-$KAFKA_VERSION

# KAFKA_PROXIED=PORT:PROXY, if set: a second way in, at PORT, whose clients are told that the broker is at PROXY; there a proxy of
# theirs sends everything on to PORT.

kafka_fetch() {
  need_java
  maven_jars "$KAFKA_JARS" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" org.apache.logging.log4j:log4j-slf4j-impl:2.25.5
}

kafka_start() {
  local conf=$RUN/conf/kafka data=$RUN/data/kafka
  need_port kafka "$KAFKA_PORT"
  need_port kafka "$KAFKA_CONTROLLER_PORT"
  if [ -n "${KAFKA_PROXIED:-}" ]; then need_port kafka "${KAFKA_PROXIED%:*}"; fi
  mkdir -p "$conf" "$data/tmp"
  kafka_properties "$data" >"$conf/server.properties"
  local java=(java -XX:-UsePerfData -Djava.io.tmpdir="$data/tmp" -Dlog4j2.configurationFile="$STACK/servers/log4j2.xml" -cp "$KAFKA_JARS/*")
  kafka_format kafka cGlwZWxpbmUtc3RhY2stMQ # "pipeline-stack-1" in base64
  launch kafka "${java[@]}" -Xms512m -Xmx512m -XX:+UseG1GC kafka.Kafka "$conf/server.properties"
  await kafka 120 answers "$KAFKA_PORT" # the broker opens its port when it is ready to serve
}

# kafka_format NAME CLUSTER_ID [OPTION...]: makes the storage of the server that is being started, once. A format that was cut short leaves
# no meta.properties: begin again.
kafka_format() {
  local name=$1 id=$2; shift 2
  if [ -e "$data/log/meta.properties" ]; then return; fi
  rm -rf "$data/log"
  "${java[@]}" -Xmx128m -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format -t "$id" -c "$conf/server.properties" "$@" \
    >"$RUN/log/$name.log" 2>&1 || failed "$name" "could not format its storage"
}

kafka_properties() {
  cat <<END
controller.quorum.voters=1@$HOST:$KAFKA_CONTROLLER_PORT
listener.security.protocol.map=CLIENTS:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
listeners=CLIENTS://$HOST:$KAFKA_PORT,CONTROLLER://$HOST:$KAFKA_CONTROLLER_PORT${KAFKA_PROXIED:+,PROXIED://$HOST:${KAFKA_PROXIED%:*}}
advertised.listeners=CLIENTS://$HOST:$KAFKA_PORT${KAFKA_PROXIED:+,PROXIED://$HOST:${KAFKA_PROXIED#*:}}

log.segment.bytes=268435456
auto.create.topics.enable=true
END
  kafka_of_one_node "$1"
}

# kafka_of_one_node DATA: what holds for a node that is alone, and for tests: no retention limit, since their data carries event times of
# long ago, and no delay before a new group's first rebalance, since they wait for it.
kafka_of_one_node() {
  cat <<END

node.id=1
process.roles=broker,controller
controller.listener.names=CONTROLLER
log.dirs=$1/log
log.retention.ms=-1
num.partitions=1
group.initial.rebalance.delay.ms=0

offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.max.timeout.ms=3600000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
}

kafka_stop() { halt kafka; }

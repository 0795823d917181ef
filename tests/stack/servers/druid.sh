# shellcheck shell=bash
# Druid 33 as six Java processes: ZooKeeper, coordinator (with overlord and Derby), broker, historical, indexer, router.
# There is no Druid distribution in the package registry, so this one is put together from Druid's own jars. What differs from a distribution:
# - avro_stream is partly ours (druid/pipeline/stack/AvroStream.java says why);
# - basic security has no release that fits the core of 33 on every role: the coordinator takes a newer one, the others an older one;
# - there is no web console.

DRUID_SOURCES=$STACK/servers/druid
DRUID_HOME=$CACHE/druid-33.0.0
DRUID_EXTENSIONS=$DRUID_HOME/extensions
DRUID_RUN=$RUN/data/druid
DRUID_ROLES=(coordinator broker historical indexer router)

# The users of the tutorial: admin, and the one whom Druid's processes and Superset use.
DRUID_ADMIN_PASSWORD=password1
DRUID_USER=druid_system
DRUID_PASSWORD=password2

druid_processes() { printf 'druid-%s\n' zookeeper "${DRUID_ROLES[@]}"; }

druid_fetch() {
  local group=org.apache.druid.extensions
  local skip=(--exclude org.hyperic:sigar --exclude 'io.confluent:*') # a native library that nothing here needs; jars that Maven Central doesn't have
  need_java
  maven_jars "$DRUID_HOME/lib" "${skip[@]}" org.apache.druid:druid-services:33.0.0
  maven_jars "$DRUID_EXTENSIONS/kafka" "${skip[@]}" $group:druid-kafka-indexing-service:33.0.0
  maven_jars "$DRUID_EXTENSIONS/security" "${skip[@]}" $group:druid-basic-security:27.0.0
  maven_jars "$DRUID_EXTENSIONS/security-coordinator" "${skip[@]}" $group:druid-basic-security:37.0.0
  maven_jars "$DRUID_EXTENSIONS/avro" "${skip[@]}" $group:druid-avro-extensions:0.20.0
  druid_avro_stream
}

# Completes the avro extension: Confluent's registry client, with the Kafka classes that it wants beside it, and our input format.
druid_avro_stream() (
  avro=$DRUID_EXTENSIONS/avro
  source=$DRUID_SOURCES/pipeline/stack/AvroStream.java
  stamp=$avro/.avro-stream-$(sha256sum <"$source" | cut -c1-16)
  if [ -e "$stamp" ]; then exit; fi
  need javac openjdk-17-jdk-headless
  maven_file "$DRUID_HOME" io.trino:trino-kafka:356:zip # Maven Central has Confluent's jars only inside this plugin
  rm -rf "$avro"/.avro-stream-* "$avro/part"
  mkdir -p "$avro/part/classes/META-INF/services"
  cd "$avro/part" || exit
  jar xf "$DRUID_HOME/trino-kafka-356.zip" trino-kafka-356/{kafka-schema-registry-client,common-config,common-utils}-5.5.2.jar
  cp "$DRUID_EXTENSIONS"/kafka/kafka-clients-*.jar .
  echo pipeline.stack.AvroStream >classes/META-INF/services/org.apache.druid.initialization.DruidModule
  javac --release 11 -nowarn -d classes -cp "$DRUID_HOME/lib/*:$avro/*:$PWD/*:$PWD/trino-kafka-356/*" "$source"
  jar cf avro-stream.jar -C classes .
  mv ./*.jar trino-kafka-356/*.jar "$avro" # never written in place: a Druid that runs has them open
  rm -rf "$avro/part"; touch "$stamp"
)

druid_port() {
  case $1 in
    coordinator) echo "$DRUID_COORDINATOR_PORT" ;;
    broker) echo "$DRUID_BROKER_PORT" ;;
    historical) echo "$DRUID_HISTORICAL_PORT" ;;
    indexer) echo "$DRUID_INDEXER_PORT" ;;
    router) echo "$DRUID_ROUTER_PORT" ;;
  esac
}

# druid_start returns when every role lets the internal user in, the indexer has offered its slots and SQL runs through the router:
# a health page alone turns green seconds earlier, and who comes in between meets 401 or 503.
druid_start() {
  local role
  need_java; need curl curl
  need_port ZooKeeper "$ZOOKEEPER_PORT"
  need_port "Druid's metadata database" "$DERBY_PORT"
  for role in "${DRUID_ROLES[@]}"; do need_port "Druid's $role" "$(druid_port "$role")"; done
  mkdir -p "$RUN/conf/druid" "$DRUID_RUN"/{tmp,task}
  druid_secrets
  druid_zookeeper
  for role in "${DRUID_ROLES[@]}"; do druid_launch "$role"; done
  for role in "${DRUID_ROLES[@]}"; do await "druid-$role" 180 druid_get "$(druid_port "$role")" /status; done
  await druid-indexer 60 druid_has_slots
  await druid-router 60 druid_answers
}

# What a supervisor can name and must not hold, for topics of `secured` and a registry that asks for a password.
druid_secrets() {
  export SECURED_JAAS="org.apache.kafka.common.security.scram.ScramLoginModule required username=\"line\" password=\"$SECURED_PASSWORD\";"
  export SECURED_USER_INFO=line:$SECURED_PASSWORD
  export SECURED_TRUSTSTORE_PASSWORD=$CERTIFICATES_PASSWORD
}

# ZooKeeper last: a role that can't sign off there waits.
druid_stop() {
  halt "${DRUID_ROLES[@]/#/druid-}"
  halt druid-zookeeper
}

# What Druid keeps in ZooKeeper is who is there now. Leftovers of a killed run would hold back a new leader for 30 s, hence the empty start.
druid_zookeeper() {
  local data=$DRUID_RUN/zookeeper
  rm -rf "$data"; mkdir -p "$data"
  cat >"$RUN/conf/druid/zookeeper.cfg" <<END
dataDir=$data
clientPort=$ZOOKEEPER_PORT
clientPortAddress=$HOST
tickTime=2000
maxClientCnxns=0
admin.enableServer=false
END
  druid_java zookeeper -Xmx96m -cp "$DRUID_HOME/lib/*" org.apache.zookeeper.server.ZooKeeperServerMain "$RUN/conf/druid/zookeeper.cfg"
}

druid_launch() {
  local role=$1 heap direct
  case $role in
    coordinator) heap=384m direct=64m ;;
    broker) heap=320m direct=128m ;;
    historical) heap=256m direct=128m ;;
    indexer) heap=512m direct=512m ;;
    router) heap=192m direct=64m ;;
  esac
  { druid_common "$role"; "druid_$role"; } >"$RUN/conf/druid/$role.properties"
  druid_java "$role" -Xms64m -Xmx$heap -XX:MaxDirectMemorySize=$direct \
    --add-exports=java.base/jdk.internal.{misc,ref}=ALL-UNNAMED --add-opens=java.base/{java.io,java.lang,java.nio,jdk.internal.ref,sun.nio.ch}=ALL-UNNAMED \
    --add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED -Ddruid.properties.file="$RUN/conf/druid/$role.properties" \
    -cp "$DRUID_HOME/lib/*" org.apache.druid.cli.Main server "$role"
}

# druid_java PROCESS ARGUMENTS...: tuned for a quick start and a small process, not for throughput.
druid_java() {
  local process=$1; shift
  launch "druid-$process" java -XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError -Duser.timezone=UTC -Dfile.encoding=UTF-8 \
    -Djava.io.tmpdir="$DRUID_RUN/tmp" -Dderby.stream.error.file="$DRUID_RUN/derby.log" -Dlog4j.configurationFile="$DRUID_SOURCES/log4j2.xml" \
    -Djava.util.logging.manager=org.apache.logging.log4j.jul.LogManager -Dguice_include_stack_traces=OFF "$@"
}

druid_common() {
  local security=$DRUID_EXTENSIONS/security
  if [ "$1" = coordinator ]; then security+=-coordinator; fi
  cat <<END
druid.service=druid/$1
druid.host=$HOST
druid.plaintextPort=$(druid_port "$1")
druid.extensions.directory=$DRUID_EXTENSIONS
druid.extensions.loadList=["$security","kafka","avro"]
druid.zk.service.host=$HOST:$ZOOKEEPER_PORT
druid.selectors.indexing.serviceName=druid/overlord
druid.selectors.coordinator.serviceName=druid/coordinator

druid.metadata.storage.type=derby
druid.metadata.storage.connector.host=$HOST
druid.metadata.storage.connector.port=$DERBY_PORT
druid.metadata.storage.connector.connectURI=jdbc:derby://$HOST:$DERBY_PORT/$DRUID_RUN/metadata;create=true
druid.storage.type=local
druid.storage.storageDirectory=$DRUID_RUN/segments
druid.indexer.logs.type=file
druid.indexer.logs.directory=$DRUID_RUN/task-logs

# The two releases of basic security can't notify one another, so the roles ask often. Few iterations: each first login costs 100 ms otherwise.
druid.auth.authenticatorChain=["basic"]
druid.auth.authenticator.basic.type=basic
druid.auth.authenticator.basic.authorizerName=basic
druid.auth.authenticator.basic.credentialsValidator.type=metadata
druid.auth.authenticator.basic.credentialIterations=500
druid.auth.authenticator.basic.initialAdminPassword=$DRUID_ADMIN_PASSWORD
druid.auth.authenticator.basic.initialInternalClientPassword=$DRUID_PASSWORD
druid.auth.authorizers=["basic"]
druid.auth.authorizer.basic.type=basic
druid.auth.basic.common.enableCacheNotifications=false
druid.auth.basic.common.pollingPeriod=5000
druid.auth.basic.common.maxRandomDelay=500
druid.escalator.type=basic
druid.escalator.authorizerName=basic
druid.escalator.internalClientUsername=$DRUID_USER
druid.escalator.internalClientPassword=$DRUID_PASSWORD

druid.processing.numThreads=1
druid.processing.numMergeBuffers=2
druid.processing.buffer.sizeBytes=16MiB
druid.processing.tmpDir=$DRUID_RUN/tmp
druid.server.http.numThreads=20
druid.server.http.gracefulShutdownTimeout=PT2S
druid.global.http.numConnections=10
druid.lookup.enableLookupSyncOnStartup=false
druid.monitoring.monitors=[]
druid.emitter=noop
druid.startup.logging.logProperties=false
END
}

# The task queue waits for the indexer: a task of the last run that finds no worker yet is tried again only a minute later.
druid_coordinator() {
  cat <<END
druid.coordinator.startDelay=PT5S
druid.coordinator.period=PT5S
druid.coordinator.period.indexingPeriod=PT60S
druid.coordinator.asOverlord.enabled=true
druid.coordinator.asOverlord.overlordService=druid/overlord
druid.manager.segments.pollDuration=PT5S
druid.manager.config.pollDuration=PT5S
druid.indexer.queue.startDelay=PT10S
druid.indexer.runner.type=httpRemote
druid.indexer.storage.type=metadata
druid.indexer.storage.recentlyFinishedThreshold=PT2H
END
}

druid_broker() {
  cat <<END
druid.sql.enable=true
druid.sql.planner.metadataRefreshPeriod=PT5S
druid.broker.http.numConnections=5
druid.broker.segment.awaitInitializationOnStart=true
END
}

druid_historical() {
  cat <<END
druid.server.maxSize=2g
druid.segmentCache.locations=[{"path":"$DRUID_RUN/segment-cache","maxSize":"2g"}]
END
}

druid_indexer() {
  cat <<END
druid.worker.capacity=20
druid.worker.globalIngestionHeapLimitBytes=200000000
druid.indexer.task.baseTaskDir=$DRUID_RUN/task
druid.indexer.task.gracefulShutdownTimeout=PT5S
# A task ends once a historical has its segments; as Druid comes, it looks for that once a minute.
druid.segment.handoff.pollDuration=PT1S
END
}

druid_router() {
  cat <<END
druid.router.defaultBrokerServiceName=druid/broker
druid.router.coordinatorServiceName=druid/coordinator
druid.router.managementProxy.enabled=true
druid.router.http.numConnections=10
END
}

# druid_get PORT PATH [CURL OPTION]...: as the internal user.
druid_get() {
  local port=$1 path=$2; shift 2
  curl -fsS -m 5 -u "$DRUID_USER:$DRUID_PASSWORD" "$@" "http://$HOST:$port$path"
}

druid_has_slots() { druid_get "$DRUID_ROUTER_PORT" /druid/indexer/v1/workers | grep -q '"capacity"'; }

druid_answers() { druid_get "$DRUID_ROUTER_PORT" /druid/v2/sql -H 'Content-Type: application/json' -d '{"query": "SELECT 1"}'; }

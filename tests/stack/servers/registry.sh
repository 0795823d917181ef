# A schema registry with Confluent's API, at the path /apis/ccompat/v7: Apicurio Registry, its data in an H2 file.
# shellcheck shell=bash
REGISTRY_VERSION=3.0.9
REGISTRY_APP=$CACHE/apicurio-registry-$REGISTRY_VERSION

registry_fetch() {
  need_java
  need curl curl
  if [ -d "$REGISTRY_APP" ]; then return; fi
  local archive=apicurio-registry-app-$REGISTRY_VERSION-all.tar.gz part=$REGISTRY_APP.part
  maven_file "$CACHE/download" "io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all"
  rm -rf "$part"; mkdir "$part"
  tar -xzf "$CACHE/download/$archive" -C "$part"
  mv "$part" "$REGISTRY_APP"
  rm "$CACHE/download/$archive"
}

registry_start() {
  local data=$RUN/data/registry api
  api=$(address registry)
  need_port registry "$REGISTRY_PORT"
  mkdir -p "$data/tmp"
  # Canonical hash: the same schema with other white space is no new version, as with Confluent's registry.
  launch registry env \
    QUARKUS_HTTP_HOST="$HOST" QUARKUS_HTTP_PORT="$REGISTRY_PORT" QUARKUS_HTTP_ACCESS_LOG_ENABLED=false QUARKUS_LOG_LEVEL=WARN \
    APICURIO_STORAGE_KIND=sql APICURIO_STORAGE_SQL_KIND=h2 APICURIO_DATASOURCE_URL="jdbc:h2:file:$data/registry;DB_CLOSE_ON_EXIT=FALSE" \
    APICURIO_CCOMPAT_USE_CANONICAL_HASH=true \
    java -Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="$data/tmp" \
    -jar "$REGISTRY_APP/apicurio-registry-app-$REGISTRY_VERSION-runner.jar"
  await registry 120 ask "$api/subjects"
  # Apicurio starts at NONE; BACKWARD is the default of Confluent's registry.
  await registry 10 ask -X PUT -H 'Content-Type: application/json' -d '{"compatibility":"BACKWARD"}' "$api/config"
}

registry_stop() { halt registry; }

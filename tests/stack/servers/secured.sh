# shellcheck shell=bash
# A second Kafka, which lets nobody in without a password, a token or a certificate, and nobody do what no ACL allows: one KRaft node
# without any plaintext port, with a CA of the stack's own. For the tests of secured clusters only.

# shellcheck source=servers/kafka.sh
. "$STACK/servers/kafka.sh" # of the same files

# `line` may do what pipeline does; of the others each may do all but one thing, and `nobody` nothing.
SECURED_USERS='line no-read no-write no-create no-group no-transactions nobody'

secured_fetch() {
  need openssl openssl
  kafka_fetch
}

secured_start() {
  local conf=$RUN/conf/secured data=$RUN/data/secured port scram
  for port in "$SECURED_SASL_PORT" "$SECURED_TLS_PORT" "$SECURED_CONTROLLER_PORT"; do need_port secured "$port"; done
  certificates
  mkdir -p "$conf" "$data/tmp"
  { secured_properties "$data"; secured_sasl; } >"$conf/server.properties"
  local java=(java -XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$data/tmp" -Dlog4j2.configurationFile="$STACK/servers/log4j2.xml" -cp "$KAFKA_JARS/*")
  secured_scram
  kafka_format secured cGlwZWxpbmUtc3RhY2stMg "${scram[@]}"
  launch secured "${java[@]}" -Xms128m -Xmx320m kafka.Kafka "$conf/server.properties"
  await secured 120 answers "$SECURED_SASL_PORT"
  secured_admin >"$conf/admin.properties"
  await secured 60 secured_acls "$conf/admin.properties"
}

secured_stop() { halt secured; }

# The users of SCRAM, as options of the format: a node cannot start without them.
secured_scram() {
  local user hash
  scram=()
  for user in $SECURED_USERS; do
    for hash in 256 512; do scram+=(--add-scram "SCRAM-SHA-$hash=[name=$user,password=$SECURED_PASSWORD]"); done
  done
}

# The node talks to itself with its own certificate, so it is a super user by that.
secured_properties() {
  cat <<END
controller.quorum.voters=1@$HOST:$SECURED_CONTROLLER_PORT
listener.security.protocol.map=SASL:SASL_SSL,TLS:SSL,CONTROLLER:SSL
inter.broker.listener.name=TLS
listeners=SASL://$HOST:$SECURED_SASL_PORT,TLS://$HOST:$SECURED_TLS_PORT,CONTROLLER://$HOST:$SECURED_CONTROLLER_PORT
advertised.listeners=SASL://$HOST:$SECURED_SASL_PORT,TLS://$HOST:$SECURED_TLS_PORT

ssl.keystore.type=PEM
ssl.keystore.location=$CERTIFICATES/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$CERTIFICATES/ca.pem
listener.name.tls.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]+)\$/\$1/

authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:server;User:admin

auto.create.topics.enable=false
END
  kafka_of_one_node "$1"
}

# OAUTHBEARER takes tokens that nobody has signed: Kafka's own validator for tests.
secured_sasl() {
  local user modules=org.apache.kafka.common.security plain="user_admin=\"$SECURED_PASSWORD\""
  for user in $SECURED_USERS; do plain+=" \"user_$user\"=\"$SECURED_PASSWORD\""; done
  cat <<END

listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required $plain;
listener.name.sasl.scram-sha-256.sasl.jaas.config=$modules.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$modules.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=$modules.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="server";
END
}

# What an administrator's client needs.
secured_admin() {
  cat <<END
bootstrap.servers=$HOST:$SECURED_SASL_PORT
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="$SECURED_PASSWORD";
ssl.truststore.type=PEM
ssl.truststore.location=$CERTIFICATES/ca.pem
END
}

# secured_acls FILE: what each user may do; FILE has the administrator's properties.
secured_acls() {
  local user
  for user in $SECURED_USERS; do
    if [ "$user" = nobody ]; then continue; fi
    if [ "$user" != no-read ]; then echo "$user TOPIC it- READ"; fi
    if [ "$user" != no-write ]; then echo "$user TOPIC it- WRITE"; fi
    if [ "$user" != no-create ]; then echo "$user TOPIC it- CREATE"; fi
    if [ "$user" != no-group ]; then echo "$user GROUP pipeline- READ"; fi
    if [ "$user" != no-transactions ]; then echo "$user TRANSACTIONAL_ID pipeline- WRITE"; fi
    echo "$user TOPIC it- DESCRIBE_CONFIGS"
  done | java -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$STACK/servers/log4j2.xml" -cp "$KAFKA_JARS/*" \
    "$STACK/servers/secured/Acls.java" "$1"
}

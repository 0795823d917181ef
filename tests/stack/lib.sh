# Shared by the scripts of this folder (sourced, never run): where things live, and how one server is fetched, started, watched and stopped.
# shellcheck shell=bash
#
# A server is a file servers/NAME.sh that defines three functions, each prefixed with its name:
#   NAME_fetch   brings what it needs into $CACHE, once; offline afterwards
#   NAME_start   starts it with `launch` and returns when it answers (`await`); called only when nothing of it runs
#   NAME_stop    stops it with `halt`
# and, where it has several processes, NAME_processes: their names, one a line (default: NAME alone).
# It keeps its files in $RUN/conf/NAME*, $RUN/data/NAME and $RUN/log/PROCESS.log: that is what `down --wipe` removes.

STACK=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pipeline-stack   # downloads and prepared files: kept between runs and checkouts
RUN=${STACK_HOME:-$STACK/../../target/stack}  # data, logs, pids, ports of the running stack
mkdir -p "$CACHE" "$RUN"/{conf,data,log,pid,port}
RUN=$(cd "$RUN" && pwd)
PATH=${JAVA_HOME:+$JAVA_HOME/bin:}$PATH

# ---- Servers and ports

SERVERS='kafka registry druid superset flink secured'

# The ports of each server, the one that it is known by first. Each is an environment variable.
HOST=127.0.0.1
declare -A PORTS=(
  [kafka]='KAFKA_PORT=9092 KAFKA_CONTROLLER_PORT=9093'
  [registry]='REGISTRY_PORT=8081'
  [druid]='DRUID_ROUTER_PORT=8888 DRUID_COORDINATOR_PORT=28081 DRUID_BROKER_PORT=18082 DRUID_HISTORICAL_PORT=18083 DRUID_INDEXER_PORT=8091
           ZOOKEEPER_PORT=2181 DERBY_PORT=1527'
  [superset]='SUPERSET_PORT=8088'
  [flink]='FLINK_PORT=18081 FLINK_GATEWAY_PORT=18084 FLINK_RPC_PORT=16123 FLINK_BLOB_PORT=16124'
  [secured]='SECURED_SASL_PORT=9192 SECURED_TLS_PORT=9193 SECURED_CONTROLLER_PORT=9194'
)

# Sets the variables. The ports of a server that was started stay in force until it is stopped, whatever the environment says by then;
# STAYS tells of those that were asked for in vain.
STAYS=''
set_ports() {
  local server pair name asked
  for server in $SERVERS; do
    for pair in ${PORTS[$server]}; do
      name=${pair%=*}
      printf -v "$name" %s "${!name:-${pair#*=}}"
    done
    [ -e "$RUN/port/$server" ] || continue
    while IFS= read -r pair; do
      name=${pair%=*} asked=${!name:-}
      printf -v "$name" %s "${pair#*=}"
      if [[ $asked != "${!name}" && ${PORTS[$server]} != *"$name=$asked"* ]]; then STAYS+="$server was started with $pair: stop it first to use port $asked"$'\n'; fi
    done <"$RUN/port/$server"
  done
}
set_ports

# The ports in use, written when a server is ready and removed when it stops: so the file also says that its start came to its end.
keep_ports() {
  local pair name
  for pair in ${PORTS[$1]}; do name=${pair%=*}; echo "$name=${!name}"; done >"$RUN/port/$1"
}

port() { local name=${PORTS[$1]%%=*}; echo "${!name}"; }

address() {
  case $1 in
    kafka) echo "$HOST:$KAFKA_PORT" ;;
    secured) echo "$HOST:$SECURED_SASL_PORT" ;;
    registry) echo "http://$HOST:$REGISTRY_PORT/apis/ccompat/v7" ;;
    *) echo "http://$HOST:$(port "$1")" ;;
  esac
}

# load NAME...: the functions of these servers.
load() {
  local name
  for name; do
    [[ " $SERVERS " == *" $name "* ]] || { say "stack: there is no server '$name', but: $SERVERS"; exit 2; }
    # shellcheck source=/dev/null
    . "$STACK/servers/$name.sh"
  done
}

processes() { if declare -F "$1_processes" >/dev/null; then "$1_processes"; else echo "$1"; fi; }

# started NAME: was any of its processes started, and not stopped since (it may have died)?
started() { local p; for p in $(processes "$1"); do if [ -e "$RUN/pid/$p" ]; then return 0; fi; done; return 1; }

# dead NAME: those of its processes that don't run.
dead() { local p; for p in $(processes "$1"); do if ! alive "$p"; then echo "$p"; fi; done; }

# up NAME: it was started to the end, every process runs, and it answers.
up() { [ -e "$RUN/port/$1" ] && [ -z "$(dead "$1")" ] && answers "$(port "$1")"; }

# stop NAME: all of it, even what is left of a start that failed.
stop() { rm -f "$RUN/port/$1"; "$1_stop"; }

# only_one: from here on no other `up` or `down` works on this stack.
only_one() {
  exec 9>"$RUN/lock"
  flock -n 9 || { say "waiting for another up or down to end"; flock 9; }
}

# ---- Messages

say() { printf '%s\n' "$*" >&2; }
die() { say "stack: $*"; exit 1; }

# need COMMAND PACKAGE: names the Debian package that brings a missing command.
need() { command -v "$1" >/dev/null || die "'$1' is missing: apt-get install $2 (or tests/stack/install for all that the stack needs)"; }

need_java() {
  local version
  need java openjdk-17-jdk-headless
  version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java\.specification\.version = //p') || true
  [ "$(printf '%.0f' "${version:-0}")" -ge 17 ] || die "$(command -v java) is Java '$version', and Java 17 is needed: apt-get install openjdk-17-jdk-headless, or set JAVA_HOME"
}

# now: milliseconds. since THEN: seconds, with one decimal.
now() { local us=${EPOCHREALTIME/[.,]/}; echo $((us / 1000)); }
since() { local ms=$(($(now) - $1)); echo "$((ms / 1000)).$((ms % 1000 / 100))"; }

# ---- Processes

# The start time of a process, in clock ticks after boot: with the pid it names a process for good, since pids come round again.
# Nothing for one that has ended and waits to be collected.
born() { awk '{ sub(/^.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }

# alive NAME: is the process that `launch NAME` started still running?
alive() {
  local pid ticks
  read -r pid ticks 2>/dev/null <"$RUN/pid/$1" || return 1
  [ -n "$pid" ] && [ "$(born "$pid")" = "$ticks" ]
}

# members NAME: "pid pages" of each living process of the session that `launch NAME` opened: the server and its children.
# Children can outlive it, and while one does the number of the session is not given away; a new owner of the number means that none is left.
members() {
  local pid ticks owner
  read -r pid ticks 2>/dev/null <"$RUN/pid/$1" || return 0
  owner=$(born "$pid")
  [ -z "$owner" ] || [ "$owner" = "$ticks" ] || return 0
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } |
    awk -v session="$pid" '{ pid = $1; sub(/^.*\) /, ""); if ($4 == session && $1 != "Z") print pid, $22 }'
}

# launch NAME COMMAND...: starts it in a session of its own, its output in log/NAME.log; it holds no file of the caller, no lock and no pipe.
launch() {
  local name=$1; shift
  setsid nohup "$@" >"$RUN/log/$name.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  local pid=$!
  printf '%s %s\n' "$pid" "$(born "$pid")" >"$RUN/pid/$name"
}

# await NAME SECONDS COMMAND...: until the command succeeds; a dead or silent server shows its last log lines and ends the script.
await() {
  local name=$1 seconds=$2 end; shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name"; then failed "$name" "ended while starting"; fi
    if [ $SECONDS -ge $end ]; then failed "$name" "did not answer within $seconds s"; fi
    sleep 0.2
  done
}

failed() {
  say "stack: $1 $2. The end of $RUN/log/$1.log:"$'\n'"$(tail -n 25 "$RUN/log/$1.log")"
  exit 1
}

# halt NAME...: asks them to end, waits 15 s for all together, then kills what is left, children too. Touches only what `launch` started.
halt() {
  local name pid _ end=$((SECONDS + 15))
  for name; do
    if alive "$name"; then read -r pid _ <"$RUN/pid/$name"; kill "$pid" 2>/dev/null || true; fi
  done
  for name; do
    while alive "$name" && [ $SECONDS -lt $end ]; do sleep 0.1; done
    for _ in 1 2 3 4 5; do
      pid=$(members "$name" | cut -d' ' -f1)
      [ -n "$pid" ] || break
      # shellcheck disable=SC2086
      kill -9 $pid 2>/dev/null || true
      sleep 0.1
    done
    rm -f "$RUN/pid/$name"
  done
}

# ask URL...: curl to a server of ours: never through a proxy, never for long.
ask() { curl --noproxy '*' -fsS -m 5 "$@"; }

answers() { (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null; }

# need_port NAME PORT: another program's port is not ours to take.
need_port() {
  local who
  answers "$2" || return 0
  who=$(ss -Hltnp "sport = :$2" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ (\1, pid \2)/p' | head -n 1) || true
  die "$1 needs port $2 on $HOST, and another program$who answers there: stop it, or choose another port (see tests/stack/up --help)"
}

# ---- Certificates

CERTIFICATES=$RUN/certificates

# Makes, once, a CA of this stack's own and what it signs: server.pem for 127.0.0.1 and localhost, client.pem for the user `line` (each key
# and certificate), client.key.pem (the same key under a password), and truststore.p12, which has the CA for Java. They stay until the
# folder is removed, since what runs has read them.
CERTIFICATES_PASSWORD=for-tests-only
certificates() (
  exec 6>"$CERTIFICATES.lock"; flock 6
  if [ -e "$CERTIFICATES/ca.pem" ]; then exit; fi
  need openssl openssl; need keytool openjdk-17-jdk-headless
  part=$CERTIFICATES.part
  rm -rf "$part"; mkdir "$part"; chmod 700 "$part"; cd "$part" || exit
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=the stack's own CA" -keyout ca.key -out ca.pem 2>openssl.log || die "openssl: $(<openssl.log)"
  certificate server "subjectAltName=IP:$HOST,DNS:localhost"
  certificate client subjectAltName=DNS:line /CN=line
  openssl pkcs8 -topk8 -in client.pem -passout "pass:$CERTIFICATES_PASSWORD" -out client.key.pem
  keytool -importcert -noprompt -alias ca -file ca.pem -keystore truststore.p12 -storetype PKCS12 -storepass "$CERTIFICATES_PASSWORD" 2>keytool.log || die "keytool: $(<keytool.log)"
  rm -f ./*.log ./*.csr
  cd / && mv "$part" "$CERTIFICATES"
)

# certificate NAME EXTENSION [SUBJECT]: NAME.pem in this folder, signed by the CA in it.
certificate() {
  openssl req -newkey rsa:2048 -nodes -subj "${3:-/CN=$1}" -keyout "$1.pem" -out "$1.csr" 2>openssl.log &&
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile <(echo "$2") >>"$1.pem" 2>openssl.log ||
    die "openssl: $(<openssl.log)"
}

# The password of each user of `secured`, for tests: the environment of Druid's processes has it too.
SECURED_PASSWORD=secured-stack-password

# ---- Downloads

# Runs a command up to three times: a network has its moments.
retry() {
  local pause
  for pause in 2 8; do "$@" && return; say "  failed; once more in $pause s"; sleep "$pause"; done
  "$@"
}

# maven GOAL...: Maven with its repository in the cache. One at a time, for two Mavens may spoil a repository they share:
# the functions below hold the lock. Plugin 2.8 copies a file without asking for its POM, which is not published for every one.
MAVEN_DEPENDENCY=org.apache.maven.plugins:maven-dependency-plugin:2.8
maven() {
  timeout --foreground 900 mvn -B -q -ntp -U -Dmaven.repo.local="$CACHE/m2" "$@" >"$CACHE/maven.log" 2>&1 </dev/null && return
  tail -n 12 "$CACHE/maven.log" >&2
  return 1
}

# maven_jars DIR [--exclude G:A]... G:A:V...: the jars and their runtime dependencies in DIR, which is theirs alone and appears whole or not at all.
# A DIR made from the same list is left as it is. Further files: maven_file, afterwards.
maven_jars() (
  dir=$1; shift
  exec 7>"$CACHE/m2.lock"; flock 7
  if [ "$(cat "$dir/.made-of" 2>/dev/null)" = "$*" ]; then return; fi
  need mvn maven
  part=$CACHE/part; rm -rf "$part"; mkdir -p "$part/jars"
  maven_pom "$@" >"$part/pom.xml"
  say "  downloading $*"
  retry maven -f "$part/pom.xml" "$MAVEN_DEPENDENCY:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$part/jars" || die "Maven could not bring $*"
  echo "$*" >"$part/jars/.made-of"
  rm -rf "$dir"; mkdir -p "$(dirname "$dir")"; mv "$part/jars" "$dir"; rm -rf "$part"
)

maven_pom() {
  local g a v exclusions='' list=''
  while [ $# -gt 0 ]; do
    case $1 in
      --exclude) IFS=: read -r g a <<<"$2"; exclusions+="<exclusion><groupId>$g</groupId><artifactId>$a</artifactId></exclusion>"; shift 2 ;;
      *) IFS=: read -r g a v <<<"$1"; list+="<dependency><groupId>$g</groupId><artifactId>$a</artifactId><version>$v</version><exclusions>$exclusions</exclusions></dependency>"; shift ;;
    esac
  done
  echo "<project><modelVersion>4.0.0</modelVersion><groupId>stack</groupId><artifactId>stack</artifactId><version>1</version><packaging>pom</packaging>"
  echo "<dependencies>$list</dependencies></project>"
}

# maven_file DIR G:A:V:TYPE[:CLASSIFIER]: this one file, without dependencies, in DIR as A-V[-CLASSIFIER].TYPE.
maven_file() (
  IFS=: read -r _ a v type classifier <<<"$2"
  file=$a-$v${classifier:+-$classifier}.$type
  exec 7>"$CACHE/m2.lock"; flock 7
  if [ -e "$1/$file" ]; then return; fi
  need mvn maven
  part=$CACHE/part; rm -rf "$part"; mkdir -p "$part" "$1"; cd "$part" || exit
  say "  downloading $2"
  retry maven "$MAVEN_DEPENDENCY:copy" -Dartifact="$2" -DoutputDirectory="$part" || die "Maven could not bring $2"
  mv "$part/$file" "$1/"; rm -rf "$part"
)

//! What a Kafka error means to the user. Pure.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Context, Need, Resource};
use crate::config::HIDDEN;
use crate::error::{Error, Kind};

/// Turns an error of librdkafka into ours: `what` says what was tried and where.
///
/// Where librdkafka only knows that it waited in vain, `context` has the connection error behind it.
pub fn explain(what: &str, error: &KafkaError, context: &Context) -> Error {
    let behind = context.last_error();
    let code = code_of(error);
    let waited = code.map(kind_of) == Some(Kind::Unreachable);
    // A connection error of earlier does not explain an answer.
    let behind = behind.filter(|_| waited && !code.is_some_and(is_answer));
    let connection = behind.as_ref().map(|(error, reason)| Connection::of(error, reason));
    let kind = match (code.map(kind_of), connection) {
        (_, Some(connection)) => connection.kind(),
        (Some(kind), _) => kind,
        (None, _) => {
            if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) {
                Kind::Config
            } else {
                Kind::Failed
            }
        }
    };
    let cause = match (kind, behind) {
        (Kind::Unreachable | Kind::Refused, Some((_, reason))) => reason,
        _ => reason(error),
    };
    let explained = Error::new(kind, format!("{what}: {cause}"));
    let hint = connection.and_then(Connection::hint).map(str::to_owned);
    match hint.or_else(|| right(code, context)).or_else(|| hint_of(kind, code).map(str::to_owned)) {
        Some(hint) => explained.hint(hint),
        None => explained,
    }
}

/// The crate does not tell the code of what an administrative request was answered.
fn code_of(error: &KafkaError) -> Option<Code> {
    if let KafkaError::AdminOp(code) = error { Some(*code) } else { error.rdkafka_error_code() }
}

/// Whether it is a broker's word: those that librdkafka has for itself are below zero, also where a broker said so first.
fn is_answer(code: Code) -> bool {
    code as i32 > 0 || matches!(code, Code::UnknownTopic | Code::UnknownPartition)
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::MessageTimedOut
        | Code::Resolve
        | Code::NetworkException
        | Code::BrokerNotAvailable
        | Code::LeaderNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::SSL => Kind::Unreachable,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Kind::Refused,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => Kind::Fenced,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => Kind::DataLoss,
        Code::MessageSizeTooLarge => Kind::Data,
        Code::InvalidArgument | Code::InvalidConfig => Kind::Config,
        _ => Kind::Failed,
    }
}

/// Why there is no connection, as far as librdkafka's words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// The broker takes connections and ends them.
    Closed,
    /// The broker's certificate is of an unknown CA, for another name, or of another time: librdkafka does not say which.
    Untrusted,
    /// The broker wants a certificate from the client, or another one.
    Certificate,
    /// The broker speaks no TLS.
    NoTls,
    /// The broker does not know this way to log in.
    Mechanism,
    /// The broker refuses the login.
    Login,
    /// Anything else.
    Other(Kind),
}

impl Connection {
    fn of(error: &KafkaError, reason: &str) -> Self {
        let code = error.rdkafka_error_code();
        let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
        if says(&["certificate verify failed", "could not be verified"]) {
            Self::Untrusted
        } else if says(&["alert bad certificate", "alert certificate required", "alert unknown ca", "alert certificate expired"])
        {
            Self::Certificate
        } else if says(&["PLAINTEXT broker listener", "wrong version number"]) {
            Self::NoTls
        } else if says(&["Unsupported SASL mechanism", "mechanism handshake failed"]) {
            Self::Mechanism
        } else if code == Some(Code::AllBrokersDown) {
            // A refused or broken connection would be the cause that is remembered; this one was only closed.
            Self::Closed
        } else if matches!(code, Some(Code::Authentication | Code::SaslAuthenticationFailed)) {
            Self::Login
        } else {
            Self::Other(code.map_or(Kind::Unreachable, kind_of))
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Certificate | Self::Mechanism | Self::Login | Self::Other(Kind::Refused) => Kind::Refused,
            Self::Closed | Self::Untrusted | Self::NoTls | Self::Other(_) => Kind::Unreachable,
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Closed => Some(
                "it takes connections and closes them: does it want TLS or a login? set security.protocol (SSL, SASL_SSL) under \
                 [kafka.properties]. Or is it no Kafka? set [kafka] bootstrap_servers",
            ),
            Self::Untrusted => Some(
                "if a CA of your own signed it, name that CA's file: \"ssl.ca.location\" = \"ca.pem\" under [kafka.properties]. Else: is the \
                 certificate for the name in [kafka] bootstrap_servers, and has it not expired?",
            ),
            Self::Certificate => Some(
                "it wants a client's certificate that it trusts: set ssl.certificate.location and ssl.key.location under [kafka.properties]",
            ),
            Self::NoTls => Some(
                "no TLS is spoken there: set security.protocol to PLAINTEXT or SASL_PLAINTEXT under [kafka.properties], or [kafka] \
                 bootstrap_servers to the port that has it",
            ),
            Self::Mechanism => Some(
                "set sasl.mechanisms under [kafka.properties] to one that it supports; a port that supports none takes no logins: set \
                 security.protocol to PLAINTEXT or SSL",
            ),
            Self::Login => Some(
                "check sasl.username and sasl.password (PIPELINE_KAFKA_PROPERTIES_SASL_PASSWORD) under [kafka.properties], and whether this \
                 user is one of sasl.mechanisms; with OAUTHBEARER sasl.oauthbearer.*",
            ),
            Self::Other(_) => None,
        }
    }
}

/// The right that is lacking, and how it is given.
fn right(code: Option<Code>, context: &Context) -> Option<String> {
    let is_about = |need: &&Need| match (code, &need.resource) {
        (Some(Code::GroupAuthorizationFailed), Resource::Group(_))
        | (Some(Code::TransactionalIdAuthorizationFailed), Resource::TransactionalId(_))
        // The cluster is what a broker names where no topic is allowed.
        | (Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed), Resource::Topic(_)) => true,
        _ => false,
    };
    let needs: Vec<&Need> = context.needs().iter().filter(is_about).collect();
    let first = needs.first()?;
    let (kind, flag) = match first.resource {
        Resource::Topic(_) => ("topic", "--topic"),
        Resource::Group(_) => ("consumer group", "--group"),
        Resource::TransactionalId(_) => ("transactional id", "--transactional-id"),
    };
    let names: Vec<&str> = needs.iter().map(|need| need.resource.name()).collect();
    let who = context.user().map_or_else(|| "this user".to_owned(), |user| format!("user `{user}`"));
    let options: Vec<String> = names.iter().map(|name| format!("{flag} {name}")).collect();
    Some(format!(
        "{who} needs {} of {kind} {}: kafka-acls --add --allow-principal User:{} --operation {} {}",
        first.operation.to_uppercase(),
        names.join(", "),
        context.user().unwrap_or("NAME"),
        first.operation,
        options.join(" ")
    ))
}

fn hint_of(kind: Kind, code: Option<Code>) -> Option<&'static str> {
    match (kind, code) {
        (_, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)) => {
            Some("is the topic's name right? `pipeline produce` creates it")
        }
        (Kind::Unreachable, _) => {
            Some("is Kafka running there? set [kafka] bootstrap_servers, or PIPELINE_KAFKA_BOOTSTRAP_SERVERS")
        }
        (_, Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
            Some("this user needs rights on the topic")
        }
        (_, Some(Code::GroupAuthorizationFailed)) => Some("this user needs rights on the consumer group"),
        (_, Some(Code::TransactionalIdAuthorizationFailed)) => Some("this user needs rights on the transactional id"),
        (_, Some(Code::MessageSizeTooLarge)) => {
            Some("raise max.message.bytes of the topic, or set poison = \"skip\" and late = \"drop\"")
        }
        (Kind::Refused, _) => Some("check security.protocol, sasl.* and ssl.* under [kafka.properties]"),
        (Kind::Fenced, _) => Some("another instance has taken over; only one may run, so do not start this one again"),
        _ => None,
    }
}

/// librdkafka's words, without the crate's.
fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, key, value) => {
            // The value may be a secret: only its name is told.
            format!("property `{key}`: {}", description.replace(value.as_str(), HIDDEN))
        }
        KafkaError::ClientCreation(reason) => reason.clone(),
        KafkaError::Transaction(error) => error.string(),
        other => code_of(other).map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientContext;

    use super::*;

    /// A question that was waited for in vain, with what librdkafka said of the connection.
    fn waited(code: Code, reason: &str) -> Error {
        let context = Context::default();
        context.error(KafkaError::Global(code), reason);
        explain("asking", &KafkaError::MetadataFetch(Code::OperationTimedOut), &context)
    }

    #[test]
    fn each_way_to_miss_a_secured_broker_has_its_kind_and_remedy() {
        // The words of librdkafka 2.12 with Kafka 4.4.
        let cases = [
            (Code::AllBrokersDown, "1/1 brokers are down", Kind::Unreachable, "security.protocol (SSL, SASL_SSL)"),
            (
                Code::SSL,
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
                Kind::Unreachable,
                "ssl.ca.location",
            ),
            (
                Code::BrokerTransportFailure,
                "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42",
                Kind::Refused,
                "ssl.certificate.location",
            ),
            (
                Code::BrokerTransportFailure,
                "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?",
                Kind::Unreachable,
                "SASL_PLAINTEXT",
            ),
            (
                Code::Authentication,
                "SASL SCRAM-SHA-1 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN",
                Kind::Refused,
                "sasl.mechanisms",
            ),
            (Code::Authentication, "Authentication failed: Invalid username or password", Kind::Refused, "sasl.password"),
            (Code::BrokerTransportFailure, "Connection refused", Kind::Unreachable, "is Kafka running there?"),
        ];
        for (code, reason, kind, hint) in cases {
            let error = waited(code, reason);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(reason) && error.hint.as_ref().unwrap().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_stale_connection_error_does_not_explain_an_answer() {
        let context = Context::default();
        context.error(KafkaError::Global(Code::Authentication), "Connection refused");
        for code in [Code::UnknownTopicOrPartition, Code::UnknownTopic, Code::LeaderNotAvailable] {
            let error = explain("asking", &KafkaError::MetadataFetch(code), &context);
            assert!(error.kind == Kind::Unreachable && !error.message.contains("refused"), "{error}");
        }
    }

    #[test]
    fn a_right_that_is_lacking_is_named_with_its_remedy() {
        let context = Context::default()
            .needing("Read", Resource::Topic("T".into()))
            .needing("Read", Resource::Group("G".into()))
            .needing("Write", Resource::TransactionalId("I".into()));
        let hint = |code| explain("x", &KafkaError::MessageConsumption(code), &context).hint.unwrap();
        assert_eq!(
            hint(Code::TopicAuthorizationFailed),
            "this user needs READ of topic T: kafka-acls --add --allow-principal User:NAME --operation Read --topic T"
        );
        assert!(hint(Code::GroupAuthorizationFailed).contains("READ of consumer group G: "));
        assert!(hint(Code::TransactionalIdAuthorizationFailed).contains("--operation Write --transactional-id I"));
    }
}

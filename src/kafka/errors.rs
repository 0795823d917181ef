//! What a Kafka error means to the user. Pure.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Context;
use crate::config::HIDDEN;
use crate::error::{Error, Kind};

/// Turns an error of librdkafka into ours: `what` says what was tried and where.
///
/// Where librdkafka only knows that it waited in vain, `context` has the connection error behind it.
pub fn explain(what: &str, error: &KafkaError, context: &Context) -> Error {
    let behind = context.last_error();
    let code = code_of(error);
    let connection = behind.as_ref().and_then(|(error, _)| error.rdkafka_error_code());
    let kind = match (code.map(kind_of), connection.map(kind_of)) {
        (Some(Kind::Unreachable), Some(Kind::Refused)) => Kind::Refused,
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
        (Kind::Unreachable | Kind::Refused, Some((_, reason))) if code.map(kind_of) == Some(Kind::Unreachable) => reason,
        _ => reason(error),
    };
    let explained = Error::new(kind, format!("{what}: {cause}"));
    match hint(kind, code) {
        Some(hint) => explained.hint(hint),
        None => explained,
    }
}

/// The crate does not tell the code of what an administrative request was answered.
fn code_of(error: &KafkaError) -> Option<Code> {
    if let KafkaError::AdminOp(code) = error { Some(*code) } else { error.rdkafka_error_code() }
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
        | Code::UnknownPartition => Kind::Unreachable,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
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

fn hint(kind: Kind, code: Option<Code>) -> Option<&'static str> {
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

//! A dead letter, as it lies in its topic.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use super::NO_CAUSE;

/// What the headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The stable short name of what is wrong.
    pub cause: String,
    /// What exactly is wrong.
    pub detail: String,
    /// The topic that the record was read from.
    pub topic: Option<String>,
    /// The sink of the aggregate that could not use it.
    pub sink: Option<String>,
    /// The partition and offset there; a row that overflows has none.
    pub origin: Option<(i32, i64)>,
}

/// A letter with all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// What its headers say.
    pub envelope: Envelope,
    /// Its own place: partition and offset in the dead-letter topic.
    pub place: (i32, i64),
    /// When it was written, ms since 1970: Kafka's timestamp.
    pub time_ms: Option<i64>,
    /// The original key.
    pub key: Option<Vec<u8>>,
    /// The original value.
    pub value: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads headers, whoever wrote them: what does not fit is as if it were not there.
    pub fn read<'h>(headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>) -> Self {
        let (mut envelope, mut partition, mut offset) = (Self { cause: NO_CAUSE.into(), ..Self::default() }, None, None);
        for (name, value) in headers {
            let text = String::from_utf8_lossy(value.unwrap_or_default());
            match name {
                "cause" => envelope.cause = text.into_owned(),
                "detail" => envelope.detail = text.into_owned(),
                "topic" => envelope.topic = Some(text.into_owned()),
                "sink" => envelope.sink = Some(text.into_owned()),
                "partition" => partition = text.parse().ok(),
                "offset" => offset = text.parse().ok(),
                _ => {}
            }
        }
        envelope.origin = partition.zip(offset);
        envelope
    }

    /// The envelope of a record of the dead-letter topic.
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        Self::read(message.headers().into_iter().flat_map(Headers::iter).map(|header| (header.key, header.value)))
    }

    /// Whether it holds a record of this topic, which can be sent there again.
    pub fn is_record_of(&self, topic: &str) -> bool {
        self.origin.is_some() && self.topic.as_deref() == Some(topic)
    }

    /// Whether the aggregate with this sink wrote it, or nobody says who did. Several may write to one topic.
    pub fn is_of(&self, sink: &str) -> bool {
        self.sink.as_deref().is_none_or(|wrote| wrote == sink)
    }
}

impl Letter {
    /// The letter that a record of the dead-letter topic is.
    pub fn of(envelope: Envelope, message: &BorrowedMessage<'_>) -> Self {
        Self {
            envelope,
            place: (message.partition(), message.offset()),
            time_ms: Self::time_of(message),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }

    /// When a record of the dead-letter topic was written, ms since 1970.
    pub fn time_of(message: &BorrowedMessage<'_>) -> Option<i64> {
        message.timestamp().to_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_what_does_not_fit_is_left() {
        let headers = [("cause", "late"), ("topic", "T"), ("partition", "3"), ("offset", "17"), ("other", "x")];
        let envelope = Envelope::read(headers.map(|(name, value)| (name, Some(value.as_bytes()))));
        assert_eq!((envelope.cause.as_str(), envelope.origin), ("late", Some((3, 17))));
        assert!(envelope.is_record_of("T") && !envelope.is_record_of("U"));

        let envelope = Envelope::read([("partition", Some(&b"3"[..])), ("offset", Some(b"many")), ("topic", None)]);
        assert_eq!((envelope.cause.as_str(), envelope.origin), (NO_CAUSE, None));
        assert!(!envelope.is_record_of(""));
    }
}

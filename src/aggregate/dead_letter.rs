//! What becomes of a record that is in no row.

use rdkafka::message::{Header, OwnedHeaders};

/// A record, or a row, that is kept apart with the reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// A stable short name: `bad-magic`, `too-short`, `unknown-schema`, `truncated`, `late`, `overflow` and so on.
    pub cause: &'static str,
    /// What exactly is wrong.
    pub detail: String,
    /// The partition and offset that it was read from; a row that overflows has none.
    pub origin: Option<(i32, i64)>,
    /// The original key.
    pub key: Option<Vec<u8>>,
    /// The original value.
    pub value: Option<Vec<u8>>,
}

impl DeadLetter {
    /// The headers that it is written with: `cause`, `detail`, `topic`, `partition`, `offset`, and `sink`, whose aggregate wrote it.
    pub fn headers(&self, topic: &str, sink: &str) -> OwnedHeaders {
        let text = |key, value: &str| Header { key, value: Some(value.as_bytes().to_vec()) };
        let insert = |headers: OwnedHeaders, header: Header<'_, Vec<u8>>| {
            headers.insert(Header { key: header.key, value: header.value.as_ref() })
        };
        let mut headers = OwnedHeaders::new();
        for header in [text("cause", self.cause), text("detail", &self.detail), text("topic", topic), text("sink", sink)] {
            headers = insert(headers, header);
        }
        if let Some((partition, offset)) = self.origin {
            headers = insert(headers, text("partition", &partition.to_string()));
            headers = insert(headers, text("offset", &offset.to_string()));
        }
        headers
    }
}

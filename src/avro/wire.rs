//! Confluent's wire format: a zero byte, the writer schema's id, the datum.
//!
//! <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>

use thiserror::Error;

const MAGIC: u8 = 0;

/// Why bytes are not in the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than the five of the header.
    #[error("{0} bytes are too few for a schema id: the value is not in the schema registry's wire format")]
    TooShort(usize),
    /// The first byte is not 0.
    #[error("the first byte is {0:#04x}, not 0: the value is not in the schema registry's wire format")]
    BadMagic(u8),
}

impl WireError {
    /// The name that dead letters carry. Never changes.
    pub fn cause(self) -> &'static str {
        match self {
            Self::TooShort(_) => "too-short",
            Self::BadMagic(_) => "bad-magic",
        }
    }
}

/// Splits a record's key or value into the writer schema's id and the datum.
#[inline]
pub fn split(value: &[u8]) -> Result<(u32, &[u8]), WireError> {
    match *value {
        [MAGIC, a, b, c, d, ref datum @ ..] => Ok((u32::from_be_bytes([a, b, c, d]), datum)),
        [magic, ..] if magic != MAGIC => Err(WireError::BadMagic(magic)),
        _ => Err(WireError::TooShort(value.len())),
    }
}

/// Appends the header for a schema id; the datum goes after it.
pub fn frame(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_big_endian_and_the_rest_is_the_datum() {
        assert_eq!(split(&[0, 0, 0, 1, 4, 7, 8]), Ok((260, &[7, 8][..])));
        assert_eq!(split(&[0, 255, 255, 255, 255]), Ok((u32::MAX, &[][..])));
    }

    #[test]
    fn what_frame_writes_split_reads() {
        let mut out = vec![9];
        frame(0x0102_0304, &mut out);
        assert_eq!(out, [9, 0, 1, 2, 3, 4]);
        assert_eq!(split(&out[1..]), Ok((0x0102_0304, &[][..])));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        assert_eq!(split(&[]), Err(WireError::TooShort(0)));
        assert_eq!(split(&[0, 0, 0, 1]), Err(WireError::TooShort(4)));
        assert_eq!(split(b"{\"a\""), Err(WireError::BadMagic(b'{')));
        assert_eq!(split(b"{\"a\":1}").map_err(WireError::cause), Err("bad-magic"));
    }
}

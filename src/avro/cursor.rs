//! Avro's binary primitives read off a slice: <https://avro.apache.org/docs/1.11.1/specification/#binary-encoding>.

use thiserror::Error;

/// The bytes of the longest varint: 64 bits in groups of seven.
const VARINT_MAX: usize = 10;

/// What is wrong with a datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the data ends inside a value")]
    Truncated,
    /// Bytes are left when the record has been read.
    #[error("bytes are left after the record")]
    TrailingBytes,
    /// A wanted string is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// A wanted boolean is neither 0 nor 1.
    #[error("a boolean is neither 0 nor 1")]
    BadBoolean,
    /// The union has no such branch.
    #[error("a union has no such branch")]
    BadUnionBranch,
    /// The wanted enum has no such symbol.
    #[error("an enum has no such symbol")]
    BadEnum,
    /// A varint of more bits than its type: 32 in a wanted int, 64 in everything else.
    #[error("a number has more bits than its type")]
    VarintOverflow,
    /// A length is negative, or says more than there is.
    #[error("a length is negative or beyond the end of the data")]
    BadLength,
    /// Records, arrays and maps nested more than 512 deep.
    #[error("values are nested too deep")]
    TooDeep,
    /// A decimal of more than 128 bits.
    #[error("a decimal is too large")]
    OutOfRange,
}

impl DecodeError {
    /// The name that dead letters carry. Never changes.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing-bytes",
            Self::BadUtf8 => "bad-utf8",
            Self::BadBoolean => "bad-boolean",
            Self::BadUnionBranch => "bad-union-branch",
            Self::BadEnum => "bad-enum",
            Self::VarintOverflow => "varint-overflow",
            Self::BadLength => "bad-length",
            Self::TooDeep => "too-deep",
            Self::OutOfRange => "out-of-range",
        }
    }
}

/// What is left to read of a datum.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub fn new(datum: &'a [u8]) -> Self {
        Self(datum)
    }

    #[inline]
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (&taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DecodeError::BadBoolean),
        }
    }

    #[inline]
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        let bits = self.varint()?;
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    #[inline]
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        i32::try_from(self.long()?).map_err(|_| DecodeError::VarintOverflow)
    }

    /// The branch of a union that the index in front says.
    #[inline]
    pub fn branch<'b, T>(&mut self, branches: &'b [T]) -> Result<&'b T, DecodeError> {
        self.choice(branches)?.ok_or(DecodeError::BadUnionBranch)
    }

    /// The symbol of an enum that the index in front says.
    #[inline]
    pub fn symbol<'b, T>(&mut self, symbols: &'b [T]) -> Result<&'b T, DecodeError> {
        self.choice(symbols)?.ok_or(DecodeError::BadEnum)
    }

    #[inline]
    fn choice<'b, T>(&mut self, choices: &'b [T]) -> Result<Option<&'b T>, DecodeError> {
        let index = usize::try_from(self.long()?).ok();
        Ok(index.and_then(|index| choices.get(index)))
    }

    /// A length and as many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.long()?).map_err(|_| DecodeError::BadLength)?;
        self.take(len).map_err(|_| DecodeError::BadLength)
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.0 {
            &[byte, ref rest @ ..] if byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(byte))
            }
            _ => {
                let (bits, rest) = long_varint(self.0)?;
                self.0 = rest;
                Ok(bits)
            }
        }
    }
}

#[inline]
fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    let mut bits = 0;
    for (index, &byte) in bytes.iter().take(VARINT_MAX).enumerate() {
        bits |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let fits = index + 1 < VARINT_MAX || byte <= 1;
            return fits.then_some((bits, &bytes[index + 1..])).ok_or(DecodeError::VarintOverflow);
        }
    }
    Err(if bytes.len() < VARINT_MAX { DecodeError::Truncated } else { DecodeError::VarintOverflow })
}

/// A decimal's big-endian two's complement. No bytes are 0.
pub(super) fn unscaled(bytes: &[u8]) -> Result<i128, DecodeError> {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let sign = if negative { 0xff } else { 0 };
    let significant = bytes.iter().position(|byte| *byte != sign).unwrap_or(bytes.len());
    let digits = &bytes[significant..];
    let mut wide = [sign; 16];
    let start = wide.len().checked_sub(digits.len()).ok_or(DecodeError::OutOfRange)?;
    wide[start..].copy_from_slice(digits);
    let value = i128::from_be_bytes(wide);
    if (value < 0) == negative { Ok(value) } else { Err(DecodeError::OutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    fn long(bytes: &[u8]) -> Result<i64, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let value = cursor.long()?;
        cursor.end().map(|()| value)
    }

    #[test]
    fn longs_of_the_specification() {
        for (value, bytes) in [(0, "00"), (-1, "01"), (1, "02"), (-64, "7f"), (64, "8001"), (8_192, "808001")] {
            assert_eq!(long(&hex(bytes)), Ok(value));
        }
    }

    #[test]
    fn the_widest_longs_fit_and_one_bit_more_does_not() {
        let mut bytes = [0xff; 10];
        bytes[9] = 1;
        assert_eq!(long(&bytes), Ok(i64::MIN));
        bytes[0] = 0xfe;
        assert_eq!(long(&bytes), Ok(i64::MAX));
        bytes[9] = 2;
        assert_eq!(long(&bytes), Err(DecodeError::VarintOverflow));
        assert_eq!(long(&[0x80; 10]), Err(DecodeError::VarintOverflow));
        assert_eq!(long(&[0x80; 9]), Err(DecodeError::Truncated));
    }

    #[test]
    fn an_int_has_32_bits() {
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).int(), Ok(i32::MIN));
        assert_eq!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).int(), Err(DecodeError::VarintOverflow));
    }

    #[test]
    fn lengths_stay_inside_the_data() {
        assert_eq!(Cursor::new(&[4, b'a', b'b', b'c']).bytes(), Ok(&b"ab"[..]));
        assert_eq!(Cursor::new(&[1, b'a']).bytes(), Err(DecodeError::BadLength));
        assert_eq!(Cursor::new(&[4, b'a']).bytes(), Err(DecodeError::BadLength));
    }

    #[test]
    fn decimals_are_sign_extended_and_bounded() {
        assert_eq!(unscaled(&[]), Ok(0));
        assert_eq!(unscaled(&[0xff]), Ok(-1));
        assert_eq!(unscaled(&[0, 0xff]), Ok(255));
        assert_eq!(unscaled(&[[0xff; 20], [0x80; 20]].concat()[19..21]), Ok(-128));
        assert_eq!(unscaled(&i128::MIN.to_be_bytes()), Ok(i128::MIN));
        assert_eq!(unscaled(&[&[0; 9][..], &i128::MAX.to_be_bytes()].concat()), Ok(i128::MAX));
        assert_eq!(unscaled(&[&[0][..], &i128::MIN.to_be_bytes()].concat()), Err(DecodeError::OutOfRange));
        assert_eq!(unscaled(&[1; 17]), Err(DecodeError::OutOfRange));
    }
}

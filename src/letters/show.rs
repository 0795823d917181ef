//! A dead letter in full, decoded as far as it goes. Pure: schemas are asked for through an argument.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::Letter;
use super::list::one_line;
use crate::avro::partial::{Ending, partial};
use crate::avro::wire;
use crate::config::Instant;
use crate::error::Result;

/// So many bytes of a key or value are printed.
const BYTES_TOLD: usize = 512;
/// Bytes on a line.
const ROW: usize = 16;
/// So many characters of a detail.
const DETAIL_MAX: usize = 1_000;
/// The bytes in front of a datum.
const HEADER: usize = 5;

/// The newest letters of those that are taken in.
#[derive(Debug)]
pub struct Newest {
    most: usize,
    /// By time, and place.
    letters: BTreeMap<(i64, i32, i64), Letter>,
}

impl Newest {
    /// Keeps so many.
    pub fn new(most: usize) -> Self {
        Self { most, letters: BTreeMap::new() }
    }

    /// Takes a letter in, and lets the oldest go if there are too many.
    pub fn add(&mut self, letter: Letter) {
        let (partition, offset) = letter.place;
        self.letters.insert((letter.time_ms.unwrap_or(i64::MIN), partition, offset), letter);
        if self.letters.len() > self.most {
            self.letters.pop_first();
        }
    }

    /// The newest first.
    pub fn into_letters(self) -> impl Iterator<Item = Letter> {
        self.letters.into_values().rev()
    }
}

/// A letter of this dead-letter topic as text. `schema` asks the registry for an id.
pub fn show(letter: &Letter, topic: &str, schema: impl FnOnce(u32) -> Result<Option<String>>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(letter, topic, schema, &mut out);
    out
}

fn write(letter: &Letter, topic: &str, schema: impl FnOnce(u32) -> Result<Option<String>>, out: &mut String) -> fmt::Result {
    let (envelope, (partition, offset)) = (&letter.envelope, letter.place);
    let time = letter.time_ms.map_or_else(|| "no time".to_owned(), |time| Instant(time).to_string());
    writeln!(out, "{topic} [{partition}] offset {offset}, {time}")?;
    writeln!(out, "  cause   {}", one_line(&envelope.cause, DETAIL_MAX))?;
    writeln!(out, "  detail  {}", one_line(&envelope.detail, DETAIL_MAX))?;
    let from = one_line(envelope.topic.as_deref().unwrap_or("no topic"), DETAIL_MAX);
    match envelope.origin {
        Some((partition, offset)) => writeln!(out, "  origin  {from} [{partition}] offset {offset}")?,
        None => writeln!(out, "  origin  {from}, no record")?,
    }
    write_bytes("key", letter.key.as_deref(), out)?;
    write_bytes("value", letter.value.as_deref(), out)?;
    match &letter.value {
        Some(value) => write_decoded(value, schema, out),
        None => Ok(()),
    }
}

fn write_bytes(name: &str, bytes: Option<&[u8]>, out: &mut String) -> fmt::Result {
    let Some(bytes) = bytes else { return writeln!(out, "  {name}: none") };
    writeln!(out, "  {name}: {} bytes", bytes.len())?;
    for (row, line) in bytes[..bytes.len().min(BYTES_TOLD)].chunks(ROW).enumerate() {
        let hex = line.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x} "));
        let text: String = line.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }).collect();
        writeln!(out, "    {:04x}  {hex:48} {text}", row * ROW)?;
    }
    if bytes.len() > BYTES_TOLD { writeln!(out, "    ... {} more bytes", bytes.len() - BYTES_TOLD) } else { Ok(()) }
}

fn write_decoded(value: &[u8], schema: impl FnOnce(u32) -> Result<Option<String>>, out: &mut String) -> fmt::Result {
    writeln!(out, "  decoded:")?;
    let (id, datum) = match wire::split(value) {
        Ok(split) => split,
        Err(error) => return writeln!(out, "    byte 0: BROKEN: {error}"),
    };
    // Ids are Java ints: what is no such number was never given out, and registries answer it as they like.
    let found = if i32::try_from(id).is_ok() { schema(id) } else { Ok(None) };
    let schema = match found {
        Ok(Some(schema)) => schema,
        Ok(None) => return writeln!(out, "    byte 1: BROKEN: the registry does not know schema id {id}"),
        Err(error) => return writeln!(out, "    byte 1: schema id {id}: {}", one_line(&error.to_string(), DETAIL_MAX)),
    };
    let partial = match partial(&schema, datum) {
        Ok(partial) => partial,
        Err(error) => return writeln!(out, "    byte 1: schema id {id}: {}", one_line(&error.to_string(), DETAIL_MAX)),
    };
    writeln!(out, "    byte 1: schema id {id}, {}", partial.name)?;
    for seen in &partial.values {
        writeln!(
            out,
            "    byte {}: {} ({}) = {}",
            seen.offset + HEADER,
            one_line(&seen.path, DETAIL_MAX),
            seen.kind,
            seen.value
        )?;
    }
    if partial.left_out > 0 {
        writeln!(out, "    ... {} more values", partial.left_out)?;
    }
    match partial.ending {
        Ending::Whole => writeln!(out, "    byte {}: the end; all of it is in order", value.len()),
        Ending::Broken { offset, path, kind, error } if path.is_empty() => {
            writeln!(out, "    byte {}: BROKEN: {error}: {kind}", offset + HEADER)
        }
        Ending::Broken { offset, path, kind, error } => {
            writeln!(out, "    byte {}: {} ({kind}) BROKEN: {error}", offset + HEADER, one_line(&path, DETAIL_MAX))
        }
        Ending::Endless { offset } => writeln!(out, "    byte {}: BROKEN: more values than are looked at", offset + HEADER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::letters::Envelope;

    const SALES: &str = include_str!("../../config/sales.avsc");

    fn letter(value: &[u8]) -> Letter {
        let origin = Some((2, 1502));
        let envelope =
            Envelope { cause: "truncated".into(), detail: "a\nb".into(), topic: Some("SALES".into()), sink: None, origin };
        Letter { envelope, place: (0, 17), time_ms: Some(0), key: Some(b"ABC".to_vec()), value: Some(value.to_vec()) }
    }

    fn decoded(value: &[u8], schema: Result<Option<String>>) -> String {
        let text = show(&letter(value), "D", |_| schema);
        text.split_once("  decoded:\n").unwrap().1.trim().to_owned()
    }

    #[test]
    fn a_letter_in_full() {
        let value = [0, 0, 0, 1, 4, 6, b'A', b'B', b'C', 0xc8, 0x0f, 0x80];
        insta::assert_snapshot!(show(&letter(&value), "D", |_| Ok(Some(SALES.into()))), @r#"
        D [0] offset 17, 1970-01-01T00:00:00.000Z
          cause   truncated
          detail  a�b
          origin  SALES [2] offset 1502
          key: 3 bytes
            0000  41 42 43                                         ABC
          value: 12 bytes
            0000  00 00 00 01 04 06 41 42 43 c8 0f 80              ......ABC...
          decoded:
            byte 1: schema id 260, com.acosom.StoreSale
            byte 5: store_id (string) = "ABC"
            byte 9: sale_amount (int) = 996
            byte 11: sale_ts (long) BROKEN: the data ends inside a value
        "#);
    }

    #[test]
    fn what_has_no_schema_is_told_as_far_as_it_goes() {
        assert!(decoded(b"{}", Ok(None)).starts_with("byte 0: BROKEN: the first byte is 0x7b"));
        assert!(decoded(&[0, 0, 0], Ok(None)).starts_with("byte 0: BROKEN: 3 bytes are too few"));
        assert_eq!(decoded(&[0, 0, 0, 0, 9, 1], Ok(None)), "byte 1: BROKEN: the registry does not know schema id 9");
        let odd = show(&letter(&[0, 255, 255, 255, 255]), "D", |_| panic!("the registry is asked"));
        assert!(odd.contains("does not know schema id 4294967295"));
        let away = Err(Error::new(Kind::Unreachable, "the registry is away"));
        assert_eq!(decoded(&[0, 0, 0, 0, 9, 1], away), "byte 1: schema id 9: the registry is away");
    }

    #[test]
    fn no_letter_takes_more_than_some_screens() {
        let long = Letter { value: Some(vec![b'x'; 8 << 20]), key: Some(vec![0; 1 << 20]), ..letter(b"") };
        let text = show(&long, "D", |_| Ok(None));
        assert!(text.len() < 10_000 && text.contains("... 8388096 more bytes"), "{}", text.len());
    }

    #[test]
    fn the_newest_are_kept() {
        let mut newest = Newest::new(2);
        for (time, offset) in [(5, 0), (9, 1), (7, 2), (7, 3)] {
            newest.add(Letter { time_ms: Some(time), place: (0, offset), ..Letter::default() });
        }
        assert_eq!(newest.into_letters().map(|letter| letter.place.1).collect::<Vec<_>>(), [1, 3]);
    }
}

//! A writer schema compiled to a plan that decodes only the wanted fields.
//!
//! A plan is a flat list of steps in the order of the datum: read a value into a slot, or go past one. Records on the way
//! to a wanted field are unfolded into that list.
//!
//! A reader's schema may say what becomes of fields that the writer did not have, or called otherwise, as Avro resolves schemas:
//! <https://avro.apache.org/docs/1.11.1/specification/#schema-resolution>.

use apache_avro::Schema;
use apache_avro::schema::{RecordField, RecordSchema, UnionSchema};

use super::cursor::{Cursor, DecodeError, unscaled};
use super::default::{Constant, default_of, record_in, split_path};
use super::scalar::{Field, FieldKind, Scalar};
use super::schema::{self, Leaf, PlanError, Types, describe, field_index, leaf};
use super::skip::{Skip, SkipCompiler, Skips};

/// How to decode the wanted fields of one writer schema.
#[derive(Debug)]
pub struct Plan {
    ops: Box<[Op]>,
    skips: Skips,
    fields: Box<[Field]>,
}

#[derive(Debug)]
enum Op {
    Skip(Skip),
    Read {
        slot: usize,
        leaf: Leaf,
    },
    ReadUnion {
        slot: usize,
        branches: Box<[Leaf]>,
    },
    /// The writer had no such field: the reader's default.
    Default {
        slot: usize,
        value: Box<Constant>,
    },
    /// The field of `from` was asked for once more.
    Copy {
        from: usize,
        to: usize,
    },
    /// A union of null and a record; `steps` more are the record's.
    Enter {
        branches: Box<[Branch]>,
        steps: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Branch {
    Null,
    Record,
}

impl Plan {
    /// Compiles the plan that reads these fields of records written with this schema (JSON).
    ///
    /// A field is a name, or a dotted path into nested records (`customer.country`), which may be nullable. A name is the
    /// field's own or, if no field has it, one of its aliases in this schema. The same field may be asked for again.
    pub fn compile<F: AsRef<str>>(writer_schema: &str, fields: &[F]) -> Result<Self, PlanError> {
        let schema = schema::parse(writer_schema)?;
        let types = Types::of(&schema);
        let paths: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        Compiler::new(&types, None, &paths).compile(types.root_record()?)
    }

    /// Like [`Plan::compile`], for a reader with a schema of its own (JSON), to which the fields belong.
    ///
    /// A field that the writer has under another name is found by the reader's aliases; one that the writer has not is the reader's
    /// default, and missing if there is none.
    pub fn resolve<F: AsRef<str>>(writer_schema: &str, reader_schema: &str, fields: &[F]) -> Result<Self, PlanError> {
        let (writer, reader) = (schema::parse(writer_schema)?, schema::parse(reader_schema)?);
        let (types, declared) = (Types::of(&writer), Types::of(&reader));
        let paths: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        Compiler::new(&types, Some(&declared), &paths).compile(types.root_record()?)
    }

    /// The fields, in the order asked for.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What the field at this place in the order asked for holds when it isn't null.
    pub fn kind(&self, field: usize) -> FieldKind {
        self.fields[field].kind
    }

    /// Whether the field at this place in the order asked for may be null.
    pub fn nullable(&self, field: usize) -> bool {
        self.fields[field].nullable
    }

    /// Decodes the wanted fields of a datum (without the wire header) into the slots, one for each field in the order
    /// asked for. After an error the slots are of no use.
    ///
    /// Time and memory are bounded by the datum's length, whatever is in it.
    ///
    /// # Panics
    /// If there are fewer slots than fields.
    pub fn decode<'a>(&'a self, datum: &'a [u8], slots: &mut [Scalar<'a>]) -> Result<(), DecodeError> {
        let slots = &mut slots[..self.fields.len()];
        let mut input = Cursor::new(datum);
        let mut ops = self.ops.iter();
        while let Some(op) = ops.next() {
            match op {
                Op::Read { slot, leaf } => leaf.read(&mut input, &mut slots[*slot])?,
                Op::Skip(skip) => self.skips.run(skip, &mut input)?,
                Op::ReadUnion { slot, branches } => {
                    let leaf = input.branch(branches)?;
                    leaf.read(&mut input, &mut slots[*slot])?;
                }
                Op::Default { slot, value } => slots[*slot] = value.scalar(),
                Op::Copy { from, to } => slots[*to] = slots[*from],
                Op::Enter { branches, steps } => {
                    if *input.branch(branches)? == Branch::Null {
                        let (left_out, rest) = ops.as_slice().split_at(*steps);
                        left_out.iter().filter_map(Op::slot).for_each(|slot| slots[slot] = Scalar::Null);
                        ops = rest.iter();
                    }
                }
            }
        }
        input.end()
    }
}

impl Op {
    fn slot(&self) -> Option<usize> {
        match self {
            Self::Read { slot, .. } | Self::ReadUnion { slot, .. } | Self::Default { slot, .. } | Self::Copy { to: slot, .. } => {
                Some(*slot)
            }
            Self::Skip(_) | Self::Enter { .. } => None,
        }
    }
}

impl Leaf {
    /// Every arm writes the slot itself: a scalar handed back would be copied, and the copy waits for its parts.
    #[expect(clippy::inline_always, reason = "a quarter of the time of a record")]
    #[inline(always)]
    pub(super) fn read<'a>(&'a self, input: &mut Cursor<'a>, slot: &mut Scalar<'a>) -> Result<(), DecodeError> {
        match self {
            Self::Null => *slot = Scalar::Null,
            Self::Bool => *slot = Scalar::Bool(input.boolean()?),
            Self::Int => *slot = Scalar::Int(input.int()?),
            Self::Long => *slot = Scalar::Long(input.long()?),
            Self::Float => *slot = Scalar::Float(f32::from_le_bytes(input.array()?)),
            Self::Double => *slot = Scalar::Double(f64::from_le_bytes(input.array()?)),
            Self::Str => *slot = Scalar::Str(str::from_utf8(input.bytes()?).map_err(|_| DecodeError::BadUtf8)?),
            Self::Bytes => *slot = Scalar::Bytes(input.bytes()?),
            Self::Fixed(size) => *slot = Scalar::Bytes(input.take(*size)?),
            Self::Enum(symbols) => *slot = Scalar::Str(input.symbol(symbols)?),
            Self::Decimal { scale, size, .. } => {
                let bytes = if let Some(size) = size { input.take(*size)? } else { input.bytes()? };
                *slot = Scalar::Decimal { unscaled: unscaled(bytes)?, scale: *scale };
            }
        }
        Ok(())
    }
}

/// A wanted field on the way down to it: its slot, the path that is still to go, and the reader's type of where that begins.
#[derive(Clone, Copy)]
struct Wanted<'s, 'p> {
    slot: usize,
    path: Option<&'p str>,
    declared: Option<&'s Schema>,
}

struct Compiler<'t, 's, 'p> {
    types: &'t Types<'s>,
    /// The reader's.
    declared: Option<&'t Types<'s>>,
    paths: &'p [&'p str],
    skips: SkipCompiler<'t, 's>,
    ops: Vec<Op>,
    /// Steps before this one belong to a record that may be left out: none after it may be run together with them.
    sealed: usize,
    fields: Vec<Field>,
}

impl<'t, 's, 'p> Compiler<'t, 's, 'p> {
    fn new(types: &'t Types<'s>, declared: Option<&'t Types<'s>>, paths: &'p [&'p str]) -> Self {
        let blank = |path: &&str| Field { name: (*path).to_owned(), kind: FieldKind::Null, nullable: false };
        let fields = paths.iter().map(blank).collect();
        Self { types, declared, paths, skips: SkipCompiler::new(types), ops: Vec::new(), sealed: 0, fields }
    }

    fn compile(mut self, root: &'s RecordSchema) -> Result<Plan, PlanError> {
        let declared = self.declared.map(Types::root);
        let wanted: Vec<_> =
            self.paths.iter().enumerate().map(|(slot, path)| Wanted { slot, path: Some(path), declared }).collect();
        self.record(root, &wanted)?;
        Ok(Plan { ops: self.ops.into(), skips: self.skips.finish(), fields: self.fields.into() })
    }

    fn record(&mut self, record: &'s RecordSchema, wanted: &[Wanted<'s, 'p>]) -> Result<(), PlanError> {
        let mut by_field = vec![Vec::new(); record.fields.len()];
        for want in wanted {
            let (head, tail) = split_path(want.path.unwrap_or_default());
            let declared = self.declared_field(want.declared, head)?;
            match written(&record.fields, head, declared) {
                Some(index) => {
                    by_field[index].push(Wanted { slot: want.slot, path: tail, declared: declared.map(|field| &field.schema) });
                }
                None => self.default(want.slot, tail, declared)?.ok_or_else(|| self.missing(want.slot, record))?,
            }
        }
        for (field, wanted) in record.fields.iter().zip(by_field) {
            self.field(self.types.resolve(&field.schema)?, &wanted)?;
        }
        Ok(())
    }

    fn declared_field(&self, schema: Option<&'s Schema>, name: &str) -> Result<Option<&'s RecordField>, PlanError> {
        let (Some(types), Some(schema)) = (self.declared, schema) else { return Ok(None) };
        let Some(record) = record_in(types, schema)? else { return Ok(None) };
        Ok(field_index(&record.fields, name).map(|index| &record.fields[index]))
    }

    /// None if there is no default.
    fn default(&mut self, slot: usize, path: Option<&str>, declared: Option<&'s RecordField>) -> Result<Option<()>, PlanError> {
        let (Some(types), Some(field)) = (self.declared, declared) else { return Ok(None) };
        let Some((value, schema)) = default_of(types, field, path)? else { return Ok(None) };
        let Some((_, kind, nullable)) = read(types, types.resolve(schema)?, slot)? else { return Ok(None) };
        self.fields[slot].kind = kind;
        self.fields[slot].nullable |= nullable || value == Constant::Null;
        self.ops.push(Op::Default { slot, value: value.into() });
        Ok(Some(()))
    }

    fn field(&mut self, schema: &'s Schema, wanted: &[Wanted<'s, 'p>]) -> Result<(), PlanError> {
        let (nested, values): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(|want| want.path.is_some());
        match (values.first(), nested.first()) {
            (None, None) => self.skip(schema),
            (None, Some(_)) => self.enter(schema, &nested),
            (Some(_), None) => self.value(schema, &values),
            (Some(_), Some(odd)) => self.value(schema, &values).and(Err(self.unsupported(*odd, schema))),
        }
    }

    fn skip(&mut self, schema: &'s Schema) -> Result<(), PlanError> {
        let before = self.ops[self.sealed..].last_mut();
        match (before, self.skips.skip(schema)?) {
            (_, Skip::Fixed(0)) => {}
            (Some(Op::Skip(Skip::Fixed(before))), Skip::Fixed(size)) => *before = before.saturating_add(size),
            (_, skip) => self.ops.push(Op::Skip(skip)),
        }
        Ok(())
    }

    fn value(&mut self, schema: &'s Schema, wanted: &[Wanted<'s, 'p>]) -> Result<(), PlanError> {
        let from = wanted[0].slot;
        let (op, kind, nullable) = read(self.types, schema, from)?.ok_or_else(|| self.unsupported(wanted[0], schema))?;
        self.ops.push(op);
        self.ops.extend(wanted[1..].iter().map(|again| Op::Copy { from, to: again.slot }));
        for want in wanted {
            self.fields[want.slot].kind = kind;
            self.fields[want.slot].nullable |= nullable;
        }
        Ok(())
    }

    fn enter(&mut self, schema: &'s Schema, wanted: &[Wanted<'s, 'p>]) -> Result<(), PlanError> {
        match schema {
            Schema::Record(record) => self.record(record, wanted),
            Schema::Union(union) => {
                let (branches, record) =
                    optional_record(&branches(self.types, union)?).ok_or_else(|| self.unsupported(wanted[0], schema))?;
                self.enter_optional(branches, record, wanted)
            }
            _ => Err(self.unsupported(wanted[0], schema)),
        }
    }

    fn enter_optional(
        &mut self,
        branches: Box<[Branch]>,
        record: &'s RecordSchema,
        wanted: &[Wanted<'s, 'p>],
    ) -> Result<(), PlanError> {
        let nullable = branches.contains(&Branch::Null);
        for want in wanted {
            self.fields[want.slot].nullable |= nullable;
        }
        let enter = self.ops.len();
        self.ops.push(Op::Enter { branches, steps: 0 });
        self.record(record, wanted)?;
        self.sealed = self.ops.len();
        if let Op::Enter { steps, .. } = &mut self.ops[enter] {
            *steps = self.sealed - enter - 1;
        }
        Ok(())
    }

    fn missing(&self, slot: usize, record: &RecordSchema) -> PlanError {
        let fields = record.fields.iter().map(|field| field.name.clone()).collect();
        PlanError::Missing { field: self.paths[slot].to_owned(), record: record.name.fullname(None), fields }
    }

    fn unsupported(&self, want: Wanted<'_, '_>, schema: &Schema) -> PlanError {
        let rest = want.path.map_or(0, |path| path.len() + 1);
        let path = self.paths[want.slot];
        let field = path[..path.len() - rest].to_owned();
        PlanError::Unsupported { field, found: describe(schema), nested: want.path.is_some() }
    }
}

/// Where the writer has the field that the reader knows by this name, and declares so.
fn written(fields: &[RecordField], name: &str, declared: Option<&RecordField>) -> Option<usize> {
    let own = declared.map_or(name, |field| &field.name);
    let aliases = declared.map_or(&[][..], |field| &field.aliases);
    let names = || std::iter::once(own).chain(aliases.iter().map(String::as_str));
    let exact = names().find_map(|name| fields.iter().position(|field| field.name == name));
    exact.or_else(|| names().find_map(|name| field_index(fields, name)))
}

/// The step that reads a value of this type, what it holds, and whether it may be null; none if it isn't one value.
fn read<'s>(types: &Types<'s>, schema: &'s Schema, slot: usize) -> Result<Option<(Op, FieldKind, bool)>, PlanError> {
    let Schema::Union(union) = schema else {
        return Ok(leaf(schema).map(|(leaf, kind)| (Op::Read { slot, leaf }, kind, kind == FieldKind::Null)));
    };
    let leaves: Option<Vec<_>> = branches(types, union)?.into_iter().map(leaf).collect();
    let Some(leaves) = leaves else { return Ok(None) };
    let (branches, kinds): (Vec<_>, Vec<_>) = leaves.into_iter().unzip();
    let kind = match kinds.iter().filter(|kind| **kind != FieldKind::Null).collect::<Vec<_>>()[..] {
        [] => FieldKind::Null,
        [kind] => *kind,
        _ => FieldKind::Union,
    };
    Ok(Some((Op::ReadUnion { slot, branches: branches.into() }, kind, kinds.contains(&FieldKind::Null))))
}

fn branches<'s>(types: &Types<'s>, union: &'s UnionSchema) -> Result<Vec<&'s Schema>, PlanError> {
    union.variants().iter().map(|branch| types.resolve(branch)).collect()
}

/// The record of a union of null and that record.
fn optional_record<'s>(branches: &[&'s Schema]) -> Option<(Box<[Branch]>, &'s RecordSchema)> {
    let mut found = None;
    let branch = |schema: &&'s Schema| match (schema, found) {
        (Schema::Null, _) => Some(Branch::Null),
        (Schema::Record(record), None) => {
            found = Some(record);
            Some(Branch::Record)
        }
        _ => None,
    };
    let branches = branches.iter().map(branch).collect::<Option<_>>()?;
    Some((branches, found?))
}

#[cfg(test)]
mod evolution;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;

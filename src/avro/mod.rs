//! Avro events as bytes, without a client: framing, decoding by a plan, encoding. Pure.
//!
//! A value on a topic goes through three hands, and back through two:
//!
//! * [`wire`]: the schema registry's header in front of every datum.
//! * [`plan`]: a writer schema and the wanted fields become a [`Plan`], once a schema; the plan reads each datum, borrows
//!   from it, and allocates nothing. What nobody wants is passed over.
//! * [`partial`]: what nobody could read, taken apart value by value to where it breaks.
//! * [`project`]: the reader's schema of the wanted fields alone, for Flink's decoder.
//! * [`encode`]: an [`Encoder`] writes records, nested ones too; single primitives for everything else.
//!
//! Both speak in [`Scalar`]s, and say what a field is as a [`FieldKind`]. apache-avro parses the schemas (a cold path) and
//! is the judge of the tests.

mod cursor;
mod default;
pub mod encode;
#[cfg(test)]
mod fuzz;
pub mod outline;
pub mod partial;
pub mod plan;
mod project;
mod scalar;
mod schema;
mod skip;
#[cfg(test)]
mod testing;
pub mod wire;

pub use cursor::DecodeError;
pub use encode::{EncodeError, Encoder, Optional};
pub use outline::{Outlined, outline};
pub use plan::Plan;
pub use project::{Content, Projected, Projection, project};
pub use scalar::{Field, FieldKind, Scalar};
pub use schema::PlanError;
pub use wire::WireError;

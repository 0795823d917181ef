//! Druid: which Kafka supervisors and rules of retention should be there, and the client that brings it about.
//!
//! Pure: [`columns`] (schema -> columns), [`handed`] (what Druid's clients are told of a secured cluster), [`spec`] (pipeline file and
//! columns -> supervisor), [`diff`] and [`retention`] (desired and
//! found -> what to do), [`readable`] (which records become rows), [`sample`], [`cause`] and [`failure`] (what Druid says -> what it means).
//! Acting: [`client`], one method a request; [`post`], which makes sure that a supervisor arrived; [`wait`], which looks on until the
//! rows are there or says why they are not; [`restore`], from a backup; and [`remove`].

pub mod cause;
pub mod client;
pub mod columns;
pub mod diff;
pub mod failure;
pub mod found;
pub mod handed;
pub mod post;
pub mod readable;
pub mod remove;
pub mod restore;
pub mod retention;
pub mod sample;
pub mod spec;
pub mod status;
pub mod wait;

pub use client::Druid;
pub use found::Found;
pub use post::{post, replace};
pub use remove::{Removals, Remove};
pub use restore::Restoration;

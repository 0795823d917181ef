//! Druid: which Kafka supervisors should be there, and the client that brings it about.
//!
//! Pure: [`columns`] (schema -> columns), [`spec`] (pipeline file and columns -> supervisor), [`diff`] (desired and found -> what
//! to do), [`readable`] (which records become rows), [`sample`] and [`cause`] (what Druid says -> what it means). Acting: [`client`], one method a request, and [`wait`], which looks on
//! until the rows are there or says why they are not.

pub mod cause;
pub mod client;
pub mod columns;
pub mod diff;
pub mod readable;
pub mod sample;
pub mod spec;
pub mod status;
pub mod wait;

pub use client::Druid;

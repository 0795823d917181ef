//! Flink, for those who outgrow one machine: an aggregate of the pipeline file compiled to Flink SQL, submitted to a SQL Gateway,
//! watched, and stopped with a savepoint.
//!
//! ```text
//! sql (pure) -> gateway: POST the statements, a job's id comes back
//!               cluster: jobs, checkpoints, exceptions, savepoints, of the JobManager
//!               job: one job from its submission to its end
//! ```
//!
//! Where the job begins, and how to come back, is [`crate::aggregate::Handover`]'s.
//!
//! # What is other than here
//!
//! * Late records are dropped and counted, not kept as dead letters; records whose time is too far ahead are dropped. A record that
//!   cannot be read ends the job.
//! * A sum that does not fit an int or a long wraps, one that does not fit a decimal is null.
//! * No window closes by the clock: of a stream that has stopped, the last ones stay open. A partition is idle when nothing was read
//!   of it for `idle_timeout`, whatever waits there.
//! * Rows are seen once a checkpoint has ended, so every `checkpoint_interval`.

mod cause;
mod cluster;
mod gateway;
mod job;
mod secrets;
mod sql;

pub use cluster::{Cluster, Listed, Progress};
pub use gateway::Gateway;
pub use job::{Job, Look, State};
pub use secrets::Secrets;
pub use sql::{Origin, Script, job_name, script, secrets};

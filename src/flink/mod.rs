//! Flink, for those who outgrow one machine: an aggregate of the pipeline file compiled to Flink SQL (pure), submitted to a SQL
//! Gateway, watched, and stopped with a savepoint.

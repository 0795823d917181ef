//! How far every hop of a pipeline file is.

//! The id that a broker gives a topic when it is created (KIP-516): only librdkafka's C interface tells it.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka_sys as sys;

/// Asks for a topic's id, in base64. `None`: the broker did not answer in time.
///
/// # Safety
/// `client` must be a live librdkafka handle.
pub(super) unsafe fn topic_id(client: *mut sys::rd_kafka_t, topic: &str, timeout: Duration) -> Option<String> {
    let name = CString::new(topic).ok()?;
    let mut names = [name.as_ptr()];
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every handle made here is destroyed here, once, after its last use; the result borrows from the event, and the id
    // is copied before the event is destroyed.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = sys::rd_kafka_queue_new(client);
        let options = sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms);
        let id = if event.is_null() { None } else { first_id(event) };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_TopicCollection_destroy(topics);
        id
    }
}

/// # Safety
/// `event` must be a live event.
unsafe fn first_id(event: *mut sys::rd_kafka_event_t) -> Option<String> {
    // SAFETY: each pointer is checked before it is used, and all borrow from the live event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return None;
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(*topics);
        let text = if id.is_null() { std::ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) };
        if text.is_null() { None } else { CStr::from_ptr(text).to_str().ok().map(String::from) }
    }
}

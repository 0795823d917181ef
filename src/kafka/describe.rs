//! Questions to a broker that only librdkafka's C interface can ask: a topic's id (KIP-516), what a user may do with it
//! (KIP-430), and a group's members.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::Right;

type Result<T> = std::result::Result<T, KafkaError>;

/// Asks for a topic's id, in base64: the broker of this id, or the controller.
///
/// # Safety
/// `client` must be a live librdkafka handle.
pub(super) unsafe fn topic_id(
    client: *mut sys::rd_kafka_t,
    topic: &str,
    broker: Option<i32>,
    timeout: Duration,
) -> Result<String> {
    // SAFETY: as the caller promises; the id borrows from the description, and is copied before that goes.
    unsafe {
        described(client, topic, broker, timeout, false, |topic| {
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            text(if id.is_null() { std::ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) })
        })
    }
}

/// Asks what this user may do with a topic: whether read and write it; `None` if the broker does not tell.
///
/// # Safety
/// `client` must be a live librdkafka handle.
pub(super) unsafe fn rights(
    client: *mut sys::rd_kafka_t,
    topic: &str,
    broker: Option<i32>,
    timeout: Duration,
) -> Result<Option<BTreeSet<Right>>> {
    // SAFETY: as the caller promises; the list of operations borrows from the description, and is read before that goes.
    unsafe {
        described(client, topic, broker, timeout, true, |topic| {
            let mut count = 0;
            let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
            if operations.is_null() || count == 0 {
                return Ok(None);
            }
            let operations = std::slice::from_raw_parts(operations, count);
            let may = |wanted: sys::rd_kafka_AclOperation_t| {
                operations.contains(&wanted) || operations.contains(&sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALL)
            };
            let read = may(sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ).then_some(Right::Read);
            let write = may(sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE).then_some(Right::Write);
            Ok(Some(read.into_iter().chain(write).collect()))
        })
    }
}

/// Asks for a topic's description, also for what this user may do with it if that is wanted, and has it read.
///
/// # Safety
/// `client` must be a live librdkafka handle. What `read` is given is a live description, which ends with the call.
unsafe fn described<T>(
    client: *mut sys::rd_kafka_t,
    topic: &str,
    broker: Option<i32>,
    timeout: Duration,
    with_rights: bool,
    read: impl FnOnce(*const sys::rd_kafka_TopicDescription_t) -> Result<T>,
) -> Result<T> {
    let name = CString::new(topic)?;
    let mut names = [name.as_ptr()];
    // SAFETY: the client lives; the collection is destroyed here, once, after its last use. Each pointer is checked before it is
    // used and borrows from the answer, which goes after `read` has returned.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let answer = ask(client, operation, broker, timeout, |options, queue| {
            if with_rights {
                // What cannot be asked for is not told.
                let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.cast_mut(), 1);
                if !refused.is_null() {
                    sys::rd_kafka_error_destroy(refused);
                }
            }
            sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        });
        sys::rd_kafka_TopicCollection_destroy(topics);
        let answer = answer?;
        let result =
            NonNull::new(sys::rd_kafka_event_DescribeTopics_result(answer.0.as_ptr()).cast_mut()).ok_or(NOT_UNDERSTOOD)?;
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(NOT_UNDERSTOOD);
        }
        check(sys::rd_kafka_TopicDescription_error(*topics))?;
        read(*topics)
    }
}

/// Asks a group's coordinator for its members: client id and host of each.
///
/// # Safety
/// `client` must be a live librdkafka handle.
pub(super) unsafe fn members(client: *mut sys::rd_kafka_t, group: &str, timeout: Duration) -> Result<Vec<(String, String)>> {
    let name = CString::new(group)?;
    let mut names = [name.as_ptr()];
    // SAFETY: the client lives. Each pointer is checked before it is used and borrows from the answer, and what it points to is
    // copied before the answer goes.
    unsafe {
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let answer = ask(client, operation, None, timeout, |options, queue| {
            sys::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), names.len(), options, queue);
        })?;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.0.as_ptr());
        let mut count = 0;
        let groups = if result.is_null() {
            std::ptr::null_mut()
        } else {
            sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count)
        };
        if groups.is_null() || count == 0 {
            return Err(NOT_UNDERSTOOD);
        }
        check(sys::rd_kafka_ConsumerGroupDescription_error(*groups))?;
        (0..sys::rd_kafka_ConsumerGroupDescription_member_count(*groups))
            .map(|index| sys::rd_kafka_ConsumerGroupDescription_member(*groups, index))
            .filter(|member| !member.is_null())
            .map(|member| {
                Ok((
                    text(sys::rd_kafka_MemberDescription_client_id(member))?,
                    text(sys::rd_kafka_MemberDescription_host(member))?,
                ))
            })
            .collect()
    }
}

/// The answer does not have what was asked for.
const NOT_UNDERSTOOD: KafkaError = KafkaError::AdminOp(RDKafkaErrorCode::BadMessage);

/// An answer.
struct Answer(NonNull<sys::rd_kafka_event_t>);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours alone.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// Sends a question and waits for the answer.
///
/// # Safety
/// `client` must be a live librdkafka handle, and `send` must put its question to that client, with the options and the queue that
/// it is given.
unsafe fn ask(
    client: *mut sys::rd_kafka_t,
    operation: sys::rd_kafka_admin_op_t,
    broker: Option<i32>,
    timeout: Duration,
    send: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
) -> Result<Answer> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut why: [c_char; 256] = [0; 256];
    // SAFETY: options and queue are destroyed here, once, after their last use; librdkafka keeps what it still needs of them.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, operation);
        if let Some(broker) = broker {
            // Refused only for operations that have one broker to ask.
            sys::rd_kafka_AdminOptions_set_broker(options, broker, why.as_mut_ptr(), why.len());
        }
        let queue = sys::rd_kafka_queue_new(client);
        send(options, queue);
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        let answer = NonNull::new(event).map(Answer).ok_or(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))?;
        match sys::rd_kafka_event_error(answer.0.as_ptr()).into() {
            RDKafkaErrorCode::NoError => Ok(answer),
            code => Err(KafkaError::AdminOp(code)),
        }
    }
}

/// # Safety
/// `error` must be null or a live error.
unsafe fn check(error: *const sys::rd_kafka_error_t) -> Result<()> {
    // SAFETY: as the caller promises; null counts as no error.
    match unsafe { sys::rd_kafka_error_code(error) }.into() {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::AdminOp(code)),
    }
}

/// # Safety
/// `text` must be null or a live string that ends with a zero.
unsafe fn text(text: *const c_char) -> Result<String> {
    if text.is_null() {
        return Err(NOT_UNDERSTOOD);
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

//! Posting supervisors, so that a lost answer neither loses nor repeats one.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::Druid;
use super::diff;
use super::spec;
use crate::error::{Kind, Result};
use crate::plan::Action;

/// How often one is posted at most: the first time, and once more if that did not arrive.
const ATTEMPTS: u32 = 2;
/// The pause before Druid is asked whether it arrived.
const PAUSE: Duration = Duration::from_millis(500);

/// Posts a supervisor, new or over another. If no answer comes, Druid is asked what it has: it is posted again only if it did not
/// arrive.
pub async fn post(druid: &Druid, supervisor: &Value) -> Result<()> {
    let id = spec::id(supervisor);
    let mut made = 1;
    loop {
        let error = match druid.post_supervisor(supervisor).await {
            Err(error) if error.kind == Kind::Unreachable => error,
            answered => return answered,
        };
        sleep(PAUSE).await;
        let Ok(found) = druid.supervisor(id).await else { return Err(error) };
        if found.is_some_and(|found| stands(supervisor, &found)) {
            return Ok(());
        }
        if made == ATTEMPTS {
            return Err(error);
        }
        made += 1;
    }
}

/// Whether Druid has this spec, mark and all.
fn stands(supervisor: &Value, found: &Value) -> bool {
    diff::owner(supervisor) == diff::owner(found) && diff::action(supervisor, Some(found), false) == Action::Unchanged
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::config;

    /// A Druid that gives these answers, one a connection, and cuts the connection where there is none; and what it was asked.
    fn answering(answers: Vec<Option<String>>) -> (Druid, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 8192];
                let length = stream.read(&mut bytes).unwrap();
                let method = String::from_utf8_lossy(&bytes[..length]).split(' ').next().unwrap_or_default().to_owned();
                heard.lock().unwrap().push(method);
                if let Some(body) = answer {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                    stream.write_all([head, body].concat().as_bytes()).unwrap();
                }
            }
        });
        (Druid::new(&config::Druid { url, ..config::Druid::default() }).unwrap(), asked)
    }

    fn spec(tasks: u32) -> Value {
        json!({
            "spec": {"dataSchema": {"dataSource": "S"}, "ioConfig": {"taskCount": tasks}},
            "context": {"pipeline": {"name": "p"}},
        })
    }

    #[tokio::test]
    async fn a_supervisor_that_arrived_is_not_posted_again_though_its_answer_was_lost() {
        let (druid, asked) = answering(vec![None, Some(spec(2).to_string())]);
        post(&druid, &spec(2)).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), ["POST", "GET"]);
    }

    #[tokio::test]
    async fn one_that_did_not_arrive_is_posted_once_more_and_no_more() {
        let (druid, asked) = answering(vec![None, Some(spec(1).to_string()), Some(json!({"id": "S"}).to_string())]);
        post(&druid, &spec(2)).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), ["POST", "GET", "POST"]);
        let (druid, asked) = answering(vec![None, Some(spec(1).to_string()), None, Some(spec(1).to_string())]);
        assert_eq!(post(&druid, &spec(2)).await.unwrap_err().kind, Kind::Unreachable);
        assert_eq!(*asked.lock().unwrap(), ["POST", "GET", "POST", "GET"]);
    }
}

//! Posting supervisors, so that a lost answer neither loses nor repeats one.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::Druid;
use super::diff;
use super::found::Found;
use super::remove;
use super::spec;
use crate::error::{Kind, Result};

/// How often one is posted at most: the first time, and once more if that did not arrive.
const ATTEMPTS: u32 = 2;
/// The pause before Druid is asked whether it arrived.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes a supervisor what it should be: new, or over what was found, of which Druid first forgets how far it read, if that was
/// another topic. `told` hears what is waited for.
pub async fn replace(druid: &Druid, found: &Found, supervisor: &Value, mut told: impl FnMut(String)) -> Result<()> {
    let topic = supervisor.pointer("/spec/ioConfig/topic").and_then(Value::as_str).unwrap_or_default();
    if found.must_forget(topic) {
        remove::forget(druid, found, spec::id(supervisor), &mut told).await?;
    }
    post(druid, supervisor).await
}

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
        if found.is_some_and(|found| diff::stands(supervisor, &found)) {
            return Ok(());
        }
        if made == ATTEMPTS {
            return Err(error);
        }
        made += 1;
    }
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
            "context": {"pipeline": {"name": "p", "datasource": "S"}},
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

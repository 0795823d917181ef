//! A proxy between the program and the broker that understands just enough of Kafka's protocol: each message is its length in
//! four bytes and then, in a request, the API's number (2 bytes), its version (2) and a correlation id (4), in an answer that id.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Produce, which carries records.
pub const PRODUCE: i16 = 0;
/// AddOffsetsToTxn, the first of two requests that make offsets part of a transaction.
pub const ADD_OFFSETS: i16 = 25;
/// EndTxn, which commits a transaction or aborts it.
pub const END_TXN: i16 = 26;
/// No message of these tests is larger.
const LARGEST: usize = 64 << 20;
/// How often a held message looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// What the proxy does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Sends them on.
    Pass,
    /// Sends each on after so long.
    Delay(Duration),
    /// Sends nothing on, and lets go of no connection.
    Hold,
    /// Sends the n-th EndTxn to the broker, and keeps its answer.
    KeepAnswer(u32),
    /// Keeps the n-th request of this API.
    KeepRequest(i16, u32),
}

struct Shared {
    rule: Mutex<Rule>,
    broker: Mutex<String>,
    /// How many requests of each API came since the rule was set.
    asked: Mutex<HashMap<i16, u32>>,
    kept: AtomicBool,
    /// Both sides of each; those that hold a connection are the two that read it.
    connections: Mutex<Vec<Weak<TcpStream>>>,
}

/// Listens until the process ends.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            rule: Mutex::new(Rule::Pass),
            broker: Mutex::default(),
            asked: Mutex::default(),
            kept: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A broker that is away: the client's connection is closed, as without a proxy.
                let _ = connect(&accepting, client);
            }
        });
        Self { port, shared }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it sends everything on to.
    pub fn lead_to(&self, broker: &str) {
        broker.clone_into(&mut self.shared.broker.lock().unwrap());
    }

    /// Sets the rule for all that comes from now on, and begins to count anew.
    pub fn set(&self, rule: Rule) {
        self.shared.asked.lock().unwrap().clear();
        self.shared.kept.store(false, Ordering::SeqCst);
        *self.shared.rule.lock().unwrap() = rule;
    }

    /// How many EndTxn came since the rule was set.
    pub fn commits(&self) -> u32 {
        self.shared.asked.lock().unwrap().get(&END_TXN).copied().unwrap_or(0)
    }

    /// Whether what the rule wants kept is kept.
    pub fn has_kept(&self) -> bool {
        self.shared.kept.load(Ordering::SeqCst)
    }

    /// Resets every connection (RST, not the polite end).
    pub fn reset(&self) {
        let connections: Vec<_> = self.shared.connections.lock().unwrap().drain(..).collect();
        for connection in connections.iter().filter_map(Weak::upgrade) {
            // One that has ended since needs no reset. Its readers wake up and drop what they hold of it, which sends the RST.
            let _ = socket2::SockRef::from(&*connection).set_linger(Some(Duration::ZERO));
            let _ = connection.shutdown(Shutdown::Read);
        }
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
    let broker = TcpStream::connect(shared.broker.lock().unwrap().as_str())?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (client, broker) = (Arc::new(client), Arc::new(broker));
    shared.connections.lock().unwrap().extend([Arc::downgrade(&client), Arc::downgrade(&broker)]);
    let kept: Arc<Mutex<HashSet<i32>>> = Arc::default();
    let (from, to, asked, ids) = (client.clone(), broker.clone(), shared.clone(), kept.clone());
    std::thread::spawn(move || pump(&from, &to, &asked, |message| may_ask(&asked, &ids, message)));
    let answered = shared.clone();
    std::thread::spawn(move || pump(&broker, &client, &answered, |message| may_answer(&answered, &kept, message)));
    Ok(())
}

fn may_ask(shared: &Shared, kept: &Mutex<HashSet<i32>>, message: &[u8]) -> bool {
    let Some((api, id)) = api_and_id(message) else { return true };
    let number = {
        let mut asked = shared.asked.lock().unwrap();
        let number = asked.entry(api).or_default();
        *number += 1;
        *number
    };
    match *shared.rule.lock().unwrap() {
        Rule::KeepAnswer(at) if api == END_TXN && at == number => {
            kept.lock().unwrap().insert(id);
            true
        }
        Rule::KeepRequest(of, at) if api == of && at == number => {
            shared.kept.store(true, Ordering::SeqCst);
            false
        }
        _ => true,
    }
}

fn api_and_id(message: &[u8]) -> Option<(i16, i32)> {
    let (api, rest) = message.split_first_chunk()?;
    let id = rest.get(2..)?.first_chunk()?;
    Some((i16::from_be_bytes(*api), i32::from_be_bytes(*id)))
}

fn may_answer(shared: &Shared, kept: &Mutex<HashSet<i32>>, message: &[u8]) -> bool {
    let id = message.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    let keep = id.is_some_and(|id| kept.lock().unwrap().remove(&id));
    if keep {
        shared.kept.store(true, Ordering::SeqCst);
    }
    !keep
}

/// Sends message after message on, as the rule has it, until one side ends.
fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared, may_pass: impl Fn(&[u8]) -> bool) {
    let mut message = Vec::new();
    while read(&mut from, &mut message).is_ok() {
        loop {
            let rule = *shared.rule.lock().unwrap();
            match rule {
                Rule::Hold => std::thread::sleep(LOOK),
                Rule::Delay(time) => break std::thread::sleep(time),
                _ => break,
            }
        }
        if may_pass(&message[4..]) && to.write_all(&message).is_err() {
            break;
        }
    }
    // The other direction ends with this one; it may have ended before.
    let _ = from.shutdown(Shutdown::Read);
    let _ = to.shutdown(Shutdown::Read);
}

/// Reads one message, its length before it.
fn read(from: &mut impl Read, message: &mut Vec<u8>) -> Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let size = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if size > LARGEST {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    message.clear();
    message.extend(length);
    message.resize(4 + size, 0);
    from.read_exact(&mut message[4..])
}

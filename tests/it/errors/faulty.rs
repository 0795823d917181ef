//! A REST server that answers well at first, and then in one wrong way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is said in the body of every answer that is no success, in the words of all three servers. What follows would clear a
/// terminal.
const SAID: &str = r#"{"error_code": 40401, "message": "said so\u001b[2J", "error": "said so\u001b[2J"}"#;
const MEGABYTE: &[u8] = &[b'x'; 1_000_000];

/// A wrong way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens.
    Refused,
    /// Nothing comes.
    Silence,
    /// The body comes, byte after byte, for ever.
    Drip,
    /// The connection is reset in the middle of the answer.
    Reset,
    /// The connection is closed in the middle of the answer.
    Cut,
    /// What comes is no HTTP.
    NoHttp,
    /// A status, and headers behind it.
    Status(&'static str),
    /// 200 with this body.
    Body(&'static str),
    /// 200 with a body of 10 MB, as it says.
    Large,
    /// 200 with a body that never ends.
    Endless,
}

/// The server; it ends with the test.
pub struct Faulty {
    pub address: String,
    faults: Arc<AtomicUsize>,
}

impl Faulty {
    /// A server that answers the first requests well, with these bodies.
    pub async fn start(fault: Fault, well: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let faults = Arc::<AtomicUsize>::default();
        let listener = Some(listener).filter(|_| fault != Fault::Refused || !well.is_empty());
        if let Some(listener) = listener {
            tokio::spawn(serve(listener, fault, well, Arc::clone(&faults)));
        }
        Self { address, faults }
    }

    /// How many requests were answered in the wrong way.
    pub fn faults(&self) -> usize {
        self.faults.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, fault: Fault, well: &[&str], faults: Arc<AtomicUsize>) {
    for (left, body) in (0..well.len()).rev().zip(well) {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read(&mut stream).await;
        let well = answer("200 OK", body);
        // A client that goes away is no failure of the server's, here and below.
        if left == 0 && fault == Fault::Refused {
            drop(listener);
            let _ = stream.write_all(well.as_bytes()).await;
            return;
        }
        let _ = stream.write_all(well.as_bytes()).await;
    }
    while let Ok((mut stream, _)) = listener.accept().await {
        let faults = Arc::clone(&faults);
        tokio::spawn(async move {
            read(&mut stream).await;
            faults.fetch_add(1, Ordering::SeqCst);
            let _ = be_wrong(stream, fault).await;
        });
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

async fn be_wrong(mut stream: TcpStream, fault: Fault) -> std::io::Result<()> {
    const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{";
    match fault {
        Fault::Refused => Ok(()),
        Fault::Silence => std::future::pending().await,
        Fault::Drip => {
            stream.write_all(HALF.as_bytes()).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(b" ").await?;
            }
        }
        Fault::Reset => {
            stream.write_all(HALF.as_bytes()).await?;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))
        }
        Fault::Cut => stream.write_all(HALF.as_bytes()).await,
        Fault::NoHttp => stream.write_all(b"\x00\x00\x00\x04\x00\x00\x00\x00").await,
        Fault::Status(status) => stream.write_all(answer(status, SAID).as_bytes()).await,
        Fault::Body(body) => stream.write_all(answer("200 OK", body).as_bytes()).await,
        Fault::Large => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\nConnection: close\r\n\r\n").await?;
            for _ in 0..10 {
                stream.write_all(MEGABYTE).await?;
            }
            Ok(())
        }
        Fault::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(MEGABYTE).await?;
            }
        }
    }
}

/// Reads a whole request: with some of it unread, closing the connection would reset it.
async fn read(stream: &mut TcpStream) {
    let (mut seen, mut bytes) = (Vec::new(), [0; 4 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        seen.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let head_end = seen.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4;
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
        let whole = match length {
            Some(length) => seen.len() - head_end >= length,
            // A form comes in chunks, the last of which is empty.
            None => !head.contains("transfer-encoding: chunked") || seen.ends_with(b"0\r\n\r\n"),
        };
        if whole {
            return;
        }
    }
}

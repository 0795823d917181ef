//! Listeners that are not the server that the program looks for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What a listener does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Takes it and says nothing.
    Silence,
    /// Closes it.
    HangUp,
    /// Says this.
    Bytes(&'static [u8]),
    /// Answers a request with this status (headers may follow it) and body.
    Http(&'static str, &'static str),
}

/// A listener on a port of its own, until the test process ends.
pub struct Stranger {
    pub address: String,
}

impl Stranger {
    pub fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                match answer {
                    Answer::Silence => silent.push(stream),
                    Answer::HangUp => drop(stream),
                    // A client that has gone away is none of our business.
                    Answer::Bytes(bytes) => drop(std::thread::spawn(move || say(stream, bytes))),
                    Answer::Http(status, body) => {
                        let length = body.len();
                        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                        drop(std::thread::spawn(move || say(stream, text.as_bytes())));
                    }
                }
            }
        });
        Self { address }
    }
}

fn say(mut stream: TcpStream, bytes: &[u8]) {
    let mut request = [0; 16 * 1024];
    // Closing with a request unread would reset the connection before the answer is read.
    let mut seen = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut request) {
        seen.extend_from_slice(&request[..count]);
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if text.starts_with("get ") || text.starts_with("post ") {
                continue;
            }
            break;
        };
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    let _ = stream.write_all(bytes);
}

/// An address where nobody listens.
pub fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string()
}

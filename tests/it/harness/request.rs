//! A request that a proxy has taken, to be looked at and passed on.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;

/// An HTTP request, read whole.
pub struct Request {
    /// Its first line and its headers, each with its end.
    lines: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// Reads the one request of a connection.
    pub fn read(from: impl Read) -> Result<Self> {
        let mut reader = BufReader::new(from);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            lines.push(line);
        }
        let mut request = Self { lines, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        request.body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    /// Its method, and its path without the query.
    pub fn asked(&self) -> (&str, &str) {
        let mut words = self.lines.first().map_or("", String::as_str).split([' ', '?']);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&String| line.to_lowercase().starts_with(&format!("{name}:"));
        self.lines.iter().find(is_it).and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    /// Puts a header in the place of what it was, by its name in lower case.
    pub fn set(&mut self, name: &str, value: &str) {
        self.lines.retain(|line| !line.to_lowercase().starts_with(&format!("{name}:")));
        self.lines.push(format!("{name}: {value}\r\n"));
    }

    /// Passes it on to a server (`host:port`), which closes the connection after its answer.
    pub fn pass_on(mut self, host: &str) -> Result<TcpStream> {
        self.set("connection", "close");
        let mut server = TcpStream::connect(host)?;
        server.write_all((self.lines.concat() + "\r\n").as_bytes())?;
        server.write_all(&self.body)?;
        Ok(server)
    }
}

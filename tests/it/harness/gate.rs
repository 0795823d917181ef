//! A gate before a REST server: it can be shut, answer for it, cut requests off, and it counts.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::request::Request;

/// Passes HTTP requests on, one a connection. Dropping it leaves its thread behind until the test ends.
pub struct Gate {
    /// Its own address, with the registry's path.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_shut: bool,
    answers: BTreeMap<String, (&'static str, String)>,
    asked: BTreeMap<String, usize>,
    /// Method and path of each request since the last cut was set.
    requests: Vec<String>,
    cut: Option<Cut>,
}

/// The request that is cut off, counted from 0. All that come after it are, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server does not see it.
    Request(usize),
    /// The server answers it, but the client does not hear of that.
    Answer(usize),
}

impl Gate {
    /// A gate before the server at this address.
    pub fn before(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address");
        let (state, host) = (Arc::<Mutex<State>>::default(), host.to_owned());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, host) = (Arc::clone(&shared), host.clone());
                // A client that goes away is no failure of the gate's.
                std::thread::spawn(move || drop(serve(stream, &shared, &host)));
            }
        });
        Self { url: format!("http://{own}/{path}"), state }
    }

    /// From now on nobody is let through, or everybody again.
    pub fn shut(&self, shut: bool) {
        self.state.lock().unwrap().is_shut = shut;
    }

    /// Cuts a request off, counted from now on; or none.
    pub fn cut(&self, cut: Option<Cut>) {
        let mut state = self.state.lock().unwrap();
        state.cut = cut;
        state.requests.clear();
    }

    /// Method and path of each request since the last cut was set.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Answers a path that ends so by itself.
    pub fn answer(&self, path: &str, status: &'static str, body: String) {
        self.state.lock().unwrap().answers.insert(path.into(), (status, body));
    }

    /// How often a path that ends so was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|(asked, _)| asked.ends_with(path)).map(|(_, count)| count).sum()
    }
}

fn serve(mut client: TcpStream, state: &Mutex<State>, host: &str) -> std::io::Result<()> {
    let request = Request::read(&mut client)?;
    let (method, path) = request.asked();
    let (answer, is_swallowed) = {
        let mut state = state.lock().unwrap();
        *state.asked.entry(path.to_owned()).or_default() += 1;
        let number = state.requests.len();
        state.requests.push(format!("{method} {path}"));
        let is_cut = match state.cut {
            Some(Cut::Request(at)) => number >= at,
            Some(Cut::Answer(at)) => number > at,
            None => false,
        };
        if state.is_shut || is_cut {
            return Ok(());
        }
        let answer = state.answers.iter().find(|(end, _)| path.ends_with(*end)).map(|(_, answer)| answer.clone());
        (answer, state.cut == Some(Cut::Answer(number)))
    };
    if let Some((status, body)) = answer {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        return client.write_all((head + &body).as_bytes());
    }
    let mut server = request.pass_on(host)?;
    if is_swallowed {
        std::io::copy(&mut server, &mut std::io::sink())?;
    } else {
        std::io::copy(&mut server, &mut client)?;
    }
    Ok(())
}

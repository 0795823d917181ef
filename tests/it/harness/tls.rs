//! A proxy before a server that speaks no TLS, or asks for no credentials: it does both.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslStream};

use super::Servers;
use super::request::Request;

/// Passes requests on that come over https, one a connection. Dropping it leaves its thread behind until the test ends.
pub struct TlsProxy {
    /// Its own address, with the server's path.
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The header `Authorization`, as the proxy treats it.
#[derive(Debug, Clone, Default)]
pub struct Authorization {
    /// What it must be; anything else is answered with 401.
    pub wanted: Option<String>,
    /// What the server is given in its place.
    pub passed_on: Option<String>,
}

impl TlsProxy {
    /// A proxy with the certificate of the stack's CA, before the server at this address.
    pub fn before(url: &str, authorization: Authorization) -> Self {
        let certificate = Servers::get().certificate("server.pem");
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("an acceptor");
        acceptor.set_private_key_file(&certificate, SslFiletype::PEM).expect("a key");
        acceptor.set_certificate_chain_file(&certificate).expect("a certificate");
        let acceptor = acceptor.build();
        let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url.trim_start_matches("http://"), ""));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address");
        let (seen, host) = (Arc::<Mutex<Vec<String>>>::default(), host.to_owned());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, shared, host, authorization) =
                    (acceptor.clone(), Arc::clone(&shared), host.clone(), authorization.clone());
                // A client that does not trust us, or goes away, is no failure of the proxy's.
                std::thread::spawn(move || {
                    if let Ok(client) = acceptor.accept(stream) {
                        drop(serve(client, &host, &authorization, &shared));
                    }
                });
            }
        });
        Self { url: format!("https://{own}/{path}").trim_end_matches('/').to_owned(), seen }
    }

    /// The headers `Authorization` of all requests so far; empty where there was none.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut client: SslStream<TcpStream>,
    host: &str,
    authorization: &Authorization,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Request::read(&mut client)?;
    let given = request.header("authorization").unwrap_or_default().to_owned();
    seen.lock().unwrap().push(given.clone());
    if authorization.wanted.as_ref().is_some_and(|wanted| *wanted != given) {
        client.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return client.shutdown().map(drop).map_err(std::io::Error::other);
    }
    if let Some(instead) = &authorization.passed_on {
        request.set("authorization", instead);
    }
    std::io::copy(&mut request.pass_on(host)?, &mut client)?;
    client.shutdown().map(drop).map_err(std::io::Error::other)
}

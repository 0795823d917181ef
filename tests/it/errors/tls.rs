//! Servers over https whose certificate is signed by a CA of one's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::{LIMIT, fails, line, strangers};
use crate::harness::Line;

/// A CA, or a server's certificate, with its key.
struct Certificate {
    key: PKey<Private>,
    x509: X509,
}

impl Certificate {
    /// A CA.
    fn authority() -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut builder = begin("a CA of the test's own", &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().expect("an extension")).expect("extended");
        let name = name("a CA of the test's own");
        builder.set_issuer_name(&name).expect("named");
        builder.sign(&key, MessageDigest::sha256()).expect("signed");
        Self { x509: builder.build(), key }
    }

    /// A server's certificate, for an IP address or a name.
    fn signed_by(authority: &Self, host: &str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut builder = begin("a server", &key);
        let mut names = SubjectAlternativeName::new();
        if host.parse::<std::net::IpAddr>().is_ok() {
            names.ip(host)
        } else {
            names.dns(host)
        };
        let names = names.build(&builder.x509v3_context(Some(&authority.x509), None)).expect("an extension");
        builder.append_extension(names).expect("extended");
        builder.set_issuer_name(authority.x509.subject_name()).expect("named");
        builder.sign(&authority.key, MessageDigest::sha256()).expect("signed");
        Self { x509: builder.build(), key }
    }

    fn write(&self, file: &Path) {
        std::fs::write(file, self.x509.to_pem().expect("PEM")).expect("written");
    }
}

fn name(common: &str) -> openssl::x509::X509Name {
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", common).expect("a name");
    name.build()
}

fn begin(common: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("version 3");
    builder.set_subject_name(&name(common)).expect("named");
    builder.set_pubkey(key).expect("keyed");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("now")).expect("dated");
    builder.set_not_after(&Asn1Time::days_from_now(1).expect("tomorrow")).expect("dated");
    builder
}

/// A server that answers every request over https with this; its address.
fn serve(certificate: &Certificate, answer: &'static str) -> String {
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("an acceptor");
    acceptor.set_private_key(&certificate.key).expect("a key");
    acceptor.set_certificate(&certificate.x509).expect("a certificate");
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that does not trust us goes away.
            let Ok(mut stream) = acceptor.accept(stream) else { continue };
            let _ = stream.read(&mut [0; 16 * 1024]);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown();
        }
    });
    address
}

/// A command's server over https: its table, the command, and what tells that its answer was read.
const SERVERS: [(&str, &[&str], &str); 2] =
    [("registry", &["produce", "--count", "1"], "PIPELINE_REGISTRY_PASSWORD"), ("superset", &["superset-bootstrap"], "admin")];

const NO: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{\"message\": \"no\"}";

fn at(table: &str, url: &str, ca_file: Option<&str>) -> Line {
    let mut line = line("127.0.0.1:1", &strangers::nobody());
    line.edit(|file| {
        file[table]["url"] = url.into();
        if let Some(ca_file) = ca_file {
            file[table].as_table_mut().expect("a table").insert("ca_file".into(), ca_file.into());
        }
    });
    line
}

#[test]
fn a_ca_of_one_s_own_is_trusted_if_the_file_says_so() {
    let authority = Certificate::authority();
    let address = serve(&Certificate::signed_by(&authority, "127.0.0.1"), NO);
    for (table, command, read) in SERVERS {
        let url = format!("https://{address}");
        let unknown = at(table, &url, None);
        let hint = format!("PIPELINE_{}_CA_FILE", table.to_uppercase());
        fails(unknown.run(command, LIMIT), 69, &[&address, "certificate is not trusted", "hint: ", "ca_file", &hint]);

        let known = at(table, &url, Some("ca.pem"));
        authority.write(&known.folder.join("ca.pem"));
        fails(known.run(command, LIMIT), 77, &[read]);
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Certificate::authority();
    let address = serve(&Certificate::signed_by(&authority, "druid.example"), NO);
    for (table, command, _) in SERVERS {
        let line = at(table, &format!("https://{address}"), Some("ca.pem"));
        authority.write(&line.folder.join("ca.pem"));
        fails(line.run(command, LIMIT), 69, &[&address, "for another name", "hint: ", "url"]);
    }
}

#[test]
fn https_where_http_is_spoken_is_told() {
    let web = strangers::Stranger::new(strangers::Answer::Http("400 Bad Request", ""));
    for (table, command, _) in SERVERS {
        let line = at(table, &format!("https://{}", web.address), None);
        fails(line.run(command, LIMIT), 69, &[&web.address, "does not speak https", "hint: "]);
    }
}

#[test]
fn a_ca_file_that_holds_no_certificate_is_named() {
    for table in ["registry", "druid", "superset"] {
        let line = at(table, "https://127.0.0.1:1", Some("ca.pem"));
        let table = format!("[{table}] ca_file");
        fails(line.run(&["produce"], LIMIT), 78, &[&table, "ca.pem", "hint: "]);
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(line.folder.join("ca.pem"), text).expect("written");
            fails(line.run(&["produce"], LIMIT), 78, &[&table, "ca.pem", "no certificate", "PEM"]);
        }
    }
}

//! Why there is no answer. Pure.

use std::error::Error;
use std::fmt;

/// What a request failed of.
#[derive(Debug, PartialEq, Eq)]
pub enum Cause {
    /// It took too long.
    Timeout,
    /// Nobody that is trusted has signed the server's certificate, or it is out of date: why, in the words of TLS.
    Untrusted(String),
    /// The certificate is for other names.
    OtherName,
    /// What answers is not TLS.
    NoTls,
    /// Anything else, as the innermost error says it.
    Other(String),
}

impl Cause {
    /// Of an error of the HTTP client.
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::from_words(&chain(error)) }
    }

    /// From what each error of a chain says, the innermost last. TLS gives its reasons as text only, and not in the innermost:
    /// `error:0A000086:SSL routines:...:certificate verify failed:FILE:LINE: (REASON)`.
    fn from_words(chain: &[String]) -> Self {
        let innermost = chain.last().map_or("", String::as_str);
        let says = |part: &str| chain.iter().any(|words| words.contains(part));
        if says("hostname mismatch") || says("IP address mismatch") {
            return Self::OtherName;
        }
        if says("certificate verify failed") {
            let reason = chain.iter().find_map(|words| words.strip_suffix(')')?.rsplit_once(": (").map(|(_, reason)| reason));
            return Self::Untrusted(reason.unwrap_or(innermost).into());
        }
        let no_tls = ["wrong version number", "packet length too long", "record layer failure", "unexpected message"];
        if says("SSL routines") && no_tls.iter().any(|sign| says(sign)) {
            return Self::NoTls;
        }
        Self::Other(innermost.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Untrusted(reason) => write!(f, "its certificate is not trusted: {reason}"),
            Self::OtherName => f.write_str("its certificate is for another name"),
            Self::NoTls => f.write_str("what answers there does not speak https"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// What an error and those that led to it say. Of reqwest's own, it is the innermost that has the reason.
fn chain(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_understood() {
        let cause = |words: &[&str]| Cause::from_words(&words.iter().map(|words| (*words).to_owned()).collect::<Vec<_>>());
        let failed = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:ssl.c:1:";
        assert_eq!(
            cause(&["error sending request", &format!("{failed} (unable to get local issuer certificate)"), failed]),
            Cause::Untrusted("unable to get local issuer certificate".into())
        );
        assert_eq!(cause(&[&format!("{failed} (IP address mismatch)"), failed]), Cause::OtherName);
        let plain = "error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:ssl.c:1:";
        assert_eq!(cause(&["error sending request", plain]), Cause::NoTls);
        assert_eq!(cause(&["error sending request", "Connection refused"]), Cause::Other("Connection refused".into()));
    }
}

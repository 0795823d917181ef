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
        if error.is_timeout() { Self::Timeout } else { Self::from_words(&root(error)) }
    }

    /// TLS gives its reasons as text only: `error:0A000086:SSL routines:...:certificate verify failed:FILE:LINE: (REASON)`.
    fn from_words(words: &str) -> Self {
        if words.contains("hostname mismatch") || words.contains("IP address mismatch") {
            return Self::OtherName;
        }
        if words.contains("certificate verify failed") {
            let reason = words.rsplit_once('(').map_or(words, |(_, reason)| reason.trim_end_matches(')'));
            return Self::Untrusted(reason.into());
        }
        let no_tls = ["wrong version number", "packet length too long", "record layer failure", "unexpected message"];
        if words.contains("SSL routines") && no_tls.iter().any(|sign| words.contains(sign)) {
            return Self::NoTls;
        }
        Self::Other(words.into())
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

/// The innermost cause: reqwest's own words end before the reason.
pub fn root(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_understood() {
        let failed = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:ssl.c:1:";
        assert_eq!(
            Cause::from_words(&format!("{failed} (unable to get local issuer certificate)")),
            Cause::Untrusted("unable to get local issuer certificate".into())
        );
        assert_eq!(Cause::from_words(&format!("{failed} (IP address mismatch)")), Cause::OtherName);
        let plain = "error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:ssl.c:1:";
        assert_eq!(Cause::from_words(plain), Cause::NoTls);
        assert_eq!(Cause::from_words("Connection refused"), Cause::Other("Connection refused".into()));
    }
}

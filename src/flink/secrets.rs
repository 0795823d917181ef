//! What must not be seen of what Flink says: it quotes what it was handed. Pure.

use crate::config::{HIDDEN, seen};

/// The parts of a secret that are hidden by themselves: shorter ones are words of any text.
const SHORTEST: usize = 4;

/// Texts that must not be seen.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<Hidden>);

/// A text, and what stands for it.
#[derive(Clone)]
struct Hidden(String, String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Secrets {
    /// Those among these settings, by name and value.
    pub fn of<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hidden = Vec::new();
        for (name, value) in settings {
            let shown = seen(name, value);
            if shown == value {
                continue;
            }
            for form in [value.to_owned(), value.replace('\'', "''")] {
                hidden.push(Hidden(form, shown.clone()));
            }
            // `sasl.jaas.config` has its password in quotes, an address before an @, user and password a colon between
            // them, and a key has lines.
            let parts =
                value.split(['"', '\'', ':', '@', '/', '\n']).filter(|part| part.len() >= SHORTEST && !shown.contains(part));
            hidden.extend(parts.map(|part| Hidden(part.into(), HIDDEN.into())));
        }
        hidden.sort_by_key(|Hidden(text, _)| std::cmp::Reverse(text.len()));
        Self(hidden)
    }

    /// The text without them.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, Hidden(secret, shown)| text.replace(secret.as_str(), shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_seen() {
        let jaas = "org.apache.kafka.ScramLoginModule required username=\"me\" password=\"it's canary\";";
        let secrets = Secrets::of([
            ("sasl.jaas.config", jaas),
            ("basic-auth.user-info", "me:canary-too"),
            ("url", "http://me:canary-three@registry:8081/x"),
            ("ssl.keystore.key", "-----BEGIN-----\ncanary-four\n-----END-----"),
            ("security.protocol", "SASL_SSL"),
        ]);
        for text in [
            format!("near {jaas} at line 1"),
            format!("near '{}'", jaas.replace('\'', "''")),
            "Login failed for password=\"it's canary\"".into(),
            "user info me:canary-too".into(),
            "no key: canary-four".into(),
            "GET http://me:canary-three@registry:8081/x failed; canary-three".into(),
        ] {
            let shown = secrets.hide(&text);
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        assert_eq!(secrets.hide("SASL_SSL to registry:8081/x"), "SASL_SSL to registry:8081/x");
        assert!(!format!("{secrets:?}").contains("canary"));
    }
}

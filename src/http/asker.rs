//! Who asks, in words, and what to do when a server does not take that. Pure.

use crate::config::Credentials;

/// Who asks a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Who it is.
    pub name: String,
    /// What is wrong where the server answers 401.
    pub wrong: String,
    /// What to do about that.
    pub remedy: String,
}

impl Asker {
    /// Who asks with these credentials, which the pipeline file has in this table.
    pub fn of(credentials: Option<&Credentials>, table: &str) -> Self {
        let variable = format!("PIPELINE_{}", table.to_uppercase());
        let login = format!("set [{table}] username and password ({variable}_PASSWORD)");
        match credentials {
            Some(Credentials::Basic(user, _)) => {
                let name = format!("user `{user}`");
                Self { wrong: format!("it does not know {name}, or the password is another"), name, remedy: login }
            }
            Some(Credentials::Bearer(_)) => Self {
                name: format!("the user of [{table}] token"),
                wrong: "the token is expired or wrong".into(),
                remedy: format!("set [{table}] token ({variable}_TOKEN, or token_file) to one that outlives the run"),
            },
            None => Self {
                name: "a request without a user".into(),
                wrong: "it wants to know who asks".into(),
                remedy: format!("{login}, or a token"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_words_are_those_of_what_is_in_use() {
        let of = |credentials: Option<Credentials>| Asker::of(credentials.as_ref(), "druid");
        let user = of(Some(Credentials::Basic("me".into(), Some(Secret::new("canary")))));
        assert!(user.name == "user `me`" && user.remedy.contains("PIPELINE_DRUID_PASSWORD"), "{user:?}");
        let token = of(Some(Credentials::Bearer(Secret::new("canary"))));
        assert!(token.remedy.contains("[druid] token (PIPELINE_DRUID_TOKEN") && !token.remedy.contains("password"), "{token:?}");
        assert!(!format!("{user:?}{token:?}").contains("canary"));
        assert!(of(None).remedy.ends_with("or a token"));
    }
}

//! Druid's address as Superset writes it: a SQLAlchemy URI. Pure.

use reqwest::Url;

use crate::config::{Config, Credentials, HIDDEN, Secret};
use crate::error::{Error, Kind, Result};

/// What Superset shows, and takes, in place of a stored password.
pub const MASK: &str = "XXXXXXXXXX";

/// A connection to Druid. The password is apart from the address, as it is in Superset's own import.
#[derive(Debug, Clone)]
pub struct Address {
    masked: Url,
    /// Druid's password, if it asks for one.
    pub password: Option<Secret>,
}

impl Address {
    /// Druid's router as Superset reaches it; an error if this program asks Druid by a token and Superset could not ask at all.
    pub fn of(config: &Config) -> Result<Self> {
        let has_token = matches!(config.druid.http.credentials, Some(Credentials::Bearer(_)));
        if has_token && (config.druid.username.is_none() || config.druid.password.is_none()) {
            let what = "Superset's connection to Druid needs [druid] username and password beside the token";
            return Err(Error::new(Kind::Config, format!("{what}: a token cannot be stored there"))
                .hint("set both (PIPELINE_DRUID_USERNAME, PIPELINE_DRUID_PASSWORD); this program goes on using the token"));
        }
        let http = config.druid_for_superset();
        let wrong = || Error::new(Kind::Config, format!("[superset] druid_url: `{http}` cannot be made a SQLAlchemy URI"));
        let url = Url::parse(http).map_err(|_| wrong())?;
        let scheme = if url.scheme() == "https" { "druid+https" } else { "druid" };
        // The driver takes 8082 for a missing port.
        let (host, port) = url.host_str().zip(url.port_or_known_default()).ok_or_else(wrong)?;
        let path = url.path().trim_end_matches('/');
        // With a header row, a Druid without tables is an empty list; else it is an error.
        let text = format!("{scheme}://{host}:{port}{path}/druid/v2/sql?header=true");
        let mut masked = Url::parse(&text).map_err(|_| wrong())?;
        let password = config.druid.username.as_ref().and(config.druid.password.clone());
        if let Some(user) = &config.druid.username {
            masked.set_username(&literal(user)).map_err(|()| wrong())?;
            masked.set_password(password.as_ref().map(|_| MASK)).map_err(|()| wrong())?;
        }
        Ok(Self { masked, password })
    }

    /// The address without its password.
    pub fn masked(&self) -> &str {
        self.masked.as_str()
    }

    /// Whether an address leads to the same user of the same server.
    pub fn is_of_same_user(&self, uri: &str) -> bool {
        let of = |url: &Url| (url.username().to_owned(), url.host_str().map(str::to_owned), url.port());
        Url::parse(uri).is_ok_and(|url| of(&url) == of(&self.masked))
    }

    /// A text without the password, should a server have quoted it.
    pub fn scrub(&self, text: &str) -> String {
        match self.password.as_ref().map(Secret::expose) {
            Some(password) if !password.is_empty() => text.replace(password, HIDDEN),
            _ => text.into(),
        }
    }
}

/// The URL type encodes what would end a name or password, but takes a percent sign for an encoding.
fn literal(text: &str) -> String {
    text.replace('%', "%25")
}

/// An address in the spelling that ours has, for SQLAlchemy encodes fewer characters.
pub fn respelled(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| uri.into(), String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    fn address(url: &str, user: Option<&str>, password: Option<&str>) -> Address {
        let mut config = sales();
        config.superset.druid_url = Some(url.into());
        config.druid.username = user.map(Into::into);
        config.druid.password = password.map(Secret::new);
        Address::of(&config).unwrap()
    }

    #[test]
    fn the_port_is_always_named_and_a_path_is_kept() {
        let masked = |url| address(url, None, None).masked().to_owned();
        assert_eq!(masked("http://router:8888"), "druid://router:8888/druid/v2/sql?header=true");
        assert_eq!(masked("https://gateway/druid-one/"), "druid+https://gateway:443/druid-one/druid/v2/sql?header=true");
        assert_eq!(masked("http://[::1]"), "druid://[::1]:80/druid/v2/sql?header=true");
    }

    #[test]
    fn credentials_are_encoded_and_masked() {
        let address = address("http://router:8888", Some("me@home"), Some("p@ss/w%rd:"));
        assert_eq!(address.masked(), "druid://me%40home:XXXXXXXXXX@router:8888/druid/v2/sql?header=true");
        assert!(!format!("{address:?}").contains("p@ss"));
        assert_eq!(address.scrub("no such p@ss/w%rd: here"), "no such *** here");
    }

    #[test]
    fn a_token_is_nothing_that_superset_can_use() {
        let mut config = sales();
        (config.druid.username, config.druid.password) = (None, None);
        assert_eq!(Address::of(&config).unwrap().password, None, "a Druid that asks for nothing");
        config.druid.http.credentials = Some(Credentials::Bearer(Secret::new("canary")));
        config.druid.username = Some("me".into());
        let error = Address::of(&config).unwrap_err();
        assert!(error.kind == Kind::Config && error.message.contains("username and password beside the token"), "{error}");
        config.druid.password = Some(Secret::new("pw"));
        assert!(Address::of(&config).unwrap().masked().contains("me:XXXXXXXXXX@"));
    }

    #[test]
    fn sqlalchemys_spelling_is_no_difference() {
        assert_eq!(
            respelled("druid://a b:XXXXXXXXXX@h:1/druid/v2/sql?header=true"),
            "druid://a%20b:XXXXXXXXXX@h:1/druid/v2/sql?header=true"
        );
    }
}

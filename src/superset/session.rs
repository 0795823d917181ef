//! A login at Superset, kept valid, or a token that was given: the one place that sends.

use reqwest::header::REFERER;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::failure;
use crate::config::{Secret, Superset};
use crate::error::{self, Error, Result};
use crate::http::{BODY_CAP, ROWS_CAP, Reply, Server};

/// A user of Superset's, by a login or a token of theirs.
///
/// A login's token lasts 15 minutes as a rule; when Superset does not take a token, there is one new login, if one can be made.
#[derive(Debug)]
pub struct Session {
    server: Server,
    /// Whom Superset is asked by, in words.
    pub who: String,
    login: Option<Login>,
    token: Mutex<Secret>,
}

/// How to log in.
#[derive(Debug, Clone)]
struct Login {
    user: String,
    password: Secret,
}

#[derive(Deserialize)]
struct LoggedIn {
    access_token: String,
}

#[derive(Deserialize)]
struct Csrf {
    result: String,
}

impl Session {
    /// Logs in, unless there is a token.
    pub async fn login(config: &Superset) -> Result<Self> {
        let server = Server::new("Superset", "superset", &config.url, &config.http)?;
        let (login, token) = if let Some(token) = &config.token {
            (Login::of(config).ok(), token.clone())
        } else {
            let login = Login::of(config)?;
            let token = login.token(&server).await?;
            (Some(login), token)
        };
        let who = login.as_ref().map_or_else(|| "the user of [superset] token".into(), Login::who);
        Ok(Self { server, who, login, token: Mutex::new(token) })
    }

    /// Asks, and gives whatever is answered.
    pub async fn ask(&self, path: &str) -> Result<Reply> {
        self.send(&Method::GET, path, BODY_CAP, Ok).await
    }

    /// The same where many rows may come.
    pub async fn ask_for_rows(&self, path: &str) -> Result<Reply> {
        self.send(&Method::GET, path, ROWS_CAP, Ok).await
    }

    /// Asks for what must be there.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        let reply = self.ask(path).await?;
        self.check(reply)
    }

    /// Writes, and gives whatever is answered. `fill` puts the body into the request, which is made anew for each attempt.
    ///
    /// It needs a CSRF token, whose cookie the connection keeps, and over https a referrer.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        fill: impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Reply> {
        let csrf = self.get("api/v1/security/csrf_token/").await?.json::<Csrf>()?.result;
        let fill =
            |request: RequestBuilder| fill(request.header("X-CSRFToken", &csrf).header(REFERER, self.server.address().as_str()));
        self.send(&method, path, BODY_CAP, fill).await
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        cap: usize,
        fill: impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Reply> {
        let token = self.token.lock().await.clone();
        let reply = self.once(method, path, &token, cap, &fill).await?;
        match &self.login {
            Some(login) if reply.status == 401 || failure::refuses_token(&reply) => {
                let token = login.token(&self.server).await?;
                *self.token.lock().await = token.clone();
                self.once(method, path, &token, cap, &fill).await
            }
            None if failure::refuses_token(&reply) => Err(failure::given_token(&reply)),
            _ => Ok(reply),
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        token: &Secret,
        cap: usize,
        fill: &impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Reply> {
        let request = self.server.request(method.clone(), path)?.bearer_auth(token.expose());
        self.server.send_for(fill(request)?, cap).await
    }

    /// The reply, if it is a success.
    pub fn check(&self, reply: Reply) -> Result<Reply> {
        if reply.is_success() { Ok(reply) } else { Err(failure::refusal(&reply, &self.who)) }
    }
}

impl Login {
    fn of(config: &Superset) -> Result<Self> {
        let missing = |key: &str| {
            Error::new(error::Kind::Config, format!("[superset] has no `{key}`")).hint(format!(
                "set it in the pipeline file, or as PIPELINE_SUPERSET_{}{}",
                key.to_uppercase(),
                if key == "password" { "; a file can be named with password_file" } else { "" }
            ))
        };
        let user = config.username.clone().filter(|user| !user.is_empty()).ok_or_else(|| missing("username"))?;
        Ok(Self { user, password: config.password.clone().ok_or_else(|| missing("password"))? })
    }

    fn who(&self) -> String {
        format!("user `{}`", self.user)
    }

    /// Logs in.
    async fn token(&self, server: &Server) -> Result<Secret> {
        // Without `provider` Superset answers 500.
        let body = json!({ "username": self.user, "password": self.password.expose(), "provider": "db" });
        let reply = server.send(server.request(Method::POST, "api/v1/security/login")?.json(&body)).await?;
        if reply.is_success() {
            Ok(Secret::new(reply.json::<LoggedIn>()?.access_token))
        } else {
            Err(failure::login(&reply, &self.who()))
        }
    }
}

/// Whether the pipeline file, or what is set beside it, says how to log in.
pub fn has_credentials(config: &Superset) -> bool {
    config.username.is_some() || config.password.is_some() || config.token.is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};

    use super::*;
    use crate::superset::testing::sales;

    /// A server whose first token has expired; its address, and how often it was logged in at.
    async fn forgetful() -> (String, Arc<AtomicU32>) {
        let logins = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&logins);
        let login = move || async move {
            json!({ "access_token": format!("token-{}", counted.fetch_add(1, Ordering::SeqCst)) }).to_string()
        };
        let answer = |headers: HeaderMap| async move {
            let fresh = headers["authorization"] != "Bearer token-0";
            if fresh {
                (StatusCode::OK, r#"{"result": "x"}"#)
            } else {
                (StatusCode::UNAUTHORIZED, r#"{"msg": "Token has expired"}"#)
            }
        };
        let app = Router::new()
            .route("/api/v1/security/login", post(login))
            .route("/api/v1/security/csrf_token/", get(answer))
            .route("/api/v1/assets/import/", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (address, logins)
    }

    #[tokio::test]
    async fn a_token_that_has_expired_costs_one_login_and_no_more() {
        let (address, logins) = forgetful().await;
        let mut config = sales().superset;
        config.url = address;
        let session = Session::login(&config).await.unwrap();
        let reply = session.write(Method::POST, "api/v1/assets/import/", Ok).await.unwrap();
        assert_eq!((reply.status, logins.load(Ordering::SeqCst)), (200, 2));
        session.get("api/v1/security/csrf_token/").await.unwrap();
        assert_eq!(logins.load(Ordering::SeqCst), 2);
        assert!(!format!("{session:?}").contains("token-1"));
    }

    #[tokio::test]
    async fn a_token_that_is_given_needs_no_login() {
        let (address, logins) = forgetful().await;
        let mut config = sales().superset;
        (config.url, config.token) = (address, Some(Secret::new("token-given")));
        let session = Session::login(&config).await.unwrap();
        let reply = session.write(Method::POST, "api/v1/assets/import/", Ok).await.unwrap();
        assert_eq!((reply.status, logins.load(Ordering::SeqCst)), (200, 0));
        assert!(!format!("{session:?}").contains("token-given"));
    }

    #[tokio::test]
    async fn a_given_token_that_has_expired_is_told_or_made_good_by_a_login() {
        let (address, logins) = forgetful().await;
        let mut config = sales().superset;
        (config.url, config.token) = (address, Some(Secret::new("token-0")));
        logins.store(1, Ordering::SeqCst);
        let session = Session::login(&config).await.unwrap();
        session.get("api/v1/security/csrf_token/").await.unwrap();
        session.get("api/v1/security/csrf_token/").await.unwrap();
        assert_eq!(logins.load(Ordering::SeqCst), 2);
        config.password = None;
        let error = Session::login(&config).await.unwrap().get("api/v1/security/csrf_token/").await.unwrap_err();
        assert_eq!(error.kind, error::Kind::Refused);
        let told = error.to_string();
        assert!(told.contains("[superset] token") && told.contains("PIPELINE_SUPERSET_TOKEN"), "{told}");
        assert!(!told.contains("JWT_ACCESS_TOKEN_EXPIRES") && !told.contains("token-0"), "{told}");
    }
}

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
#[derive(Debug)]
pub struct Session {
    server: Server,
    /// The user's name; of a token, what the pipeline file calls its user.
    pub user: String,
    login: Option<Login>,
}

/// A login. Its token lasts 15 minutes as a rule; when Superset no longer takes it, there is one new login.
#[derive(Debug)]
struct Login {
    password: Secret,
    token: Mutex<Secret>,
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
        if config.token.is_some() {
            let user = config.username.clone().unwrap_or_else(|| "of [superset] token".into());
            return Ok(Self { server, user, login: None });
        }
        let (user, password) = credentials(config)?;
        let token = Mutex::new(log_in(&server, user, password).await?);
        Ok(Self { server, user: user.into(), login: Some(Login { password: password.clone(), token }) })
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
        // A token that was given is with every request of the server's.
        let Some(login) = &self.login else { return self.once(method, path, None, cap, &fill).await };
        let token = login.token.lock().await.clone();
        let reply = self.once(method, path, Some(&token), cap, &fill).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let token = log_in(&self.server, &self.user, &login.password).await?;
        *login.token.lock().await = token.clone();
        self.once(method, path, Some(&token), cap, &fill).await
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        token: Option<&Secret>,
        cap: usize,
        fill: &impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Reply> {
        let request = self.server.request(method.clone(), path)?;
        let request = if let Some(token) = token { request.bearer_auth(token.expose()) } else { request };
        self.server.send_for(fill(request)?, cap).await
    }

    /// The reply, if it is a success.
    pub fn check(&self, reply: Reply) -> Result<Reply> {
        if reply.is_success() { Ok(reply) } else { Err(failure::refusal(&reply, &self.user)) }
    }
}

async fn log_in(server: &Server, user: &str, password: &Secret) -> Result<Secret> {
    // Without `provider` Superset answers 500.
    let body = json!({ "username": user, "password": password.expose(), "provider": "db" });
    let reply = server.send(server.request(Method::POST, "api/v1/security/login")?.json(&body)).await?;
    if reply.is_success() { Ok(Secret::new(reply.json::<LoggedIn>()?.access_token)) } else { Err(failure::login(&reply, user)) }
}

/// Whether the pipeline file, or what is set beside it, says how to log in.
pub fn has_credentials(config: &Superset) -> bool {
    config.username.is_some() || config.password.is_some() || config.token.is_some()
}

fn credentials(config: &Superset) -> Result<(&str, &Secret)> {
    let missing = |key: &str| {
        Error::new(error::Kind::Config, format!("[superset] has no `{key}`")).hint(format!(
            "set it in the pipeline file, or as PIPELINE_SUPERSET_{}{}",
            key.to_uppercase(),
            if key == "password" { "; a file can be named with password_file" } else { "" }
        ))
    };
    let user = config.username.as_deref().filter(|user| !user.is_empty()).ok_or_else(|| missing("username"))?;
    Ok((user, config.password.as_ref().ok_or_else(|| missing("password"))?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};

    use super::*;
    use crate::config::Credentials;
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
        config.http.credentials = Some(Credentials::Bearer(Secret::new("token-given")));
        let session = Session::login(&config).await.unwrap();
        let reply = session.write(Method::POST, "api/v1/assets/import/", Ok).await.unwrap();
        assert_eq!((reply.status, logins.load(Ordering::SeqCst)), (200, 0));
        assert!(!format!("{session:?}").contains("token-given"));
    }
}

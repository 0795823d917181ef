//! The dashboard's page, as a browser gets it: through the address that people are given.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::desk::Desk;
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::http::{Reply, Server, one_line};

/// What to do where a browser does not get what it should.
const PROXY: &str = "[superset] public_url (url, if there is none) must be the address that browsers use; a proxy before Superset must pass all paths and the Host header on";

/// Looks at the page.
pub(super) async fn look(desk: &Desk) {
    let Some(dashboard) = &desk.config.dashboard else {
        desk.skipped("page", "because the pipeline file has no [dashboard]");
        return;
    };
    let asked = async { Browser::new(&desk.config.superset, &format!("superset/dashboard/{}/", dashboard.slug)) };
    let page = async {
        let browser = asked.await?;
        let page = browser.page().await?;
        Ok((browser, page))
    };
    match desk.ask(page).await {
        Ok((browser, page)) => {
            let shown = desk.config.page().unwrap_or_else(|| browser.address.to_string());
            desk.fine("page", format!("{shown}{}", page.told));
            let Some(script) = page.script else { return };
            match desk.ask(browser.script(&script)).await {
                Ok(()) => desk.fine("page's scripts", script.path()),
                Err(error) => desk.failed("page's scripts", error),
            }
        }
        Err(error) => desk.failed("page", error),
    }
}

/// It asks at the address that this program has: that of browsers may not lead there from here.
struct Browser {
    server: Server,
    address: Url,
    /// Superset's address as browsers have it.
    public: Url,
}

/// A page that was got.
struct Page {
    told: &'static str,
    /// A script that it needs and that the same server has.
    script: Option<Url>,
}

/// Where a page leads.
#[derive(Debug, PartialEq, Eq)]
enum Leads {
    /// It is one.
    Here,
    /// To Superset's login.
    Login(Url),
}

impl Browser {
    fn new(superset: &config::Superset, path: &str) -> Result<Self> {
        let server = Server::new("Superset", "superset", &superset.url, &superset.http)?;
        let wrong = |_| Error::new(Kind::Config, format!("[superset] url: `{}` has no pages", superset.url));
        let address = server.address().join(path).map_err(wrong)?;
        let public = superset.public_url.as_ref().and_then(|url| Url::parse(url).ok()).unwrap_or_else(|| address.clone());
        Ok(Self { server, address, public })
    }

    async fn get(&self, address: &Url) -> Result<Reply> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html,*/*"))]);
        self.server.send(self.server.request(Method::GET, address.as_str())?.headers(accept)).await
    }

    async fn page(&self) -> Result<Page> {
        let reply = self.get(&self.address).await?;
        let (reply, told) = match leads(&self.address, &self.public, &reply)? {
            Leads::Here => (reply, ": open to everybody"),
            Leads::Login(login) => (self.get(&login).await?, ": behind Superset's login"),
        };
        // A login may go on to somebody who vouches for the user.
        if (300..400).contains(&reply.status) {
            return Ok(Page { told, script: None });
        }
        if reply.status == 404 {
            // So Superset before 6.0 answers somebody unknown, where some pages are open to everybody.
            return Ok(Page { told: ": not there yet, or not for everybody", script: None });
        }
        let reply = reply.success()?;
        if !is_html(&reply) {
            return Err(strange(&reply, "no HTML"));
        }
        let script = script(&String::from_utf8_lossy(&reply.body)).and_then(|path| self.address.join(&path).ok());
        Ok(Page { told, script: script.filter(|script| script.origin() == self.address.origin()) })
    }

    async fn script(&self, address: &Url) -> Result<()> {
        let reply = self.get(address).await?.success().map_err(|error| error.hint(PROXY))?;
        if is_html(&reply) { Err(strange(&reply, "HTML and no script")) } else { Ok(()) }
    }
}

fn strange(reply: &Reply, what: &str) -> Error {
    Error::new(Kind::Unreachable, format!("{}: the answer is {what}: {}", reply.request, reply.excerpt())).hint(PROXY)
}

/// A login at the public address is looked at where the page is: no other server is asked.
fn leads(page: &Url, public: &Url, reply: &Reply) -> Result<Leads> {
    let Some(target) = reply.location().filter(|_| (300..400).contains(&reply.status)) else { return Ok(Leads::Here) };
    let to = page
        .join(target)
        .ok()
        .filter(|to| to.path().contains("/login") || to.path().ends_with("/dashboard/list/"))
        .filter(|to| to.origin() == page.origin() || to.origin() == public.origin());
    to.map(|to| Leads::Login(moved(page, &to))).ok_or_else(|| {
        let message = format!("{}: a browser is sent to {} ({})", reply.request, one_line(target), reply.status);
        Error::new(Kind::Unreachable, message).hint(PROXY)
    })
}

/// What an address stands for, at the server of another.
fn moved(server: &Url, to: &Url) -> Url {
    let mut moved = server.clone();
    moved.set_path(to.path());
    moved.set_query(to.query());
    moved
}

fn is_html(reply: &Reply) -> bool {
    reply.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.starts_with("text/html"))
}

/// The first script that a page names.
fn script(html: &str) -> Option<String> {
    let sources = html.split("<script").skip(1).filter_map(|tag| tag.split('>').next()?.split_once("src=\""));
    let paths = sources.filter_map(|(_, rest)| rest.split('"').next());
    paths
        .filter(|path| path.split('?').next().is_some_and(|path| path.rsplit('.').next() == Some("js")))
        .map(str::to_owned)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Reply { request: "Superset, GET http://s/p".into(), status, headers, body: Vec::new() }
    }

    #[test]
    fn the_login_of_the_same_server_is_followed_and_nothing_else() {
        let page: Url = "http://s:8088/superset/dashboard/x/".parse().unwrap();
        let public: Url = "https://dash.example.com/".parse().unwrap();
        let to = |target: &str| leads(&page, &public, &reply(302, &[("location", target)]));
        assert_eq!(leads(&page, &public, &reply(200, &[])).unwrap(), Leads::Here);
        assert_eq!(to("/login/?next=x").unwrap(), Leads::Login("http://s:8088/login/?next=x".parse().unwrap()));
        let at_public = to("https://dash.example.com/login/?next=x").unwrap();
        assert_eq!(at_public, Leads::Login("http://s:8088/login/?next=x".parse().unwrap()), "asked at no other server");
        for elsewhere in [
            "https://dash.example.com/other/",
            "http://dash.example.com/login/",
            "https://s:8088/login/",
            "http://inside:8088/login/",
            "/other/",
        ] {
            assert!(to(elsewhere).unwrap_err().message.contains(elsewhere));
        }
    }

    #[test]
    fn the_first_script_of_a_page_is_found() {
        let html = r#"<script>var a = "b.js"</script><script async src="/static/a.js?v=1"></script><script src="/b.js">"#;
        assert_eq!(script(html).as_deref(), Some("/static/a.js?v=1"));
        assert_eq!(script("<p>nothing</p>"), None);
        assert!(is_html(&reply(200, &[("content-type", "text/html; charset=utf-8")])));
    }
}

//! The live page: the dashboard and its proof, in a browser.

#[expect(dead_code, reason = "the server of the page comes next")]
mod page;

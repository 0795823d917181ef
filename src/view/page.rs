//! The files of the live page: written by hand, but for the chart library's script, which comes with the crate `plotly`.
//!
//! Nothing is fetched from elsewhere, so the page works without the internet and under [`POLICY`].

use std::sync::LazyLock;

use plotly::Plot;

/// One file of the page, as it is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    /// The value of the header `Content-Type`.
    pub(super) kind: &'static str,
    /// The value of the header `Cache-Control`.
    pub(super) cache: &'static str,
    /// The text.
    pub(super) text: &'static str,
}

/// The value of the header `Content-Security-Policy` for every file. Plotly styles what it draws inline; nothing else is inline.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const AGAIN: &str = "no-cache";
const HOUR: &str = "max-age=3600";

/// Plotly's script, cut once out of what the crate gives: HTML with one element for Plotly and one for MathJax, which the page has
/// no use for.
static PLOTLY: LazyLock<Box<str>> = LazyLock::new(|| {
    let html = Plot::offline_js_sources();
    let element = html.split("<script").find(|element| element.contains("plotly.js v")).unwrap_or_default();
    let script = element.split_once('>').map_or("", |(_, rest)| rest);
    script.split("</script>").next().unwrap_or_default().into()
});

/// The file of a path, without its leading slash; the page itself is the empty path.
pub(super) fn file(path: &str) -> Option<File> {
    let (kind, cache, text) = match path {
        "" => ("text/html; charset=utf-8", AGAIN, include_str!("page/index.html")),
        "style.css" => ("text/css; charset=utf-8", AGAIN, include_str!("page/style.css")),
        "theme.js" => (SCRIPT, AGAIN, include_str!("page/theme.js")),
        "page.js" => (SCRIPT, AGAIN, include_str!("page/page.js")),
        "charts.js" => (SCRIPT, AGAIN, include_str!("page/charts.js")),
        "kinds.js" => (SCRIPT, AGAIN, include_str!("page/kinds.js")),
        "table.js" => (SCRIPT, AGAIN, include_str!("page/table.js")),
        "make.js" => (SCRIPT, AGAIN, include_str!("page/make.js")),
        "format.js" => (SCRIPT, AGAIN, include_str!("page/format.js")),
        "plotly.js" => (SCRIPT, HOUR, &**PLOTLY),
        _ => return None,
    };
    Some(File { kind, cache, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 9] = ["", "style.css", "theme.js", "page.js", "charts.js", "kinds.js", "table.js", "make.js", "format.js"];

    fn text(path: &str) -> &'static str {
        file(path).unwrap().text
    }

    #[test]
    fn the_chart_library_is_plotly_alone() {
        let script = text("plotly.js");
        assert!(script.trim_start().starts_with("/**\n* plotly.js v"), "{}", &script[..80]);
        assert!(script.trim_end().ends_with("}));"), "{}", &script[script.len() - 80..]);
        // What only MathJax's own script says: Plotly's asks for it by name, and does without.
        assert!(!script.contains("SVGOutputJax") && !script.contains("__webpack_modules__"));
        assert!(script.len() < 5_000_000, "{} bytes", script.len());
    }

    #[test]
    fn our_files_name_no_address_outside_the_page() {
        for path in OURS {
            let text = text(path).replace("http://www.w3.org/2000/svg", "");
            for outside in ["http:", "https:", "//cdn", "\"//", "'//", "(//"] {
                assert!(!text.contains(outside), "{path} has {outside}");
            }
        }
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let quoted = OURS.iter().flat_map(|path| text(path).split(['"', '\''])).map(|name| name.trim_start_matches("./"));
        let names: Vec<&str> = quoted.filter(|name| matches!(name.rsplit_once('.'), Some((_, "js" | "css")))).collect();
        assert!(names.len() >= OURS.len(), "{names:?}");
        for name in names {
            assert!(file(name).is_some(), "{name}");
        }
    }

    #[test]
    fn nothing_is_inline_that_the_policy_forbids() {
        let html = text("");
        for script in html.split("<script").skip(1) {
            assert!(script.contains(" src=") && script.contains("></script>"), "{script}");
        }
        let handler = html.split_whitespace().find(|word| word.starts_with("on") && word.contains('='));
        assert_eq!(handler, None);
        for path in &OURS[2..] {
            let script = text(path);
            assert!(
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"].iter().all(|way| !script.contains(way)),
                "{path}"
            );
        }
    }

    #[test]
    fn another_path_is_no_file() {
        assert!(file("index.html").is_none() && file("../mod.rs").is_none());
    }
}

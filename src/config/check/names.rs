//! What names may be: as long and of such characters as the servers take them. Quotes, percent signs and every script are theirs to
//! carry; what would be refused, or seen by nobody, is refused here.

use super::wrong;
use crate::error::Result;

/// The longest name of a table, a chart or a database in Superset, in characters.
const SUPERSET_NAME: usize = 250;
/// The longest slug of a dashboard in Superset.
const SUPERSET_SLUG: usize = 255;
/// Superset's database is called `Druid (NAME)`.
const PIPELINE_NAME: usize = SUPERSET_NAME - "Druid ()".len();
/// The longest name of a datasource: Druid makes file names of it and more, and a file name has 255 bytes.
const DATASOURCE_NAME: usize = 200;

/// The pipeline file's own name.
pub fn pipeline(name: &str) -> Result<()> {
    plain("pipeline file", "name", name, PIPELINE_NAME)
}

/// A title of a chart, a dashboard or a filter.
pub fn title(place: &str, title: &str) -> Result<()> {
    plain(place, "title", title, SUPERSET_NAME)
}

/// The last part of a dashboard's address.
pub fn slug(place: &str, slug: &str) -> Result<()> {
    let slug_character = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if slug.is_empty() || !slug.chars().all(slug_character) {
        return Err(wrong(place, format!("slug `{}` is more than lower-case letters, digits and '-'", shown(slug))));
    }
    if is_number(slug) || is_uuid(slug) {
        return Err(wrong(
            place,
            format!("slug `{}` is what Superset takes for a number or a UUID, and not for a slug", shown(slug)),
        )
        .hint("put a word into it, for example `dashboard-2024`"));
    }
    plain(place, "slug", slug, SUPERSET_SLUG)
}

fn is_number(slug: &str) -> bool {
    let digits = slug.strip_prefix('-').unwrap_or(slug);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// Python, in which Superset is written, does not ask where a UUID's dashes are.
fn is_uuid(slug: &str) -> bool {
    let mut digits = slug.chars().filter(|c| *c != '-');
    digits.clone().count() == 32 && digits.all(|c| c.is_ascii_hexdigit())
}

/// A column of a datasource.
pub fn column(place: &str, column: &str) -> Result<()> {
    plain(place, "column", column, SUPERSET_NAME)
}

/// Druid's rules for names of datasources.
pub fn datasource(place: &str, name: &str) -> Result<()> {
    plain(place, "name", name, DATASOURCE_NAME)?;
    let refused = |what: &str| Err(wrong(place, what).hint("Druid takes no such name; choose another: the topic keeps its own"));
    if name.trim() != name {
        return refused("`name` begins or ends with a space");
    }
    if name.starts_with('.') {
        return refused("`name` begins with a dot");
    }
    match name
        .chars()
        .find(|c| *c == '/' || (c.is_whitespace() && *c != ' ') || matches!(*c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..))
    {
        Some(c) => refused(&format!("`name` has the character {c:?}")),
        None => Ok(()),
    }
}

/// Kafka's rule for topic names.
pub fn topic_name(place: &str, name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(
            wrong(place, format!("`{}` is not a topic name", shown(name))).hint("letters, digits, '.', '_' and '-', 249 at most")
        );
    }
    Ok(())
}

/// Avro's rule for names of fields.
pub fn avro_name(place: &str, name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
        return Err(wrong(place, format!("measure `{}` is not a name of an Avro field", shown(name)))
            .hint("letters, digits and '_', and no digit first"));
    }
    Ok(())
}

/// Not empty, not too long, and with nothing in it that cannot be seen.
fn plain(place: &str, key: &str, text: &str, most: usize) -> Result<()> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(wrong(place, format!("`{key}` is empty")));
    }
    if length > most {
        return Err(wrong(place, format!("`{key}` has {length} characters, and {most} are the most")));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(wrong(place, format!("`{key}` has the control character {c:?}"))),
        None => Ok(()),
    }
}

/// A name as an error shows it: on one line, and not all of it if it is long.
pub fn shown(name: &str) -> String {
    const MOST: usize = 60;
    let text: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() { format!("{text}...") } else { text }
}

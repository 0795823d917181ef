//! Names as people and adversaries choose them.

/// Titles that have to be carried through unharmed.
pub const HARMLESS: [&str; 8] = [
    "Umsatz je Filiale",
    "it's 100% \"quoted\"",
    "売上 📈",
    "a'b;--",
    "!(rison:'x',y:!t)",
    "<b>bold</b> & {{ jinja }}",
    "back\\slash /and/ ?q=1#x",
    "naïve ﷽ עברית",
];

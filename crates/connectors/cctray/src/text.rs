//! A feed's bytes as text. XML says in its first line how it is encoded, and a byte order mark knows better.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// How far the declaration is looked for, in bytes: `<?xml version="1.0" encoding="…" standalone="yes"?>` is shorter.
const MAX_DECLARATION: usize = 256;

/// The text. What does not decode becomes the replacement character: one broken name must not hide all projects.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let declared = declared(bytes).unwrap_or(UTF_8);
    // A byte order mark goes before what is declared.
    let (text, _, _) = declared.decode(bytes);
    text
}

/// What `<?xml … encoding="…"?>` says. UTF-16 cannot be read off such a line in ASCII letters: who writes it there is
/// mistaken.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(MAX_DECLARATION)];
    let head = String::from_utf8_lossy(head);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (label, _) = value.get(1..)?.split_once(quote)?;
    Encoding::for_label(label.as_bytes()).map(Encoding::output_encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_what_it_is() {
        for (bytes, text) in [
            (&b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a n=\"Gr\xFC\xDFe\"/>"[..], "Grüße"),
            (b"<?xml version='1.0' encoding='windows-1252' ?><a n='Gr\xFC\xDFe \x80'/>", "Grüße €"),
            (
                b"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"latin1\"?><a n=\"Gr\xC3\xBC\xC3\x9Fe\"/>",
                "Grüße",
            ),
            (b"<a n=\"Gr\xC3\xBC\xC3\x9Fe\"/>", "Grüße"),
            (b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a n=\"Gr\xC3\xBC\xC3\x9Fe\"/>", "Grüße"),
            (b"<?xml version=\"1.0\" encoding=\"klingon\"?><a n=\"Gr\xC3\xBC\xC3\x9Fe\"/>", "Grüße"),
            (b"<a n=\"Gr\xFC\xDFe\"/>", "Gr\u{FFFD}\u{FFFD}e"),
            (b"\xFF\xFE<\0a\0/\0>\0", "<a/>"),
            (b"\xFE\xFF\0<\0a\0/\0>", "<a/>"),
            (b"", ""),
            (b"<?xml", "<?xml"),
        ] {
            let decoded = decode(bytes);
            assert!(decoded.contains(text) && !decoded.starts_with('\u{FEFF}'), "{decoded}");
        }
    }
}

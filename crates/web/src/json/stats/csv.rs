//! Items as a table for other programs: RFC 4180, one line for each, with the names of the fields before them.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// The table of `items` with these columns.
pub(super) fn table<T: Serialize>(columns: &[&str], items: &[T]) -> Result<String, serde_json::Error> {
    let mut out = columns.join(",");
    out.push_str("\r\n");
    for item in items {
        let item = serde_json::to_value(item)?;
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            cell(&mut out, item.get(column).unwrap_or(&Value::Null));
        }
        out.push_str("\r\n");
    }
    Ok(out)
}

fn cell(out: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
        Value::String(text) => quoted(out, text),
        Value::Array(parts) => {
            let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
            quoted(out, &parts.join(" "));
        }
        // No item of a table holds another.
        Value::Object(_) => {}
    }
}

/// Names and messages come from anybody: what a spreadsheet would take for a formula is marked as text.
fn quoted(out: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains(['"', ',', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_break_a_table_is_quoted() {
        let items =
            [json!({ "a": "x, \"y\"\nz", "b": 1.5, "c": null, "d": ["1", "2"], "e": true, "f": "plain" })];
        assert_eq!(
            table(&["f", "a", "b", "c", "d", "e"], &items).unwrap(),
            "f,a,b,c,d,e\r\nplain,\"x, \"\"y\"\"\nz\",1.5,,1 2,true\r\n"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0"] {
            let told = table(&["a"], &[json!({ "a": text })]).unwrap();
            assert_eq!(told, format!("a\r\n\"'{text}\"\r\n"));
        }
        assert_eq!(table(&["a"], &[json!({ "a": -1 })]).unwrap(), "a\r\n-1\r\n", "a number is one");
    }
}

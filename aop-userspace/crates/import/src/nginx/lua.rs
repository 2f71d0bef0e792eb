//! Blocks of Lua (`content_by_lua_block { … }`), in which braces, quotes and comments are Lua's.

use super::{NginxError, tokens::Scanner};

/// Whether the block of this directive is Lua.
pub(super) fn is_lua(directive: &str) -> bool {
    directive.ends_with("_by_lua_block")
}

/// Reads a block after its opening brace, up to and with its closing one, and returns what is in
/// between.
pub(super) fn block(scanner: &mut Scanner<'_>) -> Result<Box<str>, NginxError> {
    let (from, begin) = (scanner.at, scanner.place());
    let mut open = 1;
    while let Some(byte) = scanner.peek() {
        match byte {
            b'{' => open += 1,
            b'}' => {
                open -= 1;
                if open == 0 {
                    let inside = scanner.text[from..scanner.at].into();
                    scanner.bump();
                    return Ok(inside);
                }
            }
            b'"' | b'\'' => {
                skip_string(scanner, byte);
                continue;
            }
            b'-' if scanner.text[scanner.at..].starts_with("--") => {
                scanner.bump();
                scanner.bump();
                if !skip_long_bracket(scanner) {
                    while scanner.peek().is_some_and(|byte| byte != b'\n') {
                        scanner.bump();
                    }
                }
                continue;
            }
            b'[' if skip_long_bracket(scanner) => continue,
            _ => {}
        }
        scanner.bump();
    }
    Err(begin.error("the block of Lua that begins here is not closed: is the text cut?"))
}

/// A string of Lua ends at its quote, or at the end of the line.
fn skip_string(scanner: &mut Scanner<'_>, quote: u8) {
    scanner.bump();
    while let Some(byte) = scanner.peek() {
        scanner.bump();
        match byte {
            b'\\' => scanner.bump(),
            b'\n' => return,
            _ if byte == quote => return,
            _ => {}
        }
    }
}

/// Skips `[[ … ]]` or `[==[ … ]==]`, if one begins here and ends somewhere.
fn skip_long_bracket(scanner: &mut Scanner<'_>) -> bool {
    let rest = &scanner.text[scanner.at..];
    let Some(inner) = rest.strip_prefix('[') else { return false };
    let level = inner.len() - inner.trim_start_matches('=').len();
    if !inner[level..].starts_with('[') {
        return false;
    }
    let end = format!("]{}]", "=".repeat(level));
    let Some(length) = rest.find(&end).map(|at| at + end.len()) else { return false };
    (0..length).for_each(|_| scanner.bump());
    true
}

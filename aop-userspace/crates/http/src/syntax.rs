//! The characters of names, values and targets.

use crate::fault::Fault;

/// The length of the token that `text` begins with (RFC 9110, 5.6.2).
#[must_use]
pub fn token_length(text: &[u8]) -> usize {
    text.iter().position(|byte| !TOKEN[usize::from(*byte)]).unwrap_or(text.len())
}

/// Whether `text` is a token (RFC 9110, 5.6.2).
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether `text` is a field name in HTTP/2: a token without upper case (RFC 9113, 8.2.1).
#[must_use]
pub fn is_lower_token(text: &[u8]) -> bool {
    is_token(text) && !text.iter().any(u8::is_ascii_uppercase)
}

/// Checks a field's value: no control character but HTAB (RFC 9110, 5.5).
///
/// # Errors
/// [`Fault::ControlCharacter`].
pub fn check_value(value: &[u8]) -> Result<(), Fault> {
    // Without a branch for each byte, the compiler checks many bytes at once.
    let control = |byte: u8| u8::from((byte < 0x20) & (byte != b'\t')) | u8::from(byte == 0x7f);
    match value.iter().fold(0, |found, byte| found | control(*byte)) {
        0 => Ok(()),
        _ => Err(Fault::ControlCharacter),
    }
}

/// Checks path and query. It begins with `/`; no byte is a control character or a space. Other
/// bytes pass even where RFC 3986 has no place for them (`"`, `<`, bytes above 0x7f): applications
/// get such requests, and nginx and HAProxy relay them.
///
/// # Errors
/// [`Fault::Target`].
pub fn check_path(path: &[u8]) -> Result<(), Fault> {
    let valid = path.first() == Some(&b'/') && path.iter().all(|byte| TARGET[usize::from(*byte)]);
    if valid { Ok(()) } else { Err(Fault::Target) }
}

/// Checks an authority: host and port, without userinfo (RFC 9110, 4.2.4). The caller decides
/// whether the host is one that it serves.
///
/// # Errors
/// [`Fault::Target`].
pub fn check_authority(authority: &[u8]) -> Result<(), Fault> {
    let valid = |byte: &u8| byte.is_ascii_graphic() && !b"@/?#\\".contains(byte);
    match !authority.is_empty() && authority.iter().all(valid) {
        true => Ok(()),
        false => Err(Fault::Target),
    }
}

/// A Content-Length: digits alone that fit into 63 bits.
///
/// # Errors
/// [`Fault::Length`].
pub fn length(text: &[u8]) -> Result<u64, Fault> {
    if text.is_empty() {
        return Err(Fault::Length);
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        let digit = digit.ok_or(Fault::Length)?;
        let number = number.checked_mul(10).and_then(|number| number.checked_add(digit));
        number.filter(|number| *number <= i64::MAX.cast_unsigned()).ok_or(Fault::Length)
    })
}

const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~", true, false);
const VALUE: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = byte == 0x09;
        byte += 1;
    }
    table[0x7f] = false;
    table
};
const TARGET: [bool; 256] = {
    let mut table = VALUE;
    table[0x09] = false;
    table[0x20] = false;
    table
};

const fn table(extra: &[u8], alphanumeric: bool, rest: bool) -> [bool; 256] {
    let mut table = [rest; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = alphanumeric;
        }
        byte += 1;
    }
    let mut at = 0;
    while at < extra.len() {
        table[extra[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_values_and_paths_have_their_characters_alone() {
        for byte in 0..=255_u8 {
            let letter = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&[byte]), letter, "{byte}");
            assert_eq!(is_lower_token(&[byte]), letter && !byte.is_ascii_uppercase(), "{byte}");
            let control = byte.is_ascii_control();
            assert_eq!(check_value(&[byte]).is_ok(), !control || byte == b'\t', "{byte}");
            assert_eq!(check_path(&[b'/', byte]).is_ok(), !control && byte != b' ', "{byte}");
        }
        assert!(!is_token(b"") && check_path(b"").is_err() && check_path(b"a/").is_err());
    }

    #[test]
    fn a_length_is_digits_alone_and_fits() {
        assert_eq!(length(b"0012"), Ok(12));
        assert_eq!(length(b"9223372036854775807"), Ok(i64::MAX.cast_unsigned()));
        for wrong in [&b""[..], b"+1", b"-1", b"1 ", b"0x1", b"9223372036854775808", b"1,1"] {
            assert_eq!(length(wrong), Err(Fault::Length), "{wrong:?}");
        }
    }
}

//! The static table (RFC 7541, Appendix A), and a quick search in it: a hash table that the
//! compiler builds. Fields of one name have adjacent indices.

use super::lookup::hash;
use crate::fields::Field;

/// The index of `:path` with the value `/`.
pub(super) const PATH: usize = 4;
/// The index of the first `:status`.
const STATUS: usize = 8;
/// The index of `age`.
pub(super) const AGE: usize = 21;
/// The index of `authorization`.
pub(super) const AUTHORIZATION: usize = 23;
/// The index of `content-length`.
pub(super) const CONTENT_LENGTH: usize = 28;
/// The index of `content-range`.
pub(super) const CONTENT_RANGE: usize = 30;
/// The index of `cookie`.
pub(super) const COOKIE: usize = 32;
/// The index of `etag`.
pub(super) const ETAG: usize = 34;
/// The index of `if-modified-since`.
pub(super) const IF_MODIFIED_SINCE: usize = 40;
/// The index of `if-none-match`.
pub(super) const IF_NONE_MATCH: usize = 41;
/// The index of `if-range`.
pub(super) const IF_RANGE: usize = 42;
/// The index of `last-modified`.
pub(super) const LAST_MODIFIED: usize = 44;
/// The index of `location`.
pub(super) const LOCATION: usize = 46;
/// The index of `proxy-authorization`.
pub(super) const PROXY_AUTHORIZATION: usize = 49;
/// The index of `range`.
pub(super) const RANGE: usize = 50;
/// The index of `set-cookie`.
pub(super) const SET_COOKIE: usize = 55;
/// The largest index of the static table.
pub(super) const LAST: usize = ENTRIES.len();

static ENTRIES: [Field<'static>; 61] = [
    field(":authority", ""),
    field(":method", "GET"),
    field(":method", "POST"),
    field(":path", "/"),
    field(":path", "/index.html"),
    field(":scheme", "http"),
    field(":scheme", "https"),
    field(":status", "200"),
    field(":status", "204"),
    field(":status", "206"),
    field(":status", "304"),
    field(":status", "400"),
    field(":status", "404"),
    field(":status", "500"),
    field("accept-charset", ""),
    field("accept-encoding", "gzip, deflate"),
    field("accept-language", ""),
    field("accept-ranges", ""),
    field("accept", ""),
    field("access-control-allow-origin", ""),
    field("age", ""),
    field("allow", ""),
    field("authorization", ""),
    field("cache-control", ""),
    field("content-disposition", ""),
    field("content-encoding", ""),
    field("content-language", ""),
    field("content-length", ""),
    field("content-location", ""),
    field("content-range", ""),
    field("content-type", ""),
    field("cookie", ""),
    field("date", ""),
    field("etag", ""),
    field("expect", ""),
    field("expires", ""),
    field("from", ""),
    field("host", ""),
    field("if-match", ""),
    field("if-modified-since", ""),
    field("if-none-match", ""),
    field("if-range", ""),
    field("if-unmodified-since", ""),
    field("last-modified", ""),
    field("link", ""),
    field("location", ""),
    field("max-forwards", ""),
    field("proxy-authenticate", ""),
    field("proxy-authorization", ""),
    field("range", ""),
    field("referer", ""),
    field("refresh", ""),
    field("retry-after", ""),
    field("server", ""),
    field("set-cookie", ""),
    field("strict-transport-security", ""),
    field("transfer-encoding", ""),
    field("user-agent", ""),
    field("vary", ""),
    field("via", ""),
    field("www-authenticate", ""),
];

const fn field(name: &'static str, value: &'static str) -> Field<'static> {
    Field { name: name.as_bytes(), value: value.as_bytes() }
}

/// The field at `index`, from 1 on.
pub(super) fn get(index: usize) -> Option<Field<'static>> {
    ENTRIES.get(index.checked_sub(1)?).copied()
}

/// The first index of `name`, whose hash is `hash`.
pub(super) fn find_name(name: &[u8], hash: u64) -> Option<usize> {
    let mut slot = slot(hash);
    loop {
        let index = usize::from(SLOTS[slot]);
        if get(index)?.name == name {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

/// The index of the field with this value, among those that have the same name as `first`.
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    (first..=last(first)).find(|index| ENTRIES[index - 1].value == value)
}

/// The last index that has the same name as `first`.
const fn last(first: usize) -> usize {
    match first {
        2 | PATH | 6 => first + 1,
        STATUS => 14,
        _ => first,
    }
}

/// The first index of each name, at the slot that its hash selects or at the next free one. Zero
/// marks a free slot.
static SLOTS: [u8; 128] = {
    let mut slots = [0; 128];
    let mut index = 1;
    while index <= LAST {
        let mut slot = slot(hash(ENTRIES[index - 1].name, 0));
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = index as u8;
        index = last(index) + 1;
    }
    slots
};

const fn slot(hash: u64) -> usize {
    (hash >> 57) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_found_by_name_and_value() {
        for index in 1..=LAST {
            let field = get(index).unwrap();
            let first = find_name(field.name, hash(field.name, 0)).unwrap();
            assert_eq!(find_value(first, field.value), Some(index));
            assert_eq!(find_value(first, b"x"), None);
        }
        assert_eq!(find_name(b"x-absent", hash(b"x-absent", 0)), None);
        assert_eq!((get(0), get(LAST + 1)), (None, None));
    }

    #[test]
    fn each_name_is_near_the_slot_of_its_hash() {
        for (place, index) in SLOTS.iter().enumerate().filter(|(_, index)| **index > 0) {
            let slot = slot(hash(get(usize::from(*index)).unwrap().name, 0));
            let distance = (place + SLOTS.len() - slot) % SLOTS.len();
            assert!(distance <= 4, "{index} is {distance} slots away");
        }
    }

    #[test]
    fn the_named_indices_are_those_of_their_names() {
        for (index, name) in [
            (PATH, ":path"),
            (STATUS, ":status"),
            (AGE, "age"),
            (AUTHORIZATION, "authorization"),
            (CONTENT_LENGTH, "content-length"),
            (CONTENT_RANGE, "content-range"),
            (COOKIE, "cookie"),
            (ETAG, "etag"),
            (IF_MODIFIED_SINCE, "if-modified-since"),
            (IF_NONE_MATCH, "if-none-match"),
            (IF_RANGE, "if-range"),
            (LAST_MODIFIED, "last-modified"),
            (LOCATION, "location"),
            (PROXY_AUTHORIZATION, "proxy-authorization"),
            (RANGE, "range"),
            (SET_COOKIE, "set-cookie"),
        ] {
            assert_eq!(find_name(name.as_bytes(), hash(name.as_bytes(), 0)), Some(index), "{name}");
        }
    }
}

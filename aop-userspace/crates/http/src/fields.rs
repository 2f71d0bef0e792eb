//! Header fields in their order, in one buffer that is used again for the next message.

use std::ops::Range;

/// Header fields, or trailer fields. Names are in lower case.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Each field's name, followed by its value.
    text: Vec<u8>,
    index: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Range<u32>,
    value: Range<u32>,
}

/// A header field. The name is in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value, without white space around it.
    pub value: &'a [u8],
}

/// The overhead that RFC 9113, 6.5.2 adds to the size of each field.
const OVERHEAD: usize = 32;

impl Fields {
    /// Removes all fields, and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.index.clear();
    }

    /// Appends a field; `name` becomes lower case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text[start..].make_ascii_lowercase();
        let middle = self.text.len();
        self.text.extend_from_slice(value);
        let end = self.text.len();
        self.index.push(Entry { name: range(start, middle), value: range(middle, end) });
    }

    /// Continues the value of the last field with one space and `more`, as a folded line does
    /// (RFC 9112, 5.2). `None`: there is no field.
    pub fn continue_last(&mut self, more: &[u8]) -> Option<()> {
        let Self { text, index } = self;
        let last = index.last_mut()?;
        let mut start = last.value.start as usize;
        if last.value.end as usize != text.len() {
            start = text.len();
            text.extend_from_within(last.value.start as usize..last.value.end as usize);
        }
        if !last.value.is_empty() && !more.is_empty() {
            text.push(b' ');
        }
        text.extend_from_slice(more);
        last.value = range(start, text.len());
        Some(())
    }

    /// Removes every field named `name`, and appends one with this value.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes every field named `name`.
    pub fn remove(&mut self, name: &[u8]) {
        self.retain(|field| field.name != name);
    }

    /// Keeps only the fields that `keeps` selects.
    pub fn retain(&mut self, mut keeps: impl FnMut(Field<'_>) -> bool) {
        let Self { text, index } = self;
        index.retain(|entry| keeps(entry.field(text)));
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The size of the fields as RFC 9113, 6.5.2 counts it, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.iter().map(|field| field.name.len() + field.value.len() + OVERHEAD).sum()
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.index.iter().map(|entry| entry.field(&self.text))
    }

    /// The values of the fields named `name`, in lower case, in order.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |field| field.name == name).map(|field| field.value)
    }

    /// The first value of `name`, in lower case.
    #[must_use]
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name == name).map(|field| field.value)
    }

    /// Whether there is a field named `name`, in lower case.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.first(name).is_some()
    }

    /// The members of the comma-separated fields named `name`, without white space and empty ones.
    pub fn members<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let members = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
    }

    /// Gives memory back that the next messages probably need not.
    pub fn shrink(&mut self, to: usize) {
        self.text.shrink_to(to);
        self.index.shrink_to(to / OVERHEAD);
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl Entry {
    fn field<'a>(&self, text: &'a [u8]) -> Field<'a> {
        let part = |range: &Range<u32>| &text[range.start as usize..range.end as usize];
        Field { name: part(&self.name), value: part(&self.value) }
    }
}

/// A message's head is far below 4 GiB: every parser bounds it.
fn range(start: usize, end: usize) -> Range<u32> {
    let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
    narrow(start)..narrow(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_lose_only_what_is_removed() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a.test");
        fields.push(b"TE", b"gzip, ,trailers");
        fields.push(b"te", b"x");
        let members: Vec<_> = fields.members(b"te").collect();
        assert_eq!(members, [&b"gzip"[..], b"trailers", b"x"]);
        assert_eq!(fields.size(), 4 + 6 + 2 + 15 + 2 + 1 + 3 * 32);
        fields.set(b"host", b"b.test");
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names, [&b"te"[..], b"te", b"host"]);
        fields.remove(b"te");
        assert_eq!((fields.len(), fields.first(b"host")), (1, Some(&b"b.test"[..])));
        fields.clear();
        assert!(fields.is_empty() && !fields.contains(b"host"));
    }

    #[test]
    fn a_value_continues_after_one_space() {
        let mut fields = Fields::default();
        assert_eq!(fields.continue_last(b"a"), None);
        for name in [b"a", b"b", b"c"] {
            fields.push(name, b"");
        }
        fields.remove(b"c");
        for more in [&b""[..], b"1", b"", b"2 3"] {
            assert_eq!(fields.continue_last(more), Some(()));
        }
        assert_eq!((fields.first(b"a"), fields.first(b"b")), (Some(&b""[..]), Some(&b"1 2 3"[..])));
    }

    #[test]
    fn fields_are_equal_by_their_names_and_values_and_give_memory_back() {
        let (mut one, mut two) = (Fields::default(), Fields::default());
        for name in [b"a", b"b"] {
            one.push(name, &[b'x'; 500]);
            two.push(name, &[b'x'; 500]);
        }
        assert_eq!(one, two);
        two.set(b"b", b"y");
        assert_ne!(one, two);
        one.shrink(100);
        assert!(one.text.capacity() >= 1_000 && one.index.capacity() >= 2);
        one.index.reserve(100);
        one.clear();
        one.shrink(64);
        assert!((1..=64).contains(&one.text.capacity()));
        assert!((1..=2).contains(&one.index.capacity()));
    }
}
